"""A user's ASGI application becomes a simulated service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.service import SmallWorld, make_case

from pagerproof.errors import UsageError
from pagerproof.kernel import SimulationLoop
from pagerproof.model import Answer
from pagerproof.protocols import Call, Case
from pagerproof.rng import key_of
from pagerproof.scenario.find import resolve
from pagerproof.services.app import AppParameters, AppService
from pagerproof.services.app_load import app_source, declared_routes

FILES = Path(__file__).parent / "files"
ROUTES = ("GET /invoices/{id}", "PATCH /invoices/{id}")


def find(name: str) -> Path:
    return resolve(FILES / "scenario.yaml", name, folder=FILES)


def billing(app: str = "billing_app:app", routes: tuple[str, ...] | None = ROUTES, **more: Any) -> AppService:
    parameters = AppParameters.model_validate({"app": app, "read_sigma": 0, "write_sigma": 0, **more})
    found = None if routes is None else list(declared_routes(routes))
    return AppService("billing", app_source(app, find), found, parameters)


class Run:
    """One run of a service on the simulation's own loop."""

    def __init__(self, service: AppService, loop: SimulationLoop) -> None:
        self.service = service
        self.loop = loop
        world = SmallWorld()
        world.scheduler = loop
        service.open(world)
        self.case: Case = make_case()

    def ask(
        self, operation: str, arguments: Mapping[str, Any], *, key: str | None = None, disturb: Mapping[str, Any] = {}
    ) -> Answer | None:
        return self.loop.run_until_complete(self.asked(operation, arguments, key=key, disturb=disturb))

    async def asked(
        self, operation: str, arguments: Mapping[str, Any], *, key: str | None = None, disturb: Mapping[str, Any] = {}
    ) -> Answer | None:
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self.case.calls += 1
        known = self.service.operations[f"billing.{operation}"]
        call = Call(
            self.case, known, arguments, self.case.calls, 1, key_of(7, self.case.calls), self.loop.time(), None, key
        )
        for name, value in disturb.items():
            self.service.disturb(call, name, value)
        self.service.submit(call, future.set_result)
        return await future


@pytest.fixture
def loop():
    with closing(SimulationLoop()) as made:
        yield made
        made.abandon()


def data(answer: Answer | None) -> Any:
    assert answer is not None
    return json.loads(answer.body)


def test_it_answers_what_the_application_answers_after_its_latency(loop: SimulationLoop) -> None:
    run = Run(billing(read_median="2s"), loop)
    answer = run.ask("Invoices.get", {"id": "I-1"})
    assert answer is not None
    assert (answer.status, data(answer)) == (200, {"id": "I-1", "memo": ""})
    assert answer.headers == {"content-type": "application/json", "x-host": "billing.sim"}
    assert loop.time() == 2.0
    assert run.case.pending == 0
    missing = run.ask("Invoices.get", {"id": "I-9"})
    assert missing is not None
    assert missing.status == 404


def test_a_path_that_no_route_names_goes_through_by_its_method(loop: SimulationLoop) -> None:
    run = Run(billing(), loop)
    assert data(run.ask("Any.get", {"path": "a/b", "page": "2"})) == {"hits": 1, "query": "page=2"}
    without = run.ask("Invoices.get", {})
    assert without is not None
    assert (without.status, data(without)["error"]["fields"][0]["name"]) == (400, "id")


def test_its_waits_take_virtual_time_and_keep_the_worker(loop: SimulationLoop) -> None:
    run = Run(billing(workers=1, read_median="1s"), loop)

    async def both() -> list[float]:
        ends = []

        async def one(path: str) -> None:
            await run.asked("Any.get", {"path": path})
            ends.append(loop.time())

        await asyncio.gather(one("slow"), one("fast"))
        return ends

    assert loop.run_until_complete(both()) == [31.0, 32.0]


def test_an_exception_is_a_500_and_counted(loop: SimulationLoop) -> None:
    run = Run(billing(), loop)
    for path in ("broken", "silent"):
        answer = run.ask("Any.get", {"path": path})
        assert answer is not None
        assert answer.status == 500
    assert run.service.gauge("app.crashes") == 2.0
    assert "without an answer" in run.service.last_crash
    assert run.case.pending == 0


def test_a_failed_start_up_is_a_500(loop: SimulationLoop) -> None:
    answer = Run(billing("billing_app:broken_start"), loop).ask("Any.get", {"path": "x"})
    assert answer is not None
    assert answer.status == 500


def test_its_state_is_one_runs(loop: SimulationLoop) -> None:
    service = billing()
    for _ in range(2):
        run = Run(service, loop)
        assert [data(run.ask("Any.get", {"path": "x"}))["hits"] for _ in range(2)] == [1, 2]


def test_a_function_that_makes_the_application_is_called(loop: SimulationLoop) -> None:
    assert data(Run(billing("billing_app.py:make"), loop).ask("Invoices.get", {"id": "I-1"}))["id"] == "I-1"


def test_a_write_leaves_its_path_and_what_it_changed_in_the_ledger(loop: SimulationLoop) -> None:
    run = Run(billing(), loop)
    run.ask("Invoices.update", {"id": "I-1", "body": '{"memo": "late"}'})
    run.ask("Invoices.update", {"id": "I-1", "body": {"memo": "later"}})
    run.ask("Invoices.update", {"id": "I-9", "body": {"memo": "lost"}})
    assert data(run.ask("Invoices.get", {"id": "I-1"}))["memo"] == "later"
    assert [(each.entity, each.details) for each in run.case.effects] == [
        ("I-1", (("path", "/invoices/I-1"), ("memo", memo))) for memo in ("late", "later")
    ]


def test_keys_and_faults_work_around_it(loop: SimulationLoop) -> None:
    run = Run(billing(), loop)
    for _ in range(2):
        run.ask("Invoices.update", {"id": "I-1", "body": {"memo": "a"}}, key="k")
    assert len(run.case.effects) == 1
    assert run.ask("Any.get", {"path": "x"}, disturb={"break_after_commit": True}) is None
    run.ask("Invoices.update", {"id": "I-1", "body": {"memo": "b"}}, disturb={"twice": True})
    assert len(run.case.effects) == 3
    with pytest.raises(KeyError):
        run.ask("Invoices.update", {"id": "I-1", "body": {}}, disturb={"commit": False})


def test_a_starlette_application_shows_its_routes_and_runs_its_start_up(tmp_path: Path, loop: SimulationLoop) -> None:
    pytest.importorskip("starlette")
    (tmp_path / "shop_app.py").write_text(
        """
import asyncio
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

@asynccontextmanager
async def lifespan(app):
    await asyncio.sleep(5)
    yield {"rate": 3}

async def get(request):
    return JSONResponse({"id": request.path_params["id"], "rate": request.state.rate})

async def create(request):
    return JSONResponse(await request.json(), status_code=201)

async def stream(request):
    async def parts():
        for part in (b"a", b"b"):
            await asyncio.sleep(1)
            yield part
    return StreamingResponse(parts(), media_type="text/plain")

app = Starlette(lifespan=lifespan, routes=[
    Route("/things/{id:int}", get), Route("/things", create, methods=["POST"]), Route("/stream", stream),
])
"""
    )
    source = app_source("shop_app:app", lambda name: resolve(tmp_path / "s.yaml", name, folder=tmp_path))
    service = AppService("billing", source, None, AppParameters(app="shop_app:app"))
    names = {route.operation.name: route.path for route in service.routes}
    assert names["Things.get"] == "/things/{id}"
    assert names["Things.create"] == "/things"
    run = Run(service, loop)
    assert data(run.ask("Things.get", {"id": 4})) == {"id": 4, "rate": 3}
    assert loop.time() > 5.0
    assert data(run.ask("Things.create", {"body": {"a": 1}})) == {"a": 1}
    streamed = run.ask("Stream.list", {})
    assert streamed is not None
    assert streamed.body == b"ab"


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("billing_app", "should be MODULE:ATTRIBUTE"),
        ("billing_app:ap", "billing_app.py has no 'ap'"),
        ("billing_app:NUMBER", "is int, not an ASGI application"),
        ("no_such_module_here:app", "there is no module 'no_such_module_here'"),
        ("no_such.module_here:app", "there is no module 'no_such.module_here'"),
        ("nowhere.py:app", r"no file or folder 'nowhere\.py'"),
        ("scenario_broken:app", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_an_application_that_cannot_be_loaded_is_told_about(app: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        billing(app)


def test_a_route_that_is_none_is_told_about() -> None:
    with pytest.raises(UsageError, match="'FETCH /x' should be a method and a path"):
        billing(routes=("FETCH /x",))
