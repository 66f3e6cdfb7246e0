"""What renderers on a terminal share: harmless text, hanging indents, tables that turn into lines, commands to copy."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_JOINERS = "\u200c\u200d"  # Persian and emoji need them, and they move nothing
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_TEXT_COLUMNS_MIN = 16
_COLUMN_GAP = 3
_FLEXIBLE_COLUMNS_MIN = 18
SEPARATOR = "·"
"""Stands where a table has nothing to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table; a flexible one may be wrapped, the others are whole or the table is not shown as one."""

    name: str
    right: bool = False
    flexible: bool = False


def visible(text: str) -> str:
    """Return the text with everything escaped that moves a cursor, turns the reading direction or hides itself."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _HARMFUL:
        return character
    if character in "\n\t":
        return " "
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def isolated(text: str) -> str:
    """Return one line of text so that right-to-left words in it cannot reorder what stands beside them."""
    if text.isascii() or not any(unicodedata.bidirectional(each) in _RIGHT_TO_LEFT for each in text):
        return text
    return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"


def wrapped(console: Console, text: str, columns: int) -> list[str]:
    """Return the harmless text in lines of at most so many columns: between words, within a word that is longer."""
    lines = Text(visible(text)).wrap(console, columns, overflow="fold", no_wrap=False)
    return [isolated(line.plain.strip()) for line in lines] or [""]


def print_hanging(console: Console, lead: Text, text: str, *, style: str = "", indent: int | None = None) -> None:
    """Print `lead` and the text after it, further lines indented to where it begins (or by `indent`)."""
    lead_columns = cell_len(lead.plain)
    hang = lead_columns if indent is None else indent
    hang = max(0, min(hang, console.width - _TEXT_COLUMNS_MIN))
    lead = lead.copy()
    lead.append(" " * (hang - lead_columns))
    lines = wrapped(console, text, console.width - hang)
    if lead_columns > hang:
        room = console.width - lead_columns
        first = _first_words(console, text, room)
        if first:
            rest = visible(text).strip()[len(first) :].strip()
            lines = [isolated(first), *(wrapped(console, rest, console.width - hang) if rest else [])]
        else:
            lead.rstrip()
            print_lines(console, lead)
            lead = Text(" " * hang)
    for line in lines:
        console.print(Text.assemble(lead, (line, style)), soft_wrap=True)
        lead = Text(" " * hang)


def _first_words(console: Console, text: str, columns: int) -> str:
    """Return the whole words of the text that fit into so many columns, none where the first is longer."""
    plain = visible(text).strip()
    if columns < 1 or cell_len(plain.partition(" ")[0]) > columns:
        return ""
    return Text(plain).wrap(console, columns, overflow="fold")[0].plain.strip()


def print_lines(console: Console, text: Text) -> None:
    """Print styled text wrapped to the console, never wider."""
    for line in text.wrap(console, console.width, overflow="fold"):
        line.rstrip()
        console.print(line, soft_wrap=True)


def print_command(console: Console, lead: str, command: str) -> None:
    """Print a command that can be copied as it stands: broken between words with a backslash where it is too long."""
    line = Text(lead)
    fresh = True
    words = _words(visible(command), console.width)
    for number, word in enumerate(words):
        room = console.width - (2 if number < len(words) - 1 else 0)
        if not fresh and cell_len(line.plain) + 1 + cell_len(word) > room:
            console.print(Text.assemble(line, " \\"), soft_wrap=True)
            line, fresh = Text("    "), True
        line.append(word if fresh else f" {word}", style="cyan")
        fresh = False
    console.print(line, soft_wrap=True)


def _words(command: str, columns: int) -> list[str]:
    """Return the words of a command, an option together with its value where the two fit on a line."""
    words: list[str] = []
    for word in command.split(" "):
        together = f"{words[-1]} {word}" if words and words[-1].startswith("--") else ""
        if together and " " not in words[-1] and cell_len(together) + 6 <= columns:
            words[-1] = together
        else:
            words.append(word)
    return words


def print_table(console: Console, title: str, columns: Sequence[Column], rows: Sequence[Sequence[Text | str]]) -> None:
    """Print a table; where the console is too narrow for its columns, each row as a few lines that say the same."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    if title:
        print_lines(console, Text(visible(title), style="bold"))
    if _needed(columns, texts) <= console.width:
        _print_as_table(console, columns, texts)
    else:
        for row in texts:
            _print_as_lines(console, columns, row)
        console.print()


def _cell(cell: Text | str) -> Text:
    return cell if isinstance(cell, Text) else Text(isolated(visible(cell)))


def _needed(columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> int:
    total = _COLUMN_GAP * (len(columns) - 1)
    for position, column in enumerate(columns):
        widest = max([cell_len(column.name), *(cell_len(row[position].plain) for row in rows)])
        total += _columns_least(column, [row[position].plain for row in rows]) if column.flexible else widest
    return total


def _columns_least(column: Column, texts: Sequence[str]) -> int:
    """Return what a flexible column needs so that no word of it is broken."""
    words = [word for text in (column.name, *texts) for word in text.split()]
    widest = max(cell_len(text) for text in (column.name, *texts))
    return min(widest, max(_FLEXIBLE_COLUMNS_MIN, *(cell_len(word) for word in words), 0))


def _print_as_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for column in columns:
        table.add_column(
            Text(column.name),
            justify="right" if column.right else "left",
            no_wrap=not column.flexible,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def _print_as_lines(console: Console, columns: Sequence[Column], row: Sequence[Text]) -> None:
    print_lines(console, row[0])
    said = [
        f"{column.name} {cell.plain}".strip()
        for column, cell in zip(columns[1:], row[1:], strict=True)
        if cell.plain not in ("", SEPARATOR)
    ]
    if said:
        print_hanging(console, Text("  "), ", ".join(said))
