"""The official MCP client drives the simulated tools, over streamable HTTP and in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

import pytest
from tests.conformance.service import Sample, samples_of
from tests.gateways.stage import ServiceExchange, send

from pagerproof.errors import UsageError
from pagerproof.gateways.asgi import asgi
from pagerproof.gateways.mcp import McpGateway, in_memory
from pagerproof.gateways.mcp_tools import McpTools, tool_name
from pagerproof.kernel import SimulationLoop
from pagerproof.model import Answer, Operation
from pagerproof.services import make_services
from pagerproof.services.catalogue import OPERATIONS, TOOLS

mcp = pytest.importorskip("mcp")
httpx2 = pytest.importorskip("httpx2")

OFFERED = [each for name, each in TOOLS.items() if not name.startswith("llm.")]
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


def exchange() -> ServiceExchange:
    return ServiceExchange(make_services())


@asynccontextmanager
async def over_http(there: ServiceExchange, gateway: McpGateway) -> AsyncIterator[Any]:
    from mcp.client.streamable_http import streamable_http_client

    transport = httpx2.ASGITransport(asgi(gateway, lambda request: there))
    async with (
        httpx2.AsyncClient(transport=transport) as http,
        mcp.Client(streamable_http_client("https://tools.sim/mcp", http_client=http)) as client,
    ):
        yield client


@asynccontextmanager
async def as_json(there: ServiceExchange, tools: McpTools) -> AsyncIterator[Any]:
    async with over_http(there, McpGateway(tools)) as client:
        yield client


@asynccontextmanager
async def as_streams(there: ServiceExchange, tools: McpTools) -> AsyncIterator[Any]:
    async with over_http(there, McpGateway(tools, streams=True)) as client:
        yield client


@asynccontextmanager
async def in_this_loop(there: ServiceExchange, tools: McpTools) -> AsyncIterator[Any]:
    async with mcp.Client(in_memory(tools, there)) as client:
        yield client


Connect = Callable[[ServiceExchange, McpTools], Any]
EVERY_WAY = pytest.mark.parametrize("connect", [as_json, as_streams, in_this_loop])


def run(connect: Connect, there: ServiceExchange, agent: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    async def whole() -> Any:
        async with connect(there, McpTools(OFFERED, **options)) as client:
            return await agent(client)

    return asyncio.run(whole())


# --- the official client


@EVERY_WAY
def test_every_operation_is_a_tool_with_its_schema(connect: Connect) -> None:
    async def agent(client: Any) -> Any:
        found, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                return found

    tools = {tool.name: tool for tool in run(connect, exchange(), agent, page_size=10)}
    assert set(tools) == {tool_name(each.full_name) for each in OFFERED}
    schema = tools["orders_return_create"].input_schema
    assert schema["required"] == ["order_id", "sku"]
    assert schema["properties"]["reason"] == {"type": "string"}
    assert tools["orders_order_get"].annotations.read_only_hint
    assert not tools["orders_order_cancel"].annotations.read_only_hint


@EVERY_WAY
def test_every_tool_can_be_called(connect: Connect) -> None:
    services = ("crm", "orders", "inventory", "payments", "kb", "sap")
    samples = [each for service in services for each in samples_of(service) if each.operation in TOOLS]
    assert {sample.operation for sample in samples} == {each.full_name for each in OFFERED}

    for sample in samples:
        there = exchange()
        result = run(connect, there, partial(called, sample=sample))
        assert not result.is_error, result
        assert there.asked == [(sample.operation, sample.arguments, None)]
        assert json.loads(result.content[0].text) == result.structured_content
        assert bool(there.case.effects) == OPERATIONS[sample.operation].writes


async def called(client: Any, sample: Sample) -> Any:
    return await client.call_tool(tool_name(sample.operation), dict(sample.arguments))


@EVERY_WAY
def test_a_refusal_of_the_service_is_a_result_with_is_error(connect: Connect) -> None:
    async def agent(client: Any) -> list[Any]:
        return [
            await client.call_tool("orders_order_get", {"order_id": "nothing"}),
            await client.call_tool("orders_order_get", {}),
            await client.call_tool("inventory_stock_reserve", {"sku": "SKU-1001", "quantity": "2", "order_id": "x"}),
            await client.call_tool("orders_order_get", {"order_id": "4500000005", "colour": "red"}),
        ]

    results = run(connect, exchange(), agent)
    assert all(result.is_error for result in results)
    texts = [result.content[0].text for result in results]
    assert [text[:8] for text in texts] == ["HTTP 404", "HTTP 400", "HTTP 422", "HTTP 400"]
    assert [word in text for word, text in zip(("nothing", "order_id", "quantity", "colour"), texts, strict=True)] == [
        True
    ] * 4


@EVERY_WAY
def test_an_unknown_tool_is_an_error_of_the_protocol(connect: Connect) -> None:
    async def agent(client: Any) -> None:
        with pytest.raises(mcp.MCPError, match="Unknown tool: orders_order_got"):
            await client.call_tool("orders_order_got", {})

    there = exchange()
    run(connect, there, agent)
    assert there.asked == []


@EVERY_WAY
def test_calls_at_the_same_time_get_their_own_answers(connect: Connect) -> None:
    ids = [f"45{index:08d}" for index in range(1, 21)]

    async def agent(client: Any) -> list[Any]:
        return await asyncio.gather(*(client.call_tool("orders_order_get", {"order_id": each}) for each in ids))

    results = run(connect, exchange(), agent)
    assert [result.structured_content["order_id"] for result in results] == ids


def test_a_repeated_idempotency_key_pays_once() -> None:
    async def agent(client: Any) -> None:
        for _ in range(2):
            arguments = {"payment_id": "pay_00000005", "amount": "1.00", "currency": "EUR"}
            await client.call_tool("payments_refund_create", arguments, meta={"idempotencyKey": "one"})

    there = exchange()
    run(as_json, there, agent)
    assert [key for _, _, key in there.asked] == ["one", "one"]
    assert len(there.case.effects) == 1


def test_a_broken_connection_in_memory_is_a_tool_that_failed() -> None:
    there = exchange()
    there.disturb = {"break_after_commit": True}
    result = run(in_this_loop, there, lambda client: client.call_tool("orders_order_get", {"order_id": "4500000005"}))
    assert result.is_error
    assert "connection broke" in result.content[0].text


@EVERY_WAY
def test_the_client_runs_in_virtual_time(connect: Connect) -> None:
    async def whole() -> bool:
        async with connect(exchange(), McpTools(OFFERED)) as client:
            await asyncio.sleep(3600.0)
            result = await client.call_tool("orders_order_get", {"order_id": "4500000005"})
        return bool(result.is_error)

    with closing(SimulationLoop()) as loop:
        assert not loop.run_until_complete(whole())
        assert 3600.0 <= loop.time() < 3700.0


# --- the wire itself


def posted(gateway: McpGateway, message: object, **headers: str) -> Answer:
    given = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return send(gateway, exchange(), "POST", "/mcp", message, headers=given)


def begun(gateway: McpGateway) -> str:
    parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    answer = posted(gateway, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters})
    assert json.loads(answer.body)["result"]["protocolVersion"] == "2025-06-18"
    return answer.headers["mcp-session-id"]


def code(answer: Answer) -> tuple[int, int]:
    return answer.status, json.loads(answer.body)["error"]["code"]


def test_sessions_begin_are_required_and_end() -> None:
    gateway = McpGateway(McpTools(OFFERED))
    ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
    assert code(posted(gateway, ping)) == (400, -32600)
    session = begun(gateway)
    assert session != begun(gateway)
    assert json.loads(posted(gateway, ping, mcp_session_id=session).body) == {"jsonrpc": "2.0", "id": "p", "result": {}}
    ended = send(gateway, exchange(), "DELETE", "/mcp", headers={"mcp-session-id": session})
    assert ended.status == 204
    assert code(posted(gateway, ping, mcp_session_id=session)) == (404, -32600)


def test_the_same_request_begins_the_same_sessions_in_every_run() -> None:
    assert begun(McpGateway(McpTools(OFFERED))) == begun(McpGateway(McpTools(OFFERED)))


def test_what_needs_no_answer_is_accepted_without_one() -> None:
    gateway = McpGateway(McpTools(OFFERED))
    session = begun(gateway)
    for message in (
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 4, "result": {}},
    ):
        answer = posted(gateway, message, mcp_session_id=session)
        assert (answer.status, answer.body) == (202, b"")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ([], (400, -32600)),
        ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, (400, -32600)),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, (400, -32600)),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, (400, -32600)),
        ({"jsonrpc": "2.0", "id": 1}, (200, -32600)),
        ({"jsonrpc": "2.0", "id": 1, "method": "resources/list"}, (200, -32601)),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}, (200, -32602)),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "900"}}, (200, -32602)),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": ["x"]}}, (200, -32602)),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "kb_policy_get", "arguments": [1]}},
            (200, -32602),
        ),
    ],
)
def test_a_message_that_cannot_be_used_is_an_error(message: object, expected: tuple[int, int]) -> None:
    gateway = McpGateway(McpTools(OFFERED))
    assert code(posted(gateway, message, mcp_session_id=begun(gateway))) == expected


def test_http_that_cannot_be_used_is_refused() -> None:
    gateway = McpGateway(McpTools(OFFERED))
    there = exchange()
    assert send(gateway, there, "GET", "/mcp", headers={"accept": "text/event-stream"}).headers["allow"] == (
        "POST, DELETE, OPTIONS"
    )
    assert send(gateway, there, "GET", "/mcp").status == 405
    assert send(gateway, there, "POST", "/rpc", {}).status == 404
    assert send(gateway, there, "POST", "/mcp", b"{", headers=HEADERS).status == 400
    assert send(gateway, there, "POST", "/mcp", b"x", headers={**HEADERS, "content-type": "text/plain"}).status == 415
    assert send(gateway, there, "POST", "/mcp", b"{}", headers={**HEADERS, "accept": "text/html"}).status == 406
    assert send(gateway, there, "POST", "/mcp", b" " * 4_000_001, headers=HEADERS).status == 413
    session = begun(gateway)
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    answer = posted(gateway, ping, mcp_session_id=session, mcp_protocol_version="1999-01-01")
    assert (answer.status, "1999-01-01" in answer.body.decode()) == (400, True)


def test_a_client_that_takes_only_streams_gets_one() -> None:
    gateway = McpGateway(McpTools(OFFERED))
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    answer = posted(gateway, ping, mcp_session_id=begun(gateway), accept="text/event-stream")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body == b'event: message\r\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\r\n\r\n'


def test_two_operations_of_one_tool_name_are_refused() -> None:
    twice = [Operation(service="a", name=name, summary="", arguments={}) for name in ("B_c.get", "B.c_get")]
    with pytest.raises(UsageError, match=r"a\.B\.c_get and a\.B_c\.get would both be the tool a_b_c_get"):
        McpTools(twice)
