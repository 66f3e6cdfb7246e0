"""The command that checks files and runs nothing: what kind of file each one is, and every mistake in it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.text import Text

from pagerproof.cli.catalogue import read_document
from pagerproof.cli.console import stderr_console, stdout_console
from pagerproof.errors import InvalidFile, Problem, UsageError
from pagerproof.reporting.layout import visible
from pagerproof.scenario.load import read_text, shown_path


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """A kind of file that can be checked: how it opens, what it is called, and the check, which returns its id."""

    schema: str
    name: str
    check: Callable[[Path], str]

    @property
    def prefix(self) -> str:
        """The schema without its version: a file of another version is told about as one of this kind."""
        return self.schema.rpartition("/")[0]


def validate_command(files: Sequence[Path]) -> int:
    """Check files, and the *.yaml of folders: `ok` lines on stdout, every mistake on stderr. Returns 0 or 2."""
    out, err = stdout_console("auto"), stderr_console("auto")
    bad = 0
    for path in files:
        for each in _expanded(path):
            try:
                said = _checked(each)
            except InvalidFile as error:
                bad += 1
                for problem in error.problems:
                    err.print(Text(str(problem)), soft_wrap=True)
            except UsageError as error:
                bad += 1
                err.print(Text(f"{visible(shown_path(each))}: {error}"), soft_wrap=True)
            else:
                out.print(Text(f"ok  {visible(shown_path(each))} ({said})"), soft_wrap=True)
    return 2 if bad else 0


def _expanded(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.glob("*.yaml") if not each.name.startswith("."))
    return found or [path]


def _checked(path: Path) -> str:
    """Return what the file is. Raises InvalidFile, UsageError."""
    if path.is_dir():
        raise InvalidFile([Problem(path=shown_path(path), message="there is no *.yaml in this folder")])
    kind = kind_of(path)
    return f"{kind.name} {visible(kind.check(path))}"


_SCHEMA_LINE: Final = re.compile(r"""^schema:[ \t]*["']?([^\s"'#]*)""", re.MULTILINE)


def kind_of(path: Path) -> FileKind:
    """Return the kind that the file says it is, also where its YAML is broken. Raises InvalidFile."""
    shown = shown_path(path)
    text = read_text(path, shown)
    match = _SCHEMA_LINE.search(text)
    expected = ", ".join(kind.schema for kind in _FILE_KINDS)
    if match is None:
        message = f"the file does not say what it is: it should begin with 'schema:' and one of {expected}"
        raise InvalidFile([_problem_at(shown, text, 0, message)])
    for kind in _FILE_KINDS:
        if match[1].rpartition("/")[0] == kind.prefix:
            return kind
    near = difflib.get_close_matches(match[1], [kind.schema for kind in _FILE_KINDS], n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {expected}"
    raise InvalidFile([_problem_at(shown, text, match.start(1), f"schema: {match[1]!r} is none of ours: {hint}")])


def _problem_at(shown: str, text: str, offset: int, message: str) -> Problem:
    line = text.count("\n", 0, offset) + 1
    start = text.rfind("\n", 0, offset) + 1
    source = visible(text[start:].partition("\n")[0])[:160]
    return Problem(path=shown, line=line, column=offset - start + 1, message=message, source_line=source)


def _check_scenario(path: Path) -> str:
    from pagerproof.experiment.plan import known
    from pagerproof.scenario.read import read_scenario

    return read_scenario(path, known(Path.cwd())).id


def _check_fault_model(path: Path) -> str:
    from pagerproof.experiment.plan import read_fault_model
    from pagerproof.services.added import operations_around

    return read_fault_model(path, operations_around(Path.cwd())).id


def _check_intents(path: Path) -> str:
    from pagerproof.services.catalogue import OPERATIONS
    from pagerproof.workload.intents import load_intents

    intents = load_intents(path, OPERATIONS)
    return f"{read_document(path).get('id')}, {len(intents)} of them"


SCENARIO: Final = FileKind(schema="pagerproof/scenario/1", name="scenario", check=_check_scenario)
FAULT_MODEL: Final = FileKind(schema="pagerproof/fault-model/1", name="fault model", check=_check_fault_model)
_INTENTS: Final = FileKind(schema="pagerproof/intents/1", name="intents", check=_check_intents)
_FILE_KINDS: Final = (SCENARIO, FAULT_MODEL, _INTENTS)
