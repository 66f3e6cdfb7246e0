"""What every oracle must keep to, and a small language in which tests tell the story of one request."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pagerproof import events
from pagerproof.events import Event
from pagerproof.model import (
    Customer,
    Expectation,
    ExpectedEffect,
    LedgerEntry,
    Reply,
    ReplyStatus,
    Request,
    Step,
    Truth,
)
from pagerproof.protocols import Case, Decision, Oracle

CUSTOMER = Customer(
    customer_id="C000042",
    business_partner="1000000042",
    locale="en_US",
    name="Ada Quimby",
    email="ada@example.com",
    phone="+1 555 0100",
    street="1 Main Street",
    city="Springfield",
    postcode="12345",
    country="US",
    tier="gold",
)
PAYMENT = "pay_00000007"
REFUND = ExpectedEffect(service="payments", kind="refund", entity=PAYMENT, amount_minor=12980)
RETURN = ExpectedEffect(service="orders", kind="return", entity="4500000007", details=(("sku", "SKU-1001"),))
ADDRESS = ExpectedEffect(
    service="crm", kind="address", entity="C000042", details=(("street", "9 Elm Road"), ("city", "Shelbyville"))
)
OPERATION_OF_KIND = {
    "refund": "payments.Refund.create",
    "return": "orders.Return.create",
    "address": "crm.Customer.update_address",
    "credit_memo": "sap.CreditMemo.create",
    "note": "crm.Note.create",
    "ticket": "crm.Ticket.create",
}


@dataclass
class Story:
    """One request, told call by call; `case()` is the finished record that an oracle would get."""

    expected: Sequence[ExpectedEffect] = (REFUND,)
    told: Sequence[str] = ()
    decline: bool = False
    index: int = 7
    intents: Sequence[str] = ("refund",)
    slots: Mapping[str, str] = field(default_factory=dict)
    text: str = "Please refund my order 4500000007."
    deadline_s: float = 180.0
    arrival_s: float = 100.0
    scripted: bool = False
    customer: Customer = CUSTOMER

    def __post_init__(self) -> None:
        self.log: list[Event] = [(self.arrival_s, events.ARRIVED, "chat", 0, 0, "+".join(self.intents))]
        self.effects: list[LedgerEntry] = []
        self.decisions: list[Decision] = []
        self.reply: Reply | None = None
        self.crash = ""
        self.stopped = ""
        self.left = False
        self.now_s = self.arrival_s + 1.0
        self.calls = self.model_calls = self.retries = 0
        self.answered_s = -1.0
        self.settled = True
        self.cost_usd = 0.01
        self.log.append((self.now_s, events.STARTED, "", 0, 0, ""))

    def call(
        self, operation: str, arguments: str = "{}", *, status: int = 200, attempt: int = 1, takes_s: float = 0.5
    ) -> Story:
        """One call and its answer; status -1 for a time-out, -2 for a broken connection."""
        self.calls += 1
        self.model_calls += operation == "llm.Chat.create"
        self.retries += attempt > 1
        self.log.append((self.now_s, events.CALLED, operation, self.calls, attempt, arguments))
        self.now_s += takes_s
        kind = {-1: events.TIMED_OUT, -2: events.BROKE}.get(status, events.ANSWERED)
        self.log.append((self.now_s, kind, operation, self.calls, max(status, 0), ""))
        return self

    def think(self, role: str = "You are a specialist.", *, attempt: int = 1) -> Story:
        return self.call("llm.Chat.create", role, attempt=attempt)

    def effect(
        self,
        want: ExpectedEffect = REFUND,
        *,
        entity: str = "",
        amount_minor: int | None = None,
        details: tuple[tuple[str, str], ...] | None = None,
        customer_id: str = "C000042",
        status: int = 200,
        same_call: bool = False,
    ) -> Story:
        """The call that does `want` (or a variation of it) and its ledger entry, whatever the agent is answered."""
        if not same_call:
            self.call(OPERATION_OF_KIND[want.kind], f'{{"entity": "{entity or want.entity}"}}', status=status)
        entry = LedgerEntry(
            service=want.service,
            kind=want.kind,
            document=f"doc_{len(self.effects) + 1}",
            entity=entity or want.entity,
            customer_id=customer_id,
            index=self.index,
            call=self.calls,
            time_s=self.now_s,
            amount_minor=want.amount_minor if amount_minor is None else amount_minor,
            currency="EUR" if want.amount_minor is not None else "",
            details=want.details if details is None else details,
        )
        self.effects.append(entry)
        self.log.append((self.now_s, events.LEDGER, f"{want.service}.{want.kind}", self.calls, 200, entry.document))
        return self

    def fault(
        self,
        fault: str,
        *,
        operation: str = "",
        call: int = 0,
        seen: bool = True,
        observable: str = "result",
        fate: str = "delivered",
        scripted: bool = False,
        effect: str = "truncate",
    ) -> Story:
        """A fault decision about the last call, unless told otherwise."""
        last = next((event[2] for event in reversed(self.log) if event[1] == events.CALLED), "")
        decision = Decision(fault, call or self.calls, operation or last, scripted=scripted, observable=observable)
        decision.fate, decision.seen, decision.detail = fate, seen, effect
        self.decisions.append(decision)
        self.log.append((self.now_s, events.FAULT, fault, decision.call, 0, fate))
        return self

    def valve(self, name: str, detail: str = "") -> Story:
        self.log.append((self.now_s, events.VALVE, name, self.calls, 0, detail))
        return self

    def leave(self) -> Story:
        self.left = True
        self.log.append((self.now_s, events.LEFT, "", 0, 0, ""))
        return self

    def wait(self, seconds: float) -> Story:
        self.now_s += seconds
        return self

    def crashes(self, crash: str = "KeyError: 'total' (agent.py:12)") -> Story:
        self.crash, self.answered_s = crash, self.now_s
        self.log.append((self.now_s, events.CRASHED, crash.partition(":")[0], 0, 0, crash))
        return self

    def stops(self, limit: str = "calls_per_request") -> Story:
        self.stopped, self.answered_s = limit, self.now_s
        self.log.append((self.now_s, events.STOPPED, limit, 0, 0, ""))
        return self

    def says(self, status: str = "done", text: str = "All done, your refund is on its way.", reason: str = "") -> Story:
        self.reply = Reply(text=text, status=ReplyStatus(status), reason=reason)
        self.answered_s = self.now_s
        self.log.append((self.now_s, events.REPLIED, status, 0, 0, text))
        return self

    def case(self) -> Case:
        """The finished record."""
        request = Request(
            index=self.index,
            arrival_s=self.arrival_s,
            channel="chat",
            locale=self.customer.locale,
            customer_name=self.customer.name,
            customer_email=self.customer.email,
            text=self.text,
        )
        path = (
            Step(operation="orders.Order.get", arguments=(("order_id", "$order_id"),)),
            *(Step(operation=OPERATION_OF_KIND[each.kind], arguments=()) for each in self.expected),
        )
        truth = Truth(
            customer=self.customer,
            intents=tuple(self.intents),
            slots=self.slots,
            path=path,
            expectation=Expectation(effects=tuple(self.expected), told=tuple(self.told), decline=self.decline),
            difficulty=0.2,
            patience_s=240.0,
            deadline_s=self.deadline_s,
            scripted=self.scripted,
        )
        case = Case(request, truth)
        case.log, case.effects, case.decisions = list(self.log), list(self.effects), list(self.decisions)
        case.reply, case.crash, case.stopped, case.left = self.reply, self.crash, self.stopped, self.left
        case.calls, case.model_calls, case.retries = self.calls, self.model_calls, self.retries
        case.cost_usd, case.tokens_in, case.tokens_out = self.cost_usd, 900, 120
        case.started_s, case.answered_s = self.arrival_s + 1.0, self.answered_s
        if self.settled:
            case.settled_s = self.now_s
            case.log.append((self.now_s, events.SETTLED, "", 0, 0, ""))
        return case


def good_story(**changes: Any) -> Story:
    """A request done right: looked up, refunded once, told."""
    return Story(**changes).think("Route this.").call("orders.Order.get").think().effect().think().says()


def _unsettled() -> Case:
    story = Story().call("orders.Order.get")
    story.settled = False
    return story.case()


def _looping() -> Story:
    story = Story()
    for _ in range(20):
        story.call("orders.Order.get")
    return story.stops()


CASES: Mapping[str, Callable[[], Case]] = {
    "clean": lambda: good_story().case(),
    "nothing happened": lambda: Story(expected=()).case(),
    "empty texts": lambda: Story(expected=(), text="").says(text="").case(),
    "unsettled": _unsettled,
    "crashed": lambda: Story().call("orders.Order.get").crashes().case(),
    "doubled": lambda: good_story().effect().case(),
    "claimed": lambda: Story(told=("129.80",)).call("orders.Order.get").fault("cut").says().case(),
    "looping": lambda: _looping().case(),
    "left": lambda: Story().leave().case(),
}


def check_oracle(oracle: Oracle) -> None:
    """Assert everything that the door for oracles promises; plug-ins may call it on theirs."""
    assert oracle.name
    assert len(oracle.modes) == len(set(oracle.modes)) > 0
    for name, make in CASES.items():
        case = make()
        before = _picture(case)
        findings = list(oracle.judge(case))
        assert _picture(case) == before, f"{oracle.name} changed the case {name!r}"
        assert list(oracle.judge(case)) == findings, f"{oracle.name} judges {name!r} differently the second time"
        delivered = {decision.fault for decision in case.decisions if decision.fate == "delivered"}
        for finding in findings:
            assert finding.index == case.index
            assert finding.oracle == oracle.name
            assert finding.mode in oracle.modes, f"{oracle.name} does not list its mode {finding.mode!r}"
            assert finding.message
            assert all(0 <= position < len(case.log) for position in finding.events)
            assert set(finding.faults) <= delivered
            assert not finding.mast or finding.mast.startswith("FM-")
        if name == "clean":
            assert not findings, f"{oracle.name} finds fault with a request done right: {findings}"


def _picture(case: Case) -> list[object]:
    return [copy.copy(getattr(case, name)) for name in Case.__slots__]
