"""Which host serves what: every service at its own name, by the protocol that the real one speaks."""

from __future__ import annotations

from collections.abc import Iterable

from pagerproof.gateways.rest import rest_gateway
from pagerproof.gateways.rest_routes import REST_SERVICES
from pagerproof.protocols import Gateway


def gateways_of(services: Iterable[str]) -> dict[str, Gateway]:
    """Return fresh gateways for one run, by host name (which may hold `*`)."""
    return {f"{name}.sim": rest_gateway(name) for name in services if name in REST_SERVICES}
