"""The shipped fault models name gauges, disturbances and operations that the simulated services really have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.faults.stage import shipped_models

from pagerproof.faults import FaultInjector
from pagerproof.kernel import SimulationLoop
from pagerproof.model import Customer
from pagerproof.protocols import Directory, Scheduler
from pagerproof.scenario.schema import FaultUse
from pagerproof.services import make_services
from pagerproof.services.catalogue import OPERATIONS

MODELS = shipped_models()


class NobodyKnown:
    """A directory without a single record."""

    def order(self, order_id: str) -> dict[str, Any] | None:
        return None

    def customer(self, customer_id: str) -> Customer | None:
        return None

    def customer_by_email(self, email: str) -> Customer | None:
        return None

    def product(self, sku: str) -> dict[str, Any] | None:
        return None


@dataclass(slots=True, kw_only=True)
class World:
    seed: int
    scheduler: Scheduler
    directory: Directory


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_fits_the_simulated_services(name: str) -> None:
    loop = SimulationLoop()
    services = make_services()
    try:
        for service in services.values():
            service.open(World(seed=1, scheduler=loop, directory=NobodyKnown()))
        injector = FaultInjector(
            MODELS, [FaultUse(use=name)], seed=1, services=services, scheduler=loop, operations=OPERATIONS
        )
        assert injector.ledger()[0].title == MODELS[name].title
    finally:
        loop.close()
