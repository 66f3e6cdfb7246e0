"""The README's commands, agent and recorded output are what the program really takes and prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.experiment.running import pagerproof

README = Path(__file__).resolve().parent.parent / "README.md"
_OUTPUT = re.compile(r"(<!-- recorded: (?P<command>[^>]+) -->\n```text\n)(?P<output>.*?)(\n```)", re.DOTALL)
_WALL_CLOCK = re.compile(r"(in|made in) [\d.]+ (s|ms|min)\b[ \d s]*")


def readme() -> str:
    return README.read_text("utf-8")


def own_agent() -> str:
    source = re.search(r"```python\n# my_agent\.py\n(.*?)```", readme(), re.DOTALL)
    assert source is not None, "the README shows an agent of one's own"
    return source[1]


def without_wall_clock(text: str) -> str:
    """Seconds on a clock differ from machine to machine; everything else may not."""
    return _WALL_CLOCK.sub(r"\1 …", text)


def test_the_agent_of_ones_own_has_at_most_twenty_lines_and_runs(tmp_path):
    source = own_agent()
    assert len([line for line in source.splitlines() if line.strip()]) <= 20
    (tmp_path / "my_agent.py").write_text(source, "utf-8")
    done = pagerproof("run", "calm_baseline", "--agent", "my_agent.py:handle", "-n", "60", folder=tmp_path)
    assert done.returncode in {0, 1, 3}, done.stderr
    assert "through my_agent" in done.stdout
    assert "crashed" not in done.stdout.partition("Failure modes")[0]


def test_every_command_that_the_readme_shows_is_one_that_the_program_takes(tmp_path):
    shown = re.findall(r"^pagerproof [^\n#|>&]+", readme(), re.MULTILINE)
    assert len(shown) >= 8
    for command in shown:
        words = shlex.split(command)[1:]
        done = pagerproof(words[0], "--help", folder=tmp_path)
        assert done.returncode == 0, command
        for option in (word for word in words if word.startswith("--")):
            assert option in done.stdout, f"{command}: no such option {option}"


@pytest.mark.slow
def test_the_recorded_output_is_what_the_command_prints(tmp_path, request):
    found = _OUTPUT.search(readme())
    assert found is not None, "the README holds a recorded output"
    done = pagerproof(*shlex.split(found["command"])[1:], "--no-progress", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.rstrip()
    if request.config.getoption("--regenerate-golden"):
        README.write_text(readme().replace(found["output"], printed), "utf-8")
        return
    assert without_wall_clock(printed) == without_wall_clock(found["output"])
