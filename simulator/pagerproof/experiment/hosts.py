"""Which host of a run's network is served by what: the services by their names, and whatever the scenario maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pagerproof.errors import UsageError
from pagerproof.experiment.plan import Plan
from pagerproof.experiment.wire import Wire, whose
from pagerproof.faults.wire import look_up, opening
from pagerproof.gateways import llm
from pagerproof.gateways.table import gateways_of
from pagerproof.model import Operation
from pagerproof.network import Connecting, Handler, SimulatedNetwork
from pagerproof.network.hosts import Hosts
from pagerproof.scenario.words import nearest


def network_of(plan: Plan, wire: Wire) -> SimulatedNetwork:
    """Return the run's network, not yet attached. Raises UsageError for a host that is mapped to no service."""
    handlers = _handlers(plan, wire)
    services = Hosts(services_by_host(handlers, plan.scenario.network.hosts))

    async def decided(host: str, operation: Callable[[str], Operation], owner: object) -> Connecting | None:
        service = services.handler(host)
        how = None if service is None else await wire.attempt(operation(service), owner)
        return None if how is None else Connecting(how=how, after_s=0.0)  # the fault has waited already

    return SimulatedNetwork(
        wire.boundary.loop,
        handlers,
        whose=whose,
        resolving=lambda host, owner: decided(host, look_up, owner),
        connecting=lambda host, _port, owner: decided(host, opening, owner),
        unknown=wire.stranger,
        seed=plan.seed,
        latency_s=plan.scenario.network.latency,
    )


def services_by_host(hosts: Iterable[str], mapped: Mapping[str, str]) -> dict[str, str]:
    """Return the service behind each host name; where a name stands for many services, it has a name of its own."""
    own = {host: "llm" if host in llm.HOSTS else host.removesuffix(".sim") for host in hosts}
    return {**own, **mapped}


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
