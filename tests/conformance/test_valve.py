"""The built-in valves, and some that break a promise each, against the suite that every valve must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.conformance.valve import answer, check_valve, order

from pagerproof.model import Answer
from pagerproof.tools import Desk, Toolbox, ToolError, ToolResult, Valve
from pagerproof.valves import BUILTIN_VALVES


@pytest.mark.parametrize("name", BUILTIN_VALVES)
def test_a_built_in_valve_keeps_every_promise(name: str) -> None:
    check_valve(BUILTIN_VALVES[name])


@pytest.mark.parametrize("name", BUILTIN_VALVES)
def test_a_built_in_valve_is_registered_by_its_name(name: str) -> None:
    assert BUILTIN_VALVES[name]().name == name


class Through:
    """A valve that does nothing, to be broken in one place each."""

    name = "through"

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        self.toolbox = toolbox
        self.desk = desk
        return self

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> ToolResult:
        return await self.toolbox.call(
            operation, arguments, timeout_s=timeout_s, idempotency_key=idempotency_key, attempt=attempt
        )


class Nameless(Through):
    name = ""


class Talkative(Through):
    async def call(self, operation: str, arguments: Mapping[str, Any], **rest: Any) -> ToolResult:
        self.desk.mark("valve", self.name, "here I am")
        return await super().call(operation, arguments, **rest)


class DropsKeys(Through):
    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, idempotency_key: str | None = None, **rest: Any
    ) -> ToolResult:
        return await super().call(operation, arguments, **rest)


class Swallows(Through):
    async def call(self, operation: str, arguments: Mapping[str, Any], **rest: Any) -> ToolResult:
        try:
            return await super().call(operation, arguments, **rest)
        except ToolError:
            return ToolResult(operation, answer({}))


class Whitewashes(Through):
    async def call(self, operation: str, arguments: Mapping[str, Any], **rest: Any) -> ToolResult:
        result = await super().call(operation, arguments, **rest)
        return ToolResult(operation, Answer(200, result.headers, result.body))


class RetriesEverything(Through):
    async def call(self, operation: str, arguments: Mapping[str, Any], **rest: Any) -> ToolResult:
        try:
            return await super().call(operation, arguments, **rest)
        except ToolError:
            return await super().call(operation, arguments, **rest)


class RetriesCancelled(Through):
    async def call(self, operation: str, arguments: Mapping[str, Any], **rest: Any) -> ToolResult:
        try:
            return await super().call(operation, arguments, **rest)
        except BaseException:
            return await super().call(operation, arguments, **rest)


class CachesByOperation(Through):
    last: ToolResult | None = None

    async def call(self, operation: str, arguments: Mapping[str, Any], **rest: Any) -> ToolResult:
        try:
            self.last = await super().call(operation, arguments, **rest)
        except ToolError:
            if self.last is None:
                raise
        assert self.last is not None
        return self.last


class AnswersFromItsSleeve(Through):
    async def call(self, operation: str, arguments: Mapping[str, Any], **rest: Any) -> ToolResult:
        await super().call(operation, arguments, **rest)
        return ToolResult(operation, answer(order(1)))


class SharesOneToolbox(Through):
    """Keeps one request's toolbox for all."""

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        if not hasattr(self, "toolbox"):
            super().around(toolbox, desk)
        return self


_BROKEN = (
    Nameless,
    Talkative,
    DropsKeys,
    Swallows,
    Whitewashes,
    RetriesEverything,
    RetriesCancelled,
    CachesByOperation,
    AnswersFromItsSleeve,
    SharesOneToolbox,
)


def test_a_valve_that_does_nothing_keeps_every_promise() -> None:
    class Fresh:
        name = "fresh"

        def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
            return toolbox

    check_valve(Fresh)


@pytest.mark.parametrize("make", _BROKEN, ids=lambda make: make.__name__)
def test_a_valve_that_breaks_a_promise_is_found(make: Callable[[], Valve]) -> None:
    with pytest.raises((AssertionError, ToolError)):
        check_valve(make)
