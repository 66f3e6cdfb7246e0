"""The statistics against cases whose truth is known."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest

from pagerproof.metrics.statistics import change_points, quantile, spread, wilson
from pagerproof.rng import uniform


def _failures(seed: int, *stretches: tuple[int, float]) -> list[bool]:
    rates = [rate for length, rate in stretches for _ in range(length)]
    return [uniform(seed, "failed", at) < rate for at, rate in enumerate(rates)]


@pytest.mark.parametrize("seed", range(5))
def test_burst_of_failures_is_found_where_it_is(seed: int) -> None:
    found = change_points(_failures(seed, (6200, 0.01), (700, 0.15), (3101, 0.01)))
    assert len(found) == 2
    assert abs(found[0] - 6200) <= 60
    assert abs(found[1] - 6900) <= 60


def test_single_step_is_found_once() -> None:
    found = change_points(_failures(1, (3000, 0.02), (3000, 0.08)))
    assert len(found) == 1
    assert abs(found[0] - 3000) <= 120


def test_constant_rate_has_no_change_points() -> None:
    false_alarms = sum(bool(change_points(_failures(seed, (4000, 0.03)))) for seed in range(60))
    assert false_alarms <= 1


@pytest.mark.parametrize("failed", [[], [True] * 10, [False] * 500, [True] * 500])
def test_nothing_changes_where_nothing_can(failed: list[bool]) -> None:
    assert change_points(failed) == []


def test_change_from_never_to_always_stands_at_the_exact_place() -> None:
    assert change_points([False] * 300 + [True] * 300) == [300]


def test_a_lower_penalty_finds_more() -> None:
    failed = _failures(3, (500, 0.02), (500, 0.05))
    assert len(change_points(failed, penalty=0.5)) > len(change_points(failed))


@pytest.mark.parametrize(("hits", "n"), [(0, 10_001), (3, 500), (500, 500), (1, 2), (250, 500)])
def test_wilson_bounds_are_the_rates_just_compatible_with_what_was_seen(hits: int, n: int) -> None:
    z = NormalDist().inv_cdf(0.975)
    low, high = wilson(hits, n)
    for bound, side in ((low, -1), (high, 1)):
        certain = bound in (0.0, 1.0) and hits in (0, n)
        assert certain or (bound - hits / n) * side == pytest.approx(z * sqrt(bound * (1 - bound) / n))
    assert low <= hits / n <= high


def test_no_failure_in_ten_thousand_and_one_leaves_a_rate_of_four_in_ten_thousand_possible() -> None:
    low, high = wilson(0, 10_001)
    assert low == 0.0
    assert high == pytest.approx(3.84e-4, rel=0.01)


def test_nothing_is_known_of_a_rate_without_samples() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_quantiles_are_values_that_occurred() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert [quantile(values, share) for share in (0.25, 0.5, 0.51, 0.95, 1.0)] == [1.0, 2.0, 3.0, 4.0, 4.0]
    whole = spread("all", values)
    assert whole is not None
    assert (whole.n, whole.mean, whole.p50, whole.p99, whole.max, whole.sum) == (4, 2.5, 2.0, 4.0, 4.0, 10.0)
    assert spread("none", values[:0]) is None
