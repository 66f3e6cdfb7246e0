"""How oracles read a finished case: which call did what, where it stands in the log, which faults came before it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from pagerproof.events import ANSWERED, BROKE, CALLED, CANCELLED, LEDGER, REPLIED, TIMED_OUT
from pagerproof.model import ExpectedEffect, LedgerEntry
from pagerproof.protocols import Case, Decision

MODEL_OPERATION = "llm.Chat.create"

_READING_VERBS = frozenset({"calculate", "get", "find", "list", "search", "track", "slots", "open", "think", "verify"})
_LEAVES_IT_WHOLE = frozenset(
    {"delay", "drop_connection", "expire_session", "hold", "slow_work", "stale", "timeout"}
    | {"connect", "reset_body", "half_headers", "bad_chunk", "slow_bytes"}
)
_ENDS_OF_CALL = frozenset({ANSWERED, TIMED_OUT, BROKE, CANCELLED})


def service_of(operation: str) -> str:
    """Return the service's name out of `service.Entity.verb`."""
    return operation.partition(".")[0]


@cache
def is_read(operation: str) -> bool:
    """Whether the operation's verb only reads (`get`, or `get_user_details`); unknown verbs count as writes."""
    return operation.rpartition(".")[2].partition("_")[0] in _READING_VERBS


def money(amount_minor: int | None, currency: str = "") -> str:
    """Return `129.80 EUR` for 12980 minor units, and the empty text where no money moves.

    Every currency of the simulated world has two decimals.
    """
    return "" if amount_minor is None else f"{amount_minor / 100:.2f} {currency}".rstrip()


def operation_of(case: Case, call: int) -> str:
    """Return the operation of the call with this number, or the empty text."""
    for event in case.log:
        if event[3] == call and event[1] == CALLED:
            return event[2]
    return ""


def operation_behind(case: Case, effect: ExpectedEffect) -> str:
    """Return the operation that should have left `effect`.

    It is the writing step of the happy path on that service whose name shares most with the effect's kind.
    """
    steps = [
        step.operation
        for step in case.truth.path
        if service_of(step.operation) == effect.service and not is_read(step.operation)
    ]
    if not steps:
        return effect.service
    stems = [part[:5] for part in effect.kind.split("_")]

    def likeness(operation: str) -> int:
        squeezed = operation.casefold().replace("_", "")
        return sum(stem in squeezed for stem in stems)

    return max(steps, key=likeness)


def positions(case: Case, *, calls: Iterable[int] = (), operation: str = "") -> tuple[int, ...]:
    """Return where these calls, the calls to `operation` and the reply stand in the log."""
    wanted = set(calls)
    found = []
    for position, event in enumerate(case.log):
        kind = event[1]
        of_call = event[3] in wanted and (kind in (CALLED, LEDGER) or kind in _ENDS_OF_CALL)
        of_operation = operation != "" and event[2] == operation and (kind == CALLED or kind in _ENDS_OF_CALL)
        if of_call or of_operation or kind == REPLIED:
            found.append(position)
    return tuple(found)


def fate_of(case: Case, operation: str) -> str:
    """Return in words how often `operation` was called and how its last call ended."""
    calls, end = 0, "never ended"
    for event in case.log:
        if event[2] != operation:
            continue
        kind = event[1]
        if kind == CALLED:
            calls, end = calls + 1, "never ended"
        elif kind == ANSWERED:
            end = f"answered {event[4]}"
        elif kind in _ENDS_OF_CALL:
            end = kind.replace("_", " ")
    if not calls:
        return f"{operation} was never called"
    return f"{calls} call{'s' * (calls > 1)} to {operation}, the last {end}"


def damages(decision: Decision) -> bool:
    """Whether the fault was delivered into the bytes of an answer; what leaves an answer whole does not count."""
    return (
        decision.fate == "delivered"
        and decision.observable == "result"
        and not _LEAVES_IT_WHOLE.issuperset(decision.detail.split("+"))
    )


def faults_before(case: Case, operation: str, upto_call: int = 0) -> tuple[str, ...]:
    """Return the fault ids in the causal path of what went wrong at `operation`.

    A heuristic, in this order, and the first that finds any decides: faults delivered to calls of that operation; to
    calls of its service; to any call whose result or delay the agent saw. Only calls up to `upto_call` count where
    it is given, since nothing that struck later can have caused the effect of that call.
    """
    delivered = [
        decision
        for decision in case.decisions
        if decision.fate == "delivered" and (not upto_call or decision.call <= upto_call)
    ]
    if not delivered:
        return ()
    service = service_of(operation)
    for struck in (
        [each.fault for each in delivered if each.operation == operation],
        [each.fault for each in delivered if service_of(each.operation) == service],
        [each.fault for each in delivered if each.seen or each.observable == "state"],
    ):
        if struck:
            return tuple(dict.fromkeys(struck))
    return ()


def documents(entries: Iterable[LedgerEntry]) -> str:
    """Return the entries' document numbers, with commas between them."""
    return ", ".join(entry.document for entry in entries)
