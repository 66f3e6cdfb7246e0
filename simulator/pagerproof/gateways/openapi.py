"""OpenAPI 3.1 documents, made from the same routes that answer requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pagerproof.services.routes import Route

_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "fields": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["in", "name", "pointer", "message"],
                        "properties": {
                            "in": {"enum": ["path", "query", "header", "body"]},
                            "name": {"type": "string"},
                            "pointer": {"type": "string", "description": "a JSON pointer into the body, or the name"},
                            "message": {"type": "string"},
                        },
                    },
                },
            },
        }
    },
}
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 255},
    "description": "a repeated request with this key is answered as the first one was, where the service keeps keys",
}


def openapi_document(title: str, server: str, routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these routes, as plain JSON data."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of an argument of this kind; `any` takes anything."""
    return {} if kind == "any" else {"type": kind}


def _operation(route: Route) -> dict[str, Any]:
    operation = route.operation
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [_parameter(route, name, place) for name, place in route.places.items() if place != "body"],
    }
    if operation.writes:
        described["parameters"].append(_IDEMPOTENCY)
    if route.body != "none":
        described["requestBody"] = _request_body(route)
    described["responses"] = {
        str(route.status): {"description": "Done.", "content": {"application/json": {"schema": {"type": "object"}}}},
        "default": {
            "description": "Not done; the body says why.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        },
    }
    return described


def _parameter(route: Route, name: str, place: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path" or name not in route.operation.optional,
        "schema": json_schema(route.operation.arguments[name]),
    }


def _request_body(route: Route) -> dict[str, Any]:
    operation = route.operation
    if route.body != "fields":
        media = "application/json" if route.body == "whole" else "*/*"
        return {"required": "body" not in operation.optional, "content": {media: {"schema": {}}}}
    names = [name for name, place in route.places.items() if place == "body"]
    required = [name for name in names if name not in operation.optional]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: json_schema(operation.arguments[name]) for name in names},
        "additionalProperties": False,
    }
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}
