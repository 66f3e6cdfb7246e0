"""What the simulation loop costs against the standard loop on a virtual clock, and against bare SimPy timeouts.

    python tests/benchmarks/loop_instructions.py          instructions, by valgrind's cachegrind; repeats to the digit
    python tests/benchmarks/loop_instructions.py --cpu    CPU time, medians of interleaved rounds; needs no valgrind

The same program runs on both loops: 200 concurrent workers, each request ten sleeps under `asyncio.timeout`, one in
twenty of which times out. Exit status 1 when the ratio to the standard loop is above the limit.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "kernel"), str(HERE.parents[1] / "simulator")]

import simpy  # noqa: E402  # the paths above come first
from standard_loop import StandardLoop  # type: ignore[import-not-found]  # noqa: E402

from pagerproof.kernel import SimulationLoop  # noqa: E402

WORKERS = 200
SLEEPS = 10
RATIO_MAX = 0.85


def latency_s(request: int, step: int) -> float:
    """A latency without a pattern that both loops could share; every twentieth is over the limit of 30 s."""
    number = (request * 2_654_435_761 + step * 40_503) % 65_536
    return 31.0 + number / 65_536 if number % 20 == 0 else 0.1 + number / 4_096


async def serve(request: int) -> int:
    cancelled = 0
    for step in range(SLEEPS):
        try:
            async with asyncio.timeout(30.0):
                await asyncio.sleep(latency_s(request, step))
        except TimeoutError:
            cancelled += 1
    return cancelled


async def worker(first: int, requests: int) -> int:
    return sum([await serve(request) for request in range(first, requests, WORKERS)])


async def program(requests: int) -> int:
    return sum(await asyncio.gather(*(worker(first, requests) for first in range(WORKERS))))


def on_loop(loop: asyncio.AbstractEventLoop, requests: int) -> None:
    cancelled = loop.run_until_complete(program(requests))
    assert requests == 0 or cancelled > 0
    loop.close()


def on_simulation_loop(requests: int) -> None:
    on_loop(SimulationLoop(), requests)


def on_standard_loop(requests: int) -> None:
    on_loop(StandardLoop(), requests)


def on_bare_simpy(requests: int) -> None:
    environment = simpy.Environment()

    def simpy_worker(first: int):
        for request in range(first, requests, WORKERS):
            for step in range(SLEEPS):
                yield environment.timeout(min(latency_s(request, step), 30.0))

    for first in range(WORKERS):
        environment.process(simpy_worker(first))
    environment.run()


ENGINES: dict[str, Callable[[int], None]] = {
    "simulation": on_simulation_loop,
    "standard": on_standard_loop,
    "simpy": on_bare_simpy,
}


def instructions_of(engine: str, requests: int) -> int:
    """Instructions of a whole process that runs so many requests."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/out",
             sys.executable, "-X", "frozen_modules=on", __file__, "--engine", engine, "--requests", str(requests)],
            env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found is not None, done.stderr
    return int(found.group(1).replace(",", ""))


def measure_instructions(requests: int) -> dict[str, float]:
    return {engine: instructions_of(engine, requests) - instructions_of(engine, 0) for engine in ENGINES}


def measure_cpu(requests: int, rounds: int = 5) -> dict[str, float]:
    seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for _ in range(rounds):
        for engine, run in ENGINES.items():
            started = time.process_time()
            run(requests)
            seconds[engine].append(time.process_time() - started)
    return {engine: statistics.median(values) for engine, values in seconds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu", action="store_true", help="measure CPU time instead of instructions")
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--engine", choices=ENGINES, help="only run this engine, and print nothing")
    options = parser.parse_args()
    if options.engine:
        ENGINES[options.engine](options.requests)
        return 0
    measure, unit = (measure_cpu, "s") if options.cpu else (measure_instructions, "instructions")
    cost = measure(options.requests)
    for engine, value in cost.items():
        print(f"{engine:>10}: {value:,.4g} {unit}, {value / options.requests / SLEEPS:,.3g} per wait")
    ratio = cost["simulation"] / cost["standard"]
    print(f"simulation loop / standard loop: {ratio:.3f} (at most {RATIO_MAX})")
    print(f"simulation loop / bare simpy:    {cost['simulation'] / cost['simpy']:.2f}")
    return 0 if ratio <= RATIO_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
