"""What the services have in common that a scenario makes out of a user's files: routes, errors and ledger entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import quote

import orjson

from pagerproof.errors import UsageError
from pagerproof.model import Answer, Operation
from pagerproof.services.base import ServiceParameters, SimulatedService
from pagerproof.services.job import Job
from pagerproof.services.routes import Route

_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_OWN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*\.[A-Za-z][A-Za-z0-9_]*")
_VERBS: Final = {"POST": "create", "PUT": "replace", "PATCH": "update", "DELETE": "delete"}
_DETAIL_CHARACTERS_MAX: Final = 200


def operation_name(method: str, path: str, operation_id: str = "") -> str:
    """Return the stable name of a route's operation, `Entity.verb`.

    `GET /invoices/{id}` is `Invoices.get`, `GET /invoices` is `Invoices.list`, `POST /invoices` is `Invoices.create`,
    PUT replaces, PATCH updates, DELETE deletes; `POST /invoices/{id}/cancel` is `InvoicesCancel.create`. An
    operationId of the form `Entity.verb` is taken as it is; others are not, so that names never depend on a generator.
    """
    if _OWN_NAME.fullmatch(operation_id):
        return operation_id
    parts = path.strip("/").split("/")
    words = (word for part in parts if not part.startswith("{") for word in _WORD.findall(part))
    entity = "".join(word[:1].upper() + word[1:] for word in words)
    if not entity or not entity[0].isalpha():
        entity = "Root" + entity
    reads = "get" if parts[-1].startswith("{") else "list"
    return f"{entity}.{_VERBS.get(method, reads if method in ('GET', 'HEAD') else method.lower())}"


def effect_kind(name: str) -> str:
    """Return the kind of ledger entry that a writing operation leaves: `Invoices.create` leaves `invoices_create`."""
    return name.replace(".", "_").lower()


def own_operation(
    service: str, name: str, summary: str, *, arguments: Mapping[str, str], optional: Iterable[str], writes: bool
) -> Operation:
    """Return an operation of a user's own service."""
    return Operation(
        service=service,
        name=name,
        summary=summary,
        arguments=MappingProxyType(dict(arguments)),
        optional=frozenset(optional),
        effect_kind=effect_kind(name) if writes else "",
    )


class OwnService(SimulatedService):
    """A service made out of a user's files. Subclasses answer a route; capacity, time, faults and ledger are ours.

    A write that succeeds leaves one ledger entry: its entity is the value of the path's last parameter (the whole path
    where it has none), its details are the path and what the request changed.
    """

    remembers_keys = True
    checks_all: ClassVar[bool] = True

    def __init__(self, name: str, routes: Iterable[Route], parameters: ServiceParameters) -> None:
        self.name = name
        self.routes = tuple(routes)
        self._route_of: dict[str, Route] = {}
        for route in self.routes:
            known = self._route_of.setdefault(route.operation.name, route)
            if known is not route:
                raise UsageError(
                    f"{known.method} {known.path} and {route.method} {route.path} would both be the operation "
                    f"{name}.{route.operation.name}: give one of them an operationId such as 'Invoice.renew'"
                )
        super().__init__(parameters)

    def operation_table(self) -> Mapping[str, Operation]:
        """Return the operations of the routes."""
        return MappingProxyType({each.operation.full_name: each.operation for each in self.routes})

    def handler_of(self, operation: Operation) -> Callable[[Job], Answer]:
        """Return what answers the operation's route."""
        route = self._route_of[operation.name]

        def handler(job: Job) -> Answer:
            answer = self.answered(job, route)
            if operation.writes and 200 <= answer.status < 300:
                self.enter(job, route)
            return answer

        return handler

    def answered(self, job: Job, route: Route) -> Answer:
        """Return the answer to a call, and change what it changes where `job.applies`. Raises Refused."""
        raise NotImplementedError

    def document_of(self) -> Mapping[str, Any] | None:
        """Return the service's own description (OpenAPI), or None."""
        return None

    def enter(self, job: Job, route: Route) -> None:
        """Write the ledger entry of a successful write."""
        path = concrete_path(route, job.arguments)
        in_path = [name for name, place in route.places.items() if place == "path" and f"{{{name}" in route.path]
        last = max(in_path, key=route.path.index, default="") if in_path else ""
        entity = str(job.arguments.get(last, path)) if last else path
        body = job.arguments.get("body") if route.body in ("whole", "raw") else job.arguments
        if isinstance(body, str) and route.body == "raw":
            body = _decoded(body)
        changed = body if isinstance(body, dict) else {} if body is None else {"body": body}
        fields = ((key, value) for key, value in changed.items() if route.places.get(key) != "path")
        details = (("path", path), *((str(key), detail(value)) for key, value in fields))
        self.commit(job, entity, job.call.case.truth.customer.customer_id, details=details)

    def complaint(self, route: Route, name: str, message: str, pointer: str = "") -> Answer:
        """Return a 400 that names the field, and where in the body it is."""
        place = route.places.get(name, "body" if route.body == "fields" else "query")
        where = f"/{name}{pointer}" if place == "body" and route.body == "fields" else (pointer or name)
        text = f"argument {name!r}: {message}" if not pointer else f"argument {name!r}, at {pointer}: {message}"
        field = {"in": place, "name": name, "pointer": where, "message": message}
        error = {"code": "invalid_argument", "message": text, "fields": [field]}
        return Answer(400, {"content-type": "application/json"}, orjson.dumps({"error": error}))


def _decoded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def concrete_path(route: Route, arguments: Mapping[str, Any], *, safe: str = "") -> str:
    """Return the route's path with these arguments in it; a rest of a path and `safe` characters stay as they are."""
    parts = []
    for segment in route.segments:
        if segment.endswith("...}"):
            parts.append(str(arguments.get(segment[1:-4], "")))
        elif segment.startswith("{"):
            parts.append(quote(str(arguments.get(segment[1:-1], "")), safe=safe))
        else:
            parts.append(segment)
    return "/" + "/".join(parts)


def detail(value: object) -> str:
    """Return a value as it stands in a ledger entry: text as it is, anything else as JSON, cut at 200 characters."""
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return text[:_DETAIL_CHARACTERS_MAX]
