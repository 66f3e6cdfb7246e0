"""Faults in the fields of a JSON answer: missing, renamed, null, of another type; and a policy that drifted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from pagerproof.model import Answer
from pagerproof.rng import below

_ENVELOPE = frozenset({"__metadata", "results", "d", "error"})
Change = Callable[[dict[str, Any], str], None]
"""Changes one field of one object in place."""


def decoded(answer: Answer) -> Any:
    """Return the JSON of a 2xx answer, or None."""
    if not 200 <= answer.status < 300:
        return None
    try:
        return orjson.loads(answer.body)
    except ValueError:
        return None


def encoded(answer: Answer, document: Any) -> Answer:
    """Return the answer with another document as its body."""
    return answer.with_body(orjson.dumps(document))


def changed_fields(answer: Answer, names: Sequence[str], key: int, change: Change) -> Answer | None:
    """Apply `change` to the fields called `names`, or for `any` to one field chosen by `key`; None if none is there."""
    document = decoded(answer)
    fields = list(_fields(document))
    if "any" in names:
        chosen = [fields[below(key, len(fields))]] if fields else []
    else:
        chosen = [(holder, name) for holder, name in fields if name in names]
    if not chosen:
        return None
    for holder, name in chosen:
        change(holder, name)
    return encoded(answer, document)


def _fields(document: Any) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(document, dict):
        for name, value in document.items():
            if name not in _ENVELOPE:
                yield document, name
            if name != "__metadata":
                yield from _fields(value)
    elif isinstance(document, list):
        for each in document:
            yield from _fields(each)


def drop(holder: dict[str, Any], name: str) -> None:
    """Take the field away."""
    del holder[name]


def null(holder: dict[str, Any], name: str) -> None:
    """Set the field to null."""
    holder[name] = None


def renamed(to: str | None) -> Change:
    """Return the change that renames a field, by default into its other style (snake_case or camelCase)."""

    def rename(holder: dict[str, Any], name: str) -> None:
        new = to if to is not None else _other_style(name)
        items = [(new if key == name else key, value) for key, value in holder.items()]
        holder.clear()
        holder.update(items)

    return rename


def _other_style(name: str) -> str:
    if "_" in name:
        head, *rest = name.split("_")
        return head + "".join(part.capitalize() for part in rest)
    snake = "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")
    return snake if snake != name else name.upper()


def retyped(to: str) -> Change:
    """Return the change that gives a field another JSON type, keeping what it can of the value."""

    def retype(holder: dict[str, Any], name: str) -> None:
        holder[name] = _as_type(holder[name], to)

    return retype


def _as_type(value: Any, to: str) -> Any:
    if to == "number":
        try:
            return float(value)
        except (TypeError, ValueError):
            return 0
    if to == "string":
        return value + " " if isinstance(value, str) else json.dumps(value)
    if to == "boolean":
        return True
    return [value] if to == "list" else {"value": value}


def drifted(answer: Answer, factor: float) -> Answer | None:
    """Return a policy answer whose days, also in its rule's text, are multiplied by `factor`."""
    document = decoded(answer)
    if not isinstance(document, dict) or not isinstance(document.get("days"), int):
        return None
    old = document["days"]
    new = max(1, round(old * factor))
    if new == old:
        return None
    document["days"] = new
    if isinstance(document.get("rule"), str):
        document["rule"] = document["rule"].replace(str(old), str(new))
    return encoded(answer, document)
