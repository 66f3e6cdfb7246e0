"""A scenario's own services stand beside the built-in ones: their operations, parameters and mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from pagerproof.errors import InvalidFile, UsageError
from pagerproof.experiment.plan import read_fault_model
from pagerproof.model import Answer, Operation
from pagerproof.scenario.added import Added, Find
from pagerproof.scenario.load import load_file
from pagerproof.scenario.read import Known, read_scenario
from pagerproof.scenario.schema import Scenario
from pagerproof.services import NAMES, parameter_models
from pagerproof.services.added import added_services, operations_by_name, scenario_services
from pagerproof.services.base import ServiceParameters, SimulatedService
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.job import Job

HEAD = "schema: pagerproof/scenario/1\nid: x\ntitle: X\nrequests: 100\n"
READ = Operation(
    service="parking", name="Space.get", summary="Read a space.", arguments=MappingProxyType({"space": "string"})
)


class ParkingParameters(ServiceParameters):
    spaces: int


class ParkingService(SimulatedService):
    name = "parking"
    Parameters = ParkingParameters

    def operation_table(self):
        return {READ.full_name: READ}

    def space_get(self, job: Job) -> Answer:
        return self.answer({"space": job.arguments["space"]})


def parking(scenario: Scenario, find: Find) -> Iterator[Added]:
    """A source: whoever has a section `parking` has the service; `spaces` above ten cannot be made."""
    if "parking" not in scenario.services:
        return

    def make(parameters: ParkingParameters) -> ParkingService:
        if parameters.spaces > 10:
            raise UsageError("more than ten spaces do not fit")
        return ParkingService(parameters)

    yield Added(name="parking", parameters=ParkingParameters, make=make, place=("services", "parking", "spaces"))


KNOWN = Known(
    operations=OPERATIONS,
    service_parameters=parameter_models(),
    fault_models={"slow"},
    agents=("hardened",),
    metric_check=lambda expression: None,
    added=lambda scenario, path: added_services(scenario, path, sources=[parking]),
)


def written(folder: Path, text: str) -> Path:
    path = folder / "f.yaml"
    path.write_text(HEAD + text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        read_scenario(written(folder, text), KNOWN)
    return [f"{each.line - 4}:{each.column}: {each.message}" for each in caught.value.problems]


def test_an_added_service_stands_after_the_built_in_ones_with_its_parameters(tmp_path: Path) -> None:
    path = written(tmp_path, "services: {parking: {spaces: 3, read_median: 40ms}, sap: {work_processes: 8}}\n")
    services = scenario_services(load_file(path, Scenario).value, path, sources=[parking])
    assert tuple(services) == (*NAMES, "parking")
    assert services["parking"].parameters.read_median == 0.04  # type: ignore[attr-defined]  # a SimulatedService
    assert services["sap"].parameters.work_processes == 8  # type: ignore[attr-defined]  # a SimulatedService
    assert set(operations_by_name(services)) == {*OPERATIONS, "parking.Space.get"}


def test_a_scenario_that_adds_nothing_has_the_built_in_services(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    assert tuple(scenario_services(load_file(path, Scenario).value, path, sources=[parking])) == NAMES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "services:\n  parking:\n    spaces: 3\n    latncy: 3s\n",
            ["4:5: unknown key 'latncy': the keys here are"],
        ),
        ("services:\n  parking:\n    spaces: many\n", ["3:13: spaces: must be a whole number, not 'many'"]),
        ("services:\n  parking:\n    spaces: 11\n", ["3:13: more than ten spaces do not fit"]),
        (
            "services:\n  parkin: {}\n  parking: {spaces: 1}\n",
            ["2:3: unknown service 'parkin': did you mean 'parking'"],
        ),
        (
            "services: {parking: {spaces: 3}}\nfaults:\n- {use: slow, operations: [parking.Space.gte]}\n",
            ["3:28: 'parking.Space.gte' names no operation: did you mean 'parking.Space.get'?"],
        ),
        (
            "services: {parking: {spaces: 11}}\nfaults:\n- {use: slow, operations: [parking.Space.gte]}\n",
            ["1:30: more than ten spaces do not fit"],
        ),
    ],
)
def test_a_mistake_about_an_added_service_is_named_at_its_place(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = problems(tmp_path, text)
    assert len(found) == len(expected)
    for each, start in zip(found, expected, strict=True):
        assert each.startswith(start)


def test_faults_may_strike_added_operations(tmp_path: Path) -> None:
    text = "services: {parking: {spaces: 3}}\nfaults:\n- {use: slow, operations: ['parking.*']}\n"
    assert read_scenario(written(tmp_path, text), KNOWN).faults[0].operations == ("parking.*",)


FAULT = """schema: pagerproof/fault-model/1
id: barrier-stuck
title: The barrier is stuck
cites: [{supports: all of it, evidence: assumed}]
target: {service: parking, operation: %s}
trigger: {probability: 0.1}
effect: [{delay: {dist: constant, for: 3s}}]
limits: none
expect: {sometimes: [late_answer]}
"""


def test_a_fault_model_may_target_an_added_service_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "barrier-stuck.yaml"
    path.write_text(FAULT % "Space.get")
    operations = {**OPERATIONS, READ.full_name: READ}
    assert read_fault_model(path, operations).id == "barrier-stuck"
    with pytest.raises(InvalidFile, match="'parking' names no service"):
        read_fault_model(path)
    path.write_text(FAULT % "Space.gte")
    with pytest.raises(InvalidFile, match=r"did you mean 'Space\.get'"):
        read_fault_model(path, operations)
