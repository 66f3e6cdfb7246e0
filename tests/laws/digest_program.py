"""Runs the jobs that stand on its standard input as JSON, in a process of its own, and prints what came of each.

What must not matter is turned on or off by the job or by the command line: `--noise` logs, reports progress by the
wall clock and lets garbage be collected; `--ballast N` shifts every address.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import execute

_OF_THE_MACHINE = ("wall_s", "cpu_s", "requests_per_s", "baseline", "run")


def without_wall_clock(value):
    """Return a JSON document without what may differ between two runs of the same inputs."""
    if isinstance(value, dict):
        return {key: without_wall_clock(each) for key, each in value.items() if key not in _OF_THE_MACHINE}
    if isinstance(value, list | tuple):
        return [without_wall_clock(each) for each in value]
    return value


def disturb(snapshot):
    """Do between two requests what a display, a logger and a collector do, and take entropy besides."""
    gc.enable()
    logging.getLogger("display").info("%s done at %s", snapshot.done, time.time())  # noqa: TID251  # what displays do
    print(f"{snapshot.done} of {snapshot.total}", file=sys.stderr, flush=True)


def run(job, noise):
    """Run one job and return its digest, its document's content and the requests that settled."""
    folder = Path(job["folder"]) if "folder" in job else Path.cwd()
    plan = make_plan(
        job["scenario"],
        requests=job.get("requests"),
        seed=job.get("seed"),
        agent=job.get("agent"),
        folder=folder,
    )
    with tempfile.TemporaryDirectory() as out:
        execution = execute(
            plan,
            out=Path(out) if job.get("journal") else None,
            report=disturb if noise else None,
        )
    if execution.end.stopped_by is not None:
        raise execution.end.stopped_by
    return {
        "digest": execution.result.digest,
        "document": json.dumps(without_wall_clock(execution.result.to_json()), sort_keys=True),
        "requests": len(execution.table),
    }


def main():
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--backwards", action="store_true")
    parser.add_argument("--ballast", type=int, default=0)
    given = parser.parse_args()
    ballast = [bytearray(given.ballast * 977 + number % 613) for number in range(3_000)]
    if given.noise:
        logging.basicConfig(level=logging.DEBUG)
    jobs = json.load(sys.stdin)
    order = reversed(range(len(jobs))) if given.backwards else range(len(jobs))
    results = {number: run(jobs[number], given.noise) for number in order}
    print(json.dumps([results[number] for number in range(len(jobs))]))
    assert ballast


if __name__ == "__main__":
    main()
