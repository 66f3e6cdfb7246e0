"""The main job against bare SimPy: CPU time of a run, journal and oracles included, over as many bare timed waits.

    python tests/benchmarks/main_job.py [--requests N] [--rounds N] [--scenario NAME] [--agent NAME]

Both are measured in turn, in one process; quote the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import simpy

from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import execute
from pagerproof.rng import exponential, key_of, sub_key


def bare_simpy_cpu_s(requests: int, waits: int, virtual_s: float) -> float:
    """CPU seconds of `requests` SimPy processes with `waits` timeouts in all, arriving over `virtual_s`."""
    environment = simpy.Environment()
    per_request, rest = divmod(max(waits - requests, requests), requests)
    delays = [exponential(sub_key(key_of(1, n), b"delay"), 1.0) for n in range(997)]

    def request(index: int):
        timeout = environment.timeout
        for n in range(per_request + (index < rest)):
            yield timeout(delays[(index + n) % 997])

    def arrivals():
        for index in range(requests):
            yield environment.timeout(virtual_s / requests)
            environment.process(request(index))

    environment.process(arrivals())
    gc.collect()
    gc.disable()
    started = process_time()
    environment.run()
    spent = process_time() - started
    gc.enable()
    return spent


def main() -> None:
    """Print the ratio of every round and their median."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_001)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenario", default="ten_thousand_and_first")
    parser.add_argument("--agent", default="hardened")
    given = parser.parse_args()
    plan = make_plan(given.scenario, requests=given.requests, agent=given.agent)
    ratios = []
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            wall_s, cpu_s = perf_counter(), process_time()
            execution = execute(plan, out=Path(folder))
            wall_s, cpu_s = perf_counter() - wall_s, process_time() - cpu_s
        waits = execution.end.timed_waits
        # A shared machine changes its speed within seconds: bare SimPy is measured for about as long as the run took.
        bare = [bare_simpy_cpu_s(given.requests, waits, execution.result.virtual_s)]
        while sum(bare) < execution.cpu_s / 2:
            bare.append(bare_simpy_cpu_s(given.requests, waits, execution.result.virtual_s))
        bare_s = median(bare)
        ratios.append(execution.cpu_s / bare_s)
        print(
            f"{given.requests:,} requests, {waits / given.requests:.1f} timed waits each: "
            f"run {execution.cpu_s:.2f} s CPU ({given.requests / execution.cpu_s:,.0f}/s), "
            f"with setting up and writing the result {cpu_s:.2f} s CPU and {wall_s:.2f} s wall; "
            f"bare SimPy {bare_s:.3f} s CPU ({waits / bare_s / 1000:,.0f} k waits/s): {ratios[-1]:.1f} x"
        )
    print(f"median ratio {median(ratios):.1f} x")


if __name__ == "__main__":
    main()
