"""A small simulated network for tests: hosts that answer by path, and a run of a client's coroutine on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pagerproof.kernel import SimulationLoop
from pagerproof.model import Answer, Delivery, WireRequest
from pagerproof.network import Connecting, Handler, SimulatedNetwork
from pagerproof.tools import ConnectionLost

T = TypeVar("T")

JSON = {"content-type": "application/json"}
STREAM = {"content-type": "text/event-stream"}
BODY = b'{"text": "' + b"x" * 1_000 + b'"}'
EVENTS = b"".join(b"data: %d\n\n" % number for number in range(10))
ANSWERS: dict[str, Callable[[], Answer]] = {
    "/reset": lambda: Answer(200, JSON, BODY, delivery=Delivery(how="reset", after_bytes=500)),
    "/reset-stream": lambda: Answer(200, STREAM, EVENTS, delivery=Delivery(how="reset", after_bytes=25)),
    "/half-headers": lambda: Answer(200, JSON, BODY, delivery=Delivery(how="half_headers")),
    "/bad-chunk": lambda: Answer(200, JSON, BODY, delivery=Delivery(how="bad_chunk", after_bytes=500)),
    "/slow": lambda: Answer(200, JSON, BODY, delivery=Delivery(how="slow", bytes_per_s=100.0)),
    "/short": lambda: Answer(200, JSON, BODY[:500], len(BODY)),
    "/short-stream": lambda: Answer(200, STREAM, EVENTS, len(EVENTS) + 9),
    "/stream": lambda: Answer(200, STREAM, EVENTS, pace_s=5.0),
    "/none": lambda: Answer(204, {}, b""),
    "/unchanged": lambda: Answer(304, {"etag": '"1"'}, b""),
    "/large": lambda: Answer(200, {"content-type": "text/plain"}, b"abc" * 1_000_000),
}


class Scene:
    """Hosts below `.sim` that answer by path, or echo what they got as JSON; keeps what was asked of whom."""

    def __init__(self, answer: Handler | None = None, **options: Any) -> None:
        self.loop = SimulationLoop()
        self.asked: list[tuple[WireRequest, object]] = []
        self.cancelled: list[str] = []
        self.unknown: list[str] = []
        self.attempts: list[tuple[str, int]] = []
        hooks: dict[str, Any] = {"resolving": self.resolving, "connecting": self.connecting, "unknown": self.stranger}
        hosts = {"*.sim": answer or self.answer, "api.openai.com": self.answer}
        self.network = SimulatedNetwork(self.loop, hosts, **(hooks | options))

    async def answer(self, request: WireRequest, owner: object) -> Answer:
        self.asked.append((request, owner))
        if request.path == "/lost":
            raise ConnectionLost("orders.Order.get", "the connection was reset")
        if request.path.startswith("/wait/"):
            try:
                await asyncio.sleep(float(request.path.removeprefix("/wait/")))
            except asyncio.CancelledError:
                self.cancelled.append(request.path)
                raise
        if request.path in ANSWERS:
            return ANSWERS[request.path]()
        said = {"method": request.method, "path": request.path, "query": request.query, "host": request.host}
        return Answer(200, JSON, json.dumps({**said, "bytes": len(request.body)}).encode())

    def stranger(self, host: str, _owner: object) -> None:
        self.unknown.append(host)

    async def resolving(self, host: str, _owner: object) -> Connecting | None:
        """`dns.sim` is not found, after 2 s."""
        return Connecting(how="dns", after_s=2.0) if host == "dns.sim" else None

    async def connecting(self, host: str, port: int, _owner: object) -> Connecting | None:
        """`refused.sim` refuses, `timeout.sim` does not answer, `slow.sim` takes 3 s."""
        self.attempts.append((host, port))
        if host == "refused.sim":
            return Connecting(how="refused")
        if host == "timeout.sim":
            return Connecting(how="timeout")
        return Connecting(how="slow", after_s=3.0) if host == "slow.sim" else None

    def __enter__(self) -> Scene:
        self.network.attach()
        return self

    def __exit__(self, *_: object) -> None:
        self.network.detach()
        self.loop.abandon()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def settle(self, seconds: float = 1.0) -> None:
        """Let what is on the way arrive."""
        self.run(asyncio.sleep(seconds))


async def raw(data: bytes, *, host: str = "a.sim", port: int = 80, tls: Any = None, then: float = 1.0) -> bytes:
    """Send these bytes, and return everything that the server sent within `then` seconds."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    writer.write(data)
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(then):
            while part := await reader.read(65_536):
                parts.append(part)
    except TimeoutError:
        parts.append(b"(still open)")
    writer.close()
    return b"".join(parts)
