"""A user's YAML or JSON document, and where in its file each part stands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from pagerproof.errors import InvalidFile, Problem
from pagerproof.scenario.load import read_text, shown_path
from pagerproof.scenario.positions import Read, read_with_positions
from pagerproof.scenario.quick import NotQuick, read_quickly

_SOURCE_COLUMNS_MAX = 160


class Document:
    """What a file says, and its mistakes as they are found; `finish` raises them all at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shown = shown_path(path)
        self._text = read_text(path, self._shown)
        self.problems: list[Problem] = []
        self.value: Any = self._parsed()

    def _parsed(self) -> Any:
        try:
            return orjson.loads(self._text)
        except orjson.JSONDecodeError:
            pass
        try:
            return _with_text_keys(read_quickly(self._text))
        except NotQuick:
            read = self._read
        self.problems += [self._problem(line, column, message) for (line, column), message in read.mistakes]
        self.finish()
        return _with_text_keys(read.value)

    @cached_property
    def _read(self) -> Read:
        return read_with_positions(self._text)

    def mistake(self, place: Sequence[str | int], message: str) -> None:
        """Note what is wrong at a key path of the document."""
        line, column = self._read.root.find(place).key
        self.problems.append(self._problem(line, column, message))

    def finish(self) -> None:
        """Raise InvalidFile with all mistakes, in the order of the file, where there are any."""
        if self.problems:
            raise InvalidFile(sorted(self.problems, key=lambda each: (each.line, each.column)))

    def _problem(self, line: int, column: int, message: str) -> Problem:
        lines = self._text.split("\n")
        source = lines[line - 1] if 0 < line <= len(lines) else ""
        if len(source) > _SOURCE_COLUMNS_MAX or not source.isprintable():
            source = ""
        return Problem(path=self._shown, line=line, column=column, message=message, source_line=source)


def _with_text_keys(value: Any) -> Any:
    """YAML has numbers as keys where documents mean text, such as statuses."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(each) for key, each in value.items()}
    return [_with_text_keys(each) for each in value] if isinstance(value, list) else value
