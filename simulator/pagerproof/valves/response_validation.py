"""Response validation: a good status is no proof; the body must be whole, be JSON, and answer what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pagerproof.tools import BadAnswer, Desk, Toolbox, ToolResult
from pagerproof.valves.answers import SHAPES, Shape


class ResponseValidation:
    """Raises BadAnswer for a 2xx answer that was cut, is not JSON, lacks a field, or is about something else.

    Other statuses pass as they are: they claim nothing. `shapes` says what each operation must answer (by default
    our services' operations); of one that is not named only complete JSON is asked.
    """

    name = "response_validation"

    def __init__(self, shapes: Mapping[str, Shape] = SHAPES) -> None:
        self.shapes = shapes

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        """Return `toolbox` with its good answers checked."""
        return _Validated(self.shapes, toolbox, desk)


class _Validated:
    __slots__ = ("_desk", "_inner", "_shapes")

    def __init__(self, shapes: Mapping[str, Shape], inner: Toolbox, desk: Desk) -> None:
        self._shapes = shapes
        self._inner = inner
        self._desk = desk

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> ToolResult:
        result = await self._inner.call(
            operation, arguments, timeout_s=timeout_s, idempotency_key=idempotency_key, attempt=attempt
        )
        if 200 <= result.status < 300 and result.status != 204:
            fault = self._fault(operation, arguments, result)
            if fault:
                self._desk.mark("valve", ResponseValidation.name, f"{operation}: {fault}")
                raise BadAnswer(operation, fault, status=result.status, body=result.body)
        return result

    def _fault(self, operation: str, arguments: Mapping[str, Any], result: ToolResult) -> str:
        arrived_bytes = len(result.body)
        if arrived_bytes != result.wire_bytes:
            return f"cut: {arrived_bytes} of {result.wire_bytes} bytes arrived"
        try:
            data = result.strict_json()
        except ValueError as error:
            return f"not JSON: {error}"
        expected = self._shapes.get(operation)
        return expected.fault(arguments, data) if expected is not None else ""
