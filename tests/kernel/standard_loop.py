"""The standard library's own event loop in virtual time: the reference for order and for cost."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import heapq
import math
import selectors
from itertools import count
from typing import Any

from pagerproof.kernel.handles import OrderedTask


class VirtualSelector(selectors.BaseSelector):
    """Watches nothing; to wait for the loop's next timer is to move the loop's clock onto it."""

    def __init__(self, loop: StandardLoop) -> None:
        self.loop = loop

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("deadlock")
        if timeout > 0:
            # Not now + timeout, which would miss the timer by a rounding error.
            self.loop.now_s = self.loop._scheduled[0]._when
        return []

    def register(self, fileobj, events, data=None):
        raise NotImplementedError

    def unregister(self, fileobj):
        raise NotImplementedError

    def get_map(self):
        return {}


class StandardLoop(asyncio.BaseEventLoop):
    """asyncio's loop, handles and turns as they are, on a virtual clock."""

    _scheduled: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._selector = VirtualSelector(self)

    @property
    def _clock_resolution(self):
        # Timers are due before now + resolution: exactly those with `when <= now`.
        return math.ulp(self.now_s)

    @_clock_resolution.setter
    def _clock_resolution(self, value):
        pass

    def time(self) -> float:
        return self.now_s

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass


class NumberedTimerHandle(asyncio.TimerHandle):
    """Breaks ties in order of creation; heapq leaves timers of equal times in no stated order."""

    __slots__ = ("number",)
    number: int
    _scheduled: bool
    _when: float

    def __lt__(self, other):
        return (self._when, self.number) < (other._when, other.number)


class OrderedStandardLoop(StandardLoop):
    """The standard loop with ties and sets of tasks in order of creation, as the simulation loop promises."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count()
        self.order = count()
        self.set_task_factory(lambda loop, coro, **options: OrderedTask(coro, loop=loop, **options))

    def call_at(  # type: ignore[override]  # the stubs tie the callback to its arguments
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> NumberedTimerHandle:
        timer = NumberedTimerHandle(when, callback, args, self, context)
        timer.number = next(self._numbers)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer
