"""Reads YAML 1.2 text into plain values together with the line and column of every key and value, and every mistake."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

DEPTH_MAX: Final = 60
NODES_MAX: Final = 500_000

Position = tuple[int, int]
"""Line and column, both from 1."""

Mistake = tuple[Position, str]
"""Where, and what is wrong there."""

_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMERIC_START: Final = frozenset("0123456789+-.")


def resolve(text: str) -> Any:
    """Return the value of a plain scalar by the core schema of YAML 1.2 (`no` and dates are text).

    Beyond it, `10_001` is a whole number; infinities and not-a-number stay text.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMERIC_START:
        return text
    if _INTEGER.fullmatch(text):
        if len(text) > 30 or text.endswith("_") or "__" in text:
            return text
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    if _BASED.fullmatch(text) and len(text) <= 30:
        return int(text, 0)
    return text


class Place:
    """Where one value of a file stands, its key if it has one, and the places within it (keys as text, or indices)."""

    __slots__ = ("children", "key", "value")

    def __init__(self, key: Position, value: Position) -> None:
        self.key = key
        self.value = value
        self.children: dict[str | int, Place] = {}

    def find(self, path: Sequence[str | int]) -> Place:
        """Return the place at `path`, stepping over parts that are not in the file (such as names of union members)."""
        place = self
        for part in path:
            children = place.children
            inner = children.get(part)
            if inner is None and isinstance(part, int):
                inner = children.get(str(part))
            if inner is not None:
                place = inner
        return place


class Read:
    """What a text held: its value, the places in it, and the mistakes met on the way."""

    __slots__ = ("mistakes", "root", "value")

    def __init__(self, value: Any, root: Place, mistakes: list[Mistake]) -> None:
        self.value = value
        self.root = root
        self.mistakes = mistakes


class _Stop(Exception):
    """Reading cannot go on; the mistake has been noted."""


def read_with_positions(text: str) -> Read:
    """Return everything in `text`; a syntax error ends the reading and is the last of the mistakes."""
    reader = _Reader()
    value: Any = None
    root = Place((1, 1), (1, 1))
    with contextlib.suppress(_Stop):
        value, root = reader.document(text)
    return Read(value, root, reader.mistakes)


class _Reader:
    """Walks the parser's events."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.anchors: dict[str, tuple[Any, Place, int]] = {}
        self.nodes = 0

    def document(self, text: str) -> tuple[Any, Place]:
        """Return the value and the root place of the one document in `text`."""
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        events = _events(text)
        try:
            event = next(events)
            while type(event).__name__ in ("StreamStartEvent", "DocumentStartEvent"):
                event = next(events)
            if type(event).__name__ == "StreamEndEvent":
                return None, Place((1, 1), (1, 1))
            result = self._node(event, events, _position(event.start_mark), 0)
            next(events)  # the end of the document
            after = next(events)
            if type(after).__name__ != "StreamEndEvent":
                self._stop(after, "a second document begins here: one file holds one document")
        except ReaderError as error:
            character = error.character
            shown = f"U+{character:04X}" if isinstance(character, int) else repr(character)
            self._note(_position_of(text, error.position), f"the character {shown} is not allowed in a YAML file")
            raise _Stop from None
        except MarkedYAMLError as error:
            unclosed = error.context_mark if "quoted scalar" in str(error.context or "") else None
            mark = unclosed or error.problem_mark or error.context_mark
            self._note(_position(mark) if mark is not None else (1, 1), _syntax_words(error, text))
            raise _Stop from None
        except (YAMLError, ValueError, OverflowError, RecursionError) as error:  # ValueError: \UFFFFFFFF in quotes
            self._note((1, 1), f"not valid YAML: {error}")
            raise _Stop from None
        return result

    def _note(self, position: Position, message: str) -> None:
        self.mistakes.append((position, message))

    def _stop(self, event: Any, message: str) -> None:
        self._note(_position(event.start_mark), message)
        raise _Stop

    def _node(self, event: Any, events: Iterator[Any], key: Position, depth: int) -> tuple[Any, Place]:
        self.nodes += 1
        if depth > DEPTH_MAX or self.nodes > NODES_MAX:
            self._stop(event, f"nested deeper than {DEPTH_MAX} levels, or too many values for one file")
        kind = type(event).__name__
        if kind == "AliasEvent":
            known = self.anchors.get(event.anchor)
            if known is None:
                self._stop(event, f"'*{event.anchor}' stands for nothing: no finished '&{event.anchor}' is above it")
            else:
                value, place, size = known
                self.nodes += size  # as if written out: aliases of aliases grow without end
                return value, place
        before = self.nodes
        is_empty = kind == "ScalarEvent" and not event.style and not event.value
        # The parser places an empty value at whatever comes next.
        place = Place(key, key if is_empty else _position(event.start_mark))
        if event.tag is not None and not _is_implicit(event):
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self._note(place.value, f"the tag {tag!r} cannot be used here: write the plain value")
        if kind == "MappingStartEvent":
            value = self._mapping(events, place, depth)
        elif kind == "SequenceStartEvent":
            value = self._sequence(events, place, depth)
        else:
            value = self._scalar(event, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, place, self.nodes - before)
        return value, place

    def _mapping(self, events: Iterator[Any], place: Place, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while True:
            event = next(events)
            if type(event).__name__ == "MappingEndEvent":
                return values
            position = _position(event.start_mark)
            name, _ = self._node(event, events, position, depth + 1)
            if type(event).__name__ == "ScalarEvent":
                name = event.value
            if not isinstance(name, str):
                self._note(position, "a key must be one word or number")
                name = f"key {len(values)}"
            value, inner = self._node(next(events), events, position, depth + 1)
            if inner.key != position:  # an alias: the value stands elsewhere, the key here
                inner = _moved(inner, position)
            if name in values:
                first = place.children[name].key[0]
                self._note(position, f"the key {name!r} is here twice: it first stands in line {first}")
                continue
            values[name] = value
            place.children[name] = inner

    def _sequence(self, events: Iterator[Any], place: Place, depth: int) -> list[Any]:
        values: list[Any] = []
        while True:
            event = next(events)
            if type(event).__name__ == "SequenceEndEvent":
                return values
            value, inner = self._node(event, events, _position(event.start_mark), depth + 1)
            place.children[len(values)] = inner
            values.append(value)

    def _scalar(self, event: Any, place: Place) -> Any:
        text: str = event.value
        if not event.style:
            return resolve(text)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._note(place.value, "half of a surrogate pair is not a character")
            return text.encode("utf-8", "replace").decode("utf-8")
        return text


def _moved(place: Place, key: Position) -> Place:
    copy = Place(key, place.value)
    copy.children = place.children
    return copy


def _events(text: str) -> Iterator[Any]:
    from ruamel.yaml import YAML

    events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
    return events


def _is_implicit(event: Any) -> bool:
    implicit = event.implicit
    return bool(any(implicit) if isinstance(implicit, tuple) else implicit)


def _position(mark: Any) -> Position:
    return mark.line + 1, mark.column + 1


def _position_of(text: str, offset: int) -> Position:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _syntax_words(error: Any, text: str) -> str:
    problem = str(error.problem or error.context or error)
    mark = error.problem_mark
    if "cannot start any token" in problem:
        lines = text.split("\n")
        rest = lines[mark.line][mark.column :] if mark is not None and mark.line < len(lines) else ""
        if rest.startswith("\t"):
            return "not valid YAML: a tab cannot indent: use spaces"
        return f"not valid YAML: a value cannot begin with '{rest[:1]}': put the value in quotes"
    if "mapping values are not allowed" in problem:
        return "not valid YAML: a ':' cannot stand here: indent the line as its neighbours, or put the text in quotes"
    if "expected <block end>" in problem:
        return "not valid YAML: this line is not indented as its neighbours are"
    if "could not find expected ':'" in problem:
        return "not valid YAML: a ':' is missing after the key"
    if "flow sequence" in str(error.context or ""):
        return "not valid YAML: the list that began with '[' has no ',' or ']' here"
    if "flow mapping" in str(error.context or ""):
        return "not valid YAML: the mapping that began with '{' has no ',' or '}' here"
    if "unexpected end of stream" in problem and "quoted scalar" in str(error.context or ""):
        return "not valid YAML: the quotation mark that opens here is never closed"
    context = f"{error.context}, " if error.context else ""
    return f"not valid YAML: {context}{problem}"
