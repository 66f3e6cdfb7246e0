"""The injector: asks every fault about every call, lays the effects around the service, and keeps the books."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from operator import attrgetter

from xxhash import xxh3_64_intdigest

from pagerproof.errors import UsageError
from pagerproof.events import FAULT
from pagerproof.faults.armed import ArmedFault
from pagerproof.faults.layers import Layer, wrapped
from pagerproof.faults.ledger import DeliveryRow, account
from pagerproof.faults.triggers import CERTAIN
from pagerproof.model import Answer, Operation
from pagerproof.protocols import Call, Decision, Proceed, Scheduler, Service
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.schema import FaultUse
from pagerproof.tools import ToolError, loads

Strike = tuple[str, str, int]
"""One recorded decision: (fault id, operation's full name, call's number or key)."""

_digest = xxh3_64_intdigest
_in_order = attrgetter("order")


class _Plan:
    """What can strike one operation. The lists hold what is open between `since` and `until`."""

    __slots__ = (
        "calls",
        "drawn",
        "faults",
        "operation",
        "other",
        "quiet",
        "scripted",
        "scripted_indices",
        "since",
        "until",
    )

    def __init__(self, operation: Operation, faults: Sequence[ArmedFault]) -> None:
        self.operation = operation
        self.faults = [fault for fault in faults if fault.exact is None and fault.threshold > 0]
        self.scripted = [fault for fault in faults if fault.exact is not None]
        self.scripted_indices = frozenset(index for fault in self.scripted for index in fault.exact or ())
        self.quiet = not faults
        self.calls = 0
        self.since = math.inf
        self.until = -math.inf
        self.drawn: list[tuple[bytes, int, ArmedFault]] = []  # decided by one draw, before anything else
        self.other: list[ArmedFault] = []

    def renew(self, time_s: float) -> None:
        """Work out what is open at `time_s`, and until when that stays so."""
        self.since, self.until = time_s, math.inf
        self.drawn.clear()
        self.other.clear()
        for fault in self.faults:
            is_open, until = fault.open_at(time_s)
            self.until = min(self.until, until)
            if not is_open and not fault.counts:
                continue
            if fault.counts or fault.threshold >= CERTAIN:
                self.other.append(fault)
            else:
                self.drawn.append((fault.salt, fault.threshold, fault))


class FaultInjector:
    """Implements `pagerproof.protocols.Injector` for the fault models that a scenario uses.

    `requests` is the size of the run (a limit given as a share needs it). With `forced` nothing is drawn: exactly the
    recorded strikes of these request indices are repeated. With `connections` there is a network: faults that keep a
    connection from coming about strike attempts to connect (`faults.wire.attempt`), not the calls on what came about.
    Raises UsageError for uses that make no sense.
    """

    def __init__(
        self,
        models: Mapping[str, FaultModel] | Iterable[FaultModel],
        uses: Sequence[FaultUse],
        *,
        seed: int,
        services: Mapping[str, Service],
        scheduler: Scheduler,
        operations: Mapping[str, Operation],
        requests: int | None = None,
        forced: Mapping[int, Sequence[Strike]] | None = None,
        connections: bool = False,
    ) -> None:
        self._seed = seed
        self._time = scheduler.time
        self._operations = operations
        self._forced = forced
        known = models if isinstance(models, Mapping) else {model.id: model for model in models}
        self._faults: dict[str, ArmedFault] = {}
        for order, use in enumerate(uses):
            fault = ArmedFault(
                order,
                use,
                _named(known, use.use),
                seed=seed,
                services=services,
                operations=operations,
                requests=requests,
                connections=connections,
            )
            if fault.fault in self._faults:
                raise UsageError(f"two faults are called {fault.fault!r}: give one of them an id of its own")
            self._faults[fault.fault] = fault
        self._plans: dict[str, _Plan] = {}
        self._under_way: dict[Decision, Call] = {}

    # --- deciding

    def decide(self, call: Call) -> list[Decision] | None:
        """Draw every fault that can strike this call; None when none is to be delivered."""
        plan = self._plans.get(call.operation.full_name)
        if plan is None:
            plan = self._plan(call.operation)
        plan.calls += 1
        if plan.quiet:
            return None
        if self._forced is not None:
            return self._decide_forced(call)
        time_s = call.started_s
        if not plan.since <= time_s < plan.until:
            plan.renew(time_s)
        struck: list[ArmedFault] = []
        key = call.key
        for salt, threshold, fault in plan.drawn:
            if _digest(salt, key) < threshold and fault.strikes(call):
                struck.append(fault)
        if plan.other:
            struck += [fault for fault in plan.other if fault.considers(call)]
        if plan.scripted and call.case.index in plan.scripted_indices:
            struck += [fault for fault in plan.scripted if fault.considers(call)]
        if not struck:
            return None
        return self._strike(call, struck)

    def _plan(self, operation: Operation) -> _Plan:
        name = operation.full_name
        faults = [fault for fault in self._faults.values() if name in fault.operations]
        plan = self._plans[name] = _Plan(operation, faults)
        return plan

    def _decide_forced(self, call: Call) -> list[Decision] | None:
        assert self._forced is not None
        strikes = self._forced.get(call.case.index)
        if not strikes:
            return None
        name = call.operation.full_name
        struck = [
            self._faults[fault]
            for fault, operation, which in strikes
            if operation == name and which in (call.number, call.key) and fault in self._faults
        ]
        return self._strike(call, struck) if struck else None

    def _strike(self, call: Call, struck: list[ArmedFault]) -> list[Decision] | None:
        """Make the decisions; whatever is masked by an earlier one or over a limit ends here."""
        if len(struck) > 1:
            struck.sort(key=_in_order)
        decisions: list[Decision] = []
        masks, masked_by = "nothing", ""
        for fault in struck:
            decision = fault.decision(call)
            if masks == "everything" or (masks == "result" and fault.observable == "result"):
                self._end(call, decision, "preempted", masked_by)
                continue
            limit = "" if self._forced is not None else fault.limit_reached(call)
            if limit:
                self._end(call, decision, "limited", limit)
                continue
            fault.under_way += 1
            fault.strikes_total += 1
            self._under_way[decision] = call
            decisions.append(decision)
            if fault.masks != "nothing" and masks != "everything":
                masks, masked_by = fault.masks, fault.fault
        return decisions or None

    # --- delivering

    async def exchange(self, call: Call, decisions: list[Decision], proceed: Proceed) -> Answer:
        """Carry the call out under these faults, the first of them outermost.

        Raises ToolTimeout or ConnectionLost as the faults or the service demand.
        """
        effects = [self._faults[decision.fault].effects for decision in decisions]
        layers, way_in = wrapped(decisions, effects, proceed)
        try:
            answer = await way_in(call)
        except asyncio.CancelledError:
            self._conclude(call, decisions, layers, self._timer_of(call), seen="waited")
            raise
        except ToolError:
            self._conclude(call, decisions, layers, "no answer came", seen="all")
            raise
        except BaseException as error:
            self._conclude(call, decisions, layers, type(error).__name__, seen="waited")
            raise
        self._conclude(call, decisions, layers, "nothing to change", seen="answer")
        _note_answer(decisions, answer)
        return answer

    def _timer_of(self, call: Call) -> str:
        waited_s = self._time() - call.started_s
        if call.timeout_s is not None and waited_s >= call.timeout_s - 1e-9:
            return "client time-out"
        return "caller cancelled"

    def _conclude(self, call: Call, decisions: list[Decision], layers: list[Layer], by: str, *, seen: str) -> None:
        """Settle the fate of every decision of this call.

        `seen` says what the caller has noticed by now: `all` (an exception reached it), `answer` (an answer did: its
        status and its time, the bytes are not read yet) or `waited` (it gave up, and noticed the waits that were
        delivered).
        """
        outer = ""
        for decision in decisions:
            if decision.fate != "drawn":
                continue  # the run's end came first
            own = [layer for layer in layers if layer.decision is decision]
            took_place = [layer for layer in own if layer.delivered()]
            if not own[0].reached and outer and seen != "waited":
                self._end(call, decision, "preempted", outer)
            elif not took_place:
                self._end(call, decision, "cancelled", by)
            else:
                self._end(call, decision, "delivered", "")
                if decision.observable != "state" and (
                    seen == "all"
                    or (seen == "answer" and decision.observable == "timing")
                    or (seen == "answer" and any(layer.shows_in_status for layer in took_place))
                    or (seen == "waited" and any(layer.waits for layer in took_place))
                ):
                    decision.seen = True
                    call.case.log.append((self._time(), FAULT, decision.fault, call.number, 0, "seen"))
            outer = decision.fault

    def _end(self, call: Call, decision: Decision, fate: str, by: str) -> None:
        decision.fate = fate
        decision.by = by
        if self._under_way.pop(decision, None) is not None:
            self._faults[decision.fault].under_way -= 1
        what = f"{fate}: {by}" if by else fate
        call.case.log.append((self._time(), FAULT, decision.fault, call.number, 0, what))

    # --- the books

    def close(self) -> None:
        """End the run: what is still under way counts as cancelled."""
        for decision, call in list(self._under_way.items()):
            self._end(call, decision, "cancelled", "end of run")

    def ledger(self) -> list[DeliveryRow]:
        """Return the account of every fault, in the scenario's order."""
        return [
            account(
                fault.decisions,
                fault=fault.fault,
                model=fault.model,
                title=fault.title,
                eligible=sum(
                    plan.calls for plan in self._plans.values() if plan.operation.full_name in fault.operations
                ),
                evidence=fault.evidence,
                expect=fault.expect,
                observable=fault.observable,
            )
            for fault in self._faults.values()
        ]

    def check_balance(self) -> None:
        """Raise BrokenInvariant where an account does not balance; call it after `close`."""
        for row in self.ledger():
            row.check(self._seed)


def _note_answer(decisions: Sequence[Decision], answer: Answer) -> None:
    """Keep what expectations need to know of a struck answer; its bytes are kept nowhere."""
    showing = [each for each in decisions if each.fate == "delivered" and each.observable == "result"]
    if not showing:
        return
    undecodable = 200 <= answer.status < 300 and not _is_json(answer.body)
    retry_after_s = _retry_after_s(answer)
    for decision in showing:
        decision.undecodable = undecodable
        decision.retry_after_s = retry_after_s


def _is_json(body: bytes) -> bool:
    try:
        loads(body)
    except ValueError:
        return False
    return True


def _retry_after_s(answer: Answer) -> float:
    written = answer.headers.get("retry-after", "")
    return float(written) if written.replace(".", "", 1).isdecimal() else -1.0


def _named(models: Mapping[str, FaultModel], name: str) -> FaultModel:
    model = models.get(name)
    if model is None:
        near = get_close_matches(name, models, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"there is no fault model {name!r}{hint}")
    return model
