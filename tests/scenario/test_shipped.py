"""The scenarios and the schema that are shipped are in order."""

import json
import re
from pathlib import Path

import pytest

from pagerproof.scenario.find import find_scenario, scenario_ids, shipped_folder
from pagerproof.scenario.json_schema import schema_text
from pagerproof.scenario.load import load_file
from pagerproof.scenario.read import Known, check_scenario
from pagerproof.scenario.schema import Scenario
from pagerproof.services.catalogue import OPERATIONS

FOLDER = shipped_folder("scenarios")
IDS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def test_the_committed_json_schema_is_the_current_one() -> None:
    committed = (FOLDER / "schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "run: python -m pagerproof.scenario.json_schema > scenarios/schema.json"


def test_the_json_schema_accepts_quantities_as_files_write_them() -> None:
    definitions = json.loads(schema_text())["$defs"]
    arrivals = definitions["Arrivals"]["properties"]
    rate, at = arrivals["rate"]["anyOf"][0]["pattern"], arrivals["at"]["anyOf"][0]["pattern"]
    for pattern, good, bad in [(rate, ["4/s", "0.9 / min"], ["4", "4s"]), (at, ["30s", "1_000 ms"], ["30", "30 sec"])]:
        assert all(re.search(pattern, text) for text in good)
        assert not any(re.search(pattern, text) for text in bad)


def test_there_are_the_flagship_and_seven_more(tmp_path: Path) -> None:
    assert "ten_thousand_and_first" in IDS
    assert len(IDS) >= 8
    assert set(scenario_ids(folder=tmp_path)) == set(IDS)


@pytest.mark.parametrize("name", IDS)
def test_each_shipped_scenario_is_valid_named_as_its_file_and_known_to_editors(name: str, tmp_path: Path) -> None:
    path = find_scenario(name, folder=tmp_path)
    scenario = load_file(path, Scenario).value
    assert scenario.id == name
    assert scenario.description
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=./schema.json\n")
    assert scenario.gates
    assert all(gate.source for gate in scenario.gates)


@pytest.mark.parametrize("name", IDS)
def test_each_shipped_scenario_uses_shipped_fault_models_on_operations_that_exist(name: str) -> None:
    known = Known(
        operations=OPERATIONS,
        service_parameters={},
        fault_models=[path.stem for path in shipped_folder("fault_models").glob("*.yaml")],
        agents=("hardened", "vendor_demo"),
        metric_check=lambda _: None,
    )
    problems = check_scenario(load_file(FOLDER / f"{name}.yaml", Scenario), known)
    assert [str(each) for each in problems if "unknown service" not in each.message] == []


def test_the_flagship_scripts_four_faults_at_request_10001_only() -> None:
    flagship = load_file(find_scenario("ten_thousand_and_first"), Scenario).value
    assert flagship.requests == 10_001
    assert set(flagship.workload.requests) == {10_001}
    assert sorted(fault.use for fault in flagship.faults if fault.at == (10_001,)) == [
        "delayed-api-tail",
        "malformed-json-html",
        "sap-timeout-after-commit",
        "truncated-tool-response-bytes",
    ]
    assert all(fault.at in ((), (10_001,)) for fault in flagship.faults)
