"""Every shipped fault model reaches both shipped agents, and its books balance.

A scenario is generated for each model: it uses this model alone, often enough to be seen within a short run. Wear sets
in at once, and a model that comes in incidents gets a seed under which the first minute is one.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import execute
from pagerproof.faults.triggers import Weather
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.find import fault_model_ids, find_fault_model
from pagerproof.scenario.load import load_file
from tests.experiment.running import scenario_file
from tests.laws.whole_runs import cut

AGENTS = ("hardened", "vendor_demo")
MODELS = fault_model_ids(folder=Path.cwd())
AT_ONCE = {"at_least": 1, "full_at": 2, "enter": "20%", "leave": "5%"}
SCENARIO = """
schema: pagerproof/scenario/1
id: delivery
title: One fault model alone
workload:
  arrivals: {{process: poisson, rate: 5/s}}
  locales: [en_US, ja_JP]  # a cut within a character needs some that take several bytes
  customers_per_locale: 10
  edge_cases: 0%
  only_intents: {intents}
services: {services}
faults:
  - {use}
"""

# What a model needs besides itself: the world in which it can happen at all.
WORLD = {
    # A connection leaks where a caller gives up, so orders must now and then outlast the callers' patience.
    "wear-connection-leak": {"orders": {"read_median": "25s", "read_sigma": 1.0}},
}
INTENTS = {
    # Only payments are remembered by their keys, and only credit memos take numbers of that range.
    "wear-idempotency-eviction": ("refund", "duplicate_charge"),
    "wear-number-range-end": ("refund", "invoice_dispute", "damaged_goods_credit"),
}
NOT_DELIVERED = {
    ("wear-idempotency-eviction", "vendor_demo"): "sends no idempotency keys, so there is nothing to forget",
}
NOT_SEEN: dict[tuple[str, str], str] = {}


def knobs_of(model):
    """Return the parameters that make wear set in at once and incidents frequent."""
    ends = {name: path.rpartition(".")[2] for name, path in model.parameters.items()}
    return {name: AT_ONCE[end] for name, end in ends.items() if end in AT_ONCE}


def seed_of(model, knobs):
    """Return a seed under which the first two slots of the model's weather are bad."""
    burst = model.with_parameters(knobs).trigger.burst
    if burst is None:
        return 1
    return next(seed for seed in range(100_000) if all(Weather(burst, seed, model.id).bad(slot) for slot in (0, 1)))


def plan_for(folder, name, agent, requests):
    model = load_file(find_fault_model(name, folder=folder), FaultModel).value
    knobs = knobs_of(model)
    text = SCENARIO.format(
        intents=json.dumps(INTENTS.get(name, ())),
        services=json.dumps(WORLD.get(name, {})),
        use=json.dumps({"use": name, "probability": "40%", "parameters": knobs}),
    )
    path = scenario_file(folder, text, "delivery.yaml")
    return make_plan(str(path), requests=requests, seed=seed_of(model, knobs), agent=agent, folder=folder)


def delivers(folder, model, agent, requests):
    execution = execute(plan_for(folder, model, agent, requests), out=None)
    assert execution.end.stopped_by is None
    assert not execution.end.unsettled
    (row,) = execution.result.faults
    assert row.drawn == row.limited + row.preempted + row.cancelled + row.delivered
    assert row.eligible >= row.drawn
    if row.observable != "state":
        assert row.delivered == row.seen + row.unread
    if (model, agent) in NOT_DELIVERED:
        assert row.delivered == 0, "the exception is out of date"
        return
    assert row.delivered > 0, row
    if row.observable != "state" and (model, agent) not in NOT_SEEN:
        assert row.seen > 0, row


@pytest.mark.parametrize("model", MODELS)
def test_a_shipped_model_reaches_both_agents_and_its_books_balance(tmp_path, model):
    for agent in AGENTS:
        delivers(tmp_path, model, agent, requests=30)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_shipped_model_reaches_both_agents_in_a_longer_run(tmp_path, model):
    for agent in AGENTS:
        delivers(tmp_path, model, agent, requests=120)


def test_the_production_mix_balances_for_both_agents():
    for agent in AGENTS:
        execution = execute(cut(requests=200, agent=agent), out=None)
        rows = execution.result.faults
        assert len(rows) > 40
        for row in rows:
            assert row.drawn == row.limited + row.preempted + row.cancelled + row.delivered
            assert row.observable == "state" or row.delivered == row.seen + row.unread
        assert sum(row.delivered for row in rows) > 20
