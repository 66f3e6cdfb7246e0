"""Synchronous functions of foreign agents run in threads, one at a time, in virtual time, alike in every process."""


# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pagerproof.errors import ForbiddenCall, Spin
from pagerproof.kernel import SimulationLoop, fenced
from pagerproof.kernel.batons import WORKERS_MAX
from pagerproof.rng import ByteStream

PROGRAM = Path(__file__).with_name("many_tools_program.py")


@pytest.fixture
def loop():
    return SimulationLoop()


def governed_run(loop, coroutine):
    read = ByteStream(1).read
    with fenced(loop, lambda: read, "governed"):
        try:
            return loop.run_until_complete(coroutine)
        finally:
            loop.abandon()


def test_a_tool_that_sleeps_takes_virtual_time_while_others_go_on(loop):
    log = []

    def tool():
        log.append(("tool begins", time.monotonic()))
        time.sleep(2)
        log.append(("tool ends", time.monotonic()))
        return 7

    async def other():
        await asyncio.sleep(1)
        log.append(("other", loop.time()))

    async def agent():
        return await asyncio.gather(asyncio.to_thread(tool), other())

    assert governed_run(loop, agent()) == [7, None]
    assert log == [("tool begins", 0.0), ("other", 1.0), ("tool ends", 2.0)]


def test_a_tool_may_run_an_event_loop_of_its_own(loop):
    async def inside(seconds):
        await asyncio.sleep(seconds)
        async with asyncio.timeout(10):
            return await asyncio.to_thread(time.monotonic)

    def tool(seconds):
        return asyncio.run(inside(seconds))

    async def agent():
        return await asyncio.gather(*(asyncio.to_thread(tool, seconds) for seconds in (3, 1, 2)))

    assert governed_run(loop, agent()) == [3.0, 1.0, 2.0]


def test_failures_context_and_names_cross_over(loop):
    here: contextvars.ContextVar[str] = contextvars.ContextVar("here")

    def fail():
        raise ZeroDivisionError(here.get())

    async def agent():
        here.set("request 5")
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, here.get) == "request 5"
        assert await asyncio.to_thread(lambda: threading.current_thread().name) == "asyncio_0"
        with pytest.raises(ZeroDivisionError, match="request 5"):
            await asyncio.to_thread(fail)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.to_thread(next, iter(()))

    governed_run(loop, agent())


def test_a_tool_may_wait_for_the_loop(loop):
    async def later(seconds):
        await asyncio.sleep(seconds)
        return loop.time()

    def tool(timeout_s):
        return asyncio.run_coroutine_threadsafe(later(5), loop).result(timeout_s)

    async def agent():
        assert await asyncio.to_thread(tool, None) == 5.0
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(tool, 2)
        assert loop.time() == 7.0

    governed_run(loop, agent())


def test_there_are_as_many_threads_as_the_standard_executor_has_at_most(loop):
    async def agent():
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 1) for _ in range(WORKERS_MAX + 1)))
        return loop.time()

    assert governed_run(loop, agent()) == 2.0


def test_no_thread_outlives_its_run_even_one_that_waits(loop):
    ended = []

    def tool():
        try:
            time.sleep(100)
        finally:
            ended.append(True)

    async def agent():
        task = asyncio.create_task(asyncio.to_thread(tool))
        await asyncio.sleep(1)
        task.cancel()

    before = set(threading.enumerate())
    governed_run(loop, agent())
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    assert ended == [True]


def test_a_thread_started_by_the_agent_is_refused_with_its_place(loop):
    async def agent():
        await asyncio.to_thread(lambda: threading.Thread(target=int).start())

    with pytest.raises(ForbiddenCall, match=r"test_batons.py:\d+ in .*Thread\.start\(\) is refused .*to_thread"):
        governed_run(loop, agent())


def test_a_tool_that_spins_is_stopped_with_its_line(loop):
    stop: list[bool] = []

    def tool():
        while not stop:
            pass

    async def agent():
        await asyncio.to_thread(tool)

    with pytest.raises(Spin, match=r"test_batons.py:\d+ in tool"), loop.watch_for_spin(0.2):
        governed_run(loop, agent())
    stop.append(True)


def test_anyio_s_workers_and_their_way_back_run_in_virtual_time(loop):
    anyio = pytest.importorskip("anyio")

    async def later():
        await anyio.sleep(2)
        return time.monotonic()

    def tool():
        time.sleep(1)
        return anyio.from_thread.run(later)

    async def agent():
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, time.sleep, 4)
            assert await anyio.to_thread.run_sync(tool) == 3.0
        return loop.time()

    assert governed_run(loop, agent()) == 4.0


@pytest.mark.parametrize("tasks", [20, 200])
def test_three_processes_with_different_hash_seeds_agree(tasks):
    pytest.importorskip("anyio")
    answers = set()
    for seed in (1, 2, 3):
        done = subprocess.run(
            [sys.executable, str(PROGRAM), str(seed), str(tasks)],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        answers.add(done.stdout)
    assert len(answers) == 1
    assert int(answers.pop().split()[0]) > 5 * tasks
