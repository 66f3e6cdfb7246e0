"""What every service must do, whoever wrote it; and the small world that services are tested in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any

from pagerproof.events import LEDGER
from pagerproof.model import Answer, Customer, Expectation, Request, Truth
from pagerproof.protocols import Call, Case, Directory, Scheduler, Service
from pagerproof.rng import key_of
from pagerproof.services.catalogue import OPERATIONS


class Timer:
    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """A scheduler that runs when told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue: list[tuple[float, int, Timer]] = []
        self.numbers = count()

    def time(self) -> float:
        return self.now

    def schedule(self, delay_s: float, callback: Callable[..., object], /, *args: object) -> Timer:
        assert delay_s >= 0.0
        timer = Timer(callback, args)
        heappush(self.queue, (self.now + delay_s, next(self.numbers), timer))
        return timer

    def run(self, until_s: float = float("inf")) -> None:
        while self.queue and self.queue[0][0] <= until_s:
            self.now, _, timer = heappop(self.queue)
            if timer.callback is not None:
                timer.callback(*timer.args)
        if until_s < float("inf"):
            self.now = until_s


class SmallWorld:
    """A seed, a clock and a directory of ten customers with an order at every index; implements World and Directory."""

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed
        self.clock = ManualClock()
        self.scheduler: Scheduler = self.clock
        self.directory: Directory = self

    def customer(self, customer_id: str) -> Customer | None:
        number = customer_id[1:]
        if customer_id[:1] != "C" or len(number) != 6 or not number.isdecimal() or not 1 <= int(number) <= 10:
            return None
        return Customer(
            customer_id=customer_id,
            business_partner=f"10{int(number):08d}",
            locale="en_US",
            name=f"Ada {number}",
            email=f"ada{int(number)}@example.com",
            phone="+1 555 0100",
            street=f"{int(number)} Mill Lane",
            city="Springfield",
            postcode=f"{int(number):05d}",
            country="US",
            tier="gold",
        )

    def customer_by_email(self, email: str) -> Customer | None:
        name, _, host = email.partition("@")
        known = host == "example.com" and name[:3] == "ada" and name[3:].isdecimal()
        return self.customer(f"C{int(name[3:]):06d}") if known else None

    def product(self, sku: str) -> dict[str, Any] | None:
        kind, _, number = sku.partition("-")
        if kind not in ("SKU", "MAT") or number not in ("1001", "1002", "1003"):
            return None
        return {
            "sku": f"SKU-{number}",
            "name": f"Lamp {number}",
            "material": f"MAT-{number}",
            "price": "64.90",
            "currency": "EUR",
            "plant": "1010",
            "stock": 120,
        }

    def order(self, order_id: str) -> dict[str, Any] | None:
        index = _index_of(order_id)
        if index < 1 or (order_id.endswith("b") and index % 2):
            return None
        customer = self.customer(f"C{index % 10 + 1:06d}")
        assert customer is not None
        payment_id = f"pay_{index:08d}"
        payments = [{"payment_id": payment_id, "amount": "129.80", "status": "captured"}]
        if index % 2 == 0:
            payments.append({"payment_id": payment_id + "b", "amount": "129.80", "status": "captured"})
        return {
            "order_id": f"45{index:08d}",
            "sales_order": f"1{index:09d}",
            "payment_id": payment_id,
            "billing_document": f"90{index:08d}",
            "customer_id": customer.customer_id,
            "business_partner": customer.business_partner,
            "status": ("open", "processing", "shipped", "delivered", "cancelled")[index % 5],
            "currency": "EUR",
            "total": "129.80",
            "items": [
                {"sku": "SKU-1001", "name": "Lamp 1001", "material": "MAT-1001", "quantity": 2, "price": "64.90"}
            ],
            "payments": payments,
            "carrier": "DHL",
            "tracking": "1Z0000000001",
            "placed_on": "2026-10-03",
            "eta": "2026-11-25",
            "delivery_block": "01",
            "billed_amount": "149.80",
            "plan": "plus",
            "points": 1200,
            "street": customer.street,
            "city": customer.city,
            "postcode": customer.postcode,
            "country": customer.country,
        }


def _index_of(document: str) -> int:
    for prefix, width in (("pay_", 8), ("45", 8), ("90", 8), ("1", 9)):
        number = document[len(prefix) :].removesuffix("b")
        if document.startswith(prefix) and len(number) == width and number.isdecimal():
            return int(number)
    return 0


def make_case(index: int = 5) -> Case:
    """A case of somebody whose order is that of `index`."""
    customer = SmallWorld().customer(f"C{index % 10 + 1:06d}")
    assert customer is not None
    request = Request(
        index=index,
        arrival_s=0.0,
        channel="chat",
        locale="en_US",
        customer_name=customer.name,
        customer_email=customer.email,
        text="Hello",
    )
    truth = Truth(
        customer=customer,
        intents=("order_status",),
        slots={},
        path=(),
        expectation=Expectation(),
        difficulty=0.0,
        patience_s=240.0,
        deadline_s=180.0,
    )
    return Case(request, truth)


class Asked:
    """One call and everything it was answered: `answers` holds None where the connection broke."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.answers: list[Answer | None] = []
        self.at_s: list[float] = []

    @property
    def answer(self) -> Answer:
        assert len(self.answers) == 1, f"answered {len(self.answers)} times"
        answer = self.answers[0]
        assert answer is not None, "the connection broke"
        return answer

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def data(self) -> Any:
        return json.loads(self.answer.body)


class Bench:
    """A service opened in the small world, and how to call it."""

    def __init__(self, service: Service, seed: int = 7) -> None:
        self.world = SmallWorld(seed)
        self.clock = self.world.clock
        self.service = service
        service.open(self.world)
        self.case = make_case()

    def submit(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        case: Case | None = None,
        key: str | None = None,
        disturb: Mapping[str, object] | None = None,
    ) -> Asked:
        """Send a call and do not wait."""
        case = case or self.case
        case.calls += 1
        call = Call(
            case,
            self.service.operations[operation],
            arguments,
            case.calls,
            1,
            key_of(self.world.seed, case.index, case.calls, operation),
            self.clock.now,
            None,
            key,
        )
        for name, value in (disturb or {}).items():
            self.service.disturb(call, name, value)
        asked = Asked(call)

        def respond(answer: Answer | None) -> None:
            asked.answers.append(answer)
            asked.at_s.append(self.clock.now)

        self.service.submit(call, respond)
        return asked

    def ask(self, operation: str, arguments: Mapping[str, Any], **more: Any) -> Asked:
        """Send a call and run until nothing is left to do."""
        asked = self.submit(operation, arguments, **more)
        self.clock.run()
        return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A call that must succeed on a fresh service."""

    operation: str
    arguments: Mapping[str, Any]
    kinds: tuple[str, ...] | None = None  # what it writes, where that is not one entry of the operation's kind


def check_service(make: Callable[[], Service], samples: Sequence[Sample]) -> None:
    """Raise AssertionError where the service breaks a promise of `pagerproof.protocols.Service`.

    `samples` name every operation at least once.
    """
    names = {sample.operation for sample in samples}
    missing = set(make().operations) ^ names
    assert missing <= _AFTER_OTHERS, f"no sample for {missing}"
    for sample in samples:
        _check_one_call(make, sample)
        _check_abandoned(make, sample)
        _check_broken_arguments(make, sample)
    _check_repeats(make, samples)
    _check_names(make, samples[0])


def _check_one_call(make: Callable[[], Service], sample: Sample) -> None:
    bench = Bench(make())
    operation = bench.service.operations[sample.operation]
    idle: list[float] = []
    bench.case.on_idle = lambda: idle.append(bench.clock.now)
    asked = bench.submit(sample.operation, sample.arguments)
    assert asked.answers == [], f"{sample.operation} answered before virtual time went on"
    assert bench.case.pending == 1, "submit must call work_began"
    bench.clock.run()
    assert 200 <= asked.status < 300, f"{sample.operation}: {asked.answer!r}"
    assert bench.case.pending == 0, "work_ended must balance work_began"
    assert len(idle) == 1
    assert asked.at_s[0] > 0.0, "an answer takes time"
    assert asked.answer.wire_bytes == len(asked.answer.body)
    assert all(name == name.lower() for name in asked.answer.headers)
    if "json" in asked.answer.headers.get("content-type", ""):
        json.loads(asked.answer.body)
    _check_ledger(bench.case)
    written = [effect.kind for effect in bench.case.effects]
    usual = (operation.effect_kind,) if operation.writes else ()
    assert tuple(written) == (usual if sample.kinds is None else sample.kinds), f"{sample.operation} wrote {written}"


def _check_ledger(case: Case) -> None:
    logged = [event for event in case.log if event[1] == LEDGER]
    assert [(event[0], event[2], event[3]) for event in logged] == [
        (effect.time_s, f"{effect.service}.{effect.kind}", effect.call) for effect in case.effects
    ]
    for event, effect in zip(logged, case.effects, strict=True):
        assert event[5].startswith(f"{effect.document} {effect.entity}")
        assert effect.index == case.index


def _check_abandoned(make: Callable[[], Service], sample: Sample) -> None:
    bench = Bench(make())
    asked = bench.submit(sample.operation, sample.arguments)
    asked.call.abandoned = True
    bench.service.abandon(asked.call)
    assert asked.answers == [], "abandon must not answer from within"
    bench.clock.run()
    assert len(asked.answers) == 1, "respond exactly once, also when nobody waits any more"
    assert bench.case.pending == 0
    bench.service.abandon(asked.call)  # too late: without effect
    bench.clock.run()
    assert len(asked.answers) == 1


def _check_broken_arguments(make: Callable[[], Service], sample: Sample) -> None:
    operation = make().operations[sample.operation]
    for name in operation.arguments:
        if name in operation.optional:
            continue
        for broken in (
            {key: value for key, value in sample.arguments.items() if key != name},
            {**sample.arguments, name: {"not": ["of", "this", "type"]}},
            {**sample.arguments, name: None},
        ):
            bench = Bench(make())
            asked = bench.ask(sample.operation, broken)
            assert asked.status in (400, 422), f"{sample.operation} without a usable {name}: {asked.answer!r}"
            assert name.encode() in asked.answer.body, f"the error must name {name}: {asked.answer.body!r}"
            assert bench.case.effects == []


def _check_repeats(make: Callable[[], Service], samples: Sequence[Sample]) -> None:
    def run() -> list[object]:
        bench = Bench(make())
        cases = [make_case(index) for index in (5, 6, 10)]
        asked = [bench.submit(sample.operation, sample.arguments, case=case) for case in cases for sample in samples]
        bench.clock.run()
        return [(each.at_s, [repr(answer) for answer in each.answers]) for each in asked] + [
            [case.log, case.effects] for case in cases
        ]

    assert run() == run(), "the same calls must give the same answers at the same times"


def _check_names(make: Callable[[], Service], sample: Sample) -> None:
    bench = Bench(make())
    bench.ask(sample.operation, sample.arguments)
    for name in bench.service.gauges():
        assert isinstance(bench.service.gauge(name), float), f"gauge {name} is no float"
    for refused in (lambda: bench.service.gauge("no.such.gauge"), lambda: _disturb_wrongly(bench, sample)):
        try:
            refused()
        except KeyError:
            continue
        raise AssertionError("an unknown name must raise KeyError")


def _disturb_wrongly(bench: Bench, sample: Sample) -> None:
    bench.submit(sample.operation, sample.arguments, disturb={"no such disturbance": True})


ADDRESS = {"street": "1 New Road", "city": "Shelbyville", "postcode": "99999", "country": "US"}
CUSTOMER = {"customer_id": "C000006"}
ORDER = {"order_id": "4500000005"}
SALES_ORDER = {"sales_order": "1000000005"}
PARTNER = {"business_partner": "1000000006"}
_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "crm.Customer.find": {"email": "ada6@example.com"},
    "crm.Customer.get": CUSTOMER,
    "crm.Customer.verify": {**CUSTOMER, "postcode": "00006"},
    "crm.Customer.update_address": {**CUSTOMER, **ADDRESS},
    "crm.Customer.update_contact": {**CUSTOMER, "field": "phone", "value": "+1 555 0199"},
    "crm.Password.reset": CUSTOMER,
    "crm.Subscription.get": CUSTOMER,
    "crm.Subscription.change": {**CUSTOMER, "plan": "premium"},
    "crm.Subscription.cancel": CUSTOMER,
    "crm.Appointment.slots": CUSTOMER,
    "crm.Appointment.book": {**CUSTOMER, "slot": "2026-11-25T09:00"},
    "crm.Loyalty.get": CUSTOMER,
    "crm.Ticket.create": {**CUSTOMER, "topic": "late delivery"},
    "crm.Note.create": {**CUSTOMER, "text": "called twice"},
    "orders.Order.get": ORDER,
    "orders.Order.list": CUSTOMER,
    "orders.Order.cancel": ORDER,
    "orders.Order.change_address": {**ORDER, **ADDRESS},
    "orders.Order.change_item": {**ORDER, "sku": "SKU-1001", "new_sku": "SKU-1002"},
    "orders.Shipment.track": ORDER,
    "orders.Return.create": {**ORDER, "sku": "SKU-1001", "reason": "too big"},
    "orders.Return.find": ORDER,
    "orders.Exchange.create": {**ORDER, "sku": "SKU-1001", "new_sku": "SKU-1003"},
    "inventory.Product.get": {"sku": "SKU-1001"},
    "inventory.Stock.get": {"sku": "SKU-1001"},
    "inventory.Stock.reserve": {"sku": "SKU-1001", "quantity": 2, **ORDER},
    "payments.Payment.get": {"payment_id": "pay_00000005"},
    "payments.Payment.list": ORDER,
    "payments.Refund.create": {"payment_id": "pay_00000005", "amount": "129.80", "currency": "EUR"},
    "payments.Refund.find": {"payment_id": "pay_00000005"},
    "kb.Article.search": {"query": "How do I return a lamp?"},
    "kb.Policy.get": {"topic": "return"},
    "sap.Session.open": {},
    "sap.BusinessPartner.get": PARTNER,
    "sap.BusinessPartner.update_address": {**PARTNER, **ADDRESS},
    "sap.SalesOrder.get": SALES_ORDER,
    "sap.SalesOrder.create": {**PARTNER, "material": "MAT-1002", "quantity": 3},
    "sap.SalesOrder.update_quantity": {**SALES_ORDER, "item": "10", "quantity": 4},
    "sap.SalesOrder.cancel": SALES_ORDER,
    "sap.SalesOrder.release_block": SALES_ORDER,
    "sap.MaterialStock.get": {"material": "MAT-1001"},
    "sap.BillingDocument.get": {"billing_document": "9000000005"},
    "sap.CreditMemo.create": {**SALES_ORDER, "amount": "20.00", "currency": "EUR", "reason": "late"},
    "sap.CreditMemo.find": SALES_ORDER,
    "sap.SalesOrder.list": {},
    "sap.SalesOrder.items": SALES_ORDER,
    "sap.SalesOrder.create_with_items": {**PARTNER, "items": [{"material": "MAT-1001", "quantity": 2}]},
    "sap.SalesOrder.add_item": {**SALES_ORDER, "material": "MAT-1002", "quantity": 1},
    "sap.SalesOrder.reject_item": {**SALES_ORDER, "item": "10", "reason": "93"},
    "sap.SalesOrder.update_header": {**SALES_ORDER, "fields": {"PurchaseOrderByCustomer": "PO 1"}},
    "sap.SalesOrder.delete": SALES_ORDER,
    "sap.ChangeSet.apply": {
        "changes": [
            {"operation": "sap.SalesOrder.release_block", "arguments": SALES_ORDER},
            {"operation": "sap.SalesOrder.create", "arguments": {**PARTNER, "material": "MAT-1001", "quantity": 1}},
        ]
    },
}
_KINDS: Mapping[str, tuple[str, ...]] = {"sap.ChangeSet.apply": ("block_released", "sales_order")}
_AFTER_OTHERS = frozenset({"sap.CreditMemo.get"})
"""Operations that no call can succeed with on a fresh service: their own tests call others before."""


def samples_of(service: str) -> list[Sample]:
    """A call that succeeds, for every operation of a built-in service."""
    return [
        Sample(operation=name, arguments=_ARGUMENTS[name], kinds=_KINDS.get(name))
        for name, operation in OPERATIONS.items()
        if operation.service == service and name not in _AFTER_OTHERS
    ]
