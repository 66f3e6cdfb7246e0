"""What is about to run: a scenario with its overrides, checked against every room, with the digests of its inputs."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pagerproof import __version__
from pagerproof.agents.load import LoadedAgent, agent_names, load_agent
from pagerproof.errors import InvalidFile, Problem, UsageError
from pagerproof.experiment.environment import agents_environment, environment
from pagerproof.gates import check_expression
from pagerproof.model import Operation
from pagerproof.oracles.expectations import EXPECTATIONS, Kind
from pagerproof.plugins import fingerprint, in_every_run
from pagerproof.protocols import Service
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.find import fault_model_ids, find_fault_model, find_intents, find_scenario
from pagerproof.scenario.load import load_file, shown_path
from pagerproof.scenario.read import Known, read_scenario, resolve
from pagerproof.scenario.schema import FaultUse, Scenario
from pagerproof.scenario.words import nearest
from pagerproof.services import parameter_models, plugin_services, service_names
from pagerproof.services.added import added_services, operations_by_name, scenario_services
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.own_sections import OWN_KINDS
from pagerproof.workload.build import BuiltWorkload, build_workload
from pagerproof.workload.edge_cases import EDGE_CASES
from pagerproof.workload.tau2 import Tau2Workload, build_tau2

_INTENTS = "scenarios/intents/"
_ROOMS_THAT_ONLY_SHOW = frozenset({"cli", "reporting"})
_RECORDED_PACKAGES = ("simpy", "numpy", "faker", "pydantic", "orjson", "xxhash", "pyarrow", "pandas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides a run's bytes. `operations` are those of all its services by full name."""

    scenario: Scenario
    scenario_path: Path
    agent: LoadedAgent
    agent_spec: str
    seed: int
    requests: int
    faults: bool
    folder: Path
    fault_models: Mapping[str, FaultModel]
    operations: Mapping[str, Operation]

    @property
    def on_the_wire(self) -> bool:
        """Whether the run has a network: for an agent that knows nothing of the desk, or where the scenario asks."""
        return self.agent.foreign or bool(self.scenario.network.hosts)

    @property
    def manner(self) -> Literal["strict", "governed"]:
        """Whether agent code that reads the wall clock is refused, or is given virtual time."""
        clock = self.scenario.agent.clock
        return "governed" if clock == "virtual" or (clock is None and self.agent.foreign) else "strict"

    def environment(self) -> AbstractContextManager[None]:
        """Return what sets the agent's environment variables for a while, and puts everything back."""
        return environment(agents_environment(self.scenario.agent.env))

    def services(self) -> dict[str, Service]:
        """Build every service of the scenario, built-in and added, by name and none of them opened yet."""
        return scenario_services(self.scenario, self.scenario_path, folder=self.folder)

    def spec(self) -> PlanSpec:
        """Return what another process needs to make this plan again."""
        return PlanSpec(
            scenario=str(self.scenario_path),
            requests=self.requests,
            seed=self.seed,
            agent=self.agent_spec,
            faults=self.faults,
            folder=str(self.folder),
        )

    @property
    def name(self) -> str:
        """A short name for the run's folder."""
        return f"{self.scenario.id}-{self.agent.name}-s{self.seed}" + ("" if self.faults else "-no-faults")

    def inputs(self) -> dict[str, str]:
        """Return the SHA-256 of every file that decides the run, by the path under which it was found."""
        files = {self.scenario_path}
        if self.faults:
            files.update(find_fault_model(use.use, folder=self.folder) for use in self.scenario.faults)
        if self.agent.path is not None:
            files.add(self.agent.path)
        files.update(self._workload_files())
        for each in added_services(self.scenario, self.scenario_path, folder=self.folder):
            files.update(each.files)
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}

    def _workload_files(self) -> Iterator[Path]:
        workload = self.scenario.workload
        if workload.arrivals.file is not None:
            yield self.find_workload_file(workload.arrivals.file)
        if workload.tau2 is not None:
            return  # its files are those of the service that it adds
        if workload.abcd is not None:
            yield from sorted(self.find_workload_file(workload.abcd).glob("*.json"))
        elif workload.intents.endswith((".yaml", ".yml")):
            yield self.find_workload_file(workload.intents)
        else:
            yield self.find_workload_file(f"{_INTENTS}{workload.intents}.yaml")

    def find_workload_file(self, name: str) -> Path:
        """Return the file or folder that the workload names. Raises UsageError."""
        try:
            return resolve(self.scenario_path, name, folder=self.folder)
        except UsageError:
            if not name.startswith(_INTENTS):
                raise
        return find_intents(Path(name).stem, folder=self.folder)

    def fault_uses(self) -> tuple[FaultUse, ...]:
        """Return the scenario's faults; those scripted beyond the last request of a shorter run may stay silent."""
        return tuple(
            use.model_copy(update={"expect": "armed"}) if use.at and min(use.at) > self.requests else use
            for use in self.scenario.faults
        )

    def without_faults(self) -> Plan:
        """Return the plan of this plan's baseline run."""
        return replace(self, faults=False)

    def without_script(self) -> Plan:
        """Return the plan without what its author fixed at exact indices: requests and faults alike."""
        workload = self.scenario.workload.model_copy(update={"requests": {}})
        faults = tuple(use for use in self.scenario.faults if not use.at)
        return replace(self, scenario=self.scenario.model_copy(update={"workload": workload, "faults": faults}))

    def key(self) -> str:
        """Return a digest of all inputs and of the versions they are read by."""
        parts = [
            self.name,
            str(self.requests),
            __version__,
            self.agent.digest,
            _own_digest(),
            fingerprint(),
            *versions().values(),
        ]
        parts += [f"{Path(path).name}={digest}" for path, digest in self.inputs().items()]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSpec:
    """A plan as it travels to another process."""

    scenario: str
    requests: int
    seed: int
    agent: str
    faults: bool
    folder: str

    def plan(self) -> Plan:
        """Make the plan. Raises as `make_plan` does."""
        return make_plan(
            self.scenario,
            requests=self.requests,
            seed=self.seed,
            agent=self.agent,
            faults=self.faults,
            folder=Path(self.folder),
        )


def _own_digest() -> str:
    """Return a digest of our own code, as far as it decides results: it changes more often than the version."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] not in _ROOMS_THAT_ONLY_SHOW:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def make_plan(
    scenario: str,
    *,
    requests: int | None = None,
    seed: int | None = None,
    agent: str | None = None,
    faults: bool = True,
    folder: Path | None = None,
) -> Plan:
    """Read and check everything that a run needs. Raises InvalidFile, UsageError and AgentCannotLoad."""
    folder = folder if folder is not None else Path.cwd()
    path = find_scenario(scenario, folder=folder)
    read = read_scenario(path, known(folder))
    wanted = read.requests if requests is None else requests
    if wanted < 1:
        raise UsageError(f"--requests must be 1 or more, not {wanted}")
    operations = operations_by_name(scenario_services(read, path, folder=folder))
    spec = agent or _from_beside(read.agent.use, path)
    with environment(agents_environment(read.agent.env)):
        loaded = load_agent(spec, folder=folder)
    return Plan(
        scenario=read,
        scenario_path=path,
        agent=loaded,
        agent_spec=spec,
        seed=read.seed if seed is None else seed,
        requests=wanted,
        faults=faults and bool(read.faults),
        folder=folder,
        fault_models=_fault_models(read, folder, operations) if faults else {},
        operations=operations,
    )


def _from_beside(agent: str, scenario_path: Path) -> str:
    """Return how a scenario's agent is found from anywhere: by its full path, for a file beside the scenario."""
    place, colon, attribute = agent.partition(".py:")
    beside = scenario_path.resolve().parent / f"{place}.py" if colon else scenario_path.resolve().parent / agent
    return f"{beside}{colon and ':'}{attribute}" if beside.suffix == ".py" and beside.is_file() else agent


def _fault_models(scenario: Scenario, folder: Path, operations: Mapping[str, Operation]) -> dict[str, FaultModel]:
    """Load every fault model that the scenario uses. Raises InvalidFile with the mistakes of all of them."""
    models: dict[str, FaultModel] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(use.use for use in scenario.faults):
        try:
            models[name] = read_fault_model(find_fault_model(name, folder=folder), operations)
        except InvalidFile as error:
            problems += error.problems
    if problems:
        raise InvalidFile(problems)
    return models


def read_fault_model(path: Path, operations: Mapping[str, Operation] = OPERATIONS) -> FaultModel:
    """Return the fault model in `path`, its target checked against these operations. Raises InvalidFile."""
    loaded = load_file(path, FaultModel)
    model = loaded.value
    plugin_services()  # their operations may be targets, too
    services = list(dict.fromkeys((*service_names(), *(each.service for each in operations.values()))))
    problems = []
    for number, glob in enumerate(model.target.service):
        if not any(fnmatchcase(name, glob) for name in services):
            message = f"{glob!r} names no service{nearest(glob, services)}"
            problems.append(loaded.problem(("target", "service", number), message))
    names = [
        each.name for each in operations.values() if any(fnmatchcase(each.service, g) for g in model.target.service)
    ]
    for number, glob in enumerate(model.target.operation):
        if names and model.target.on_no_match == "fail" and not any(fnmatchcase(name, glob) for name in names):
            message = f"{glob!r} names no operation of {', '.join(model.target.service)}{nearest(glob, names)}"
            problems.append(loaded.problem(("target", "operation", number), message))
    for kind, vocabulary in EXPECTATIONS.items():
        for number, name in enumerate(getattr(model.expect, kind)):
            if name not in vocabulary:
                problems.append(loaded.problem(("expect", kind, number), _not_expected(name, kind)))
    if problems:
        raise InvalidFile(problems)
    return model


def _not_expected(name: str, kind: Kind) -> str:
    other: Kind = "sometimes" if kind == "always" else "always"
    if name in EXPECTATIONS[other]:
        return f"{name!r} belongs under {other}, not under {kind}"
    return f"{name!r} is nothing that {kind} can name{nearest(name, EXPECTATIONS[kind])}"


def known(folder: Path) -> Known:
    """Return what scenario files may name."""
    return Known(
        operations=OPERATIONS,
        service_parameters=parameter_models(),
        fault_models=fault_model_ids(folder=folder),
        agents=agent_names(),
        metric_check=check_expression,
        intents=(),
        edge_cases=EDGE_CASES,
        folder=folder,
        added=lambda scenario, path: added_services(scenario, path, folder=folder),
        own_keys=OWN_KINDS,
    )


def workload_of(plan: Plan) -> BuiltWorkload | Tau2Workload:
    """Build the plan's workload. Raises UsageError and InvalidFile, which name the file."""
    spec = plan.scenario.workload
    try:
        if spec.tau2 is not None:
            return build_tau2(spec, seed=plan.seed, requests=plan.requests, resolve=plan.find_workload_file)
        return build_workload(
            spec,
            seed=plan.seed,
            requests=plan.requests,
            operations=plan.operations,
            resolve=plan.find_workload_file,
        )
    except InvalidFile:
        raise
    except UsageError as error:
        raise UsageError(f"{shown_path(plan.scenario_path)}: {error}") from error


def versions() -> dict[str, str]:
    """Return the versions that can change a run's bytes."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in _RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    found.update((plugin.distribution, plugin.version) for plugin in in_every_run())
    return found


def differing_versions(recorded: Mapping[str, str]) -> list[str]:
    """Return in words which of the recorded versions are others here."""
    here = versions()
    return [
        f"{name} {version_then} (here {here.get(name, 'absent')})"
        for name, version_then in recorded.items()
        if here.get(name, "absent") != version_then
    ]
