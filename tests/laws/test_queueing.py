"""The pool against queueing theory: waits and abandonment match Erlang-C and Erlang-A within the confidence interval.

Waits within one run depend on each other, so the interval comes from the spread between seeds, never from one run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

import pytest
import simpy
from scipy.stats import t

from pagerproof.resources import SERVED, Pool, Ticket
from pagerproof.rng import exponential, key_of, sub_key

SEEDS = range(1, 13)
CONFIDENCE = 0.99


class SimpyScheduler:
    """Timers straight on a SimPy environment."""

    def __init__(self) -> None:
        self.env = simpy.Environment()

    def time(self) -> float:
        return float(self.env.now)

    def schedule(self, delay_s: float, callback: Callable[..., object], /, *args: object) -> Any:
        timeout = self.env.timeout(delay_s)

        def due(_event: object) -> None:
            callback(*args)

        timeout.callbacks.append(due)
        return timeout


@dataclass(frozen=True, kw_only=True)
class Center:
    """Poisson arrivals, exponential service and (theta above 0) exponential patience; rates share one time unit."""

    arrivals: float
    service: float
    patience: float
    servers: int


@dataclass(kw_only=True)
class Seen:
    """What one run measured, after its warm-up."""

    waits: list[float] = field(default_factory=list)
    delayed: int = 0
    abandoned: int = 0

    @property
    def mean_wait(self) -> float:
        return fmean(self.waits)

    @property
    def share_delayed(self) -> float:
        return self.delayed / len(self.waits)

    @property
    def share_abandoned(self) -> float:
        return self.abandoned / len(self.waits)

    def served_within(self, wait: float) -> float:
        return sum(each <= wait for each in self.waits) / len(self.waits)


class Run:
    """One seed's customers, one after the other; each draw is keyed by seed, customer and purpose."""

    def __init__(self, center: Center, seed: int, customers: int, warm_up: int) -> None:
        self.center = center
        self.key = key_of(seed, "queueing")
        self.customers = customers
        self.warm_up = warm_up
        self.scheduler = SimpyScheduler()
        self.pool = Pool(self.scheduler, center.servers)
        self.seen = Seen()

    def measure(self) -> Seen:
        self.scheduler.schedule(0.0, self.arrive, 0)
        self.scheduler.env.run()
        assert (self.pool.in_use, self.pool.queued) == (0, 0)
        return self.seen

    def arrive(self, number: int) -> None:
        key = sub_key(self.key + number, b"customer")
        now = self.scheduler.time()
        ticket = self.pool.acquire(self.serve, number, key, now)
        assert ticket is not None
        if ticket is not SERVED:
            self.seen.delayed += number >= self.warm_up
            if self.center.patience > 0.0:
                patience = exponential(sub_key(key, b"patience"), 1.0 / self.center.patience)
                self.scheduler.schedule(patience, self.give_up, ticket, number, patience)
        if number + 1 < self.customers:
            gap = exponential(sub_key(key, b"gap"), 1.0 / self.center.arrivals)
            self.scheduler.schedule(gap, self.arrive, number + 1)

    def serve(self, number: int, key: int, arrived: float) -> None:
        if number >= self.warm_up:
            self.seen.waits.append(self.scheduler.time() - arrived)
        duration = exponential(sub_key(key, b"service"), 1.0 / self.center.service)
        self.scheduler.schedule(duration, self.pool.release)

    def give_up(self, ticket: Ticket, number: int, patience: float) -> None:
        if ticket.cancel() and number >= self.warm_up:
            self.seen.waits.append(patience)
            self.seen.abandoned += 1


@dataclass(frozen=True, kw_only=True)
class Theory:
    """The closed forms: Erlang-C where nobody loses patience, otherwise Erlang-A."""

    delayed: float
    mean_wait: float
    abandoned: float


def erlang_c(center: Center) -> Theory:
    load, n = center.arrivals / center.service, center.servers
    blocking = 1.0
    for servers in range(1, n + 1):
        blocking = load * blocking / (servers + load * blocking)
    delayed = n * blocking / (n - load * (1.0 - blocking))
    return Theory(delayed=delayed, mean_wait=delayed / (n * center.service - center.arrivals), abandoned=0.0)


def erlang_a(center: Center) -> Theory:
    weights = [1.0]
    while len(weights) <= center.servers or weights[-1] > 1e-18 * max(weights):
        state = len(weights)
        leaving = min(state, center.servers) * center.service + max(0, state - center.servers) * center.patience
        weights.append(weights[-1] * center.arrivals / leaving)
    total = math.fsum(weights)
    queue = math.fsum((state - center.servers) * weight for state, weight in enumerate(weights)
                      if state > center.servers) / total  # fmt: skip
    delayed = math.fsum(weights[center.servers :]) / total
    return Theory(
        delayed=delayed, mean_wait=queue / center.arrivals, abandoned=center.patience * queue / center.arrivals
    )


def half_width(values: Sequence[float]) -> float:
    quantile = float(t.ppf((1.0 + CONFIDENCE) / 2.0, len(values) - 1))
    return quantile * stdev(values) / math.sqrt(len(values))


def agrees(values: Sequence[float], truth: float) -> bool:
    return abs(fmean(values) - truth) <= half_width(values)


C_14 = Center(arrivals=100 / 30, service=1 / 3, patience=0.0, servers=14)
A_50 = Center(arrivals=48.0, service=1.0, patience=0.5, servers=50)


@pytest.fixture(scope="module")
def c_14() -> list[Seen]:
    return [Run(C_14, seed, customers=16_000, warm_up=500).measure() for seed in SEEDS]


@pytest.fixture(scope="module")
def a_50() -> list[Seen]:
    return [Run(A_50, seed, customers=25_000, warm_up=1_000).measure() for seed in SEEDS]


def test_the_closed_forms_give_the_published_values() -> None:
    c, a = erlang_c(C_14), erlang_a(A_50)
    assert (c.delayed, c.mean_wait * 60) == pytest.approx((0.174132, 7.836), rel=1e-4)
    assert (a.delayed, a.mean_wait, a.abandoned) == pytest.approx((0.467774, 0.0618245, 0.0309122), rel=1e-5)
    c_50 = erlang_c(Center(arrivals=48.0, service=1.0, patience=0.0, servers=50))
    assert (c_50.delayed, c_50.mean_wait) == pytest.approx((0.694456, 0.347228), rel=1e-5)
    a_10 = erlang_a(Center(arrivals=10.0, service=1.0, patience=1.0, servers=10))
    assert (a_10.delayed, a_10.mean_wait, a_10.abandoned) == pytest.approx((0.542070, 0.125110, 0.125110), rel=1e-5)


def test_waits_match_erlang_c(c_14: list[Seen]) -> None:
    theory = erlang_c(C_14)
    assert agrees([seen.share_delayed for seen in c_14], theory.delayed)
    assert agrees([seen.mean_wait for seen in c_14], theory.mean_wait)
    assert agrees([seen.served_within(20 / 60) for seen in c_14], 0.888350)


def test_waits_and_abandonment_match_erlang_a(a_50: list[Seen]) -> None:
    theory = erlang_a(A_50)
    assert agrees([seen.share_delayed for seen in a_50], theory.delayed)
    assert agrees([seen.mean_wait for seen in a_50], theory.mean_wait)
    assert agrees([seen.share_abandoned for seen in a_50], theory.abandoned)


def test_abandonment_is_patience_times_wait(a_50: list[Seen]) -> None:
    assert agrees([seen.share_abandoned - A_50.patience * seen.mean_wait for seen in a_50], 0.0)


def test_the_intervals_are_narrow_enough_to_tell_one_server_more(c_14: list[Seen], a_50: list[Seen]) -> None:
    one_more = erlang_c(Center(arrivals=100 / 30, service=1 / 3, patience=0.0, servers=15))
    assert not agrees([seen.mean_wait for seen in c_14], one_more.mean_wait)
    assert not agrees([seen.share_delayed for seen in c_14], one_more.delayed)
    more = erlang_a(Center(arrivals=48.0, service=1.0, patience=0.5, servers=51))
    assert not agrees([seen.mean_wait for seen in a_50], more.mean_wait)
    assert not agrees([seen.share_abandoned for seen in a_50], more.abandoned)
