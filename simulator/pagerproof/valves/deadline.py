"""The deadline: no call may last longer than what is left of the request's time."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from pagerproof.tools import Desk, Toolbox, ToolResult
from pagerproof.valves.purposes import WRITES
from pagerproof.valves.refusals import DeadlineExceeded


class Deadline:
    """Gives every call a time-out and shrinks it to what is left; raises DeadlineExceeded when too little is left.

    `limit_s` counts from the request's arrival, because the customer's waiting does. `read_timeout_s` (10 s) is the
    time-out of SAP Cloud SDK JS 4.9.1, `write_timeout_s` (30 s) the socket read time-out of an SAP BTP HTTP
    destination; both are only used where the caller gives none. A write is not begun with less than
    `write_reserve_s` left: a write that is cut off is worse than none. `limit_s` and the reserve are choices of ours.
    """

    name = "deadline"

    def __init__(
        self,
        *,
        limit_s: float = 150.0,
        read_timeout_s: float = 10.0,
        write_timeout_s: float = 30.0,
        write_reserve_s: float = 5.0,
    ) -> None:
        self.limit_s = limit_s
        self.read_timeout_s = read_timeout_s
        self.write_timeout_s = write_timeout_s
        self.write_reserve_s = write_reserve_s

    def left_s(self, desk: Desk) -> float:
        """Return what is left of this request's time; below zero when it is over."""
        return desk.request.arrival_s + self.limit_s - desk.clock.now_s()

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        """Return `toolbox` under this request's deadline."""
        return _Timed(self, toolbox, desk)


class _Timed:
    __slots__ = ("_deadline", "_desk", "_inner", "_now_s", "_until_s")

    def __init__(self, deadline: Deadline, inner: Toolbox, desk: Desk) -> None:
        self._deadline = deadline
        self._desk = desk
        self._inner = inner
        self._now_s = desk.clock.now_s
        self._until_s = desk.request.arrival_s + deadline.limit_s

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> Coroutine[Any, Any, ToolResult]:
        deadline = self._deadline
        left_s = self._until_s - self._now_s()
        if operation in WRITES:
            needed_s = deadline.write_reserve_s
            default_s = deadline.write_timeout_s
        else:
            needed_s = 0.0
            default_s = deadline.read_timeout_s
        if left_s <= needed_s:
            self._refuse(operation, left_s)
        limit_s = default_s if timeout_s is None else timeout_s
        if limit_s > left_s:
            self._desk.mark("valve", Deadline.name, f"{operation}: time-out cut from {limit_s:.1f} s to {left_s:.1f} s")
            limit_s = left_s
        return self._inner.call(
            operation, arguments, timeout_s=limit_s, idempotency_key=idempotency_key, attempt=attempt
        )

    def _refuse(self, operation: str, left_s: float) -> None:
        why = f"{max(left_s, 0.0):.1f} s of {self._deadline.limit_s:.0f} s are left"
        self._desk.mark("valve", Deadline.name, f"{operation} refused: {why}")
        raise DeadlineExceeded(operation, why)
