"""Expectations in whole runs: planted agents break each invariant, and every fact that we ship is reached."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pagerproof.experiment.plan import make_plan, read_fault_model
from pagerproof.experiment.run import execute
from pagerproof.metrics import RunResult
from pagerproof.oracles.expectations import ALWAYS, SOMETIMES
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.find import find_fault_model
from pagerproof.scenario.load import load_file
from tests.experiment.running import agent_file, pagerproof, scenario_file
from tests.experiment.test_delivery import INTENTS, MODELS, SCENARIO, WORLD, knobs_of, seed_of

# --- invariants: a good agent, and one bug at a time

WATCHED = """
schema: pagerproof/fault-model/1
id: watched
title: A little delay that everything is expected under
cites: [{{supports: "nothing", evidence: assumed}}]
target: {{service: [crm, orders, sap, payments], edge: response}}
trigger: {{probability: 100%}}
effect: [{{delay: {{for: 10ms}}}}]
limits: none
expect:
  always: [{always}]
  sometimes: [client_timeout, handed_over]
"""
REFUNDS = """
schema: pagerproof/scenario/1
id: refunds
title: Refunds only
requests: 12
seed: 7
workload:
  arrivals: {{process: poisson, rate: 2/s}}
  locales: [en_US]
  customers_per_locale: 10
  edge_cases: 0%
  only_intents: [refund]
faults:
  - {use}
gates:
  - {{gate: expectation_violated.count == 0}}
"""
REFUNDER = """
from pagerproof.tools import Reply, ReplyStatus

BUG = "{bug}"


async def handle(request, desk):
    await desk.call("crm.Customer.find", email=request.customer_email)
    order = await desk.call("orders.Order.get", order_id=f"45{{request.index:08d}}")
    money = {{"amount": order["total"], "currency": order["currency"]}}
    while BUG == "no_runaway":
        await desk.call("crm.Customer.find", email=request.customer_email)
    if BUG != "no_success_claim_without_document":
        await desk.call("sap.CreditMemo.create", sales_order=order["sales_order"], reason="asked", **money)
    if BUG == "no_wrong_amount":
        money["amount"] = "0.01"
    await desk.call("payments.Refund.create", payment_id=order["payment_id"], **money)
    if BUG == "no_duplicate_document":
        await desk.call("payments.Refund.create", payment_id=order["payment_id"], **money)
    if BUG == "no_denial_of_existing_record":
        return Reply(text="There is no such order.", status=ReplyStatus.DECLINED)
    if BUG == "no_partial_answer_told":
        return Reply(text="All done.")
    if BUG in ("no_invented_data_told", "no_other_customers_data_told"):
        return Reply(text=f"{{order['total']}} goes back for order 45{{request.index + 1:08d}}.")
    return Reply(text=f"{{order['total']}} {{order['currency']}} goes back to you.")
"""


def refunds(folder, bug, *, use='{"use": "watched"}', requests=12) -> RunResult:
    (folder / "fault_models").mkdir(exist_ok=True)
    (folder / "fault_models" / "watched.yaml").write_text(WATCHED.format(always=", ".join(ALWAYS)), "utf-8")
    agent_file(folder, REFUNDER.format(bug=bug))
    path = scenario_file(folder, REFUNDS.format(use=use))
    plan = make_plan(str(path), agent="my_agent.py", folder=folder, requests=requests)
    return execute(plan, out=None).result


def expectations(result):
    (row,) = result.faults
    return {each.name: each for each in row.expectations}


@pytest.mark.parametrize("bug", ALWAYS)
def test_a_planted_bug_breaks_its_invariant_at_every_request_that_was_struck(tmp_path, bug):
    broken = expectations(refunds(tmp_path, bug))[bug]
    assert broken.status == "violated"
    assert (broken.struck, broken.count, broken.first_index, broken.first_unscripted) == (12, 12, 1, 1)
    assert broken.blamed == 12
    assert broken.indices == tuple(range(1, 13))


def test_a_good_agent_breaks_no_invariant_and_the_gate_passes(tmp_path):
    result = refunds(tmp_path, "none")
    assert {each.status for each in expectations(result).values() if each.kind == "always"} == {"held"}
    assert result.gates[0].status == "pass"


def test_a_broken_invariant_changes_no_verdict_of_its_own_but_a_gate_can_name_it(tmp_path):
    result = refunds(tmp_path, "no_partial_answer_told")
    (gate,) = result.gates
    assert (gate.status, gate.observed, gate.n) == ("fail", 12.0, 12)
    assert result.tags["expectation_violated"] == 12


def test_facts_that_did_not_come_about_are_not_reached(tmp_path):
    stated = expectations(refunds(tmp_path, "none"))
    assert stated["client_timeout"].status == stated["handed_over"].status == "not reached"
    assert stated["handed_over"].struck == 12


def test_scripted_strikes_are_counted_apart(tmp_path):
    result = refunds(tmp_path, "no_wrong_amount", use=json.dumps({"use": "watched", "at": [3, 5]}))
    broken = expectations(result)["no_wrong_amount"]
    assert (broken.struck, broken.count, broken.scripted) == (2, 2, 2)
    assert (broken.first_index, broken.first_unscripted, broken.indices) == (3, None, (3, 5))


def test_a_fault_that_struck_nothing_exercises_no_expectation(tmp_path):
    use = json.dumps({"use": "watched", "operations": ["orders.Return.find"], "expect": "armed"})
    result = refunds(tmp_path, "no_wrong_amount", use=use)
    assert {each.status for each in expectations(result).values()} == {"not exercised"}
    assert result.tags.get("expectation_violated", 0) == 0


def test_a_stored_result_holds_expectations_and_one_from_before_can_still_be_read(tmp_path):
    result = refunds(tmp_path, "no_wrong_amount")
    document = json.loads(json.dumps(result.to_json()))
    assert RunResult.from_json(document).faults == result.faults
    for fault in document["faults"]:
        del fault["expectations"]
    before = RunResult.from_json(document)
    assert [each.expectations for each in before.faults] == [()]
    assert replace(before.faults[0], expectations=result.faults[0].expectations) == result.faults[0]


def test_run_and_report_tell_of_broken_invariants_and_of_facts_never_reached(tmp_path):
    refunds(tmp_path, "no_wrong_amount")
    done = pagerproof("run", "calm.yaml", "--agent", "my_agent.py", folder=tmp_path)
    assert done.returncode == 1
    shown = " ".join(done.stdout.split())
    assert "What fault models expect always" in shown
    assert "watched no_wrong_amount 12 of 12 12" in shown
    assert "never reached: client_timeout (watched), handed_over (watched)" in shown
    (folder,) = (each for each in (tmp_path / "runs").iterdir() if each.name[:1].isdigit())
    again = pagerproof("report", str(folder), folder=tmp_path)
    assert "watched no_wrong_amount 12 of 12 12" in " ".join(again.stdout.split())


# --- names


@pytest.mark.parametrize(
    ("always", "message"),
    [
        (
            "no_duplicat_document",
            r"'no_duplicat_document' is nothing that always can name: did you mean 'no_duplicate_",
        ),
        ("handed_over", r"'handed_over' belongs under sometimes, not under always"),
    ],
)
def test_an_unknown_name_is_an_error_with_its_place(tmp_path, always, message):
    (tmp_path / "mine.yaml").write_text(WATCHED.format(always=f"no_wrong_amount, {always}"), "utf-8")
    done = pagerproof("validate", "mine.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert "mine.yaml:11:29: " in done.stderr
    assert message in done.stderr


def test_every_shipped_fault_model_states_both_kinds():
    for name in MODELS:
        expect = read_fault_model(find_fault_model(name)).expect
        assert expect.always, name
        assert expect.sometimes, name


def test_every_fact_and_invariant_is_expected_by_some_shipped_fault_model():
    stated = [read_fault_model(find_fault_model(name)).expect for name in MODELS]
    assert {name for each in stated for name in each.always} == set(ALWAYS)
    assert {name for each in stated for name in each.sometimes} == set(SOMETIMES)


# --- facts: every shipped fault model reaches each of its own, at raised intensity, with some agent

PATIENT = '''
from pagerproof.tools import Reply


async def handle(request, desk):
    """Do as Retry-After says, however long it takes."""
    for attempt in range(1, 20):
        order = f"45{request.index:08d}"
        result = await desk.tools.call("sap.SalesOrder.get", {"sales_order": order}, attempt=attempt)
        if "retry-after" not in result.headers:
            break
        await desk.clock.sleep(float(result.headers["retry-after"]))
    return Reply(text="done")
'''
REPEATING = '''
from pagerproof.tools import Reply


async def handle(request, desk):
    """Pay back under a key, and once more under the same key."""
    order = await desk.call("orders.Order.get", order_id=f"45{request.index:08d}")
    asked = {"payment_id": order["payment_id"], "amount": order["total"], "currency": order["currency"]}
    for attempt in (1, 2):
        key = f"refund-{request.index}"
        await desk.tools.call("payments.Refund.create", asked, idempotency_key=key, attempt=attempt)
    return Reply(text="done")
'''
OWN_AGENT = {"wear-api-quota": PATIENT, "wear-idempotency-eviction": REPEATING}
CROWDED = {
    # Three work processes answer requests, so that three reports are enough for a line.
    "sap-dia-wp-exhaustion": {"sap": {"work_processes": 4}},
}


def reached_by(folder, name, agent, requests):
    """Return which facts of this fault model a run with this agent reached."""
    model = load_file(find_fault_model(name, folder=folder), FaultModel).value
    knobs = knobs_of(model)
    text = SCENARIO.format(
        intents=json.dumps(INTENTS.get(name, ())),
        services=json.dumps(CROWDED.get(name) or WORLD.get(name, {})),
        use=json.dumps({"use": name, "probability": "40%", "parameters": knobs}),
    )
    path = scenario_file(folder, text, "raised.yaml")
    plan = make_plan(str(path), requests=requests, seed=seed_of(model, knobs), agent=agent, folder=folder)
    return {each.name for each in expectations(execute(plan, out=None).result).values() if each.status == "reached"}


RECORDED = ("malformed-json-empty", "rate-limit-429", "sap-dia-wp-exhaustion", "duplicate-delivery", "wear-lock-leak")


@pytest.mark.parametrize("name", RECORDED)
def test_facts_that_services_and_faults_record_beside_the_trace_are_reached(tmp_path, name):
    expect = read_fault_model(find_fault_model(name)).expect
    assert reached_by(tmp_path, name, "hardened", requests=120) == set(expect.sometimes)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_fact_that_a_shipped_fault_model_expects_can_be_reached(tmp_path, name):
    wanted = set(read_fault_model(find_fault_model(name)).expect.sometimes)
    agents = ["hardened", "vendor_demo"]
    if name in OWN_AGENT:
        agents = [str(agent_file(tmp_path, OWN_AGENT[name]))]
    for agent in agents:
        wanted -= reached_by(tmp_path, name, agent, requests=120)
        if not wanted:
            break
    assert not wanted
