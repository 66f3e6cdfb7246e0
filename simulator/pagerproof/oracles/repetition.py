"""Repetition: loops between model and tools, loops of politeness, and storms of retries."""

from __future__ import annotations

from collections.abc import Sequence

from pagerproof.events import ANSWERED, CALLED, Event
from pagerproof.model import Finding, Outcome, ReplyStatus
from pagerproof.oracles.reading import MODEL_OPERATION, faults_before, is_read
from pagerproof.protocols import Case

CALLS_PER_PURPOSE_MAX = 3  # physical calls per logical call; more is a retry storm
GOOD_ANSWERS_MAX = 5  # good answers to the same question asked anew; more is a tool loop
ROUNDS_NOTED = 3  # rounds of talk in one role without a tool call; more is noted
ROUNDS_MAX = 5  # ... and more than this, beyond any sane depth limit, is a polite loop that ran away

_Purpose = tuple[str, str, int]  # operation, canonical arguments, and for reads the number of writes before


class Repetition:
    """Finds the same thing done again and again.

    One purpose is one operation with the same canonical arguments; for a read, only until the next write, since looking
    again after a write is how careful agents work. `tool_loop`: asked anew (not as a retry) although
    good answers came, over GOOD_ANSWERS_MAX times. `polite_loop`: model calls under the same system message with no
    tool call between them: over ROUNDS_NOTED a tag, over ROUNDS_MAX a runaway, unless the agent broke off by itself and
    said so (handed over, or failed): then its own budget worked, and it is a tag. `retry_storm`: over
    CALLS_PER_PURPOSE_MAX physical calls for one purpose, a tag; retries by valves multiply repetitions by the agent.
    """

    name = "repetition"
    summary = "the same call or the same talk, again and again"
    modes: Sequence[str] = ("tool_loop", "polite_loop", "retry_storm")

    def judge(self, case: Case) -> Sequence[Finding]:
        """Return loops first, then storms."""
        if case.calls <= CALLS_PER_PURPOSE_MAX:
            return ()
        purposes: dict[_Purpose, int] = {}
        writes = 0
        talk: dict[str, int] = {}
        most_talk = most_tries = 0
        for event in case.log:
            if event[1] != CALLED:
                continue
            operation = event[2]
            if operation == MODEL_OPERATION:
                if event[4] > 1:
                    most_tries = max(most_tries, event[4])
                    continue
                role = event[5]
                talk[role] = rounds = talk.get(role, 0) + 1
                most_talk = max(most_talk, rounds)
            else:
                if talk:
                    talk = {}
                if is_read(operation):
                    purpose = (operation, event[5], writes)
                else:
                    writes += 1
                    purpose = (operation, event[5], 0)
                purposes[purpose] = purposes.get(purpose, 0) + 1
        storming = [each for each, calls in purposes.items() if calls > CALLS_PER_PURPOSE_MAX]
        if not storming and most_talk <= ROUNDS_NOTED and most_tries <= CALLS_PER_PURPOSE_MAX:
            return ()
        findings = [self._of_purpose(case, purpose) for purpose in storming]
        if most_talk > ROUNDS_NOTED:
            findings.append(self._talk(case, most_talk))
        if most_tries > CALLS_PER_PURPOSE_MAX:
            findings.append(self._model_storm(case, most_tries))
        return sorted(findings, key=lambda finding: (finding.outcome is None, self.modes.index(finding.mode)))

    def _of_purpose(self, case: Case, purpose: _Purpose) -> Finding:
        operation = purpose[0]
        calls = _calls_of(case, purpose)
        asked_anew = {event[3] for _, event in calls if event[4] <= 1}
        good = sum(event[1] == ANSWERED and event[3] in asked_anew and 200 <= event[4] < 300 for event in case.log)
        loop = good > GOOD_ANSWERS_MAX
        if loop:
            message = f"asked {operation} the same thing {len(asked_anew)} times and got {good} good answers"
        else:
            by_agent = max(len(asked_anew), 1)
            message = (
                f"{len(calls)} physical calls of {operation} for one purpose: {by_agent} by the agent, "
                f"times {len(calls) / by_agent:.1f} by retries"
            )
        return self._finding(
            case, "tool_loop" if loop else "retry_storm", message, operation, [position for position, _ in calls], loop
        )

    def _talk(self, case: Case, rounds: int) -> Finding:
        talk = [position for position, event in enumerate(case.log) if _is_model_call(event[1], event[2])]
        message = f"{rounds} rounds of the model in one role without a tool call between them"
        ran_away = rounds > ROUNDS_MAX and not _broke_off(case)
        return self._finding(case, "polite_loop", message, MODEL_OPERATION, talk, ran_away)

    def _model_storm(self, case: Case, tries: int) -> Finding:
        retried = [
            position for position, event in enumerate(case.log) if _is_model_call(event[1], event[2]) and event[4] > 1
        ]
        message = f"{tries} physical calls of {MODEL_OPERATION} for one purpose, by retries"
        return self._finding(case, "retry_storm", message, MODEL_OPERATION, retried, False)

    def _finding(self, case: Case, mode: str, message: str, tool: str, events: Sequence[int], runaway: bool) -> Finding:
        return Finding(
            index=case.index,
            mode=mode,
            oracle=self.name,
            outcome=Outcome.RUNAWAY if runaway else None,
            message=message,
            tool=tool,
            events=tuple(events),
            faults=faults_before(case, tool),
            mast="FM-1.5" if mode == "polite_loop" else "FM-1.3",
        )


def _broke_off(case: Case) -> bool:
    return case.reply is not None and case.reply.status in (ReplyStatus.HANDED_OVER, ReplyStatus.FAILED)


def _calls_of(case: Case, purpose: _Purpose) -> list[tuple[int, Event]]:
    """Return the calls made for one purpose, with their positions in the log."""
    operation, arguments, after_writes = purpose
    writes = 0
    found = []
    for position, event in enumerate(case.log):
        if event[1] != CALLED or event[2] == MODEL_OPERATION:
            continue
        read = is_read(event[2])
        writes += not read
        if event[2] == operation and event[5] == arguments and (not read or writes == after_writes):
            found.append((position, event))
    return found


def _is_model_call(kind: str, name: str) -> bool:
    return kind == CALLED and name == MODEL_OPERATION
