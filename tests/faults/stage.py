"""A stage for faults: a tiny service per name, a toolbox around an injector, and the simulated loop under both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from pagerproof.faults import FaultInjector
from pagerproof.faults.wire import received
from pagerproof.kernel import SimulationLoop
from pagerproof.model import Answer, Customer, Expectation, LedgerEntry, Operation, Request, Truth
from pagerproof.protocols import Call, Case, Decision, Respond, Scheduler
from pagerproof.rng import key_of
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.load import load_file
from pagerproof.scenario.schema import FaultUse
from pagerproof.services.catalogue import OPERATIONS, operations_of
from pagerproof.tools import ConnectionLost, ToolError, ToolTimeout

T = TypeVar("T")

MODELS_FOLDER = Path(__file__).resolve().parents[2] / "fault_models"
SERVICES = ("crm", "orders", "inventory", "payments", "kb", "sap", "llm")
SERVICE_S = 0.2

CUSTOMER = Customer(
    customer_id="C000042",
    business_partner="1000000042",
    locale="de_DE",
    name="Jörg Müller",
    email="joerg@example.com",
    phone="+49 30 0100",
    street="Hauptstraße 1",
    city="Köln",
    postcode="50667",
    country="DE",
    tier="gold",
)


def shipped_models() -> dict[str, FaultModel]:
    """Every shipped fault model by its id."""
    files = sorted(MODELS_FOLDER.glob("*.yaml"))
    return {path.stem: load_file(path, FaultModel).value for path in files}


def case(index: int) -> Case:
    """A request with this index and nothing in it."""
    request = Request(
        index=index, arrival_s=0.0, channel="chat", locale="de_DE", customer_name="", customer_email="", text="hello"
    )
    truth = Truth(
        customer=CUSTOMER,
        intents=("refund",),
        slots={},
        path=(),
        expectation=Expectation(),
        difficulty=0.1,
        patience_s=600.0,
        deadline_s=600.0,
    )
    return Case(request, truth)


def call_of(
    a_case: Case,
    operation: str,
    *,
    started_s: float = 0.0,
    timeout_s: float | None = None,
    arguments: Mapping[str, Any] | None = None,
    occurrence: int = 0,
) -> Call:
    """The next call of a request, with the key that its place gives it."""
    a_case.calls += 1
    known = OPERATIONS[operation]
    return Call(
        a_case,
        known,
        arguments if arguments is not None else dict.fromkeys(known.arguments, "1000010001"),
        a_case.calls,
        1,
        key_of(1, a_case.index, operation, occurrence),
        started_s,
        timeout_s,
        None,
    )


class TinyService:
    """Answers every operation after `SERVICE_S` and keeps what it was asked to do; knows every disturbance."""

    def __init__(self, name: str, scheduler: Scheduler) -> None:
        self.name = name
        self.operations: Mapping[str, Operation] = operations_of(name)
        self.levels: dict[str, float] = dict.fromkeys(_GAUGES, 0.0)
        self.levels.update({f"documents.{each.effect_kind}": 0.0 for each in self.operations.values() if each.writes})
        self.committed: list[str] = []
        self.state: list[tuple[str, object]] = []
        self.abandoned = 0
        self._scheduler = scheduler
        self._disturbed: dict[Call, dict[str, Any]] = {}

    def open(self, world: Any) -> None:
        """Nothing to open."""

    def submit(self, call: Call, respond: Respond) -> None:
        call.case.work_began()
        self.levels["calls.total"] += 1
        wanted = self._disturbed.pop(call, {})
        self._scheduler.schedule(SERVICE_S + wanted.get("extra_service_s", 0.0), self._finish, call, respond, wanted)

    def _finish(self, call: Call, respond: Respond, wanted: dict[str, Any]) -> None:
        answer: Answer = wanted.get("fail_before") or self._work(call, wanted)
        respond(answer)
        call.case.work_ended()

    def _work(self, call: Call, wanted: dict[str, Any]) -> Answer:
        for name in ("hold_worker_s", "lock_s", "forget_idempotency", "leak_connection", "temperature_shift"):
            if name in wanted:
                self.state.append((name, wanted[name]))
        if wanted.get("expire_session"):
            return Answer(403, {"x-csrf-token": "Required"}, b"CSRF token validation failed")
        if call.operation.writes and wanted.get("commit", True):
            self.committed += [call.operation.full_name] * (2 if wanted.get("twice") else 1)
            call.case.effects.append(_entry(call, self._scheduler.time()))
        document = _chat_body(call) if self.name == "llm" else _document(self.name)
        if wanted.get("stale"):
            document["version"] = "before"
        if wanted.get("record_of"):
            document["customer_id"] = "C000099"
        if wanted.get("behaviour"):
            document["choices"][0]["message"]["content"] = wanted["behaviour"]
        return Answer(200, {"content-type": "application/json"}, orjson.dumps(document))

    def abandon(self, call: Call) -> None:
        self.abandoned += 1
        self.levels["calls.abandoned"] += 1

    def gauge(self, name: str) -> float:
        return self.levels[name]

    def gauges(self) -> Sequence[str]:
        return tuple(self.levels)

    def disturb(self, call: Call, name: str, value: object) -> None:
        if name not in self.disturbances():
            raise KeyError(name)
        self._disturbed.setdefault(call, {})[name] = value

    def disturbances(self) -> Sequence[str]:
        return _DISTURBANCES + (("behaviour", "temperature_shift") if self.name == "llm" else ())


_GAUGES = (
    "calls.total",
    "calls.abandoned",
    "pool.in_use",
    "pool.queued",
    "connections.leaked",
    "locks.held",
    "idempotency.entries",
    "session.age_s",
    "cache.age_s",
)
_DISTURBANCES = (
    "commit",
    "fail_before",
    "extra_service_s",
    "hold_worker_s",
    "twice",
    "forget_idempotency",
    "stale",
    "record_of",
    "lock_s",
    "leak_connection",
    "expire_session",
)


def _entry(call: Call, time_s: float) -> LedgerEntry:
    return LedgerEntry(
        service=call.operation.service,
        kind=call.operation.effect_kind,
        document="1",
        entity="1",
        customer_id="C000042",
        index=call.case.index,
        call=call.number,
        time_s=time_s,
    )


def _document(service: str) -> dict[str, Any]:
    if service == "sap":
        return {"d": {"SalesOrder": "1000010001", "TotalNetAmount": "129.80", "SoldToParty": "Jörg Müller"}}
    return {
        "order_id": "4500010001",
        "customer_id": "C000042",
        "payment_id": "pay_00010001",
        "name": "Jörg Müller",
        "total": "129.80",
        "amount": "129.80",
        "available": 12,
        "items": [{"sku": "SKU-1042", "quantity": 2, "price": "64.90"}],
        "rule": "Items may be returned within 30 days.",
        "days": 30,
    }


def _chat_body(call: Call) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": orjson.dumps({"approved": True, "why": ""}).decode()}
    tools = call.arguments.get("tools")
    if tools and tools != ["finished"]:
        function = {"name": "orders.Order.get", "arguments": '{"order_id": "4500010001"}'}
        message = {"role": "assistant", "content": None}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    elif tools:
        message["content"] = "DONE: your refund is on its way."
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": {}}


ACT: Mapping[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "tools": ["orders.Order.get"]}
FINISHED: Mapping[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "tools": ["finished"]}
VERIFY: Mapping[str, Any] = {"messages": [{"role": "system", "content": "Verify the reply."}]}


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the agent's side got from one call."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    wire_bytes: int = 0
    error: str = ""
    elapsed_s: float = 0.0


class Stage:
    """Services, an injector and a loop; use as a context manager."""

    def __init__(
        self,
        uses: Sequence[FaultUse],
        models: Mapping[str, FaultModel],
        *,
        seed: int = 1,
        requests: int | None = None,
        forced: Mapping[int, Sequence[tuple[str, str, int]]] | None = None,
        connections: bool = False,
    ) -> None:
        self.loop = SimulationLoop()
        self.services = {name: TinyService(name, self.loop) for name in SERVICES}
        try:
            self.injector = FaultInjector(
                models,
                uses,
                seed=seed,
                services=self.services,
                scheduler=self.loop,
                operations=OPERATIONS,
                requests=requests,
                forced=forced,
                connections=connections,
            )
        except BaseException:
            self.loop.close()
            raise

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def call(
        self,
        a_case: Case,
        operation: str,
        *,
        timeout_s: float | None = None,
        arguments: Mapping[str, Any] | None = None,
        occurrence: int = 0,
        read: bool = True,
    ) -> Seen:
        """Carry out one call as the boundary does, and say what the agent saw of it."""
        began = self.loop.time()
        call = call_of(
            a_case, operation, started_s=began, timeout_s=timeout_s, arguments=arguments, occurrence=occurrence
        )
        decisions = self.injector.decide(call)
        seen = Seen()
        try:
            async with asyncio.timeout(timeout_s):
                if decisions is None:
                    answer = await self.proceed(call)
                else:
                    answer = await self.injector.exchange(call, decisions, self.proceed)
                    answer = await received(operation, answer)
        except ToolTimeout:
            seen.error = "ToolTimeout"
        except TimeoutError:
            seen.error = "client time-out"
        except ToolError as error:
            seen.error = type(error).__name__
        else:
            seen.status, seen.headers, seen.body = answer.status, answer.headers, answer.body
            seen.wire_bytes = answer.wire_bytes
            if read:
                _mark_read(decisions or [])
        seen.elapsed_s = round(self.loop.time() - began, 9)
        return seen

    async def proceed(self, call: Call) -> Answer:
        future: asyncio.Future[Answer | None] = self.loop.create_future()

        def respond(answer: Answer | None) -> None:
            if not future.done():
                future.set_result(answer)

        service = self.services[call.operation.service]
        service.submit(call, respond)
        try:
            answer = await future
        except asyncio.CancelledError:
            call.abandoned = True
            service.abandon(call)
            raise
        if answer is None:
            raise ConnectionLost(call.operation.full_name, "the connection broke")
        return answer


def _mark_read(decisions: Sequence[Decision]) -> None:
    for decision in decisions:
        if decision.fate == "delivered" and decision.observable == "result":
            decision.seen = True


def model(
    fault: str = "a-fault",
    *,
    service: object = "orders",
    effect: Sequence[object] = ({"delay": {"for": "1s"}},),
    trigger: Mapping[str, Any] | None = None,
    limits: object = "none",
    **more: Any,
) -> FaultModel:
    """A fault model with these parts, striking always unless told otherwise."""
    target = more.pop("target", {"service": service})
    return FaultModel.model_validate(
        {
            "schema": "pagerproof/fault-model/1",
            "id": fault,
            "title": "a fault",
            "cites": [{"supports": "everything", "evidence": "assumed"}],
            "target": target,
            "trigger": dict(trigger) if trigger is not None else {"probability": 1.0},
            "effect": list(effect),
            "limits": limits,
            "expect": {},
            **more,
        }
    )


def stage_for(*models: FaultModel, uses: Sequence[FaultUse] = (), **more: Any) -> Stage:
    """A stage on which these models are used, each once, unless `uses` says otherwise."""
    named = {each.id: each for each in models}
    return Stage(uses or [FaultUse(use=each) for each in named], named, **more)


Work = Callable[[Stage], Coroutine[Any, Any, T]]
