"""End state: compares how the records read after the request's own effects with how they read after the right ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pagerproof.model import Finding, LedgerEntry, ReplyStatus, end_state_of
from pagerproof.oracles.ledger import LedgerReconciliation
from pagerproof.protocols import Case

_PLACES_SHOWN = 3


class EndState(LedgerReconciliation):
    """Judges requests whose expectation names an end state, in place of the ledger's oracle.

    It does not matter by which writes a state was reached, and a write that was undone is none. Where the states
    differ, the failure mode is the one that the ledger's oracle would give the effects (claimed_and_absent, partial,
    wrong_details, ...); a difference that no single effect explains is wrong_end_state. Nothing is said about what the
    customer was told.
    """

    name = "end_state"
    summary = "the records after the request's own effects against the records after the right ones"
    modes: Sequence[str] = (*LedgerReconciliation.modes, "wrong_end_state")

    def judge(self, case: Case) -> Sequence[Finding]:
        """Return why the end state is another one than it should be, the gravest first."""
        wanted = case.truth.expectation.end_state
        if wanted is None:
            return ()
        reply = case.reply
        status = None if reply is None else reply.status
        reached = end_state_of(case.effects)
        if reached == wanted and (status is ReplyStatus.DONE or status is ReplyStatus.HANDED_OVER or not wanted):
            return ()
        if not reached and status is not ReplyStatus.DONE:
            return ()
        findings = self._reconcile(case, reply)
        if not findings and reached != wanted:
            findings = [self._differs(case, wanted, reached)]
        return findings

    def _differs(self, case: Case, wanted: Mapping[str, str], reached: Mapping[str, str]) -> Finding:
        places = [place for place in _both(wanted, reached) if wanted.get(place) != reached.get(place)]
        shown = "; ".join(
            f"{place} is {reached.get(place, 'unchanged')}, asked {wanted.get(place, 'unchanged')}"
            for place in places[:_PLACES_SHOWN]
        )
        more = f"; and {len(places) - _PLACES_SHOWN} more" if len(places) > _PLACES_SHOWN else ""
        entries: list[LedgerEntry] = [entry for entry in case.effects if entry.details]
        return self._finding(case, "wrong_end_state", f"{shown}{more}", entries=entries)


def _both(wanted: Iterable[str], reached: Iterable[str]) -> Sequence[str]:
    return tuple(dict.fromkeys((*wanted, *reached)))
