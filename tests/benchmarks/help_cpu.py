"""Prints the processor time of `pagerproof --help` and of other commands that only look, as medians of fresh processes.

python tests/benchmarks/help_cpu.py [REPEATS]
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

COMMANDS = (("--help",), ("--version",), ("run", "--help"), ("list", "scenarios"), ("validate", "pyproject.toml"))
REPEATS = 7


def cpu_s(arguments: tuple[str, ...]) -> float:
    """Return user and system time of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "pagerproof", *arguments],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def main() -> None:
    """Measure every command."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    for arguments in COMMANDS:
        cpu_s(arguments)  # the first one writes bytecode
        times = [cpu_s(arguments) for _ in range(repeats)]
        print(f"pagerproof {' '.join(arguments):<24} {statistics.median(times):.3f} s CPU (best {min(times):.3f})")


if __name__ == "__main__":
    main()
