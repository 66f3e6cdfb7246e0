"""Faults of the wire: what breaks, slows or prevents a connection, and how that reaches a caller who has none."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from pagerproof.faults.durations import duration
from pagerproof.model import Answer, Delivery, Operation
from pagerproof.protocols import Call, Decision, Injector, Proceed
from pagerproof.rng import sub_key
from pagerproof.scenario import fault_effects as spec
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.tools import ConnectionLost

if TYPE_CHECKING:
    from pagerproof.faults.effects import Context, Masks, Observable, Waits

Failure = Literal["dns", "refused", "timeout"]

_WHY: Final = {
    "reset": "the connection was reset in the middle of the answer",
    "half_headers": "the connection closed in the middle of the headers",
    "bad_chunk": "a chunk of the answer has no valid size",
}
WHY_NOT: Final = {
    "dns": "the host's name was not found",
    "refused": "the connection was refused",
    "timeout": "nobody answered the attempt to connect",
}
SYN_GIVES_UP_S: Final = 127.0
"""How long Linux tries to connect to nobody: a SYN and 6 repeats (ip-sysctl, tcp_syn_retries)."""
_AT_ONCE_S: Final = 0.02  # a retry loop without a pause must not stop the clock


class NotConnected(ConnectionLost):
    """No connection came about: the service has seen nothing of the call. `how` is dns, refused or timeout."""

    def __init__(self, operation: str, how: Failure) -> None:
        super().__init__(operation, WHY_NOT[how])
        self.how = how


class Unconnected:
    """No connection comes about."""

    observable: Observable = "result"
    masks: Masks = "everything"
    inside = False
    waits: Waits = "before"

    def __init__(self, setting: spec.Connect, context: Context) -> None:
        self._how = setting.how
        self._after = None if setting.after is None else duration(setting.after)
        self._salt = context.salted("after")

    async def apply(self, call: Call, proceed: Proceed) -> Answer:  # noqa: ARG002  # nothing goes on from here
        """Raise NotConnected once it is clear that nobody will answer."""
        if self._after is not None:
            await asyncio.sleep(self._after(sub_key(call.key, self._salt)))
        else:
            await asyncio.sleep(SYN_GIVES_UP_S if self._how == "timeout" else _AT_ONCE_S)
        raise NotConnected(call.operation.full_name, self._how)


class Damaged:
    """The answer leaves the service whole, and fares badly on its connection.

    What is cut is cut from the bytes that go onto the wire: an answer that came through a protocol is put into that
    protocol's shape first.
    """

    observable: Observable = "result"
    masks: Masks = "result"
    inside = False
    waits: Waits = ""

    def __init__(self, how: str, keep: float) -> None:
        self._how = how
        self._keep = keep

    async def apply(self, call: Call, proceed: Proceed) -> Answer:
        """Carry the call out; the very same answer comes back where another fault has broken its connection."""
        answer = await proceed(call)
        if answer.delivery is not None:
            return answer
        shown = _rendered(call, answer)
        return _delivered(shown, Delivery(how=self._how, after_bytes=int(len(shown.body) * self._keep)))


class Slowed:
    """The answer's bytes trickle."""

    observable: Observable = "timing"
    masks: Masks = "nothing"
    inside = False
    waits: Waits = "after"

    def __init__(self, setting: spec.SlowBytes) -> None:
        self._bytes_per_s = setting.bytes_per_s

    async def apply(self, call: Call, proceed: Proceed) -> Answer:
        """Carry the call out; the very same answer comes back where another fault has broken its connection."""
        answer = await proceed(call)
        if answer.delivery is not None:
            return answer
        return _delivered(_rendered(call, answer), Delivery(how="slow", bytes_per_s=self._bytes_per_s))


_ATTEMPTS: Final[dict[str, str]] = {"dns": "Connection.resolve", "refused": "Connection.open"}
_ATTEMPTS["timeout"] = _ATTEMPTS["refused"]


@cache
def look_up(service: str) -> Operation:
    """Return what stands for looking up a service's host, in decisions and keys; no service offers it."""
    return Operation(service=service, name=_ATTEMPTS["dns"], summary="look up the host", arguments={})


@cache
def opening(service: str) -> Operation:
    """Return what stands for connecting to a service's host, in decisions and keys; no service offers it."""
    return Operation(service=service, name=_ATTEMPTS["refused"], summary="connect to the host", arguments={})


def attempts_instead(model: FaultModel, operations: frozenset[str]) -> frozenset[str]:
    """Return what `model` strikes where there is a network: for a fault of connecting, attempts to connect."""
    attempts = {_ATTEMPTS[effect.spec.how] for effect in model.effect if isinstance(effect.spec, spec.Connect)}
    if not attempts:
        return operations
    return frozenset(f"{name.partition('.')[0]}.{attempt}" for name in operations for attempt in attempts)


async def attempt(injector: Injector, call: Call, decisions: list[Decision] | None) -> Failure | None:
    """Make one attempt to connect, a call of `look_up` or `opening`, under what the injector decided about it.

    Waits as these faults demand. Returns how the attempt failed, or None where it may come about. Who made it may be
    cancelled meanwhile: the books say so.
    """
    if decisions is None:
        return None
    try:
        await injector.exchange(call, decisions, _connected)
    except NotConnected as failure:
        return failure.how
    return None


async def _connected(_call: Call) -> Answer:
    return Answer(200, {}, b"")


async def received(operation: str, answer: Answer) -> Answer:
    """Return what a caller without a connection gets of an answer, when it has got it.

    Takes as long as slow bytes do. Raises ConnectionLost where a connection would have broken.
    """
    delivery = answer.delivery
    if delivery is None:
        return answer
    if delivery.how == "slow":
        await asyncio.sleep(len(answer.body) / delivery.bytes_per_s)
        return answer
    raise ConnectionLost(operation, _WHY[delivery.how])


def _rendered(call: Call, answer: Answer) -> Answer:
    return answer if call.render is None or answer.rendered else call.render(answer)


def _delivered(answer: Answer, delivery: Delivery) -> Answer:
    return Answer(
        answer.status,
        answer.headers,
        answer.body,
        answer.wire_bytes,
        pace_s=answer.pace_s,
        delivery=delivery,
        rendered=answer.rendered,
    )
