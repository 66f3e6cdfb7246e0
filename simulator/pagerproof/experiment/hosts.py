"""Which host of a run's network is served by what: the services by their names, and whatever the scenario maps."""

from __future__ import annotations

from pagerproof.errors import UsageError
from pagerproof.experiment.plan import Plan
from pagerproof.experiment.wire import Wire, whose
from pagerproof.gateways.table import gateways_of
from pagerproof.network import Handler, SimulatedNetwork
from pagerproof.scenario.words import nearest


def network_of(plan: Plan, wire: Wire) -> SimulatedNetwork:
    """Return the run's network, not yet attached. Raises UsageError for a host that is mapped to no service."""
    return SimulatedNetwork(
        wire.boundary.loop,
        _handlers(plan, wire),
        whose=whose,
        unknown=wire.stranger,
        seed=plan.seed,
        latency_s=plan.scenario.network.latency,
    )


def _handlers(plan: Plan, wire: Wire) -> dict[str, Handler]:
    gateways = gateways_of(wire.boundary.by_service, wire.cases_under_way)
    handlers = {host: wire.served_by(gateway) for host, gateway in gateways.items()}
    for host, name in plan.scenario.network.hosts.items():
        served = gateways.get(f"{name}.sim")
        if served is None:
            known = [each.removesuffix(".sim") for each in gateways if each.endswith(".sim")]
            raise UsageError(f"network.hosts.{host}: there is no service {name!r}{nearest(name, known)}")
        handlers[host] = wire.served_by(served)
    return handlers
