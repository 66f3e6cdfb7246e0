"""The part of JSON Schema that OpenAPI documents use: checking a value, and drawing one that fits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from pagerproof.model import RUN_BEGINS
from pagerproof.rng import below, pick, sub_key, unit

_DEPTH_MAX: Final = 12  # a schema that needs itself ends there
_OPTIONAL_DEPTH_MAX: Final = 3
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WORDS: Final = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "juniper")

Schema = Any
"""A schema as a document has it: a mapping, or true or false."""


class Schemas:
    """The schemas of one document; `$ref` is followed inside it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def followed(self, schema: Schema) -> Schema:
        """Return the schema behind any `$ref`. Raises KeyError where there is none, ValueError where it goes round."""
        for _ in range(_DEPTH_MAX):
            if not isinstance(schema, dict) or "$ref" not in schema:
                return schema
            reference = schema["$ref"]
            if not isinstance(reference, str) or not reference.startswith("#/"):
                raise KeyError(reference)
            schema = self._document
            for part in reference[2:].split("/"):
                schema = schema[part.replace("~1", "/").replace("~0", "~")]
        raise ValueError("the reference leads round in a circle")

    def mistakes(self, schema: Schema, value: object, pointer: str = "") -> Iterator[tuple[str, str]]:
        """Yield (JSON pointer, what is wrong there) for a value that does not fit."""
        schema = self.followed(schema)
        if schema is False:
            yield pointer, "nothing is allowed here"
        if not isinstance(schema, dict):
            return
        kinds = kinds_of(schema)
        if value is None and schema.get("nullable") is True:
            return
        if kinds and not any(_is(kind, value) for kind in kinds):
            yield pointer, f"must be {_listed(kinds)}, not {_kind(value)}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield pointer, f"must be one of {', '.join(map(str, schema['enum']))}"
        if "const" in schema and value != schema["const"]:
            yield pointer, f"must be {schema['const']}"
        yield from _scalar(schema, value, pointer)
        if isinstance(value, dict):
            yield from self._object(schema, value, pointer)
        elif isinstance(value, list | tuple):
            yield from self._array(schema, value, pointer)
        yield from self._combined(schema, value, pointer)

    def _object(self, schema: Mapping[str, Any], value: dict[str, Any], pointer: str) -> Iterator[tuple[str, str]]:
        properties = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{pointer}/{name}", "is missing"
        rest = schema.get("additionalProperties", True)
        for name, each in value.items():
            inner = f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
            if name in properties:
                yield from self.mistakes(properties[name], each, inner)
            elif rest is False:
                yield inner, "is not known here"
            elif isinstance(rest, dict):
                yield from self.mistakes(rest, each, inner)

    def _array(self, schema: Mapping[str, Any], value: Any, pointer: str) -> Iterator[tuple[str, str]]:
        if len(value) < schema.get("minItems", 0):
            yield pointer, f"must have at least {schema['minItems']} items"
        if len(value) > schema.get("maxItems", math.inf):
            yield pointer, f"must have at most {schema['maxItems']} items"
        if "items" in schema:
            for number, each in enumerate(value):
                yield from self.mistakes(schema["items"], each, f"{pointer}/{number}")

    def _combined(self, schema: Mapping[str, Any], value: object, pointer: str) -> Iterator[tuple[str, str]]:
        for each in schema.get("allOf", ()):
            yield from self.mistakes(each, value, pointer)
        for word in ("anyOf", "oneOf"):
            options = schema.get(word)
            if options and all(any(True for _ in self.mistakes(each, value, pointer)) for each in options):
                yield pointer, "fits none of the forms that are allowed here"

    def drawn(self, schema: Schema, key: int, known: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
        """Return a value that fits, the same for the same key; properties named in `known` get the values there."""
        schema = self.followed(schema)
        if not isinstance(schema, dict):
            return {}
        for word in ("example", "default", "const"):
            if word in schema:
                return schema[word]
        if schema.get("examples"):
            return schema["examples"][0]
        if schema.get("enum"):
            return pick(key, schema["enum"])
        for word in ("oneOf", "anyOf"):
            if schema.get(word):
                return self.drawn(schema[word][0], key, known, name, depth)
        if schema.get("allOf"):
            whole: dict[str, Any] = {}
            for each in schema["allOf"]:
                part = self.drawn(each, key, known, name, depth)
                whole.update(part if isinstance(part, dict) else {})
            if "properties" in schema:
                whole.update(self._drawn_object(schema, key, known, depth))
            return whole
        kinds = kinds_of(schema)
        kind = kinds[0] if kinds else "object" if "properties" in schema else "string"
        if kind == "object":
            return self._drawn_object(schema, key, known, depth)
        if kind == "array":
            few = max(int(schema.get("minItems", 0)), 0 if depth > _DEPTH_MAX // 2 else 1)
            return [
                self.drawn(schema.get("items", {}), sub_key(key, b"%d" % number), known, name, depth + 1)
                for number in range(min(few, 100))
            ]
        return _drawn_scalar(schema, kind, key, name)

    def _drawn_object(
        self, schema: Mapping[str, Any], key: int, known: Mapping[str, Any], depth: int
    ) -> dict[str, Any]:
        drawn: dict[str, Any] = {}
        required = schema.get("required", ())
        for name, inner in schema.get("properties", {}).items():
            if name in known and not any(True for _ in self.mistakes(inner, known[name])):
                drawn[name] = known[name]
            elif (name in required or depth < _OPTIONAL_DEPTH_MAX) and depth < _DEPTH_MAX:
                inner_key = sub_key(key, str(name).encode())
                drawn[name] = self.drawn(inner, inner_key, known if depth == 0 else {}, name, depth + 1)
        return drawn


def kinds_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the types that a schema names; none where it names none."""
    kinds = schema.get("type", [])
    return list(kinds) if isinstance(kinds, list) else [kinds]


def _is(kind: str, value: object) -> bool:
    if kind == "integer":
        return (type(value) is int) or (type(value) is float and value.is_integer())
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, (object,)))


def _kind(value: object) -> str:
    if type(value) is int:
        return "integer"
    return next((kind for kind in _TYPES if _is(kind, value)), "unknown")


def _listed(kinds: list[str]) -> str:
    return " or ".join(kinds)


def _scalar(schema: Mapping[str, Any], value: object, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            yield pointer, f"must have at least {schema['minLength']} characters"
        if len(value) > schema.get("maxLength", math.inf):
            yield pointer, f"must have at most {schema['maxLength']} characters"
        if "pattern" in schema and re.search(schema["pattern"], value) is None:
            yield pointer, f"must match {schema['pattern']}"
        if not _has_format(schema.get("format", ""), value):
            yield pointer, f"is no {schema['format']}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        above, below_ = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        if value < low or (above is True and value == low):
            yield pointer, f"must be {'more than' if above is True else 'at least'} {low}"
        if value > high or (below_ is True and value == high):
            yield pointer, f"must be {'less than' if below_ is True else 'at most'} {high}"
        if isinstance(above, int | float) and above is not True and value <= above:
            yield pointer, f"must be more than {above}"
        if isinstance(below_, int | float) and below_ is not True and value >= below_:
            yield pointer, f"must be less than {below_}"
        if schema.get("multipleOf") and not float(value / schema["multipleOf"]).is_integer():
            yield pointer, f"must be a multiple of {schema['multipleOf']}"


def _has_format(name: str, text: str) -> bool:
    try:
        if name == "date":
            date.fromisoformat(text)
        elif name == "date-time":
            datetime.fromisoformat(text)
    except ValueError:
        return False
    if name == "email":
        return _EMAIL.fullmatch(text) is not None
    return name != "uuid" or _UUID.fullmatch(text) is not None


def _drawn_scalar(schema: Mapping[str, Any], kind: str, key: int, name: str) -> Any:
    if kind == "null":
        return None
    if kind == "boolean":
        return below(key, 2) == 1
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        low = 0 if isinstance(low, bool) else low
        low += 1 if "exclusiveMinimum" in schema else 0
        high = schema.get("maximum", low + 999)
        if kind == "integer":
            return math.ceil(low) + below(key, max(1, math.floor(high) - math.ceil(low) + 1))
        return round(low + unit(key) * (high - low), 2)
    form = schema.get("format", "")
    if form == "date":
        return (RUN_BEGINS.date() - timedelta(days=below(key, 60))).isoformat()
    if form == "date-time":
        return f"{(RUN_BEGINS.date() - timedelta(days=below(key, 60))).isoformat()}T{below(key, 24):02d}:00:00Z"
    if form == "email":
        return f"{pick(key, _WORDS)}@example.com"
    if form == "uuid":
        digits = f"{sub_key(key, b'a'):016x}{sub_key(key, b'b'):016x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
    text = f"{pick(key, _WORDS)}-{below(sub_key(key, b'n'), 10_000):04d}" if name.lower().endswith("id") else (
        pick(key, _WORDS)
    )  # fmt: skip
    text = text.ljust(int(schema.get("minLength", 0)), "x")
    return text[: schema["maxLength"]] if "maxLength" in schema else text
