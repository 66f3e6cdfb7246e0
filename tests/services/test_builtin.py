"""Making the built-in services, and what scenarios may say about them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from pagerproof.errors import UsageError
from pagerproof.services import NAMES, make_services, parameter_models
from pagerproof.services.catalogue import OPERATIONS


def test_every_operation_has_a_service() -> None:
    services = make_services()
    assert tuple(services) == NAMES == tuple(parameter_models())
    assert {name for service in services.values() for name in service.operations} == set(OPERATIONS)


def test_parameters_need_their_units() -> None:
    services = make_services({"sap": {"run_limit": "10m", "work_processes": 8}})
    assert services["sap"].parameters.run_limit == 600.0  # type: ignore[attr-defined]  # a SimulatedService
    with pytest.raises(ValidationError, match="is not a duration"):
        make_services({"sap": {"run_limit": 600}})


def test_an_unknown_parameter_or_service_is_refused() -> None:
    with pytest.raises(ValidationError, match="work_proceses"):
        make_services({"sap": {"work_proceses": 8}})
    with pytest.raises(UsageError, match="did you mean sap"):
        make_services({"sapp": {}})


@pytest.mark.parametrize("name", NAMES)
def test_every_default_says_what_it_is_and_how_well_it_is_known(name: str) -> None:
    grades = ("assumed", "documented", "measured", "incident")
    for field_name, field in parameter_models()[name].model_fields.items():
        said = field.description or ""
        assert said, f"{name}.{field_name} has no description"
        if field.default is not None and field_name not in ("model", "policy", "idempotency_entries"):
            assert any(grade in said for grade in grades) or isinstance(field.default, bool), f"{name}.{field_name}"


def test_the_catalogue_alone_imports_no_service() -> None:
    program = "import sys, pagerproof.services.catalogue; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
