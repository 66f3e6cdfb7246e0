"""Retries with a budget and full jitter, for reads and for writes that carry an idempotency key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pagerproof import rng
from pagerproof.tools import BadAnswer, ConnectionLost, Desk, Toolbox, ToolError, ToolResult, ToolTimeout
from pagerproof.valves.deadline import Deadline
from pagerproof.valves.purposes import WRITES
from pagerproof.valves.refusals import ValveRefusal
from pagerproof.valves.retry_budget import RetryBudget

_SESSION = "sap.Session.open"
_LOCK_TEXTS = (b"currently being processed by", b"is being processed by user")  # SAP's enqueue lock, as a 400
_FINAL_TEXTS = (b"insufficient_quota", b"spend_limit", b"credit_balance_exhausted")  # a 429 that waiting cannot cure


class Retry:
    """Tries again what failed in passing, at one layer only.

    Tried again: time-outs, broken connections, undecodable answers (where a validating valve stands further in),
    408, 429 and 5xx, SAP locks, and 403 with `x-csrf-token: Required` once a session has been opened. Never: what
    another valve refused, a write without an idempotency key (but for the rejected CSRF token: nothing has happened).
    `attempts` counts all tries; it and the waits follow the OpenAI and Anthropic SDKs (2 retries, min(0.5 * 2^n, 8 s)),
    with full jitter as Amazon advises, drawn by (seed, request index, operation, attempt). `retry-after` is obeyed up
    to `retry_after_max_s`. When it gives up, the last answer or error is handed on as it came.
    """

    name = "retry"

    def __init__(
        self,
        *,
        attempts: int = 3,
        base_s: float = 0.5,
        wait_max_s: float = 8.0,
        retry_after_max_s: float = 30.0,
        budget: RetryBudget | None = None,
        deadline: Deadline | None = None,
        seed: int = 0,
    ) -> None:
        if attempts < 1:
            raise ValueError("retry needs at least 1 attempt")
        self.attempts = attempts
        self.base_s = base_s
        self.wait_max_s = wait_max_s
        self.retry_after_max_s = retry_after_max_s
        self.budget = budget if budget is not None else RetryBudget()
        self.deadline = deadline
        self.seed = seed

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        """Return `toolbox` with retries on the run's budget."""
        return _Retried(self, toolbox, desk)

    def wait_s(self, index: int, operation: str, attempt: int, retry_after_s: float | None = None) -> float:
        """Return how long to wait after this attempt: full jitter, on top of what the server asked for."""
        draw = rng.uniform(self.seed, index, operation, attempt)
        if retry_after_s is not None:
            return retry_after_s + draw * self.base_s
        return draw * min(self.wait_max_s, self.base_s * 2.0 ** (attempt - 1))

    async def pause(self, desk: Desk, operation: str, attempt: int, why: str, retry_after_s: float | None) -> bool:
        """Wait before the next attempt and return True, or return False where there must be none."""
        if attempt >= self.attempts:
            return self._given_up(desk, operation, why, f"{attempt} attempts made")
        if retry_after_s is not None and retry_after_s > self.retry_after_max_s:
            return self._given_up(desk, operation, why, f"asked to wait {retry_after_s:.0f} s")
        wait_s = self.wait_s(desk.request.index, operation, attempt, retry_after_s)
        if self.deadline is not None and wait_s >= self.deadline.left_s(desk):
            return self._given_up(desk, operation, why, "the deadline comes first")
        if not self.budget.withdraw(desk.clock.now_s()):
            return self._given_up(desk, operation, why, "the retry budget is spent")
        desk.mark("valve", self.name, f"{operation}: attempt {attempt} gave {why}; again in {wait_s:.2f} s")
        await desk.clock.sleep(wait_s)
        return True

    def _given_up(self, desk: Desk, operation: str, why: str, because: str) -> bool:
        desk.mark("valve", self.name, f"{operation}: {why}; given up, {because}")
        return False


class _Retried:
    __slots__ = ("_desk", "_inner", "_now_s", "_retry")

    def __init__(self, retry: Retry, inner: Toolbox, desk: Desk) -> None:
        self._retry = retry
        self._inner = inner
        self._desk = desk
        self._now_s = desk.clock.now_s

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> ToolResult:
        retry = self._retry
        retry.budget.deposit(self._now_s())
        tried = 1
        session_opened = False
        while True:
            try:
                result = await self._inner.call(
                    operation,
                    arguments,
                    timeout_s=timeout_s,
                    idempotency_key=idempotency_key,
                    attempt=attempt + tried - 1,
                )
                if result.status < 400:
                    return result
                if not session_opened and needs_session(result):
                    session_opened = True
                    self._desk.mark("valve", retry.name, f"{operation}: opening a session for a fresh CSRF token")
                    if await self._open_session():
                        tried += 1
                        continue
                    return result
                why = passing(result)
                retry_after_s = retry_after_of(result.headers)
                error = None
            except ToolError as raised:
                why = passing_error(raised)
                retry_after_s = None
                error = raised
            if (
                not why
                or (operation in WRITES and idempotency_key is None)
                or not await retry.pause(self._desk, operation, tried, why, retry_after_s)
            ):
                if error is not None:
                    raise error
                return result
            tried += 1

    async def _open_session(self) -> bool:
        try:
            return (await self._inner.call(_SESSION, {})).ok
        except ToolError:
            return False


def needs_session(result: ToolResult) -> bool:
    """Whether SAP asks for a fresh CSRF token."""
    return result.status == 403 and result.headers.get("x-csrf-token", "").casefold() == "required"


def passing(result: ToolResult) -> str:
    """Return what is likely to pass by itself about this answer, or "" where trying again is no use."""
    status = result.status
    if status in (408, 423) or status >= 500:
        return f"HTTP {status}"
    if status == 429:
        body = result.body
        return "" if any(text in body for text in _FINAL_TEXTS) else "HTTP 429"
    if status in (400, 409):
        body = result.body
        return f"HTTP {status} (locked)" if any(text in body for text in _LOCK_TEXTS) else ""
    return ""


def passing_error(error: ToolError) -> str:
    """Return what is likely to pass by itself about this error, or "" where trying again is no use."""
    if isinstance(error, ValveRefusal):
        return ""
    if isinstance(error, ToolTimeout):
        return "a time-out"
    if isinstance(error, ConnectionLost):
        return "a broken connection"
    if isinstance(error, BadAnswer):
        return "an unusable answer"
    if error.status == 429:
        return "" if any(text in error.body for text in _FINAL_TEXTS) else "HTTP 429"
    if error.status == 408 or error.status >= 500:
        return f"HTTP {error.status}"
    return ""


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a `retry-after` header, or None where there is none that is a number."""
    written = headers.get("retry-after")
    if written is None:
        return None
    try:
        seconds = float(written)
    except ValueError:
        return None
    return seconds if 0.0 <= seconds < float("inf") else None
