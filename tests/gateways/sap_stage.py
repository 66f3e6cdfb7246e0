"""A SAP gateway over a real simulated SAP, each HTTP request answered at once in virtual time; and it on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.conformance.service import Asked, Bench, make_case
from tests.gateways.stage import request_of

from pagerproof.gateways.asgi import asgi
from pagerproof.gateways.sap import COOKIE, SapGateway
from pagerproof.model import Answer
from pagerproof.protocols import Render
from pagerproof.services.sap import SapParameters, SapService
from pagerproof.tools import ConnectionLost

SALES = "API_SALES_ORDER_SRV"


class StageExchange:
    """An Exchange whose calls run until nothing is left to do; `strike` changes the service's answer before render,
    `strike_wire` the rendered one."""

    def __init__(self, bench: Bench, index: int = 5) -> None:
        self.bench = bench
        self.case = make_case(index) if index != bench.case.index else bench.case
        self.directory = bench.world.directory
        self.seed = bench.world.seed
        self.asked: list[Asked] = []
        self.strike: Callable[[str, Answer], Answer] = lambda operation, answer: answer
        self.strike_wire: Callable[[str, Answer], Answer] = lambda operation, answer: answer
        self.disturb: dict[str, object] = {}

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        render: Render | None = None,
    ) -> Answer:
        asked = self.bench.ask(operation, arguments, case=self.case, key=idempotency_key, disturb=self.disturb)
        self.asked.append(asked)
        if asked.answers == [None]:
            raise ConnectionLost(operation, "the connection broke")
        answer = self.strike(operation, asked.answer)
        if render is not None and not answer.rendered:
            answer = render(answer)
        return self.strike_wire(operation, answer)

    def gauge(self, service: str, name: str) -> float:
        return self.bench.service.gauge(name)

    def now_s(self) -> float:
        return self.bench.clock.now

    @property
    def operations(self) -> list[str]:
        return [each.call.operation.name for each in self.asked]


class Stage:
    """A gateway, its system, and how to send it requests without a network."""

    def __init__(self, *, page_size: int = 100, index: int = 5, **parameters: Any) -> None:
        self.bench = Bench(SapService(SapParameters.model_validate(parameters)))
        self.gateway = SapGateway(scheme="http", page_size=page_size)
        self.exchange = StageExchange(self.bench, index)
        self._session: dict[str, str] = {}

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        json_wanted: bool = True,
        session: bool = True,
        more: Mapping[str, str] | None = None,
        **headers: str,
    ) -> Answer:
        """Send a request to a path below /sap/opu/odata/sap/ (or a whole one); writes carry a session's token."""
        whole = path if path.startswith("/") else f"/sap/opu/odata/sap/{path}"
        raw_path, _, query = whole.partition("?")
        sent = {"host": "sap.sim"} | ({"accept": "application/json"} if json_wanted else {})
        if body is not None and not isinstance(body, bytes):
            sent["content-type"] = "application/json"
            body = json.dumps(body).encode()
        if session and method not in ("GET", "HEAD"):
            sent |= self._session or self.open_session()
        sent |= {name.replace("_", "-").lower(): value for name, value in {**headers, **(more or {})}.items()}
        return self.request(method, raw_path, query, sent, body or b"")

    def open_session(self) -> dict[str, str]:
        """Fetch a token; return the headers of a write."""
        opened = self.send("HEAD", f"{SALES}/", x_csrf_token="Fetch")
        cookie = opened.headers["set-cookie"].partition(";")[0]
        self._session = {"x-csrf-token": opened.headers["x-csrf-token"], "cookie": cookie}
        assert cookie.startswith(COOKIE)
        self.exchange.asked.clear()
        return self._session

    def request(self, method: str, raw_path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request as it is."""
        target = f"{raw_path}?{query}" if query else raw_path
        coroutine = self.gateway(request_of(method, "sap.sim", target, headers.items(), body), self.exchange)
        try:
            coroutine.send(None)
        except StopIteration as done:
            answer: Answer = done.value
            assert answer.status in (304, 403) or answer.rendered
            return answer
        raise AssertionError("the gateway waited for something that is not a call")

    @property
    def effects(self) -> list[str]:
        """The kinds of ledger entries so far."""
        return [each.kind for each in self.exchange.case.effects]


def data(answer: Answer) -> Any:
    """What stands under `d`."""
    assert answer.status < 300, answer
    return json.loads(answer.body)["d"]


def error(answer: Answer) -> Any:
    """What stands under `error`."""
    assert answer.status >= 400, answer
    return json.loads(answer.body)["error"]


@contextmanager
def on_loopback(stage: Stage) -> Iterator[str]:
    """Serve the stage's gateway on a local port; yields the address of the host."""
    import uvicorn

    app = asgi(stage.gateway, lambda _request: stage.exchange)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
