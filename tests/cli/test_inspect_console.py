"""The consoles of the command line: colours, widths, and characters that the other end cannot show."""

from __future__ import annotations

import io

import pytest
from rich.text import Text

from pagerproof.cli.console import PIPED_COLUMNS, console_on


class Stream(io.TextIOWrapper):
    """Standard output of a process, on a terminal or not."""

    def __init__(self, *, terminal: bool = False, encoding: str = "utf-8") -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding=encoding, write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _printed(color: str, *, terminal: bool = False, encoding: str = "utf-8", **environment: str) -> str:
    stream = Stream(terminal=terminal, encoding=encoding)
    console = console_on(stream, color, {"TERM": "xterm-256color", **environment})
    console.print(Text("red", style="bold red"))
    return stream.raw_bytes.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("color", "terminal", "environment", "colored"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", True, {"FORCE_COLOR": "0"}, False),
        ("auto", True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1", "TERM": "dumb"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_follow_the_option_then_the_environment_then_the_stream(
    color: str, terminal: bool, environment: dict[str, str], colored: bool
) -> None:
    assert ("\x1b[1;31m" in _printed(color, terminal=terminal, **environment)) is colored


@pytest.mark.parametrize(
    ("environment", "columns"),
    [({}, PIPED_COLUMNS), ({"COLUMNS": "72"}, 72), ({"COLUMNS": "0"}, PIPED_COLUMNS), ({"COLUMNS": "3"}, 20)],
)
def test_piped_output_is_as_wide_as_columns_says_or_100(environment: dict[str, str], columns: int) -> None:
    assert console_on(Stream(), "auto", environment).width == columns


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_encoding_lacks_is_replaced_and_nothing_raises(encoding: str) -> None:
    stream = Stream(encoding=encoding)
    console = console_on(stream, "auto", {})
    console.print("3 × 5 … שלום 日本 \udc80 😀")
    printed = stream.raw_bytes.getvalue().decode(encoding)
    if encoding == "ascii":
        assert printed == "3 x 5 ~ ???? ?? ? ?\n"
    else:
        assert printed.startswith("3 × 5 ")


def test_data_is_printed_as_it_is() -> None:
    stream = Stream()
    console_on(stream, "always", {}).print("[bold]x[/] :smile: 12.5 'text' http://example.com")
    assert stream.raw_bytes.getvalue().decode() == "[bold]x[/] :smile: 12.5 'text' http://example.com\n"
