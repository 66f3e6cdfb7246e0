"""The golden policy: a frozen plan for each kind of request, and what to do when the live model leaves it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from pagerproof.tools import Desk, Toolbox, ToolResult
from pagerproof.valves.purposes import WRITES
from pagerproof.valves.refusals import OffPath

Policy = Callable[[Sequence[str], Sequence[str]], Sequence[str] | None]
"""Takes the routed intents and the operations done so far; returns those still to do, in order, or None: no opinion."""


def no_opinion(intents: Sequence[str], done: Sequence[str]) -> Sequence[str] | None:  # noqa: ARG001 - it is a Policy
    """The policy that knows nothing."""
    return None


class GoldenPolicy:
    """Holds the live model to a frozen reference policy.

    As a valve it refuses writes that the policy does not know for the routed intents (OffPath names what comes
    next); reads may always be made. As a helper, `begin(desk).align(operation)` returns the operation to do: the
    model's, or, from its `diverge_max`th divergence in this request on, the policy's next read.
    Intents reach it by `routed`; before that, and for intents it does not know, it stays silent. `harmless` writes,
    such as notes, are nobody's divergence.
    """

    name = "golden_policy"

    def __init__(
        self,
        policy: Policy = no_opinion,
        *,
        diverge_max: int = 3,
        harmless: frozenset[str] = frozenset({"crm.Note.create", "crm.Ticket.create"}),
    ) -> None:
        if diverge_max < 1:
            raise ValueError("diverge_max must be at least 1")
        self.policy = policy
        self.diverge_max = diverge_max
        self.harmless = harmless

    def begin(self, toolbox: Toolbox, desk: Desk) -> GoldenPath:
        """Return this request's path as a toolbox that can also be asked."""
        return GoldenPath(self, toolbox, desk)

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        """Return `toolbox` kept on the golden path."""
        return GoldenPath(self, toolbox, desk)


class GoldenPath:
    """One request's golden path: a toolbox that refuses writes off the path, and the agent's guide along it."""

    __slots__ = ("_desk", "_golden", "_inner", "_remaining", "divergences", "done", "intents")

    def __init__(self, golden: GoldenPolicy, inner: Toolbox, desk: Desk) -> None:
        self._golden = golden
        self._inner = inner
        self._desk = desk
        self.intents: tuple[str, ...] = ()
        self.done: list[str] = []
        self.divergences = 0
        self._remaining: Sequence[str] | None = None

    def routed(self, intents: Sequence[str]) -> None:
        """Say what the request is about."""
        self.intents = tuple(intents)
        self._look_ahead()

    @property
    def harmless(self) -> frozenset[str]:
        """The writes that may be made, or left out, at any time."""
        return self._golden.harmless

    def remaining(self) -> Sequence[str] | None:
        """Return what the policy would still do, in order; None where it has no opinion."""
        return self._remaining

    def _look_ahead(self) -> None:
        self._remaining = self._golden.policy(self.intents, self.done) if self.intents else None

    def align(self, operation: str, able: Callable[[str], bool] = lambda _: True) -> str:
        """Return the operation to do instead of the model's `operation`, mostly that very one.

        `able` says whether the caller could make a call of the policy's instead: whether it knows the arguments.
        """
        remaining = self._remaining
        golden = self._golden
        if remaining is None or operation in remaining or operation in self.done or operation in golden.harmless:
            return operation
        self.divergences += 1
        following = remaining[0] if remaining else ""
        early = self.divergences < golden.diverge_max
        if early or not following or following in WRITES or not able(following):
            return operation
        self._desk.mark("valve", golden.name, f"divergence {self.divergences}: {following} instead of {operation}")
        return following

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> Coroutine[Any, Any, ToolResult]:
        """Carry out the call. Raises OffPath for a write that the policy does not know here."""
        if operation in WRITES and operation not in self.done and operation not in self._golden.harmless:
            remaining = self.remaining()
            if remaining is not None and operation not in remaining:
                self._refuse(operation, remaining)
        return self._noted(operation, arguments, timeout_s, idempotency_key, attempt)

    async def _noted(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        timeout_s: float | None,
        idempotency_key: str | None,
        attempt: int,
    ) -> ToolResult:
        result = await self._inner.call(
            operation, arguments, timeout_s=timeout_s, idempotency_key=idempotency_key, attempt=attempt
        )
        if result.status < 300:
            self.done.append(operation)
            self._look_ahead()
        return result

    def _refuse(self, operation: str, remaining: Sequence[str]) -> None:
        following = f"next comes {remaining[0]}" if remaining else "nothing is left to do"
        self._desk.mark("valve", GoldenPolicy.name, f"{operation} refused: off the path for {', '.join(self.intents)}")
        raise OffPath(operation, f"not part of {', '.join(self.intents)}: {following}")
