"""A stage for the providers' gateways: real services in virtual time, and HTTP clients that end at a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson
from tests.gateways.stage import request_of

from pagerproof.gateways.llm import LlmGateway
from pagerproof.kernel import SimulationLoop
from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Call, Case, Directory, Gateway, Render, Service
from pagerproof.rng import key_of
from pagerproof.scenario.schema import Workload
from pagerproof.services import make_services
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.tools import ConnectionLost
from pagerproof.workload.build import build_workload

T = TypeVar("T")
SEED = 7
SCENARIOS = Path(__file__).resolve().parent.parent.parent / "scenarios"

Alter = Callable[[Call, Callable[[Call], Awaitable[Answer]]], Awaitable[Answer]]
"""An effect's `apply`: (call, proceed) -> answer."""


def world_of(**workload: Any) -> Any:
    """A built workload of the shipped contact center."""
    spec = Workload.model_validate({"arrivals": {"process": "constant", "rate": "1/s"}, **workload})
    return build_workload(
        spec,
        seed=SEED,
        requests=10_000,
        operations=OPERATIONS,
        resolve=lambda name: SCENARIOS.parent / name if name.startswith("scenarios/") else SCENARIOS / name,
    )


@dataclass
class Stage:
    """Services on a loop, one case, and what its clients did: `answers` holds every wire answer."""

    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    workload: Any = None
    alter: Alter | None = None
    answers: list[Answer] = field(default_factory=list)
    requests: list[WireRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loop = SimulationLoop()
        self.services: dict[str, Service] = make_services(self.parameters)
        self.directory: Any = self.workload.directory if self.workload is not None else None
        self.seed = SEED
        self.scheduler = self.loop
        for service in self.services.values():
            service.open(self)  # type: ignore[arg-type]  # the stage is the world: seed, scheduler, directory
        self.operations = dict(OPERATIONS)

    def case(self, index: int, difficulty: float = 0.0) -> Case:
        """The case of this index of the workload, by default one that the model never errs in by itself."""
        request, truth = self.workload.case(index, 0.0)
        return Case(request, replace(truth, difficulty=difficulty))

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Close the loop in the end, whatever happens."""
        try:
            yield
        finally:
            self.loop.close()

    def run(self, coroutine: Awaitable[T]) -> T:
        """Run to the end and let what is still going on in services end as well."""

        async def whole() -> T:
            try:
                return await coroutine
            finally:
                await asyncio.sleep(600)

        asyncio.set_event_loop(self.loop)
        try:
            return self.loop.run_until_complete(whole())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()


class FakeExchange:
    """Carries operations out on the stage's services; the stage's `alter` stands where faults stand."""

    def __init__(self, stage: Stage, case: Case) -> None:
        self._stage = stage
        self.case = case
        self.directory: Directory = stage.directory
        self.seed = stage.seed

    def now_s(self) -> float:
        return self._stage.loop.time()

    def gauge(self, service: str, name: str) -> float:
        return self._stage.services[service].gauge(name)

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        render: Render | None = None,
    ) -> Answer:
        case = self.case
        number = case.calls = case.calls + 1
        known = OPERATIONS[operation]
        call = Call(
            case, known, arguments, number, 1, key_of(SEED, case.index, number), self.now_s(), None, idempotency_key
        )
        call.render = render
        alter = self._stage.alter
        answer = await self._proceed(call) if alter is None else await alter(call, self._proceed)
        return answer if render is None or answer.rendered else render(answer)

    async def _proceed(self, call: Call) -> Answer:
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._stage.services[call.operation.service].submit(
            call, lambda answer: None if future.done() else future.set_result(answer)
        )
        answer = await future
        if answer is None:
            raise ConnectionLost(call.operation.full_name, "broke")
        return answer


class Door:
    """The server's side of a connection: hands requests to the gateway, records answers."""

    def __init__(self, stage: Stage, case: Case, gateway: Gateway | None = None) -> None:
        self.stage = stage
        self.case = case
        self.gateway = LlmGateway() if gateway is None else gateway

    async def answer(
        self, method: str, host: str, target: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> Answer:
        request = request_of(method, host, target, headers, body)
        self.stage.requests.append(request)
        answer = await self.gateway(request, FakeExchange(self.stage, self.case))
        assert answer.rendered
        self.stage.answers.append(answer)
        return answer


async def paced(answer: Answer) -> AsyncIterator[bytes]:
    """The body as the server spreads it: a stream event by event over `pace_s`."""
    if not answer.pace_s:
        yield answer.body
        return
    events = [each + b"\n\n" for each in answer.body.split(b"\n\n")]
    events[-1] = events[-1][:-2]
    events = [each for each in events if each]
    for each in events:
        yield each
        await asyncio.sleep(answer.pace_s / len(events))


def transport_of(module: Any, door: Door) -> Any:
    """An async transport of httpx or httpx2 (`module`) that ends at the door."""

    class Body(module.AsyncByteStream):  # type: ignore[misc]  # the module is chosen at run time
        def __init__(self, answer: Answer) -> None:
            self.answer = answer

        async def __aiter__(self) -> AsyncIterator[bytes]:
            sent = 0
            async for piece in paced(self.answer):
                sent += len(piece)
                yield piece
            if sent < self.answer.wire_bytes:
                raise module.RemoteProtocolError("peer closed connection without sending complete message body")

    class Transport(module.AsyncBaseTransport):  # type: ignore[misc]  # as above
        async def handle_async_request(self, request: Any) -> Any:
            headers = [(name.decode(), value.decode()) for name, value in request.headers.raw]
            target = request.url.raw_path.decode()
            try:
                answer = await door.answer(request.method, request.url.host, target, headers, await request.aread())
            except ConnectionLost as error:
                raise module.ReadError(str(error)) from error
            return module.Response(answer.status, headers=answer.headers, stream=Body(answer))

    return Transport()


def sync_transport_of(module: Any, door: Door) -> Any:
    """A synchronous transport of httpx or httpx2 (`module`) that runs the stage's loop for each request."""

    class Transport(module.BaseTransport):  # type: ignore[misc]  # the module is chosen at run time
        def handle_request(self, request: Any) -> Any:
            headers = [(name.decode(), value.decode()) for name, value in request.headers.raw]
            target = request.url.raw_path.decode()
            asked = door.answer(request.method, request.url.host, target, headers, request.read())
            answer = door.stage.loop.run_until_complete(asked)
            return module.Response(answer.status, headers=answer.headers, content=answer.body)

    return Transport()


def function(name: str, description: str = "", **parameters: Any) -> dict[str, Any]:
    """An OpenAI tool definition; a parameter is a JSON type or a whole schema, all of them required."""
    properties = {key: {"type": kind} if isinstance(kind, str) else kind for key, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def json_of(answer: Answer) -> Any:
    return orjson.loads(answer.body)
