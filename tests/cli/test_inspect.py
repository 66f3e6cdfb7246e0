"""list, show and validate: everything is found, files of users that are broken are named, mistakes have their place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pagerproof.agents.load import BUILTIN_AGENTS
from pagerproof.cli.catalogue import KINDS, catalogue, entries_of, read_document
from pagerproof.cli.inspect_commands import list_command, show_command
from pagerproof.cli.validate_command import validate_command
from pagerproof.errors import InvalidFile, UsageError
from pagerproof.oracles import known_modes
from pagerproof.scenario.find import fault_model_ids, scenario_ids, shipped_folder
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.valves import BUILTIN_VALVES

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = "schema: pagerproof/scenario/1\nid: mine\ntitle: My own\n"
AGENT = '"""An agent of mine."""\n\nasync def handle(request, desk):\n    raise SystemExit("must not be run")\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


# --- the catalogue and list


def test_catalogue_has_what_the_registries_and_folders_have(here: Path) -> None:
    names = {kind: [entry.name for entry in entries_of(kind)] for kind in KINDS}
    assert names["scenarios"] == scenario_ids()
    assert names["faults"] == fault_model_ids()
    assert names["agents"] == list(BUILTIN_AGENTS)
    assert names["valves"] == list(BUILTIN_VALVES)
    assert {part for entry in entries_of("services") for part in entry.parts} == set(OPERATIONS)
    assert {part for entry in entries_of("oracles") for part in entry.parts} == known_modes()
    for entry in catalogue():
        assert entry.title, f"{entry.kind} {entry.name} has no title"
        assert entry.broken == ""
        assert entry.origin == "shipped"


def test_broken_files_of_the_working_folder_are_listed_as_broken(here: Path) -> None:
    (here / "scenarios").mkdir()
    (here / "scenarios" / "cut.yaml").write_text("schema: pagerproof/scenario/1\nid: [")
    (here / "scenarios" / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (here / "scenarios" / "mine.yaml").write_text(SCENARIO)
    (here / "fault_models").mkdir()
    (here / "fault_models" / "typo.yaml").write_text("schema: pagerproof/fault-model/1\nidd: x\n")
    (here / "bad_agent.py").write_text("async def handle(request, desk:\n    pass\n")
    (here / "good_agent.py").write_text(AGENT)
    (here / "unrelated.py").write_text("raise SystemExit")
    (here / "unreadable.yaml").mkdir()
    yours = {entry.name: entry for entry in catalogue() if entry.origin == "yours"}
    assert set(yours) == {"cut", "bytes", "mine", "typo", "bad_agent.py:handle", "good_agent.py:handle"}
    assert {name for name, entry in yours.items() if entry.broken} == {"cut", "bytes", "typo", "bad_agent.py:handle"}
    assert "scenarios/cut.yaml:2:6" in yours["cut"].broken
    assert "SyntaxError in line 1" in yours["bad_agent.py:handle"].broken
    assert yours["good_agent.py:handle"].title == "An agent of mine."


def test_titles_are_those_of_the_files(here: Path) -> None:
    for entry in [*entries_of("scenarios"), *entries_of("faults")]:
        assert entry.path is not None
        assert entry.title == read_document(entry.path)["title"]


def test_file_in_the_working_folder_wins_over_the_shipped_one(here: Path) -> None:
    (here / "calm_baseline.yaml").write_text(SCENARIO.replace("mine", "calm_baseline"))
    found = [entry for entry in entries_of("scenarios") if entry.name == "calm_baseline"]
    assert [(entry.title, entry.origin) for entry in found] == [("My own", "yours")]


@pytest.mark.parametrize("kind", KINDS)
def test_list_says_the_same_as_text_and_as_json(kind: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list_command(kind, format_="json", color="auto") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "pagerproof/list/1"
    assert list_command(kind, format_="text", color="never") == 0
    printed = capsys.readouterr().out
    said = " ".join(printed.split())
    for entry in document["entries"]:
        assert entry["name"] in said
        assert entry["title"] in said
    assert max(len(line) for line in printed.splitlines()) <= 100


def test_list_of_an_unknown_kind_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="scenarios, faults"):
        list_command("scenario", format_="text", color="auto")


# --- show


def _shown(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert show_command(name, color="never") == 0
    return " ".join(capsys.readouterr().out.split())


def test_everything_in_the_catalogue_can_be_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for entry in catalogue():
        assert entry.title in _shown(entry.name, capsys)


def test_scenario_shows_workload_agent_faults_and_gates(capsys: pytest.CaptureFixture[str]) -> None:
    said = _shown("ten_thousand_and_first", capsys)
    assert "requests 10,001, seed 10001" in said
    assert "agent hardened" in said
    assert "process: contact_center, rate: 0.63/s" in said
    assert "sap-timeout-after-commit: probability: 0.5%, × intensity 0.3" in said
    assert "at request 10001 (scripted), the first call only; on orders.Order.get" in said
    assert "silent_failure.rate < 0.1% [assumed] the 99.9 %" in said


def test_fault_model_shows_trigger_effect_limits_expectations_and_citations(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = _shown("sap-timeout-after-commit", capsys)
    assert "target service: sap, only: writes, edge: response" in said
    assert "trigger probability: 0.5%" in said
    assert "effect timeout: {committed: 100%, after: 60s, answer: sap.processing_timeout}" in said
    assert "always no_duplicate_document" in said
    assert "[documented] on PROCTIMEOUT the ICM answers 500" in said
    assert "https://help.sap.com/saphelp_em900/helpdata/en/48/88b52977323cb8e10000000a42189d/content.htm" in said


def test_service_shows_operations_with_arguments_and_parameters_with_units(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = _shown("sap", capsys)
    assert "sap.CreditMemo.find(sales_order: string)" in said
    assert "Leaves credit_memo in the ledger." in said
    assert "run_limit = 10 min 0 s longest run of a work process" in said
    assert "queue_limit = 2,000 dispatcher queue" in said
    assert _shown("sap.CreditMemo.find", capsys) == said


def test_agent_shows_its_valves_and_is_not_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "retry Tries again what failed in passing" in _shown("hardened", capsys)
    assert "Valves that its source puts on: none" in _shown("vendor_demo", capsys)
    (here / "my_agent.py").write_text(AGENT)
    assert "pagerproof run --agent my_agent.py:handle" in _shown("my_agent.py:handle", capsys)


def test_valve_shows_its_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert "calls_per_step 5 calls_per_request 24 repeats 3" in _shown("depth_limit", capsys)


def test_file_can_be_shown_by_its_path(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "somewhere.yaml").write_text(SCENARIO)
    assert "My own" in _shown("somewhere.yaml", capsys)
    (here / "cut.yaml").write_text("schema: pagerproof/scenario/1\nid: [")
    with pytest.raises(InvalidFile, match=r"cut\.yaml:2:6"):
        show_command("cut.yaml", color="never")


def test_unknown_name_is_a_usage_error_with_the_nearest_names() -> None:
    with pytest.raises(UsageError, match="did you mean hardened"):
        show_command("hardned", color="auto")
    with pytest.raises(UsageError, match="pagerproof list"):
        show_command("qqqqqqqq", color="auto")


# --- validate


def test_shipped_files_are_valid_and_folders_expand(capsys: pytest.CaptureFixture[str]) -> None:
    folders = [shipped_folder("scenarios"), shipped_folder("fault_models"), shipped_folder("scenarios") / "intents"]
    assert validate_command(folders) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert len(lines) == sum(len(list(folder.glob("*.yaml"))) for folder in folders)
    assert all(line.startswith("ok  ") for line in lines)
    assert any(line.endswith("ten_thousand_and_first.yaml (scenario ten_thousand_and_first)") for line in lines)


def test_every_mistake_of_every_file_is_told_and_good_files_are_still_said_to_be_good(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a.yaml").write_text(SCENARIO + "requests: many\nsede: 1\n")
    (here / "b.yaml").write_text(SCENARIO)
    (here / "c.yaml").write_text("schema: pagerproof/fault_model/1\nid: x\n")
    (here / "d.yaml").write_text("title: what am I\n")
    (here / "e.yaml").write_text("schema: pagerproof/scenario/9\nid: x\ntitle: y\n")
    (here / "f").mkdir()
    files = [here / name for name in ("a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml", "f", "missing.yaml")]
    assert validate_command(files) == 2
    printed = capsys.readouterr()
    assert printed.out == "ok  b.yaml (scenario mine)\n"
    assert "a.yaml:4:11: requests: must be a whole number, not 'many'" in printed.err
    assert "      4 | requests: many\n        |           ^\n" in printed.err
    assert "a.yaml:5:1: unknown key 'sede': did you mean 'seed'?" in printed.err
    assert "c.yaml:1:9: schema: 'pagerproof/fault_model/1' is none of ours" in printed.err
    assert "did you mean 'pagerproof/fault-model/1'?" in printed.err
    assert "d.yaml:1:1: the file does not say what it is" in printed.err
    assert "e.yaml:1:9: schema: must be 'pagerproof/scenario/1', not 'pagerproof/scenario/9'" in printed.err
    assert "f: there is no *.yaml in this folder" in printed.err
    assert "missing.yaml: there is no such file" in printed.err


def test_target_that_names_no_operation_is_a_mistake(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (shipped_folder("fault_models") / "sap-timeout-after-commit.yaml").read_text()
    (here / "x.yaml").write_text(
        text.replace("{service: sap, only: writes", "{service: sap, operation: CreditMemo.creat")
    )
    (here / "y.yaml").write_text(text.replace("{service: sap, only", "{service: sapp, only"))
    assert validate_command([here / "x.yaml", here / "y.yaml"]) == 2
    said = capsys.readouterr().err
    assert "names no operation of sap: did you mean 'CreditMemo.create'?" in said
    assert "'sapp' names no service: did you mean 'sap'?" in said
