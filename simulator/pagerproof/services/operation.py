"""What a service works out once per operation: how long it takes, which arguments it needs, what it locks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pagerproof.model import Answer, Operation

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}
_ARTICLES: Mapping[str, str] = {"integer": "an integer", "array": "an array", "object": "an object"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One operation, made ready: `handler(job)` does the work and returns the answer.

    `lock` names the argument whose value is locked while a write runs ("" for none).
    """

    operation: Operation
    handler: Callable[[Any], Answer]
    median_s: float
    sigma: float
    writes: bool
    lock: str = ""
    required: tuple[tuple[str, tuple[type, ...]], ...] = ()


def required_types(operation: Operation) -> tuple[tuple[str, tuple[type, ...]], ...]:
    """Return the obligatory arguments with the Python types that decode from their JSON types."""
    return tuple(
        (name, _TYPES[kind]) for name, kind in operation.arguments.items() if name not in operation.optional
    )


def complaint(operation: Operation, arguments: Mapping[str, Any]) -> tuple[str, str]:
    """Return (argument, what is wrong with it), or two empty strings when the arguments can be used."""
    for name, kind in operation.arguments.items():
        value = arguments.get(name)
        if value is None:
            if name not in operation.optional:
                return name, f"argument {name!r} is missing"
            continue
        if type(value) not in _TYPES[kind]:
            return name, f"argument {name!r} must be {_ARTICLES.get(kind, 'a ' + kind)}"
        if kind == "string" and not value.strip() and name not in operation.optional:
            return name, f"argument {name!r} must not be empty"
    for name in arguments:
        if name not in operation.arguments:
            return str(name), f"unknown argument {str(name)!r}"
    return "", ""
