"""Reads the plain part of YAML that most files keep to, many times faster than a full parser, and nothing else."""

from __future__ import annotations

import re
from typing import Any, Final

from pagerproof.scenario.positions import resolve

_DEPTH_MAX: Final = 40

# Everything outside of these patterns is left to the full parser: anchors, tags, escapes, tabs, several documents,
# plain text over several lines, keys that are not simple words. Reading too little costs time; reading wrongly would
# be a bug, and tests compare this reader with the full one.
_UNUSUAL = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_START = r"(?:[A-Za-z0-9_./~<=$^()+;\\\u00a1-\u2027\u202a-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|-(?=[A-Za-z0-9.]))"
_REST = r" *(?: #[^\n]*)?(?=\n|\Z)"
_KEY = re.compile(r"([A-Za-z0-9_.][A-Za-z0-9_.-]{0,100}):(?: +|(?=\n|\Z))")
_DASH = re.compile(r"-(?: +|(?=\n|\Z))")
_BLANK = re.compile(r"(?: *(?:#[^\n]*)?\n)*")
_INDENT = re.compile(" *")
_END = re.compile(_REST)
_EMPTY = re.compile(r"(?:#[^\n]*)?(?=\n|\Z)")
_QUOTED = re.compile(rf"""(?:"([^"\\\n]*)"|'((?:[^'\n]|'')*)'){_REST}""")
_PLAIN = re.compile(rf"({_START}(?:[^:# \n]|:(?=[^ \n])|(?<! )#| +(?=[^ #\n]))*){_REST}")
_BLOCK = re.compile(r"([|>])(-?) *(?: #[^\n]*)?\n")
_FLOW_SPACE = re.compile(r"(?:[ \n]+(?:#[^\n]*)?)*")
_FLOW_KEY = re.compile(r"([A-Za-z0-9_.][A-Za-z0-9_.-]{0,100}): +")
_FLOW_SCALAR = re.compile(
    rf"""(?:"([^"\\\n]*)"|'((?:[^'\n]|'')*)'"""
    rf"""|({_START}(?:[^\n,\[\]{{}}:# ]|:(?=[^ \n,\[\]{{}}])|(?<! )\#| +(?=[^ \n,\[\]{{}}:#]))*))"""
)


class NotQuick(Exception):
    """The text goes beyond the plain part of YAML, or is wrong: a full parser must read it."""


def read_quickly(text: str) -> dict[str, Any]:
    """Return the mapping in `text`, as the full parser would. Raises NotQuick for everything unusual."""
    if _UNUSUAL.search(text) is not None:
        raise NotQuick
    reader = _Quick(text)
    if reader.indent != 0 or reader.ended:
        raise NotQuick
    value = reader.mapping(0, 0)
    if not reader.ended:
        raise NotQuick
    return value


class _Quick:
    """A position in the text; `at` is the first character of content of a line, `indent` its column."""

    __slots__ = ("at", "ended", "indent", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.indent = 0
        self.ended = False
        self._line(0)

    def _line(self, start: int) -> None:
        """Go to the next line with content, from `start`, the beginning of a line."""
        text = self.text
        start = _BLANK.match(text, start).end()  # type: ignore[union-attr]  # matches the empty text, always
        at = _INDENT.match(text, start).end()  # type: ignore[union-attr]  # the same
        self.at = at
        self.indent = at - start
        self.ended = at >= len(text)
        if not self.ended and text[at] == "#":  # a comment in the last line, which no line end follows
            self.ended = "\n" not in text[at:]

    def _next(self, end: int) -> None:
        """Go on after the line whose content ended at `end`."""
        if end < len(self.text):
            self._line(end + 1)
        else:
            self.at, self.ended = end, True

    def mapping(self, indent: int, depth: int) -> dict[str, Any]:
        """Read the block mapping whose keys stand in column `indent`."""
        if depth > _DEPTH_MAX:
            raise NotQuick
        text = self.text
        values: dict[str, Any] = {}
        while not self.ended and self.indent == indent:
            match = _KEY.match(text, self.at)
            if match is None:
                if values and text.startswith("-", self.at):
                    break
                raise NotQuick
            key = match[1]
            if key in values or key.startswith(("---", "...")):
                raise NotQuick
            values[key] = self._value(match.end(), indent, depth, True)
        if not self.ended and self.indent > indent:
            raise NotQuick
        return values

    def _sequence(self, indent: int, depth: int) -> list[Any]:
        if depth > _DEPTH_MAX:
            raise NotQuick
        text = self.text
        values: list[Any] = []
        while not self.ended and self.indent == indent:
            match = _DASH.match(text, self.at)
            if match is None:
                break
            start = match.end()
            if _KEY.match(text, start) is not None:
                self.indent += start - self.at
                self.at = start
                values.append(self.mapping(self.indent, depth + 1))
            else:
                values.append(self._value(start, indent, depth, False))
        if not self.ended and self.indent > indent:
            raise NotQuick
        return values

    def _value(self, start: int, indent: int, depth: int, of_key: bool) -> Any:
        """Read the value that begins at `start`, behind a key or dash in column `indent`."""
        text = self.text
        match = _EMPTY.match(text, start)
        if match is not None:
            self._next(match.end())
            return self._nested(indent, depth, of_key)
        first = text[start]
        if first in "[{":
            value, end = self._flow(start, depth + 1)
            match = _END.match(text, end)
            if match is None:
                raise NotQuick
            self._check_indents(start, end, indent)
            self._next(match.end())
            return value
        if first in "|>":
            return self._block(start, indent)
        if first in "\"'":
            match = _QUOTED.match(text, start)
            if match is None:
                raise NotQuick
            self._next(match.end())
            double = match[1]
            return double if double is not None else match[2].replace("''", "'")
        match = _PLAIN.match(text, start)
        if match is None:
            raise NotQuick
        self._next(match.end())
        return resolve(match[1])

    def _nested(self, indent: int, depth: int, of_key: bool) -> Any:
        if self.ended:
            return None
        dash = _DASH.match(self.text, self.at) is not None
        if self.indent > indent:
            return self._sequence(self.indent, depth + 1) if dash else self.mapping(self.indent, depth + 1)
        if self.indent == indent and dash and of_key:
            return self._sequence(indent, depth + 1)
        return None

    def _block(self, start: int, indent: int) -> str:
        """Read literal or folded text."""
        text = self.text
        match = _BLOCK.match(text, start)
        if match is None:
            raise NotQuick
        at = match.end()
        margin = _INDENT.match(text, at).end() - at  # type: ignore[union-attr]  # matches the empty text, always
        if margin <= indent:
            raise NotQuick
        space = " " * margin
        lines: list[str] = []
        while True:
            end = text.find("\n", at)
            if end < 0:
                if at < len(text):
                    raise NotQuick  # the last line has no end: chomping differs
                break
            line = text[at:end]
            if line.startswith(space):
                lines.append(line[margin:])
            elif line.strip(" "):
                break
            else:
                lines.append("")
            if lines[-1].startswith(" ") or lines[-1].endswith(" "):
                raise NotQuick
            at = end + 1
        while lines and not lines[-1]:
            lines.pop()
        if not lines or not lines[0] or any(line.startswith("\t") for line in lines):
            raise NotQuick
        self._line(at)
        body = "\n".join(lines) if match[1] == "|" else _folded(lines)
        return body if match[2] else body + "\n"

    def _flow(self, at: int, depth: int) -> tuple[Any, int]:
        """Read the flow collection or scalar at `at`; return it and where it ends."""
        if depth > _DEPTH_MAX:
            raise NotQuick
        text = self.text
        first = text[at : at + 1]
        if first == "[":
            return self._flow_sequence(at + 1, depth)
        if first == "{":
            return self._flow_mapping(at + 1, depth)
        match = _FLOW_SCALAR.match(text, at)
        if match is None:
            raise NotQuick
        double, single, plain = match.groups()
        if plain is not None:
            return resolve(plain), match.end()
        return (double if double is not None else single.replace("''", "'")), match.end()

    def _flow_sequence(self, at: int, depth: int) -> tuple[list[Any], int]:
        text = self.text
        values: list[Any] = []
        while True:
            at = _FLOW_SPACE.match(text, at).end()  # type: ignore[union-attr]  # matches the empty text, always
            if text.startswith("]", at):
                return values, at + 1
            value, at = self._flow(at, depth + 1)
            values.append(value)
            at = self._flow_comma(at, "]")

    def _flow_mapping(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        text = self.text
        values: dict[str, Any] = {}
        while True:
            at = _FLOW_SPACE.match(text, at).end()  # type: ignore[union-attr]  # matches the empty text, always
            if text.startswith("}", at):
                return values, at + 1
            match = _FLOW_KEY.match(text, at)
            if match is None or match[1] in values:
                raise NotQuick
            values[match[1]], at = self._flow(match.end(), depth + 1)
            at = self._flow_comma(at, "}")

    def _flow_comma(self, at: int, close: str) -> int:
        """Step over the comma; stay before the closing bracket."""
        text = self.text
        at = _FLOW_SPACE.match(text, at).end()  # type: ignore[union-attr]  # matches the empty text, always
        if text.startswith(",", at):
            return at + 1
        if text.startswith(close, at):
            return at
        raise NotQuick

    def _check_indents(self, start: int, end: int, indent: int) -> None:
        """Refuse a flow collection over several lines whose later lines stand too far left."""
        if "\n" not in self.text[start:end]:
            return
        for line in self.text[start:end].split("\n")[1:]:
            if line.strip(" ") and len(line) - len(line.lstrip(" ")) <= indent:
                raise NotQuick


def _folded(lines: list[str]) -> str:
    """Join lines by a space each, and paragraphs by the line ends between them."""
    text = lines[0]
    blank = 0
    for line in lines[1:]:
        if not line:
            blank += 1
        elif blank:
            text += "\n" * blank + line
            blank = 0
        else:
            text += " " + line
    return text
