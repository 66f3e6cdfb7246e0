"""Same inputs, same bytes: whatever the process, the hash seed, the display, the journal or the number of workers."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import gc

import pytest

from pagerproof.experiment.campaign import campaign
from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import execute, set_stage
from pagerproof.experiment.steady_state import make_baseline
from pagerproof.scenario.find import scenario_ids
from tests.experiment.running import CALM, agent_file, plan_for, scenario_file
from tests.laws.processes import in_three_processes
from tests.laws.whole_runs import cut

CUT = ("ten_thousand_and_first", "provider_gray_failure", "monday_after_the_outage")
AGENTS = ("hardened", "vendor_demo")


def agree(answers, name):
    """Assert that all processes say the same about every job, and return the digests of one of them."""
    for number, results in enumerate(zip(*answers, strict=True)):
        digests = [each["digest"] for each in results]
        assert len(set(digests)) == 1, f"{name}: job {number} differs between processes: {digests}"
        assert len({each["document"] for each in results}) == 1, f"{name}: job {number}: the result differs"
    return [each["digest"] for each in answers[0]]


def digests_by_index(execution):
    rows = execution.table.finish().rows
    return dict(zip(rows["index"].tolist(), rows["digest"].tolist(), strict=True))


# --- processes


def test_shipped_scenarios_give_the_same_bytes_in_processes_with_other_hash_seeds_and_displays():
    jobs = [{"scenario": name, "agent": agent, "requests": 200} for name in CUT for agent in AGENTS]
    digests = agree(in_three_processes(jobs), "cuts of shipped scenarios")
    assert len(set(digests)) == len(jobs)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", scenario_ids())
def test_every_shipped_scenario_gives_the_same_bytes_at_its_full_size(name):
    jobs = [{"scenario": name, "journal": True}]
    agree(in_three_processes(jobs, at_once=2, timeout_s=1200), name)


CROWD = """
schema: pagerproof/scenario/1
id: crowd
title: Two thousand at once
requests: 2000
seed: 3
workload:
  arrivals: {process: constant, rate: 20_000/s}
  locales: [en_US]
  customers_per_locale: 20
faults:
  - {use: delayed-api-tail, intensity: 5}
  - {use: truncated-tool-response-bytes, intensity: 5}
  - {use: rate-limit-429, intensity: 5}
"""
CROWD_AGENT = """
import asyncio
from pagerproof.tools import ToolError


async def ask(desk, operation, **arguments):
    try:
        return (await desk.tools.call(operation, arguments, timeout_s=2.0)).status
    except ToolError as error:
        return type(error).__name__


async def look(desk, email):
    return await asyncio.gather(
        ask(desk, "crm.Customer.find", email=email),
        ask(desk, "orders.Order.list", customer_id="C000001"),
    )


async def first_of(desk, email):
    tasks = {{{task}(ask(desk, "kb.Article.search", query=word)) for word in ("refund", "return", email)}}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in pending:
        await asyncio.wait([task])
        desk.note(str(task.cancelled() or task.result()))
    return [task.result() for task in done]


async def fails(desk):
    await ask(desk, "inventory.Stock.get", sku="none")
    raise LookupError


async def handle(request, desk):
    email = request.customer_email
    found = await look(desk, email)
    first = await first_of(desk, email)
    try:
        async with asyncio.TaskGroup() as group:
            for topic in ("refund", "warranty"):
                group.create_task(ask(desk, "kb.Policy.get", topic=topic))
            group.create_task(fails(desk))
    except* LookupError:
        desk.note("the group failed")
    for waited in asyncio.as_completed([ask(desk, "kb.Policy.get", topic=topic) for topic in ("a", "b")]):
        desk.note(str(await waited))
    return f"{{found}} {{first}}"
"""
OF_THE_LOOP = "asyncio.create_task"
BY_ADDRESS = "asyncio.Task"  # made past the loop's task factory, such a task hashes by its address


def crowd(folder, task, agent):
    agent_file(folder, CROWD_AGENT.format(task=task), agent)
    scenario_file(folder, CROWD, "crowd.yaml")
    return [{"scenario": "crowd.yaml", "agent": agent, "folder": str(folder)}]


@pytest.mark.slow
def test_two_thousand_simultaneous_requests_give_the_same_bytes_in_three_processes(tmp_path):
    agree(in_three_processes(crowd(tmp_path, OF_THE_LOOP, "crowd_agent.py")), "crowd")


@pytest.mark.slow
def test_the_crowd_would_show_tasks_in_the_order_of_their_addresses(tmp_path):
    answers = in_three_processes(crowd(tmp_path, BY_ADDRESS, "address_agent.py"))
    assert len({results[0]["digest"] for results in answers}) > 1


ENTROPY_AGENT = """
import asyncio
import os
import random
import secrets
import uuid
from random import random as chance
from uuid import uuid4


def taken():
    return f"{random.random()} {chance()} {random.choice('abcdef')} {uuid.uuid4()} {uuid4()} {os.urandom(5).hex()}"


async def child(desk, number):
    await asyncio.sleep(random.expovariate(1.0))
    desk.note(f"{number} {taken()} {secrets.token_hex(4)}")


async def handle(request, desk):
    desk.note(taken())
    await asyncio.sleep(random.uniform(0.1, 3.0))
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(child(desk, number))
    return taken()
"""


def test_what_an_agent_draws_for_itself_is_the_same_in_three_processes(tmp_path):
    agent_file(tmp_path, ENTROPY_AGENT, "entropy_agent.py")
    scenario_file(tmp_path)
    jobs = [{"scenario": "calm.yaml", "agent": "entropy_agent.py", "folder": str(tmp_path), "seed": n} for n in (1, 2)]
    one, other = agree(in_three_processes(jobs), "entropy")
    assert one != other


def test_what_an_agent_draws_in_a_child_task_belongs_to_its_request(tmp_path):
    # A request fewer, or one that draws more, must not change what another request draws: not in children either.
    plan = plan_for(tmp_path, ENTROPY_AGENT)
    greedy = ENTROPY_AGENT.replace(
        "async def child(desk, number):", "async def child(desk, number):\n    desk.request.index == 9 and taken()"
    )
    whole = digests_by_index(execute(plan, out=None))
    changed = digests_by_index(execute(plan_for(tmp_path, greedy), out=None))
    assert {index for index, digest in whole.items() if digest != changed[index]} == {9}


def test_no_two_requests_or_children_draw_the_same(tmp_path):
    drawn: list[str] = []
    plan = plan_for(tmp_path, ENTROPY_AGENT)
    set_stage(plan).simulation(lambda case: drawn.extend(e[5].split()[-1] for e in case.log if e[1] == "note")).run()
    assert len(drawn) == len(set(drawn)) == 4 * plan.requests


# --- what stands beside a run


@pytest.mark.parametrize("agent", AGENTS)
def test_journal_baseline_and_collector_change_nothing(tmp_path, agent):
    plan = cut(requests=80, agent=agent)
    bare = execute(plan, out=None).result
    assert execute(plan, out=tmp_path).result.digest == bare.digest
    with_baseline = execute(plan, out=tmp_path, baseline=lambda: make_baseline(plan.spec(), None)).result
    assert with_baseline.baseline is not None
    assert with_baseline.digest == bare.digest
    gc.disable()
    try:
        assert execute(plan, out=None).result.digest == bare.digest
    finally:
        gc.enable()


def test_a_collector_that_runs_all_the_time_changes_nothing():
    plan = cut(requests=80)
    bare = execute(plan, out=None).result.digest
    before = gc.get_threshold()

    def collect_from_now_on(_snapshot):
        gc.enable()
        gc.set_threshold(100, 5, 5)

    try:
        with_collector = execute(plan, out=None, report=collect_from_now_on).result.digest
    finally:
        gc.set_threshold(*before)
    assert with_collector == bare


@pytest.mark.parametrize("agent", AGENTS)
def test_other_seeds_give_other_bytes(agent):
    plans = [cut(requests=40, agent=agent, seed=seed) for seed in range(4)]
    digests = {execute(plan, out=None).result.digest for plan in plans}
    assert len(digests) == 4


@pytest.mark.parametrize("agent", AGENTS)
def test_a_longer_run_begins_with_the_shorter_one(agent):
    # Whatever settles before the first arrival that the shorter run lacks can know nothing of it.
    short = execute(cut(requests=120, agent=agent), out=None)
    long = execute(cut(requests=200, agent=agent), out=None)
    rows = long.table.finish().rows
    next_arrival_s = rows["arrival_s"][120]
    before = [row for row in rows[:120] if row["settled_s"] < next_arrival_s]
    assert len(before) > 90
    in_short = digests_by_index(short)
    assert {int(row["index"]): in_short[int(row["index"])] for row in before} == {
        int(row["index"]): row["digest"] for row in before
    }
    assert [row["index"] for row in rows[:120]] == list(in_short)


FEW_CUSTOMERS = CALM.replace("customers_per_locale: 20", "customers_per_locale: 20\n  locales: [en_US]")
FAULTS = """
faults:
  - {use: truncated-silently, intensity: 20}
  - {use: rate-limit-429, intensity: 5}
"""


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_campaign_is_the_same_for_any_number_of_workers(tmp_path, workers):
    plan = make_plan(str(scenario_file(tmp_path, FEW_CUSTOMERS + FAULTS)), agent="vendor_demo", folder=tmp_path)

    def found(workers):
        done = {}
        replications = campaign(plan, range(1, 6), workers=workers, done=lambda one: done.update({one.seed: one}))
        return replications, sorted(done.items())

    alone = found(1)
    assert found(workers) == alone
    assert len({one.digest for _, one in alone[1]}) == 5
    assert alone[0].appearances
