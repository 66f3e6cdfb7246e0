"""REST over HTTP: routes lead to operations, and what these answer is rendered with the statuses that HTTP has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from xxhash import xxh3_64_hexdigest

from pagerproof.gateways.openapi import openapi_document
from pagerproof.gateways.rest_routes import ROUTES
from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Exchange
from pagerproof.services.own import OwnService
from pagerproof.services.routes import METHODS, Route, RouteTable

BODY_BYTES_MAX: Final = 1_000_000
KEY_CHARACTERS_MAX: Final = 255
DOCUMENT_PATH: Final = "/openapi.json"

_JSON: Final = "application/json"
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?")
_ARGUMENT: Final = re.compile(r"(?:unknown )?argument '([^']*)'")


class _Refused(Exception):
    """The request does not get as far as the service."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class RestGateway:
    """A service's HTTP interface; an instance is a `pagerproof.protocols.Gateway`.

    It answers itself what no service would see: 404 for a path it does not have, 405 with Allow, 400 for a body that
    is no JSON object, 413, 415, OPTIONS and its document. Everything else is the service's word: what is wrong with
    an argument is rendered with the place where the request had it.
    """

    def __init__(self, routes: Iterable[Route], document: Mapping[str, Any]) -> None:
        self.table = RouteTable(routes)
        self.document = document
        self._document_bytes = orjson.dumps(document)

    async def __call__(self, request: WireRequest, exchange: Exchange) -> Answer:
        """Answer one request. ConnectionLost passes through."""
        try:
            return await self._answer(request, exchange)
        except _Refused as refused:
            return _bodiless(refused.answer, request)

    async def _answer(self, request: WireRequest, exchange: Exchange) -> Answer:
        if request.raw_path == DOCUMENT_PATH and not self.table.methods_at(DOCUMENT_PATH):
            return _bodiless(_conditional(self._own_document(request), request), request)
        if request.method == "OPTIONS":
            return Answer(204, {"allow": ", ".join(self._methods(request))}, b"", rendered=True)
        route, arguments = self._understood(request)

        def render(answer: Answer) -> Answer:
            return _bodiless(_conditional(rendered(answer, route), request), request)

        key = request.headers.get("idempotency-key") if route.operation.writes else None
        return await exchange.call(route.operation.full_name, arguments, idempotency_key=key, render=render)

    def _own_document(self, request: WireRequest) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise _Refused(_not_allowed(request, ("GET", "HEAD")))
        return Answer(200, {"content-type": _JSON}, self._document_bytes, rendered=True)

    def _methods(self, request: WireRequest) -> tuple[str, ...]:
        if request.raw_path == "*":
            return METHODS
        methods = self.table.methods_at(request.raw_path)
        if not methods:
            raise _Refused(self._not_found(request))
        return methods

    def _understood(self, request: WireRequest) -> tuple[Route, dict[str, Any]]:
        match = self.table.find(request.method, request.raw_path)
        if match.route is None:
            raise _Refused(_not_allowed(request, match.allowed) if match.allowed else self._not_found(request))
        route = match.route
        key = request.headers.get("idempotency-key", "")
        if len(key) > KEY_CHARACTERS_MAX:
            message = f"the key must have at most {KEY_CHARACTERS_MAX} characters"
            raise _Refused(_bad(route, "Idempotency-Key", message, "header"))
        arguments: dict[str, Any] = {}
        _put_all(route, arguments, _query(request, route))
        if route.body != "none":
            _put_all(route, arguments, _body(request, route))
        for name, place in route.places.items():
            if place == "header" and name in request.headers:
                arguments[name] = _typed(request.headers[name], route.operation.arguments[name])
        for name, text in match.parameters.items():
            value = _typed(text, route.operation.arguments.get(name, "string"))
            if name in arguments and arguments[name] != value:
                raise _Refused(_bad(route, name, f"the path says {text!r}", "body"))
            arguments[name] = value
        return route, arguments

    def _not_found(self, request: WireRequest) -> Answer:
        near = self.table.nearest(request.path)
        hint = f"; did you mean {near}?" if near else ""
        return problem(404, "not_found", f"There is nothing at {request.path}{hint}")


def rest_gateway(service: str) -> RestGateway:
    """Return the REST interface of a built-in service, at https://SERVICE.sim. Raises KeyError for one without."""
    routes = ROUTES[service]
    return RestGateway(routes, openapi_document(f"{service} (simulated)", f"https://{service}.sim", routes))


def own_gateway(service: OwnService) -> RestGateway:
    """Return the HTTP interface of a user's own service, which answers at SERVICE.sim under its own document."""
    document = service.document_of()
    if document is None:
        document = openapi_document(f"{service.name} (simulated)", f"https://{service.name}.sim", service.routes)
    return RestGateway(service.routes, document)


def problem(status: int, code: str, message: str, **more: Any) -> Answer:
    """Return an error answer of a gateway, in the shape that the services have."""
    body = orjson.dumps({"error": {"code": code, "message": message, **more}})
    return Answer(status, {"content-type": _JSON}, body, rendered=True)


def rendered(answer: Answer, route: Route) -> Answer:
    """Return a service's answer as HTTP has it: the route's status of success, and where a bad field is."""
    if answer.status == 200 and route.status != 200:
        return Answer(route.status, answer.headers, answer.body, rendered=True)
    body = answer.body
    if answer.status in (400, 422):
        body = _with_fields(body, route)
    return Answer(answer.status, answer.headers, body, rendered=True)


def _with_fields(body: bytes, route: Route) -> bytes:
    try:
        data = orjson.loads(body)
        message: str = data["error"]["message"]
        match = _ARGUMENT.match(message)
    except (ValueError, KeyError, TypeError):
        return body  # a fault has had its hands on it
    if match is None or "fields" in data["error"]:
        return body
    data["error"]["fields"] = [_field(route, match[1], message)]
    return orjson.dumps(data)


def _field(route: Route, name: str, message: str, place: str | None = None) -> dict[str, str]:
    where = place or route.places.get(name) or ("body" if route.body != "none" else "query")
    pointer = "/" + name.replace("~", "~0").replace("/", "~1") if where == "body" else name
    return {"in": where, "name": name, "pointer": pointer, "message": message}


def _bad(route: Route, name: str, message: str, place: str) -> Answer:
    return problem(400, "invalid_argument", f"{name}: {message}", fields=[_field(route, name, message, place)])


def _not_allowed(request: WireRequest, allowed: tuple[str, ...]) -> Answer:
    answer = problem(405, "method_not_allowed", f"{request.method} is not allowed at {request.path}")
    answer.headers["allow"] = ", ".join(allowed)
    return answer


def _query(request: WireRequest, route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in parse_qsl(request.query, keep_blank_values=True):
        kind = route.operation.arguments.get(name, "string")
        if kind == "array":
            found.setdefault(name, []).append(text)
        elif name in found:
            raise _Refused(_bad(route, name, "it is there twice", "query"))
        elif route.places.get(name, "query") != "query":
            raise _Refused(_bad(route, name, f"it belongs into the {route.places[name]}", "query"))
        else:
            found[name] = _typed(text, kind)
    return found


def _typed(text: str, kind: str) -> Any:
    """Return text as the value that it spells; what spells none of this kind stays text, for the service to refuse."""
    if kind == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if kind in ("integer", "number") and _NUMBER.fullmatch(text):
        return json.loads(text)
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


def _body(request: WireRequest, route: Route) -> dict[str, Any]:
    if len(request.body) > BODY_BYTES_MAX:
        message = f"The body has {len(request.body)} bytes; at most {BODY_BYTES_MAX} are taken."
        raise _Refused(problem(413, "content_too_large", message))
    if route.body == "raw":
        return _text_body(request)
    if not request.body:
        return {}
    kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if kind != _JSON and not kind.endswith("+json"):
        answer = problem(415, "unsupported_media_type", f"The body must be {_JSON}, not {kind or 'nothing'}.")
        answer.headers["accept"] = _JSON
        raise _Refused(answer)
    try:
        value = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise _Refused(problem(400, "invalid_json", f"The body is not JSON: {error}.")) from error
    if route.body == "whole":
        return {"body": value}
    if not isinstance(value, dict):
        raise _Refused(problem(400, "invalid_json", "The body must be a JSON object."))
    return value


def _text_body(request: WireRequest) -> dict[str, Any]:
    try:
        return {"body": request.body.decode()} if request.body else {}
    except UnicodeDecodeError as error:
        message = "A body that is not UTF-8 text cannot be simulated."
        raise _Refused(problem(415, "unsupported_media_type", message)) from error


def _put_all(route: Route, arguments: dict[str, Any], found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        if name in arguments:
            raise _Refused(_bad(route, name, "it is in the query and in the body", "query"))
        arguments[name] = value


def _conditional(answer: Answer, request: WireRequest) -> Answer:
    """Give a read's good answer its ETag, and answer 304 to whoever has it already."""
    if answer.status != 200 or request.method not in ("GET", "HEAD"):
        return answer
    tag = f'"{xxh3_64_hexdigest(answer.body)}"'
    headers = {**answer.headers, "etag": tag}
    held = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag in held or held == ["*"]:
        return Answer(304, {"etag": tag}, b"", rendered=True)
    return Answer(200, headers, answer.body, rendered=True)


def _bodiless(answer: Answer, request: WireRequest) -> Answer:
    """Take the body out of the answer to HEAD; its length is still announced."""
    if request.method != "HEAD":
        return answer
    return Answer(answer.status, answer.headers, b"", len(answer.body), rendered=True)
