"""Any number of simultaneous HTTP clients do the same things at the same instants in every process."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("many_clients_program.py")
LIBRARIES = ("httpx", "httpx2", "aiohttp")


def outcomes(*arguments: str) -> set[str]:
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), *arguments],
            env={**os.environ, "PYTHONHASHSEED": str(process * 1_000 + 1)}, stdout=subprocess.PIPE, text=True,
        )
        for process in range(3)
    ]  # fmt: skip
    answers = {process.communicate(timeout=1_200)[0].strip() for process in processes}
    assert all(process.returncode == 0 for process in processes)
    return answers


@pytest.mark.parametrize("clients", [20, 200])
@pytest.mark.parametrize("library", LIBRARIES)
def test_three_processes_agree(library, clients):
    pytest.importorskip(library)
    answers = outcomes(library, "https", str(clients))
    assert len(answers) == 1
    assert int(answers.pop().split()[0]) > clients * 8


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("library", ["httpx", "aiohttp"])  # httpx2 is httpx's code, and these take minutes
def test_three_processes_agree_at_2000_clients(library):
    pytest.importorskip(library)
    answers = outcomes(library, "https", "2000")
    assert len(answers) == 1
    assert int(answers.pop().split()[0]) > 16_000
