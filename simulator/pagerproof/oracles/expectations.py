"""What a fault model may expect: invariants that must hold under it, and facts of the world that it should reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pagerproof.events import ANSWERED, BROKE, CALLED, CANCELLED, REPLIED, TIMED_OUT, VALVE, Event
from pagerproof.model import Finding, Outcome, ReplyStatus, Verdict
from pagerproof.oracles.reading import MODEL_OPERATION, is_read, service_of
from pagerproof.protocols import Case

Kind = Literal["always", "sometimes"]

BIMODAL_RATIO: Final = 5.0  # a struck call this much slower than the quickest of its service: two kinds of nodes
QUEUE_WAIT_LONG_S: Final = 30.0
_ENDS: Final = frozenset({ANSWERED, TIMED_OUT, BROKE, CANCELLED})


class Struck:
    """One settled request with what one fault delivered to it. `calls` are the numbers of the struck calls."""

    __slots__ = ("calls", "case", "decisions", "fault", "verdict")

    def __init__(self, case: Case, verdict: Verdict, fault: str) -> None:
        self.case = case
        self.verdict = verdict
        self.fault = fault
        self.decisions = [each for each in case.decisions if each.fault == fault and each.fate == "delivered"]
        self.calls = frozenset(each.call for each in self.decisions)

    def end_of(self, call: int) -> int:
        """Return where in the log the call ended, or -1."""
        for position, event in enumerate(self.case.log):
            if event[3] == call and event[1] in _ENDS:
                return position
        return -1

    def start_of(self, call: int) -> int:
        """Return where in the log the call began, or -1."""
        for position, event in enumerate(self.case.log):
            if event[3] == call and event[1] == CALLED:
                return position
        return -1

    def failed(self, call: int) -> bool:
        """Whether the call brought no good answer."""
        end = self.end_of(call)
        return end >= 0 and not _is_good(self.case.log[end])

    def again_after(self, call: int) -> Event | None:
        """Return the next time that the operation was called with the same arguments, after this call's end."""
        begun, end = self.start_of(call), self.end_of(call)
        if begun < 0 or end < 0:
            return None
        log = self.case.log
        first = log[begun]
        for event in log[end + 1 :]:
            if event[1] == CALLED and event[2] == first[2] and event[5] == first[5]:
                return event
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """What must hold for every request that a fault strikes, whatever else happens to it.

    It is broken where an oracle finds one of `modes` in such a request; with `outcome`, only where the finding leads
    to that outcome; with `said`, only where the reply says so.
    """

    name: str
    sentence: str
    modes: tuple[str, ...]
    outcome: Outcome | None = None
    said: ReplyStatus | None = None
    kind: Kind = "always"

    @property
    def decided_by(self) -> str:
        """In words, what it is decided from."""
        return f"broken by a finding of {', '.join(self.modes)}"

    def broken_by(self, case: Case, verdict: Verdict) -> list[Finding]:
        """Return the findings that break it."""
        if self.said is not None and (case.reply is None or case.reply.status is not self.said):
            return []
        return [
            finding
            for finding in verdict.findings
            if finding.mode in self.modes and (self.outcome is None or finding.outcome is self.outcome)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldFact:
    """What should come about now and then under a fault; where it never does, the fault has not been exercised much.

    `reached` decides it for one request: one that the fault has struck, or, for a fact `of_the_world`, any request,
    since what a fault does to a service is met by others.
    """

    name: str
    sentence: str
    decided_by: str
    reached: Callable[[Struck], bool]
    of_the_world: bool = False
    kind: Kind = "sometimes"


Expectation = Invariant | WorldFact


# --- how facts are decided


def _is_good(event: Event) -> bool:
    return event[1] == ANSWERED and 200 <= event[4] < 300


def _ended_as(struck: Struck, kind: str) -> bool:
    return any(event[1] == kind and event[3] in struck.calls for event in struck.case.log)


def _client_timeout(struck: Struck) -> bool:
    return _ended_as(struck, TIMED_OUT)


def _undecodable(struck: Struck) -> bool:
    return any(decision.undecodable for decision in struck.decisions)


def _bad_data_accepted(struck: Struck) -> bool:
    return any(
        finding.mode == "accepted_damaged_data" and struck.fault in finding.faults
        for finding in struck.verdict.findings
    )


def _late(struck: Struck) -> bool:
    return any(finding.mode == "late" for finding in struck.verdict.findings)


def _retried(struck: Struck) -> bool:
    return any(struck.failed(call) and struck.again_after(call) is not None for call in struck.calls)


def _retry_after_obeyed(struck: Struck) -> bool:
    for decision in struck.decisions:
        if decision.retry_after_s < 0.0:
            continue
        again, end = struck.again_after(decision.call), struck.end_of(decision.call)
        if again is not None and again[0] - struck.case.log[end][0] >= decision.retry_after_s - 1e-9:
            return True
    return False


def _said(struck: Struck, *statuses: ReplyStatus) -> bool:
    reply = struck.case.reply
    return reply is not None and reply.status in statuses


def _handed_over(struck: Struck) -> bool:
    return _said(struck, ReplyStatus.HANDED_OVER)


def _broken_off(struck: Struck) -> bool:
    return not struck.case.stopped and _said(struck, ReplyStatus.HANDED_OVER, ReplyStatus.FAILED)


def _session_reopened(struck: Struck) -> bool:
    first = min((struck.end_of(call) for call in struck.calls), default=-1)
    log = struck.case.log
    return first >= 0 and any(event[2] == "sap.Session.open" and _is_good(event) for event in log[first + 1 :])


def _committed_without_answer(struck: Struck) -> bool:
    return any(entry.call in struck.calls and struck.failed(entry.call) for entry in struck.case.effects)


def _stale_accepted(struck: Struck) -> bool:
    return _said(struck, ReplyStatus.DONE) and any(
        decision.seen and is_read(decision.operation) and struck.again_after(decision.call) is None
        for decision in struck.decisions
        if not struck.failed(decision.call)
    )


def _unknown_tool(struck: Struck) -> bool:
    # The boundary answers a tool that no service has in the same instant, and names no arguments.
    log = struck.case.log
    return any(
        event[1] == CALLED
        and not event[5]
        and event[2] != MODEL_OPERATION
        and log[position + 1][3:5] == (event[3], 404)
        for position, event in enumerate(log[:-1])
    )


def _asked_again(struck: Struck) -> bool:
    log = struck.case.log
    for call in struck.calls:
        begun, end = struck.start_of(call), struck.end_of(call)
        if begun < 0 or end < 0:
            continue
        following = next((event for event in log[end + 1 :] if event[1] in (CALLED, REPLIED)), None)
        if following is not None and following[1] == CALLED and following[2::3] == log[begun][2::3]:
            return True
    return False


def _mismatch_noticed(struck: Struck) -> bool:
    log = struck.case.log
    for call in struck.calls:
        begun, end = struck.start_of(call), struck.end_of(call)
        if begun < 0 or end < 0 or not _is_good(log[end]):
            continue
        following = next((event for event in log[end + 1 :] if event[1] in (CALLED, VALVE, REPLIED)), None)
        if following is not None and (
            following[1] == VALVE or (following[1] == CALLED and following[2::3] == log[begun][2::3])
        ):
            return True
    return False


def _found_by_reading_back(struck: Struck) -> bool:
    log = struck.case.log
    for decision in struck.decisions:
        end = struck.end_of(decision.call)
        if end < 0 or not _is_good(log[end]) or is_read(decision.operation):
            continue
        service = service_of(decision.operation)
        looked = any(
            event[1] == CALLED and is_read(event[2]) and service_of(event[2]) == service for event in log[end + 1 :]
        )
        if looked and (not _said(struck, ReplyStatus.DONE) or struck.again_after(decision.call) is not None):
            return True
    return False


def _pool_exhausted(struck: Struck) -> bool:
    return any(event[1] == ANSWERED and event[3] in struck.calls and event[4] == 503 for event in struck.case.log)


def _duplicate_refused(struck: Struck) -> bool:
    committed = [entry.call for entry in struck.case.effects]
    return any(decision.keyed and committed.count(decision.call) == 1 for decision in struck.decisions)


def _key_forgotten(struck: Struck) -> bool:
    keyed = {decision.call for decision in struck.decisions if decision.keyed}
    earlier = set()
    for entry in struck.case.effects:
        what = (entry.service, entry.kind, entry.entity, entry.amount_minor)
        if entry.call in keyed and what in earlier:
            return True
        earlier.add(what)
    return False


def _bimodal(struck: Struck) -> bool:
    began: dict[int, float] = {}
    slow: dict[str, float] = {}
    quick: dict[str, float] = {}
    for event in struck.case.log:
        call = event[3]
        if event[1] == CALLED:
            began[call] = event[0]
        elif event[1] in _ENDS and call in began:
            took_s, service = event[0] - began.pop(call), service_of(event[2])
            if call in struck.calls:
                slow[service] = max(took_s, slow.get(service, 0.0))
            elif event[1] == ANSWERED:
                quick[service] = min(took_s, quick.get(service, took_s))
    return any(took_s >= BIMODAL_RATIO * quick[service] > 0.0 for service, took_s in slow.items() if service in quick)


def _waited_long_at(service: str) -> Callable[[Struck], bool]:
    def waited_long(struck: Struck) -> bool:
        return any(
            note.what == "queued" and note.service == service and note.value_s > QUEUE_WAIT_LONG_S
            for note in struck.case.noted
        )

    return waited_long


def _left_lock_met(struck: Struck) -> bool:
    return any(note.what == "met a lock left behind" for note in struck.case.noted)


# --- the vocabulary


ALWAYS: Final[Mapping[str, Invariant]] = {
    each.name: each
    for each in (
        Invariant(
            name="no_success_claim_without_document",
            sentence="No reply says done where the systems of record hold no document of it.",
            modes=("claimed_and_absent", "partial"),
            said=ReplyStatus.DONE,
        ),
        Invariant(
            name="no_duplicate_document",
            sentence="Nothing is done twice, whether the agent owns up to it or not.",
            modes=("done_twice",),
        ),
        Invariant(
            name="no_wrong_amount",
            sentence="No document carries another amount than the one that was asked for.",
            modes=("wrong_amount",),
        ),
        Invariant(
            name="no_invented_data_told",
            sentence="No reply that says done tells the customer something untrue.",
            modes=("invented_fact", "wrong_fact_told"),
        ),
        Invariant(
            name="no_other_customers_data_told",
            sentence="No reply tells what belongs to another record, and nothing is written to one.",
            modes=("invented_fact", "wrong_fact_told", "wrong_customer"),
        ),
        Invariant(
            name="no_partial_answer_told",
            sentence="No reply says done and leaves out what was asked.",
            modes=("claimed_and_not_told",),
        ),
        Invariant(
            name="no_denial_of_existing_record",
            sentence="Nothing is declined that could have been done, or denied that stands in a ledger.",
            modes=("declined_wrongly", "done_and_denied"),
        ),
        Invariant(
            name="no_runaway",
            sentence="No request goes round in circles until a limit of ours stops it, or well beyond any sane budget.",
            modes=("endless_work", "tool_loop", "polite_loop"),
            outcome=Outcome.RUNAWAY,
        ),
    )
}
"""Every name that `expect.always` may hold."""

SOMETIMES: Final[Mapping[str, WorldFact]] = {
    each.name: each
    for each in (
        WorldFact(
            name="client_timeout",
            sentence="The caller's own timer ended a struck call.",
            decided_by="the event log: the struck call timed out",
            reached=_client_timeout,
        ),
        WorldFact(
            name="late_answer",
            sentence="A struck request was answered after its deadline.",
            decided_by="a finding of late",
            reached=_late,
        ),
        WorldFact(
            name="retried",
            sentence="A struck call failed and was made again with the same arguments.",
            decided_by="the event log: the operation and its arguments come again after the struck call had failed",
            reached=_retried,
        ),
        WorldFact(
            name="retry_after_obeyed",
            sentence="A struck call was made again, and not before its Retry-After was over.",
            decided_by="the struck answer's retry-after header and the time of the next same call",
            reached=_retry_after_obeyed,
        ),
        WorldFact(
            name="session_reopened",
            sentence="After a struck call a new session was opened.",
            decided_by="the event log: a good answer of sap.Session.open after the struck call",
            reached=_session_reopened,
        ),
        WorldFact(
            name="handed_over",
            sentence="A struck request was handed to a human.",
            decided_by="the reply's status",
            reached=_handed_over,
        ),
        WorldFact(
            name="loop_broken_off",
            sentence="The agent broke the talk off by itself and said so: it handed over, or said that it failed.",
            decided_by="the reply's status, where no limit of ours stopped the request",
            reached=_broken_off,
        ),
        WorldFact(
            name="asked_again",
            sentence="After a struck answer of the model, the model was asked anew in the same role before any tool.",
            decided_by="the event log: the next call is of the same operation and system message",
            reached=_asked_again,
        ),
        WorldFact(
            name="unknown_tool_answered",
            sentence="A tool was called that no service has, and the call was answered with 404.",
            decided_by="the event log: a call without arguments that the boundary itself refused",
            reached=_unknown_tool,
        ),
        WorldFact(
            name="undecodable_answer",
            sentence="A struck call was answered with a good status and a body that is not JSON.",
            decided_by="the struck answer's status and bytes, as they left the fault",
            reached=_undecodable,
        ),
        WorldFact(
            name="bad_data_accepted",
            sentence="A damaged answer was read, nothing was done about it, and the reply says done.",
            decided_by="a tag accepted_damaged_data that names this fault",
            reached=_bad_data_accepted,
        ),
        WorldFact(
            name="stale_data_accepted",
            sentence="An answer that was out of date was read and not asked for again, and the reply says done.",
            decided_by="the decision (seen), the event log and the reply's status",
            reached=_stale_accepted,
        ),
        WorldFact(
            name="mismatch_noticed",
            sentence="After a struck answer the next thing was a valve that acted, or the same call once more.",
            decided_by="the event log",
            reached=_mismatch_noticed,
        ),
        WorldFact(
            name="committed_without_answer",
            sentence="A struck write stands in the ledger, and its caller got no good answer.",
            decided_by="the ledger entry of the struck call, and how that call ended",
            reached=_committed_without_answer,
        ),
        WorldFact(
            name="found_by_reading_back",
            sentence="An acknowledged write was looked up, and then done again or not called done.",
            decided_by="the event log: a read of the service after the struck write; then the reply, or the same write",
            reached=_found_by_reading_back,
        ),
        WorldFact(
            name="duplicate_refused_by_key",
            sentence="A write that arrived twice under one idempotency key was done once.",
            decided_by="the struck call carried a key and left exactly one ledger entry",
            reached=_duplicate_refused,
        ),
        WorldFact(
            name="key_forgotten",
            sentence="A write that had been done was done again under its idempotency key.",
            decided_by="the struck call carried a key, and its ledger entry repeats an earlier one of the request",
            reached=_key_forgotten,
        ),
        WorldFact(
            name="pool_exhausted",
            sentence="A struck call was refused because no connection was free.",
            decided_by="the event log: 503 to the struck call",
            reached=_pool_exhausted,
        ),
        WorldFact(
            name="lock_met_later",
            sentence="A write found its record locked by a lock that an earlier call had left behind.",
            decided_by="what the service noted about the write, in any request",
            reached=_left_lock_met,
            of_the_world=True,
        ),
        WorldFact(
            name="latency_bimodal",
            sentence=f"In one request, a struck call took {BIMODAL_RATIO:g} times as long as another of its service.",
            decided_by="the event log: the slowest struck call against the quickest other one",
            reached=_bimodal,
        ),
        WorldFact(
            name="sap.queue_wait_exceeded_30s",
            sentence=f"A call stood in SAP's line for more than {QUEUE_WAIT_LONG_S:g} s.",
            decided_by="what the service noted about the call, in any request",
            reached=_waited_long_at("sap"),
            of_the_world=True,
        ),
    )
}
"""Every name that `expect.sometimes` may hold."""

EXPECTATIONS: Final[Mapping[Kind, Mapping[str, Expectation]]] = {"always": ALWAYS, "sometimes": SOMETIMES}
