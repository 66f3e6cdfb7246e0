"""Any gateway as an ASGI application, so that uvicorn, Starlette and in-process HTTP clients can serve it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Exchange, Gateway

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def asgi(gateway: Gateway, exchange_of: Callable[[WireRequest], Exchange]) -> App:
    """Return an ASGI application that answers as the gateway does, each request through its own exchange.

    `ConnectionLost` goes up to the server, which breaks the connection; an answer that was cut announces its full
    Content-Length, at which servers do the same. `pace_s` and `delivery` belong to the simulated network and are not
    acted on here.
    """

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            request = wire_request(scope, await _body(receive))
            await _answer(await gateway(request, exchange_of(request)), request.method, send)
        else:
            raise NotImplementedError(f"a simulated service speaks HTTP, not {scope['type']}")

    return app


def wire_request(scope: Message, body: bytes) -> WireRequest:
    """Return an ASGI scope of type `http` as a gateway gets it."""
    header_list = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    headers = dict(header_list)
    raw_path = scope.get("raw_path") or scope["path"].encode()
    return WireRequest(
        method=scope["method"],
        host=headers.get("host", "").partition(":")[0],
        path=scope["path"],
        raw_path=raw_path.decode("latin-1"),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        header_list=header_list,
        body=body,
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer(answer: Answer, method: str, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    if "content-length" not in answer.headers and answer.status not in (204, 304):
        headers.append((b"content-length", str(answer.wire_bytes).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})
