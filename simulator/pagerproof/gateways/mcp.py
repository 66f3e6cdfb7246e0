"""MCP over streamable HTTP, and in memory: what carries the messages of `mcp_tools` to a client and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson

from pagerproof.gateways.mcp_tools import (
    INVALID_REQUEST,
    PARSE_ERROR,
    PROTOCOL_VERSIONS,
    McpTools,
    ToolCall,
    carried_out,
    error,
    failed,
)
from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Exchange
from pagerproof.rng import key_of
from pagerproof.tools import ConnectionLost

PATH: Final = "/mcp"
BODY_BYTES_MAX: Final = 4_000_000

_JSON: Final = "application/json"
_STREAM: Final = "text/event-stream"
_METHODS: Final = "POST, DELETE, OPTIONS"


class McpGateway:
    """An MCP server at `/mcp`; an instance is a `pagerproof.protocols.Gateway`, and its sessions are one run's.

    A request is answered with JSON; with a stream of one event where the client takes nothing else, or where
    `streams` is set. There is no stream from the server's side, so GET is 405.
    """

    def __init__(self, tools: McpTools, *, path: str = PATH, streams: bool = False) -> None:
        self.tools = tools
        self.path = path
        self.streams = streams
        self._sessions: set[str] = set()
        self._begun: dict[int, int] = {}  # sessions begun by each request, by its index

    async def __call__(self, request: WireRequest, exchange: Exchange) -> Answer:
        """Answer one request. ConnectionLost passes through."""
        if request.path != self.path:
            return _http_error(404, f"There is nothing at {request.path}: the server is at {self.path}")
        if request.method == "OPTIONS":
            return Answer(204, {"allow": _METHODS}, b"", rendered=True)
        if request.method == "DELETE":
            return self._ended(request)
        if request.method != "POST":
            answer = _http_error(405, f"{request.method} is not allowed here")
            answer.headers["allow"] = _METHODS
            return answer
        return await self._posted(request, exchange)

    async def _posted(self, request: WireRequest, exchange: Exchange) -> Answer:
        if len(request.body) > BODY_BYTES_MAX:
            return _http_error(413, f"At most {BODY_BYTES_MAX} bytes are taken.")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _JSON:
            return _http_error(415, f"The body must be {_JSON}, not {kind or 'of no type'}.")
        accepted = request.headers.get("accept", "*/*")
        if not any(each in accepted for each in (_JSON, _STREAM, "*/*", "application/*")):
            return _http_error(406, f"Answers are {_JSON} or {_STREAM}.")
        try:
            message = orjson.loads(request.body)
        except orjson.JSONDecodeError as mistake:
            return _json(400, error(None, PARSE_ERROR, f"Parse error: {mistake}"))
        begins = isinstance(message, dict) and message.get("method") == "initialize"
        if not begins:
            refusal = self._refusal(request)
            if refusal is not None:
                return refusal
        streams = self.streams or (_JSON not in accepted and _STREAM in accepted)
        answer = await self._answered(message, exchange, streams)
        if begins and answer.status == 200:
            answer.headers["mcp-session-id"] = self._begin(exchange)
        return answer

    async def _answered(self, message: object, exchange: Exchange, streams: bool) -> Answer:
        said = self.tools.understood(message)
        if said is None:
            return Answer(202, {}, b"", rendered=True)
        if isinstance(said, ToolCall):
            call = said

            def render(answer: Answer) -> Answer:
                return _streamed(call.render(answer)) if streams else call.render(answer)

            return await carried_out(call, exchange, render)
        is_no_request = said.get("id") is None
        answer = _json(400 if is_no_request else 200, said)
        return _streamed(answer) if streams and not is_no_request else answer

    def _refusal(self, request: WireRequest) -> Answer | None:
        """Return why a message that begins no session is not listened to, or None."""
        session = request.headers.get("mcp-session-id")
        if session is None:
            return _json(400, error(None, INVALID_REQUEST, "Bad Request: Missing session ID"))
        if session not in self._sessions:
            return _json(404, error(None, INVALID_REQUEST, "Session not found"))
        version = request.headers.get("mcp-protocol-version", PROTOCOL_VERSIONS[0])
        if version not in PROTOCOL_VERSIONS:
            message = f"Bad Request: Unsupported protocol version: {version}"
            return _json(400, error(None, INVALID_REQUEST, message))
        return None

    def _begin(self, exchange: Exchange) -> str:
        index = exchange.case.index
        count = self._begun[index] = self._begun.get(index, 0) + 1
        session = f"{key_of(exchange.seed, index, 'mcp session', count):016x}"
        self._sessions.add(session)
        return session

    def _ended(self, request: WireRequest) -> Answer:
        session = request.headers.get("mcp-session-id", "")
        if session not in self._sessions:
            return _json(404, error(None, INVALID_REQUEST, "Session not found"))
        self._sessions.remove(session)
        return Answer(204, {}, b"", rendered=True)


@asynccontextmanager
async def in_memory(tools: McpTools, exchange: Exchange) -> AsyncIterator[tuple[Any, Any]]:
    """Serve a client in this event loop, without HTTP: yields the (read, write) streams that `mcp.Client` takes.

    A connection that breaks is a result with `isError`, as in a server whose tool raised. Needs the package `mcp`.
    """
    from mcp.shared.memory import create_client_server_memory_streams
    from mcp.shared.message import SessionMessage
    from mcp_types import jsonrpc_message_adapter

    async with create_client_server_memory_streams() as (client, (incoming, outgoing)):
        working: set[asyncio.Task[None]] = set()

        async def answer_one(message: dict[str, Any]) -> None:
            said = tools.understood(message)
            if isinstance(said, ToolCall):
                try:
                    said = orjson.loads((await carried_out(said, exchange)).body)
                except ConnectionLost as lost:
                    said = failed(message["id"], str(lost))
                except ValueError as broken:  # a fault has had its hands on the bytes
                    said = failed(message["id"], f"the tool's answer cannot be read: {broken}")
            if said is not None:
                await outgoing.send(SessionMessage(jsonrpc_message_adapter.validate_python(said)))

        async def serve() -> None:
            async for arrived in incoming:
                if isinstance(arrived, SessionMessage):
                    plain = arrived.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
                    task = asyncio.ensure_future(answer_one(plain))
                    working.add(task)
                    task.add_done_callback(working.discard)

        serving = asyncio.ensure_future(serve())
        try:
            yield client
        finally:
            for task in (serving, *working):
                task.cancel()
            await asyncio.gather(serving, *working, return_exceptions=True)


def _json(status: int, message: dict[str, Any]) -> Answer:
    return Answer(status, {"content-type": _JSON}, orjson.dumps(message), rendered=True)


def _http_error(status: int, message: str) -> Answer:
    return _json(status, error(None, INVALID_REQUEST, message))


def _streamed(answer: Answer) -> Answer:
    """Put a JSON answer into a stream of one event."""
    headers = {**answer.headers, "content-type": _STREAM, "cache-control": "no-cache"}
    return Answer(answer.status, headers, b"event: message\r\ndata: " + answer.body + b"\r\n\r\n", rendered=True)
