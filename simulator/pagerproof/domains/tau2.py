"""Reads a tau2-bench domain folder: its database, and its tasks with the state in which their gold actions leave it.

tau2-bench (Sierra, MIT licence) judges a task by the database after the conversation, compared with the database after
the task's gold actions. The folder holds data (db.json, tasks.json), not tools; `pagerproof.domains.toolset` says what
stands in for them. A gold action that the tools refuse changes nothing, as in the benchmark's own evaluation, and is
left out of the happy path (`Task.refused` keeps it); reads that the policy demands and the data leaves out come before
(the tools' `before`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pagerproof.domains import retail
from pagerproof.domains.records import Kept, Record, Records, Tables
from pagerproof.domains.toolset import Action, Tool, Toolset, file_of, load_toolset, toolset_of
from pagerproof.errors import InvalidFile, Problem, UsageError
from pagerproof.model import WAS, ExpectedEffect, LedgerEntry, end_state_of
from pagerproof.scenario.added import Find
from pagerproof.scenario.words import nearest

_BUILT_IN: Final = {"retail": retail}
_NOT_ACTIONS: Final = "NL_ASSERTION"
_WANTED: Final = "workload.tau2 names a domain folder of tau2-bench, which holds db.json and tasks.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One step of a happy path: what is called, what it answers when nothing goes wrong, and whether it writes."""

    name: str
    arguments: Mapping[str, Any]
    answer: Any
    writes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task: what the customer was told to want, the path to the gold end state, and what that changes.

    `instructions` are the scenario's fields by name; `user` is the customer's record (None where nothing names one);
    `criteria` are those in natural language, which a comparison of end states does not judge; `refused` are the gold
    actions that the tools refuse.
    """

    id: str
    instructions: Mapping[str, str]
    user: Record | None
    path: tuple[Done, ...]
    effects: tuple[ExpectedEffect, ...]
    end_state: Mapping[str, str]
    criteria: tuple[str, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A domain: its name (also that of its service), its database, its tools and its tasks."""

    name: str
    tables: Tables
    toolset: Toolset
    tasks: tuple[Task, ...]


def find_folder(given: str, find: Find) -> Path:
    """Return the domain folder that a scenario names. Raises UsageError."""
    try:
        folder = find(given)
    except UsageError as error:
        raise UsageError(f"{error}: {_WANTED}") from None
    if not folder.is_dir():
        raise UsageError(f"'{given}' is not a folder: {_WANTED}")
    return folder


def domain_name(folder: Path) -> str:
    """Return the name of the domain in a folder. Raises InvalidFile."""
    return _domain_name(_tasks(folder), folder / "tasks.json")


def domain_files(folder: Path, tools: str | None, find: Find) -> tuple[Path, ...]:
    """Return the files that decide what a domain is: its data, and the user's own tools."""
    own = None if tools is None else file_of(tools, find)
    return (folder / "db.json", folder / "tasks.json", *(() if own is None else (own,)))


def load_domain(folder: Path, tools: str | None, find: Find) -> Domain:
    """Return the domain in a tau2-bench data folder; `tools` as `load_toolset` takes it, None for those we ship.

    Raises UsageError for the tools, InvalidFile with the task's id for what is wrong in the folder's files.
    """
    raw = _tasks(folder)
    name = _domain_name(raw, folder / "tasks.json")
    if tools is None and name not in _BUILT_IN:
        raise UsageError(
            f"there are no tools of ours for the domain {name!r}, only for {', '.join(_BUILT_IN)}: name a module of "
            "your own under workload.tools; the docstring of pagerproof.domains.toolset says what it must offer"
        )
    toolset = toolset_of(_BUILT_IN[name]) if tools is None else load_toolset(tools, find)
    tables = _tables(folder / "db.json")
    tasks = _TaskReader(name, tables, toolset, folder / "tasks.json").read_all(raw)
    return Domain(name=name, tables=tables, toolset=toolset, tasks=tasks)


def _tasks(folder: Path) -> list[Any]:
    file = folder / "tasks.json"
    raw = _read(file)
    if not isinstance(raw, list) or not raw:
        raise _wrong(file, "should hold a list of tasks")
    return raw


def _tables(file: Path) -> Tables:
    tables = _read(file)
    if not (
        isinstance(tables, dict)
        and tables
        and all(isinstance(rows, dict) for rows in tables.values())
        and all(isinstance(record, dict) for rows in tables.values() for record in rows.values())
    ):
        raise _wrong(file, "should hold tables: for each a mapping from keys to records")
    found: Tables = tables
    return found


def _read(file: Path) -> Any:
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise _wrong(file, "there is no such file; a domain folder of tau2-bench holds it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(file, f"cannot be read: {error}") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = Problem(path=str(file), line=error.lineno, column=error.colno, message=f"not JSON: {error.msg}")
        raise InvalidFile([problem]) from None
    except RecursionError:
        raise _wrong(file, "is nested too deeply") from None


def _wrong(file: Path, message: str) -> InvalidFile:
    return InvalidFile([Problem(path=str(file), message=message)])


def _domain_name(tasks: Sequence[Any], file: Path) -> str:
    names: dict[str, None] = {}
    for task in tasks:
        scenario = task.get("user_scenario") if isinstance(task, dict) else None
        instructions = scenario.get("instructions") if isinstance(scenario, dict) else None
        name = instructions.get("domain") if isinstance(instructions, dict) else None
        if isinstance(name, str) and name.isidentifier():
            names[name] = None
    if len(names) != 1:
        found = f"they name {', '.join(names)}" if names else "none of them does"
        raise _wrong(file, f"every task's user_scenario.instructions.domain must name the same domain; {found}")
    return next(iter(names))


class _Mistake(Exception):
    """What is wrong with one task."""


class _TaskReader:
    """Reads tasks one by one, carrying their gold actions out."""

    def __init__(self, domain: str, tables: Tables, toolset: Toolset, file: Path) -> None:
        self._domain = domain
        self._tables = tables
        self._toolset = toolset
        self._file = file

    def read_all(self, raw: Sequence[Any]) -> tuple[Task, ...]:
        tasks, problems, ids = [], [], set()
        for number, each in enumerate(raw):
            identity = each.get("id") if isinstance(each, dict) else None
            named = f"task {identity}" if isinstance(identity, (str, int)) else f"the task at place {number + 1}"
            try:
                task = self._task(each)
                if task.id in ids:
                    raise _Mistake("there is an earlier task with this id")
                ids.add(task.id)
                tasks.append(task)
            except _Mistake as mistake:
                problems.append(Problem(path=str(self._file), message=f"{named}: {mistake}"))
        if problems:
            raise InvalidFile(problems)
        return tuple(tasks)

    def _task(self, raw: Any) -> Task:
        if not isinstance(raw, dict) or not isinstance(raw.get("id"), (str, int)):
            raise _Mistake("should be a mapping with an id")
        if raw.get("initial_state"):
            raise _Mistake("has an initial_state, which this import cannot set up")
        criteria = raw.get("evaluation_criteria") or {}
        actions = criteria.get("actions") or [] if isinstance(criteria, dict) else None
        if not isinstance(actions, list):
            raise _Mistake("evaluation_criteria.actions should be a list of actions")
        instructions = _instructions(raw.get("user_scenario"))
        text = " ".join(instructions.values())
        path, entries, refused = self._carry_out([self._action(action) for action in actions], text)
        return Task(
            id=str(raw["id"]),
            instructions=instructions,
            user=self._user(path, text),
            path=path,
            effects=tuple(_expected(entry) for entry in entries),
            end_state=end_state_of(entries),
            criteria=("natural-language criteria",) if _has_words(criteria) else (),
            refused=refused,
        )

    def _action(self, raw: Any) -> Action:
        if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
            raise _Mistake("an action should be a mapping with a name and arguments")
        name, arguments = raw["name"], raw.get("arguments") or {}
        identity = raw.get("action_id", "")
        if raw.get("requestor", "assistant") != "assistant":
            raise _Mistake(f"action {identity} {name} is the customer's own (requestor), which nobody can take here")
        tool = self._toolset.tools.get(name)
        if tool is None:
            raise _Mistake(f"action {identity}: there is no tool {name!r}{nearest(name, self._toolset.tools)}")
        if not isinstance(arguments, dict):
            raise _Mistake(f"action {identity} {name}: arguments should be a mapping")
        for argument in arguments:
            if argument not in tool.arguments:
                raise _Mistake(f"action {identity} {name}: no argument {argument!r}{nearest(argument, tool.arguments)}")
        missing = [each for each in tool.arguments if each not in arguments and each not in tool.optional]
        if missing:
            raise _Mistake(f"action {identity} {name}: the argument {missing[0]!r} is missing")
        return name, arguments

    def _carry_out(
        self, actions: Sequence[Action], text: str
    ) -> tuple[tuple[Done, ...], list[LedgerEntry], tuple[str, ...]]:
        kept: Kept = {}
        path: list[Done] = []
        entries: list[LedgerEntry] = []
        refused: list[str] = []
        for name, arguments in self._with_reads(actions, kept, path, text):
            tool = self._toolset.tools[name]
            records = Records(self._tables, kept)
            try:
                answer = tool.function(records, **arguments)
            except (ValueError, LookupError) as refusal:
                refused.append(f"{name}: {refusal.args[0] if refusal.args else refusal}")
                continue
            except Exception as error:  # a tool of the user's that fails says so with the task's id
                raise _Mistake(f"action {name} raises {type(error).__name__}: {error}") from error
            path.append(Done(name=name, arguments=arguments, answer=answer, writes=bool(tool.entity)))
            if tool.entity:
                entries.append(self._entry(tool, arguments, records))
                records.keep()
            elif records.touched():
                raise _Mistake(f"action {name} changes records and is not marked with @writes")
        return tuple(path), entries, tuple(refused)

    def _with_reads(self, actions: Sequence[Action], kept: Kept, path: Sequence[Done], text: str) -> Iterator[Action]:
        """Yield the actions, each after the reads that the tools' `before` wants for it."""
        for name, arguments in actions:
            if self._toolset.before is not None:
                done = [(each.name, each.arguments) for each in path]
                yield from self._toolset.before(Records(self._tables, kept), name, arguments, done, text)
            yield name, arguments

    def _entry(self, tool: Tool, arguments: Mapping[str, Any], records: Records) -> LedgerEntry:
        return LedgerEntry(
            service=self._domain,
            kind=tool.name,
            document="",
            entity=str(arguments[tool.entity]),
            customer_id="",
            index=0,
            call=0,
            time_s=0.0,
            details=details_of(records),
        )

    def _user(self, path: Sequence[Done], text: str) -> Record | None:
        """Return the record of whom the task is about: named by an action, by what it answers, or in the text."""
        users = self._tables.get("users", {})
        for done in path:
            answered = done.answer if isinstance(done.answer, dict) else {}
            for value in (*done.arguments.values(), answered.get("user_id")):
                if isinstance(value, str) and value in users:
                    return users[value]
        return next((user for key, user in users.items() if key in text or _is_named(user, text)), None)


def _is_named(user: Record, text: str) -> bool:
    """Whether a text has a user's name and zip code."""
    name, address = user.get("name"), user.get("address")
    if not isinstance(name, dict) or not isinstance(address, dict) or not address.get("zip"):
        return False
    return str(address["zip"]) in text and " ".join(map(str, name.values())) in text


def details_of(records: Records) -> tuple[tuple[str, str], ...]:
    """Return what a write changed, as details of its ledger entry: each place with its value, and what that was."""
    return tuple(
        [pair for place, before, after in records.differences() for pair in ((place, after), (WAS + place, before))]
    )


def _expected(entry: LedgerEntry) -> ExpectedEffect:
    details = tuple([pair for pair in entry.details if not pair[0].startswith(WAS)])
    return ExpectedEffect(service=entry.service, kind=entry.kind, entity=entry.entity, details=details)


def _instructions(scenario: Any) -> dict[str, str]:
    given = scenario.get("instructions") if isinstance(scenario, dict) else None
    if isinstance(given, str):
        return {"reason_for_call": given}
    if not isinstance(given, dict):
        raise _Mistake("user_scenario.instructions should say what the customer wants")
    return {str(name): value for name, value in given.items() if isinstance(value, str)}


def _has_words(criteria: Mapping[str, Any]) -> bool:
    return bool(criteria.get("nl_assertions")) or _NOT_ACTIONS in (criteria.get("reward_basis") or ())
