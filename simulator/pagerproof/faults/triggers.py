"""Triggers: when a fault strikes a call, as pure functions of keys, virtual time and the named state of services."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache

from xxhash import xxh3_64_intdigest

from pagerproof.errors import UsageError
from pagerproof.protocols import Call, Service
from pagerproof.rng import below, key_of, sub_key, unit
from pagerproof.scenario.fault_model import Burst, Index, Node, State, Wear

CERTAIN = 1 << 64
"""The threshold that every key is below."""

_REQUESTS_REMEMBERED = 1024  # more than are ever under way at once; whatever was forgotten is drawn again
_SLOTS_AHEAD = 64  # looking on costs a draw per slot, asking again costs every operation a new plan

Gauge = Callable[[], float]
Condition = Callable[[Call], bool]


def threshold(probability: float) -> int:
    """Return n such that `key < n` exactly where `unit(key) < probability`."""
    return math.ceil(probability * 2.0**53) << 11


def gauge(name: str, services: Mapping[str, Service], fault: str) -> Gauge:
    """Return the reading of `service.gauge.name`. Raises UsageError for a name that no service knows."""
    service_name, _, rest = name.partition(".")
    service = services.get(service_name)
    if service is None or rest not in service.gauges():
        known = sorted(f"{each.name}.{gauge}" for each in services.values() for gauge in each.gauges())
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"fault {fault}: no service has a gauge {name!r}{hint}")
    read = service.gauge
    return lambda: read(rest)


class Weather:
    """Incidents of one fault over virtual time: fair or bad per slot, each slot a keyed step from the one before.

    The first slot draws from the long-run share of bad slots. Slots are computed in order and kept.
    """

    __slots__ = ("_bad", "_enter", "_key", "_leave", "slot_s")

    def __init__(self, burst: Burst, seed: int, fault: str) -> None:
        self.slot_s = burst.slot
        self._enter = burst.enter
        self._leave = burst.leave
        self._key = key_of(seed, "burst", fault)
        self._bad: list[bool] = []

    def bad(self, slot: int) -> bool:
        """Return whether the slot, counted from 0, is bad."""
        states = self._bad
        while len(states) <= slot:
            draw = unit(sub_key(self._key, b"%d" % len(states)))
            if not states:
                total = self._enter + self._leave
                states.append(draw < self._enter / total)
            else:
                states.append(draw >= self._leave if states[-1] else draw < self._enter)
        return states[slot]

    def period(self, time_s: float) -> tuple[bool, float]:
        """Return whether it is bad at `time_s`, and a time up to which that is known to hold."""
        slot = int(time_s / self.slot_s)
        while (slot + 1) * self.slot_s <= time_s:  # a rounded quotient must not name a slot that is over
            slot += 1
        bad = self.bad(slot)
        last = slot
        while last < slot + _SLOTS_AHEAD and self.bad(last + 1) == bad:
            last += 1
        return bad, (last + 1) * self.slot_s


def worn(wear: Wear, read: Gauge) -> Condition:
    """Return the condition that the gauge has reached `at_least` (for wear without a ramp)."""
    at_least = wear.at_least
    return lambda _call: read() >= at_least


def wearing(wear: Wear, read: Gauge, salt: bytes, probability: float) -> Condition:
    """Return the condition whose probability rises from 0 at `at_least` to `probability` at `full_at`."""
    at_least = wear.at_least
    span = (wear.full_at or at_least) - at_least

    def condition(call: Call) -> bool:
        share = min(1.0, (read() - at_least) / span)
        return share > 0.0 and unit(xxh3_64_intdigest(salt, call.key)) < probability * share

    return condition


def in_state(state: State, read: Gauge) -> Condition:
    """Return the condition that the gauge is above or below its bounds, or between them."""
    above = -math.inf if state.above is None else state.above
    below_ = math.inf if state.below is None else state.below
    return lambda _call: above < read() < below_


def on_node(node: Node, seed: int, salt: bytes) -> Condition:
    """Return the condition that the call, or its whole request, lands on a slow node."""
    of, slow = node.of, node.slow
    if node.sticky == "call":
        return lambda call: below(sub_key(call.key, salt), of) < slow

    @lru_cache(_REQUESTS_REMEMBERED)  # asked at every call of a request, always with the same answer
    def is_slow(index: int) -> bool:
        return below(sub_key(sub_key(seed, b"%d" % index), salt), of) < slow

    return lambda call: is_slow(call.case.index)


def at_index(index: Index) -> Condition:
    """Return the condition on the request's index."""
    if index.exact is not None:
        exact = frozenset(index.exact)
        return lambda call: call.case.index in exact
    if index.range is not None:
        first, last = index.range
        return lambda call: first <= call.case.index <= last
    every = index.every or 1
    return lambda call: call.case.index % every == 0


def per_request(seed: int, salt: bytes, probability: float) -> Condition:
    """Return the condition that is drawn once for a request."""
    limit = threshold(probability)

    @lru_cache(_REQUESTS_REMEMBERED)
    def strikes(index: int) -> bool:
        return sub_key(sub_key(seed, b"%d" % index), salt) < limit

    return lambda call: strikes(call.case.index)
