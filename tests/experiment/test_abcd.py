"""The main job on customer-service flows that nobody here wrote: ABCD's 55, end to end under the production mix."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import execute
from tests.experiment.running import scenario_file
from tests.laws.processes import ROOT, in_three_processes

AGENTS = ("hardened", "vendor_demo")
SCENARIO = """
schema: pagerproof/scenario/1
id: abcd
title: ABCD's flows under the production mix
requests: 300
seed: 5
workload:
  abcd: {folder}
  arrivals: {{process: contact_center, rate: 0.63/s, starts_at: 9h}}
  edge_cases: 4%
"""


@pytest.fixture(scope="module")
def folder():
    found = Path(os.environ.get("PAGERPROOF_SHARED_DATA", ROOT.parent / "shared" / "data")) / "abcd"
    if not found.is_dir():
        pytest.skip(f"ABCD's files are not in {found}; PAGERPROOF_SHARED_DATA names the folder that holds abcd/")
    return found


def scenario(folder, tmp_path):
    """Write the scenario: ABCD's flows, and the flagship's faults without those at exact indices."""
    flagship = (ROOT / "scenarios" / "ten_thousand_and_first.yaml").read_text("utf-8")
    faults = flagship[flagship.index("\nfaults:") : flagship.index("  # Scripted")]
    return scenario_file(tmp_path, SCENARIO.format(folder=folder) + faults, "abcd.yaml").name


def flows(execution):
    requests = execution.table.finish()
    outcomes = [requests.outcome_of(row).value for row in range(len(requests))]
    return list(zip(requests.text("intent"), outcomes, strict=True))


@pytest.mark.parametrize("agent", AGENTS)
def test_the_flows_run_end_to_end_under_the_production_mix(folder, tmp_path, agent):
    execution = execute(make_plan(scenario(folder, tmp_path), agent=agent, folder=tmp_path), out=tmp_path / "runs")
    assert execution.end.stopped_by is None
    assert not execution.end.unsettled
    assert len(execution.table) == 300
    assert len({intent for intent, _ in flows(execution)}) >= 50
    delivered = [fault.id for fault in execution.result.faults if fault.delivered]
    assert len(delivered) >= 10
    assert execution.result.outcomes["resolved"] >= 240
    assert sum(execution.result.outcomes.values()) == 300


def test_without_faults_the_hardened_agent_resolves_nearly_all(folder, tmp_path):
    plan = make_plan(scenario(folder, tmp_path), agent="hardened", faults=False, requests=400, folder=tmp_path)
    execution = execute(plan, out=None)
    rest = Counter(flow for flow in flows(execution) if flow[1] != "resolved")
    assert execution.result.outcomes["resolved"] >= 0.95 * 400, rest
    assert execution.result.outcomes["crashed"] == 0, rest


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_and_one_of_them_are_the_same_in_every_process(folder, tmp_path):
    name = scenario(folder, tmp_path)
    jobs = [{"scenario": name, "agent": "hardened", "requests": 10_001, "folder": str(tmp_path), "journal": True}]
    answers = in_three_processes(jobs, at_once=2, timeout_s=600)
    assert len({results[0]["digest"] for results in answers}) == 1
    assert all(results[0]["requests"] == 10_001 for results in answers)
