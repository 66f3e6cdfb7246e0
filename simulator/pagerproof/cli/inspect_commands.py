"""The commands that look and do not run: list and show."""

from __future__ import annotations

import ast
import difflib
import inspect
import json
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from rich.console import Console
from rich.text import Text

from pagerproof import units
from pagerproof.cli.catalogue import KINDS, Entry, Kind, catalogue, entries_of, read_document
from pagerproof.cli.console import stdout_console
from pagerproof.cli.validate_command import FAULT_MODEL, SCENARIO, kind_of
from pagerproof.errors import UsageError
from pagerproof.model import Operation
from pagerproof.reporting.layout import print_hanging, print_lines, visible
from pagerproof.scenario.find import fault_model_ids, find_fault_model
from pagerproof.scenario.load import load_file, shown_path
from pagerproof.units import show_duration

LIST_SCHEMA: Final = "pagerproof/list/1"
_SINGULAR: Final[Mapping[Kind, str]] = {
    "scenarios": "scenario",
    "faults": "fault model",
    "expectations": "expectation",
    "agents": "agent",
    "oracles": "oracle",
    "services": "service",
    "valves": "valve",
}
_LABEL_COLUMNS: Final = 13

# --- list


def list_command(kind: str, *, format_: str, color: str) -> int:
    """Print what there is of one kind; what cannot be used is listed with its reason. Returns the exit status."""
    wanted = next((each for each in KINDS if each == kind), None)
    if wanted is None:
        raise UsageError(f"there are no {kind!r} to list: {', '.join(KINDS)}")
    entries = entries_of(wanted)
    console = stdout_console(color)
    if format_ == "json":
        document = {"schema": LIST_SCHEMA, "kind": kind, "entries": [_as_json(entry) for entry in entries]}
        console.print(Text(json.dumps(document, indent=2)), soft_wrap=True)
        return 0
    columns = min(max((len(visible(entry.name)) for entry in entries), default=0), console.width // 2)
    for entry in entries:
        lead = Text.assemble((visible(entry.name).ljust(columns), "bold" if not entry.broken else "bold red"), "  ")
        yours = " (yours)" if entry.origin == "yours" else ""
        text = f"broken: {entry.broken}" if entry.broken else entry.title + yours
        print_hanging(console, lead, text, style="red" if entry.broken else "", indent=columns + 2)
        if wanted == "services" and entry.parts:
            names = ", ".join(part.partition(".")[2] for part in entry.parts)
            print_hanging(console, Text(" " * (columns + 2)), names, style="dim")
    return 0


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "origin": entry.origin,
        "path": str(entry.path) if entry.path is not None else None,
        "parts": list(entry.parts),
        "broken": entry.broken or None,
    }


# --- show


def show_command(name: str, *, color: str) -> int:
    """Print what a name (or a scenario's or fault model's file) stands for. Raises UsageError, InvalidFile."""
    console = stdout_console(color)
    entries = _entries_named(name)
    for number, entry in enumerate(entries):
        if number:
            console.print()
        _SHOWN[entry.kind](console, entry)
    return 0


def _entries_named(name: str) -> list[Entry]:
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return [_entry_of_file(Path(name))]
    known = catalogue()
    found = [entry for entry in known if entry.name == name]
    found = found or [entry for entry in known if entry.kind == "services" and name in entry.parts]
    if found:
        return found
    names = [entry.name for entry in known] + [part for entry in known for part in entry.parts if "." in part]
    near = list(dict.fromkeys(difflib.get_close_matches(name, names, n=3, cutoff=0.5)))
    hint = f"did you mean {' or '.join(near)}?" if near else f"see pagerproof list {'|'.join(KINDS)}"
    raise UsageError(f"nothing is called {name!r}; {hint}")


def _entry_of_file(path: Path) -> Entry:
    kind = kind_of(path)
    if kind is SCENARIO or kind is FAULT_MODEL:
        return Entry(kind="scenarios" if kind is SCENARIO else "faults", name=path.stem, title="", path=path)
    raise UsageError(f"{shown_path(path)} is neither a scenario nor a fault model; try pagerproof validate")


def _heading(console: Console, entry: Entry, title: str, description: str = "") -> None:
    print_hanging(console, Text(f"{_SINGULAR[entry.kind]} {visible(entry.name)}", style="bold"), f": {title}", indent=2)
    if entry.path is not None:
        _field(console, "file", shown_path(entry.path))
    if description.strip():
        console.print()
        _paragraphs(console, description)


def _paragraphs(console: Console, text: str) -> None:
    """Print text filled to the width, but for paragraphs that are laid out by hand: those stay as they are."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = paragraph.split("\n")
        if any(line.startswith((" ", "-", "(")) for line in lines):
            for line in lines:
                console.print(Text(visible(line)), soft_wrap=True)
        else:
            print_hanging(console, Text(), " ".join(lines))
        console.print()


def _section(console: Console, title: str) -> None:
    console.print()
    print_lines(console, Text(title, style="bold"))


def _field(console: Console, label: str, text: str) -> None:
    shown = visible(label)
    lead = Text("  " + (shown.ljust(_LABEL_COLUMNS) if len(shown) < _LABEL_COLUMNS else f"{shown}  "))
    print_hanging(console, lead, text, indent=_LABEL_COLUMNS + 2)


def _show_scenario(console: Console, entry: Entry) -> None:
    from pagerproof.scenario.schema import Scenario

    assert entry.path is not None
    scenario = load_file(entry.path, Scenario).value
    written = read_document(entry.path)
    _heading(console, entry, scenario.title, scenario.description)
    concurrency = scenario.agent.concurrency
    _field(console, "requests", f"{scenario.requests:,}, seed {scenario.seed}")
    _field(console, "agent", scenario.agent.use + (f", {concurrency:,} requests at once" if concurrency else ""))
    _section(console, "Workload")
    workload = scenario.workload
    said = written.get("workload") or {}
    _field(console, "arrivals", as_written(said.get("arrivals", {"process": workload.arrivals.process})))
    _field(console, "intents", f"ABCD, {workload.abcd}" if workload.abcd else workload.intents)
    if workload.only_intents:
        _field(console, "only", ", ".join(workload.only_intents))
    _field(console, "locales", ", ".join(workload.locales))
    _field(console, "channels", ", ".join(f"{name} {share:.0%}" for name, share in workload.channels.items()))
    difficulty = workload.difficulty
    _field(console, "difficulty", f"one minus a draw from Beta({difficulty.a:g}, {difficulty.b:g})")
    _field(console, "patience", as_written(said.get("patience", {"dist": "lognormal", "median": "240s"})))
    _field(console, "deadline", show_duration(workload.deadline))
    _field(console, "edge cases", f"{workload.edge_cases * 100:g} % of the requests")
    for index, override in (said.get("requests") or {}).items():
        _field(console, "request", f"{index}: {as_written(override)} (scripted)")
    for name, section in (written.get("services") or {}).items():
        _field(console, "service", f"{name}: {as_written(section)}")
    _scenario_faults(console, scenario.faults)
    _scenario_gates(console, scenario.gates)


def _scenario_faults(console: Console, faults: Sequence[Any]) -> None:
    _section(console, f"Faults ({len(faults)})" if faults else "Faults: none")
    triggers: dict[str, str] = {}
    for use in faults:
        if use.use not in triggers:
            triggers[use.use] = _trigger_of(use.use)
        if use.at:
            struck = ", ".join(str(index) for index in use.at)
            when = f"at request {struck} (scripted)" + (", the first call only" if use.only == "first" else "")
        else:
            when = triggers[use.use]
            if use.probability is not None:
                when += f", probability here {use.probability:g}"
            if use.intensity != 1.0:
                when += f", × intensity {use.intensity:g}"
        also = [use.expect if use.expect != "required" else ""]
        also.append(f"on {', '.join(use.operations)}" if use.operations else "")
        also.append(as_written(use.parameters) if use.parameters else "")
        named = f"{use.id} ({use.use})" if use.id and use.id != use.use else use.use
        text = "; ".join(part for part in (when, *also) if part)
        print_hanging(console, Text(f"  {visible(named)}: "), text, indent=4)


def _trigger_of(name: str) -> str:
    try:
        return as_written(read_document(find_fault_model(name)).get("trigger", {}))
    except UsageError:
        return "no such fault model here"


def _scenario_gates(console: Console, gates: Sequence[Any]) -> None:
    _section(console, "Gates" if gates else "Gates: none")
    for gate in gates:
        print_lines(console, Text(f"  {visible(gate.gate)}"))
        notes = [f"[{gate.evidence}]", gate.source, "(model input)" if gate.model_input else ""]
        print_hanging(console, Text("    "), " ".join(note for note in notes if note), style="dim")


def _show_fault(console: Console, entry: Entry) -> None:
    from pagerproof.experiment.plan import read_fault_model
    from pagerproof.oracles.expectations import ALWAYS, SOMETIMES

    assert entry.path is not None
    model = read_fault_model(entry.path)
    written = read_document(entry.path)
    _heading(console, entry, model.title, model.description)
    _field(console, "evidence", f"{model.evidence} (the weakest of its citations)")
    for key in ("target", "trigger"):
        _field(console, key, as_written(written[key]))
    for effect in written["effect"]:
        _field(console, "effect", as_written(effect))
    _field(console, "limits", as_written(written["limits"]))
    for name in model.expect.always:
        _field(console, "always", f"{name}: {ALWAYS[name].sentence}")
    for name in model.expect.sometimes:
        _field(console, "sometimes", f"{name}: {SOMETIMES[name].sentence}")
    for name, path in model.parameters.items():
        _field(console, "parameter", f"{name} ({path})")
    _section(console, "Where it comes from")
    for cite in model.cites:
        print_hanging(console, Text(f"  [{cite.evidence}] "), cite.supports, indent=4)
        if cite.ref:
            print_hanging(console, Text("    "), cite.ref, style="dim")
        if cite.url:  # in one piece, so that it can be opened and copied
            console.print(Text(f"    {visible(cite.url)}", style="dim"), soft_wrap=True)


def _show_expectation(console: Console, entry: Entry) -> None:
    from pagerproof.oracles.expectations import EXPECTATIONS

    kind, each = next(
        (kind, vocabulary[entry.name]) for kind, vocabulary in EXPECTATIONS.items() if entry.name in vocabulary
    )
    _heading(console, entry, entry.title)
    _field(console, "kind", f"{kind} ({_KINDS_OF_EXPECTATION[kind]})")
    _field(console, "decided by", each.decided_by)
    users = [name for name in fault_model_ids() if entry.name in _expected_by(name)]
    _field(console, "expected by", ", ".join(users) or "no fault model here")


_KINDS_OF_EXPECTATION: Final[Mapping[str, str]] = {
    "always": "an invariant of every request that the fault strikes",
    "sometimes": "a fact that a run should reach at least once under the fault",
}


def _expected_by(fault_model: str) -> list[str]:
    try:
        expect = read_document(find_fault_model(fault_model)).get("expect") or {}
    except UsageError:  # the list of fault models says what is wrong with it
        return []
    return [name for names in expect.values() for name in names] if isinstance(expect, dict) else []


def as_written(value: Any) -> str:
    """Return a value of a file as a reader would write it on one line: `probability: 3%, window: [10m, 25m]`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_within(each)}" for key, each in value.items()) or "{}"
    return _within(value)


def _within(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + as_written(value) + "}" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_within(each) for each in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return str(value)


def _show_agent(console: Console, entry: Entry) -> None:
    if entry.plugin is not None:
        _heading(console, entry, entry.title, inspect.getdoc(inspect.getmodule(entry.plugin.load())) or "")
        _run_it(console, entry)
        return
    if entry.broken or entry.path is None:
        raise UsageError(f"the agent {entry.name} cannot be shown: {entry.broken or 'its file is not there'}")
    tree = ast.parse(entry.path.read_bytes())
    opening = ast.get_docstring(tree) or ""
    _heading(console, entry, entry.title, opening if opening.strip() != entry.title else "")
    valves = _valves_in(tree)
    _section(console, "Valves that its source puts on" if valves else "Valves that its source puts on: none")
    for name, title in valves.items():
        _field(console, name, title)
    _run_it(console, entry)


def _run_it(console: Console, entry: Entry) -> None:
    _section(console, "Run it")
    print_lines(console, Text(f"  pagerproof run --agent {visible(entry.name)}"))


def _valves_in(tree: ast.Module) -> dict[str, str]:
    """Return the built-in valves that the source makes, by name, with their first line: found without running it."""
    from pagerproof.valves import BUILTIN_VALVES

    named = {getattr(valve, "__name__", ""): name for name, valve in BUILTIN_VALVES.items()}
    titles = {entry.name: entry.title for entry in entries_of("valves")}
    made = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    return {name: titles[name] for made_name, name in named.items() if made_name in made}


def _show_oracle(console: Console, entry: Entry) -> None:
    from pagerproof.oracles import installed_oracles

    oracle = next(each for each in installed_oracles() if each.name == entry.name)
    _heading(console, entry, entry.title, inspect.getdoc(type(oracle)) or "")
    module = inspect.getmodule(type(oracle))
    _paragraphs(console, inspect.getdoc(module) or "")
    print_lines(console, Text("Failure modes and tags", style="bold"))
    for mode in oracle.modes:
        print_lines(console, Text(f"  {mode}"))


def _show_service(console: Console, entry: Entry) -> None:
    from pagerproof.services import make_services, parameter_models
    from pagerproof.services.added import operations_around

    if entry.origin == "yours":
        _heading(console, entry, entry.title)
        known = operations_around(Path.cwd())
        _show_operations(console, [known[part] for part in entry.parts if part in known])
        return
    service = make_services()[entry.name]
    _heading(console, entry, entry.title)
    said = inspect.getdoc(type(service)) or ""
    rest = said if entry.plugin is not None else said.partition("\n")[2].strip()
    if rest:
        console.print()
        _paragraphs(console, rest)
    _show_operations(console, service.operations.values())
    _section(console, "Parameters (services: in a scenario)")
    for name, field in parameter_models()[entry.name].model_fields.items():
        print_hanging(console, Text(f"  {name} = {shown_default(field)}  "), field.description or "", indent=6)


def _show_operations(console: Console, operations: Iterable[Operation]) -> None:
    print_lines(console, Text("Operations", style="bold"))
    for operation in operations:
        print_hanging(console, Text(f"  {operation.full_name}"), signature_of(operation), indent=6)
        leaves = f" Leaves {operation.effect_kind} in the ledger." if operation.writes else ""
        print_hanging(console, Text("      "), operation.summary + leaves, style="dim")


def signature_of(operation: Operation) -> str:
    """Return the arguments as `(order_id: string, reason: string, optional)`."""
    arguments = (
        f"{name}: {kind}" + (" (optional)" if name in operation.optional else "")
        for name, kind in operation.arguments.items()
    )
    return f"({', '.join(arguments)})"


def shown_default(field: FieldInfo) -> str:
    """Return a parameter's default in its unit."""
    default = field.get_default(call_default_factory=False)
    if default is None:
        return "none"
    if isinstance(default, int | float) and not isinstance(default, bool):
        unit = _unit_of(field.annotation, field.metadata)
        return unit(default) if unit is not None else f"{default:,}" if isinstance(default, int) else f"{default:g}"
    return _within(default)


_UNITS: Final[Mapping[object, Callable[[float], str]]] = {
    units.duration_s: show_duration,
    units.rate_per_s: "{:g}/s".format,
    units.size_bytes: "{:,} B".format,
    units.share: "{:.3g}".format,
}


def _unit_of(annotation: Any, metadata: Iterable[Any]) -> Callable[[float], str] | None:
    """Return how a quantity with this annotation is shown: units are told by the validator that reads them."""
    for each in metadata:
        shown = _UNITS.get(getattr(each, "func", None))
        if shown is not None:
            return shown
    own = getattr(annotation, "__metadata__", ())
    inner = [(part, ()) for part in typing.get_args(annotation) if part is not type(None)]
    if own:
        return _unit_of(typing.get_args(annotation)[0], own)
    return next((unit for part, more in inner if (unit := _unit_of(part, more)) is not None), None)


def _show_valve(console: Console, entry: Entry) -> None:
    from pagerproof.valves import BUILTIN_VALVES

    valve: Any = BUILTIN_VALVES[entry.name] if entry.plugin is None else entry.plugin.load()
    said = inspect.getdoc(valve) or ""
    _heading(console, entry, entry.title, said.partition("\n")[2] if entry.plugin is None else said)
    parameters = [each for each in inspect.signature(valve).parameters.values() if each.name != "self"]
    _section(console, "Settings and their defaults" if parameters else "Settings: none")
    for each in parameters:
        default = "must be given" if each.default is each.empty else _plain_default(each.default)
        _field(console, each.name, default)
    _section(console, "In an agent")
    module = "pagerproof.valves" if entry.plugin is None else entry.plugin.module
    print_lines(console, Text(f"  from {module} import {getattr(valve, '__name__', entry.name)}"))


def _plain_default(value: Any) -> str:
    if value is None:
        return "made for it"
    return getattr(value, "__name__", None) or f"{value}"


_SHOWN: Final[Mapping[Kind, Callable[[Console, Entry], None]]] = {
    "scenarios": _show_scenario,
    "faults": _show_fault,
    "expectations": _show_expectation,
    "agents": _show_agent,
    "oracles": _show_oracle,
    "services": _show_service,
    "valves": _show_valve,
}
