"""Two thousand simultaneous tasks do the same things in the same order in every process."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("many_tasks_program.py")


def outcomes(*arguments: str) -> set[str]:
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(process), *arguments],
            env={**os.environ, "PYTHONHASHSEED": str(process * 1_000 + 1)}, stdout=subprocess.PIPE, text=True,
        )
        for process in range(3)
    ]  # fmt: skip
    answers = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert all(process.returncode == 0 for process in processes)
    return answers


def test_three_processes_with_different_hash_seeds_agree_at_2000_tasks():
    answers = outcomes()
    assert len(answers) == 1
    lines = int(answers.pop().split()[0])
    assert lines > 8_000


def test_the_program_would_tell_tasks_in_order_of_address():
    # With plain tasks the same program differs: what the test above sees is the loop's doing.
    assert len(outcomes("--plain-tasks")) > 1
