"""Runs CPython's own asyncio tests on the simulation loop and prints how many ran and which failed, as JSON."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import importlib
import io
import json
import sys
import unittest
import warnings

from pagerproof.kernel import SimulationLoop

MODULES = ("test_taskgroups", "test_timeouts", "test_queues", "test_locks", "test_waitfor")


class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return SimulationLoop()


def main() -> None:
    ran, failures = 0, []
    for name in MODULES:
        module = importlib.import_module(f"test.test_asyncio.{name}")
        suite = unittest.defaultTestLoader.loadTestsFromModule(module)
        # Each of these modules resets the policy when it is done.
        asyncio.set_event_loop_policy(Policy())
        result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(suite)
        ran += result.testsRun
        failures += [[f"{name}: {case}", text] for case, text in result.failures + result.errors]
    json.dump({"ran": ran, "failures": failures}, sys.stdout)


if __name__ == "__main__":
    # unittest warns of what CPython's own tests do; it is not ours to judge.
    warnings.simplefilter("ignore")
    main()
