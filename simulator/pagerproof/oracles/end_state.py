"""End state: compares how the records read after the request's own effects with how they read after the right ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pagerproof.model import Finding, Outcome, ReplyStatus, end_state_of
from pagerproof.oracles.reading import faults_before, operation_of, positions
from pagerproof.protocols import Case

_PLACES_SHOWN = 3


class EndState:
    """Finds requests that left the records in another state than the one their expectation names.

    By which writes a state was reached does not matter, and a write that was undone is none; what the customer was told
    is not looked at. A difference under a reply that says done is a silent failure, any other a tag. The ledger's
    oracle, which says nothing where the end state is right, gives the difference its more telling name
    (claimed_and_absent, wrong_details, ...) where single effects explain it.
    """

    name = "end_state"
    summary = "the records after the request's own effects against the records after the right ones"
    modes: Sequence[str] = ("wrong_end_state",)

    def judge(self, case: Case) -> Sequence[Finding]:
        """Return the difference between the two states, where there is one that anybody must answer for."""
        wanted = case.truth.expectation.end_state
        if wanted is None:
            return ()
        reached = end_state_of(case.effects)
        said_done = case.reply is not None and case.reply.status is ReplyStatus.DONE
        if reached == wanted or not (said_done or reached):
            return ()
        calls = [entry.call for entry in case.effects]
        last_call = max(calls, default=0)
        tool = operation_of(case, last_call) or (case.truth.path[-1].operation if case.truth.path else "")
        return (
            Finding(
                index=case.index,
                mode="wrong_end_state",
                oracle=self.name,
                outcome=Outcome.FAILED_SILENT if said_done else None,
                message=_difference(wanted, reached),
                tool=tool,
                events=positions(case, calls=calls),
                faults=faults_before(case, tool, last_call),
                mast="FM-3.2",
            ),
        )


def _difference(wanted: Mapping[str, str], reached: Mapping[str, str]) -> str:
    places = [place for place in dict.fromkeys((*wanted, *reached)) if wanted.get(place) != reached.get(place)]
    shown = "; ".join(
        f"{place} is {reached.get(place, 'unchanged')}, asked {wanted.get(place, 'unchanged')}"
        for place in places[:_PLACES_SHOWN]
    )
    left = len(places) - _PLACES_SHOWN
    return f"{shown}; and {left} more" if left > 0 else shown
