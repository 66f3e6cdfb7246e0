"""The nouns that every room shares: what a customer asks, what must hold afterwards, what systems answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

RUN_BEGINS: Final = datetime(2026, 11, 23, tzinfo=UTC)
"""The moment that virtual time 0 stands for, in every system's time stamps and on the agent's clocks; assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Somebody who may write to the contact center; the systems of record know them by these values."""

    customer_id: str
    business_partner: str
    locale: str
    name: str
    email: str
    phone: str
    street: str
    city: str
    postcode: str
    country: str
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One contact as the agent sees it; `index` is its name in every run, from 1."""

    index: int
    arrival_s: float
    channel: str
    locale: str
    customer_name: str
    customer_email: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One tool call of a happy path.

    Each argument's source is `$slot` (a fact of the request), `@operation.field.field` (what an earlier
    answer said; a number indexes a list), `=JSON` (that very value) or a literal text.
    """

    operation: str
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedEffect:
    """One change that the ledgers must show once, and only once, when the request is done right.

    `entity` is the id of what was changed (order, customer, ...); amount in minor units, None where the
    effect moves no money; `details` are further fields that the ledger entry must carry.
    """

    service: str
    kind: str
    entity: str
    amount_minor: int | None = None
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What must hold once the request has settled.

    `effects` in full if the agent says done, none of them if it declines or hands over; `told` are values that
    a done reply must contain; `decline` means the only right answers are to decline or to hand over. Where
    `end_state` is given (each place that reads otherwise in the end, see `end_state_of`), it does not matter by which
    effects that state was reached. `not_judged` names criteria that nobody here can judge.
    """

    effects: tuple[ExpectedEffect, ...] = ()
    told: tuple[str, ...] = ()
    decline: bool = False
    end_state: Mapping[str, str] | None = None
    not_judged: tuple[str, ...] = ()

    @property
    def may_decline(self) -> bool:
        """Whether declining may be right: nothing else is, or the state asked for is that of having done nothing."""
        return self.decline or self.end_state == {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is true about a request and hidden from the agent: oracles judge by it, the simulated model acts on it.

    `difficulty` is the chance in [0, 1] that the model, at temperature 1 and with clean data, errs somewhere.
    """

    customer: Customer
    intents: tuple[str, ...]
    slots: Mapping[str, str]
    path: tuple[Step, ...]
    expectation: Expectation
    difficulty: float
    patience_s: float
    deadline_s: float
    edge_cases: tuple[str, ...] = ()
    scripted: bool = False


class ReplyStatus(StrEnum):
    """What the agent says about its own work."""

    DONE = "done"
    DECLINED = "declined"
    HANDED_OVER = "handed_over"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The agent's last word to the customer. `done` claims that everything asked for has been done."""

    text: str
    status: ReplyStatus = ReplyStatus.DONE
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing a service can be asked to do, named `service.Entity.verb`.

    `arguments` maps names to JSON types; those not in `optional` must be there. `effect_kind` is the kind of
    ledger entry that a successful write leaves ("" for reads); `writes` is whether there is one. `protocol_only`: the
    service's own protocol needs it, and no agent is offered it as a tool.
    """

    service: str
    name: str
    summary: str
    arguments: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    effect_kind: str = ""
    protocol_only: bool = False
    full_name: str = field(init=False)
    writes: bool = field(init=False)

    def __post_init__(self) -> None:
        # Stored, not computed: both are read many times for every call.
        object.__setattr__(self, "full_name", f"{self.service}.{self.name}")
        object.__setattr__(self, "writes", bool(self.effect_kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How an answer's bytes fare on the connection, where they do not simply arrive.

    `how`: `reset` (the connection is reset after `after_bytes` of the body), `half_headers` (it closes in the middle
    of the headers), `bad_chunk` (chunked, with a size that is no number after `after_bytes`), or `slow`
    (`bytes_per_s` of the body a second, all of it).
    """

    how: str
    after_bytes: int = 0
    bytes_per_s: float = 0.0


class Answer:
    """What a service puts on the wire: status, headers (lower-case names) and the body's bytes.

    `wire_bytes` is the Content-Length that was announced; a shorter body was cut on the way. `pace_s` spreads the body
    over so many seconds after the headers (a stream); `delivery` is None where the bytes simply arrive; `rendered`
    says that a gateway has put it into its protocol's shape already.
    """

    __slots__ = ("body", "delivery", "headers", "pace_s", "rendered", "status", "wire_bytes")

    def __init__(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes,
        wire_bytes: int = -1,
        *,
        pace_s: float = 0.0,
        delivery: Delivery | None = None,
        rendered: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.wire_bytes = len(body) if wire_bytes < 0 else wire_bytes
        self.pace_s = pace_s
        self.delivery = delivery
        self.rendered = rendered

    def with_body(self, body: bytes, headers: dict[str, str] | None = None, *, wire_bytes: int = -1) -> Answer:
        """Return this answer with another body (and headers), which fares on the wire as this one does."""
        return Answer(
            self.status,
            self.headers if headers is None else headers,
            body,
            wire_bytes,
            pace_s=self.pace_s,
            delivery=self.delivery,
            rendered=self.rendered,
        )

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.headers}, {self.body[:80]!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """An HTTP request as a gateway gets it: `path` is decoded, `raw_path` is not; header names are lower-case.

    `headers` holds the last value of each name, `header_list` every one in order.
    """

    method: str
    host: str
    path: str
    raw_path: str
    query: str
    headers: Mapping[str, str]
    header_list: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One thing that truly happened in a system of record, and which request and call caused it."""

    service: str
    kind: str
    document: str
    entity: str
    customer_id: str
    index: int
    call: int
    time_s: float
    amount_minor: int | None = None
    currency: str = ""
    details: tuple[tuple[str, str], ...] = ()


WAS: Final = "was "
"""Begins the name of a ledger entry's detail that says how the place of that name read before."""


def end_state_of(entries: Iterable[LedgerEntry]) -> dict[str, str]:
    """Return each place that reads otherwise after these entries than before, and how it reads.

    Their details are places with their values, and `was PLACE` with the value before.
    """
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for entry in entries:
        for name, value in entry.details:
            if name.startswith(WAS):
                before.setdefault(name[len(WAS) :], value)
            else:
                after[name] = value
    return {place: value for place, value in after.items() if before.get(place) != value}


class Outcome(StrEnum):
    """What became of a request: exactly one, the first that applies in this order."""

    FAILED_SILENT = "failed_silent"
    CRASHED = "crashed"
    RUNAWAY = "runaway"
    FAILED_LOUD = "failed_loud"
    ABANDONED = "abandoned"
    LATE = "late"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    UNSETTLED = "unsettled"

    @property
    def is_failure(self) -> bool:
        """Whether somebody has to be told: everything but escalated, resolved and unsettled."""
        return self not in _NOT_FAILURES


_NOT_FAILURES = frozenset({Outcome.ESCALATED, Outcome.RESOLVED, Outcome.UNSETTLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an oracle found in one request: a failure mode with its evidence.

    `events` are positions in the request's event log; `faults` the fault ids in the causal path; `mast` the code
    of the MAST taxonomy where one fits. A failure's identity is (mode, oracle, tool).
    """

    index: int
    mode: str
    oracle: str
    outcome: Outcome | None
    message: str
    tool: str = ""
    events: tuple[int, ...] = ()
    faults: tuple[str, ...] = ()
    mast: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement of one request: its outcome, the finding that decided it, and everything else that applied."""

    index: int
    outcome: Outcome
    mode: str = ""
    tags: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())
