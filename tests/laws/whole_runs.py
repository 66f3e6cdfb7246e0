"""What the laws of whole runs share: small plans made of shipped scenarios, and runs that keep every case."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from pagerproof.experiment.boundary import Boundary
from pagerproof.experiment.plan import Plan, make_plan
from pagerproof.experiment.run import set_stage
from pagerproof.experiment.simulation import RunEnd
from pagerproof.protocols import Call, Case, Decision
from pagerproof.trace.journal import request_digest

FLAGSHIP = "ten_thousand_and_first"


def cut(name: str = FLAGSHIP, **options: Any) -> Plan:
    """Return the plan of a shipped scenario with few customers, which are what a short run spends its time on."""
    plan = make_plan(name, **options)
    workload = plan.scenario.workload.model_copy(update={"customers_per_locale": 10, "locales": ("en_US", "ja_JP")})
    return replace(plan, scenario=plan.scenario.model_copy(update={"workload": workload}))


Evaluated = tuple[int, str, int]
"""What names a draw of the injector: (request index, operation, key of the call)."""


@dataclass(kw_only=True)
class Seen:
    """What one run showed: each case by index, and for every call the faults that were drawn for it."""

    cases: dict[int, Case] = field(default_factory=dict)
    drawn: dict[Evaluated, tuple[str, ...]] = field(default_factory=dict)
    attempts: dict[int, list[tuple[int, str, int]]] = field(default_factory=dict)  # (attempt, operation, key)
    arguments: dict[int, set[str]] = field(default_factory=dict)  # the texts that a request asked its tools about
    end: RunEnd | None = None

    def digests(self) -> dict[int, bytes]:
        """Return the digest of each request."""
        return {index: request_digest(index, case.log) for index, case in self.cases.items()}

    def strikes(self) -> list[tuple[Evaluated, str]]:
        """Return every decision that was carried out, in the order of the run's requests."""
        return sorted(
            ((index, operation, key), fault)
            for (index, operation, key), faults in self.drawn.items()
            for fault in faults
        )


class Recorder:
    """An injector around another: it writes down every draw, and takes one decision back where it is told to."""

    def __init__(self, injector: Any, seen: Seen, taken_back: tuple[Evaluated, str] | None = None) -> None:
        self._injector = injector
        self._seen = seen
        self._taken_back = taken_back
        self.exchange = injector.exchange

    def decide(self, call: Call) -> list[Decision] | None:
        """Ask the other injector, and write down what it drew: what it limits or pre-empts included."""
        decisions = self._injector.decide(call)
        seen, index, operation = self._seen, call.case.index, call.operation.full_name
        name = (index, operation, call.key)
        assert name not in seen.drawn, "two calls have one key"
        drawn = [each.fault for each in call.case.decisions if each.call == call.number] if call.case.decisions else []
        seen.drawn[name] = tuple(drawn)
        seen.attempts.setdefault(index, []).append((call.attempt, operation, call.key))
        if operation != "llm.Chat.create":
            texts = {value for value in call.arguments.values() if isinstance(value, str)}
            seen.arguments.setdefault(index, set()).update(texts)
        if decisions and self._taken_back is not None and self._taken_back[0] == name:
            decisions = [each for each in decisions if each.fault != self._taken_back[1]]
        return decisions or None


def watched(plan: Plan, *, taken_back: tuple[Evaluated, str] | None = None, forced: Any = None) -> Seen:
    """Run the plan and return what it showed; without the one decision `taken_back`, if that is given."""
    stage = set_stage(plan, forced=forced)
    seen = Seen()
    services = {service.name: service for service in stage.boundary.services.values()}
    boundary = Boundary(
        loop=stage.loop,
        seed=plan.seed,
        services=services,
        injector=Recorder(stage.injector, seen, taken_back),
        limits=plan.scenario.limits,
    )
    stage = replace(stage, boundary=boundary)

    def take(case: Case) -> None:
        seen.cases[case.index] = case

    seen.end = stage.simulation(take).run()
    assert seen.end.stopped_by is None
    return seen
