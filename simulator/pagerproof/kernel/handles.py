"""What waits on the loop: light timers for services, asyncio handles, tasks and futures with an order of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from contextvars import Context

T = TypeVar("T")

COMPACT_MIN = 64
"""Fewer cancelled timers than this are never worth a pass over the queue."""

Entry = tuple[float, int, int, Any]
"""(time, priority, number, event): what a SimPy queue holds; the number is unique, so events never compare."""


class Schedule:
    """The SimPy queue as the timers see it: the heap itself and how many of its entries are cancelled."""

    __slots__ = ("_compact_above", "cancelled", "queue")

    def __init__(self, queue: list[Entry]) -> None:
        self.queue = queue
        self.cancelled = 0
        self._compact_above = COMPACT_MIN

    def count_cancelled(self) -> None:
        """Note that one more queued timer is dead, and drop the dead ones when they are about half."""
        self.cancelled += 1
        if self.cancelled > self._compact_above:
            self._compact()

    def _compact(self) -> None:
        # In place, because SimPy and the loop hold the same list. The order of what is left cannot change:
        # entries are totally ordered by their unique numbers.
        queue = self.queue
        if self.cancelled * 2 > len(queue):
            queue[:] = [entry for entry in queue if not is_cancelled(entry[3])]
            heapify(queue)
            self.cancelled = 0
        self._compact_above = max(COMPACT_MIN, len(queue) // 2)


class Timer:
    """A callback of the kernel at an instant of virtual time; a light, cancellable SimPy event.

    Made by `SimulationLoop.schedule`. `at_s` is the instant it is due.
    """

    __slots__ = ("_args", "_callback", "_schedule", "at_s")

    _ok = True  # SimPy asks every event whether it failed.
    _args: tuple[Any, ...]
    _callback: Callable[..., object] | None
    _schedule: Schedule
    at_s: float

    def cancel(self) -> None:
        """Never call back; without effect once it has fired."""
        if self._callback is not None:
            self._callback = None
            self._args = ()
            self._schedule.count_cancelled()

    def pending(self) -> bool:
        """Return whether it will still call back."""
        return self._callback is not None

    @property
    def callbacks(self) -> list[Callable[[object], None]]:
        """What `Environment.step` calls, should somebody step the environment without the loop."""
        return [self._fire]

    @callbacks.setter
    def callbacks(self, value: None) -> None:
        """Accept SimPy's mark that the event was processed."""

    def _fire(self, _event: object) -> None:
        callback = self._callback
        if callback is not None:
            self._callback = None
            callback(*self._args)


class ReadyHandle(asyncio.Handle):
    """What `call_soon` returns: asyncio's handle without its constructor, which costs more than the rest."""

    __slots__ = ()

    # Class attributes in front of the slots of the base: never stored, always read as these.
    _repr = None
    _source_traceback = None

    if TYPE_CHECKING:
        _callback: Any
        _context: Context

    def cancel(self) -> None:
        """Never call back."""
        self._cancelled = True
        self._callback = None
        self._args = ()


class TimerHandle(asyncio.TimerHandle):
    """What `call_later` and `call_at` return; itself the SimPy event that moves it to the ready queue.

    `_loop` stays unset: `_schedule`, in its place, is all a timer has to know.
    """

    __slots__ = ("_schedule",)

    _ok = True
    _repr = None
    _source_traceback = None

    if TYPE_CHECKING:
        _callback: Any
        _context: Context
        _schedule: Schedule
        _scheduled: bool
        _when: float

    def cancel(self) -> None:
        """Never call back."""
        if not self._cancelled:
            self._cancelled = True
            self._callback = None
            self._args = ()
            if self._scheduled:
                self._scheduled = False
                self._schedule.count_cancelled()


def is_cancelled(event: object) -> bool:
    """Return whether this entry of the queue is a timer of ours that nobody waits for any more."""
    kind = type(event)
    return (kind is Timer or kind is TimerHandle) and event._callback is None  # type: ignore[attr-defined]


class OrderedTask(asyncio.Task[T]):
    """A task whose hash is a number in the order of first use, so that sets of tasks iterate alike in every process.

    `lineage` names it below the task that made it, whatever else runs: "" for one made outside of tasks, ".2" for the
    second child of such a one, ".2.1" for that one's first child. Draws are keyed by it.

    With the hash of the base class, an address, the order in which `asyncio.wait`, `as_completed` and
    `TaskGroup` go through their tasks differs between processes from about a hundred tasks on.
    """

    __slots__ = ("_children", "_order", "lineage")
    _order: int
    _children: int
    lineage: str

    def __hash__(self) -> int:
        try:
            return self._order
        except AttributeError:
            self._order = _next_order(self)
            return self._order


class OrderedFuture(asyncio.Future[T]):
    """A future with the same kind of hash as `OrderedTask`."""

    __slots__ = ("_order",)
    _order: int

    def __hash__(self) -> int:
        try:
            return self._order
        except AttributeError:
            self._order = _next_order(self)
            return self._order


def lineage_below(parent: asyncio.Task[Any]) -> str:
    """Return the name of the next task that `parent` makes."""
    if not isinstance(parent, OrderedTask):
        return ""
    parent._children = number = getattr(parent, "_children", 0) + 1
    return f"{parent.lineage}.{number}"


def _next_order(future: asyncio.Future[Any]) -> int:
    order: int = next(future.get_loop().order)  # type: ignore[attr-defined]  # only a SimulationLoop makes these
    return order
