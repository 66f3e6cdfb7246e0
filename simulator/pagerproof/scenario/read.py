"""Reads a scenario file and checks it against everything that its schema alone cannot know."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ValidationError

from pagerproof.errors import InvalidFile, Problem, UsageError
from pagerproof.model import Operation
from pagerproof.scenario.added import Added
from pagerproof.scenario.find import find_intents, resolve
from pagerproof.scenario.load import Loaded, load_file
from pagerproof.scenario.schema import FaultUse, Patience, RequestOverride, Scenario, Workload
from pagerproof.scenario.words import listed, nearest, plain_words

__all__ = ["Known", "read_scenario", "resolve"]

At = Literal["key", "value"]
Mistake = tuple[tuple[str | int, ...], str, At]
"""(key path, message, whether it stands at the key or the value)"""

_LOCALE = re.compile(r"[a-z]{2,3}_[A-Z]{2}")
_SHARES_SUM_TOLERANCE: Final = 1e-6

# process: (keys it needs, keys it may have besides)
_ARRIVAL_KEYS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "contact_center": ((), ("rate", "starts_at", "day_factor_shape")),
    "poisson": (("rate",), ()),
    "constant": (("rate",), ()),
    "ramp": (("rate", "to", "over"), ()),
    "spike": (("rate", "to", "at", "over"), ()),
    "replay": (("file",), ()),
}


_ALL_TOOLS: Final = "tools"
"""What a host is mapped to that offers the tools of every service, over MCP."""


def _adds_nothing(_scenario: Scenario, _path: Path) -> Sequence[Added]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the rest of the program offers to scenario files. An empty collection of names means: do not check.

    `added(scenario, path)` returns the services that a scenario adds to those in `service_parameters`.
    """

    operations: Mapping[str, Operation]
    service_parameters: Mapping[str, type[BaseModel]]
    fault_models: Collection[str]
    agents: Collection[str]
    metric_check: Callable[[str], None]
    intents: Collection[str] = ()
    edge_cases: Collection[str] = ()
    fault_parameters: Mapping[str, Collection[str]] = field(default_factory=dict)  # by fault model, those it has
    folder: Path | None = None
    """The working folder; None is the process's."""
    added: Callable[[Scenario, Path], Sequence[Added]] = _adds_nothing
    own_keys: Collection[str] = ()
    """The keys that make a section of `services` a service of the user's own."""
    unmade: frozenset[str] = frozenset()
    """Added services that could not be made, so that their operations are not known."""


def read_scenario(path: Path, known: Known, *, shown_as: str | None = None) -> Scenario:
    """Return the scenario in `path`. Raises InvalidFile with every mistake at its line and column."""
    loaded = load_file(path, Scenario, shown_as=shown_as)
    problems = check_scenario(loaded, known)
    if problems:
        raise InvalidFile(problems)
    return loaded.value


def check_scenario(loaded: Loaded[Scenario], known: Known) -> list[Problem]:
    """Return what is wrong with a scenario that its schema accepts, in the order of the file."""
    scenario = loaded.value
    known, problems, unmakeable = _with_added(scenario, known, loaded.path)
    mistakes: list[Mistake] = [
        *unmakeable,
        *_agent(scenario, known),
        *_arrivals(scenario, known, loaded.path),
        *_patience(scenario.workload.patience),
        *_workload(scenario, known, loaded.path),
        *_services(scenario, known),
        *_hosts(scenario, known),
        *_faults(scenario, known),
        *_gates(scenario, known),
    ]
    for index, override in scenario.workload.requests.items():
        mistakes += _override(index, override, scenario, known)
    here = [loaded.problem(path, message, at=at) for path, message, at in mistakes]
    return sorted(here, key=lambda problem: (problem.line, problem.column)) + problems


def _with_added(scenario: Scenario, known: Known, path: Path) -> tuple[Known, list[Problem], list[Mistake]]:
    """Return what is known once the scenario's own services are there, and what kept any of them from being made."""
    models, operations = dict(known.service_parameters), dict(known.operations)
    problems: list[Problem] = []
    mistakes: list[Mistake] = []
    unmade: set[str] = set()
    for each in known.added(scenario, path):
        models[each.name] = each.parameters
        section = json.dumps(scenario.services.get(each.name, {}))
        try:
            operations.update(each.make(each.parameters.model_validate_json(section, strict=True)).operations)
        except ValidationError:
            unmade.add(each.name)  # what is wrong with the section is said with the other sections
        except InvalidFile as error:
            unmade.add(each.name)
            problems += error.problems
        except UsageError as error:
            unmade.add(each.name)
            mistakes.append((each.place, str(error), "value"))
    known = replace(known, service_parameters=models, operations=operations, unmade=frozenset(unmade))
    return known, problems, mistakes


def _unknown(what: str, name: str, names: Collection[str]) -> str:
    return f"unknown {what} {name!r}" + (nearest(name, names) or f": known are {listed(sorted(names))}")


def _agent(scenario: Scenario, known: Known) -> Iterator[Mistake]:
    use = scenario.agent.use
    own = ":" in use or use.endswith(".py")
    if known.agents and not own and use not in known.agents:
        hint = nearest(use, known.agents) or f": write {listed(known.agents)}, or MODULE_OR_FILE:ATTRIBUTE for your own"
        yield ("agent", "use"), f"unknown agent {use!r}{hint}", "value"


def _arrivals(scenario: Scenario, known: Known, path: Path) -> Iterator[Mistake]:
    arrivals = scenario.workload.arrivals
    at = ("workload", "arrivals")
    needed, optional = _ARRIVAL_KEYS[arrivals.process]
    given = {key for key in arrivals.model_fields_set if getattr(arrivals, key) is not None} - {"process"}
    lacking = [f"'{key}'" for key in needed if key not in given]
    if lacking:
        yield (*at, "process"), f"the arrival process '{arrivals.process}' needs {' and '.join(lacking)}", "value"
    for key in sorted(given - {*needed, *optional}):
        takes = listed(f"'{each}'" for each in (*needed, *optional))
        message = f"the arrival process '{arrivals.process}' has no use for '{key}': it takes {takes}"
        yield (*at, key), message, "key"
    if arrivals.file is not None:
        yield from _named_file((*at, "file"), arrivals.file, path, known)


def _named_file(at: tuple[str | int, ...], name: str, scenario_path: Path, known: Known) -> Iterator[Mistake]:
    try:
        resolve(scenario_path, name, folder=known.folder)
    except UsageError as error:
        yield at, str(error), "value"


def _patience(patience: Patience) -> Iterator[Mistake]:
    at = ("workload", "patience")
    given = [key for key in ("median", "mean") if getattr(patience, key) is not None]
    if patience.dist == "infinite":
        for key in given:
            yield (*at, key), f"the distribution 'infinite' has no use for '{key}'", "key"
    elif len(given) != 1:
        yield (*at, "dist"), f"the distribution '{patience.dist}' needs one of 'median' and 'mean'", "value"
    if "sigma" in patience.model_fields_set and patience.dist != "lognormal":
        yield (*at, "sigma"), f"the distribution '{patience.dist}' has no use for 'sigma'", "key"


_NOT_WITH_TAU2: Final = ("abcd", "intents", "edge_cases", "locales", "customers_per_locale")


def _tau2(workload: Workload) -> Iterator[Mistake]:
    """What only a folder of tau2-bench has a use for, and what it has none for."""
    if workload.tau2 is None:
        for key in ("tools", "state"):
            if key in workload.model_fields_set:
                yield ("workload", key), f"'{key}' belongs to 'tau2', which is not given", "key"
        return
    for key in _NOT_WITH_TAU2:
        if key in workload.model_fields_set:
            yield (
                ("workload", key),
                f"'{key}' has no effect with 'tau2': its tasks are asked as they are written",
                "key",
            )


def _workload(scenario: Scenario, known: Known, path: Path) -> Iterator[Mistake]:
    workload = scenario.workload
    yield from _tau2(workload)
    if workload.abcd is not None:
        if "intents" in workload.model_fields_set:
            yield ("workload", "intents"), "'abcd' replaces the intents: give one of the two", "key"
        yield from _named_file(("workload", "abcd"), workload.abcd, path, known)
    elif workload.intents != "contact_center":
        yield from _intents_file(workload.intents, path, known)
    if _checks_intents(scenario, known):
        for number, name in enumerate(workload.only_intents):
            if name not in known.intents:
                yield ("workload", "only_intents", number), _unknown("intent", name, known.intents), "value"
    for number, locale in enumerate(workload.locales):
        if _LOCALE.fullmatch(locale) is None:
            message = f"{locale!r} is not a locale: write language and country, such as de_DE"
            yield ("workload", "locales", number), message, "value"
    if not workload.locales:
        yield ("workload", "locales"), "locales: at least one is needed", "value"
    total = sum(workload.channels.values())
    if abs(total - 1.0) > _SHARES_SUM_TOLERANCE:
        yield ("workload", "channels"), f"channels: the shares sum to {total:.6g}, not to 1", "value"


def _intents_file(name: str, scenario_path: Path, known: Known) -> Iterator[Mistake]:
    try:
        resolve(scenario_path, name, folder=known.folder)
    except UsageError:
        try:
            find_intents(name, folder=known.folder)
        except UsageError as error:
            yield ("workload", "intents"), str(error), "value"


def _checks_intents(scenario: Scenario, known: Known) -> bool:
    workload = scenario.workload
    return (
        bool(known.intents) and workload.abcd is None and workload.tau2 is None and workload.intents == "contact_center"
    )


def _override(index: int, override: RequestOverride, scenario: Scenario, known: Known) -> Iterator[Mistake]:
    at: tuple[str | int, ...] = ("workload", "requests", index)
    if not 1 <= index <= scenario.requests:
        yield at, _beyond(index, scenario.requests), "key"
    if override.intent is not None and _checks_intents(scenario, known) and override.intent not in known.intents:
        yield (*at, "intent"), _unknown("intent", override.intent, known.intents), "value"
    for number, name in enumerate(override.edge_cases):
        if known.edge_cases and name not in known.edge_cases:
            yield (*at, "edge_cases", number), _unknown("edge case", name, known.edge_cases), "value"
    channels = scenario.workload.channels
    if override.channel is not None and override.channel not in channels:
        yield (*at, "channel"), _unknown("channel", override.channel, channels), "value"
    if override.locale is not None and override.locale not in scenario.workload.locales:
        message = _unknown("locale", override.locale, scenario.workload.locales)
        yield (*at, "locale"), message, "value"


def _beyond(index: int, requests: int) -> str:
    return f"there is no request {index}: this scenario has the requests 1 to {requests}"


def _services(scenario: Scenario, known: Known) -> Iterator[Mistake]:
    for name, section in scenario.services.items():
        model = known.service_parameters.get(name)
        if model is None:
            message = _unknown("service", name, known.service_parameters)
            if known.own_keys and "did you mean" not in message:
                message += f"; a service of your own needs one of the keys {listed(known.own_keys)}"
            yield ("services", name), message, "key"
            continue
        try:
            model.model_validate_json(json.dumps(section), strict=True)
        except ValidationError as error:
            for path, at, message in plain_words(error, model, section):
                yield ("services", name, *path), message, "key" if at == "key" else "value"


def _hosts(scenario: Scenario, known: Known) -> Iterator[Mistake]:
    names = [*known.service_parameters, _ALL_TOOLS]
    for host, name in scenario.network.hosts.items():
        if known.service_parameters and name not in names:
            yield ("network", "hosts", host), _unknown("service", name, names), "value"


def _faults(scenario: Scenario, known: Known) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for number, fault in enumerate(scenario.faults):
        at: tuple[str | int, ...] = ("faults", number)
        if fault.use not in known.fault_models:
            yield (*at, "use"), _unknown("fault model", fault.use, known.fault_models), "value"
        names = known.fault_parameters.get(fault.use)
        for parameter in fault.parameters:
            if names is not None and parameter not in names:
                hint = nearest(parameter, names) or f": it has {listed(names) or 'none'}"
                yield (*at, "parameters", parameter), f"'{fault.use}' has no parameter {parameter!r}{hint}", "key"
        name = fault.id or fault.use
        if name in seen:
            message = f"the fault id {name!r} is here twice (first as fault {seen[name]}): give this one an 'id'"
            yield (*at, "id" if fault.id else "use"), message, "value"
        else:
            seen[name] = number + 1
        yield from _fault_indices(at, fault, scenario.requests)
        services = {operation.service for operation in known.operations.values()}
        for position, glob in enumerate(fault.services):
            if known.unmade:  # whose name may be what is meant, and whose own mistake is told already
                break
            if not any(fnmatchcase(service, glob) for service in services):
                yield (*at, "services", position), f"{glob!r} names no service{nearest(glob, services)}", "value"
        for position, glob in enumerate(fault.operations):
            if glob.partition(".")[0] in known.unmade:
                continue
            if not any(fnmatchcase(operation, glob) for operation in known.operations):
                message = f"{glob!r} names no operation{nearest(glob, known.operations)}"
                yield (*at, "operations", position), message, "value"


def _fault_indices(at: tuple[str | int, ...], fault: FaultUse, requests: int) -> Iterator[Mistake]:
    for position, index in enumerate(fault.at):
        if not 1 <= index <= requests:
            yield (*at, "at", position), _beyond(index, requests), "value"
    if fault.at and fault.probability is not None:
        yield (*at, "probability"), "'at' names the requests to strike: 'probability' has no use beside it", "key"


def _gates(scenario: Scenario, known: Known) -> Iterator[Mistake]:
    seen: set[str] = set()
    for number, gate in enumerate(scenario.gates):
        at: tuple[str | int, ...] = ("gates", number)
        try:
            known.metric_check(gate.gate)
        except ValueError as error:
            yield (*at, "gate"), f"gate: {error}", "value"
        if " ".join(gate.gate.split()) in seen:
            yield (*at, "gate"), "this gate is here twice", "value"
        seen.add(" ".join(gate.gate.split()))
        if gate.evidence != "assumed" and not gate.source:
            yield (
                (*at, "evidence"),
                f"evidence: '{gate.evidence}' needs a 'source'; without one, it is assumed",
                "value",
            )
