"""How customers come and how long they wait: draws of channel and patience."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from pagerproof.rng import exponential, lognormal
from pagerproof.scenario.schema import Patience

DEFAULT_PATIENCE_S: Final = 240.0


class Channels:
    """Draws one of the scenario's channels, among those that suit an intent if there are any."""

    __slots__ = ("_cumulative", "_names")

    def __init__(self, shares: Mapping[str, float], suitable: Sequence[str]) -> None:
        usable = {name: share for name, share in shares.items() if share > 0.0 and name in suitable}
        usable = usable or {name: share for name, share in shares.items() if share > 0.0}
        total = sum(usable.values())
        self._names = tuple(usable)
        self._cumulative = [part / total for part in accumulate(usable.values())]
        self._cumulative[-1] = 1.0

    def draw(self, at: float) -> str:
        """Return the channel at `at` in [0, 1)."""
        return self._names[bisect_right(self._cumulative, at)]


def patience_of(spec: Patience, key: int) -> float:
    """Return how long the customer at `key` waits, in seconds; infinity where the scenario says so."""
    if spec.dist == "infinite":
        return math.inf
    if spec.dist == "exponential":
        mean_s = spec.mean if spec.mean is not None else (spec.median or DEFAULT_PATIENCE_S) / math.log(2.0)
        return exponential(key, mean_s)
    if spec.dist == "constant":
        return spec.median or spec.mean or DEFAULT_PATIENCE_S
    median_s = spec.median
    if median_s is None:
        median_s = spec.mean / math.exp(spec.sigma**2 / 2.0) if spec.mean is not None else DEFAULT_PATIENCE_S
    return lognormal(key, median_s, spec.sigma)
