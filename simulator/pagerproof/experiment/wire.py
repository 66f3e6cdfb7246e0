"""The wire: how an HTTP request of an agent becomes an operation of a service, for the request it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
from xxhash import xxh3_64_hexdigest

from pagerproof.errors import PagerproofError
from pagerproof.events import ANSWERED, BROKE, CALLED, CANCELLED, KIND, NAME, NOTE, STOPPED
from pagerproof.experiment.boundary import (
    Boundary,
    canonical,
    key_of_call,
    over_a_limit,
    raised,
    reader,
    unknown_operation,
)
from pagerproof.faults.wire import WHY_NOT, Failure, attempt
from pagerproof.kernel import OrderedTask
from pagerproof.metrics.result import NetworkUse, ToolMatch
from pagerproof.model import Answer, Customer, Expectation, Operation, Request, Truth, WireRequest
from pagerproof.network import Handler
from pagerproof.protocols import Call, Case, Directory, Gateway, Render
from pagerproof.rng import key_of
from pagerproof.services.llm import LlmService
from pagerproof.tools import ConnectionLost, ToolError, ToolTimeout

_NOBODY: Final = "0"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an HTTP request is: the case, and the task of it that wrote (its lineage names it in keys of draws)."""

    case: Case
    lineage: str


_case_here: ContextVar[Case | None] = ContextVar("pagerproof.case", default=None)
"""The case whose code runs: a context reaches the tasks and callbacks that its code makes."""


def owned_by(case: Case) -> None:
    """Say that whatever runs from here on in this context works for `case`."""
    _case_here.set(case)


def whose() -> Owner | None:
    """Return whose code is running; None where it belongs to no request, or to one that has settled already."""
    case = _case_here.get()
    if case is None or case.settled_s >= 0.0:
        return None
    task = asyncio.current_task()
    return Owner(case, task.lineage if isinstance(task, OrderedTask) else "")


def nobodys_case() -> Case:
    """Return the case with index 0, which stands for calls that belong to no request."""
    customer = Customer(
        customer_id=_NOBODY,
        business_partner=_NOBODY,
        locale="",
        name="nobody",
        email="",
        phone="",
        street="",
        city="",
        postcode="",
        country="",
        tier="",
    )
    request = Request(index=0, arrival_s=0.0, channel="", locale="", customer_name="nobody", customer_email="", text="")
    truth = Truth(
        customer=customer,
        intents=(),
        slots={},
        path=(),
        expectation=Expectation(),
        difficulty=0.0,
        patience_s=float("inf"),
        deadline_s=float("inf"),
    )
    return Case(request, truth)


class Wire:
    """What stands behind a run's network: gateways on the services of the boundary.

    `stops` ends the work on a case and `open_cases` returns those under way, once there is a simulation; `strangers`
    counts the hosts that were asked for and that nobody serves.
    """

    def __init__(
        self,
        boundary: Boundary,
        directory: Directory,
    ) -> None:
        self.boundary = boundary
        self.directory = directory
        self.nobody = nobodys_case()
        self.strangers: dict[str, int] = {}
        self.stops: Callable[[Case], object] = lambda _case: None
        self.open_cases: Callable[[], Iterable[Case]] = tuple

    def served_by(self, gateway: Gateway) -> Handler:
        """Return what answers HTTP requests of a host that `gateway` serves."""
        return partial(self._handle, gateway)

    async def _handle(self, gateway: Gateway, request: WireRequest, owner: object) -> Answer:
        case, lineage = (owner.case, owner.lineage) if isinstance(owner, Owner) else (self.nobody, "")
        exchange = WireExchange(self, case, lineage)
        try:
            answer = await gateway(request, exchange)
        except (asyncio.CancelledError, ConnectionLost, PagerproofError):
            raise
        except Exception as error:  # a gateway that breaks is a bug of ours, not a misfortune of the agent's
            raise AssertionError(f"the gateway of {request.host} failed at {request.method} {request.path}") from error
        exchange.went_out()
        return answer

    async def attempt(self, operation: Operation, owner: object) -> Failure | None:
        """Make one attempt of the owner's client to look up or to connect; return how it failed, None where it did not.

        Attempts are calls of the request from the first one on that a fault strikes: how often a client connects
        without any hangs on what other requests left in its pool.
        """
        case, lineage = (owner.case, owner.lineage) if isinstance(owner, Owner) else (self.nobody, "")
        boundary = self.boundary
        name = operation.full_name
        now = boundary.loop.time()
        named = f"{lineage}\x1f{name}\x1f".encode()
        key = key_of_call(case, key_of(boundary.seed, case.index), named, b"", 1)
        call = Call(case, operation, {}, case.calls + 1, 1, key, now, None, None)
        struck = boundary.injector.decide(call)
        if not any(each.operation == name for each in case.decisions):
            return None
        case.calls += 1  # the decisions about this attempt have its number
        case.log.append((now, CALLED, name, call.number, 1, ""))
        limit = over_a_limit(case, boundary)
        if limit and case.index:
            self.end(case, limit)
        try:
            how = await attempt(boundary.injector, call, struck)
        except asyncio.CancelledError:
            case.log.append((boundary.loop.time(), CANCELLED, name, call.number, 0, ""))
            raise
        if how is None:
            case.log.append((boundary.loop.time(), ANSWERED, name, call.number, 200, ""))
        else:
            case.log.append((boundary.loop.time(), BROKE, name, call.number, 0, WHY_NOT[how]))
        return how

    def use(self) -> NetworkUse:
        """Return what went over the network beside answered requests, for the result."""
        unattributed: dict[str, int] = {}
        for event in self.nobody.log:
            if event[KIND] == CALLED:
                unattributed[event[NAME]] = unattributed.get(event[NAME], 0) + 1
        model = self.boundary.by_service.get("llm")
        matchings = model.tool_matchings() if isinstance(model, LlmService) else ()
        tools = {use.tool.name: use for matching in matchings for use in matching.uses}
        return NetworkUse(
            unattributed=unattributed,
            strangers=dict(sorted(self.strangers.items())),
            tools=tuple(
                ToolMatch(
                    tool=name, role=use.role, operations=tuple(use.operations), sure=round(use.sure, 3), why=use.why
                )
                for name, use in sorted(tools.items())
            ),
        )

    def cases_under_way(self) -> Iterable[Case]:
        """Return the requests that have arrived and not settled."""
        return self.open_cases()

    def stranger(self, host: str, owner: object) -> None:
        """Note that the agent asked for a host which nobody serves; its client hears that the name is not known."""
        self.strangers[host] = self.strangers.get(host, 0) + 1
        case = owner.case if isinstance(owner, Owner) else self.nobody
        case.log.append((self.boundary.loop.time(), NOTE, "network", 0, 0, f"no host {host}"))

    def end(self, case: Case, limit: str) -> None:
        """End the request at one of the simulator's limits."""
        if not case.stopped:
            case.stopped = limit
            case.log.append((self.boundary.loop.time(), STOPPED, limit, 0, 0, ""))
            self.stops(case)


class WireExchange:
    """One HTTP request on its way; implements `pagerproof.protocols.Exchange`."""

    __slots__ = ("_lineage", "_reads", "_wire", "case")

    def __init__(self, wire: Wire, case: Case, lineage: str) -> None:
        self.case = case
        self._wire = wire
        self._lineage = lineage
        self._reads: list[Callable[[], None]] = []

    @property
    def directory(self) -> Directory:
        """The world's master data."""
        return self._wire.directory

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self._wire.boundary.seed

    def now_s(self) -> float:
        """Seconds of virtual time since the run began."""
        return self._wire.boundary.loop.time()

    def gauge(self, service: str, name: str) -> float:
        """A named state of a service. Raises KeyError."""
        return self._wire.boundary.by_service[service].gauge(name)

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        render: Render | None = None,
    ) -> Answer:
        """Carry out one operation as `Exchange.call` promises. Its only timer is the client's own."""
        boundary = self._wire.boundary
        case = self.case
        loop = boundary.loop
        now = loop.time()
        number = case.calls = case.calls + 1
        limit = over_a_limit(case, boundary)
        if limit and case.index:
            self._wire.end(case, limit)
            raise ConnectionLost(operation, "the request was ended at a limit of the simulator")
        log = case.log
        known = boundary.operations.get(operation)
        if known is None:
            answer = unknown_operation(operation, boundary.operations)
            log.append((now, CALLED, operation, number, 1, ""))
            log.append((now, ANSWERED, operation, number, answer.status, xxh3_64_hexdigest(answer.body)))
            return _rendered(answer, render)
        asked = canonical(operation, arguments)
        key = key_of_call(case, key_of(boundary.seed, case.index), boundary.named(self._lineage, operation), asked, 1)
        call = Call(case, known, arguments, number, 1, key, now, None, idempotency_key)
        call.render = render
        if known.full_name == "llm.Chat.create":
            case.model_calls += 1
        log.append((now, CALLED, operation, number, 1, asked.decode()))
        if case.payloads is not None:
            case.payloads.append((number, "asked", orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS, default=str)))
        decisions = boundary.injector.decide(call)
        try:
            if decisions is None:
                answer = await self._proceed(call)
            else:
                answer = await boundary.injector.exchange(call, decisions, self._proceed)
                self._reads.append(reader(case, decisions, loop))
        except ToolTimeout as error:  # nothing came; a middle box ends what the client has not ended itself
            self._lost(call, str(error))
        except ConnectionLost as error:
            self._lost(call, str(error))
        except ToolError as error:
            raise AssertionError(f"{operation}: {error}") from error
        answer = _rendered(answer, render)
        log.append((loop.time(), ANSWERED, operation, number, answer.status, xxh3_64_hexdigest(answer.body)))
        if case.payloads is not None:
            case.payloads.append((number, "agent", answer.body))
        return answer

    def went_out(self) -> None:
        """The answer stands on the connection of a client that is still there: what faults did to it has been seen."""
        for read in self._reads:
            read()
        self._reads.clear()

    async def _proceed(self, call: Call) -> Answer:
        boundary = self._wire.boundary
        future = boundary.submit(call)
        try:
            answer = await future
        except asyncio.CancelledError:
            call.abandoned = True
            name = call.operation.full_name
            boundary.services[name].abandon(call)
            call.case.log.append((boundary.loop.time(), CANCELLED, name, call.number, 0, ""))
            raise
        if answer is None:
            raise ConnectionLost(call.operation.full_name, "the connection broke before an answer came")
        return answer

    def _lost(self, call: Call, why: str) -> Any:
        now = self._wire.boundary.loop.time()
        raised(call.case, [each for each in call.case.decisions if each.call == call.number], self._wire.boundary.loop)
        call.case.log.append((now, BROKE, call.operation.full_name, call.number, 0, why))
        raise ConnectionLost(call.operation.full_name, why)


def _rendered(answer: Answer, render: Render | None) -> Answer:
    return answer if render is None or answer.rendered else render(answer)
