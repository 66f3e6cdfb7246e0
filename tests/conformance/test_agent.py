"""The reference agents, and some that break a promise each, against the suite that every agent must pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.agent import check_agent

from pagerproof.agents.load import BUILTIN_AGENTS, Agent, load_agent
from pagerproof.model import Request
from pagerproof.tools import Desk


@pytest.mark.parametrize("name", BUILTIN_AGENTS)
def test_a_reference_agent_keeps_every_promise(name: str) -> None:
    check_agent(load_agent(name, folder=Path()).make)


class Silent:
    async def handle(self, request: Request, desk: Desk) -> Any:
        await desk.call("crm.Customer.find", email=request.customer_email)


class Talker:
    async def handle(self, request: Request, desk: Desk) -> Any:
        return "All is well."


class Mixing:
    def __init__(self) -> None:
        self.order_id = ""

    async def handle(self, request: Request, desk: Desk) -> Any:
        self.order_id = self.order_id or f"45{request.index:08d}"
        await desk.call("orders.Order.get", order_id=self.order_id)
        return "Looked up."


class Unstoppable:
    async def handle(self, request: Request, desk: Desk) -> Any:
        try:
            await desk.model.chat([{"role": "system", "content": "Route"}])
            await desk.call("orders.Order.get", order_id=f"45{request.index:08d}")
        except BaseException:  # the bug under test
            return "Nothing can stop me."
        return "Looked up."


@pytest.mark.parametrize("make", [Silent, Talker, Mixing, Unstoppable])
def test_an_agent_that_breaks_a_promise_is_found(make: Callable[[], Agent]) -> None:
    with pytest.raises((AssertionError, TypeError)):
        check_agent(make)
