"""Loads a user's YAML file into a pydantic model, or names every mistake in it by file, line and column."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from pagerproof.errors import InvalidFile, Problem
from pagerproof.scenario.positions import Position, Read, read_with_positions
from pagerproof.scenario.quick import NotQuick, read_quickly
from pagerproof.scenario.words import plain_words

M = TypeVar("M", bound=BaseModel)

FILE_BYTES_MAX: Final = 4_000_000
_SOURCE_COLUMNS_MAX: Final = 160

KeyPath = Sequence[str | int]


class Loaded(Generic[M]):
    """A file's value, and where in the file each part of it stands.

    A key path names keys (as text or number) and indices of lists: `("faults", 0, "at")`. A path that leads beyond
    what the file says stands for the deepest part that is there.
    """

    def __init__(self, value: M, path: Path, text: str, shown_as: str) -> None:
        self.value = value
        self.path = path
        self.shown_as = shown_as
        self._text = text

    @cached_property
    def _read(self) -> Read:
        return read_with_positions(self._text)

    def locate(self, key_path: KeyPath, *, at: Literal["key", "value"] = "key") -> Position:
        """Return (line, column), both from 1, of the key (or the value) at `key_path`."""
        place = self._read.root.find(key_path)
        return place.key if at == "key" else place.value

    def problem(self, key_path: KeyPath, message: str, *, at: Literal["key", "value"] = "value") -> Problem:
        """Return a problem with this message at the key or the value, for `InvalidFile`."""
        return _problem(self.shown_as, self._text.split("\n"), self.locate(key_path, at=at), message)


def load_file(path: Path, model: type[M], *, shown_as: str | None = None) -> Loaded[M]:
    """Read `path` as a `model`; messages call the file `shown_as`.

    Raises InvalidFile with all mistakes of the file at once: what cannot be read, syntax, duplicate and unknown keys,
    missing keys, wrong types and values.
    """
    shown = shown_as if shown_as is not None else shown_path(path)
    text = read_text(path, shown)
    try:
        value = model.model_validate_json(json.dumps(read_quickly(text)), strict=True)
    except (NotQuick, ValidationError):
        value = _load_slowly(text, model, shown)
    return Loaded(value, path, text, shown)


def shown_path(path: Path) -> str:
    """Return the path as a reader would write it: relative where it lies below the working folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read_text(path: Path, shown: str) -> str:
    """Return the file's text, its line ends as `\\n`. Raises InvalidFile, also for a folder or for bytes not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise _unreadable(shown, "there is no such file") from None
    except IsADirectoryError:
        raise _unreadable(shown, "this is a folder, not a file") from None
    except PermissionError:
        raise _unreadable(shown, "the file may not be read (permission denied)") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _unreadable(shown, f"the file cannot be read: {reason}") from None
    if len(content) > FILE_BYTES_MAX:
        raise _unreadable(shown, f"the file is larger than {FILE_BYTES_MAX // 1_000_000} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"not UTF-8: the byte 0x{content[error.start]:02x} is no character; save the file as UTF-8"
        raise InvalidFile([Problem(path=shown, line=line, column=column, message=message)]) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unreadable(shown: str, message: str) -> InvalidFile:
    return InvalidFile([Problem(path=shown, message=message)])


def _load_slowly(text: str, model: type[M], shown: str) -> M:
    read = read_with_positions(text)
    lines = text.split("\n")
    problems = [_problem(shown, lines, position, message) for position, message in read.mistakes]
    if not isinstance(read.value, dict):
        if not problems:
            problems.append(_problem(shown, lines, read.root.value, _not_a_mapping(read.value, model)))
        raise InvalidFile(problems)
    value: M | None = None
    try:
        value = model.model_validate_json(json.dumps(read.value), strict=True)
    except ValidationError as error:
        for path, at, message in plain_words(error, model, read.value):
            place = read.root.find(path)
            problems.append(_problem(shown, lines, place.key if at == "key" else place.value, message))
    if problems or value is None:
        problems.sort(key=lambda problem: (problem.line, problem.column))
        raise InvalidFile(problems)
    return value


def _not_a_mapping(value: Any, model: type[BaseModel]) -> str:
    first = next((field.alias or name for name, field in model.model_fields.items() if field.is_required()), "key")
    if value is None:
        return f"the file is empty: it should begin with '{first}:'"
    kind = "a list" if isinstance(value, list) else "a single value"
    return f"the file holds {kind}, not a mapping: it should begin with '{first}:'"


def _problem(shown: str, lines: list[str], position: Position, message: str) -> Problem:
    line, column = position
    source = lines[line - 1] if line <= len(lines) else ""
    if len(source) > _SOURCE_COLUMNS_MAX:
        source = source[:_SOURCE_COLUMNS_MAX] + "…" if column <= _SOURCE_COLUMNS_MAX else ""
    return Problem(path=shown, line=line, column=column, message=message, source_line=_printable(source))


def _printable(line: str) -> str:
    """Take the characters out that would move a terminal's cursor or turn the reading direction."""
    return line if line.isprintable() else "".join(c if c.isprintable() else " " for c in line)
