"""The agent's boundary: where a tool call becomes a call on a service, under its faults and its time-out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NoReturn

import orjson
from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest

from pagerproof.events import ANSWERED, BROKE, CALLED, CANCELLED, FAULT, STOPPED, TIMED_OUT
from pagerproof.faults.wire import received
from pagerproof.kernel import SimulationLoop
from pagerproof.model import Answer, Operation
from pagerproof.protocols import Call, Case, Decision, Injector, Service
from pagerproof.rng import key_of
from pagerproof.scenario.schema import Limits
from pagerproof.tools import ConnectionLost, ToolError, ToolResult, ToolTimeout

_EXPIRED: Final = Answer(0, {}, b"")  # what the guard timer puts into a call's future
_BROKEN: Final = "the connection broke before an answer came"
_CHAT: Final = "llm.Chat.create"
_FIRST: Final = b"1\x1f1"  # the first occurrence of a call, and its first attempt


class RequestStopped(BaseException):
    """The simulator ended this request at one of its limits; not an Exception, so that no agent carries on."""


class Boundary:
    """What all requests of a run share on the way to the services.

    `offered` are the tools that agents are told of: those of the services named by `offers` (None: of all), without
    the model's own.
    """

    def __init__(
        self,
        *,
        loop: SimulationLoop,
        seed: int,
        services: Mapping[str, Service],
        injector: Injector,
        limits: Limits,
        offers: Collection[str] | None = None,
    ) -> None:
        self.loop = loop
        self.seed = seed
        self.injector = injector
        # Plain attributes, asked at every call: what a pydantic model holds costs several times as much to read.
        self.calls_max = limits.calls_per_request
        self.cost_usd_max = limits.cost_per_request_usd
        self.by_service = services
        self.services: dict[str, Service] = {}  # by full name of operation
        self.operations: dict[str, Operation] = {}
        self.names: dict[str, bytes] = {}  # each operation, as it stands in the keys of a request's own task
        for service in services.values():
            for name, operation in service.operations.items():
                self.services[name] = service
                self.operations[name] = operation
                self.names[name] = f"\x1f{name}\x1f".encode()
        self.offered: Mapping[str, Operation] = MappingProxyType(
            {
                name: each
                for name, each in self.operations.items()
                if name != _CHAT and not each.protocol_only and (offers is None or each.service in offers)
            }
        )
        self.watched: set[int] = set()

    def toolbox(self, case: Case) -> CaseToolbox:
        """Return the toolbox that carries out calls for this request."""
        return CaseToolbox(self, case)

    def named(self, lineage: str, operation: str) -> bytes:
        """Return how a task and an operation that is offered stand in keys."""
        return self.names[operation] if not lineage else f"{lineage}\x1f{operation}\x1f".encode()

    def submit(self, call: Call) -> asyncio.Future[Answer | None]:
        """Hand the call to its service; the future gets the answer, or None where the connection breaks."""
        future: asyncio.Future[Answer | None] = asyncio.Future(loop=self.loop)
        payloads = call.case.payloads

        def respond(answer: Answer | None) -> None:
            if payloads is not None:
                late = "service (too late)" if future.done() else "service"
                payloads.append((call.number, late, answer.body if answer else b"(connection broke)"))
            if not future.done():
                future.set_result(answer)

        self.services[call.operation.full_name].submit(call, respond)
        return future


class CaseToolbox:
    """The innermost toolbox of one request; implements `pagerproof.tools.Toolbox`."""

    __slots__ = ("_boundary", "_case", "_case_key")

    def __init__(self, boundary: Boundary, case: Case) -> None:
        self._boundary = boundary
        self._case = case
        self._case_key = key_of(boundary.seed, case.index)

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> ToolResult:
        """Carry out one physical call. Raises ToolTimeout, ConnectionLost, or ToolError for unusable arguments."""
        boundary = self._boundary
        case = self._case
        loop = boundary.loop
        now = loop.time()
        number = case.calls = case.calls + 1
        if number > boundary.calls_max or case.cost_usd > boundary.cost_usd_max:
            self._stop(now)
        known = boundary.operations.get(operation)
        if known is None:
            return self._no_such_operation(operation, number, now)
        asked = canonical(operation, arguments)
        lineage = getattr(asyncio.current_task(loop), "lineage", "")
        call = Call(
            case,
            known,
            arguments,
            number,
            attempt,
            key_of_call(case, self._case_key, boundary.named(lineage, operation), asked, attempt),
            now,
            timeout_s,
            idempotency_key,
        )
        if attempt > 1:
            case.retries += 1
        if operation == _CHAT:
            case.model_calls += 1
        log = case.log
        log.append((now, CALLED, operation, number, attempt, asked.decode()))
        if case.payloads is not None:
            case.payloads.append((number, "asked", _whole_request(arguments)))

        decisions = boundary.injector.decide(call)
        if decisions is not None:
            answer = await self._exchange(call, decisions, timeout_s)
            on_read = reader(case, decisions, boundary.loop)
        else:
            future = boundary.submit(call)
            guard = None if timeout_s is None else loop.schedule(timeout_s, _expire, future)
            try:
                arrived = await future
            except asyncio.CancelledError:
                self._cancelled(call)
                raise
            finally:
                if guard is not None:
                    guard.cancel()
            answer = arrived if arrived is not None and arrived is not _EXPIRED else self._nothing_came(call, arrived)
            on_read = None
        body = answer.body
        log.append((loop.time(), ANSWERED, operation, number, answer.status, xxh3_64_hexdigest(body)))
        if case.payloads is not None:
            case.payloads.append((number, "agent", body))
        return ToolResult(operation, answer, on_read)

    async def _proceed(self, call: Call) -> Answer:
        """Send a call that faults strike on to its service; the client's timer is around it already."""
        try:
            answer = await self._boundary.submit(call)
        except asyncio.CancelledError:
            self._cancelled(call)
            raise
        if answer is None:
            raise ConnectionLost(call.operation.full_name, _BROKEN)
        return answer

    def _cancelled(self, call: Call) -> None:
        call.abandoned = True
        name = call.operation.full_name
        self._boundary.services[name].abandon(call)
        self._case.log.append((self._boundary.loop.time(), CANCELLED, name, call.number, 0, ""))

    def _nothing_came(self, call: Call, arrived: Answer | None) -> NoReturn:
        if arrived is _EXPIRED:
            call.abandoned = True
            self._boundary.services[call.operation.full_name].abandon(call)
            self._timed_out(call)
        self._broke(call, _BROKEN)

    async def _exchange(self, call: Call, decisions: list[Decision], timeout_s: float | None) -> Answer:
        """Carry the call out under its faults; the client's timer cuts across faults and service alike."""
        boundary = self._boundary
        try:
            async with asyncio.timeout(timeout_s):
                answer = await boundary.injector.exchange(call, decisions, self._proceed)
                return await received(call.operation.full_name, answer)
        except ToolTimeout:
            raised(call.case, decisions, boundary.loop)
            call.case.log.append((boundary.loop.time(), TIMED_OUT, call.operation.full_name, call.number, 0, ""))
            raise
        except TimeoutError:
            raised(call.case, decisions, boundary.loop)
            self._timed_out(call)
        except ToolError as error:
            raised(call.case, decisions, boundary.loop)
            log = call.case.log
            if isinstance(error, ConnectionLost) and log[-1][:4:2] != (log[-1][0], call.operation.full_name):
                log.append((boundary.loop.time(), BROKE, call.operation.full_name, call.number, 0, str(error)))
            raise

    def _timed_out(self, call: Call) -> NoReturn:
        name = call.operation.full_name
        self._case.log.append((self._boundary.loop.time(), TIMED_OUT, name, call.number, 0, f"{call.timeout_s:g}s"))
        raise ToolTimeout(name, f"no answer within {call.timeout_s:g} s")

    def _broke(self, call: Call, why: str) -> NoReturn:
        name = call.operation.full_name
        self._case.log.append((self._boundary.loop.time(), BROKE, name, call.number, 0, why))
        raise ConnectionLost(name, why)

    def _stop(self, now: float) -> NoReturn:
        case = self._case
        if not case.stopped:
            case.stopped = over_a_limit(case, self._boundary)
            case.log.append((now, STOPPED, case.stopped, 0, 0, ""))
        raise RequestStopped(case.stopped)

    def _no_such_operation(self, operation: str, number: int, now: float) -> ToolResult:
        answer = unknown_operation(operation, self._boundary.operations)
        body = answer.body
        log = self._case.log
        log.append((now, CALLED, operation, number, 1, ""))
        log.append((now, ANSWERED, operation, number, 404, xxh3_64_hexdigest(body)))
        if self._case.payloads is not None:
            self._case.payloads.append((number, "agent", body))
        return ToolResult(operation, answer)


def over_a_limit(case: Case, boundary: Boundary) -> str:
    """Return the limit of the simulator that this request is over, or ""."""
    if case.calls > boundary.calls_max:
        return "calls_per_request"
    return "cost_per_request_usd" if case.cost_usd > boundary.cost_usd_max else ""


def unknown_operation(operation: str, known: Mapping[str, Operation]) -> Answer:
    """Return the 404 for an operation that no service offers, with the nearest one that is offered."""
    near = get_close_matches(operation, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    body = orjson.dumps({"error": {"code": "unknown_operation", "message": f"no tool {operation!r}{hint}"}})
    return Answer(404, {"content-type": "application/json"}, body)


def key_of_call(case: Case, case_key: int, named: bytes, asked: bytes, attempt: int) -> int:
    """Return the key of a call's draws, and count its occurrence.

    `case_key` is `key_of(seed, index)`, `named` the task and the operation as `Boundary.named` writes them.
    """
    identity = xxh3_64_intdigest(named + asked, case_key)
    occurrences = case.occurrences
    seen = occurrences.get(identity, 0)
    if attempt == 1 or not seen:
        occurrences[identity] = seen = seen + 1
    which = _FIRST if seen == attempt == 1 else b"%d\x1f%d" % (seen, attempt)
    return xxh3_64_intdigest(which, identity)


def _expire(future: asyncio.Future[Answer | None]) -> None:
    if not future.done():
        future.set_result(_EXPIRED)


def canonical(operation: str, arguments: Mapping[str, Any]) -> bytes:
    """The bytes that name a call's arguments in keys and trace.

    A conversation is named by its system message alone: keys that contained every earlier answer would change all
    later draws of a request whenever one decision is removed.
    """
    if operation == _CHAT:
        messages = arguments.get("messages")
        try:
            return _name_of_conversation(str(messages[0]["content"])) if messages else b""
        except (KeyError, IndexError, TypeError):
            return b""
    try:
        return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ToolError(operation, f"its arguments cannot be sent as JSON: {error}") from error


@lru_cache(maxsize=256)  # an agent has a handful of system messages
def _name_of_conversation(opening: str) -> bytes:
    return opening[:200].encode("utf-8", "replace")


def _whole_request(arguments: Mapping[str, Any]) -> bytes:
    return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS, default=str)


def reader(case: Case, decisions: list[Decision], loop: SimulationLoop) -> Callable[[], None]:
    """What the agent's reading of the body does: the faults in those bytes have been seen."""

    def read() -> None:
        for decision in decisions:
            if decision.fate == "delivered" and not decision.seen and decision.observable == "result":
                _see(case, decision, loop)

    return read


def raised(case: Case, decisions: list[Decision], loop: SimulationLoop) -> None:
    """An exception reached the agent: whatever was delivered into this call has been seen."""
    for decision in decisions:
        if decision.fate == "delivered" and not decision.seen and decision.observable != "state":
            _see(case, decision, loop)


def _see(case: Case, decision: Decision, loop: SimulationLoop) -> None:
    decision.seen = True
    case.log.append((loop.time(), FAULT, decision.fault, decision.call, 0, "seen"))
