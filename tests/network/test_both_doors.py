"""A fault of the wire is the same fault at both doors: at the desk, and on a connection of an unmodified client."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio

import pytest
from tests.faults.stage import SERVICE_S, Stage, call_of, case, shipped_models

from pagerproof.faults.wire import attempt, look_up, opening
from pagerproof.network import Connecting, SimulatedNetwork
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.schema import FaultUse
from pagerproof.tools import ToolError

OPERATION = "payments.Refund.create"
ON_THE_WIRE = {
    "wire-reset-mid-body": "ReadError",
    "wire-half-headers": "RemoteProtocolError",
    "wire-invalid-chunk": "RemoteProtocolError",
    "wire-slow-bytes": "200",
    "wire-dns-failure": "ConnectError",
    "wire-connection-refused": "ConnectError",
    "wire-connect-timeout": "ConnectTimeout",
}


def at_the_desk(name: str, model: FaultModel):
    with Stage([FaultUse(use=name, at=(1,))], {name: model}) as stage:
        seen = stage.run(stage.call(case(1), OPERATION, timeout_s=30.0))
        return seen.error or str(seen.status), seen.elapsed_s, len(stage.services["payments"].committed)


def on_a_connection(httpx, name: str, model: FaultModel):
    """The same call, made by httpx over the network; the exchange behind it is as small as one can be."""
    a_case = case(1)
    with Stage([FaultUse(use=name, at=(1,))], {name: model}, connections=True) as stage:

        async def answer(_request, _owner):
            call = call_of(a_case, OPERATION, started_s=stage.loop.time())
            decisions = stage.injector.decide(call)
            if decisions is None:
                return await stage.proceed(call)
            return await stage.injector.exchange(call, decisions, stage.proceed)

        async def decided(operation):
            call = call_of(a_case, OPERATION, started_s=stage.loop.time())
            call.operation = operation
            how = await attempt(stage.injector, call, stage.injector.decide(call))
            return None if how is None else Connecting(how=how, after_s=0.0)

        network = SimulatedNetwork(
            stage.loop,
            {"payments.sim": answer},
            resolving=lambda _host, _owner: decided(look_up("payments")),
            connecting=lambda _host, _port, _owner: decided(opening("payments")),
            latency_s=0.0,
        )

        async def work():
            began = stage.loop.time()
            try:
                async with httpx.AsyncClient(timeout=30.0) as client:
                    seen = str((await client.post("http://payments.sim/refunds")).status_code)
            except httpx.TransportError as error:
                seen = type(error).__name__
            return seen, stage.loop.time() - began

        with network:
            seen, elapsed_s = stage.run(work())
            stage.run(asyncio.sleep(200))
        stage.injector.close()
        stage.injector.check_balance()
        row = stage.injector.ledger()[0]
        assert (row.drawn, row.delivered) == (1, 1)
        return seen, elapsed_s, len(stage.services["payments"].committed)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("name", ON_THE_WIRE)
def test_time_and_truth_are_the_same_and_the_error_is_each_sides_own(name: str, library: str):
    httpx = pytest.importorskip(library)
    model = shipped_models()[name]
    desk, desk_s, desk_committed = at_the_desk(name, model)
    wire, wire_s, wire_committed = on_a_connection(httpx, name, model)
    assert wire == ON_THE_WIRE[name]
    assert (desk == "200") == (wire == "200")
    assert wire_committed == desk_committed
    assert wire_s == pytest.approx(desk_s, abs=0.05)
    if desk_committed and name != "wire-slow-bytes":
        assert desk_s == SERVICE_S


def test_every_shipped_fault_of_the_wire_is_tried_at_both_doors():
    assert sorted(ON_THE_WIRE) == sorted(name for name in shipped_models() if name.startswith("wire-"))


def test_the_desk_raises_what_agents_catch_as_tool_errors():
    from pagerproof.faults.wire import NotConnected

    assert issubclass(NotConnected, ToolError)
    assert issubclass(NotConnected, ConnectionError)
