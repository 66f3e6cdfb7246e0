"""A user's state as collections of records, and the place in it that a path stands for."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from pagerproof.services.routes import Route


class NotThere(Exception):
    """The path names a record that the state does not have."""

    def __init__(self, collection: str, key: str) -> None:
        super().__init__(f"There is no {key!r} in {collection}.")


@dataclass(slots=True, kw_only=True)
class Target:
    """Where a path leads: to a whole collection (a list, or a mapping by key), or to one record inside `holder`.

    `owner` are the fields that records of this collection have because of the path, such as `customer_id` below
    `/customers/{customer_id}/orders`. `position` is the record's key or number in `holder`.
    """

    value: Any
    name: str
    is_collection: bool
    holder: Any = None
    position: Any = None
    owner: dict[str, Any] = field(default_factory=dict)

    def records(self) -> list[Any]:
        """Return the records of a collection that belong to its owner."""
        every = list(self.value.values()) if isinstance(self.value, dict) else self.value
        return [each for each in every if _owned(each, self.owner)]

    def put(self, value: Any) -> None:
        """Replace the record."""
        self.holder[self.position] = value

    def delete(self) -> None:
        """Take the record out."""
        del self.holder[self.position]

    def add(self, key: str, record: Any) -> None:
        """Put a new record into the collection."""
        if isinstance(self.value, dict):
            self.value[key] = record
        else:
            self.value.append(record)


def target_of(state: MutableMapping[str, Any], route: Route, arguments: Mapping[str, Any]) -> Target | None:
    """Return where in the state a call's path leads, None where it leads nowhere. Raises NotThere.

    A record is named by the field of the path's parameter, by `id`, or by its key. A collection below a record is the
    record's own list, or the records of a collection of that name which carry the path's parameter as a field.
    """
    here = Target(value=state, name="", is_collection=False)
    owner: dict[str, Any] = {}
    for segment in route.segments:
        if not segment.startswith("{"):
            step = _named(state, here, segment, owner)
        elif here.is_collection:
            name = segment[1:-1]
            step = _record(here, name, str(arguments.get(name, "")))
            owner = {name: arguments.get(name)}
        else:
            step = None
        if step is None:
            return None
        here = step
    return here if here.name else None


def key_fields(name: str) -> tuple[str, ...]:
    """Return the fields by which a record may answer to a path's parameter."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return tuple(dict.fromkeys((name, snake, "id")))


def _named(state: Mapping[str, Any], here: Target, segment: str, owner: dict[str, Any]) -> Target | None:
    value = here.value
    if isinstance(value, dict) and not here.is_collection and segment in value:
        inner = value[segment]
        return Target(value=inner, name=segment, is_collection=_is_collection(inner), holder=value, position=segment)
    if owner and isinstance(state.get(segment), list | dict):
        return Target(value=state[segment], name=segment, is_collection=True, owner=owner)
    return None


def _record(here: Target, name: str, key: str) -> Target:
    if isinstance(here.value, dict):
        if key in here.value and _owned(here.value[key], here.owner):
            return Target(value=here.value[key], name=here.name, is_collection=False, holder=here.value, position=key)
        raise NotThere(here.name, key)
    fields = key_fields(name)
    for number, record in enumerate(here.value):
        if isinstance(record, dict) and any(field in record and str(record[field]) == key for field in fields):
            if not _owned(record, here.owner):
                continue
            return Target(value=record, name=here.name, is_collection=False, holder=here.value, position=number)
    raise NotThere(here.name, key)


def _is_collection(value: object) -> bool:
    if isinstance(value, list):
        return True
    return isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())


def _owned(record: Any, owner: Mapping[str, Any]) -> bool:
    return all(
        isinstance(record, dict) and any(str(record.get(each)) == str(value) for each in key_fields(name)[:2])
        for name, value in owner.items()
    )
