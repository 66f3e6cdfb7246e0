"""What there is to run and to show, by name: taken from the registries of the rooms and from files, nothing by hand."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

from pagerproof.errors import InvalidFile, UsageError
from pagerproof.plugins import Kind as PluginKind
from pagerproof.plugins import Plugin, plugins
from pagerproof.scenario.find import (
    fault_model_ids,
    find_fault_model,
    find_scenario,
    scenario_ids,
    shipped_folder,
)

Kind = Literal["scenarios", "faults", "expectations", "agents", "oracles", "services", "valves"]
Origin = Literal["shipped", "yours", "plug-in"]

AGENT_FILE_BYTES_MAX: Final = 1_000_000
_HANDLE: Final = "handle"
_PLAIN_TITLE: Final = re.compile(rb"^title: +([A-Za-z0-9][A-Za-z0-9 ,.;'()-]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing with a name. `parts` are what it holds (operations, modes); `broken` says why it cannot be used.

    Of a plug-in, `plugin` is where it comes from, and its parts are not known: a list imports nothing.
    """

    kind: Kind
    name: str
    title: str
    path: Path | None = None
    origin: Origin = "shipped"
    parts: tuple[str, ...] = ()
    broken: str = ""
    plugin: Plugin | None = None


def catalogue(*, folder: Path | None = None) -> list[Entry]:
    """Return everything that can be shown, by kind and name; nothing in the working folder makes this raise."""
    return [entry for kind in KINDS for entry in entries_of(kind, folder=folder)]


def entries_of(kind: Kind, *, folder: Path | None = None) -> list[Entry]:
    """Return what there is of one kind: files sorted by name, the rest in the order of its registry."""
    return list(_MAKERS[kind](folder if folder is not None else Path.cwd()))


def read_document(path: Path) -> dict[str, Any]:
    """Return a YAML file as it is written. Raises InvalidFile where it is no mapping, or no YAML."""
    from pagerproof.scenario.load import read_text, shown_path
    from pagerproof.scenario.quick import NotQuick, read_quickly

    shown = shown_path(path)
    text = read_text(path, shown)
    try:
        return read_quickly(text)
    except NotQuick:
        return _read_fully(text, shown)


def _read_fully(text: str, shown: str) -> dict[str, Any]:
    from pagerproof.errors import Problem
    from pagerproof.scenario.positions import read_with_positions

    read = read_with_positions(text)
    problems = [
        Problem(path=shown, line=line, column=column, message=message) for (line, column), message in read.mistakes
    ]
    if not problems and not isinstance(read.value, dict):
        problems = [Problem(path=shown, message="the file holds no mapping")]
    if problems:
        raise InvalidFile(problems)
    document: dict[str, Any] = read.value
    return document


# --- scenarios and fault models


def _scenarios(folder: Path) -> Iterator[Entry]:
    for name in scenario_ids(folder=folder):
        yield _of_file("scenarios", name, partial(find_scenario, name, folder=folder), shipped_folder("scenarios"))


def _fault_models(folder: Path) -> Iterator[Entry]:
    for name in fault_model_ids(folder=folder):
        yield _of_file("faults", name, partial(find_fault_model, name, folder=folder), shipped_folder("fault_models"))


def _of_file(kind: Literal["scenarios", "faults"], name: str, find: Callable[[], Path], shipped: Path) -> Entry:
    try:
        path = find()
    except UsageError as error:
        return Entry(kind=kind, name=name, title="", origin="yours", broken=_first_line(str(error)))
    origin: Origin = "shipped" if path.parent.resolve() == shipped.resolve() else "yours"
    try:
        if origin == "yours":  # those that ship are checked by our tests
            _check(kind, path)
        title = _title(path)
    except (UsageError, OSError, RecursionError) as error:
        reason = _first_line(str(error)) or type(error).__name__
        return Entry(kind=kind, name=name, title="", path=path, origin=origin, broken=reason)
    return Entry(kind=kind, name=name, title=title, path=path, origin=origin)


def _title(path: Path) -> str:
    """Return a file's title; nearly always a plain line, which needs no reading of all the rest."""
    match = _PLAIN_TITLE.search(path.read_bytes())
    if match is not None:
        return match[1].decode().strip()
    return _first_line(str(read_document(path).get("title", "")))


def _check(kind: Literal["scenarios", "faults"], path: Path) -> None:
    if kind == "scenarios":
        from pagerproof.scenario.load import load_file
        from pagerproof.scenario.schema import Scenario

        load_file(path, Scenario)
    else:
        from pagerproof.experiment.plan import read_fault_model

        read_fault_model(path)


# --- agents


def _agents(folder: Path) -> Iterator[Entry]:
    from pagerproof.agents.load import BUILTIN_AGENTS

    for name, target in BUILTIN_AGENTS.items():
        spec = find_spec(target.partition(":")[0])
        path = Path(spec.origin) if spec is not None and spec.origin else None
        title = _first_line(ast.get_docstring(ast.parse(path.read_bytes())) or "") if path is not None else ""
        yield Entry(kind="agents", name=name, title=title, path=path)
    yield from _plugins("agents", BUILTIN_AGENTS)
    for path in _python_files(folder):
        entry = _users_agent(path)
        if entry is not None:
            yield entry


def _python_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.glob("*.py") if path.is_file() and not path.name.startswith("."))
    except OSError:
        return []


def _users_agent(path: Path) -> Entry | None:
    """Return the agent in a file, found by reading it: a list must not run anybody's code."""
    try:
        if path.stat().st_size > AGENT_FILE_BYTES_MAX:
            return None
        source = path.read_bytes()
        if b"async def handle" not in source or b"desk" not in source:
            return None
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        broken = f"{type(error).__name__}{line}: {_first_line(str(getattr(error, 'msg', error)))}"
        return Entry(kind="agents", name=f"{path.name}:{_HANDLE}", title="", path=path, origin="yours", broken=broken)
    except OSError:
        return None
    attribute = _agent_in(tree)
    if attribute is None:
        return None
    title = _first_line(ast.get_docstring(attribute) or ast.get_docstring(tree) or "")
    return Entry(kind="agents", name=f"{path.name}:{attribute.name}", title=title, path=path, origin="yours")


def _agent_in(tree: ast.Module) -> ast.AsyncFunctionDef | ast.ClassDef | None:
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name == _HANDLE:
            return node
        if isinstance(node, ast.ClassDef) and any(
            isinstance(inner, ast.AsyncFunctionDef) and inner.name == _HANDLE for inner in node.body
        ):
            return node
    return None


# --- what is registered in code


def _expectations(_: Path) -> Iterator[Entry]:
    from pagerproof.oracles.expectations import EXPECTATIONS

    for kind, vocabulary in EXPECTATIONS.items():
        for name, each in vocabulary.items():
            yield Entry(kind="expectations", name=name, title=f"({kind}) {each.sentence}")


def _oracles(_: Path) -> Iterator[Entry]:
    from pagerproof.oracles import describe

    built_in = describe()
    for info in built_in:
        yield Entry(kind="oracles", name=info.name, title=info.summary, parts=info.modes)
    yield from _plugins("oracles", [info.name for info in built_in])


def _services(folder: Path) -> Iterator[Entry]:
    from pagerproof.services import NAMES, builtin_classes
    from pagerproof.services.catalogue import operations_of

    for name, made in builtin_classes().items():
        title = _first_line(inspect.getdoc(made) or "")
        operations: Mapping[str, Any] = operations_of(name)
        yield Entry(kind="services", name=name, title=title, parts=tuple(operations))
    yield from _plugins("services", NAMES)
    yield from _added_services(folder)


def _added_services(folder: Path) -> Iterator[Entry]:
    """Yield what the scenarios of the working folder add, one entry per name and scenario; runs nobody's code."""
    from pagerproof.scenario.load import shown_path
    from pagerproof.services.added import added_services, own_scenarios

    for path, scenario in own_scenarios(folder):
        for each in added_services(scenario, path, folder=folder):
            parts: tuple[str, ...] = ()
            broken = ""
            title = f"{each.title} ({shown_path(path)})"
            if each.runs_code:
                title += ": its code is imported when the scenario runs"
            else:
                try:
                    made = each.make(each.parameters.model_validate(scenario.services.get(each.name, {})))
                    parts = tuple(made.operations)
                except (UsageError, ValueError) as error:
                    broken = _first_line(str(error))
            yield Entry(
                kind="services", name=each.name, title=title, path=path, origin="yours", parts=parts, broken=broken
            )


def _valves(_: Path) -> Iterator[Entry]:
    from pagerproof.valves import BUILTIN_VALVES

    for name, valve in BUILTIN_VALVES.items():
        yield Entry(kind="valves", name=name, title=_first_line(inspect.getdoc(valve) or ""))
    yield from _plugins("valves", BUILTIN_VALVES)


def _plugins(kind: PluginKind, built_in: Collection[str]) -> Iterator[Entry]:
    """Yield what other distributions add, as far as their metadata tells."""
    try:
        found = plugins(kind, built_in)
    except UsageError as error:
        yield Entry(kind=kind, name="(plug-ins)", title="", origin="plug-in", broken=_first_line(str(error)))
        return
    for plugin in found.values():
        title = f"{plugin.target} (plug-in {plugin.distribution} {plugin.version})"
        yield Entry(kind=kind, name=plugin.name, title=title, origin="plug-in", plugin=plugin)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


_MAKERS: Final[Mapping[Kind, Callable[[Path], Iterator[Entry]]]] = {
    "scenarios": _scenarios,
    "faults": _fault_models,
    "expectations": _expectations,
    "agents": _agents,
    "oracles": _oracles,
    "services": _services,
    "valves": _valves,
}
KINDS: Final[tuple[Kind, ...]] = tuple(_MAKERS)
"""The kinds, in the order in which a catalogue has them."""
