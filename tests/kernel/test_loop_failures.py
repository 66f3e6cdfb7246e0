"""Runs that cannot go on stop with an error that names who is to blame and where."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import threading
import time

import pytest

from pagerproof.errors import AgentMisbehaved, Deadlock, ForbiddenCall, Livelock, Spin
from pagerproof.kernel import SimulationLoop


@pytest.fixture
def loop():
    loop = SimulationLoop(callbacks_per_instant_max=1_000)
    yield loop
    loop.abandon()


async def wait_for_nobody():
    await asyncio.Event().wait()


def line_of(function, offset):
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno + offset}"


def test_a_deadlock_names_the_instant_and_where_each_task_awaits(loop):
    async def main():
        await asyncio.sleep(2.5)
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for_nobody(), name="request 17")

    with pytest.raises(Deadlock) as caught:
        loop.run_until_complete(main())
    message = str(caught.value)
    assert "virtual time 2.500000 s" in message
    assert f"task 'request 17' (wait_for_nobody) awaits at {line_of(wait_for_nobody, 1)}" in message
    assert f"awaits at {line_of(main, 2)}" in message


def test_a_deadlock_stands_at_the_last_instant_anything_happened(loop):
    async def main():
        loop.call_later(200.0, pytest.fail).cancel()
        loop.schedule(100.0, pytest.fail).cancel()
        await asyncio.sleep(1.0)
        await wait_for_nobody()

    with pytest.raises(Deadlock, match=r"virtual time 1\.0"):
        loop.run_until_complete(main())
    assert loop.time() == 1.0


def test_sleeping_for_ever_is_a_deadlock_and_not_the_end_of_time(loop):
    with pytest.raises(Deadlock):
        loop.run_until_complete(asyncio.sleep(math.inf))
    assert loop.time() == 0.0


def test_a_deadlock_lists_at_most_twenty_tasks(loop):
    async def main():
        await asyncio.gather(*(wait_for_nobody() for _ in range(100)))

    with pytest.raises(Deadlock, match="and 81 more"):
        loop.run_until_complete(main())


def test_a_livelock_names_the_task_that_never_lets_time_pass(loop):
    async def busy():
        while True:
            await asyncio.sleep(0)

    async def main():
        await asyncio.sleep(1)
        await asyncio.create_task(busy(), name="the busy one")

    with pytest.raises(Livelock, match=r"(?s)virtual time 1\.0.*more than 1000 callbacks.*'the busy one' \(.*busy\)"):
        loop.run_until_complete(main())


def test_timers_without_delay_that_make_timers_are_a_livelock_too(loop):
    def again():
        loop.schedule(0.0, again)

    loop.schedule(1.0, again)
    with pytest.raises(Livelock, match="again"):
        loop.run_until_complete(asyncio.sleep(2))


def test_many_callbacks_in_many_instants_are_no_livelock(loop):
    async def main():
        for _ in range(2_000):
            await asyncio.sleep(0.001)

    loop.run_until_complete(main())


async def spin_and_swallow():
    ends = time.perf_counter() + 5
    while time.perf_counter() < ends:
        with contextlib.suppress(Exception):
            while time.perf_counter() < ends:
                pass


def test_a_spin_is_stopped_though_the_agent_swallows_exceptions(loop):
    started = time.perf_counter()
    with pytest.raises(Spin) as caught, loop.watch_for_spin(after_wall_s=0.1):
        loop.run_until_complete(loop.create_task(spin_and_swallow(), name="request 3"))
    assert time.perf_counter() - started < 3
    message = str(caught.value)
    assert "task 'request 3' (spin_and_swallow)" in message
    assert f"{spin_and_swallow.__code__.co_filename}:" in message
    assert "in spin_and_swallow" in message


def test_a_spin_in_kernel_context_is_stopped(loop):
    def spin():
        while True:
            pass

    loop.schedule(1.0, spin)
    with pytest.raises(Spin, match="in spin"), loop.watch_for_spin(after_wall_s=0.1):
        loop.run_until_complete(asyncio.sleep(2))
    loop.run_until_complete(asyncio.sleep(5))
    assert loop.time() == 6.0


def test_many_short_callbacks_are_no_spin(loop):
    async def main():
        started = time.perf_counter()
        while time.perf_counter() - started < 0.5:
            await asyncio.sleep(0.001)

    with loop.watch_for_spin(after_wall_s=0.1):
        loop.run_until_complete(main())


def test_the_watch_puts_the_alarm_and_its_handler_back(loop):
    def ours(*_):
        raise AssertionError

    before = signal.signal(signal.SIGALRM, ours)
    timer_before = signal.setitimer(signal.ITIMER_REAL, 1_000, 7)
    try:
        with loop.watch_for_spin(after_wall_s=5):
            loop.run_until_complete(asyncio.sleep(1))
        assert signal.getsignal(signal.SIGALRM) is ours
        remaining_s, repeat_s = signal.getitimer(signal.ITIMER_REAL)
        assert 900 < remaining_s <= 1_000
        assert repeat_s == 7
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer_before)
        signal.signal(signal.SIGALRM, before)


def test_a_tick_that_arrives_after_the_watch_reaches_nobody(loop):
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _frame: heard.append(number))
    try:
        with loop.watch_for_spin(after_wall_s=0.002):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            while signal.SIGALRM not in signal.sigpending():  # the tick has gone off and is under way
                time.sleep(0.001)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        assert heard == []
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        signal.signal(signal.SIGALRM, before)


def test_abort_ends_the_run_after_the_callback_whatever_it_catches(loop):
    log: list[str] = []

    async def main():
        try:
            loop.call_soon(log.append, "stood in line before")
            loop.abort(AgentMisbehaved("stop here"))
        except BaseException:
            log.append("caught")
        log.append("went on to its next await")
        await asyncio.sleep(0)
        log.append("never")

    with pytest.raises(AgentMisbehaved, match="stop here"):
        loop.run_until_complete(main())
    assert log == ["went on to its next await"]


@pytest.mark.parametrize(
    "name",
    ["create_connection", "create_server", "sock_connect", "getaddrinfo", "subprocess_exec", "add_signal_handler",
     "connect_read_pipe", "add_reader", "start_tls"],
)  # fmt: skip
def test_what_leaves_virtual_time_is_refused_by_name(loop, name):
    with pytest.raises(ForbiddenCall, match=rf": loop\.{name}\(\) was called, but (there are|there is|signals) "):
        getattr(loop, name)()


def test_open_connection_stops_the_run_though_the_agent_falls_back(loop):
    async def agent():
        with contextlib.suppress(Exception):
            await asyncio.open_connection("localhost", 1)
        await asyncio.sleep(1)

    with pytest.raises(ForbiddenCall) as caught:
        loop.run_until_complete(agent())
    assert str(caught.value).startswith(f"{line_of(agent, 2)} in agent: loop.create_connection() was called, but ")
    assert loop.time() == 0.0


def test_call_soon_threadsafe_is_for_the_loop_s_own_thread(loop):
    refused = []

    def other_thread():
        try:
            loop.call_soon_threadsafe(int)
        except ForbiddenCall as error:
            refused.append(str(error))

    thread = threading.Thread(target=other_thread)
    thread.start()
    thread.join()
    assert len(refused) == 1
    assert "asyncio.to_thread" in refused[0]

    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()


def test_a_closed_loop_takes_nothing_more():
    loop = SimulationLoop()
    loop.close()
    for refused in (lambda: loop.call_soon(int), lambda: loop.call_later(1, int), lambda: loop.call_at(1, int)):
        with pytest.raises(RuntimeError, match="closed"):
            refused()


def test_abandoning_a_run_cancels_its_tasks_without_a_word(loop):
    log = []

    async def stubborn():
        for attempt in range(2):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                log.append(attempt)
        await asyncio.sleep(100)

    async def fails():
        try:
            await asyncio.sleep(100)
        finally:
            raise ValueError

    async def woken_but_not_run():
        await asyncio.sleep(1.0)

    loop.create_task(stubborn())
    loop.create_task(fails())
    loop.create_task(woken_but_not_run())
    loop.call_later(1.0, loop.stop)
    loop.run_forever()
    loop.abandon()
    assert log == [0, 1]
    assert loop.time() == 1.0
    assert loop.is_closed()
