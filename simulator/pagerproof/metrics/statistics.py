"""The few statistics that a run needs, exact and without scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pagerproof.metrics.result import Spread

Floats = NDArray[np.float64]

_Z95 = 1.959963984540054
_SEGMENT_MIN = 25


def quantile(values: Floats, share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed: one that occurred. Not for none."""
    return float(np.quantile(values, share, method="inverted_cdf"))


def spread(label: str, values: Floats) -> Spread | None:
    """Return the distribution of `values`, or None of none."""
    if not len(values):
        return None
    p50, p90, p95, p99 = np.quantile(values, (0.5, 0.9, 0.95, 0.99), method="inverted_cdf")
    return Spread(
        label=label,
        n=len(values),
        mean=float(values.mean()),
        p50=float(p50),
        p90=float(p90),
        p95=float(p95),
        p99=float(p99),
        max=float(values.max()),
        sum=float(values.sum()),
    )


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a rate; (0, 1) without samples."""
    if not n:
        return 0.0, 1.0
    rate, z2 = hits / n, _Z95 * _Z95
    center = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if hits == 0 else center - half
    high = 1.0 if hits == n else center + half
    return max(0.0, low), min(1.0, high)


def change_points(failed: Sequence[bool] | NDArray[np.bool_], penalty: float | None = None) -> list[int]:
    """Return the positions at which the rate of failures changes: Bernoulli binary segmentation.

    A stretch is split where the log-likelihood of two rates exceeds that of one by the most, if by more than
    `penalty`: by default 2 ln n, twice the price of the Bayesian information criterion for a place and a rate. No
    segment is shorter than 25. Positions count from 0 and begin the new segment.
    """
    n = len(failed)
    sums = np.concatenate(([0.0], np.cumsum(np.asarray(failed, dtype=np.float64))))
    price = 2.0 * math.log(max(n, 2)) if penalty is None else penalty
    found: list[int] = []
    stretches = [(0, n)]
    while stretches:
        start, stop = stretches.pop()
        split, gain = _best_split(sums, start, stop)
        if gain > price:
            found.append(split)
            stretches += [(start, split), (split, stop)]
    # A split was placed when its neighbours were unknown: each is placed again between them.
    edges = [0, *sorted(found), n]
    for at in range(1, len(edges) - 1):
        edges[at] = _best_split(sums, edges[at - 1], edges[at + 1])[0]
    return edges[1:-1]


def _best_split(sums: Floats, start: int, stop: int) -> tuple[int, float]:
    """Return where two rates explain the stretch best, and by how much better than one; (start, 0) if it is short."""
    if stop - start < 2 * _SEGMENT_MIN:
        return start, 0.0
    splits = np.arange(start + _SEGMENT_MIN, stop - _SEGMENT_MIN + 1)
    left = _log_likelihood(sums[splits] - sums[start], splits - start)
    right = _log_likelihood(sums[stop] - sums[splits], stop - splits)
    whole = _log_likelihood(sums[stop : stop + 1] - sums[start], np.array([stop - start]))
    gains = left + right - whole
    best = int(np.argmax(gains))
    return int(splits[best]), float(gains[best])


def _log_likelihood(hits: Floats, n: NDArray[np.int64]) -> Floats:
    """The log-likelihood of `hits` out of `n` at their own rate; 0 ln 0 is 0."""
    misses = n - hits
    with np.errstate(divide="ignore", invalid="ignore"):
        of_hits = np.where(hits > 0, hits * np.log(hits / n), 0.0)
        of_misses = np.where(misses > 0, misses * np.log(misses / n), 0.0)
    likelihood: Floats = of_hits + of_misses
    return likelihood
