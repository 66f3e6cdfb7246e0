"""The main job against bare SimPy in instructions: what one more request of a run costs, in as many bare timed waits.

    python tests/benchmarks/main_job_instructions.py [--requests N] [--scenario NAME] [--agent NAME] [--no-journal]

Counted by valgrind's cachegrind with a fixed hash seed, so that it repeats almost to the digit on a noisy machine,
where CPU seconds (main_job.py) do not. Each figure is the difference between two whole processes of 100 and of
100 + N requests: set-up, imports and the end of a run are in both and fall out; the journal, oracles and tables of
the N requests are in it. Instructions are not time: a run also misses the caches more often than a loop of waits.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from main_job import bare_simpy_cpu_s  # type: ignore[import-not-found]  # the file beside this one

from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import execute

FIRST_REQUESTS = 100  # the tables that a run fills once are warm by then
_RUN, _BARE = "run", "bare"


def run(requests: int, scenario: str, agent: str, *, journal: bool) -> tuple[int, float]:
    """Run the scenario; return its timed waits and its virtual seconds."""
    # Nothing may depend on the wall clock here, and under valgrind no callback is as fast as the watch expects.
    signal.setitimer = lambda *_: (0.0, 0.0)  # this process only measures
    plan = make_plan(scenario, requests=requests, agent=agent)
    with tempfile.TemporaryDirectory() if journal else nullcontext() as folder:
        execution = execute(plan, out=None if folder is None else Path(folder))
    return execution.end.timed_waits, execution.result.virtual_s


def counted(*arguments: str) -> tuple[int, str]:
    """Return the instructions of a process of this program, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/out",
             sys.executable, "-X", "frozen_modules=on", __file__, *arguments],
            # One thread: a pool of waiting ones would count as work.
            env={**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found is not None, done.stderr
    return int(found.group(1).replace(",", "")), done.stdout


def main() -> None:
    """Print instructions per request of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--scenario", default="ten_thousand_and_first")
    parser.add_argument("--agent", default="hardened")
    parser.add_argument("--no-journal", action="store_true", help="run without writing a run's folder")
    parser.add_argument("--counted", choices=(_RUN, _BARE), help=argparse.SUPPRESS)
    parser.add_argument("--waits", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--virtual-s", type=float, default=0.0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.counted == _RUN:
        print(json.dumps(run(given.requests, given.scenario, given.agent, journal=not given.no_journal)))
        return
    if given.counted == _BARE:
        bare_simpy_cpu_s(given.requests, given.waits, given.virtual_s)
        return
    what = ["--scenario", given.scenario, "--agent", given.agent, *["--no-journal"][: given.no_journal]]
    of_run, of_bare, waits = [], [], []
    for requests in (FIRST_REQUESTS, FIRST_REQUESTS + given.requests):
        size = ["--requests", str(requests)]
        instructions, printed = counted("--counted", _RUN, *size, *what)
        timed_waits, virtual_s = json.loads(printed)
        of_run.append(instructions)
        waits.append(timed_waits)
        bare, _ = counted("--counted", _BARE, *size, "--waits", str(timed_waits), "--virtual-s", str(virtual_s))
        of_bare.append(bare)
    run_each, bare_each = ((each[1] - each[0]) / given.requests for each in (of_run, of_bare))
    print(
        f"{given.scenario}, {given.agent}: {run_each / 1e6:.3f} M instructions a request; bare SimPy, "
        f"{(waits[1] - waits[0]) / given.requests:.1f} timed waits each: {bare_each / 1e6:.3f} M"
    )
    print(f"ratio {run_each / bare_each:.1f} x")


if __name__ == "__main__":
    main()
