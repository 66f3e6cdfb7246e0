"""Draws are keyed: take one fault decision away, and every draw that both runs make is the same, as are all requests
that share nothing with the affected one.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.experiment.running import agent_file, scenario_file
from tests.laws.whole_runs import watched

from pagerproof.experiment.plan import make_plan

# Capacity without limit, and a model whose chance of an error does not depend on how many answers it writes at once.
SCENARIO = """
schema: pagerproof/scenario/1
id: keyed
title: Nobody stands in anybody's way
requests: 24
workload:
  arrivals: {{process: poisson, rate: 5/s}}
  locales: [en_US]
  customers_per_locale: 300
  edge_cases: 0%
services:
  crm: {{workers: 10000}}
  orders: {{workers: 10000}}
  inventory: {{workers: 10000}}
  payments: {{workers: 10000}}
  kb: {{workers: 10000}}
  sap: {{work_processes: 10000}}
  llm: {{policy: {{load_slope: 0}}}}
faults:
{faults}
"""

# Those whose firing depends on the call alone: neither on wear nor on the number of calls that are under way.
PRIVATE = (
    "delayed-api-tail",
    "truncated-tool-response-bytes",
    "truncated-silently",
    "malformed-json-html",
    "malformed-json-empty",
    "sap-timeout-before-commit",
    "sap-timeout-after-commit",
    "sap-lost-acknowledgement",
    "sap-lock-held",
    "stale-read",
    "missing-field",
    "null-decimal",
    "duplicate-delivery",
    "rate-limit-429",
    "llm-overloaded",
    "llm-stream-cut",
    "llm-prose-instead-of-call",
)
NAMES = st.lists(st.sampled_from(PRIVATE), min_size=2, max_size=6, unique=True)
SEEDS = st.integers(0, 10_000)

SIDE_BY_SIDE = """
import asyncio
from pagerproof.tools import ToolError


async def ask(desk, operation, **arguments):
    for attempt in (1, 2):
        try:
            result = await desk.tools.call(operation, arguments, timeout_s=20.0, attempt=attempt)
            if result.ok:
                return result.text
        except ToolError as error:
            desk.note(type(error).__name__)
    return ""


async def handle(request, desk):
    order_id = f"45{request.index:08d}"
    found, order, policy = await asyncio.gather(
        ask(desk, "crm.Customer.find", email=request.customer_email),
        ask(desk, "orders.Order.get", order_id=order_id),
        ask(desk, "kb.Policy.get", topic="return"),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(ask(desk, "orders.Shipment.track", order_id=order_id))
        if found:
            group.create_task(ask(desk, "orders.Order.get", order_id=order_id))
    await ask(desk, "orders.Order.cancel", order_id=order_id)
    return f"{len(found)} {len(order)} {len(policy)}"
"""


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as path:
        agent_file(Path(path), SIDE_BY_SIDE, "side_by_side.py")
        yield Path(path)


def plan_of(folder, names, agent, seed, probability="8%", without=()):
    uses = [f"  - {{use: {name}, probability: {probability}}}" for name in names if name not in without]
    text = SCENARIO.format(faults="\n".join(uses)) if uses else SCENARIO.partition("faults:")[0].format()
    path = scenario_file(folder, text, "keyed.yaml")
    return make_plan(path.name, agent=agent, seed=seed, folder=folder)


def apart_from(affected, *runs):
    """Return the indices of requests that are linked to no affected one by something that both asked a tool about.

    Links reach on: who shares a customer with one that shares a customer with the affected one is not apart.
    """
    asked: dict[int, set[str]] = {}
    for run in runs:
        for index, texts in run.arguments.items():
            asked.setdefault(index, set()).update(text for text in texts if any(map(str.isdigit, text)))
    reached, texts = set(affected), set()
    while True:
        texts |= set(itertools.chain.from_iterable(asked.get(index, ()) for index in reached))
        more = {index for index, own in asked.items() if own & texts} - reached
        if not more:
            return set(runs[0].cases) - reached
        reached |= more


def assert_draws_agree(one, other, ignoring=frozenset()):
    common = one.drawn.keys() & other.drawn.keys()
    assert common
    for name in common:
        mine = [fault for fault in one.drawn[name] if (name, fault) not in ignoring]
        theirs = [fault for fault in other.drawn[name] if (name, fault) not in ignoring]
        assert mine == theirs, name
    return common


AGENTS = pytest.mark.parametrize("agent", ["vendor_demo", "side_by_side.py"])


@AGENTS
@settings(max_examples=8, deadline=None)
@given(names=NAMES, seed=SEEDS, which=st.integers(0, 10_000))
def test_one_decision_less_changes_no_other_draw_and_no_other_request(folder, agent, names, seed, which):
    plan = plan_of(folder, names, agent, seed)
    whole = watched(plan)
    strikes = whole.strikes()
    assume(strikes)
    removed = strikes[which % len(strikes)]
    rest = watched(plan, taken_back=removed)
    assert_draws_agree(whole, rest)
    affected = removed[0][0]
    apart = apart_from({affected}, whole, rest)
    assert len(apart) >= 15, "so few are left to compare that nothing is shown"
    before, after = whole.digests(), rest.digests()
    assert {index for index in apart if before[index] != after[index]} == set()


@AGENTS
@settings(max_examples=5, deadline=None)
@given(names=NAMES, seed=SEEDS, which=st.integers(0, 10_000))
def test_the_recorded_strikes_repeat_a_run_and_one_less_touches_one_request(folder, agent, names, seed, which):
    plan = plan_of(folder, names, agent, seed)
    whole = watched(plan)
    strikes = whole.strikes()
    assume(strikes)

    def forced(without=None):
        kept: dict[int, list[tuple[str, str, int]]] = {}
        for struck in strikes:
            if struck != without:
                (index, operation, key), fault = struck
                kept.setdefault(index, []).append((fault, operation, key))
        return watched(plan, forced=kept)

    assert forced().digests() == whole.digests()
    removed = strikes[which % len(strikes)]
    rest = forced(without=removed)
    before, after = whole.digests(), rest.digests()
    apart = apart_from({removed[0][0]}, whole, rest)
    assert {index for index in apart if before[index] != after[index]} == set()


@AGENTS
@settings(max_examples=5, deadline=None)
@given(names=NAMES, seed=SEEDS)
def test_one_fault_model_more_changes_no_decision_of_the_others(folder, agent, names, seed):
    whole = watched(plan_of(folder, names, agent, seed))
    added = names[0]
    without = watched(plan_of(folder, names, agent, seed, without=(added,)))
    common = whole.drawn.keys() & without.drawn.keys()
    assert len(common) > 24
    for name in common:
        assert [fault for fault in whole.drawn[name] if fault != added] == list(without.drawn[name])
    touched = {index for (index, _, _), fault in whole.strikes() if fault == added}
    before, after = whole.digests(), without.digests()
    apart = apart_from(touched, whole, without)
    assert {index for index in apart if before[index] != after[index]} == set()


STEPS = """
from pagerproof.tools import ToolError

ATTEMPTS = {attempts}


async def handle(request, desk):
    order_id = f"45{{request.index:08d}}"
    for operation, arguments in (
        ("crm.Customer.find", {{"email": request.customer_email}}),
        ("orders.Order.get", {{"order_id": order_id}}),
        ("sap.SalesOrder.get", {{"sales_order": "0000000001"}}),
        ("orders.Order.get", {{"order_id": order_id}}),
        ("kb.Policy.get", {{"topic": "return"}}),
        ("orders.Order.get", {{"order_id": order_id}}),
    ):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if (await desk.tools.call(operation, arguments, timeout_s=5.0, attempt=attempt)).ok:
                    break
            except ToolError:
                pass
    return "done"
"""


@settings(max_examples=6, deadline=None)
@given(names=NAMES, seed=SEEDS)
def test_a_second_attempt_changes_no_draw_of_a_first(folder, names, seed):
    runs = {}
    for attempts in (1, 3):
        agent_file(folder, STEPS.format(attempts=attempts), f"steps_{attempts}.py")
        runs[attempts] = watched(plan_of(folder, names, f"steps_{attempts}.py", seed, probability="25%"))
    once, more = runs[1], runs[3]

    def firsts(run):
        return {
            index: [(name, key, run.drawn[index, name, key]) for attempt, name, key in made if attempt == 1]
            for index, made in run.attempts.items()
        }

    assert firsts(once) == firsts(more)
    assume(any(attempt > 1 for made in more.attempts.values() for attempt, _, _ in made))
