"""Effects: what a fault does to one call, before, instead of or after the service; each is one method, `apply`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

import orjson

from pagerproof.errors import UsageError
from pagerproof.faults import bodies, chat, fields
from pagerproof.faults.durations import DrawSeconds, duration
from pagerproof.faults.presets import PRESETS
from pagerproof.faults.wire import Damaged, Slowed, Unconnected
from pagerproof.model import Answer
from pagerproof.protocols import Call, Proceed, Service
from pagerproof.rng import below, sub_key, unit
from pagerproof.scenario import fault_effects as spec
from pagerproof.tools import ConnectionLost, ToolTimeout

Observable = Literal["result", "timing", "state"]
Masks = Literal["nothing", "result", "everything"]
Waits = Literal["", "before", "after"]


class Effect(Protocol):
    """What a fault does to one call.

    `observable`: where it shows: in the bytes or the exception (`result`), in the waiting (`timing`), or only inside
    the service (`state`). `masks`: what of the faults below it nobody can notice any more. `inside`: it acts through
    the service's own answer, which it returns untouched. `waits`: it makes the caller wait, `before` the service
    answers (or as part of the service's own time) or `after`.
    """

    observable: Observable
    masks: Masks
    inside: bool
    waits: Waits

    async def apply(self, call: Call, proceed: Proceed) -> Answer:
        """Carry the call out with this effect; `proceed` sends it on to whatever comes next."""
        ...


class Context:
    """What an effect may use: the services by name, and draws of its own for every call."""

    __slots__ = ("edge", "salt", "services")

    def __init__(self, services: Mapping[str, Service], fault: str, position: int, edge: str) -> None:
        self.services = services
        self.salt = f"fault\x1f{fault}\x1f{position}\x1f"
        self.edge = edge

    def salted(self, decision: str) -> bytes:
        """Return the salt of one of this effect's decisions."""
        return (self.salt + decision).encode()


class _Quiet:
    observable: Observable = "result"
    masks: Masks = "nothing"
    inside = False
    waits: Waits = ""


class Delay(_Quiet):
    """Waits before the call goes on, or after its answer has come."""

    observable: Observable = "timing"

    def __init__(self, setting: spec.Delay, context: Context) -> None:
        self.waits = setting.where or ("before" if context.edge == "request" else "after")
        self._draw = duration(setting)
        self._salt = context.salted("delay")

    async def apply(self, call: Call, proceed: Proceed) -> Answer:
        """Wait, and carry the call out."""
        seconds = self._draw(sub_key(call.key, self._salt))
        if self.waits == "before":
            await asyncio.sleep(seconds)
            return await proceed(call)
        answer = await proceed(call)
        await asyncio.sleep(seconds)
        return answer


Alter = Callable[[Call, Answer, int], Answer | None]
"""Takes the call, its answer and a key for draws; returns the altered answer, or None where nothing can be altered."""


class Altered(_Quiet):
    """Lets the call be carried out and alters the answer on the way back: its contents, or its bytes.

    A change of contents acts on the service's own answer, one of bytes on what goes onto the wire: where the call came
    through a protocol, its answer is put into that protocol's shape first.
    """

    def __init__(self, alter: Alter, context: Context, masks: Masks = "nothing", *, of_bytes: bool = False) -> None:
        self.masks = masks
        self._alter = alter
        self._of_bytes = of_bytes
        self._salt = context.salted("alter")

    async def apply(self, call: Call, proceed: Proceed) -> Answer:
        """Carry the call out and alter its answer; the very same answer comes back where that is not possible."""
        answer = await proceed(call)
        render = call.render
        shown = render(answer) if render is not None and self._of_bytes and not answer.rendered else answer
        altered = self._alter(call, shown, sub_key(call.key, self._salt))
        return answer if altered is None else altered


class Disturbed(_Quiet):
    """Asks the service to treat this one call differently, and carries it out."""

    inside = True

    def __init__(
        self,
        name: str,
        value: Callable[[Call], object],
        context: Context,
        *,
        observable: Observable = "state",
        waits: Waits = "",
    ) -> None:
        self.observable = observable
        self.waits = waits
        self.disturbance = name
        self._value = value
        self._services = context.services

    async def apply(self, call: Call, proceed: Proceed) -> Answer:
        """Disturb the service and proceed."""
        value = self._value(call)
        if value is not None:
            self._services[call.operation.service].disturb(call, self.disturbance, value)
        return await proceed(call)


class Commits:
    """Draws whether a write is committed, and tells the service where it is not."""

    def __init__(self, share: float, context: Context) -> None:
        self._share = share
        self._salt = context.salted("committed")
        self._services = context.services

    def __call__(self, call: Call) -> bool:
        """Return whether the service does the work for good."""
        return unit(sub_key(call.key, self._salt)) < self._share

    def tell(self, call: Call) -> None:
        """Let the service answer without writing where the draw says so."""
        if call.operation.writes and not self(call):
            self._services[call.operation.service].disturb(call, "commit", False)


class Answered(_Quiet):
    """Another answer than the service's own."""

    def __init__(self, setting: spec.AnswerWith, context: Context) -> None:
        self._make = _maker(setting)
        self._worked = context.edge == "response"
        self.inside = setting.by == "service" and not self._worked
        self.masks = "result" if self._worked or self.inside else "everything"
        self._after = duration(setting.after)
        self._salt = context.salted("after")
        self._services = context.services

    async def apply(self, call: Call, proceed: Proceed) -> Answer:
        """Answer instead of the service, or after it has worked for nobody."""
        answer = self._make(call)
        if self._worked:
            await proceed(call)
            return answer
        if self.inside:
            self._services[call.operation.service].disturb(call, "fail_before", answer)
            return await proceed(call)
        await asyncio.sleep(self._after(sub_key(call.key, self._salt)))
        return answer


def _maker(setting: spec.AnswerWith) -> Callable[[Call], Answer]:
    if setting.preset is not None:
        preset = PRESETS[setting.preset]
        return lambda call: preset(call, setting.retry_after)
    headers = {name.lower(): value for name, value in setting.headers.items()}
    if setting.retry_after is not None:
        headers["retry-after"] = f"{setting.retry_after:g}"
    if isinstance(setting.body, str):
        body = setting.body.encode()
    else:
        body = b"" if setting.body is None else orjson.dumps(setting.body)
        headers.setdefault("content-type", "application/json")
    status = setting.status or 200
    return lambda _call: Answer(status, headers, body)


class TimedOut(_Quiet):
    """No answer until a limit, whatever the service does meanwhile; then a gateway's answer, or ToolTimeout."""

    masks: Masks = "result"
    waits: Waits = "after"

    def __init__(self, setting: spec.Timeout, context: Context) -> None:
        self._commits = Commits(setting.committed, context)
        self._after = duration(setting.after)
        self._salt = context.salted("after")
        self._preset = PRESETS[setting.answer] if setting.answer is not None else None

    async def apply(self, call: Call, proceed: Proceed) -> Answer:
        """Let the service work, keep its answer back, and answer or raise at the limit."""
        self._commits.tell(call)
        seconds = self._after(sub_key(call.key, self._salt))
        clock = asyncio.get_running_loop().time
        due = clock() + seconds
        try:
            async with asyncio.timeout_at(due):
                await proceed(call)
        except TimeoutError:  # the limit, or a time-out further in that nobody hears of
            pass
        await asyncio.sleep(max(0.0, due - clock()))
        if self._preset is None:
            raise ToolTimeout(call.operation.full_name, f"no answer within {seconds:g} s")
        return self._preset(call, None)


class Dropped(_Quiet):
    """The connection breaks: before the service sees the call, or with its answer on the way."""

    masks: Masks = "result"

    def __init__(self, setting: spec.DropConnection, context: Context) -> None:
        self._commits = Commits(setting.committed, context)
        if setting.committed == 0.0:
            self.masks = "everything"

    async def apply(self, call: Call, proceed: Proceed) -> Answer:
        """Raise ConnectionLost, after the service has worked where that was drawn."""
        if not self._commits(call):
            await asyncio.sleep(_BREAK_S)
            raise ConnectionLost(call.operation.full_name, "the connection was reset before the request was sent")
        await proceed(call)
        raise ConnectionLost(call.operation.full_name, "the connection was reset while waiting for the answer")


_BREAK_S: Final = 0.02  # a retry loop without a pause must not stop the clock


# --- from what a file says to the effect


def build(setting: spec.Effect, context: Context) -> Effect:
    """Return the effect that a fault model file's entry describes."""
    return _BUILDERS[setting.kind](setting.spec, context)


def _truncate(setting: spec.Truncate, context: Context) -> Effect:
    def alter(_call: Call, answer: Answer, _key: int) -> Answer | None:
        full = len(answer.body)
        size = setting.bytes if setting.bytes is not None else int(full * (setting.keep or 0.0))
        body = bodies.cut(answer.body, setting.at, size)
        if body is None:
            return None
        announced = full if setting.content_length == "original" else len(body)
        return answer.with_body(body, wire_bytes=announced)

    return Altered(alter, context, of_bytes=True)


def _malform(setting: spec.Malform, context: Context) -> Effect:
    masks: Masks = "result" if setting.how in ("html", "empty") else "nothing"
    return Altered(lambda _call, answer, _key: bodies.malformed(answer, setting.how), context, masks, of_bytes=True)


def _field_effect(names: tuple[str, ...], change: Callable[[dict[str, Any], str], None], context: Context) -> Effect:
    return Altered(lambda _call, answer, key: fields.changed_fields(answer, names, key, change), context)


def _chat_effect(rewrite: chat.Rewrite, context: Context, masks: Masks = "nothing") -> Effect:
    return Altered(lambda call, answer, key: chat.rewritten(answer, call, key, rewrite), context, masks)


def _seconds(setting: spec.Hold | spec.SlowWork | spec.LeakLock, context: Context) -> Callable[[Call], float]:
    draw: DrawSeconds = duration(setting.for_)
    salt = context.salted("for")
    return lambda call: draw(sub_key(call.key, salt))


def _always(_call: Call) -> object:
    return True


def _ignored_write(_setting: Any, context: Context) -> Effect:
    return Disturbed("commit", lambda call: False if call.operation.writes else None, context)


def _outcome(setting: spec.Outcome, context: Context) -> Effect:
    commits = Commits(setting.committed, context)
    return Disturbed("commit", lambda call: commits(call) if call.operation.writes else None, context)


def _wrong_record(_setting: Any, context: Context) -> Effect:
    salt = context.salted("record")
    return Disturbed("record_of", lambda call: 1 + below(sub_key(call.key, salt), 20), context, observable="result")


_BUILDERS: Final[dict[str, Callable[[Any, Context], Effect]]] = {
    "delay": Delay,
    "truncate": _truncate,
    "malform": _malform,
    "answer": Answered,
    "hold": lambda s, c: Disturbed("hold_worker_s", _seconds(s, c), c),
    "slow_work": lambda s, c: Disturbed("extra_service_s", _seconds(s, c), c, observable="timing", waits="before"),
    "outcome": _outcome,
    "timeout": TimedOut,
    "drop_connection": Dropped,
    "drop_field": lambda s, c: _field_effect(s.field, fields.drop, c),
    "rename_field": lambda s, c: _field_effect(s.field, fields.renamed(s.to), c),
    "wrong_type": lambda s, c: _field_effect(s.field, fields.retyped(s.to), c),
    "null_field": lambda s, c: _field_effect(s.field, fields.null, c),
    "stale": lambda _, c: Disturbed("stale", _always, c, observable="result"),
    "wrong_record": _wrong_record,
    "duplicate": lambda _, c: Disturbed("twice", _always, c),
    "ignore_write": _ignored_write,
    "forget_idempotency": lambda _, c: Disturbed("forget_idempotency", _always, c),
    "expire_session": lambda _, c: Disturbed("expire_session", _always, c, observable="result"),
    "leak_lock": lambda s, c: Disturbed("lock_s", _seconds(s, c), c),
    "leak_connection": lambda _, c: Disturbed("leak_connection", _always, c),
    "policy_drift": lambda s, c: Altered(lambda _call, answer, _key: fields.drifted(answer, s.factor), c),
    "invented_tool": lambda s, c: _chat_effect(chat.invented_tool(s.name), c),
    "truncated_arguments": lambda s, c: _chat_effect(chat.truncated_arguments(s.keep, s.finish_reason), c),
    "prose": lambda _, c: _chat_effect(chat.prose, c, "result"),
    "refusal": lambda _, c: _chat_effect(chat.refusal, c, "result"),
    "polite_loop": lambda _, c: _chat_effect(chat.polite_loop, c, "result"),
    "cut_stream": lambda s, c: _chat_effect(chat.cut_stream(s.keep), c),
    "behaviour": lambda s, c: Disturbed("behaviour", lambda _call: s.name, c, observable="result"),
    "temperature_shift": lambda s, c: Disturbed("temperature_shift", lambda _call: s.by, c),
    "connect": Unconnected,
    "reset_body": lambda s, _: Damaged("reset", s.keep),
    "half_headers": lambda _, __: Damaged("half_headers", 0.0),
    "bad_chunk": lambda s, _: Damaged("bad_chunk", s.keep),
    "slow_bytes": lambda s, _: Slowed(s),
}

_DISTURBANCES: Final[dict[str, str]] = {
    "hold": "hold_worker_s",
    "slow_work": "extra_service_s",
    "outcome": "commit",
    "stale": "stale",
    "wrong_record": "record_of",
    "duplicate": "twice",
    "ignore_write": "commit",
    "forget_idempotency": "forget_idempotency",
    "expire_session": "expire_session",
    "leak_lock": "lock_s",
    "leak_connection": "leak_connection",
    "behaviour": "behaviour",
    "temperature_shift": "temperature_shift",
}


def check_service(setting: spec.Effect, service: Service, fault: str) -> None:
    """Raise UsageError where `service` does not know the disturbance that this effect needs."""
    needed = _DISTURBANCES.get(setting.kind)
    if setting.kind in ("timeout", "drop_connection") and getattr(setting.spec, "committed", 1.0) < 1.0:
        needed = "commit"
    if isinstance(setting.spec, spec.AnswerWith) and setting.spec.by == "service":
        needed = "fail_before"
    if isinstance(setting.spec, spec.Hold) and setting.spec.resource.partition(".")[0] != service.name:
        raise UsageError(f"fault {fault}: {setting.spec.resource!r} is no resource of {service.name}, which it strikes")
    if needed is not None and needed not in service.disturbances():
        raise UsageError(f"fault {fault}: the service {service.name} knows no effect {setting.kind!r}")
