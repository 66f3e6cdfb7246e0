"""A database of records that many requests share and none may spoil: changes are copies, kept apart until they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

Record = dict[str, Any]
Tables = Mapping[str, Mapping[str, Record]]
"""The database as it was given: records by key, by table."""

Kept = dict[tuple[str, str], Record]
"""Changed records by (table, key)."""

Difference = tuple[str, str, str]
"""(place such as `orders/#W1/status`, JSON text before, JSON text after)."""

ABSENT: Final = "absent"
"""What stands for the value of a place that is not there; no JSON text reads like this."""


class Records:
    """What one tool call sees of a database, and what it changes; this is the `db` that every tool gets first.

    What a tool read with `get` or `rows` it must not change: `change` gives it a copy of its own. Nothing of it counts
    before `keep`, so that a tool may refuse at any point.
    """

    __slots__ = ("_draft", "_kept", "_tables")

    def __init__(self, tables: Tables, kept: Kept) -> None:
        self._tables = tables
        self._kept = kept
        self._draft: Kept = {}

    def get(self, table: str, key: str) -> Record | None:
        """Return the record as it now reads, or None where there is none. Raises KeyError for an unknown table."""
        place = (table, key)
        found = self._draft.get(place)
        return found if found is not None else self._before(place)

    def rows(self, table: str) -> Iterator[Record]:
        """Yield every record of a table in the order of the file, then those that were added."""
        for key in self._tables[table]:
            yield self._draft.get((table, key)) or self._before((table, key)) or {}
        for changed in (self._kept, self._draft):
            for place, record in changed.items():
                added = place[0] == table and place[1] not in self._tables[table]
                if added and not (changed is self._draft and place in self._kept):
                    yield self._draft.get(place, record)

    def change(self, table: str, key: str) -> Record:
        """Return the call's own copy of a record, to be changed in place. Raises KeyError where there is none."""
        place = (table, key)
        own = self._draft.get(place)
        if own is None:
            before = self._before(place)
            if before is None:
                raise KeyError(key)
            own = self._draft[place] = orjson.loads(orjson.dumps(before))
        return own

    def add(self, table: str, key: str, record: Record) -> None:
        """Add a record. Raises KeyError where there is one of that key."""
        if self.get(table, key) is not None:
            raise KeyError(key)
        self._draft[table, key] = record

    def touched(self) -> tuple[tuple[str, str], ...]:
        """Return (table, key) of the records that `change` or `add` gave out, in order."""
        return tuple(self._draft)

    def differences(self) -> list[Difference]:
        """Return every place whose value is another one than before this call, in order."""
        found: list[Difference] = []
        for place, after in self._draft.items():
            _compare(f"{place[0]}/{place[1]}", self._before(place), after, found)
        return found

    def keep(self) -> None:
        """Let the changes hold for whoever reads next."""
        self._kept.update(self._draft)

    def _before(self, place: tuple[str, str]) -> Record | None:
        kept = self._kept.get(place)
        return kept if kept is not None else self._tables[place[0]].get(place[1])


def _compare(place: str, before: Any, after: Any, found: list[Difference]) -> None:
    if isinstance(after, dict) and (before is None or isinstance(before, dict)):
        known = before or {}
        for name in (*known, *(name for name in after if name not in known)):
            _compare_at(f"{place}/{name}", known, after, name, found)
    elif isinstance(after, list) and isinstance(before, list):
        for number in range(max(len(before), len(after))):
            old, new = dict(enumerate(before)), dict(enumerate(after))
            _compare_at(f"{place}/{number}", old, new, number, found)
    elif before != after or type(before) is not type(after):
        found.append((place, _text(before), _text(after)))


def _compare_at(
    place: str, before: Mapping[Any, Any], after: Mapping[Any, Any], at: Any, found: list[Difference]
) -> None:
    if at in before and at in after:
        _compare(place, before[at], after[at], found)
    else:
        found.append(
            (place, _text(before[at]) if at in before else ABSENT, _text(after[at]) if at in after else ABSENT)
        )


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
