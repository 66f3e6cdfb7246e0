"""What every valve must do, whoever wrote it; and the desk, the clock and the toolbox that valves are tested with.

Run it on a valve of your own: `check_valve(MyValve)`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pagerproof.model import Answer, Operation, Request
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.tools import (
    BadAnswer,
    Clock,
    Completion,
    ConnectionLost,
    Message,
    Model,
    Toolbox,
    ToolError,
    ToolResult,
    ToolTimeout,
    Valve,
)

T = TypeVar("T")
READ = "orders.Order.get"
WRITE = "payments.Refund.create"
CALLS_MAX = 100


def order(index: int = 1, **changed: object) -> dict[str, Any]:
    """An order as the order service answers it."""
    return {
        "order_id": f"45{index:08d}",
        "customer_id": "C000001",
        "email": "ann@example.org",
        "status": "shipped",
        "currency": "EUR",
        "total": "129.80",
        "items": [{"sku": "SKU-1042", "name": "Lamp", "quantity": 2, "price": "64.90"}],
        "payment_id": f"pay_{index:08d}",
        "billing_document": f"90{index:08d}",
        "sales_order": f"1{index:09d}",
        "eta": "2026-11-25",
        "address": {"street": "A 1", "city": "B", "postcode": "12345", "country": "DE"},
        **changed,
    }


def refund(**changed: object) -> dict[str, Any]:
    """A refund as the payment service answers it."""
    answer = {"refund_id": "re_1", "payment_id": "pay_00000001", "amount": "129.80", "currency": "EUR"}
    return {**answer, "status": "succeeded", **changed}


READ_ARGUMENTS = {"order_id": "4500000001"}
WRITE_ARGUMENTS = {"payment_id": "pay_00000001", "amount": "129.80", "currency": "EUR"}


def answer(body: object, status: int = 200, *, wire_bytes: int = -1, **headers: str) -> Answer:
    """An answer with a JSON body, or with these very bytes; header names are written with underscores."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"content-type": "application/json", **named}, content, wire_bytes)


class FakeClock:
    """Virtual time that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.slept: list[float] = []

    def now_s(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0.0
        self.slept.append(seconds)
        self.time_s += seconds
        await asyncio.sleep(0)


class FakeDesk:
    """A desk that remembers what was marked and noted."""

    def __init__(self, toolbox: Toolbox, *, index: int = 1, text: str = "", model: Model | None = None) -> None:
        self.request = Request(
            index=index,
            arrival_s=0.0,
            channel="chat",
            locale="en_US",
            customer_name="Ann Smith",
            customer_email="ann@example.org",
            text=text or f"I want my money back for order 45{index:08d}.",
        )
        self.operations: Mapping[str, Operation] = OPERATIONS
        self.tools: Toolbox = toolbox
        self.model: Model = model if model is not None else ScriptedModel([])
        self.virtual = FakeClock()
        self.clock: Clock = self.virtual
        self.marks: list[tuple[str, str, str]] = []
        self.notes: list[str] = []

    async def call(self, operation: str, /, **arguments: object) -> Any:
        return (await self.tools.call(operation, arguments)).data()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def mark(self, kind: str, name: str, detail: str = "") -> None:
        self.marks.append((kind, name, detail))

    def marked(self, name: str) -> list[str]:
        """The details of what this valve marked."""
        return [detail for _, marker, detail in self.marks if marker == name]


Scripted = Answer | BaseException | Callable[[Mapping[str, Any]], Answer]


class ScriptedToolbox:
    """Answers each operation from its script, in order; the last entry is repeated for ever."""

    def __init__(self, script: Mapping[str, Sequence[Scripted]], clock: FakeClock | None = None) -> None:
        self.script = {operation: list(entries) for operation, entries in script.items()}
        self.calls: list[dict[str, Any]] = []
        self.clock = clock
        self.takes_s = 0.0

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> ToolResult:
        self.calls.append(
            {
                "operation": operation,
                "arguments": dict(arguments),
                "timeout_s": timeout_s,
                "idempotency_key": idempotency_key,
                "attempt": attempt,
            }
        )
        assert len(self.calls) <= CALLS_MAX, "the calls do not end"
        await asyncio.sleep(0)
        if self.clock is not None:
            self.clock.time_s += self.takes_s
        entries = self.script[operation]
        entry = entries.pop(0) if len(entries) > 1 else entries[0]
        if isinstance(entry, BaseException):
            raise entry
        return ToolResult(operation, entry if isinstance(entry, Answer) else entry(arguments))

    def sent(self, operation: str) -> list[dict[str, Any]]:
        """The calls of this operation."""
        return [call for call in self.calls if call["operation"] == operation]


ScriptedWord = Completion | BaseException | Callable[[Sequence[Message]], Completion]


class ScriptedModel:
    """Says what its script says, in order; the last entry is repeated for ever."""

    def __init__(self, script: Sequence[ScriptedWord]) -> None:
        self.script = list(script)
        self.heard: list[list[Message]] = []
        self.timeouts_s: list[float | None] = []
        self.attempts: list[int] = []

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[str] = (),
        temperature: float = 0.0,
        max_tokens: int = 1024,
        timeout_s: float | None = None,
        attempt: int = 1,
    ) -> Completion:
        self.heard.append(list(messages))
        self.timeouts_s.append(timeout_s)
        self.attempts.append(attempt)
        assert len(self.heard) <= CALLS_MAX, "the conversation does not end"
        await asyncio.sleep(0)
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(entry, BaseException):
            raise entry
        return entry if isinstance(entry, Completion) else entry(messages)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    return asyncio.run(work)


def good_toolbox() -> ScriptedToolbox:
    """Reads any order and pays any refund, as asked."""
    return ScriptedToolbox(
        {
            READ: [lambda asked: answer(order(int(asked["order_id"][2:])))],
            WRITE: [lambda asked: answer(refund(**asked))],
            "payments.Refund.find": [lambda asked: answer({"payment_id": asked["payment_id"], "refunds": []})],
            "sap.Session.open": [answer({"d": {}})],
        }
    )


# --- the promises


def check_valve(make: Callable[[], Valve]) -> None:
    """Raise AssertionError where a valve made by `make` breaks a promise that every valve gives."""
    for promise in PROMISES:
        promise(make)


def it_has_a_name(make: Callable[[], Valve]) -> None:
    name = make().name
    assert isinstance(name, str), "a valve has a name: the trace shows it"
    assert name, "the name is empty"


def it_hands_a_healthy_call_through_and_stays_silent(make: Callable[[], Valve]) -> None:
    for operation, arguments in ((READ, READ_ARGUMENTS), (WRITE, WRITE_ARGUMENTS)):
        inner = good_toolbox()
        desk = FakeDesk(inner)
        given = dict(arguments)
        result = run(make().around(inner, desk).call(operation, given, timeout_s=7.0, attempt=2))
        assert result.ok, "a healthy answer was changed"
        assert len(inner.calls) == 1, f"one healthy call became {len(inner.calls)}"
        assert given == arguments, "the caller's arguments were changed"
        assert inner.calls[0]["arguments"] == arguments, "other arguments were sent"
        assert inner.calls[0]["timeout_s"] is not None, "the caller's time-out was dropped"
        assert inner.calls[0]["timeout_s"] <= 7.0, "the caller's time-out was prolonged"
        assert inner.calls[0]["attempt"] == 2, "the caller's count of attempts was dropped"
        assert desk.marks == [], "a valve that does nothing marks nothing"


def it_keeps_the_callers_idempotency_key(make: Callable[[], Valve]) -> None:
    inner = good_toolbox()
    run(make().around(inner, FakeDesk(inner)).call(WRITE, WRITE_ARGUMENTS, idempotency_key="mine"))
    assert [call["idempotency_key"] for call in inner.sent(WRITE)] == ["mine"]


def it_never_turns_a_failure_into_success(make: Callable[[], Valve]) -> None:
    for failure in (ToolTimeout(READ, "late"), ConnectionLost(READ, "gone"), BadAnswer(READ, "cut")):
        inner = ScriptedToolbox({READ: [failure]})
        try:
            result = run(make().around(inner, FakeDesk(inner)).call(READ, READ_ARGUMENTS))
        except ToolError:
            continue
        raise AssertionError(f"{type(failure).__name__} became {result}")


def it_never_turns_a_bad_status_into_a_good_one(make: Callable[[], Valve]) -> None:
    inner = ScriptedToolbox({READ: [answer({"error": {"code": "x", "message": "no"}}, 503)]})
    try:
        result = run(make().around(inner, FakeDesk(inner)).call(READ, READ_ARGUMENTS))
    except ToolError:
        return
    assert not result.ok, "HTTP 503 became a success"


def it_never_sends_an_unkeyed_write_twice(make: Callable[[], Valve]) -> None:
    inner = ScriptedToolbox(
        {
            WRITE: [ToolTimeout(WRITE, "late")],
            "payments.Refund.find": [answer({"payment_id": "pay_00000001", "refunds": []})],
        }
    )
    with suppress(ToolError):
        run(make().around(inner, FakeDesk(inner)).call(WRITE, WRITE_ARGUMENTS))
    keys = [call["idempotency_key"] for call in inner.sent(WRITE)]
    assert len(keys) == 1 or (None not in keys and len(set(keys)) == 1), "a write without a key was sent again"


def it_lets_cancellation_through(make: Callable[[], Valve]) -> None:
    inner = ScriptedToolbox({READ: [asyncio.CancelledError()]})

    async def cancelled() -> bool:
        try:
            await make().around(inner, FakeDesk(inner)).call(READ, READ_ARGUMENTS)
        except asyncio.CancelledError:
            return True
        return False

    assert run(cancelled()), "a cancelled call went on"
    assert len(inner.calls) == 1, "a cancelled call was made again"


def it_never_answers_one_customer_with_anothers_record(make: Callable[[], Valve]) -> None:
    valve = make()
    inner = good_toolbox()
    run(valve.around(inner, FakeDesk(inner, index=1)).call(READ, {"order_id": "4500000001"}))
    broken = ScriptedToolbox({READ: [ConnectionLost(READ, "gone")]})
    for _ in range(20):
        try:
            result = run(valve.around(broken, FakeDesk(broken, index=2)).call(READ, {"order_id": "4500000002"}))
        except ToolError:
            continue
        raise AssertionError(f"request 2 was given {result.text}")


def it_serves_two_requests_at_once(make: Callable[[], Valve]) -> None:
    valve = make()

    async def both() -> list[ToolResult]:
        toolboxes = [good_toolbox(), good_toolbox()]
        calls = [
            valve.around(toolbox, FakeDesk(toolbox, index=index)).call(READ, {"order_id": f"45{index:08d}"})
            for index, toolbox in enumerate(toolboxes, 1)
        ]
        return list(await asyncio.gather(*calls))

    answered = [result.json()["order_id"] for result in run(both())]
    assert answered == ["4500000001", "4500000002"], "the answers of two requests were mixed up"


PROMISES = (
    it_has_a_name,
    it_hands_a_healthy_call_through_and_stays_silent,
    it_keeps_the_callers_idempotency_key,
    it_never_turns_a_failure_into_success,
    it_never_turns_a_bad_status_into_a_good_one,
    it_never_sends_an_unkeyed_write_twice,
    it_lets_cancellation_through,
    it_never_answers_one_customer_with_anothers_record,
    it_serves_two_requests_at_once,
)
