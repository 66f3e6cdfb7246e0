"""Where the command line prints: a console per stream, with its colours, its width, and characters it can show."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

from rich.console import Console

PIPED_COLUMNS: Final = 100
_COLUMNS_MIN: Final = 20
_ERRORS: Final = "pagerproof-plain"
# One column for one column, so that what was laid out in Unicode stays laid out.
_PLAIN: Final = str.maketrans(
    {
        "·": "-", "×": "x", "…": "~", "—": "-", "–": "-", "−": "-", "→": ">", "←": "<", "µ": "u", "∞": "~",
        "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "\u00a0": " ", "\u202f": " ",
        "█": "#", "▓": "*", "▒": ":", "░": ".", "━": "=", "─": "-", "╸": "-", "╺": "-", "│": "|", "●": "*",
        "\u2068": "", "\u2069": "", "\u200c": "", "\u200d": "",
    }
)  # fmt: skip


class _PipedConsole(Console):
    """A console whose reader may go away: rich itself would end the process with the status of a failed gate."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError."""
        raise BrokenPipeError


def stdout_console(color: str) -> Console:
    """Return a console on standard output; `color` is auto, always or never."""
    return console_on(sys.stdout, color)


def stderr_console(color: str) -> Console:
    """Return a console on standard error; `color` is auto, always or never."""
    return console_on(sys.stderr, color)


def console_on(stream: TextIO, color: str, environment: Mapping[str, str] | None = None) -> Console:
    """Return a console on a stream that prints data as it is: no markup, no emoji codes, no highlighting.

    auto: NO_COLOR, then FORCE_COLOR, then whether the stream is a terminal. The width is COLUMNS, else the
    terminal's, else 100. What the stream's encoding lacks is replaced; nothing raises.
    """
    environment = os.environ if environment is None else environment
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=_ERRORS)
    is_terminal = _is_terminal(stream)
    is_colored = _is_colored(color, environment, is_terminal)
    return _PipedConsole(
        file=stream,
        color_system="standard" if is_colored else None,
        no_color=not is_colored,
        force_terminal=is_terminal,
        force_interactive=is_terminal and environment.get("TERM", "") not in ("dumb", "unknown"),
        force_jupyter=False,
        legacy_windows=False,
        width=_columns(environment, is_terminal),
        markup=False,
        emoji=False,
        highlight=False,
        _environ=environment,
    )


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _is_colored(color: str, environment: Mapping[str, str], is_terminal: bool) -> bool:
    if color != "auto":
        return color == "always"
    if environment.get("NO_COLOR"):
        return False
    forced = environment.get("FORCE_COLOR")
    if forced:
        return forced not in ("0", "false")
    return is_terminal and environment.get("TERM", "") not in ("dumb", "unknown")


def _columns(environment: Mapping[str, str], is_terminal: bool) -> int | None:
    said = environment.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said) > 0:
        return max(int(said), _COLUMNS_MIN)
    return None if is_terminal else PIPED_COLUMNS


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = error.object[error.start : error.end].translate(_PLAIN)
    shown = "".join(character if character.isascii() else "?" for character in plain)
    return shown, error.end


codecs.register_error(_ERRORS, _replace)
