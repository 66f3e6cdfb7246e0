"""The service that a workload of tau2-bench brings along: its domain's database, under the domain's name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pagerproof.errors import UsageError
from pagerproof.protocols import Service
from pagerproof.scenario.added import Added, Find
from pagerproof.scenario.schema import Scenario

_NAMELESS: Final = "tau2"  # of a domain whose folder cannot be read


def tau2_service(scenario: Scenario, find: Find) -> Iterator[Added]:
    """Add the domain that a scenario's workload imports from tau2-bench as a service of its name."""
    workload = scenario.workload
    given = workload.tau2
    if given is None:
        return
    # Imported here, so that scenarios of another workload do not pay for it.
    from pagerproof.domains.tau2 import domain_files, domain_name, find_folder, load_domain
    from pagerproof.services.base import ServiceParameters
    from pagerproof.services.domain import DomainService

    def make(parameters: Any) -> Service:
        domain = load_domain(find_folder(given, find), workload.tools, find)
        return DomainService(domain, parameters, shared=workload.state == "shared")

    try:
        folder = find_folder(given, find)
        name, files = domain_name(folder), domain_files(folder, workload.tools, find)
    except UsageError:  # `make` says why
        name, files = _NAMELESS, ()
    yield Added(
        name=name,
        parameters=ServiceParameters,
        make=make,
        place=("workload", "tau2"),
        title="a domain of tau2-bench",
        files=files,
        runs_code=workload.tools is not None,
    )
