"""A small world for gateways: requests as they come off the wire, and an exchange onto real services."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from tests.conformance.service import Bench, make_case

from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Case, Directory, Exchange, Gateway, Render, Service
from pagerproof.tools import ConnectionLost


class ServiceExchange:
    """Implements Exchange on services whose time is run to the end at every call; `disturb` goes to each call."""

    def __init__(self, services: Mapping[str, Service], case: Case | None = None) -> None:
        self.benches = {name: Bench(service) for name, service in services.items()}
        self.case = case or make_case()
        self.seed = 7
        self.directory: Directory = next(iter(self.benches.values())).world
        self.asked: list[tuple[str, Mapping[str, Any], str | None]] = []
        self.disturb: dict[str, object] = {}
        self.answer_instead: Answer | None = None

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        render: Render | None = None,
    ) -> Answer:
        self.asked.append((operation, arguments, idempotency_key))
        bench = self.benches.get(operation.partition(".")[0])
        if bench is None or operation not in bench.service.operations:
            answer = Answer(404, {"content-type": "application/json"}, b'{"error":{"code":"unknown_operation"}}')
        elif self.answer_instead is not None:
            answer = self.answer_instead
        else:
            asked = bench.ask(operation, arguments, case=self.case, key=idempotency_key, disturb=self.disturb)
            if asked.answers == [None]:
                raise ConnectionLost(operation, "the connection broke before an answer came")
            answer = asked.answer
        return answer if render is None or answer.rendered else render(answer)

    def gauge(self, service: str, name: str) -> float:
        return self.benches[service].service.gauge(name)

    def now_s(self) -> float:
        return max(bench.clock.now for bench in self.benches.values())


def wire(
    method: str, url: str, body: bytes | object = b"", headers: Mapping[str, str] | None = None, host: str = "x.sim"
) -> WireRequest:
    """A request as the network hands it over; anything but bytes is sent as JSON."""
    given = {name.lower(): value for name, value in (headers or {}).items()}
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
        given.setdefault("content-type", "application/json")
    given["host"] = host
    return request_of(method, host, url, given.items(), body)


def request_of(method: str, host: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> WireRequest:
    """A request with this target and exactly these headers."""
    raw_path, _, query = target.partition("?")
    pairs = tuple((name.lower(), value) for name, value in headers)
    return WireRequest(
        method=method,
        host=host,
        path=unquote(raw_path),
        raw_path=raw_path,
        query=query,
        headers=dict(pairs),
        header_list=pairs,
        body=body,
    )


def send(
    gateway: Gateway, exchange: Exchange, method: str, url: str, body: bytes | object = b"", **more: Any
) -> Answer:
    """Send one request and return its answer."""

    async def sent() -> Answer:
        return await gateway(wire(method, url, body, **more), exchange)

    return asyncio.run(sent())
