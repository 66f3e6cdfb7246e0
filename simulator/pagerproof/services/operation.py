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
    "any": (str, int, float, bool, list, tuple, dict),
}
Types = tuple[tuple[str, tuple[type, ...]], ...]
"""(argument, Python types) of each argument."""

_ARTICLES: Mapping[str, str] = {"integer": "an integer", "array": "an array", "object": "an object", "any": "anything"}


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
    required: Types = ()
    optional: Types = ()


def argument_types(operation: Operation, *, optional: bool) -> Types:
    """Return the optional or the obligatory arguments with the Python types that decode from their JSON types."""
    return tuple(
        (name, _TYPES[kind]) for name, kind in operation.arguments.items() if (name in operation.optional) is optional
    )


def fits(plan: Plan, arguments: Mapping[str, Any]) -> bool:
    """Whether the arguments can be used as they are; False for a few that can: `complaint` decides."""
    for name, types in plan.required:
        value = arguments.get(name)
        if type(value) not in types or not value:
            return False
    known = len(plan.required)
    if known == len(arguments):
        return True
    for name, types in plan.optional:
        if type(arguments.get(name)) in types:
            known += 1
    return known == len(arguments)


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
