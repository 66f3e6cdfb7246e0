"""The simulated operations as tools of the Model Context Protocol: JSON-RPC messages in, JSON-RPC messages out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pagerproof import __version__
from pagerproof.errors import UsageError
from pagerproof.gateways.openapi import json_schema
from pagerproof.model import Answer, Operation
from pagerproof.protocols import Exchange, Render

PROTOCOL_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""The revisions that begin with a handshake; a client that asks for another is offered the last of them."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602

Message = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A `tools/call` that can be carried out; `render` makes the JSON-RPC answer out of the service's."""

    operation: str
    arguments: Mapping[str, Any]
    idempotency_key: str | None
    render: Render


class McpTools:
    """What an MCP server says about these operations and how it calls them, whatever carries the messages.

    An operation `crm.Customer.find` is the tool `crm_customer_find`: model providers take no dots in names. An answer
    of another status than 2xx is a result with `isError`, its text the status and the body. A client may send an
    idempotency key as `_meta.idempotencyKey` of a call.
    """

    def __init__(self, operations: Iterable[Operation], *, page_size: int = 100) -> None:
        self.page_size = page_size
        self._names: dict[str, Operation] = {}
        for operation in operations:
            name = tool_name(operation.full_name)
            if name in self._names:
                other = self._names[name].full_name
                raise UsageError(f"{operation.full_name} and {other} would both be the tool {name}")
            self._names[name] = operation
        self._tools = [_tool(name, operation) for name, operation in self._names.items()]

    def understood(self, message: object) -> Message | ToolCall | None:
        """Return the answer to a message, the call that it asks for, or None where nothing is to be answered."""
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            return error(None, INVALID_REQUEST, "this is no JSON-RPC 2.0 message")
        method, number = message.get("method"), message.get("id")
        if not isinstance(method, str):
            is_answer = number is not None and ("result" in message or "error" in message)
            return None if is_answer else error(_id(number), INVALID_REQUEST, "a request needs a method")
        if number is None:
            return None if "id" not in message else error(None, INVALID_REQUEST, "the id must not be null")
        if _id(number) is None:
            return error(None, INVALID_REQUEST, "the id must be a string or an integer")
        parameters = message.get("params", {})
        if not isinstance(parameters, dict):
            return error(number, INVALID_PARAMS, "params must be an object")
        if method == "initialize":
            return result(number, _welcome(parameters))
        if method == "ping":
            return result(number, {})
        if method == "tools/list":
            return self._page(number, parameters)
        if method == "tools/call":
            return self._call(number, parameters)
        return error(number, METHOD_NOT_FOUND, f"Method not found: {method}")

    def _page(self, number: object, parameters: Mapping[str, Any]) -> Message:
        cursor = parameters.get("cursor")
        start = 0
        if cursor is not None:
            if not isinstance(cursor, str) or not cursor.isdecimal() or int(cursor) >= len(self._tools):
                return error(number, INVALID_PARAMS, f"unknown cursor: {cursor!r}")
            start = int(cursor)
        page: Message = {"tools": self._tools[start : start + self.page_size]}
        if start + self.page_size < len(self._tools):
            page["nextCursor"] = str(start + self.page_size)
        return result(number, page)

    def _call(self, number: object, parameters: Mapping[str, Any]) -> Message | ToolCall:
        name, arguments = parameters.get("name"), parameters.get("arguments", {})
        operation = self._names.get(name) if isinstance(name, str) else None
        if operation is None:
            return error(number, INVALID_PARAMS, f"Unknown tool: {name}")
        if arguments is not None and not isinstance(arguments, dict):
            return error(number, INVALID_PARAMS, "arguments must be an object")
        meta = parameters.get("_meta")
        key = meta.get("idempotencyKey") if isinstance(meta, dict) else None

        def render(answer: Answer) -> Answer:
            body = orjson.dumps(result(number, tool_result(answer)))
            return Answer(200, {"content-type": "application/json"}, body, rendered=True)

        return ToolCall(
            operation=operation.full_name,
            arguments=arguments or {},
            idempotency_key=key if isinstance(key, str) else None,
            render=render,
        )


async def carried_out(call: ToolCall, exchange: Exchange, render: Render | None = None) -> Answer:
    """Return the rendered answer to a tool call. Raises ConnectionLost as the exchange does."""
    return await exchange.call(
        call.operation, call.arguments, idempotency_key=call.idempotency_key, render=render or call.render
    )


def tool_name(operation: str) -> str:
    """Return the name of an operation's tool."""
    return operation.replace(".", "_").lower()


def tool_result(answer: Answer) -> Message:
    """Return a service's answer as the result of a tool."""
    text = answer.body.decode("utf-8", "replace")
    if not 200 <= answer.status < 300:
        return {"content": [{"type": "text", "text": f"HTTP {answer.status}: {text}"}], "isError": True}
    said: Message = {"content": [{"type": "text", "text": text}], "isError": False}
    try:
        data = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return said
    if isinstance(data, dict):
        said["structuredContent"] = data
    return said


def failed(number: object, text: str) -> Message:
    """Return the answer to a call whose tool gave none."""
    return result(number, {"content": [{"type": "text", "text": text}], "isError": True})


def result(number: object, value: Message) -> Message:
    """Return a JSON-RPC response."""
    return {"jsonrpc": "2.0", "id": number, "result": value}


def error(number: object, code: int, message: str) -> Message:
    """Return a JSON-RPC error response."""
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def _id(number: object) -> str | int | None:
    return number if isinstance(number, str) or type(number) is int else None


def _welcome(parameters: Mapping[str, Any]) -> Message:
    wanted = parameters.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in PROTOCOL_VERSIONS else PROTOCOL_VERSIONS[-1],
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "pagerproof", "version": __version__},
        "instructions": "Simulated systems of record. Amounts are decimal text.",
    }


def _tool(name: str, operation: Operation) -> Message:
    return {
        "name": name,
        "title": operation.full_name,
        "description": operation.summary,
        "inputSchema": {
            "type": "object",
            "properties": {each: json_schema(kind) for each, kind in operation.arguments.items()},
            "required": [each for each in operation.arguments if each not in operation.optional],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": not operation.writes, "openWorldHint": False},
    }
