"""CPython's own tests of task groups, timeouts, queues, locks and wait_for pass on the simulation loop."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("run_cpython_tests.py")
TESTS_MIN = 196
"""As many as Python 3.11 ships; later versions ship more."""


def ships_its_tests() -> bool:
    try:
        return importlib.util.find_spec("test.test_asyncio.test_taskgroups") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.skipif(not ships_its_tests(), reason="this interpreter ships without its own tests (test.test_asyncio)")
def test_cpython_s_own_asyncio_tests_pass_on_the_simulation_loop():
    # In a process of its own: they set event loop policies and warn of what they do on purpose.
    done = subprocess.run([sys.executable, str(RUNNER)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["failures"] == []
    assert result["ran"] >= TESTS_MIN
