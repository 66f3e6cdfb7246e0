"""Layers: the effects of one call laid around its service, each remembering how far it got."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pagerproof.faults.effects import Effect
from pagerproof.model import Answer
from pagerproof.protocols import Call, Decision, Proceed
from pagerproof.tools import ToolError

_IDLE, _BEFORE, _INSIDE, _AFTER, _RETURNED = range(5)


class Layer:
    """One effect around whatever comes next: `run` for the layer outside of it, `onward` for the effect itself."""

    __slots__ = ("_answer", "_effect", "_error", "_next", "_passed", "_received", "_state", "decision")

    def __init__(self, decision: Decision, effect: Effect, following: Proceed) -> None:
        self.decision = decision
        self._effect = effect
        self._next = following
        self._state = _IDLE
        self._error: BaseException | None = None  # what left this layer
        self._passed: BaseException | None = None  # what came out of the next one
        self._answer: Answer | None = None
        self._received: Answer | None = None

    async def run(self, call: Call) -> Answer:
        """Carry the call out with this layer's effect."""
        self._state = _BEFORE
        try:
            answer = await self._effect.apply(call, self._onward)
        except BaseException as error:
            self._error = error
            raise
        self._answer = answer
        self._state = _RETURNED
        return answer

    async def _onward(self, call: Call) -> Answer:
        self._state = _INSIDE
        try:
            answer = await self._next(call)
        except BaseException as error:
            self._passed = error
            raise
        self._received = answer
        self._state = _AFTER
        return answer

    @property
    def reached(self) -> bool:
        """Whether the call got as far as this layer."""
        return self._state != _IDLE

    @property
    def waits(self) -> bool:
        """Whether the effect makes the caller wait."""
        return self._effect.waits != ""

    @property
    def shows_in_status(self) -> bool:
        """Whether the effect gave the answer an error status: nobody who gets the answer has to read for that."""
        answer, received = self._answer, self._received
        if answer is None or answer.status < 400:
            return False
        return self._effect.inside or received is None or received.status != answer.status

    def delivered(self) -> bool:
        """Return whether the effect took place: its bytes or exception left the layer, or its wait was waited for.

        A state effect is delivered as soon as the service has been told. A wait counts also where the caller's own
        timer ended it, but not where that timer ran out on the service alone.
        """
        effect = self._effect
        if self._state == _IDLE:
            return False
        if self._state == _RETURNED:
            return effect.observable != "result" or effect.inside or self._answer is not self._received
        if self._error is self._passed:
            return effect.observable == "state" or effect.waits == "before"
        if isinstance(self._error, asyncio.CancelledError):
            return self.waits
        return isinstance(self._error, ToolError)


def wrapped(
    decisions: Sequence[Decision], effects_of: Sequence[Sequence[Effect]], proceed: Proceed
) -> tuple[list[Layer], Proceed]:
    """Return the layers, outermost first, and the way in: the first decision's first effect is outermost."""
    layers: list[Layer] = []
    way_in = proceed
    for decision, effects in zip(reversed(decisions), reversed(effects_of), strict=True):
        for effect in reversed(effects):
            layer = Layer(decision, effect, way_in)
            layers.append(layer)
            way_in = layer.run
    layers.reverse()
    return layers, way_in
