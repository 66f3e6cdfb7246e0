"""Idempotency keys: one stable key for each thing a request wants written, however often it is asked for."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from pagerproof import rng
from pagerproof.tools import Desk, Toolbox, ToolResult
from pagerproof.valves.purposes import WRITES, write_of

_REPLAYED = "idempotent-replayed"  # the header by which a service says that it gives an earlier answer again


class IdempotencyKeys:
    """Attaches to each write a key of (request index, operation, what is to be written): 32 hexadecimal characters.

    Retries and a model that plans the same write again reuse the key; 129.8 and 129.80 are one amount, and remarks
    such as a reason do not count. With `remember`, a write that has succeeded in this request is not sent again at
    all: its answer is given again, so that nothing depends on how long the service remembers keys.
    """

    name = "idempotency_keys"

    def __init__(self, *, remember: bool = True, seed: int = 0) -> None:
        self.remember = remember
        self.seed = seed

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        """Return `toolbox` with this request's keys."""
        return _Keyed(self, toolbox, desk)


class _Keyed:
    __slots__ = ("_desk", "_done", "_inner", "_keys")

    def __init__(self, keys: IdempotencyKeys, inner: Toolbox, desk: Desk) -> None:
        self._keys = keys
        self._inner = inner
        self._desk = desk
        self._done: dict[str, ToolResult] = {}

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> Coroutine[Any, Any, ToolResult]:
        if operation in WRITES:
            return self._write(operation, arguments, timeout_s, idempotency_key, attempt)
        return self._inner.call(
            operation, arguments, timeout_s=timeout_s, idempotency_key=idempotency_key, attempt=attempt
        )

    async def _write(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        timeout_s: float | None,
        idempotency_key: str | None,
        attempt: int,
    ) -> ToolResult:
        if idempotency_key is None:
            seed = rng.key_of(self._keys.seed, self._desk.request.index)
            idempotency_key = rng.hex_id(rng.key_of(seed, write_of(operation, arguments)))
        done = self._done.get(idempotency_key)
        if done is not None:
            self._desk.mark("valve", IdempotencyKeys.name, f"{operation}: already done, not sent again")
            return done
        result = await self._inner.call(
            operation, arguments, timeout_s=timeout_s, idempotency_key=idempotency_key, attempt=attempt
        )
        if result.ok:
            if _REPLAYED in result.headers:
                self._desk.mark("valve", IdempotencyKeys.name, f"{operation}: the service knew the key, done once only")
            if self._keys.remember:
                self._done[idempotency_key] = result
        return result
