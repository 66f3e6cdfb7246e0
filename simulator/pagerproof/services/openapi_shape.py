"""Checks the shape of an OpenAPI document, so that nobody further on need: kinds of values, references, patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pagerproof.scenario.words import said
from pagerproof.services.documents import Document
from pagerproof.services.json_schema import Schemas

KeyPath = tuple[str | int, ...]

# Below these, keys are names that the document's author has chosen.
_HOLD_NAMES: Final = frozenset(
    {"properties", "patternProperties", "schemas", "responses", "paths", "content", "headers", "requestBodies",
     "$defs", "encoding", "callbacks", "links", "pathItems", "webhooks"}
)  # fmt: skip
_NOT_READ: Final = frozenset(
    {"example", "examples", "default", "enum", "const", "securitySchemes", "security", "discriminator", "info", "tags"}
)
_KINDS: Final = ("string", "number", "integer", "boolean", "array", "object", "null")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_type(value: Any) -> bool:
    kinds = value if isinstance(value, list) else [value]
    return bool(kinds) and all(isinstance(each, str) and each in _KINDS for each in kinds)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_schemas(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict | bool) for each in value)


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_required(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


_SHAPES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "$ref": (lambda value: isinstance(value, str), "text"),
    "type": (_is_type, f"one of {', '.join(_KINDS)}, or a list of them"),
    "properties": (lambda value: isinstance(value, dict) and all(map(_is_schema, value.values())), "schemas by name"),
    "required": (_is_required, "true, false or a list of names"),
    "enum": (lambda value: isinstance(value, list) and bool(value), "a list of values"),
    "items": (_is_schema, "a schema"),
    "additionalProperties": (_is_schema, "a schema, true or false"),
    "schema": (_is_schema, "a schema"),
    "allOf": (_is_schemas, "a list of schemas"),
    "anyOf": (_is_schemas, "a list of schemas"),
    "oneOf": (_is_schemas, "a list of schemas"),
    "pattern": (lambda value: isinstance(value, str), "text"),
    "format": (lambda value: isinstance(value, str), "text"),
    "minLength": (_is_count, "a whole number"),
    "maxLength": (_is_count, "a whole number"),
    "minItems": (_is_count, "a whole number"),
    "maxItems": (_is_count, "a whole number"),
    "minimum": (_is_number, "a number"),
    "maximum": (_is_number, "a number"),
    "exclusiveMinimum": (lambda value: isinstance(value, int | float), "a number, true or false"),
    "exclusiveMaximum": (lambda value: isinstance(value, int | float), "a number, true or false"),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above zero"),
    "content": (lambda value: isinstance(value, dict) and all(map(_is_mapping, value.values())), "media types by name"),
    "parameters": (lambda value: isinstance(value, list | dict), "a list"),
    "responses": (
        lambda value: isinstance(value, dict) and all(map(_is_mapping, value.values())),
        "responses by status",
    ),
    "requestBody": (_is_mapping, "a mapping"),
}


def check_shape(document: Document, value: Any, schemas: Schemas, place: KeyPath = (), *, names: bool = False) -> None:
    """Note every value of a wrong kind, every reference that leads nowhere and every pattern that is none.

    `names` says that the keys here are names of the author's.
    """
    if isinstance(value, list):
        for number, each in enumerate(value):
            check_shape(document, each, schemas, (*place, number))
    if not isinstance(value, dict):
        return
    for key, each in value.items():
        here = (*place, key)
        if not names and key in _SHAPES:
            fits, wanted = _SHAPES[key]
            if not fits(each):
                document.mistake(here, f"{key}: must be {wanted}, not {said(each)}")
                continue
            _check_text(document, value, schemas, here)
        if names or key not in _NOT_READ:
            check_shape(document, each, schemas, here, names=not names and key in _HOLD_NAMES)


def _check_text(document: Document, holder: Mapping[str, Any], schemas: Schemas, place: KeyPath) -> None:
    key = place[-1]
    if key == "$ref":
        try:
            schemas.followed(holder)
        except ValueError as error:
            document.mistake(place, f"{holder['$ref']!r}: {error}")
        except (KeyError, TypeError):
            document.mistake(place, f"{holder['$ref']!r}: there is nothing in this document")
    elif key == "required" and isinstance(holder[key], bool) and not {"in", "content"} & holder.keys():
        document.mistake(place, "required: in a schema it is a list of names")
    elif key == "pattern":
        try:
            re.compile(holder["pattern"])
        except re.error as error:
            document.mistake(place, f"pattern: {error}")
