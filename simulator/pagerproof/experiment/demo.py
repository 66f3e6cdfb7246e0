"""Compares two runs of one seed by request index, and finds the valves that made the difference."""

from __future__ import annotations

from pagerproof.experiment.plan import PlanSpec
from pagerproof.experiment.run import Execution, execute
from pagerproof.model import Outcome, Verdict
from pagerproof.reporting.side_by_side import Differences, Ended, Spotlight
from pagerproof.trace.store import RunFolder

_FIRST_SHOWN = 3


def execute_spec(spec: PlanSpec, folder: RunFolder) -> Execution:
    """Run a plan to its end, without a baseline: what a process beside this one does for a demo."""
    return execute(spec.plan(), out=None, folder=folder)


def compare(left: Execution, right: Execution) -> Differences:
    """Return where two runs over the same requests part; valves are credited where the right one fares better."""
    theirs, ours = left.table.finish(), right.table.finish()
    rank = {outcome: number for number, outcome in enumerate(Outcome)}
    left_rows = {int(index): row for row, index in enumerate(theirs.rows["index"])}
    valves = ours.sets("valves")
    pairs: dict[tuple[str, str], list[int]] = {}
    credited: dict[str, list[int]] = {}
    for row, index in enumerate(int(each) for each in ours.rows["index"]):
        there = left_rows.get(index)
        if there is None:
            continue
        before, after = theirs.outcome_of(there), ours.outcome_of(row)
        if before is after:
            continue
        pairs.setdefault((before.value, after.value), []).append(index)
        if before.is_failure and rank[after] > rank[before]:
            for valve in valves[row]:
                credited.setdefault(valve, []).append(index)
    return Differences(
        pairs=tuple(
            (before, after, len(indices), tuple(indices[:_FIRST_SHOWN]))
            for (before, after), indices in sorted(pairs.items(), key=lambda item: -len(item[1]))
        ),
        by_valve=tuple(
            (valve, len(indices), tuple(indices[:_FIRST_SHOWN]))
            for valve, indices in sorted(credited.items(), key=lambda item: -len(item[1]))
        ),
        spotlight=_spotlight(left, right),
    )


def _spotlight(left: Execution, right: Execution) -> Spotlight | None:
    """Return the last request that the scenario scripts, as both agents left it."""
    both = left.scripted.keys() & right.scripted.keys()
    if not both:
        return None
    index = max(both)
    return Spotlight(index=index, left=_ended(left.scripted[index]), right=_ended(right.scripted[index]))


def _ended(verdict: Verdict) -> Ended:
    message = next((finding.message for finding in verdict.findings if finding.mode == verdict.mode), "")
    return Ended(outcome=verdict.outcome.value, mode=verdict.mode, message=message)
