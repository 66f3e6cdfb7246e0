"""The services of one scenario: the built-in ones, and those that the scenario adds to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pagerproof.errors import UsageError
from pagerproof.model import Operation
from pagerproof.protocols import Service
from pagerproof.scenario.added import Added, Find
from pagerproof.scenario.find import find_scenario, resolve, scenario_ids, shipped_folder
from pagerproof.scenario.load import load_file
from pagerproof.scenario.schema import Scenario
from pagerproof.services import make_services, service_names
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.own_sections import own_services
from pagerproof.services.tau2 import tau2_service

Source = Callable[[Scenario, Find], Iterator[Added]]
"""One way in which a scenario adds services. What it names may be missing: `make` complains about it."""

SOURCES: tuple[Source, ...] = (own_services, tau2_service)
"""Every way in which a scenario adds services, in the order in which their services stand in a run."""


def added_services(
    scenario: Scenario, path: Path, *, folder: Path | None = None, sources: Sequence[Source] = SOURCES
) -> list[Added]:
    """Return what the scenario in `path` adds, in a fixed order; names of built-in services are never among it."""

    def find(name: str) -> Path:
        return resolve(path, name, folder=folder)

    taken = service_names()
    return [each for source in sources for each in source(scenario, find) if each.name not in taken]


def scenario_services(
    scenario: Scenario, path: Path, *, folder: Path | None = None, sources: Sequence[Source] = SOURCES
) -> dict[str, Service]:
    """Return every service of the scenario by name, fresh and not opened: the built-in ones first, then those added.

    Raises UsageError and InvalidFile where one cannot be made, pydantic.ValidationError for its parameters.
    """
    sections = scenario.services
    added = {each.name: each for each in added_services(scenario, path, folder=folder, sources=sources)}
    services = make_services({name: section for name, section in sections.items() if name not in added})
    for name, each in added.items():
        services[name] = each.make(each.parameters.model_validate(sections.get(name, {})))
    return services


def operations_by_name(services: Mapping[str, Service]) -> dict[str, Operation]:
    """Return the operations of all these services by full name."""
    return {name: each for service in services.values() for name, each in service.operations.items()}


def own_scenarios(folder: Path) -> Iterator[tuple[Path, Scenario]]:
    """Yield the scenarios of the working folder that can be read, by name; those that ship add nothing."""
    shipped = shipped_folder("scenarios").resolve()
    for name in scenario_ids(folder=folder):
        try:
            path = find_scenario(name, folder=folder)
            if path.parent.resolve() != shipped:
                yield path, load_file(path, Scenario).value
        except (UsageError, OSError, RecursionError):
            continue


def operations_around(folder: Path, sources: Sequence[Source] = SOURCES) -> dict[str, Operation]:
    """Return what fault models in this folder may target: the built-in operations and those of its scenarios.

    Runs nobody's code: services whose making would are left out.
    """
    found = dict(OPERATIONS)
    for path, scenario in own_scenarios(folder):
        for each in added_services(scenario, path, folder=folder, sources=sources):
            try:
                if not each.runs_code:
                    made = each.make(each.parameters.model_validate(scenario.services.get(each.name, {})))
                    found.update(made.operations)
            except (UsageError, ValueError):  # its own scenario's check says what is wrong
                continue
    return found
