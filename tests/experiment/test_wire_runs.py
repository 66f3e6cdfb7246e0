"""Whole runs of agents that know nothing of the desk: whose a call is, bad input, limits, and digests."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import pytest

from pagerproof.errors import InvalidFile
from tests.experiment.running import pagerproof, plan_for, scenario_file
from tests.experiment.wire_stage import CALM, events, network_use, run_wired, with_client

pytest.importorskip("httpx")

READ = 'told.append((await http.get("http://orders.sim/orders/1")).status_code)'


def said(execution, index):
    return events(execution, "replied", index)[0][4]


def called(execution, index):
    return [event[1] for event in events(execution, "called", index)]


# --- whose a call is


def test_requests_that_share_a_connection_are_told_apart_by_who_writes(tmp_path):
    agent = """
        import httpx
        http = httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=1))
        async def main(text: str, email: str) -> str:
            await http.get("http://crm.sim/customers", params={"email": email})
            return "HANDED OVER to a colleague"
    """
    execution = run_wired(tmp_path, agent)
    asked = events(execution, "called")
    assert [(event[0], event[1]) for event in asked] == [(index, "crm.Customer.find") for index in range(1, 21)]
    emails = {event[0]: event[4] for event in asked}
    assert len(set(emails.values())) > 5, "each with what its own customer said"
    assert network_use(execution).unattributed == {}


OUTLIVING = """
    import asyncio, contextvars, httpx
    http = httpx.AsyncClient(timeout=30)
    kept = []
    async def later():
        {wait}
        await http.get("http://orders.sim/orders/1")
    async def main(text: str, email: str) -> str:
        {start}
        await asyncio.sleep(1)
        return "HANDED OVER to a colleague"
"""


@pytest.mark.parametrize(
    ("wait", "start"),
    [
        ("await asyncio.sleep(3)", "kept.append(asyncio.create_task(later()))"),
        ("pass", "kept.append(contextvars.Context().run(asyncio.create_task, later()))"),
    ],
    ids=["outlives its request", "empty context"],
)
def test_a_call_of_no_request_is_counted_and_makes_the_run_inconclusive(tmp_path, wait, start):
    execution = run_wired(tmp_path, OUTLIVING.format(wait=wait, start=start))
    unattributed = network_use(execution).unattributed
    assert list(unattributed) == ["orders.Order.get"]
    assert 1 <= unattributed["orders.Order.get"] <= 20
    assert execution.exit_status == 3
    assert "belonged to no request (orders.Order.get" in execution.result.verdict.reasons[0]
    assert not events(execution, "called")


# --- what an agent asks wrongly

ORDERS = "http://sap.sim/sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder"
WRONG = {
    "no such path": ('await http.get("http://orders.sim/ordres/1")', "404"),
    "a wrong verb": ('await http.delete("http://orders.sim/orders/1")', "405"),
    "no such filter": (
        'await http.get("http://sap.sim/sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder?$filter=x%20eqq")',
        "400",
    ),
    "no such option": (
        'await http.get("http://sap.sim/sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder?$top=many")',
        "400",
    ),
    "too much": ('await http.post("http://crm.sim/customers/1/notes", content=b"x" * (17 << 20))', "413"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_service_answers_what_is_asked_wrongly_and_the_run_goes_on(tmp_path, what):
    asked, status = WRONG[what]
    execution = run_wired(tmp_path, with_client(f"told.append(({asked}).status_code)\n{READ}"), requests=3)
    assert [said(execution, index) for index in (1, 2, 3)] == [f"HANDED OVER to a colleague: {status} 404"] * 3
    assert execution.end.stopped_by is None
    assert execution.exit_status == 0


def test_a_host_that_nobody_serves_is_the_clients_own_error_and_is_counted(tmp_path):
    body = """
        try:
            await http.get("https://shop.exmaple/orders/1")
        except httpx.ConnectError as error:
            told.append(error)
    """
    execution = run_wired(tmp_path, with_client(body))
    assert network_use(execution).strangers == {"shop.exmaple": 20}
    assert "Name or service not known" in said(execution, 5)
    assert execution.exit_status == 0


def test_a_host_mapped_to_no_service_is_told_with_its_place_and_the_nearest_name(tmp_path):
    with pytest.raises(InvalidFile) as told:
        plan_for(tmp_path, with_client(READ), CALM + "network:\n  hosts: {shop.example: oders}\n")
    assert "calm.yaml:14:25" in str(told.value)
    assert "'oders': did you mean 'orders'" in str(told.value)
    done = pagerproof("run", "calm.yaml", "--agent", "my_agent.py", folder=tmp_path)
    assert done.returncode == 2
    assert "calm.yaml:14:25" in done.stderr


# --- limits


def test_too_many_calls_end_the_request_as_a_runaway(tmp_path):
    execution = run_wired(
        tmp_path, with_client(f"while True:\n    {READ}"), "limits: {calls_per_request: 12}\n", requests=3
    )
    assert execution.result.outcomes["runaway"] == 3
    assert {event[1] for event in events(execution, "stopped")} == {"calls_per_request"}
    assert len(called(execution, 2)) == 12


def test_a_customer_whose_patience_ends_leaves_and_the_work_on_it_ends(tmp_path):
    body = """
        import asyncio
        await asyncio.sleep(500)
        told.append((await http.get("http://orders.sim/orders/1")).status_code)
    """
    impatient = CALM.replace("  edge_cases", "  patience: {dist: constant, mean: 60s}\n  edge_cases")
    execution = run_wired(tmp_path, with_client(body), base=impatient)
    assert execution.result.outcomes["abandoned"] == 20, execution.result.outcomes


# --- digests


def digests(execution):
    rows = execution.table.finish().rows
    return rows["digest"].tolist()


BUSY = with_client(
    """
    found = (await http.get("http://crm.sim/customers", params={"email": email})).json()
    orders = await asyncio.gather(*(http.get(f"http://orders.sim/orders/{n}") for n in range(3)))
    told += [uuid.uuid4(), time.time(), {"a", "b", "c"}, random.random(), *(each.status_code for each in orders)]
    """,
    before="import asyncio, random, time, uuid",
)
MIX = """
faults:
  - {use: rate-limit-429, intensity: 0.9, expect: armed}
  - {use: wire-reset-mid-body, at: [3, 5], expect: armed}
"""


def test_two_runs_in_one_process_have_the_same_digests(tmp_path):
    first, second = (run_wired(tmp_path, BUSY, MIX) for _ in range(2))
    assert first.result.digest == second.result.digest
    assert digests(first) == digests(second)


def test_the_hash_seed_of_the_shell_is_not_seen(tmp_path):
    plan_for(tmp_path, BUSY, CALM + MIX)
    told = []
    for seed in ("1", "random", "77"):
        done = pagerproof("run", "calm.yaml", "--agent", "my_agent.py", folder=tmp_path, PYTHONHASHSEED=seed)
        told.append([line for line in done.stdout.splitlines() if "digest" in line])
        assert "Traceback" not in done.stderr
    assert told[0], done.stdout + done.stderr
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize("how", [(), ("--isolated",)])
def test_replay_proves_the_digest_of_a_request(tmp_path, how):
    scenario_file(tmp_path, CALM)
    plan_for(tmp_path, BUSY, CALM + MIX)
    pagerproof("run", "calm.yaml", "--agent", "my_agent.py", folder=tmp_path)
    done = pagerproof("replay", "3", *how, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "digest" in done.stdout
