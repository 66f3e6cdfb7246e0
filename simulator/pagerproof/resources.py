"""Places for work: a pool of workers with a line in front of it, first come first served within each priority."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from pagerproof.protocols import Scheduler

_DEAD_MIN = 64  # fewer cancelled tickets than this are never worth a pass over the line


class Ticket:
    """A place in a pool's line. Once the worker was given, cancelling is without effect."""

    __slots__ = ("_args", "_callback", "_pool")

    def __init__(self, pool: Pool | None, callback: Callable[..., object] | None, args: tuple[Any, ...]) -> None:
        self._pool = pool
        self._callback = callback
        self._args = args

    @property
    def waiting(self) -> bool:
        """Whether it still stands in the line."""
        return self._callback is not None

    def cancel(self) -> bool:
        """Leave the line; return whether it was still in it."""
        if self._callback is None or self._pool is None:
            return False
        self._callback = None
        self._args = ()
        self._pool._left_the_line()
        return True


SERVED = Ticket(None, None, ())
"""The ticket of everybody who got a worker at once."""


class Pool:
    """`capacity` workers, and a line of at most `queue_limit` (None: without end) that waits for them.

    Smaller priorities go first. Gauges: `in_use`, `queued`, and `peak`, the most workers ever in use at once.
    """

    __slots__ = ("_dead", "_lines", "_priorities", "_scheduler", "capacity", "in_use", "peak", "queue_limit", "queued")

    def __init__(self, scheduler: Scheduler, capacity: int, queue_limit: int | None = None) -> None:
        if capacity < 1:
            raise ValueError(f"a pool needs at least one worker, not {capacity}")
        self._scheduler = scheduler
        self.capacity = capacity
        self.queue_limit = queue_limit
        self.in_use = 0
        self.queued = 0
        self.peak = 0
        self._dead = 0
        self._lines: dict[int, deque[Ticket]] = {}
        self._priorities: list[int] = []

    def acquire(self, callback: Callable[..., object], *args: Any, priority: int = 0) -> Ticket | None:
        """Call `callback(*args)` once a worker is free: now if one is. None means that the line is full.

        Whoever was called back owes one `release()`.
        """
        if self.take():
            callback(*args)
            return SERVED
        if self.queue_limit is not None and self.queued >= self.queue_limit:
            return None
        ticket = Ticket(self, callback, args)
        line = self._lines.get(priority)
        if line is None:
            line = self._lines[priority] = deque()
            self._priorities = sorted(self._lines)
        line.append(ticket)
        self.queued += 1
        return ticket

    def take(self) -> bool:
        """Take a worker if one is free, and return whether one was; whoever got one owes one `release()`."""
        in_use = self.in_use
        if in_use >= self.capacity:
            return False
        self.in_use = in_use = in_use + 1
        if in_use > self.peak:  # noqa: PLR1730  # max() costs a call for every piece of work
            self.peak = in_use
        return True

    def release(self) -> None:
        """Give a worker back; the next in line gets it before this returns."""
        if self.queued:
            ticket = self._next()
            callback, args = ticket._callback, ticket._args
            ticket._callback = None
            ticket._args = ()
            self.queued -= 1
            assert callback is not None
            callback(*args)
        elif self.in_use:
            self.in_use -= 1
        else:
            raise RuntimeError("a worker was given back that nobody had")

    def hold(self, seconds: float, *, priority: int = 0) -> bool:
        """Let a foreign job stand in the line and keep a worker for so long; False when the line is full."""
        return self.acquire(self._occupy, seconds, priority=priority) is not None

    def _occupy(self, seconds: float) -> None:
        self._scheduler.schedule(seconds, self.release)

    def _next(self) -> Ticket:
        for priority in self._priorities:
            line = self._lines[priority]
            while line:
                ticket = line.popleft()
                if ticket._callback is not None:
                    return ticket
                self._dead -= 1
        raise RuntimeError("the line's count and the line differ")

    def _left_the_line(self) -> None:
        self.queued -= 1
        self._dead += 1
        # Behind a stuck server nobody calls release, and the dead would pile up for ever.
        if self._dead > _DEAD_MIN and self._dead > self.queued:
            for priority, line in self._lines.items():
                self._lines[priority] = deque(ticket for ticket in line if ticket._callback is not None)
            self._dead = 0
