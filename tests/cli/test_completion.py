"""Shell completion knows every name, and is quick enough to be waited for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pagerproof.cli import completion
from pagerproof.cli.catalogue import catalogue
from pagerproof.cli.main import cli


def _names(complete: object, incomplete: str) -> list[str]:
    assert callable(complete)
    return [item.value for item in complete(click.Context(cli), click.Argument(["name"]), incomplete)]


def test_scenarios_and_yaml_files_of_the_working_folder_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ten.yaml").write_text("anything")
    assert _names(completion.scenarios, "ten") == ["ten.yaml", "ten_thousand_and_first"]


def test_show_completes_everything_also_with_a_broken_file_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "cut.yaml").write_text("schema: [")
    assert _names(completion.anything, "") == [entry.name for entry in catalogue()]
    assert "cut" in _names(completion.anything, "c")
    assert _names(completion.anything, "harde") == ["hardened"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_asks_the_program_for_completions(shell: str) -> None:
    assert "_PAGERPROOF_COMPLETE" in completion.script(cli, shell)


HEAVY = ("faker", "h11", "numpy", "pandas", "pyarrow", "scipy", "simpy", "trustme")


def test_completing_a_name_in_bash_imports_nothing_heavy(tmp_path: Path) -> None:
    environment = {**os.environ, "COMP_WORDS": "pagerproof show har", "COMP_CWORD": "2"}
    environment["_PAGERPROOF_COMPLETE"] = "bash_complete"
    program = (
        "import sys\nfrom pagerproof.cli.main import cli\n"
        "try:\n    cli(prog_name='pagerproof')\nfinally:\n"
        f"    print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["plain,hardened"]
    assert done.stderr.split() == []
