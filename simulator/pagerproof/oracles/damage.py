"""Damaged data: answers that a fault had changed, read by the agent and worked with as if they were true."""

from __future__ import annotations

from collections.abc import Sequence

from pagerproof.events import ANSWERED, CALLED, VALVE
from pagerproof.model import Finding, ReplyStatus
from pagerproof.oracles.reading import damages, is_read
from pagerproof.protocols import Case


class DamagedData:
    """Tags requests that read a damaged answer under a good status, asked nobody again, and ended as done.

    Damaged: a fault with a result to observe was delivered into a read's 2xx answer and its bytes were read; effects
    that leave an answer whole (stale, slow, refused) do not count. Noticed: a valve acted, or the same operation was
    called again, anywhere after that answer.
    """

    name = "damage"
    summary = "damaged answers taken for true"
    modes: Sequence[str] = ("accepted_damaged_data",)

    def judge(self, case: Case) -> Sequence[Finding]:
        """Return one tag per damaged answer that was accepted."""
        if not case.decisions or case.reply is None or case.reply.status is not ReplyStatus.DONE:
            return ()
        damaged = {
            decision.call: decision
            for decision in case.decisions
            if decision.seen and damages(decision) and is_read(decision.operation)
        }
        if not damaged:
            return ()
        findings = []
        for call, decision in damaged.items():
            position = _good_answer(case, call)
            if position >= 0 and not _noticed(case, position, decision.operation):
                message = f"the answer of {decision.operation} came damaged by {decision.fault} and was taken for true"
                findings.append(
                    Finding(
                        index=case.index,
                        mode="accepted_damaged_data",
                        oracle=self.name,
                        outcome=None,
                        message=message,
                        tool=decision.operation,
                        events=(position,),
                        faults=(decision.fault,),
                        mast="FM-3.2",
                    )
                )
        return findings


def _good_answer(case: Case, call: int) -> int:
    for position, event in enumerate(case.log):
        if event[3] == call and event[1] == ANSWERED:
            return position if 200 <= event[4] < 300 else -1
    return -1


def _noticed(case: Case, position: int, operation: str) -> bool:
    return any(
        event[1] == VALVE or (event[1] == CALLED and event[2] == operation) for event in case.log[position + 1 :]
    )
