"""Keyed draws: uniform, independent between keys, of the right moments, and the same for ever."""

import math
from collections.abc import Callable
from statistics import fmean, pvariance
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pagerproof import rng

N = 4000
GOLDEN: tuple[object, ...] = (
    18175682501476550002,
    1362159529805699291,
    0.9853057227253821,
    985,
    "98530572",
    "fc3cfeefaacb0572f96c9296d60ab909",
    "fc3cfeefaacb0572f96c",
    8,
    965,
)
GOLDEN_FLOATS = (
    2.1782348794837967,
    8.440594324082344,
    2.216912149324808,
    245.39441417526223,
    0.09110079521515699,
    0.7573228947427294,
)
KEYS = [rng.key_of(7, "sample", n) for n in range(N)]


def test_golden_values_do_not_move() -> None:
    key = rng.key_of(42, 10_001, "fault", "delayed-api-tail")
    assert (
        key,
        rng.sub_key(key, b"delay"),
        rng.unit(key),
        rng.below(key, 1000),
        rng.digits(key, 8),
        rng.hex_id(key),
        rng.hex_id(key, 20),
        rng.poisson(key, 3.5),
        rng.poisson(key, 900.0),
    ) == GOLDEN
    floats = (
        rng.standard_normal(key),
        rng.exponential(key, 2.0),
        rng.lognormal(key, 0.6, 0.6),
        rng.gamma(key, 250.0),
        rng.gamma(key, 0.4),
        rng.beta(key, 5.8, 1.265),
    )
    assert floats == pytest.approx(GOLDEN_FLOATS, rel=1e-12)


def test_parts_of_a_key_are_kept_apart() -> None:
    keys = {
        rng.key_of(1, "ab", "c"),
        rng.key_of(1, "a", "bc"),
        rng.key_of(1, "abc"),
        rng.key_of(1, "abc", ""),
        rng.key_of(2, "ab", "c"),
        rng.key_of(1, "c", "ab"),
        rng.key_of(1, 1, 11),
        rng.key_of(1, 11, 1),
    }
    assert len(keys) == 8


def test_the_same_key_gives_the_same_draw_whatever_was_drawn_between() -> None:
    first = rng.uniform(3, "a", 1)
    for n in range(100):
        rng.uniform(3, "b", n)
    assert rng.uniform(3, "a", 1) == first


@pytest.mark.parametrize("salt", [b"", b"delay", b"\x00", b"very long salt " * 20])
def test_units_are_uniform(salt: bytes) -> None:
    assert stats.kstest([rng.unit(rng.sub_key(key, salt)) for key in KEYS], "uniform").pvalue > 1e-4


@pytest.mark.parametrize("seeds", [range(N), [n << 32 for n in range(N)], [2**63 - 1 - n for n in range(N)]])
def test_neighbouring_seeds_give_uniform_draws(seeds: list[int]) -> None:
    assert stats.kstest([rng.uniform(seed, "day") for seed in seeds], "uniform").pvalue > 1e-4


@pytest.mark.parametrize("lag", [1, 2, 10])
def test_neighbouring_indices_and_sibling_salts_are_uncorrelated(lag: int) -> None:
    draws = [rng.unit(key) for key in KEYS]
    assert abs(stats.pearsonr(draws[:-lag], draws[lag:]).statistic) < 4 / math.sqrt(N)
    siblings = [rng.unit(rng.sub_key(key, b"salt%d" % lag)) for key in KEYS]
    assert abs(stats.pearsonr(draws, siblings).statistic) < 4 / math.sqrt(N)


def test_every_bit_of_a_key_is_a_fair_coin() -> None:
    for bit in range(64):
        ones = sum(key >> bit & 1 for key in KEYS)
        assert abs(ones - N / 2) < 5 * math.sqrt(N) / 2, f"bit {bit}"


def test_below_and_pick_are_uniform_and_stay_within() -> None:
    counts = [0] * 7
    for key in KEYS:
        counts[rng.below(key, 7)] += 1
    assert stats.chisquare(counts).pvalue > 1e-4
    assert {rng.pick(key, "abc") for key in KEYS} == set("abc")
    assert rng.below(2**64 - 1, 7) == 6
    assert rng.below(0, 7) == 0
    with pytest.raises(IndexError):
        rng.pick(5, "")


@pytest.mark.parametrize(
    ("draw", "law"),
    [
        (rng.standard_normal, stats.norm()),
        (lambda key: rng.exponential(key, 2.5), stats.expon(scale=2.5)),
        (lambda key: rng.lognormal(key, 0.6, 0.8), stats.lognorm(0.8, scale=0.6)),
        (lambda key: rng.gamma(key, 250.0, 1 / 250), stats.gamma(250.0, scale=1 / 250)),
        (lambda key: rng.gamma(key, 1.0), stats.gamma(1.0)),
        (lambda key: rng.gamma(key, 0.3, 2.0), stats.gamma(0.3, scale=2.0)),
        (lambda key: rng.beta(key, 5.8, 1.265), stats.beta(5.8, 1.265)),
        (lambda key: rng.beta(key, 0.469, 0.664), stats.beta(0.469, 0.664)),
    ],
)
def test_each_continuous_draw_follows_its_law(draw: Callable[[int], float], law: Any) -> None:
    sample = [draw(key) for key in KEYS]
    assert stats.kstest(sample, law.cdf).pvalue > 1e-4
    assert fmean(sample) == pytest.approx(law.mean(), abs=5 * law.std() / math.sqrt(N))
    assert pvariance(sample) == pytest.approx(law.var(), rel=0.25)


@pytest.mark.parametrize("mean", [0.3, 3.5, 60.0, 499.0, 900.0])
def test_poisson_draws_have_mean_and_variance_of_their_mean(mean: float) -> None:
    sample = [rng.poisson(key, mean) for key in KEYS]
    assert fmean(sample) == pytest.approx(mean, abs=5 * math.sqrt(mean / N))
    assert pvariance(sample) == pytest.approx(mean, rel=0.12)
    assert min(sample) >= 0


def test_poisson_draws_follow_their_law() -> None:
    sample = [rng.poisson(key, 3.5) for key in KEYS]
    law = stats.poisson(3.5)
    observed = [sample.count(n) for n in range(9)] + [sum(n >= 9 for n in sample)]
    expected = [N * law.pmf(n) for n in range(9)] + [N * law.sf(8)]
    assert stats.chisquare(observed, expected).pvalue > 1e-4


@pytest.mark.parametrize("key", [0, 2**64 - 1, 1, 2**63])
def test_the_outermost_keys_give_finite_draws(key: int) -> None:
    assert 0.0 <= rng.unit(key) < 1.0
    draws = (rng.standard_normal(key), rng.exponential(key, 1.0), rng.lognormal(key, 1.0, 1.0))
    assert all(map(math.isfinite, (*draws, rng.gamma(key, 0.5), rng.beta(key, 0.5, 0.5), rng.poisson(key, 499.0))))
    assert rng.poisson(key, 0.0) == 0


@given(st.integers(0, 2**64 - 1), st.integers(1, 18), st.integers(1, 70))
def test_ids_have_the_length_and_alphabet_they_promise(key: int, n: int, length: int) -> None:
    assert len(rng.digits(key, n)) == n
    assert rng.digits(key, n).isdecimal()
    text = rng.hex_id(key, length)
    assert len(text) == length
    assert set(text) <= set("0123456789abcdef")


@given(st.integers(0, 2**63 - 1), st.text())
def test_any_text_can_be_part_of_a_key(seed: int, text: str) -> None:
    assert 0 <= rng.key_of(seed, text, "\ud800") < 2**64
