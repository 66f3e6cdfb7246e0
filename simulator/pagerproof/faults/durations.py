"""Drawn times: a duration of a fault model file as a function of a key."""

from __future__ import annotations

import math
from collections.abc import Callable

from pagerproof.rng import exponential, lognormal
from pagerproof.scenario.fault_effects import Duration

_Z99 = 2.3263478740408408  # the standard normal's 99th percentile

DrawSeconds = Callable[[int], float]
"""Takes a key, returns seconds."""


def duration(spec: Duration) -> DrawSeconds:
    """Return the draw that `spec` describes."""
    if spec.dist == "exponential":
        mean = spec.mean or 0.0
        return lambda key: exponential(key, mean)
    if spec.dist == "lognormal":
        assert spec.p50 is not None
        assert spec.p99 is not None
        median, sigma = spec.p50, math.log(spec.p99 / spec.p50) / _Z99
        return lambda key: lognormal(key, median, sigma)
    seconds = spec.for_ or 0.0
    return lambda _key: seconds
