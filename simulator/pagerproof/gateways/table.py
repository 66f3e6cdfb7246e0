"""Which host serves what: every service at its own name, by the protocol that the real one speaks."""

from __future__ import annotations

from collections.abc import Mapping

from pagerproof.gateways import llm
from pagerproof.gateways.llm_door import OpenCases
from pagerproof.gateways.mcp import McpGateway
from pagerproof.gateways.mcp_tools import McpTools
from pagerproof.gateways.rest import own_gateway, rest_gateway
from pagerproof.gateways.rest_routes import REST_SERVICES
from pagerproof.gateways.sap import SapGateway
from pagerproof.protocols import Gateway, Service
from pagerproof.services.own import OwnService


def gateways_of(services: Mapping[str, Service], open_cases: OpenCases) -> dict[str, Gateway]:
    """Return fresh gateways for one run, by host name (which may hold `*`).

    Every service answers at `NAME.sim`; the tools of all of them but the model are an MCP server at `tools.sim`.
    `open_cases` returns the requests under way, for a model that has to recognise whose conversation it reads.
    """
    found: dict[str, Gateway] = {f"{name}.sim": rest_gateway(name) for name in services if name in REST_SERVICES}
    found.update(llm.gateways(open_cases))
    found["sap.sim"] = SapGateway()
    found.update({f"{name}.sim": own_gateway(each) for name, each in services.items() if isinstance(each, OwnService)})
    tools = [
        each
        for name, service in services.items()
        if name != "llm"
        for each in service.operations.values()
        if not each.protocol_only
    ]
    found["tools.sim"] = McpGateway(McpTools(tools))
    return found
