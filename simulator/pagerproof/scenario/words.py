"""Says in plain words what pydantic found wrong with a file's values."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

Path = tuple[str | int, ...]
KeyedMessage = tuple[Path, str, str]
"""(path within the file, "key" or "value", message)"""

_TYPE_WORDS: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of ordinary size",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping (key: value)",
    "mapping_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "dataclass_type": "a mapping (key: value)",
    "list_type": "a list ([a, b])",
    "tuple_type": "a list ([a, b])",
    "set_type": "a list ([a, b])",
    "frozen_set_type": "a list ([a, b])",
    "none_required": "empty",
}
_LIMIT_WORDS: Final = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
_LENGTH_WORDS: Final = {
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
    "string_too_short": ("min_length", "at least"),
    "string_too_long": ("max_length", "at most"),
}
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `: did you mean 'x'?`, or nothing where no known name is near."""
    names = list(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not found:
        folded = {each.casefold().replace("_", "-"): each for each in names}
        found = difflib.get_close_matches(name.casefold().replace("_", "-"), folded, n=1, cutoff=0.6)
        found = [folded[each] for each in found]
    return f": did you mean '{found[0]}'?" if found else ""


def listed(names: Iterable[str], at_most: int = 12) -> str:
    """Return `a, b, c`, cut short after `at_most` names."""
    every = list(names)
    text = ", ".join(every[:at_most])
    return f"{text}, … ({len(every)} in all)" if len(every) > at_most else text


def said(value: object) -> str:
    """Return a value from a file as a reader would call it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else repr(value[:57] + "...")
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"the number {_number(value)}"


def plain_words(error: ValidationError, model: type[BaseModel], data: object) -> list[KeyedMessage]:
    """Return one message per mistake, in the order of the file's keys as pydantic met them."""
    found: dict[tuple[Path, str], list[str]] = {}
    order: list[tuple[Path, str, str]] = []
    missing: dict[Path, list[str]] = {}
    for each in error.errors(include_url=False):
        path = _within(each["loc"], data)
        kind = each["type"]
        if kind == "missing":
            if path not in missing:
                order.append((path, "missing", ""))
            missing.setdefault(path, []).append(f"'{each['loc'][-1]}'")
            continue
        if each["loc"][-1:] == ("[key]",):
            order.append((path, "key", f"the key {said(path[-1])} must be {_TYPE_WORDS.get(kind, 'another one')}"))
            continue
        wanted = _TYPE_WORDS.get(kind)
        if wanted is not None:
            slot = (path, "type")
            if slot not in found:
                found[slot] = []
                order.append((path, "type", said(each["input"])))
            if wanted not in found[slot]:
                found[slot].append(wanted)
            continue
        order.append((path, *_message(each, path, model)))
    above = {path[:length] for path, _, _ in order for length in range(len(path))}
    messages: list[KeyedMessage] = []
    for path, at, text in order:
        if at == "type" and path in above:
            continue  # a union: another member fits in kind, and is told about in detail
        if at == "type":
            wanted = " or ".join(found[path, "type"])
            message = f"must be {wanted}, not {text}"
            if wanted == "text" and text.startswith(("the number", "true", "false")):
                message += ": put it in quotes"
            messages.append((path, "value", _named(path, message)))
        elif at == "missing":
            names = missing[path]
            message = f"the key{'s' if len(names) > 1 else ''} {', '.join(names)} {_is(names)} missing{_in(path)}"
            messages.append((path, "value", message))
        else:
            messages.append((path, at, text))
    return list(dict.fromkeys(messages))


def _message(error: Any, path: Path, model: type[BaseModel]) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx", {})
    value = error["input"]
    if kind == "extra_forbidden":
        name = str(path[-1]) if path else ""
        known = keys_at(model, path[:-1])
        hint = nearest(name, known)
        if not hint and known:
            hint = f": the keys here are {listed(known)}"
        return "key", f"unknown key {said(name)}{_in(path[:-1])}{hint}"
    if kind in ("literal_error", "enum"):
        known = _QUOTED.findall(str(context.get("expected", "")))
        if len(known) == 1:
            return "value", _named(path, f"must be '{known[0]}', not {said(value)}")
        hint = nearest(value, known) if isinstance(value, str) else ""
        return "value", _named(path, f"{said(value)} is not one of {listed(known, 30)}{hint}")
    if kind in ("value_error", "assertion_error"):
        return "value", _named(path, str(context.get("error", error["msg"])))
    if kind in _LIMIT_WORDS:
        key, word = _LIMIT_WORDS[kind]
        return "value", _named(path, f"must be {word} {_number(context[key])}, not {_number(value)}")
    if kind in _LENGTH_WORDS:
        key, word = _LENGTH_WORDS[kind]
        unit = "characters" if kind.startswith("string") else "items"
        return "value", _named(path, f"must have {word} {context[key]} {unit}")
    if kind == "string_pattern_mismatch":
        return "value", _named(path, f"{said(value)} does not look like {context['pattern']}")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        known = _QUOTED.findall(str(context.get("expected_tags", "")))
        tag = str(context.get("tag", ""))
        lead = f"'{tag}' is not one of {listed(known, 30)}" if tag else f"no {context.get('discriminator')} is given"
        return "value", _named(path, lead + (nearest(tag, known) if tag else ""))
    text = str(error["msg"]).replace("Input should", "must").replace("Value error, ", "")
    return "value", _named(path, text[:1].lower() + text[1:])


def _within(location: Sequence[str | int], data: object) -> Path:
    """Return the parts of pydantic's location that are in the file: names of union members and the like are not.

    The last part stays where it names a key that is there or is missing.
    """
    path: list[str | int] = []
    at = data
    for part in location:
        if isinstance(at, dict) and str(part) in at:
            path.append(str(part))
            at = at[str(part)]
        elif isinstance(at, list) and isinstance(part, int) and part < len(at):
            path.append(part)
            at = at[part]
    return tuple(path)


def _name(path: Path) -> str:
    """The nearest name of a path: `at[0]` for an item of a list."""
    text = ""
    for part in reversed(path):
        if isinstance(part, str):
            return (part if part.isprintable() else repr(part)) + text
        text = f"[{part}]{text}"
    return text


def _is(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _number(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _named(path: Path, message: str) -> str:
    name = _name(path)
    return f"{name}: {message}" if name else message


def _in(path: Path) -> str:
    name = _name(path)
    return f" in {said(name)}" if name else ""


def keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that the mapping at `path` may have, by the model's annotations; none where anything goes."""
    types_here: list[Any] = [model]
    for part in path:
        inner: list[Any] = []
        for each in types_here:
            inner += _inside(each, part)
        types_here = [leaf for each in inner for leaf in _leaves(each)]
    keys: dict[str, None] = {}
    for each in types_here:
        if isinstance(each, type) and issubclass(each, BaseModel):
            keys.update(dict.fromkeys(_names(each)))
    return list(keys)


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _inside(annotation: Any, part: str | int) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [
            leaf
            for name, field in annotation.model_fields.items()
            if (field.alias or name) == part
            for leaf in _leaves(field.annotation)
        ]
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if isinstance(origin, type) and arguments:
        inner = [arguments[-1]] if issubclass(origin, typing.Mapping) else [a for a in arguments if a is not Ellipsis]
        return [leaf for each in inner for leaf in _leaves(each)]
    return []


def _leaves(annotation: Any) -> list[Any]:
    """Take `Annotated` and unions apart."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _leaves(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [leaf for each in typing.get_args(annotation) for leaf in _leaves(each)]
    return [annotation]
