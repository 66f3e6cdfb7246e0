"""tau2-bench's retail tasks as a workload: the gold end state without faults, silent failures found under them."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json
from collections import Counter

import pytest

from pagerproof.errors import InvalidFile
from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import execute
from pagerproof.scenario.find import shipped_folder
from tests.domains.folders import CANCEL, retail_folder, task, write_folder
from tests.experiment.running import pagerproof, scenario_file
from tests.laws.processes import in_three_processes

SCENARIO = """
schema: pagerproof/scenario/1
id: retail
title: Somebody else's tasks
requests: 114
seed: 3
agent: {{use: tool_caller}}
workload:
  tau2: {folder}
  arrivals: {{process: poisson, rate: 0.63/s}}
  patience: {{dist: infinite}}
{more}
"""
NEVER_ERRS = "  difficulty: {a: 1e12, b: 1e-12}"
FAULTS = """
faults:
  - {use: llm-truncated-arguments, expect: armed}
  - {use: delayed-api-tail, services: [retail], expect: armed}
  - {use: missing-field, services: [retail], probability: 1%}
  - {use: wrong-customer-record, services: [retail], probability: 1%}
  - {use: duplicate-delivery, services: [retail], probability: 1%}
  - {use: write-accepted-not-applied, services: [retail], probability: 2%}
"""


def scenario(tmp_path, folder, more=NEVER_ERRS):
    return scenario_file(tmp_path, SCENARIO.format(folder=folder, more=more), "retail.yaml").name


def run(tmp_path, folder, more=NEVER_ERRS, **options):
    return execute(make_plan(scenario(tmp_path, folder, more), folder=tmp_path, **options), out=None)


def test_without_faults_and_difficulty_every_retail_task_reaches_its_gold_end_state(tmp_path):
    execution = run(tmp_path, retail_folder())
    requests = execution.table.finish()
    ends = Counter(requests.outcome_of(row).value for row in range(len(requests)))
    assert execution.result.failure_modes == ()
    assert "wrong_end_state" not in execution.result.tags
    # Four tasks end with a transfer to a human.
    assert ends == {"resolved": 110, "escalated": 4}
    assert len(set(requests.text("intent"))) == 114
    assert execution.result.not_judged == {"natural-language criteria": 112}


def test_faults_lead_to_failures_that_the_end_state_shows(tmp_path):
    execution = run(tmp_path, retail_folder(), NEVER_ERRS + FAULTS, requests=684)
    assert [fault.id for fault in execution.result.faults if not fault.delivered] == []
    silent = [mode for mode in execution.result.failure_modes if mode.outcome == "failed_silent"]
    # Only who denies what has been done can fail silently with the right end state.
    silent = [mode for mode in silent if mode.mode != "done_and_denied"]
    assert {"claimed_and_absent", "partial"} <= {mode.mode for mode in silent}
    assert execution.result.tags["wrong_end_state"] >= sum(mode.count for mode in silent)
    assert {mode.mode for mode in silent} <= {
        *("claimed_and_absent", "partial", "wrong_customer", "wrong_entity", "wrong_details", "unasked_effect"),
        "wrong_end_state",
    }
    assert execution.result.outcomes["resolved"] > 0.8 * 684


def test_the_fourth_cycle_meets_other_faults_than_the_first(tmp_path):
    execution = run(tmp_path, retail_folder(), NEVER_ERRS + FAULTS, requests=4 * 114)
    faults = execution.table.finish().sets("faults")
    cycles = [faults[start : start + 114] for start in (0, 342)]
    assert cycles[0] != cycles[1]


def test_isolated_requests_find_the_database_as_the_folder_has_it_and_shared_ones_do_not(tmp_path):
    folder = write_folder(tmp_path / "tiny", [task(CANCEL)])
    outcomes = {}
    for state in ("isolated", "shared"):
        execution = run(tmp_path, folder, f"{NEVER_ERRS}\n  state: {state}", requests=6)
        outcomes[state] = execution.result.outcomes["resolved"]
    assert outcomes == {"isolated": 6, "shared": 1}


TOOLS = '''
from pagerproof.domains.toolset import writes

def find(db, name: str):
    """Find a member."""
    for member in db.rows("members"):
        if member["name"] == name:
            return {"id": member["id"]}
    raise LookupError("no such member")

@writes("member_id")
def lend(db, member_id: str, title: str, days: int):
    """Lend a book."""
    member = db.change("members", member_id)
    if title in member["books"]:
        raise ValueError("it is lent already")
    member["books"][title] = days
    return member

TOOLS = {"find": find, "lend": lend}
'''


def library(tmp_path, tools=TOOLS):
    (tmp_path / "library_tools.py").write_text(tools, "utf-8")
    actions = [
        {"name": "find", "arguments": {"name": "Ann"}},
        {"name": "lend", "arguments": {"member_id": "m1", "title": "Emma", "days": 7}},
    ]
    db = {"members": {"m1": {"id": "m1", "name": "Ann", "books": {}}}}
    return write_folder(tmp_path / "library", [task(*actions, domain="library")], db)


def test_another_domain_runs_with_the_users_own_tools(tmp_path):
    folder = library(tmp_path)
    execution = run(tmp_path, folder, f"{NEVER_ERRS}\n  tools: library_tools", requests=5)
    assert execution.result.outcomes["resolved"] == 5
    assert {each.operation for each in execution.result.amplification} >= {"library.find", "library.lend"}


def test_a_change_of_the_users_tools_is_a_change_of_the_inputs(tmp_path):
    folder = library(tmp_path)
    name = scenario(tmp_path, folder, f"{NEVER_ERRS}\n  tools: library_tools")
    before = make_plan(name, folder=tmp_path).inputs()
    assert {path.rpartition("/")[2] for path in before} >= {"db.json", "tasks.json", "library_tools.py"}
    library(tmp_path, TOOLS + "\n")
    after = make_plan(name, folder=tmp_path).inputs()
    assert [path.rpartition("/")[2] for path in before if before[path] != after[path]] == ["library_tools.py"]


def test_a_read_that_writes_stops_the_run_with_the_tools_name(tmp_path):
    folder = library(tmp_path, TOOLS.replace('@writes("member_id")', ""))
    result = pagerproof(
        *("run", scenario(tmp_path, folder, f"{NEVER_ERRS}\n  tools: library_tools"), "--no-progress"), folder=tmp_path
    )
    assert result.returncode == 2
    assert "task 0: action lend changes records and is not marked with @writes" in result.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("  edge_cases: 4%", "retail.yaml:12:3: 'edge_cases' has no effect with 'tau2'"),
        ("  abcd: there", "retail.yaml:12:3: 'abcd' has no effect with 'tau2'"),
        ("  only_intents: [retail_5]", "there is no task 'retail_5': did you mean 'retail_0'"),
        ("  requests: {3: {locale: de_DE}}", "workload.requests.3.locale: a task of tau2-bench is asked as it is"),
        ("faults: [{use: missing-field, services: [retial]}]", "'retial' names no service: did you mean 'retail'"),
        ("  tools: nowhere", "there is no module 'nowhere'"),
    ],
)
def test_what_does_not_fit_a_tau2_workload_is_refused(tmp_path, more, message):
    folder = write_folder(tmp_path / "tiny", [task(CANCEL)])
    result = pagerproof("run", scenario(tmp_path, folder, more), "--no-progress", folder=tmp_path)
    assert result.returncode == 2, result.stdout
    assert message in result.stderr


def test_an_absent_folder_is_refused_with_file_key_and_remedy_and_nothing_else(tmp_path):
    name = scenario(tmp_path, "data/retail", "faults: [{use: missing-field, services: [retail]}]")
    result = pagerproof("run", name, "--no-progress", folder=tmp_path)
    assert result.returncode == 2
    assert "retail.yaml:9:9: there is no file or folder 'data/retail'" in result.stderr
    assert "workload.tau2 names a domain folder of tau2-bench" in result.stderr
    assert result.stderr.count("retail.yaml:") == 1


def test_tools_without_a_folder_are_refused(tmp_path):
    text = "schema: pagerproof/scenario/1\nid: x\ntitle: X\nworkload:\n  tools: mine\n"
    with pytest.raises(InvalidFile, match="'tools' belongs to 'tau2', which is not given"):
        make_plan(scenario_file(tmp_path, text, "x.yaml").name, folder=tmp_path)


def test_the_report_says_what_is_not_judged(tmp_path):
    folder = write_folder(tmp_path / "tiny", [task(CANCEL)])
    result = pagerproof(
        "run", scenario(tmp_path, folder), "--requests", "3", "--no-progress", folder=tmp_path, COLUMNS="160"
    )
    assert "not judged: natural-language criteria, which 3 of the 3 requests carry" in result.stdout
    kept = json.loads(next(tmp_path.glob("runs/0001-*/result.json")).read_text("utf-8"))
    assert kept["not_judged"] == {"natural-language criteria": 3}


def test_the_shipped_scenario_runs_where_the_data_is_and_says_what_it_misses_elsewhere(tmp_path):
    shipped = str(shipped_folder("scenarios") / "tau2" / "tau2_retail.yaml")
    with pytest.raises(
        InvalidFile, match=r"tau2_retail\.yaml:15:9: there is no file or folder 'data/tau2/domains/retail'"
    ):
        make_plan(shipped, folder=tmp_path)
    (tmp_path / "data" / "tau2" / "domains").mkdir(parents=True)
    write_folder(tmp_path / "data" / "tau2" / "domains" / "retail", [task(CANCEL)])
    execution = execute(make_plan(shipped, folder=tmp_path, requests=20), out=None)
    assert execution.end.stopped_by is None
    assert sum(execution.result.outcomes.values()) == 20
    assert len(execution.result.gates) == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_and_one_requests_are_the_same_in_every_process(tmp_path):
    name = scenario(tmp_path, retail_folder(), FAULTS)
    jobs = [{"scenario": name, "agent": "tool_caller", "requests": 10_001, "folder": str(tmp_path), "journal": True}]
    answers = in_three_processes(jobs, at_once=2, timeout_s=600)
    assert len({results[0]["digest"] for results in answers}) == 1
    assert all(results[0]["requests"] == 10_001 for results in answers)
