"""Whole runs with services that a user brought: faults strike them, ledgers have them, lists show them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pagerproof.errors import InvalidFile
from pagerproof.experiment.plan import make_plan
from tests.experiment.running import agent_file, pagerproof, run_agent

FILES = Path(__file__).parents[1] / "services" / "files"

SCENARIO = """
schema: pagerproof/scenario/1
id: own
title: Requests that need services of our own
requests: 40
seed: 7
workload:
  arrivals: {process: poisson, rate: 2/s}
  customers_per_locale: 20
services:
  billing: {openapi: billing.yaml, state: billing_state.yaml, read_median: 40ms}
  shop: {app: "billing_app:app", routes: ["GET /invoices/{id}", "PATCH /invoices/{id}"]}
  legacy: {har: legacy.har}
faults:
- {use: billing-slow, expect: required}
gates:
  - {gate: failure.rate < 100%}
"""

FAULT = """
schema: pagerproof/fault-model/1
id: billing-slow
title: Billing is slow
cites: [{supports: all of it, evidence: assumed}]
target: {service: billing, operation: Invoices.*}
trigger: {probability: 50%}
effect: [{delay: {dist: constant, for: 3s}}]
limits: none
expect: {sometimes: [late_answer]}
"""

AGENT = """
    from pagerproof.model import Reply

    async def handle(request, desk):
        made = await desk.call("billing.Invoices.create", customer_id="C000001", amount="12.00")
        read = await desk.call("billing.Invoices.get", id=made["id"])
        shop = await desk.call("shop.Invoices.get", id="I-1")
        old = await desk.call("legacy.Accounts.get", id1="7")
        desk.note(f"{read['id']} {shop['id']} {old['owner']}")
        return Reply(text="I have made an invoice.")
"""

HAR = {
    "log": {
        "entries": [
            {
                "request": {"method": "GET", "url": "https://old.example/accounts/7"},
                "response": {"status": 200, "content": {"mimeType": "application/json", "text": '{"owner": "Ada"}'}},
            }
        ]
    }
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("billing.yaml", "billing_state.yaml", "billing_app.py"):
        shutil.copy(FILES / name, tmp_path / name)
    (tmp_path / "legacy.har").write_text(json.dumps(HAR))
    (tmp_path / "billing-slow.yaml").write_text(FAULT)
    return tmp_path


def test_a_run_uses_them_under_faults_and_repeats(folder: Path) -> None:
    first, again = (run_agent(folder, AGENT, SCENARIO) for _ in range(2))
    assert first.result.digest == again.result.digest
    assert first.result.outcomes.get("crashed", 0) == 0
    (fault,) = first.result.faults
    assert (fault.id, fault.eligible) == ("billing-slow", 80)
    assert fault.seen == fault.delivered > 5


def test_their_files_decide_what_a_run_is(folder: Path) -> None:
    agent_file(folder, AGENT)
    (folder / "own.yaml").write_text(SCENARIO)
    plan = make_plan("own.yaml", agent="my_agent.py", folder=folder)
    named = {Path(path).name for path in plan.inputs()}
    assert {"billing.yaml", "billing_state.yaml", "billing_app.py", "legacy.har"} <= named
    before = plan.key()
    (folder / "billing_state.yaml").write_text("invoices: []\n")
    assert plan.key() != before


def test_a_mistake_is_told_in_the_file_that_has_it(folder: Path) -> None:
    agent_file(folder, AGENT)
    (folder / "own.yaml").write_text(SCENARIO.replace("billing.yaml,", "biling.yaml,"))
    with pytest.raises(InvalidFile, match=r"own\.yaml:11:22: there is no file or folder 'biling\.yaml'"):
        make_plan("own.yaml", agent="my_agent.py", folder=folder)
    (folder / "own.yaml").write_text(SCENARIO)
    (folder / "billing.yaml").write_text("openapi: 3.1.0\npaths: {a: {}}\n")
    with pytest.raises(InvalidFile, match=r"billing\.yaml:2:9: 'a': a path begins with '/'"):
        make_plan("own.yaml", agent="my_agent.py", folder=folder)


def test_a_section_without_a_key_that_makes_it_a_service_is_told_which_there_are(folder: Path) -> None:
    agent_file(folder, AGENT)
    (folder / "own.yaml").write_text(SCENARIO.replace("openapi: billing.yaml, state: billing_state.yaml, ", ""))
    with pytest.raises(InvalidFile, match="a service of your own needs one of the keys openapi, har, app"):
        make_plan("own.yaml", agent="my_agent.py", folder=folder)


def test_lists_and_checks_know_them_and_run_nobodys_code(folder: Path) -> None:
    (folder / "own.yaml").write_text(SCENARIO)
    (folder / "billing_app.py").write_text("raise SystemExit('this code must not run')\n")
    listed = pagerproof("list", "services", "--format", "json", folder=folder)
    entries = {each["name"]: each for each in json.loads(listed.stdout)["entries"]}
    assert "billing.Invoices.create" in entries["billing"]["parts"]
    assert entries["billing"]["origin"] == "yours"
    assert entries["shop"]["parts"] == []
    assert not entries["shop"]["broken"]
    shown = pagerproof("show", "billing", folder=folder)
    assert shown.returncode == 0, shown.stderr
    assert "Leaves invoices_create in the ledger." in shown.stdout
    checked = pagerproof("validate", "billing-slow.yaml", folder=folder)
    assert checked.returncode == 0, checked.stderr
    (folder / "billing-slow.yaml").write_text(FAULT.replace("Invoices.*", "Invoice.get"))
    wrong = pagerproof("validate", "billing-slow.yaml", folder=folder)
    assert wrong.returncode == 2
    assert "did you mean 'Invoices.get'?" in wrong.stderr
