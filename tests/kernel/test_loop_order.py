"""The order of things on the loop: turns, ties, cancelled timers and the clock."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import math
import sys

import pytest
import simpy

from pagerproof.kernel import SimulationLoop
from pagerproof.kernel.handles import COMPACT_MIN


@pytest.fixture
def loop():
    loop = SimulationLoop()
    yield loop
    loop.close()


def test_time_starts_at_the_environment_s_and_is_a_float():
    loop = SimulationLoop(simpy.Environment(5))
    assert loop.time() == 5.0
    assert type(loop.time()) is float
    loop.run_until_complete(asyncio.sleep(1))
    assert loop.time() == loop.environment.now == 6.0
    loop.close()


def test_all_timers_of_an_instant_fire_before_what_the_first_of_them_makes_ready(loop):
    log: list[object] = []

    def first():
        log.append("a")
        loop.call_soon(log.append, "made by a")

    loop.call_later(1.0, first)
    loop.call_later(1.0, log.append, "b")
    loop.schedule(1.0, log.append, "kernel")
    loop.run_until_complete(asyncio.sleep(2.0))
    assert log == ["kernel", "a", "b", "made by a"]


def test_timers_of_one_instant_fire_in_the_order_they_were_made(loop):
    log: list[int] = []
    for number in range(50):
        (loop.schedule if number % 3 else loop.call_later)(1.0, log.append, number)
    loop.run_until_complete(asyncio.sleep(1.0))
    assert [n for n in log if n % 3] == [n for n in range(50) if n % 3]
    assert [n for n in log if not n % 3] == [n for n in range(50) if not n % 3]


def test_one_generation_runs_per_turn_and_a_timer_due_now_joins_it(loop):
    log: list[object] = []

    def first():
        log.append("first")
        loop.call_soon(log.append, "third")

    async def main():
        loop.call_soon(first)
        loop.call_later(0, log.append, "timer due now")
        loop.call_soon(log.append, "second")
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    # The timer fires at the start of the turn, so it stands behind what is ready, before what that makes ready.
    assert log == ["first", "second", "timer due now", "third"]


def test_a_timer_in_the_past_fires_without_turning_the_clock_back(loop):
    seen = []

    async def main():
        await asyncio.sleep(10)
        loop.call_at(3.0, lambda: seen.append(("three", loop.time())))
        loop.call_at(2.0, lambda: seen.append(("two", loop.time())))
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    assert seen == [("two", 10.0), ("three", 10.0)]


def test_cancelled_timers_do_not_move_the_clock(loop):
    loop.schedule(100.0, pytest.fail).cancel()
    loop.call_later(200.0, pytest.fail).cancel()

    async def main():
        await asyncio.sleep(1.0)
        loop.call_soon(loop.stop)

    loop.create_task(main())
    loop.run_forever()
    assert loop.time() == 1.0


def test_a_cancelled_timer_at_the_head_is_skipped_on_the_way_to_the_next(loop):
    times = []
    loop.schedule(1.0, pytest.fail).cancel()
    loop.schedule(2.0, lambda: times.append(loop.time()))
    loop.run_until_complete(asyncio.sleep(3.0))
    assert times == [2.0]


def test_a_fired_handle_can_still_be_cancelled_before_its_turn(loop):
    handles: list[asyncio.Handle] = []
    loop.call_later(1.0, lambda: handles[0].cancel())  # noqa: PLW0108  # it is not there yet
    handles.append(loop.call_later(1.0, pytest.fail))
    loop.run_until_complete(asyncio.sleep(2.0))
    assert handles[0].cancelled()


def test_cancelling_a_fired_timer_changes_nothing(loop):
    timer = loop.schedule(1.0, int)
    assert timer.pending()
    loop.run_until_complete(asyncio.sleep(2.0))
    assert not timer.pending()
    timer.cancel()
    assert loop._schedule.cancelled == 0


def test_the_queue_is_compacted_when_about_half_of_it_is_cancelled(loop):
    log: list[object] = []
    total = 10 * COMPACT_MIN
    timers = [loop.schedule(1.0 + number % 7, log.append, number) for number in range(total)]
    for timer in timers[::2]:
        timer.cancel()
    for timer in timers[1::4]:
        timer.cancel()
    assert len(loop._queue) < total / 2
    left = [number for number in range(total) if timers[number].pending()]
    loop.run_until_complete(asyncio.sleep(10.0))
    assert log == sorted(left, key=lambda number: (number % 7, number))


def test_abandoned_guards_do_not_pile_up(loop):
    async def main():
        for _ in range(1_000):
            async with asyncio.timeout(3_600):
                await asyncio.sleep(0.001)

    loop.run_until_complete(main())
    assert len(loop._queue) <= 2 * COMPACT_MIN + 2


def test_timed_waits_counts_timers_that_fired_after_a_positive_delay(loop):
    async def main():
        await asyncio.sleep(1)  # counts
        await asyncio.sleep(0)
        loop.schedule(0.0, int)
        loop.schedule(1.0, lambda: loop.schedule(0.0, int))  # counts, what it makes does not
        loop.schedule(1.0, int).cancel()
        loop.environment.timeout(1.0)
        await asyncio.sleep(2)  # counts

    loop.run_until_complete(main())
    assert loop.timed_waits == 3


def test_schedule_at_is_exact_and_refuses_the_past(loop):
    seen = []
    loop.run_until_complete(asyncio.sleep(0.1))
    at_s = loop.time() + 0.2
    loop.schedule_at(at_s, lambda: seen.append(loop.time()))
    loop.run_until_complete(asyncio.sleep(1))
    assert seen == [at_s]
    with pytest.raises(ValueError, match="before now"):
        loop.schedule_at(0.0, int)


@pytest.mark.parametrize("delay_s", [-1.0, math.nan])
def test_schedule_refuses_a_delay_that_is_none(loop, delay_s):
    with pytest.raises(ValueError, match="zero or more"):
        loop.schedule(delay_s, int)
    if math.isnan(delay_s):
        with pytest.raises(ValueError, match="must be a number"):
            loop.call_later(delay_s, int)


def test_what_a_kernel_callback_raises_ends_the_run(loop):
    loop.schedule(1.0, lambda: 1 / 0)
    main = loop.create_task(asyncio.sleep(5))
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(main)
    assert loop.time() == 1.0
    loop.run_until_complete(main)
    assert loop.time() == 5.0


def test_what_a_coroutine_s_callback_raises_goes_to_the_exception_handler(loop):
    seen = []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    loop.call_soon(lambda: 1 / 0)
    loop.run_until_complete(asyncio.sleep(1))
    assert [type(error) for error in seen] == [ZeroDivisionError]


def test_executors_run_inline_and_deliver_through_the_ready_queue(loop):
    log: list[object] = []

    def work():
        log.append("work")
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return 7

    async def main():
        future = loop.run_in_executor(None, work)
        log.append(("done", future.done()))
        assert await future == 7
        assert await asyncio.to_thread(work) == 7
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    loop.run_until_complete(main())
    assert log == ["work", ("done", False), "work"]


def test_unnamed_tasks_are_numbered_per_loop():
    def names():
        loop = SimulationLoop()

        async def main():
            tasks = [loop.create_task(asyncio.sleep(0)), loop.create_task(asyncio.sleep(0), name="mine")]
            return [task.get_name() for task in tasks]

        names = loop.run_until_complete(main())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        return names

    assert names() == names() == ["Task-2", "mine"]


def test_async_generators_are_shut_down_in_order_of_first_use(loop):
    log: list[object] = []

    async def numbers(name):
        try:
            yield 1
        finally:
            log.append(name)

    kept = [numbers(name) for name in range(50)]

    async def main():
        for generator in kept:
            await anext(generator)

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert log == list(range(50))


def test_as_completed_starts_bare_coroutines_in_the_order_given(loop):
    started = []

    async def work(number):
        started.append(number)

    async def main():
        for next_done in asyncio.as_completed([work(number) for number in range(500)]):
            await next_done

    loop.run_until_complete(main())
    assert started == list(range(500))
    assert "set" not in vars(asyncio.tasks)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_keep_an_order_of_their_own_too(loop):
    log: list[object] = []

    async def work(number):
        log.append(("began", number))
        await asyncio.sleep(1)
        log.append(("done", number))

    async def main():
        tasks = {asyncio.create_task(work(number)) for number in range(300)}
        log.append("all made")
        log.append([hash(task) for task in tasks] == sorted(hash(task) for task in tasks))
        await asyncio.wait(tasks)

    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    loop.run_until_complete(main())
    made = [("began", number) for number in range(300)]
    assert log == [*made, "all made", True, *(("done", number) for number in range(300))]
