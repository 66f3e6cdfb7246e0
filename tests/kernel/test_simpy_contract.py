"""What the loop takes from inside SimPy: an upgrade that changes any of it must fail here first."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio

import simpy
from simpy.events import NORMAL, URGENT

from pagerproof.kernel import SimulationLoop
from pagerproof.kernel.loop import _NORMAL


def test_the_queue_is_a_heap_of_time_priority_number_event():
    environment = simpy.Environment()
    later, sooner = environment.timeout(2), environment.timeout(1)
    assert environment._queue == [(1, NORMAL, 1, sooner), (2, NORMAL, 0, later)]
    assert next(environment._eid) == 2


def test_timeouts_have_the_priority_the_loop_gives_its_timers():
    assert _NORMAL == NORMAL
    assert URGENT < NORMAL


def test_the_queue_stays_the_same_list_and_the_clock_the_same_attribute():
    environment = simpy.Environment()
    queue = environment._queue
    environment.timeout(3)
    environment.step()
    assert environment._queue is queue
    assert environment._now == environment.now == 3
    environment._now = 7.5
    assert environment.now == 7.5


def test_stepping_the_environment_without_the_loop_fires_its_timers():
    loop = SimulationLoop()
    fired: list[str] = []
    loop.schedule(1.0, fired.append, "first")
    loop.schedule(2.0, fired.append, "cancelled").cancel()
    loop.environment.run()
    assert fired == ["first"]
    loop.close()


def test_coroutines_and_processes_share_one_resource_in_order_of_arrival():
    loop = SimulationLoop()
    environment = loop.environment
    desk = simpy.Resource(environment, capacity=1)
    log = []

    def process(name, arrives_s):
        yield environment.timeout(arrives_s)
        with desk.request() as request:
            yield request
            log.append((name, environment.now))
            yield environment.timeout(10)

    async def coroutine(name, arrives_s):
        await asyncio.sleep(arrives_s)
        with desk.request() as request:
            granted = loop.create_future()
            if request.callbacks is None:
                granted.set_result(None)
            else:
                request.callbacks.append(lambda _: granted.set_result(None))
            await granted
            log.append((name, loop.time()))
            await asyncio.sleep(10)

    async def main():
        environment.process(process("process 1", 1))
        environment.process(process("process 3", 3))
        await asyncio.gather(coroutine("coroutine 2", 2), coroutine("coroutine 4", 4))

    loop.run_until_complete(main())
    loop.close()
    assert log == [("process 1", 1.0), ("coroutine 2", 11.0), ("process 3", 21.0), ("coroutine 4", 31.0)]
