"""Starts runs in processes of their own, each with another hash seed and with what must not matter in another state."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("digest_program.py")
HASH_SEEDS = (0, 1, 12345)
_NUISANCES = (("--ballast", "0"), ("--ballast", "7", "--noise"), ("--ballast", "31", "--backwards"))


def in_three_processes(jobs, *, at_once=1, timeout_s=250):
    """Return, for each process, the list of what its jobs came to.

    The second process logs, shows progress and collects garbage; the third runs the jobs in the opposite order.
    """
    answers = []
    waiting = list(zip(HASH_SEEDS, _NUISANCES, strict=True))
    while waiting:
        now, waiting = waiting[:at_once], waiting[at_once:]
        started = [_start(jobs, hash_seed, options) for hash_seed, options in now]
        for process in started:
            stdout, stderr = process.communicate(json.dumps(jobs), timeout=timeout_s)
            assert process.returncode == 0, stderr[-3000:]
            answers.append(json.loads(stdout))
    return answers


def _start(jobs, hash_seed, options):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *options],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
