"""An armed fault: one fault model as one scenario uses it, made ready to be asked about every call."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import ValidationError
from xxhash import xxh3_64_intdigest

from pagerproof.errors import UsageError
from pagerproof.faults import triggers
from pagerproof.faults.effects import Context, Effect, Masks, Observable, build, check_service
from pagerproof.faults.wire import attempts_instead
from pagerproof.model import Operation
from pagerproof.protocols import Call, Decision, Service
from pagerproof.rng import key_of
from pagerproof.scenario.fault_model import FaultModel, Index, Trigger
from pagerproof.scenario.schema import FaultUse

_SCRIPTED_FIRST = 1 << 32
_ORDER: tuple[Masks, ...] = ("nothing", "result", "everything")


class ArmedFault:
    """One fault of a run. `order` is its place in the scenario: earlier faults lie outside of later ones.

    What a scenario says about exact requests comes before everything else, so that no chance fault pre-empts it.

    `salt` and `threshold` are its plain draw per call, `conditions` whatever else must hold. A fault that `counts`
    must be asked about every call that it matches, also where it cannot strike.
    """

    __slots__ = (
        "_concurrent",
        "_count_key",
        "_nth",
        "_only_first",
        "_passed_s",
        "_requests_max",
        "_spacing_s",
        "_stop_at",
        "_stop_gauge",
        "_total_max",
        "_window",
        "conditions",
        "counts",
        "decisions",
        "detail",
        "effects",
        "evidence",
        "exact",
        "expect",
        "fault",
        "masks",
        "model",
        "observable",
        "operations",
        "order",
        "requests",
        "salt",
        "strikes_total",
        "struck",
        "threshold",
        "title",
        "under_way",
        "weather",
    )

    def __init__(
        self,
        order: int,
        use: FaultUse,
        model: FaultModel,
        *,
        seed: int,
        services: Mapping[str, Service],
        operations: Mapping[str, Operation],
        requests: int | None,
        connections: bool = False,
    ) -> None:
        self.order = order - _SCRIPTED_FIRST if use.at else order
        self.fault = use.id or use.use
        self.model = model.id
        self.title = model.title
        self.evidence = model.evidence
        self.expect: Literal["required", "armed"] = use.expect
        model = _with_parameters(model, use, self.fault)
        self.operations = _matching(model, use, operations, self.fault)
        for name in self.operations:
            for effect in model.effect:
                check_service(effect, services[operations[name].service], self.fault)
        if connections:
            self.operations = attempts_instead(model, self.operations)
        self.effects: tuple[Effect, ...] = tuple(
            build(effect, Context(services, self.fault, position, model.target.edge))
            for position, effect in enumerate(model.effect)
        )
        self.detail = "+".join(effect.kind for effect in model.effect)
        self.masks: Masks = max((effect.masks for effect in self.effects), key=_ORDER.index)
        shown = {effect.observable for effect in self.effects}
        self.observable: Observable = "result" if "result" in shown else "timing" if "timing" in shown else "state"
        self._set_trigger(model.trigger, use, seed, services)
        self._set_limits(model, services, requests)
        self._only_first = use.only == "first"
        self.counts = self._nth is not None or self._spacing_s is not None
        self._count_key = key_of(0, "fault", self.fault, "calls")
        self.struck: set[int] = set()  # requests; filled only where something depends on it
        self.requests: set[int] = set()
        self.under_way = 0
        self.strikes_total = 0
        self.decisions: list[Decision] = []

    def _set_trigger(self, trigger: Trigger, use: FaultUse, seed: int, services: Mapping[str, Service]) -> None:
        if use.at:
            trigger = Trigger(index=Index(exact=use.at))
        written = trigger.probability if use.probability is None else use.probability
        probability = min(1.0, (1.0 if written is None else written) * (1.0 if use.at else use.intensity))
        self.salt = f"fault\x1f{self.fault}\x1fstrike".encode()
        self.threshold = triggers.threshold(probability)
        self.exact = frozenset(trigger.index.exact) if trigger.index and trigger.index.exact else None
        conditions: list[triggers.Condition] = []
        self.conditions = conditions
        if trigger.index is not None:
            conditions.append(triggers.at_index(trigger.index))
        if trigger.per == "request":
            self.threshold = triggers.CERTAIN if probability else 0
            conditions.append(triggers.per_request(seed, self.salt, probability))
        if trigger.node is not None:
            salt = f"fault\x1f{self.fault}\x1fnode".encode()
            conditions.append(triggers.on_node(trigger.node, seed, salt))
        if trigger.wear is not None:
            read = triggers.gauge(trigger.wear.gauge, services, self.fault)
            ramp = trigger.wear.full_at is not None
            conditions.append(
                triggers.wearing(trigger.wear, read, self.salt, probability)
                if ramp
                else triggers.worn(trigger.wear, read)
            )
        if trigger.state is not None:
            conditions.append(
                triggers.in_state(trigger.state, triggers.gauge(trigger.state.gauge, services, self.fault))
            )
        self._window = trigger.window.virtual if trigger.window is not None else None
        self.weather = triggers.Weather(trigger.burst, seed, self.fault) if trigger.burst is not None else None
        self._spacing_s = trigger.spacing
        self._passed_s = -math.inf
        self._nth = frozenset(trigger.nth_call) if trigger.nth_call is not None else None

    def _set_limits(self, model: FaultModel, services: Mapping[str, Service], requests: int | None) -> None:
        limits = model.limits
        concurrent = [limits.concurrent, model.trigger.limit.concurrent if model.trigger.limit else None]
        self._concurrent = min((each for each in concurrent if each is not None), default=None)
        self._total_max = limits.total
        most = limits.max_requests
        if isinstance(most, float):
            # Without a run's size a share would mean nothing that two runs agree on.
            most = None if requests is None else max(1, math.floor(most * requests))
        self._requests_max = most
        self._stop_at = limits.stop_when.at_least if limits.stop_when else 0.0
        self._stop_gauge = (
            triggers.gauge(limits.stop_when.gauge, services, self.fault) if limits.stop_when is not None else None
        )

    def open_at(self, time_s: float) -> tuple[bool, float]:
        """Return whether window and weather let it strike at `time_s`, and until when that holds."""
        until = math.inf
        if self._window is not None:
            begin, end = self._window
            if time_s < begin:
                return False, begin
            if time_s >= end:
                return False, math.inf
            until = end
        if self.weather is not None:
            bad, known_until = self.weather.period(time_s)
            return bad, min(until, known_until)
        return True, until

    def considers(self, call: Call) -> bool:
        """Return whether it strikes this call, asked without any of the answer known."""
        if self._spacing_s is None:
            return self._considers(call)
        strikes = call.started_s - self._passed_s < self._spacing_s and self._considers(call)
        if not strikes:
            self._passed_s = call.started_s
        return strikes

    def _considers(self, call: Call) -> bool:
        if self._nth is not None and self._count(call) not in self._nth:
            return False
        if self.threshold < triggers.CERTAIN and xxh3_64_intdigest(self.salt, call.key) >= self.threshold:
            return False
        return self.open_at(call.started_s)[0] and self.strikes(call)

    def strikes(self, call: Call) -> bool:
        """Return whether the conditions hold, where window, weather and the plain draw have let it strike."""
        for condition in self.conditions:
            if not condition(call):
                return False
        if self._only_first:
            index = call.case.index
            if index in self.struck:
                return False
            self.struck.add(index)
        return True

    def _count(self, call: Call) -> int:
        key = self._count_key
        count = call.case.occurrences.get(key, 0) + 1
        call.case.occurrences[key] = count
        return count

    def limit_reached(self, call: Call) -> str:
        """Return the name of the limit that stops a strike on this call, or an empty text."""
        if self._concurrent is not None and self.under_way >= self._concurrent:
            return "concurrent"
        if self._total_max is not None and self.strikes_total >= self._total_max:
            return "total"
        if self._stop_gauge is not None and self._stop_gauge() >= self._stop_at:
            return "stop_when"
        if self._requests_max is not None and call.case.index not in self.requests:
            if len(self.requests) >= self._requests_max:
                return "max_requests"
            self.requests.add(call.case.index)
        return ""

    def decision(self, call: Call) -> Decision:
        """Return a new decision about this call."""
        scripted = self.exact is not None and call.case.index in self.exact
        decision = Decision(
            self.fault, call.number, call.operation.full_name, scripted=scripted, observable=self.observable
        )
        decision.detail = self.detail
        decision.keyed = call.idempotency_key is not None
        self.decisions.append(decision)
        call.case.decisions.append(decision)
        return decision


def _with_parameters(model: FaultModel, use: FaultUse, fault: str) -> FaultModel:
    try:
        return model.with_parameters(use.parameters)
    except KeyError as error:
        name = str(error.args[0])
        known = ", ".join(model.parameters) or "none"
        near = get_close_matches(name, model.parameters, n=1)
        hint = f"; did you mean {near[0]}?" if near else f" (it has: {known})"
        raise UsageError(f"fault {fault}: {model.id} has no parameter {name!r}{hint}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"fault {fault}: {place}: {first['msg'].removeprefix('Value error, ')}") from None


def _matching(model: FaultModel, use: FaultUse, operations: Mapping[str, Operation], fault: str) -> frozenset[str]:
    target = model.target
    names = ("*",) if use.services else target.operation
    matched = [
        name
        for name, operation in operations.items()
        if any(fnmatchcase(operation.service, glob) for glob in use.services or target.service)
        and any(fnmatchcase(operation.name, glob) for glob in names)
        and (target.only == "all" or operation.writes == (target.only == "writes"))
    ]
    if use.services and not matched:
        raise UsageError(f"fault {fault}: {model.id} can strike no operation of {', '.join(use.services)}")
    _all_name_something(names, matched, operations, model, fault)
    if use.operations:
        narrowed = [
            name
            for name in matched
            if any(fnmatchcase(name, glob) or fnmatchcase(operations[name].name, glob) for glob in use.operations)
        ]
        if not narrowed:
            raise UsageError(
                f"fault {fault}: operations: {', '.join(use.operations)} names none that {model.id} can strike"
                f" ({', '.join(matched) or 'none'})"
            )
        matched = narrowed
    return frozenset(matched)


def _all_name_something(
    globs: tuple[str, ...], matched: list[str], operations: Mapping[str, Operation], model: FaultModel, fault: str
) -> None:
    if model.target.on_no_match == "ignore":
        return
    for glob in globs:
        if not any(fnmatchcase(operations[name].name, glob) for name in matched):
            near = get_close_matches(glob, [each.name for each in operations.values()], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            services = ", ".join(model.target.service)
            raise UsageError(f"fault {fault}: {glob!r} names no operation of {services}{hint}")
