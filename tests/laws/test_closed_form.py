"""The whole simulator against queueing theory: reduced to one pool of agent workers, a run is an Erlang-C or Erlang-A
queue, and its waits and abandonment match the closed forms within the confidence interval over ten seeds or more.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from statistics import fmean

import pytest
from tests.experiment.running import agent_file, scenario_file
from tests.laws.test_queueing import Center, agrees, erlang_a, erlang_c

from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import set_stage

SEEDS = range(1, 11)
WARM_UP = 300

# The time is keyed by the request (and by its arrival, which knows the seed), not drawn from a stream.
SLEEPER = """
import asyncio
from pagerproof.rng import exponential, key_of


async def handle(request, desk):
    await asyncio.sleep(exponential(key_of(request.index, "service", request.arrival_s), {mean_s!r}))
    return "done"
"""
SCENARIO = """
schema: pagerproof/scenario/1
id: queue
title: One pool of workers
requests: {requests}
agent: {{use: "sleeper.py:handle", concurrency: {servers}}}
workload:
  arrivals: {{process: poisson, rate: {rate}/s}}
  locales: [en_US]
  customers_per_locale: 1
  only_intents: [loyalty_points]
  edge_cases: 0%
  deadline: 100d
  patience: {patience}
"""


class Measured:
    """One seed's waits, in the unit of time of its center."""

    def __init__(self, folder, center, seed, requests):
        patience = "{dist: infinite}"
        if center.patience:
            patience = f"{{dist: exponential, mean: {1.0 / center.patience!r}s, applies_to: queue}}"
        agent_file(folder, SLEEPER.format(mean_s=1.0 / center.service), "sleeper.py")
        text = SCENARIO.format(requests=requests, servers=center.servers, rate=repr(center.arrivals), patience=patience)
        plan = make_plan(scenario_file(folder, text, "queue.yaml").name, seed=seed, folder=folder)
        self.waits: list[float] = []
        self.delayed = self.abandoned = 0
        end = set_stage(plan).simulation(self.take).run()
        assert end.stopped_by is None
        assert not end.unsettled
        assert len(self.waits) == requests - WARM_UP

    def take(self, case):
        if case.index <= WARM_UP:
            return
        left = case.started_s < 0.0
        wait = (case.settled_s if left else case.started_s) - case.request.arrival_s
        if left:
            assert wait == pytest.approx(case.truth.patience_s, abs=1e-6)
        else:
            assert wait <= case.truth.patience_s + 1e-9, "it was served after it had left"
        self.waits.append(wait)
        self.delayed += wait > 1e-9
        self.abandoned += left

    @property
    def mean_wait(self):
        return fmean(self.waits)

    @property
    def share_delayed(self):
        return self.delayed / len(self.waits)

    @property
    def share_abandoned(self):
        return self.abandoned / len(self.waits)


def matches(runs, theory):
    assert agrees([run.share_delayed for run in runs], theory.delayed)
    assert agrees([run.mean_wait for run in runs], theory.mean_wait)
    if theory.abandoned:
        assert agrees([run.share_abandoned for run in runs], theory.abandoned)
    else:
        assert all(run.abandoned == 0 for run in runs)


C_14 = Center(arrivals=100 / 30, service=1 / 3, patience=0.0, servers=14)
A_10 = Center(arrivals=10.0, service=1.0, patience=0.5, servers=10)
A_50 = Center(arrivals=48.0, service=1.0, patience=0.5, servers=50)
C_55 = Center(arrivals=0.2, service=1 / 240, patience=0.0, servers=55)


def test_the_closed_forms_give_the_published_values():
    a_10, c_55 = erlang_a(A_10), erlang_c(C_55)
    assert (a_10.delayed, a_10.mean_wait, a_10.abandoned) == pytest.approx((0.619655, 0.207826, 0.103913), rel=1e-5)
    assert (c_55.delayed, c_55.mean_wait) == pytest.approx((0.238701, 8.184), rel=1e-3)


def test_waits_match_erlang_c(tmp_path):
    runs = [Measured(tmp_path, C_14, seed, 3_000) for seed in SEEDS]
    matches(runs, erlang_c(C_14))
    one_less = erlang_c(Center(arrivals=C_14.arrivals, service=C_14.service, patience=0.0, servers=13))
    assert not agrees([run.mean_wait for run in runs], one_less.mean_wait), "the interval tells 14 workers from 13"
    assert not agrees([run.share_delayed for run in runs], one_less.delayed)


def test_waits_and_abandonment_match_erlang_a(tmp_path):
    runs = [Measured(tmp_path, A_10, seed, 3_000) for seed in SEEDS]
    matches(runs, erlang_a(A_10))
    assert agrees([run.share_abandoned - A_10.patience * run.mean_wait for run in runs], 0.0)
    more = erlang_a(Center(arrivals=A_10.arrivals, service=A_10.service, patience=A_10.patience, servers=11))
    assert not agrees([run.share_abandoned for run in runs], more.abandoned), "the interval tells 10 workers from 11"
    assert not agrees([run.mean_wait for run in runs], more.mean_wait)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("center", "theory"),
    [(C_14, erlang_c), (C_55, erlang_c), (A_10, erlang_a), (A_50, erlang_a)],
    ids=["C14", "C55", "A10", "A50"],
)
def test_long_runs_match_the_closed_forms(tmp_path, center, theory):
    matches([Measured(tmp_path, center, seed, 25_000) for seed in range(21, 35)], theory(center))
