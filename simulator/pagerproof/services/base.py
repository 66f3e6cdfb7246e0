"""What every simulated service has in common: a pool of workers, latency, locks, idempotency and a ledger."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, ClassVar

import orjson
from pydantic import Field

from pagerproof.events import LEDGER
from pagerproof.model import Answer, LedgerEntry, Operation
from pagerproof.protocols import Call, Directory, Note, Respond, World
from pagerproof.resources import Pool
from pagerproof.rng import standard_normal, sub_key
from pagerproof.scenario.schema import Seconds, Strict
from pagerproof.services.catalogue import operations_of
from pagerproof.services.idempotency import AnswersByKey
from pagerproof.services.job import UNDISTURBED, Disturbance, Job, Refused
from pagerproof.services.neighbours import neighbour
from pagerproof.services.operation import Plan, argument_types, complaint, fits

_NAMES = tuple(name for name in Disturbance.__dataclass_fields__ if name != "extra")


class ServiceParameters(Strict):
    """What a scenario may set about any service. All defaults are assumed unless a description names a source."""

    workers: int = Field(default=32, ge=1, description="jobs worked on at once; assumed")
    queue_limit: int | None = Field(default=1000, ge=0, description="jobs that may wait for a worker; assumed")
    read_median: Seconds = Field(default=0.06, gt=0, description="median time of a read; assumed")
    read_sigma: float = Field(default=0.5, ge=0, description="sigma of the lognormal time of a read; assumed")
    write_median: Seconds = Field(default=0.15, gt=0, description="median time of a write; assumed")
    write_sigma: float = Field(default=0.5, ge=0, description="sigma of the lognormal time of a write; assumed")
    refusal: Seconds = Field(default=0.005, gt=0, description="time until a call is refused unworked; assumed")
    connections: int | None = Field(default=None, ge=1, description="open connections accepted; none: no limit")
    leak_connections: bool = Field(default=False, description="an abandoned call's connection is never given back")
    idempotency_entries: int = Field(default=10_000, ge=1, description="answers remembered by key, oldest use evicted")


class SimulatedService:
    """A system of record on the simulated network: implements `pagerproof.protocols.Service`.

    A subclass sets `name` and `Parameters` and writes one method per operation, named after it
    (`Order.change_address` -> `order_change_address(job)`), which returns the answer or raises `Refused`. A write
    calls `commit` exactly once and changes the service's own state only where `job.applies`.
    """

    name = ""
    Parameters: ClassVar[type[ServiceParameters]] = ServiceParameters
    locks_by: ClassVar[Mapping[str, str]] = {}  # operation name -> the argument whose value it locks while it writes
    remembers_keys: ClassVar[bool] = False
    checks_all: ClassVar[bool] = False  # `unusable` is asked about every call's arguments
    document_prefixes: ClassVar[Mapping[str, str]] = {}
    own_operations: ClassVar[Sequence[Operation]] = ()  # of a plug-in's service; ours stand in the catalogue

    answer_limit_s = math.inf  # the caller is answered by then, whatever becomes of the work
    run_limit_s = math.inf  # the work itself is cut and rolled back

    def __init__(self, parameters: ServiceParameters | None = None) -> None:
        self.parameters: Any = self.Parameters() if parameters is None else parameters
        self.operations: Mapping[str, Operation] = self.operation_table()
        self._plans = {each.name: self._plan(each) for each in self.operations.values()}

    def operation_table(self) -> Mapping[str, Operation]:
        """Return the operations by full name; the catalogue has those of the built-in services."""
        own = {operation.full_name: operation for operation in self.own_operations}
        return own or operations_of(self.name)

    def handler_of(self, operation: Operation) -> Callable[[Job], Answer]:
        """Return what does the work of an operation."""
        handler: Callable[[Job], Answer] = getattr(self, operation.name.replace(".", "_").lower())
        return handler

    def open(self, world: World) -> None:
        """Begin a run: fresh state, empty ledger."""
        parameters = self.parameters
        self.seed = world.seed
        self.directory: Directory = world.directory
        self._now = world.scheduler.time
        self._schedule = world.scheduler.schedule
        self._pool = Pool(world.scheduler, self.capacity(), parameters.queue_limit)
        self._jobs: dict[Call, Job] = {}
        self._disturbed: dict[Call, Disturbance] = {}
        self._locks: dict[str, Any] = {}  # entity -> its holder: a Job, or the timer that will unlock it
        self._answers = AnswersByKey(parameters.idempotency_entries)
        self._changed: MutableMapping[object, tuple[Any, ...]] = {}
        self._calls = 0
        self._abandoned = 0
        self._leaked = 0
        self._issued = {each.effect_kind: 0 for each in self.operations.values() if each.writes}
        self._gauges = self._gauge_table()
        self._admits_all = self.admits_all()

    def capacity(self) -> int:
        """Return how many jobs are worked on at once."""
        return int(self.parameters.workers)

    # -- the door ----------------------------------------------------------------------------------------------------

    def submit(self, call: Call, respond: Respond) -> None:
        """Take the call; see `pagerproof.protocols.Service.submit`."""
        self._calls += 1
        call.case.work_began()
        job = Job(call, self._plans[call.operation.name], respond)
        self._jobs[call] = job
        refusal = self._disturb(job) if self._disturbed else None
        if refusal is None and not self._admits_all:
            refusal = self.admit(job)
        if refusal is not None:
            self._schedule(self.parameters.refusal, self._refuse, job, refusal)
            return
        if self._pool.take():
            self._start(job)
            return
        ticket = self._pool.acquire(self._start, job)
        if ticket is None:
            self._schedule(self.parameters.refusal, self._refuse, job, self.overloaded(job))
            return
        job.ticket = ticket
        job.queued_s = self._now()
        if self.answer_limit_s < math.inf:
            job.early = self._schedule(self.answer_limit_s, self._answer_early, job)

    def abandon(self, call: Call) -> None:
        """The caller has gone: work that only queued is dropped, anything else goes on."""
        self._disturbed.pop(call, None)
        job = self._jobs.get(call)
        if job is None or job.respond is None or job.left:
            return
        job.left = True
        self._abandoned += 1
        if self.parameters.leak_connections or job.disturbed.leak_connection:
            self._leaked += 1
        if job.ticket is not None and job.ticket.cancel():
            self._note_wait(job)
            # In an event of its own: whoever abandons is in the middle of something.
            self._schedule(0.0, self._refuse, job, None)

    def gauge(self, name: str) -> float:
        """Return a named state of the service. Raises KeyError."""
        return self._gauges[name]()

    def gauges(self) -> Sequence[str]:
        """Return the names that `gauge` knows."""
        return tuple(self._gauges)

    def disturb(self, call: Call, name: str, value: object) -> None:
        """Change how this one call, not yet submitted, will be treated; `Disturbance` says what each name means.

        Raises KeyError for a name that is not in `disturbances()`.
        """
        if name not in self.disturbances():
            raise KeyError(name)
        wanted = self._disturbed.get(call)
        if wanted is None:
            wanted = self._disturbed[call] = Disturbance()
        if name in _NAMES:
            setattr(wanted, name, value)
        else:
            wanted.extra[name] = value

    def disturbances(self) -> Sequence[str]:
        """Return the names that `disturb` knows."""
        return _NAMES

    # -- what subclasses may say otherwise ---------------------------------------------------------------------------

    def admit(self, job: Job) -> Answer | None:  # noqa: ARG002  # a subclass looks at the job
        """Return None to let the call in, or the answer that refuses it unworked."""
        limit = self.parameters.connections
        if limit is not None and len(self._jobs) - 1 + self._leaked >= limit:
            return self.problem(503, "too_many_connections", "No connection is free.", **{"retry-after": "1"})
        return None

    def admits_all(self) -> bool:
        """Return whether `admit` need not be asked in this run, because nothing is set that it could refuse by."""
        return self.parameters.connections is None and type(self).admit is SimulatedService.admit

    def service_s(self, job: Job) -> float:
        """Return how long this call's work takes once a worker has it."""
        plan = job.plan
        return plan.median_s * math.exp(plan.sigma * standard_normal(sub_key(job.call.key, b"service_s")))

    def overloaded(self, job: Job) -> Answer:  # noqa: ARG002  # a subclass looks at the job
        """Return the answer to a call that found the line full."""
        return self.problem(503, "overloaded", "The service is overloaded, try again later.", **{"retry-after": "1"})

    def locked(self, job: Job, entity: str) -> Answer:  # noqa: ARG002  # a subclass looks at the job
        """Return the answer to a write on an entity that somebody else is writing."""
        return self.problem(409, "locked", f"{entity} is being changed by somebody else.")

    def early_answer(self, job: Job) -> Answer:
        """Return what the caller gets when `answer_limit_s` is over."""
        raise NotImplementedError

    def cut_answer(self, job: Job) -> Answer:
        """Return what the caller gets when the work was cut at `run_limit_s`."""
        raise NotImplementedError

    def unusable(self, job: Job) -> Answer | None:
        """Return the answer to arguments that cannot be used, or None; asked unless they all have their plain types."""
        argument, message = complaint(job.plan.operation, job.arguments)
        return self.bad_argument(job, argument, message) if message else None

    def bad_argument(self, job: Job, argument: str, message: str) -> Answer:
        """Return the answer to a call whose argument cannot be used."""
        missing = job.arguments.get(argument) is None or argument not in job.plan.operation.arguments
        return self.problem(400 if missing else 422, "invalid_argument", message)

    def neighbours(self, arguments: Mapping[str, Any], places: int) -> Mapping[str, Any]:
        """Return the arguments with each record that they name replaced by the one so many places on."""
        return neighbour(self.directory, arguments, places)

    def document(self, job: Job) -> str:
        """Return the number of the document that this write issues.

        It names the request and the call instead of counting documents, so that one document less renames no other.
        """
        prefix = self.document_prefixes.get(job.plan.operation.effect_kind, "doc_")
        copied = f"x{job.copy}" if job.copy else ""
        return f"{prefix}{job.call.case.index:08d}{job.call.number:02d}{copied}"

    def extra_gauges(self) -> Mapping[str, Callable[[], float]]:
        """Return further gauges of this service."""
        return {}

    # -- what handlers use -------------------------------------------------------------------------------------------

    def answer(self, data: Mapping[str, Any]) -> Answer:
        """Return a 200 with this JSON body."""
        return Answer(200, {"content-type": "application/json"}, orjson.dumps(data))

    def problem(self, status: int, code: str, message: str, **headers: str) -> Answer:
        """Return an error answer in this service's own shape."""
        body = orjson.dumps({"error": {"code": code, "message": message}})
        return Answer(status, {"content-type": "application/json", **headers}, body)

    def commit(
        self,
        job: Job,
        entity: str,
        customer_id: str,
        *,
        amount_minor: int | None = None,
        currency: str = "",
        details: tuple[tuple[str, str], ...] = (),
    ) -> str:
        """Write the one ledger entry of this call, unless a fault loses it; return the document's number."""
        document = self.document(job)
        if not job.applies:
            return document
        call = job.call
        case = call.case
        now = self._now()
        kind = job.plan.operation.effect_kind
        self._issued[kind] += 1
        case.effects.append(
            LedgerEntry(
                service=self.name,
                kind=kind,
                document=document,
                entity=entity,
                customer_id=customer_id,
                index=case.index,
                call=call.number,
                time_s=now,
                amount_minor=amount_minor,
                currency=currency,
                details=details,
            )
        )
        money = "" if amount_minor is None else f" {amount_minor} {currency}"
        case.log.append((now, LEDGER, f"{self.name}.{kind}", call.number, 200, f"{document} {entity}{money}"))
        return document

    def change(self, job: Job, entity: object, field: str, value: object) -> None:
        """Remember that `field` of `entity` now reads `value`, where the write applies."""
        if job.applies:
            before = self._changed.get(entity, ())
            self._changed[entity] = (*_without(before, field), field, value)

    def changes(self, job: Job, entity: object) -> tuple[Any, ...]:
        """Return what was changed about `entity`, as field, value, field, value; a stale read sees nothing of it."""
        if job.disturbed.stale:
            return ()
        return self._changed.get(entity, ())

    def changed(self, job: Job, entity: object, field: str, otherwise: Any) -> Any:
        """Return the field's value as this call reads it; a stale read gets `otherwise`."""
        return otherwise if job.disturbed.stale else self.present(entity, field, otherwise)

    def present(self, entity: object, field: str, otherwise: Any) -> Any:
        """Return the field's present value, or `otherwise` where it was never changed."""
        pairs = self._changed.get(entity, ())
        for position in range(0, len(pairs), 2):
            if pairs[position] == field:
                return pairs[position + 1]
        return otherwise

    # -- the life of a job -------------------------------------------------------------------------------------------

    def _disturb(self, job: Job) -> Answer | None:
        """Apply what faults asked for before the work begins; return the answer that replaces all work."""
        wanted = self._disturbed.pop(job.call, None)
        if wanted is None:
            return None
        job.disturbed = wanted
        if wanted.record_of is not False:
            places = 1 if wanted.record_of is True else int(wanted.record_of)
            job.arguments = self.neighbours(job.arguments, places)
        if wanted.commit is False:
            job.applies = False
        if wanted.hold_worker_s > 0.0:
            self._pool.hold(wanted.hold_worker_s)
        return wanted.fail_before

    def _note_wait(self, job: Job) -> None:
        call = job.call
        call.case.noted += (Note("queued", self.name, call.number, self._now() - job.queued_s),)

    def _start(self, job: Job) -> None:
        if job.ticket is not None:
            self._note_wait(job)
            job.ticket = None
        plan = job.plan
        duration_s = self.service_s(job)
        if plan.lock:
            entity = job.arguments.get(plan.lock)
            if type(entity) is str:
                if entity in self._locks:
                    job.blocked = True
                    if not isinstance(self._locks[entity], Job):
                        job.call.case.noted += (Note("met a lock left behind", self.name, job.call.number),)
                    duration_s = self.parameters.refusal
                else:
                    job.lock = entity
                    self._locks[entity] = job
        if job.disturbed is not UNDISTURBED:
            duration_s += job.disturbed.extra_service_s
        if duration_s > self.run_limit_s:
            duration_s = self.run_limit_s
            job.cut = True
        if duration_s > self.answer_limit_s and job.early is None:
            job.early = self._schedule(self.answer_limit_s, self._answer_early, job)
        self._schedule(duration_s, self._finish, job)

    def _answer_early(self, job: Job) -> None:
        respond = job.respond
        job.early = None
        if respond is not None:
            job.respond = None
            respond(self.early_answer(job))

    def _finish(self, job: Job) -> None:
        if job.early is not None:
            job.early.cancel()
        self._conclude(job, self._perform(job) if job.disturbed is UNDISTURBED else self._perform_disturbed(job))

    def _conclude(self, job: Job, answer: Answer | None) -> None:
        """Give back what the work has held, and answer."""
        if job.lock and self._locks.get(job.lock) is job:
            del self._locks[job.lock]
        self._pool.release()
        self._refuse(job, answer)

    def _refuse(self, job: Job, answer: Answer | None) -> None:
        del self._jobs[job.call]
        respond = job.respond
        if respond is not None:
            job.respond = None
            respond(answer)
        job.call.case.work_ended()

    def _perform(self, job: Job) -> Answer:
        plan = job.plan
        if job.blocked:
            return self.locked(job, job.arguments[plan.lock])
        if job.cut and job.disturbed.commit is not True:
            return self.cut_answer(job)
        if self.checks_all or not fits(plan, job.arguments):
            unusable = self.unusable(job)
            if unusable is not None:
                return unusable
        key = job.call.idempotency_key
        try:
            if key is None or not plan.writes or not self.remembers_keys:
                return plan.handler(job)
            return self._perform_once(job, key)
        except Refused as refused:
            return refused.answer

    def _perform_once(self, job: Job, key: str) -> Answer:
        """Do the work unless the key is remembered; only what succeeded is remembered.

        The key is looked up in the instant of the commit, as a unique constraint would be: of two calls with one
        key that run at the same time, the second to finish gets the first one's answer.
        """
        content = orjson.dumps(job.arguments, option=orjson.OPT_SORT_KEYS)
        known = self._answers.recall(key, job.plan.operation.name, content)
        if known is not None:
            if known.status == 0:
                return self.problem(
                    409, "idempotency_key_reused", "This idempotency key was used with other arguments."
                )
            return known
        answer = job.plan.handler(job)
        if job.applies and answer.status < 300:
            self._answers.remember(key, job.plan.operation.name, content, answer)
        return answer

    def _perform_disturbed(self, job: Job) -> Answer | None:
        wanted = job.disturbed
        if wanted.forget_idempotency and job.call.idempotency_key is not None:
            self._answers.forget(job.call.idempotency_key)
        answer = self._perform(job)
        if job.cut:
            answer = self.cut_answer(job)
        if wanted.twice:
            job.copy += 1
            self._perform(job)
        if wanted.lock_s > 0.0:
            self._leave_locked(job, wanted.lock_s)
        if wanted.break_after_commit:
            return None
        return wanted.answer_after_commit or answer

    def _leave_locked(self, job: Job, seconds: float) -> None:
        entity = job.lock or next((value for value in job.arguments.values() if type(value) is str), "")
        if entity:
            job.lock = ""
            self._locks[entity] = holder = object()
            self._schedule(seconds, self._unlock, entity, holder)

    def _unlock(self, entity: str, holder: object) -> None:
        if self._locks.get(entity) is holder:
            del self._locks[entity]

    # -- made once ---------------------------------------------------------------------------------------------------

    def _plan(self, operation: Operation) -> Plan:
        parameters = self.parameters
        writes = operation.writes
        return Plan(
            operation=operation,
            handler=self.handler_of(operation),
            median_s=parameters.write_median if writes else parameters.read_median,
            sigma=parameters.write_sigma if writes else parameters.read_sigma,
            writes=writes,
            lock=self.locks_by.get(operation.name, ""),
            required=argument_types(operation, optional=False),
            optional=argument_types(operation, optional=True),
        )

    def _gauge_table(self) -> dict[str, Callable[[], float]]:
        pool, issued = self._pool, self._issued
        table: dict[str, Callable[[], float]] = {
            "calls.total": lambda: float(self._calls),
            "calls.abandoned": lambda: float(self._abandoned),
            "pool.in_use": lambda: float(pool.in_use),
            "pool.queued": lambda: float(pool.queued),
            "pool.peak": lambda: float(pool.peak),
            "connections.leaked": lambda: float(self._leaked),
            "locks.held": lambda: float(len(self._locks)),
            "idempotency.entries": lambda: float(len(self._answers)),
            "documents.issued": lambda: float(sum(issued.values())),
        }
        for kind in issued:
            table[f"documents.{kind}"] = lambda kind=kind: float(issued[kind])  # type: ignore[misc]  # early binding
        table.update(self.extra_gauges())
        return table


def _without(pairs: tuple[Any, ...], field: str) -> tuple[Any, ...]:
    for position in range(0, len(pairs), 2):
        if pairs[position] == field:
            return pairs[:position] + pairs[position + 2 :]
    return pairs
