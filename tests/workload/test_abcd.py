"""ABCD's 55 flows become intents that the services can carry out; a broken folder is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.workload.stage import ROOT, one_of_each, walk
from tests.workload.test_intents import met

from pagerproof.errors import InvalidFile, UsageError
from pagerproof.scenario.schema import Workload
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.workload.abcd import ACTIONS, SPECIAL, load_abcd
from pagerproof.workload.build import build_workload


def shared_folder() -> Path:
    folder = Path(os.environ.get("PAGERPROOF_SHARED_DATA", ROOT.parent / "shared" / "data")) / "abcd"
    if not folder.is_dir():
        pytest.skip(f"ABCD's files are not in {folder}; PAGERPROOF_SHARED_DATA names the folder that holds abcd/")
    return folder


def test_all_actions_of_the_real_folder_are_known() -> None:
    ontology = json.loads((shared_folder() / "ontology.json").read_text("utf-8"))
    named = [action for group in ontology["actions"].values() for action in group]
    assert sorted(named) == sorted(ACTIONS)


def test_the_55_real_flows_are_carried_out_by_the_services() -> None:
    folder = shared_folder()
    workload = build_workload(
        Workload(abcd="abcd", customers_per_locale=20, edge_cases=0),
        seed=1,
        requests=100,
        operations=OPERATIONS,
        resolve=lambda _name: folder,
    )
    assert len(workload.intents) == 55
    for intent, request, truth in one_of_each(workload):
        entries, _ = walk(workload, request, truth)
        assert met(truth.expectation, entries), f"{intent}: {truth.expectation} but {entries}"
        for step in truth.path:
            for _, source in step.arguments:
                if source.startswith("$") and source != "$email":
                    assert truth.slots[source[1:]] in request.text


def test_the_table_fits_the_catalogue() -> None:
    for name, arguments in (*ACTIONS.values(), *SPECIAL.values()):
        operation = OPERATIONS[name]
        assert set(operation.arguments) - operation.optional <= set(arguments) <= set(operation.arguments)


def folder_with(tmp_path: Path, kb: str, ontology: str) -> Path:
    (tmp_path / "kb.json").write_text(kb, encoding="utf-8")
    (tmp_path / "ontology.json").write_text(ontology, encoding="utf-8")
    return tmp_path


ONTOLOGY = '{"intents": {"subflows": {"account_access": ["recover_username"]}}}'


def test_one_flow_alone_is_enough(tmp_path: Path) -> None:
    kb = '{"recover_username": ["pull-up-account", "verify-identity"]}'
    (intent,) = load_abcd(folder_with(tmp_path, kb, ONTOLOGY), OPERATIONS)
    assert [step.operation for step in intent.path] == ["crm.Customer.find", "crm.Customer.verify"]


def test_a_missing_folder_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere is not a folder; it should hold ABCD's kb\.json"):
        load_abcd(tmp_path / "nowhere", OPERATIONS)
    with pytest.raises(InvalidFile, match=r"kb\.json: cannot be read"):
        load_abcd(tmp_path, OPERATIONS)


@pytest.mark.parametrize(
    ("kb", "ontology", "message"),
    [
        ('{\n "recover_username": ["pull-up-acount"]}', ONTOLOGY, "kb.json:2:23: recover_username: there is no action"),
        ('{"recover_username": ["pull-up-acount"]}', ONTOLOGY, "did you mean 'pull-up-account'?"),
        ('{"recover_user": ["pull-up-account"]}', ONTOLOGY, "belongs to no flow of ontology.json"),
        ('{"recover_username": "pull-up-account"}', ONTOLOGY, "should be a list of actions"),
        ('{"recover_username": [}', ONTOLOGY, "kb.json:1:23: not JSON"),
        ("[]", ONTOLOGY, "holds no JSON object"),
        ("{}", ONTOLOGY, "holds no subflows"),
        ('{"recover_username": ["pull-up-account"]}', "{}", "needs intents.subflows"),
    ],
)
def test_a_broken_folder_is_named_with_its_place(tmp_path: Path, kb: str, ontology: str, message: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        load_abcd(folder_with(tmp_path, kb, ontology), OPERATIONS)
    assert message in str(caught.value)
