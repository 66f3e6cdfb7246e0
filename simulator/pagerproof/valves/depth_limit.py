"""The depth limit: a hard budget on tool loops."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from pagerproof.tools import Desk, Toolbox, ToolResult
from pagerproof.valves.purposes import Purpose, purpose_of
from pagerproof.valves.refusals import BudgetExceeded


class DepthLimit:
    """Ends a request's tool loop by raising BudgetExceeded.

    `calls_per_step`: calls in a row that ask for no operation that this request had not asked for before (3 to 5 is
    the usual advice). `calls_per_request`: all calls. `repeats`: how often the same operation with the same arguments
    may be asked for. Attempts made by valves further in do not count. All figures are choices of ours.
    """

    name = "depth_limit"

    def __init__(self, *, calls_per_step: int = 5, calls_per_request: int = 24, repeats: int = 3) -> None:
        if min(calls_per_step, calls_per_request, repeats) < 1:
            raise ValueError("every limit of depth_limit must be at least 1")
        self.calls_per_step = calls_per_step
        self.calls_per_request = calls_per_request
        self.repeats = repeats

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        """Return `toolbox` with a fresh budget."""
        return _Limited(self, toolbox, desk)


class _Limited:
    __slots__ = ("_asked", "_calls", "_desk", "_inner", "_known", "_limit", "_step_calls")

    def __init__(self, limit: DepthLimit, inner: Toolbox, desk: Desk) -> None:
        self._limit = limit
        self._inner = inner
        self._desk = desk
        self._calls = 0
        self._step_calls = 0
        self._known: set[str] = set()
        self._asked: dict[Purpose, int] = {}

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> Coroutine[Any, Any, ToolResult]:
        limit = self._limit
        self._calls += 1
        if operation in self._known:
            self._step_calls += 1
        else:
            self._known.add(operation)
            self._step_calls = 1
        purpose = purpose_of(operation, arguments)
        asked = self._asked
        times = asked[purpose] = asked.get(purpose, 0) + 1
        if self._calls > limit.calls_per_request or self._step_calls > limit.calls_per_step or times > limit.repeats:
            self._refuse(operation, times)
        return self._inner.call(
            operation, arguments, timeout_s=timeout_s, idempotency_key=idempotency_key, attempt=attempt
        )

    def _refuse(self, operation: str, times: int) -> None:
        limit = self._limit
        if times > limit.repeats:
            why = f"a loop: asked {times} times with the same arguments"
        elif self._calls > limit.calls_per_request:
            why = f"the request has used its {limit.calls_per_request} tool calls"
        else:
            why = f"{limit.calls_per_step} tool calls in a row brought nothing new"
        self._desk.mark("valve", DepthLimit.name, f"{operation} refused: {why}")
        raise BudgetExceeded(operation, why)
