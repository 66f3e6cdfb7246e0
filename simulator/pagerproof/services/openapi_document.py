"""Reads an OpenAPI 3 document: its routes, what they take and what they answer, and every mistake at its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pagerproof.scenario.words import nearest
from pagerproof.services.documents import Document
from pagerproof.services.json_schema import Schema, Schemas, kinds_of
from pagerproof.services.openapi_shape import KeyPath, check_shape
from pagerproof.services.own import operation_name, own_operation
from pagerproof.services.routes import Place, Route

_METHODS: Final = ("get", "put", "post", "delete", "patch", "options", "head", "trace")
_OURS: Final = ("get", "put", "post", "delete", "patch")
_BESIDE: Final = ("summary", "description", "servers", "parameters", "$ref")
_READS: Final = "x-reads-only"
_NO_EXAMPLE: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One route of a document: the schema of each argument, and its successful answer.

    `body` is the schema of the whole body, None where there is none. `answers` says whether the successful answer has
    a JSON body; `example` is one, or `NOTHING`.
    """

    route: Route
    schemas: Mapping[str, Schema]
    body: Schema | None
    status: int
    answers: bool
    answer: Schema | None
    example: Any


NOTHING: Final = _NO_EXAMPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenApi:
    """A document that was read: its endpoints in the order of the file, its schemas, and the whole of it."""

    endpoints: tuple[Endpoint, ...]
    schemas: Schemas
    document: Mapping[str, Any]


def read_openapi(path: Path, service: str) -> OpenApi:
    """Read the document of a service. Raises InvalidFile with every mistake at its line and column."""
    document = Document(path)
    value = document.value
    if not isinstance(value, dict) or not str(value.get("openapi", "")).startswith("3."):
        said = "this is no OpenAPI 3 document: it should say 'openapi: 3.1.0'"
        if isinstance(value, dict) and "swagger" in value:
            said = "this is a Swagger 2 document: convert it to OpenAPI 3"
        document.mistake(("swagger",) if isinstance(value, dict) and "swagger" in value else ("openapi",), said)
        document.finish()
    schemas = Schemas(value)
    check_shape(document, value, schemas)
    document.finish()
    paths = value.get("paths")
    if not isinstance(paths, dict) or not paths:
        document.mistake(("paths",), "the document has no paths")
        document.finish()
    endpoints = tuple(_Reader(document, schemas, service).endpoints(paths))
    if not endpoints and not document.problems:
        document.mistake(("paths",), "no path has a get, put, post, delete or patch")
    document.finish()
    return OpenApi(endpoints=endpoints, schemas=schemas, document=value)


class _Reader:
    """Reads the paths of one document, noting mistakes as it goes."""

    def __init__(self, document: Document, schemas: Schemas, service: str) -> None:
        self._document = document
        self._schemas = schemas
        self._service = service
        self._seen: dict[str, str] = {}

    def endpoints(self, paths: Mapping[str, Any]) -> Iterator[Endpoint]:
        for path, held in paths.items():
            place: KeyPath = ("paths", path)
            if path.startswith("x-"):
                continue
            item = self._schemas.followed(held)
            if not path.startswith("/") or not isinstance(item, dict):
                self._document.mistake(place, f"{path!r}: a path begins with '/' and holds its methods")
                continue
            for method, described in item.items():
                if method in _OURS and isinstance(described, dict):
                    endpoint = self._endpoint(path, method, described, item)
                    if endpoint is not None:
                        yield endpoint
                elif method not in (*_METHODS, *_BESIDE) and not method.startswith("x-"):
                    self._document.mistake((*place, method), f"{method!r} is no method{nearest(method, _METHODS)}")

    def _endpoint(
        self, path: str, method: str, described: Mapping[str, Any], item: Mapping[str, Any]
    ) -> Endpoint | None:
        place: KeyPath = ("paths", path, method)
        parameters = self._parameters(place, described, item)
        lacking = [name for name in re.findall(r"{([^{}]+)}", path) if parameters.get(name, {}).get("in") != "path"]
        for name in lacking:
            self._document.mistake(place, f"'{{{name}}}' in the path is no parameter of this operation")
        name = operation_name(method.upper(), path, str(described.get("operationId", "")))
        earlier = self._seen.setdefault(name, f"{method.upper()} {path}")
        if earlier != f"{method.upper()} {path}":
            self._document.mistake(
                place, f"{earlier} is the operation {name} already: give one an operationId such as 'Invoice.renew'"
            )
        if lacking or earlier != f"{method.upper()} {path}":
            return None
        kinds = {each: self._kind(each_["schema"]) for each, each_ in parameters.items()}
        places: dict[str, Place] = {each: each_["in"] for each, each_ in parameters.items()}
        optional = [each for each, each_ in parameters.items() if not each_["required"]]
        schemas = {each: each_["schema"] for each, each_ in parameters.items()}
        body, required = self._body(described)
        style = self._body_style(body, places)
        if style == "fields":
            assert isinstance(body, dict)
            needed = body.get("required", ()) if required else ()
            for each, schema in body["properties"].items():
                kinds[each], places[each], schemas[each] = self._kind(schema), "body", schema
                if each not in needed:
                    optional.append(each)
        elif style == "whole":
            kinds["body"], places["body"], schemas["body"] = "any", "body", body
            if not required:
                optional.append("body")
        operation = own_operation(
            self._service, name, str(described.get("summary") or described.get("description") or name).split("\n")[0],
            arguments=kinds, optional=optional, writes=method != "get" and described.get(_READS) is not True,
        )  # fmt: skip
        route = Route(method=method.upper(), path=path, operation=operation, places=places, body=style)
        return Endpoint(route=route, schemas=schemas, body=body, **self._success(described))

    def _parameters(self, place: KeyPath, described: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for holder, where in ((item, place[:-1]), (described, place)):
            for number, each in enumerate(holder.get("parameters", ())):
                here = (*where, "parameters", number)
                parameter = self._schemas.followed(each)
                if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
                    self._document.mistake(here, "a parameter needs a 'name'")
                    continue
                name, within = parameter["name"], parameter.get("in")
                if within not in ("path", "query", "header", "cookie"):
                    message = f"parameter {name!r}: 'in' must be path, query, header or cookie, not {within!r}"
                    self._document.mistake((*here, "in"), message)
                    continue
                if within != "cookie":
                    name = name.lower() if within == "header" else name
                    found[name] = {
                        "in": within,
                        "required": within == "path" or parameter.get("required") is True,
                        "schema": parameter.get("schema", {}),
                    }
        return {
            name: each for name, each in found.items() if name not in ("idempotency-key", "authorization", "accept")
        }

    def _kind(self, schema: Schema) -> str:
        schema = self._schemas.followed(schema)
        kinds = [each for each in kinds_of(schema) if each != "null"] if isinstance(schema, dict) else []
        return kinds[0] if len(kinds) == 1 else "any"

    def _body(self, described: Mapping[str, Any]) -> tuple[Schema | None, bool]:
        body = self._schemas.followed(described.get("requestBody"))
        if not isinstance(body, dict):
            return None, False
        media = _json_media(body)
        return self._schemas.followed(media.get("schema", {})), body.get("required") is True

    def _body_style(self, body: Schema | None, places: Mapping[str, Place]) -> Literal["none", "fields", "whole"]:
        if body is None:
            return "none"
        plain = isinstance(body, dict) and isinstance(body.get("properties"), dict) and body["properties"]
        odd = not plain or {"allOf", "anyOf", "oneOf"} & body.keys() or set(body["properties"]) & places.keys()
        return "whole" if odd else "fields"

    def _success(self, described: Mapping[str, Any]) -> dict[str, Any]:
        responses = described.get("responses") or {}
        good = sorted(each for each in responses if re.fullmatch("2[0-9X][0-9X]", each))
        status = int(good[0].replace("X", "0")) if good else 200
        response = self._schemas.followed(responses[good[0]]) if good else {}
        media = _json_media(response if isinstance(response, dict) else {})
        example = media.get("example", NOTHING)
        examples = media.get("examples")
        if example is NOTHING and isinstance(examples, dict) and examples:
            first = self._schemas.followed(next(iter(examples.values())))
            example = first.get("value", NOTHING) if isinstance(first, dict) else NOTHING
        return {
            "status": status,
            "answers": bool(media) and status != 204,
            "answer": media.get("schema"),
            "example": example,
        }


def _json_media(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    content = holder.get("content") or {}
    for kind, media in content.items():
        if "json" in kind and isinstance(media, dict):
            return media or {"schema": {}}
    return {}
