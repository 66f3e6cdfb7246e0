"""A service whose answers come from a user's ASGI application, run in virtual time."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any
from urllib.parse import urlencode

import orjson
from pydantic import Field

from pagerproof.model import Answer
from pagerproof.protocols import Call, Respond, World
from pagerproof.services.app_load import METHODS, App, AppSource, Scope
from pagerproof.services.base import ServiceParameters
from pagerproof.services.job import Job
from pagerproof.services.own import OwnService, concrete_path, operation_name, own_operation
from pagerproof.services.routes import Place, Route

_HEADERS = ("content-type", "authorization")
_CANNOT = frozenset({"commit", "stale", "lock_s"})


class AppParameters(ServiceParameters):
    """What a scenario says about a service that is an ASGI application."""

    app: str = Field(description="the application: MODULE:ATTRIBUTE or FILE.py:ATTRIBUTE, or a function that makes it")
    routes: tuple[str, ...] | None = Field(
        default=None,
        description="its routes, such as 'GET /invoices/{id}'; none: those that Starlette and FastAPI show. Any other "
        "path is an operation Any.get, Any.post, ... by its method",
    )


class AppService(OwnService):
    """Runs a user's application for every call, after the call has had its worker and its time.

    The module is run again for every run, so that its state is one run's. The application's own waits take virtual
    time and keep the worker; an exception is a 500. Its start-up handlers run before the first call, its shut-down
    handlers never. Faults that would have to look inside (a lost commit, a stale read) are not known here.
    """

    def __init__(self, name: str, source: AppSource, routes: Iterable[tuple[str, str]] | None, parameters: Any) -> None:
        from pagerproof.services.app_load import routes_of

        self._source = source
        self._fresh: App | None = source.load()
        found = list(routes_of(self._fresh) if routes is None else routes)
        super().__init__(name, _routes(name, dict.fromkeys(found)), parameters)

    def open(self, world: World) -> None:
        """Begin a run with the application as it is when just imported."""
        self._app: App = self._fresh if self._fresh is not None else self._source.load()
        self._fresh = None
        self._contexts: dict[Call, Context] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._started: asyncio.Future[None] | None = None
        self._crashes = 0
        self.last_crash = ""
        super().open(world)

    def disturbances(self) -> Sequence[str]:
        """Return the names that `disturb` knows: none that needs a hand inside the application."""
        return tuple(name for name in super().disturbances() if name not in _CANNOT)

    def extra_gauges(self) -> Mapping[str, Callable[[], float]]:
        """How often the application raised."""
        return {"app.crashes": lambda: float(self._crashes)}

    def unusable(self, job: Job) -> Answer | None:
        """Return a 400 where a part of the path is missing; the application judges anything else."""
        route = self._route_of[job.plan.operation.name]
        for name, place in route.places.items():
            value = job.arguments.get(name)
            if place == "path" and (value is None or isinstance(value, dict | list)):
                return self.complaint(route, name, "is missing" if value is None else "must be a string")
        return None

    def submit(self, call: Call, respond: Respond) -> None:
        """Take the call; the application will run in the context of whoever asked."""
        self._contexts[call] = copy_context()
        super().submit(call, respond)

    def _finish(self, job: Job) -> None:
        refusal = self.unusable(job)
        if refusal is not None:
            self._conclude(job, refusal)
            return
        context = self._contexts.get(job.call) or copy_context()
        task = asyncio.get_running_loop().create_task(self._work(job), context=context)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    def _refuse(self, job: Job, answer: Answer | None) -> None:
        self._contexts.pop(job.call, None)
        super()._refuse(job, answer)

    async def _work(self, job: Job) -> None:
        wanted = job.disturbed
        answer = await self._once(job)
        if wanted.twice:
            job.copy += 1
            await self._once(job)
        if wanted.break_after_commit:
            self._conclude(job, None)
        else:
            self._conclude(job, wanted.answer_after_commit or answer)

    async def _once(self, job: Job) -> Answer:
        """Run the application, unless the call's idempotency key is remembered."""
        plan, key = job.plan, job.call.idempotency_key
        content = b""
        if key is not None and plan.writes:
            if job.disturbed.forget_idempotency:
                self._answers.forget(key)
            content = orjson.dumps(job.arguments, option=orjson.OPT_SORT_KEYS)
            known = self._answers.recall(key, plan.operation.name, content)
            if known is not None:
                message = "This idempotency key was used with other arguments."
                return known if known.status else self.problem(409, "idempotency_key_reused", message)
        route = self._route_of[plan.operation.name]
        answer = await self._through(job, route)
        if plan.writes and 200 <= answer.status < 300:
            self.enter(job, route)
            if key is not None:
                self._answers.remember(key, plan.operation.name, content, answer)
        return answer

    async def _through(self, job: Job, route: Route) -> Answer:
        try:
            await self._start_up()
            return await ask_app(self._app, self._scope(job, route), _body(job.arguments.get("body")))
        except Exception as error:
            self._crashes += 1
            self.last_crash = "".join(traceback.format_exception(error))
            return self.problem(500, "internal_error", f"{type(error).__name__} in the application")

    def _scope(self, job: Job, route: Route) -> Scope:
        arguments = job.arguments
        path = concrete_path(route, arguments)
        query = {
            name: value for name, value in arguments.items() if name != "body" and name not in route.places
        }  # fmt: skip
        body = arguments.get("body")
        headers = {"host": f"{self.name}.sim"}
        if body is not None:
            headers["content-type"] = "application/json"
            headers["content-length"] = str(len(_body(body)))
        headers.update((name, str(arguments[name])) for name in _HEADERS if arguments.get(name) is not None)
        if job.call.idempotency_key is not None:
            headers["idempotency-key"] = job.call.idempotency_key
        return scope_of(route.method, path, urlencode(query, doseq=True), headers, self._state())

    def _state(self) -> dict[str, Any]:
        return dict(self._lifespan_state)

    async def _start_up(self) -> None:
        if self._started is None:
            self._started = asyncio.get_running_loop().create_future()
            self._lifespan_state: dict[str, Any] = {}
            self._lifespan = asyncio.ensure_future(_lifespan(self._app, self._lifespan_state, self._started))
        await asyncio.shield(self._started)


async def ask_app(app: App, scope: Scope, body: bytes) -> Answer:
    """Return the application's whole answer to one request. Raises what it raises, RuntimeError where it gives none."""
    status, headers, parts = 0, {}, []
    over = asyncio.Event()
    sent = False

    async def receive() -> Scope:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Scope) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {
                bytes(name).decode("latin-1").lower(): bytes(value).decode("latin-1")
                for name, value in message.get("headers", ())
            }
        elif message["type"] == "http.response.body":
            parts.append(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                over.set()

    await app(scope, receive, send)
    if not status:
        raise RuntimeError("the application returned without an answer")
    headers.pop("content-length", None)
    return Answer(status, headers, b"".join(parts))


def scope_of(method: str, path: str, query: str, headers: Mapping[str, str], state: dict[str, Any]) -> Scope:
    """Return an ASGI scope for one request; `path` is as it stands on the wire."""
    from urllib.parse import unquote

    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("agent.sim", 0),
        "server": (headers["host"], 443),
        "state": state,
    }


async def _lifespan(app: App, state: dict[str, Any], started: asyncio.Future[None]) -> None:
    """Run the start-up handlers; an application without them raises or returns at once, which is all right."""
    asked = False

    async def receive() -> Scope:
        nonlocal asked
        if asked:
            await asyncio.get_running_loop().create_future()  # the run ends before the application does
        asked = True
        return {"type": "lifespan.startup"}

    async def send(message: Scope) -> None:
        if message["type"] == "lifespan.startup.failed" and not started.done():
            started.set_exception(RuntimeError(f"the application's start-up failed: {message.get('message', '')}"))
        elif not started.done():
            started.set_result(None)

    with suppress(Exception):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}, receive, send)
    if not started.done():
        started.set_result(None)


def _body(value: object) -> bytes:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _routes(service: str, found: Iterable[tuple[str, str]]) -> Iterable[Route]:
    for method, path in found:
        yield _route(service, method, path, operation_name(method, path), f"{method} {path} of the application.")
    for method in METHODS:
        yield _route(service, method, "/{path...}", f"Any.{method.lower()}", f"{method} of any other path.")


def _route(service: str, method: str, path: str, name: str, summary: str) -> Route:
    in_path = [part.strip("{}").removesuffix("...") for part in path.split("/") if part.startswith("{")]
    places: dict[str, Place] = dict.fromkeys(in_path, "path")
    has_body = method not in ("GET", "DELETE")
    if has_body:
        places["body"] = "body"
    places.update(dict.fromkeys(_HEADERS, "header"))
    kinds = {each: "any" if each == "body" else "string" for each in places}
    operation = own_operation(
        service, name, summary, arguments=kinds, optional=[each for each in kinds if each not in in_path],
        writes=method != "GET",
    )  # fmt: skip
    return Route(method=method, path=path, operation=operation, places=places, body="raw" if has_body else "none")
