"""The tally of expectations: for every fault of a run, whether its invariants held and which facts it reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from pagerproof.metrics.result import ExpectationResult, ExpectationStatus
from pagerproof.model import Verdict
from pagerproof.oracles.expectations import ALWAYS, SOMETIMES, Invariant, Kind, Struck, WorldFact
from pagerproof.protocols import Case

BROKEN = "expectation_violated"
"""The tag of a request that broke an invariant of a fault that struck it."""

INDICES_MAX = 20


class Stated(Protocol):
    """What a fault model states under `expect`."""

    @property
    def always(self) -> tuple[str, ...]:
        """Names of invariants."""
        ...

    @property
    def sometimes(self) -> tuple[str, ...]:
        """Names of facts of the world."""
        ...


class _Count:
    """The requests that broke one invariant, or reached one fact, of one fault."""

    __slots__ = ("blamed", "count", "first", "first_unscripted", "indices", "scripted")

    def __init__(self) -> None:
        self.count = 0
        self.blamed = 0
        self.scripted = 0
        self.first: int | None = None
        self.first_unscripted: int | None = None
        self.indices: list[int] = []

    def add(self, index: int, *, scripted: bool, blamed: bool = False) -> None:
        self.count += 1
        self.blamed += blamed
        self.scripted += scripted
        if self.first is None or index < self.first:
            self.first = index
        if not scripted and (self.first_unscripted is None or index < self.first_unscripted):
            self.first_unscripted = index
        # Requests settle out of order: keep a margin, and sort it out now and then.
        self.indices.append(index)
        if len(self.indices) >= 4 * INDICES_MAX:
            self.lowest()

    def lowest(self) -> tuple[int, ...]:
        self.indices = sorted(self.indices)[:INDICES_MAX]
        return tuple(self.indices)


class _Row:
    """What one fault's model states, and the count of each."""

    __slots__ = ("facts", "invariants", "struck", "world_facts")

    def __init__(self, stated: Stated) -> None:
        self.struck = 0
        self.invariants: list[tuple[Invariant, _Count]] = [(ALWAYS[name], _Count()) for name in stated.always]
        facts: list[tuple[WorldFact, _Count]] = [(SOMETIMES[name], _Count()) for name in stated.sometimes]
        self.facts = [each for each in facts if not each[0].of_the_world]
        self.world_facts = [each for each in facts if each[0].of_the_world]


class ExpectationTally:
    """Takes settled requests in any order; `of(fault)` is what has become of that fault's expectations.

    `stated` says for every fault id of the run what its model expects; every name must be in the vocabulary of
    `pagerproof.oracles.expectations`.
    """

    def __init__(self, stated: Mapping[str, Stated]) -> None:
        self._rows = {fault: _Row(each) for fault, each in stated.items()}
        self._anywhere = [(fault, row) for fault, row in self._rows.items() if row.world_facts]

    def take(self, case: Case, verdict: Verdict) -> bool:
        """Take one judged request; return whether it broke an invariant of a fault that struck it."""
        decisions = case.decisions
        if (not decisions and not case.noted) or case.settled_s < 0.0:
            return False
        delivered = [each for each in decisions if each.fate == "delivered"]
        scripted = case.truth.scripted or any(each.scripted for each in delivered)
        if case.noted:
            for fault, row in self._anywhere:
                _count_facts(row.world_facts, Struck(case, verdict, fault), scripted=scripted)
        broken = False
        for fault in dict.fromkeys([each.fault for each in delivered]):
            striking = self._rows.get(fault)
            if striking is None:
                continue
            striking.struck += 1
            if verdict.findings:
                broken |= _count_broken(striking, fault, case, verdict, scripted=scripted)
            if striking.facts:
                _count_facts(striking.facts, Struck(case, verdict, fault), scripted=scripted)
        return broken

    def of(self, fault: str) -> tuple[ExpectationResult, ...]:
        """Return one result per stated expectation, invariants first, as the file has them."""
        row = self._rows.get(fault)
        if row is None:
            return ()
        invariants = [
            _result(each.name, "always", count, row.struck, "violated" if count.count else "held")
            for each, count in row.invariants
        ]
        facts = [
            _result(each.name, "sometimes", count, row.struck, "reached" if count.count else "not reached")
            for each, count in row.facts + row.world_facts
        ]
        return (*invariants, *facts)


def _count_broken(row: _Row, fault: str, case: Case, verdict: Verdict, *, scripted: bool) -> bool:
    broken = False
    for invariant, count in row.invariants:
        findings = invariant.broken_by(case, verdict)
        if findings:
            broken = True
            count.add(case.index, scripted=scripted, blamed=any(fault in each.faults for each in findings))
    return broken


def _count_facts(facts: Iterable[tuple[WorldFact, _Count]], struck: Struck, *, scripted: bool) -> None:
    for fact, count in facts:
        if fact.reached(struck):
            count.add(struck.case.index, scripted=scripted)


def _result(name: str, kind: Kind, count: _Count, struck: int, status: ExpectationStatus) -> ExpectationResult:
    if not struck:
        return ExpectationResult(name=name, kind=kind, status="not exercised")
    return ExpectationResult(
        name=name,
        kind=kind,
        status=status,
        struck=struck,
        count=count.count,
        blamed=count.blamed,
        scripted=count.scripted,
        first_index=count.first,
        first_unscripted=count.first_unscripted,
        indices=count.lowest(),
    )
