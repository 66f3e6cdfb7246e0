"""Random programs do the same things at the same instants, in the same order, as on the standard loop."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernel.standard_loop import OrderedStandardLoop

from pagerproof.kernel import SimulationLoop

# Few and round delays, so that many timers fall on the same instant.
DELAYS_S = st.sampled_from([0, 0.0, 0.1, 0.2, 0.3, 1.0, 1.0, 2.0, 5.0])
NAMES = st.integers(0, 2)
SIMPLE = st.one_of(
    st.tuples(st.just("sleep"), DELAYS_S),
    st.tuples(st.just("put"), NAMES),
    st.tuples(st.just("get"), NAMES),
    st.tuples(st.just("set"), NAMES),
    st.tuples(st.just("wait"), NAMES),
    st.tuples(st.just("call_later"), DELAYS_S),
    st.tuples(st.just("call_at"), DELAYS_S),
    st.tuples(st.just("call_soon")),
)
STEPS = st.recursive(
    st.lists(SIMPLE, max_size=5),
    lambda inner: st.lists(
        st.one_of(
            SIMPLE,
            st.tuples(st.just("timeout"), DELAYS_S, inner),
            st.tuples(st.just("wait_for"), DELAYS_S, inner),
            st.tuples(st.just("lock"), inner),
            st.tuples(st.just("task"), inner),
            st.tuples(st.just("group"), st.lists(inner, max_size=3)),
            st.tuples(st.just("gather"), st.lists(inner, max_size=3)),
            st.tuples(st.just("cancel_later"), DELAYS_S, inner),
        ),
        max_size=4,
    ),
    max_leaves=12,
)
PROGRAMS = st.lists(STEPS, min_size=1, max_size=5)


class Interpreter:
    """Carries out a program and writes down what happened when."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.log: list[tuple[Any, ...]] = []
        self.queues: list[asyncio.Queue[str]] = [asyncio.Queue(maxsize=1) for _ in range(3)]
        self.events = [asyncio.Event() for _ in range(3)]
        self.mutex = asyncio.Lock()

    def note(self, *words: object) -> None:
        self.log.append((self.loop.time(), *words))

    async def main(self, program) -> None:
        tasks = [self.loop.create_task(self.run(steps, f"{n}")) for n, steps in enumerate(program)]
        # Programs may wait for what never comes: the horizon ends them, as it must on both loops.
        await asyncio.wait(tasks, timeout=50.0)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            self.note("ended", type(result).__name__)

    async def run(self, steps, path: str) -> None:
        try:
            for number, step in enumerate(steps):
                here = f"{path}.{number}"
                self.note(here, step[0])
                await getattr(self, "do_" + step[0])(here, *step[1:])
                self.note(here, "done")
        except asyncio.CancelledError:
            self.note(path, "cancelled")
            raise

    async def do_sleep(self, here, delay_s) -> None:
        await asyncio.sleep(delay_s)

    async def do_put(self, here, name) -> None:
        await self.queues[name].put(here)

    async def do_get(self, here, name) -> None:
        self.note(here, "got", await self.queues[name].get())

    async def do_set(self, here, name) -> None:
        self.events[name].set()

    async def do_wait(self, here, name) -> None:
        await self.events[name].wait()

    async def do_call_later(self, here, delay_s) -> None:
        self.loop.call_later(delay_s, self.note, here, "called later")

    async def do_call_at(self, here, delay_s) -> None:
        self.loop.call_at(self.loop.time() + delay_s - 0.1, self.note, here, "called at")

    async def do_call_soon(self, here) -> None:
        self.loop.call_soon(self.note, here, "called soon")

    async def do_timeout(self, here, delay_s, steps) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self.run(steps, here)
        except TimeoutError:
            self.note(here, "timed out")

    async def do_wait_for(self, here, delay_s, steps) -> None:
        try:
            await asyncio.wait_for(self.run(steps, here), delay_s)
        except TimeoutError:
            self.note(here, "timed out")

    async def do_lock(self, here, steps) -> None:
        # Two locks in one task would wait for each other until the horizon; that is fine, on both loops.
        async with self.mutex:
            await self.run(steps, here)

    async def do_task(self, here, steps) -> None:
        await self.loop.create_task(self.run(steps, here))

    async def do_group(self, here, programs) -> None:
        async with asyncio.TaskGroup() as group:
            for number, steps in enumerate(programs):
                group.create_task(self.run(steps, f"{here}/{number}"))

    async def do_gather(self, here, programs) -> None:
        await asyncio.gather(*(self.run(steps, f"{here}/{number}") for number, steps in enumerate(programs)))

    async def do_cancel_later(self, here, delay_s, steps) -> None:
        task = self.loop.create_task(self.run(steps, here))
        self.loop.call_later(delay_s, task.cancel)
        await asyncio.wait([task])


def log_on(loop: asyncio.AbstractEventLoop, program) -> list[tuple[Any, ...]]:
    async def main() -> list[tuple[Any, ...]]:
        interpreter = Interpreter(loop)
        await interpreter.main(program)
        return interpreter.log

    try:
        log = loop.run_until_complete(main())
        # A task that only another one was waiting for may be left.
        leftovers = asyncio.all_tasks(loop)
        for task in leftovers:
            task.cancel()
        if leftovers:
            loop.run_until_complete(asyncio.gather(*leftovers, return_exceptions=True))
        return log
    finally:
        loop.close()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(PROGRAMS)
def test_random_programs_log_the_same_as_on_the_standard_loop(program):
    assert log_on(SimulationLoop(), program) == log_on(OrderedStandardLoop(), program)
