"""JSON schemas as the simulated model reads them: a tool's parameters, and values that fit where it has to invent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pagerproof.rng import below, key_of
from pagerproof.services.model_words import invented
from pagerproof.services.tool_words import snake, tokens

_DEPTH_MAX: Final = 6
_TRUE_WORDS: Final = frozenset(
    "approved approve ok okay success successful valid passed pass done complete completed resolved satisfied".split()  # noqa: SIM905 - a list of words reads best as words
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One scalar that a tool takes; `path` is where it lies in the arguments, its last part is its name."""

    path: tuple[str, ...]
    schema: Mapping[str, Any]
    required: bool

    @property
    def name(self) -> str:
        """The innermost name."""
        return self.path[-1]


def resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with its reference followed and `null` left out of its alternatives."""
    here = schema if isinstance(schema, Mapping) else {}
    for _ in range(_DEPTH_MAX):
        if isinstance(here.get("$ref"), str):
            here = _followed(here["$ref"], root)
            continue
        alternatives = here.get("anyOf") or here.get("oneOf") or here.get("allOf")
        if isinstance(alternatives, Sequence) and alternatives and "properties" not in here:
            real = [each for each in alternatives if isinstance(each, Mapping) and each.get("type") != "null"]
            if not real:
                return here
            here = {**{name: here[name] for name in ("default", "description") if name in here}, **real[0]}
            continue
        return here
    return here


def _followed(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    here: Any = root
    for part in reference.removeprefix("#/").split("/"):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here if isinstance(here, Mapping) else {}


def type_of(schema: Mapping[str, Any]) -> str:
    """Return a schema's JSON type; the first that is not null where there are several, and "" where none is said."""
    kind = schema.get("type", "")
    if isinstance(kind, (list, tuple)):
        kind = next((each for each in kind if each != "null"), "")
    if not kind:
        kind = "object" if "properties" in schema else ""
    return str(kind).lower()


def parameters_of(schema: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the scalars (and lists) that a tool with this schema takes, those of nested objects included."""
    return tuple(_parameters(schema, schema, (), True, 0))


def _parameters(
    schema: Mapping[str, Any], root: Mapping[str, Any], path: tuple[str, ...], required: bool, depth: int
) -> Iterator[Parameter]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or depth > _DEPTH_MAX:
        return
    needed = schema.get("required") or ()
    for name, given in properties.items():
        inner = resolved(given, root)
        here = (*path, str(name))
        is_needed = required and name in needed
        if type_of(inner) == "object" and inner.get("properties"):
            yield from _parameters(inner, root, here, is_needed, depth + 1)
        else:
            yield Parameter(path=here, schema=inner, required=is_needed)


def placed(values: Sequence[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    """Return the nested arguments that have these values at these paths."""
    arguments: dict[str, Any] = {}
    for path, value in values:
        here = arguments
        for part in path[:-1]:
            here = here.setdefault(part, {})
        here[path[-1]] = value
    return arguments


def fitted(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value in the type that a schema wants, or as it is where it cannot be had so."""
    kind = type_of(schema)
    if isinstance(value, str):
        try:
            if kind == "integer":
                return int(value)
            if kind == "number":
                return float(value)
        except ValueError:
            return value
        if kind == "boolean":
            return value.lower() in ("true", "yes", "1")
        if kind == "array":
            return [fitted(value, resolved(schema.get("items"), schema))]
    elif kind == "string" and not isinstance(value, bool):
        return str(value)
    options = schema.get("enum")
    if isinstance(value, str) and isinstance(options, Sequence) and options and value not in options:
        return _nearest(value, options) or value
    return value


def _nearest(value: str, options: Sequence[Any]) -> Any:
    wanted = tokens(value)
    same = next((each for each in options if snake(str(each)) == snake(value)), None)
    return same if same is not None else next((each for each in options if tokens(str(each)) & wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What a structured answer may be filled from.

    `text` is what would be said in words, `facts` values by name, `labels` what the request is about (for choices),
    `ok` whether all is well, `confidence` a share for numbers that ask for one; `key` of draws.
    """

    text: str
    facts: Mapping[str, str]
    labels: Sequence[str]
    ok: bool
    confidence: float
    key: int


def filled(schema: Mapping[str, Any], knows: Knowledge, root: Mapping[str, Any] | None = None, name: str = "") -> Any:
    """Return a value that fits a JSON schema, filled from what the model knows; required fields only where unknown."""
    root = schema if root is None else root
    here = resolved(schema, root)
    if "const" in here:
        return here["const"]
    options = here.get("enum")
    if isinstance(options, Sequence) and options:
        return chosen(options, knows)
    kind = type_of(here)
    if kind == "object":
        return _filled_object(here, knows, root)
    if kind == "array":
        items = resolved(here.get("items"), root)
        if isinstance(items.get("enum"), Sequence):
            return [chosen(items["enum"], knows)]
        return list(knows.labels) if type_of(items) == "string" and _asks_for_labels(name) else []
    if kind == "boolean":
        return knows.ok if not tokens(name) & {"need", "fail", "failed", "problem", "escalate"} else not knows.ok
    if kind in ("number", "integer"):
        return _number(here, knows, name, kind)
    return knows.facts.get(snake(name)) or (
        ", ".join(knows.labels) if _asks_for_labels(name) and knows.labels else knows.text
    )


def _filled_object(schema: Mapping[str, Any], knows: Knowledge, root: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    needed = schema.get("required") or ()
    value: dict[str, Any] = {}
    if isinstance(properties, Mapping):
        for name, inner in properties.items():
            if name in needed or snake(str(name)) in knows.facts:
                value[str(name)] = filled(inner, knows, root, str(name))
    return value


def _asks_for_labels(name: str) -> bool:
    return bool(set(snake(name).rstrip("s").split("_")) & {"intent", "category", "label", "topic", "route", "kind"})


def chosen(options: Sequence[Any], knows: Knowledge) -> Any:
    """Return the option that fits what the request is about, or how it went; the first one where none does."""
    wanted = tokens(" ".join(knows.labels))
    best = max(options, key=lambda each: len(tokens(str(each)) & wanted))
    if tokens(str(best)) & wanted:
        return best
    good = [each for each in options if set(snake(str(each)).split("_")) & _TRUE_WORDS]
    if good and knows.ok:
        return good[0]
    others = [each for each in options if each not in good]
    return others[0] if others else options[0]


def _number(schema: Mapping[str, Any], knows: Knowledge, name: str, kind: str) -> float | int:
    known = knows.facts.get(snake(name))
    if known is not None:
        value = fitted(known, schema)
        if isinstance(value, (int, float)):
            return value
    low = float(schema.get("minimum", 0))
    high = schema.get("maximum")
    if kind == "integer":
        return int(high if high is not None and knows.ok else low)
    return round(low + knows.confidence * ((1.0 if high is None else float(high)) - low), 2)


def made_up(parameter: Parameter, key: int) -> Any:
    """Return a plausible value for a tool's parameter that nobody has said."""
    schema = parameter.schema
    if "default" in schema:
        return schema["default"]
    options = schema.get("enum")
    if isinstance(options, Sequence) and options:
        return options[below(key_of(key, *parameter.path), len(options))]
    kind = type_of(schema)
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        return 1
    if kind == "array":
        return []
    if kind == "object":
        return {}
    return invented(snake(parameter.name), key_of(key, "made up", *parameter.path))


def asked_schema(asked: Any) -> Mapping[str, Any] | None:
    """Return the JSON schema in OpenAI's response_format, if one is there."""
    if not isinstance(asked, Mapping) or asked.get("type") != "json_schema":
        return None
    named = asked.get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    return schema if isinstance(schema, Mapping) else None
