"""The doors between rooms: what a service, an injector, a directory and an oracle promise each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pagerproof.events import Event
from pagerproof.model import Answer, Customer, Finding, LedgerEntry, Operation, Reply, Request, Truth, WireRequest


class Note(NamedTuple):
    """What a service noted about one call, outside of the trace: rare things that expectations are decided from.

    `what` is "queued" (with the seconds in the line) or "met a lock left behind".
    """

    what: str
    service: str
    call: int
    value_s: float = 0.0


class Case:
    """Everything recorded about one request while it runs; the trace, the ledgers' entries and the decisions.

    `log` is the request's canonical event log. `effects` are its ledger entries in order of commit. `pending` counts
    the pieces of work that services still do for it. `payloads` is None unless this request is being watched
    (replay): then bodies by call number: (call, side, bytes) with side "asked", "service" or "agent". `noted` is what
    services noted beside the trace, `own_records` what a service with a database of its own keeps for this request
    alone, by the service's name, and `conversation` what the simulated model has read so far, for the model alone.
    """

    __slots__ = (
        "answered_s",
        "calls",
        "conversation",
        "cost_usd",
        "crash",
        "decisions",
        "effects",
        "index",
        "left",
        "log",
        "model_calls",
        "noted",
        "occurrences",
        "on_idle",
        "own_records",
        "payloads",
        "pending",
        "reply",
        "request",
        "retries",
        "settled_s",
        "started_s",
        "stopped",
        "tokens_in",
        "tokens_out",
        "truth",
    )

    def __init__(self, request: Request, truth: Truth) -> None:
        self.index = request.index
        self.request = request
        self.truth = truth
        self.log: list[Event] = []
        self.effects: list[LedgerEntry] = []
        self.decisions: list[Decision] = []
        self.occurrences: dict[int, int] = {}
        self.conversation: Any = None
        self.payloads: list[tuple[int, str, bytes]] | None = None
        self.noted: tuple[Note, ...] = ()
        self.own_records: dict[str, dict[tuple[str, str], dict[str, Any]]] | None = None
        self.pending = 0
        self.on_idle: Callable[[], None] | None = None
        self.calls = 0
        self.model_calls = 0
        self.retries = 0
        self.tokens_in = 0
        self.tokens_out = 0
        self.cost_usd = 0.0
        self.started_s = -1.0
        self.answered_s = -1.0
        self.settled_s = -1.0
        self.left = False
        self.reply: Reply | None = None
        self.crash: str = ""  # "ExceptionClass: message (file:line)"
        self.stopped: str = ""  # the limit that stopped the request, such as calls_per_request

    def work_began(self) -> None:
        """A service took on a piece of work for this request."""
        self.pending += 1

    def work_ended(self) -> None:
        """A service finished a piece of work for this request, answered or not."""
        self.pending -= 1
        if self.pending == 0 and self.on_idle is not None:
            self.on_idle()


class Call:
    """One physical call on its way to a service.

    `key` is the 64-bit key of (seed, index, task path, operation, canonical arguments, occurrence, attempt): every
    draw about this call is `sub_key(key, salt)`. `number` counts the request's calls from 1 (order of issue).
    """

    __slots__ = (
        "abandoned",
        "arguments",
        "attempt",
        "case",
        "idempotency_key",
        "key",
        "number",
        "operation",
        "render",
        "started_s",
        "timeout_s",
    )

    def __init__(
        self,
        case: Case,
        operation: Operation,
        arguments: Mapping[str, Any],
        number: int,
        attempt: int,
        key: int,
        started_s: float,
        timeout_s: float | None,
        idempotency_key: str | None,
    ) -> None:
        self.case = case
        self.operation = operation
        self.arguments = arguments
        self.number = number
        self.attempt = attempt
        self.key = key
        self.started_s = started_s
        self.timeout_s = timeout_s
        self.idempotency_key = idempotency_key
        self.abandoned = False  # the caller has gone: timed out, cancelled or cut off
        self.render: Render | None = None  # puts an answer into the shape of the protocol it was asked in


class Decision:
    """One fault decision about one call: what was drawn, and what became of it.

    `fate` goes from "drawn" to exactly one of "limited", "preempted", "cancelled" or "delivered"; `by` names the
    limit, the fault or the timer; `seen` is set when delivered bytes were read, the exception was raised at the
    agent's boundary, or the delay was waited for. `scripted`: the trigger named an exact index.

    For expectations: `keyed`: the call carried an idempotency key. Of the answer that left the faults, where it did:
    `undecodable`: a good status over a body that is not JSON; `retry_after_s`: what it asked for, or -1.
    """

    __slots__ = (
        "by",
        "call",
        "detail",
        "fate",
        "fault",
        "keyed",
        "observable",
        "operation",
        "retry_after_s",
        "scripted",
        "seen",
        "undecodable",
    )

    def __init__(self, fault: str, call: int, operation: str, *, scripted: bool, observable: str) -> None:
        self.fault = fault
        self.call = call
        self.operation = operation
        self.scripted = scripted
        self.observable = observable  # result, timing or state
        self.fate = "drawn"
        self.by = ""
        self.seen = False
        self.detail = ""
        self.keyed = False
        self.undecodable = False
        self.retry_after_s = -1.0


class Scheduler(Protocol):
    """Virtual time for services: the kernel's light timers."""

    def time(self) -> float:
        """Seconds of virtual time since the run began."""
        ...

    def schedule(self, delay_s: float, callback: Callable[..., object], /, *args: object) -> Any:
        """Call `callback(*args)` after `delay_s`; the returned handle has `cancel()`."""
        ...


class Directory(Protocol):
    """Master data of the synthetic world: pure functions of the seed, the same at every index and in every run.

    Orders are dicts with the keys of `OrderRecord` in `pagerproof.workload.world`.
    """

    def order(self, order_id: str) -> dict[str, Any] | None:
        """The order as it stood when its request arrived, or None. Do not change the returned dict."""
        ...

    def customer(self, customer_id: str) -> Customer | None:
        """The customer with this id, or None."""
        ...

    def customer_by_email(self, email: str) -> Customer | None:
        """The customer with this e-mail address, or None."""
        ...

    def product(self, sku: str) -> dict[str, Any] | None:
        """The product: sku, name, material, price (decimal text), currency, plant, stock; or None."""
        ...


class World(Protocol):
    """What a service is opened with."""

    seed: int
    scheduler: Scheduler
    directory: Directory


Respond = Callable[[Answer | None], object]
"""Takes a service's answer; None means that the connection broke without one."""


class Service(Protocol):
    """A simulated system of record with a ledger, capacity and latency."""

    name: str
    operations: Mapping[str, Operation]  # by full name

    def open(self, world: World) -> None:
        """Begin a run: fresh state, empty ledger."""
        ...

    def submit(self, call: Call, respond: Respond) -> None:
        """Take the call; call `respond` exactly once, later in virtual time, also when nobody waits any more.

        Calls `call.case.work_began()` now and `work_ended()` when the last effect of the call is done; appends every
        ledger entry to `call.case.effects` and logs it as a `ledger` event.
        """
        ...

    def abandon(self, call: Call) -> None:
        """The caller has gone (time-out, cancellation, cut connection). The work goes on unless it only queued."""
        ...

    def gauge(self, name: str) -> float:
        """A named state of the service, such as `quota.used`. Raises KeyError."""
        ...

    def gauges(self) -> Sequence[str]:
        """The names that `gauge` knows, without the service's own name."""
        ...

    def disturb(self, call: Call, name: str, value: object) -> None:
        """Change how the service will treat this one call (a fault's hand inside the service). Raises KeyError.

        The names each service knows are in `disturbances()`.
        """
        ...

    def disturbances(self) -> Sequence[str]:
        """The names that `disturb` knows."""
        ...


Proceed = Callable[[Call], Awaitable[Answer]]
"""Send the call on to the service and return its answer. Raises ConnectionLost where none comes."""


Render = Callable[[Answer], Answer]
"""Puts a service's own answer, of whatever status, into the shape of a protocol, and marks it `rendered`."""


class Exchange(Protocol):
    """What a gateway carries one HTTP request out with: the way to the services, for the request that it belongs to."""

    case: Case

    @property
    def directory(self) -> Directory:
        """The world's master data."""
        ...

    @property
    def seed(self) -> int:
        """The run's seed, for draws of the gateway's own."""
        ...

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        render: Render | None = None,
    ) -> Answer:
        """Carry out one operation under its faults, and return the answer as it goes onto the wire.

        Faults about contents (fields, chat) strike the service's own answer; `render` is applied before the faults
        about bytes. Raises ConnectionLost where the connection is to break without an answer; an operation that
        nobody offers is answered with 404, unusable arguments as the service answers them.
        """
        ...

    def gauge(self, service: str, name: str) -> float:
        """A named state of a service. Raises KeyError."""
        ...

    def now_s(self) -> float:
        """Seconds of virtual time since the run began."""
        ...


Gateway = Callable[[WireRequest, Exchange], Awaitable[Answer]]
"""An HTTP application of simulated services: takes a request and returns its answer, rendered.

It decodes the protocol, calls operations through the exchange and renders what they answer; state of its own (CSRF
tokens, cursors) lives in the object whose method it is and begins afresh in every run. `ConnectionLost` passes through.
"""


class Injector(Protocol):
    """Decides which faults strike a call, and delivers them."""

    def decide(self, call: Call) -> list[Decision] | None:
        """Draw every fault model that is eligible for this call; None when none is to be delivered."""
        ...

    async def exchange(self, call: Call, decisions: list[Decision], proceed: Proceed) -> Answer:
        """Carry the call out under these faults. Raises ToolTimeout or ConnectionLost as the faults demand."""
        ...


class Oracle(Protocol):
    """Judges one settled request from its finished case only."""

    name: str
    modes: Sequence[str]

    def judge(self, case: Case) -> Sequence[Finding]:
        """Return what is wrong with this request, in the order it was found."""
        ...
