"""A small stage for the simulated model: a clock of its own, hand-made truths, and an agent that only loops."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pagerproof.model import Answer, Customer, Expectation, Request, Step, Truth
from pagerproof.protocols import Call, Case
from pagerproof.rng import key_of
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.llm import LlmParameters, LlmService
from pagerproof.services.model_policy import Conversation, ModelPolicy
from pagerproof.services.model_rates import ModelRates

SYSTEM = "You are a contact center agent. Use the tools."
ALL_TOOLS = tuple(name for name in OPERATIONS if not name.startswith("llm."))
PERFECT = ModelRates()

CUSTOMER = Customer(
    customer_id="C000042",
    business_partner="1000000042",
    locale="en_US",
    name="Ada Byron",
    email="ada@example.com",
    phone="+15551234567",
    street="1 Analytical Way",
    city="Springfield",
    postcode="12345",
    country="US",
    tier="gold",
)


class FakeScheduler:
    """Virtual time on a heap."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers = 0
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def schedule(self, delay_s: float, callback: Callable[..., object], /, *args: object) -> Any:
        self.timers += 1
        heapq.heappush(self._heap, (self.now + delay_s, self.timers, callback, args))
        return None

    def run(self, until_s: float = 1e9) -> None:
        while self._heap and self._heap[0][0] <= until_s:
            self.now, _, callback, args = heapq.heappop(self._heap)
            callback(*args)
        if until_s < 1e9:
            self.now = until_s


class FakeWorld:
    """A world with a clock; its directory is nobody's business here."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.scheduler: Any = FakeScheduler()
        self.directory: Any = None


def step(operation: str, **arguments: str) -> Step:
    return Step(operation=operation, arguments=tuple(arguments.items()))


REFUND = (
    step("crm.Customer.find", email="$email"),
    step("orders.Order.get", order_id="$order_id"),
    step(
        "payments.Refund.create",
        payment_id="@orders.Order.get.payment_id",
        amount="@orders.Order.get.total",
        currency="@orders.Order.get.currency",
    ),
)
REFUND_ANSWERS = {
    "crm.Customer.find": '{"customer_id":"C000042","name":"Ada Byron","email":"ada@example.com"}',
    "orders.Order.get": '{"order_id":"4500000007","status":"delivered","customer_id":"C000042","currency":"USD",'
    '"payment_id":"pay_00000007","total":"129.80"}',
    "payments.Refund.create": '{"refund_id":"re_1","payment_id":"pay_00000007","amount":"129.80","currency":"USD",'
    '"status":"succeeded"}',
}
SAP = (
    step("sap.Session.open"),
    step("sap.SalesOrder.get", sales_order="$sales_order"),
    step("sap.CreditMemo.create", sales_order="$sales_order", amount="@sap.SalesOrder.get.d.TotalNetAmount",
         currency="@sap.SalesOrder.get.d.TransactionCurrency", reason="wrong invoice"),
)  # fmt: skip
SAP_ANSWERS = {
    "sap.Session.open": '{"d":{}}',
    "sap.SalesOrder.get": '{"d":{"SalesOrder":"1000000007","TotalNetAmount":"77.50","TransactionCurrency":"EUR"}}',
    "sap.CreditMemo.create": '{"d":{"CreditMemoRequest":"60000001","TotalNetAmount":"77.50"}}',
}
BOOKING = (
    step("crm.Customer.find", email="$email"),
    step("crm.Appointment.slots", customer_id="@crm.Customer.find.customer_id"),
    step("crm.Appointment.book", customer_id="@crm.Customer.find.customer_id", slot="@crm.Appointment.slots.slots.1"),
)
BOOKING_ANSWERS = {
    **REFUND_ANSWERS,
    "crm.Appointment.slots": '{"customer_id":"C000042","slots":["2026-11-25T09:00","2026-11-26T10:00"]}',
    "crm.Appointment.book": '{"appointment_id":"ap_9","slot":"2026-11-26T10:00"}',
}
RESERVE = (
    step("inventory.Stock.get", sku="$sku"),
    step("inventory.Stock.reserve", sku="$sku", quantity="2", order_id="$order_id"),
)
RESERVE_ANSWERS = {
    "inventory.Stock.get": '{"sku":"SKU-1042","available":7,"plant":"1010"}',
    "inventory.Stock.reserve": '{"reservation_id":"rs_1","sku":"SKU-1042","quantity":2}',
}
SLOTS = {"email": CUSTOMER.email, "order_id": "4500000007", "sales_order": "1000000007", "sku": "SKU-1042"}
TEXT = "Please refund order 4500000007 (sales order 1000000007, SKU-1042)."


def make_case(
    path: tuple[Step, ...] = REFUND,
    *,
    index: int = 7,
    difficulty: float = 0.0,
    decline: bool = False,
    told: tuple[str, ...] = (),
    text: str = TEXT,
    slots: Mapping[str, str] | None = None,
    intents: tuple[str, ...] = ("refund",),
) -> Case:
    request = Request(
        index=index,
        arrival_s=0.0,
        channel="chat",
        locale="en_US",
        customer_name=CUSTOMER.name,
        customer_email=CUSTOMER.email,
        text=text,
    )
    truth = Truth(
        customer=CUSTOMER,
        intents=intents,
        slots=SLOTS if slots is None else slots,
        path=path,
        expectation=Expectation(decline=decline, told=told),
        difficulty=difficulty,
        patience_s=240.0,
        deadline_s=180.0,
    )
    return Case(request, truth)


def opening(text: str = TEXT, system: str = SYSTEM) -> list[dict[str, Any]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def tool_says(operation: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "name": operation, "content": content}


@dataclass
class Ending:
    """What came of a loop: each move, the calls made, and the last text."""

    behaviours: list[str] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    text: str = ""


def loop(
    case: Case,
    answers: Mapping[str, str | Sequence[str]],
    *,
    seed: int = 1,
    temperature: float = 0.0,
    rates: ModelRates = PERFECT,
    tools: tuple[str, ...] = ALL_TOOLS,
    streams: int = 1,
    rounds_max: int = 40,
    messages: list[dict[str, Any]] | None = None,
) -> Ending:
    """Carry every call out with canned answers (the last of a list holds on) until the model ends or rounds run out."""
    policy = ModelPolicy(seed, rates)
    messages = opening(case.request.text) if messages is None else messages
    ending = Ending()
    had: dict[str, int] = {}
    for _ in range(rounds_max):
        said = Conversation(messages)
        move, _key = policy.next_move(case, said, tools=tools, temperature=temperature, streams=streams)
        ending.behaviours.append(move.behaviour)
        ending.text = move.text
        if not move.tool:
            messages.append({"role": "assistant", "content": move.text})
            if move.text.startswith(("DONE:", "CANNOT:", "DECLINE:")):
                return ending
            continue
        try:
            arguments = json.loads(move.arguments)
        except ValueError:
            arguments = {}
        ending.calls.append((move.tool, arguments))
        canned = answers.get(move.tool, "ERROR unknown tool")
        if not isinstance(canned, str):
            at = had.get(move.tool, 0)
            had[move.tool] = at + 1
            canned = canned[min(at, len(canned) - 1)]
        call = {"id": "c", "type": "function", "function": {"name": move.tool, "arguments": move.arguments}}
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        messages.append(tool_says(move.tool, canned))
    return ending


class Desk:
    """The service behind a counter: asks it and runs the clock."""

    def __init__(self, seed: int = 1, **parameters: Any) -> None:
        self.world = FakeWorld(seed)
        self.service = LlmService(LlmParameters(**parameters))
        self.service.open(self.world)
        self.numbers = 0

    @property
    def clock(self) -> FakeScheduler:
        clock: FakeScheduler = self.world.scheduler
        return clock

    def call(self, case: Case, messages: Any = None, **arguments: Any) -> Call:
        self.numbers += 1
        full = {"messages": opening() if messages is None else messages, **arguments}
        key = key_of(self.world.seed, case.index, self.numbers)
        operation = OPERATIONS["llm.Chat.create"]
        return Call(case, operation, full, self.numbers, 1, key, self.clock.time(), None, None)

    def submit(self, call: Call) -> list[tuple[float, Answer | None]]:
        answers: list[tuple[float, Answer | None]] = []
        self.service.submit(call, lambda answer: answers.append((self.clock.time(), answer)))
        return answers

    def ask(self, case: Case, messages: Any = None, **arguments: Any) -> Answer:
        answers = self.submit(self.call(case, messages, **arguments))
        self.clock.run()
        ((_, answer),) = answers
        assert answer is not None
        return answer


def message_of(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(answer.body)["choices"][0]["message"]
    return message
