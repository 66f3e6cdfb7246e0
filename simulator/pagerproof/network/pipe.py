"""One direction of a connection: bytes in order, all late by the same latency, spread by a bandwidth if wanted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context
from enum import Enum
from typing import Final

from pagerproof.kernel import SimulationLoop


class Mark(Enum):
    """What travels in line with the bytes and is none."""

    END = "end"  # FIN: nothing follows
    RESET = "reset"  # RST: nothing follows, and it was no good-bye


END: Final = Mark.END
RESET: Final = Mark.RESET

Item = bytes | Mark
Arrive = Callable[[Item, object], object]
"""Takes what arrived and the owner that it was sent with."""


class Pipe:
    """Carries items to `arrive`, in order, in `context`.

    `under_way` counts the bytes sent and not yet arrived. Items sent in one instant for one owner arrive as one.
    """

    __slots__ = (
        "_arrive",
        "_bytes_per_s",
        "_context",
        "_free_s",
        "_items",
        "_latency_s",
        "_loop",
        "_shut",
        "under_way",
    )

    def __init__(
        self,
        loop: SimulationLoop,
        *,
        arrive: Arrive,
        context: Context,
        latency_s: float,
        bytes_per_s: float | None = None,
    ) -> None:
        self._loop = loop
        self._arrive = arrive
        self._context = context
        self._latency_s = latency_s
        self._bytes_per_s = bytes_per_s
        self._free_s = 0.0  # when the line has sent everything before
        self._items: deque[tuple[float, list[bytes] | Mark, object]] = deque()
        self._shut = False
        self.under_way = 0

    def send(self, item: Item, owner: object = None) -> None:
        """Put an item on the way; after an end or a reset nothing more is taken."""
        if self._shut:
            return
        if isinstance(item, Mark):
            self._shut = True
            self._put(self._due_s(0), item, owner)
            return
        size = len(item)
        self.under_way += size
        due_s = self._due_s(size)
        if self._items:
            last_due_s, last, last_owner = self._items[-1]
            if last_due_s == due_s and last_owner == owner and isinstance(last, list):
                last.append(item)
                return
        self._put(due_s, [item], owner)

    def cut(self) -> None:
        """Lose everything that is under way, and take nothing more."""
        self._shut = True
        self._items.clear()
        self.under_way = 0

    def _due_s(self, size: int) -> float:
        now = self._loop.time()
        if self._bytes_per_s is None:
            return now + self._latency_s
        self._free_s = max(now, self._free_s) + size / self._bytes_per_s
        return self._free_s + self._latency_s

    def _put(self, due_s: float, load: list[bytes] | Mark, owner: object) -> None:
        self._items.append((due_s, load, owner))
        self._loop.call_at(due_s, self._deliver, context=self._context)

    def _deliver(self) -> None:
        if not self._items:
            return  # cut meanwhile
        _, load, owner = self._items.popleft()
        if isinstance(load, Mark):
            self._arrive(load, owner)
            return
        data = load[0] if len(load) == 1 else b"".join(load)
        self.under_way -= len(data)
        self._arrive(data, owner)
