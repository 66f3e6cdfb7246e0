"""The circuit breaker: stop asking what keeps failing, and answer reads from what is remembered meanwhile."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal

from pagerproof.model import Answer
from pagerproof.tools import BadAnswer, ConnectionLost, Desk, Toolbox, ToolResult, ToolTimeout
from pagerproof.valves.purposes import WRITES, Purpose, purpose_of
from pagerproof.valves.refusals import BreakerOpen

CACHED_AGE_HEADER: Final = "x-pagerproof-cached-age-s"


class State(StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a circuit opens and closes.

    It opens when at least `minimum_calls` of the last `window_calls` are known and `failure_rate` of those failed;
    after `open_s` it lets `half_open_calls` trial calls through, and their failure rate decides.
    """

    failure_rate: float
    minimum_calls: int
    window_calls: int
    open_s: float
    half_open_calls: int

    def __post_init__(self) -> None:
        if not 0.0 < self.failure_rate <= 1.0:
            raise ValueError(f"failure_rate must lie above 0 and at most at 1, not {self.failure_rate}")
        if not 1 <= self.minimum_calls <= self.window_calls:
            raise ValueError("minimum_calls must be at least 1 and at most window_calls")
        if self.half_open_calls < 1 or self.open_s < 0.0:
            raise ValueError("half_open_calls must be at least 1 and open_s not below 0")


PRESETS: Final[Mapping[str, Thresholds]] = MappingProxyType(
    {
        # opossum as SAP Cloud SDK JS 4.9.1 sets it: 50 %, volume 10, reset 30 s. Its window is one of time; ours counts
        # calls, and 100 of them is resilience4j's default.
        "opossum": Thresholds(failure_rate=0.5, minimum_calls=10, window_calls=100, open_s=30.0, half_open_calls=1),
        # resilience4j, CircuitBreakerConfig: 50 %, COUNT window 100, minimum 100, open 60 s, 10 trial calls.
        "resilience4j": Thresholds(
            failure_rate=0.5, minimum_calls=100, window_calls=100, open_s=60.0, half_open_calls=10
        ),
        # pybreaker 1.4.1: 5 failures in a row, 60 s, 1 success closes.
        "pybreaker": Thresholds(failure_rate=1.0, minimum_calls=5, window_calls=5, open_s=60.0, half_open_calls=1),
        # purgatory 3.0.1: 5 failures in a row, 30 s.
        "purgatory": Thresholds(failure_rate=1.0, minimum_calls=5, window_calls=5, open_s=30.0, half_open_calls=1),
        # Helidon: 60 % of at least 10, 5 s.
        "helidon": Thresholds(failure_rate=0.6, minimum_calls=10, window_calls=10, open_s=5.0, half_open_calls=1),
    }
)
"""Defaults of breakers in the field, by library."""


class Circuit:
    """The state machine of one circuit; times are virtual and given by the caller."""

    __slots__ = ("_bits", "_known", "_mask", "_opened_s", "_thresholds", "_trials", "generation", "state")

    def __init__(self, thresholds: Thresholds) -> None:
        self.state = State.CLOSED
        self._bits = 0
        self._known = 0
        self._trials = 0
        self._thresholds = thresholds
        self._mask = (1 << thresholds.window_calls) - 1
        self.generation = 0
        self._opened_s = 0.0

    def permits(self, now_s: float) -> bool:
        """Whether a call may go through now; a trial call of a half-open circuit is taken by asking."""
        if self.state is State.CLOSED:
            return True
        thresholds = self._thresholds
        if self.state is State.OPEN:
            if now_s - self._opened_s < thresholds.open_s:
                return False
            self._become(State.HALF_OPEN)
        if self._trials >= thresholds.half_open_calls:
            return False
        self._trials += 1
        return True

    def record(self, generation: int, now_s: float, *, failed: bool) -> None:
        """Take in how a call ended; one that began before the last change of state no longer counts."""
        if generation != self.generation:
            return
        self._bits = ((self._bits << 1) | failed) & self._mask
        self._known += 1
        thresholds = self._thresholds
        if self.state is State.CLOSED:
            if self._known < thresholds.minimum_calls:
                return
            known = min(self._known, thresholds.window_calls)
        elif self._known < thresholds.half_open_calls:
            return
        else:
            known = self._known
        if self._bits.bit_count() >= thresholds.failure_rate * known:
            self._opened_s = now_s
            self._become(State.OPEN)
        elif self.state is State.HALF_OPEN:
            self._become(State.CLOSED)

    def release(self, generation: int) -> None:
        """Give back the permit of a call that was given up without an outcome."""
        if generation == self.generation and self.state is State.HALF_OPEN:
            self._trials -= 1

    def _become(self, state: State) -> None:
        self.state = state
        self.generation += 1
        self._bits = 0
        self._known = 0
        self._trials = 0


class CircuitBreaker:
    """One circuit for each operation, or for each service; open circuits refuse writes with BreakerOpen.

    While a circuit is open, a read that was asked before with the very same arguments is answered by its last good
    answer, marked with its age in the header `x-pagerproof-cached-age-s`; other reads are refused. At most
    `cached_answers` are remembered, each for `cached_age_max_s`; `cached=False` remembers none. Time-outs, broken
    connections, undecodable answers and statuses from 500 count as failures, other 4xx do not (as in SAP Cloud SDK).
    `thresholds` is the name of one of `PRESETS` or figures of your own.
    """

    name = "circuit_breaker"

    def __init__(
        self,
        thresholds: Thresholds | str = "opossum",
        *,
        per: Literal["operation", "service"] = "operation",
        cached: bool = True,
        cached_answers: int = 1024,
        cached_age_max_s: float = 300.0,
    ) -> None:
        if isinstance(thresholds, str):
            if thresholds not in PRESETS:
                raise ValueError(f"no breaker is called {thresholds!r}; there are {', '.join(PRESETS)}")
            thresholds = PRESETS[thresholds]
        self.thresholds = thresholds
        self.per = per
        self.cached_answers = cached_answers if cached else 0
        self.cached_age_max_s = cached_age_max_s
        self._circuits: dict[str, Circuit] = {}
        self._remembered: OrderedDict[Purpose, tuple[float, ToolResult]] = OrderedDict()

    def circuit(self, operation: str) -> Circuit:
        """Return the circuit that this operation belongs to."""
        circuit = self._circuits.get(operation)
        if circuit is None:
            if self.per == "service":
                service = operation.partition(".")[0]
                circuit = self._circuits.setdefault(f"{service}.*", Circuit(self.thresholds))
            else:
                circuit = Circuit(self.thresholds)
            self._circuits[operation] = circuit
        return circuit

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        """Return `toolbox` behind the run's circuits."""
        return _Guarded(self, toolbox, desk)

    def remember(self, purpose: Purpose, now_s: float, result: ToolResult) -> None:
        """Keep a good answer, and drop the oldest one when there are too many."""
        remembered = self._remembered
        remembered[purpose] = (now_s, result)
        if len(remembered) > self.cached_answers:
            remembered.popitem(last=False)

    def recall(self, purpose: Purpose, now_s: float) -> tuple[float, ToolResult] | None:
        """Return (age, answer) of the last good answer to exactly this call, or None."""
        held = self._remembered.get(purpose)
        if held is None or now_s - held[0] > self.cached_age_max_s:
            return None
        return now_s - held[0], held[1]


class _Guarded:
    __slots__ = ("_breaker", "_desk", "_inner", "_now_s")

    def __init__(self, breaker: CircuitBreaker, inner: Toolbox, desk: Desk) -> None:
        self._breaker = breaker
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
        breaker = self._breaker
        circuit = breaker.circuit(operation)
        if circuit.state is not State.CLOSED and not self._permitted(circuit, operation):
            return self._instead(operation, arguments)
        generation = circuit.generation
        try:
            result = await self._inner.call(
                operation, arguments, timeout_s=timeout_s, idempotency_key=idempotency_key, attempt=attempt
            )
        except (ToolTimeout, ConnectionLost, BadAnswer):
            self._ended(circuit, generation, operation, failed=True)
            raise
        except BaseException:
            circuit.release(generation)
            raise
        now_s = self._now_s()
        if result.status >= 500:
            self._ended(circuit, generation, operation, failed=True)
        elif circuit.state is State.CLOSED:
            circuit.record(generation, now_s, failed=False)
        else:
            self._ended(circuit, generation, operation, failed=False)
        if breaker.cached_answers and 200 <= result.status < 300 and operation not in WRITES:
            breaker.remember(purpose_of(operation, arguments), now_s, result)
        return result

    def _permitted(self, circuit: Circuit, operation: str) -> bool:
        before = circuit.state
        permitted = circuit.permits(self._now_s())
        if circuit.state is not before:
            self._tell(operation, before, circuit.state)
        return permitted

    def _ended(self, circuit: Circuit, generation: int, operation: str, *, failed: bool) -> None:
        before = circuit.state
        circuit.record(generation, self._now_s(), failed=failed)
        if circuit.state is not before:
            self._tell(operation, before, circuit.state)

    def _tell(self, operation: str, before: State, after: State) -> None:
        self._desk.mark("valve", CircuitBreaker.name, f"{operation}: {before} -> {after}")

    def _instead(self, operation: str, arguments: Mapping[str, Any]) -> ToolResult:
        held = None
        if operation not in WRITES:
            held = self._breaker.recall(purpose_of(operation, arguments), self._now_s())
        if held is None:
            self._desk.mark("valve", CircuitBreaker.name, f"{operation} refused: the circuit is open")
            raise BreakerOpen(operation, "the circuit is open")
        age_s, result = held
        self._desk.mark("valve", CircuitBreaker.name, f"{operation}: last good answer, {age_s:.1f} s old")
        headers = {**result.headers, CACHED_AGE_HEADER: f"{age_s:.3f}"}
        return ToolResult(operation, Answer(result.status, headers, result.body, result.wire_bytes))


def is_cached(result: ToolResult) -> bool:
    """Whether a breaker gave this answer from memory: true once, perhaps not now."""
    return CACHED_AGE_HEADER in result.headers
