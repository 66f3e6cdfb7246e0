"""One piece of work inside a service: the call, who waits for its answer, and what faults have changed about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pagerproof.model import Answer
from pagerproof.protocols import Call, Respond
from pagerproof.resources import Ticket
from pagerproof.services.operation import Plan

T = TypeVar("T")


class Refused(Exception):
    """A handler's way to say no: the answer that goes back instead of the work."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(slots=True, kw_only=True)
class Disturbance:
    """What faults have asked for about one call; every field is one name that `Service.disturb` knows.

    commit                False: answer success and write nothing; True: write even where the work is cut short
    fail_before           this answer instead of any work; no worker is taken
    answer_after_commit   the work is done, then this answer goes back in place of its own
    break_after_commit    the work is done, then the connection breaks without an answer
    extra_service_s       the work takes so much longer and keeps its worker
    hold_worker_s         a foreign job (a slow report) stands in the line before this call and keeps a worker so long
    twice                 the work is done a second time right after (duplicate delivery); the first answer goes back
    forget_idempotency    what is remembered under this call's idempotency key is forgotten first
    stale                 the answer is read from an earlier version of the record
    record_of             True: the neighbour's record instead of the one asked for; a number: the record so many
                          places on. Writes hit that record too
    lock_s                the entity stays locked for so long after the call; only writes that lock it will notice
    leak_connection       if its caller gives up, the connection is never given back
    expire_session        the session has ended: the call is refused until somebody opens a new one (sap only)
    """

    commit: bool | None = None
    fail_before: Answer | None = None
    answer_after_commit: Answer | None = None
    break_after_commit: bool = False
    extra_service_s: float = 0.0
    hold_worker_s: float = 0.0
    twice: bool = False
    forget_idempotency: bool = False
    stale: bool = False
    record_of: int | bool = False
    lock_s: float = 0.0
    leak_connection: bool = False
    expire_session: bool = False
    extra: dict[str, object] = field(default_factory=dict)


UNDISTURBED = Disturbance()
"""What holds for nearly every call; never changed."""


class Job:
    """A call while a service has it.

    `respond` is None once it was answered; `applies` is False where a fault loses the write; `lock` is the entity it
    has locked; `blocked`: somebody else had that lock; `cut`: the run limit ends it; `left`: its caller has gone;
    `copy` counts repeated executions; `queued_s` is when it joined the line, set only where it had to.
    """

    __slots__ = ("applies", "arguments", "blocked", "call", "copy", "cut", "disturbed", "early", "left", "lock", "plan",
                 "queued_s", "respond", "ticket")  # fmt: skip

    queued_s: float

    def __init__(self, call: Call, plan: Plan, respond: Respond) -> None:
        self.call = call
        self.plan = plan
        self.respond: Respond | None = respond
        self.arguments: Mapping[str, Any] = call.arguments
        self.disturbed = UNDISTURBED
        self.ticket: Ticket | None = None
        self.early: Any = None  # the timer that answers before the work is done
        self.lock = ""
        self.applies = True
        self.blocked = False
        self.cut = False
        self.left = False
        self.copy = 0
