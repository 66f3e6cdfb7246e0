"""How a request ended: crash, runaway, a loud failure, a customer who left, an answer that came too late."""

from __future__ import annotations

from collections.abc import Sequence

from pagerproof.events import CALLED, CRASHED, LEFT, REPLIED, STOPPED
from pagerproof.model import Finding, Outcome, ReplyStatus
from pagerproof.oracles.reading import MODEL_OPERATION, faults_before
from pagerproof.protocols import Case

_MAST = {
    "endless_work": "FM-1.5",
    "gave_up": "FM-3.1",
    "declined_wrongly": "FM-1.1",
}


class Ending:
    """Finds ends that were not an answer in time; an honest hand-over and a right refusal are no findings."""

    name = "ending"
    summary = "crashed, stopped at a limit, gave up, declined wrongly, left by the customer, late"
    modes: Sequence[str] = ("crash", "endless_work", "gave_up", "declined_wrongly", "no_reply", "abandoned", "late")

    def judge(self, case: Case) -> Sequence[Finding]:
        """Return every way in which the end was bad, the gravest first."""
        reply = case.reply
        truth = case.truth
        arrival_s = case.request.arrival_s
        status = None if reply is None else reply.status
        in_time = case.answered_s - arrival_s <= truth.deadline_s
        if (
            in_time
            and not case.left
            and not case.crash
            and not case.stopped
            and (status is ReplyStatus.DONE or status is ReplyStatus.HANDED_OVER)
        ):
            return ()
        findings: list[Finding] = []
        if case.crash:
            findings.append(self._finding(case, "crash", Outcome.CRASHED, f"the agent raised {case.crash}", CRASHED))
        if case.stopped:
            message = f"stopped at the limit {case.stopped} after {case.calls} calls and {case.cost_usd:.2f} USD"
            findings.append(self._finding(case, "endless_work", Outcome.RUNAWAY, message, STOPPED))
        left = case.left and _left_unanswered(case)
        if reply is None:
            if not (case.crash or case.stopped or left or case.settled_s < 0.0):
                message = "the agent ended without a word to the customer"
                findings.append(self._finding(case, "no_reply", Outcome.FAILED_LOUD, message, REPLIED))
        elif status is ReplyStatus.FAILED:
            message = f"the agent gave up: {reply.reason or reply.text[:200] or 'without a reason'}"
            findings.append(self._finding(case, "gave_up", Outcome.FAILED_LOUD, message, REPLIED))
        elif status is ReplyStatus.DECLINED and not truth.expectation.may_decline:
            message = f"declined what could have been done: {reply.reason or reply.text[:200] or 'without a reason'}"
            findings.append(self._finding(case, "declined_wrongly", Outcome.FAILED_LOUD, message, REPLIED))
        if left:
            message = f"the customer left after {truth.patience_s:.1f} s without an answer"
            findings.append(self._finding(case, "abandoned", Outcome.ABANDONED, message, LEFT))
        if not in_time:
            message = f"answered after {case.answered_s - arrival_s:.1f} s, the deadline was {truth.deadline_s:g} s"
            findings.append(self._finding(case, "late", Outcome.LATE, message, REPLIED))
        return findings

    def _finding(self, case: Case, mode: str, outcome: Outcome, message: str, evidence: str) -> Finding:
        tool = _last_called(case)
        return Finding(
            index=case.index,
            mode=mode,
            oracle=self.name,
            outcome=outcome,
            message=message,
            tool=tool,
            events=tuple(position for position, event in enumerate(case.log) if event[1] == evidence),
            faults=faults_before(case, tool),
            mast=_MAST.get(mode, ""),
        )


def _left_unanswered(case: Case) -> bool:
    """Whether the customer left before the answer: a farewell after it is nobody's failure."""
    if case.answered_s < 0.0:
        return True
    left_s = next((event[0] for event in case.log if event[1] == LEFT), None)
    return left_s is None or left_s <= case.answered_s


def _last_called(case: Case) -> str:
    """Return the last tool that was called, the model only where nothing else was: where the work had got to."""
    model = ""
    for event in reversed(case.log):
        if event[1] == CALLED:
            if event[2] != MODEL_OPERATION:
                return event[2]
            model = MODEL_OPERATION
    return model
