"""Runs a plan: builds every room's part, drives the simulation, judges each request, and assembles the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pagerproof.errors import AgentMisbehaved, Interrupted, PagerproofError
from pagerproof.experiment.boundary import Boundary
from pagerproof.experiment.hosts import network_of
from pagerproof.experiment.interruption import Interruption
from pagerproof.experiment.plan import Plan, versions, workload_of
from pagerproof.experiment.simulation import RunEnd, Simulation
from pagerproof.experiment.stopwatch import perf_counter, process_time, utc_now_text
from pagerproof.experiment.wire import Wire
from pagerproof.faults import FaultInjector
from pagerproof.faults.injector import Strike
from pagerproof.gates import decide, evaluate
from pagerproof.kernel import SimulationLoop, governed_imports, process_restored
from pagerproof.metrics import (
    Baseline,
    ExpectationTally,
    FaultDelivery,
    Replications,
    RequestTable,
    RunResult,
    summarise,
)
from pagerproof.metrics.expectations import BROKEN
from pagerproof.model import Verdict
from pagerproof.oracles import judge
from pagerproof.protocols import Case, Directory, Scheduler, Service
from pagerproof.reporting.progress import Snapshot
from pagerproof.scenario.fault_model import Expect, FaultModel
from pagerproof.services.llm import LlmService
from pagerproof.trace.journal import DigestChain, EventSpill, request_digest
from pagerproof.trace.store import RunFolder, new_run_folder

Report = Callable[[Snapshot], object]
_PROGRESS_EVERY_WALL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A run that has ended, wholly or not.

    `scripted` holds the verdicts on the requests that the scenario scripts; `cpu_s` is the process's time from the
    first arrival to the last digest.
    """

    requests: int
    result: RunResult
    folder: RunFolder | None
    table: RequestTable
    scripted: Mapping[int, Verdict]
    end: RunEnd
    cpu_s: float

    @property
    def exit_status(self) -> int:
        """The status that the design gives this run."""
        stopped_by = self.end.stopped_by
        if stopped_by is not None and not isinstance(stopped_by, AgentMisbehaved):
            return stopped_by.exit_status
        return self.result.verdict.exit_status


@dataclass(slots=True)
class World:
    """What services are opened with; implements `pagerproof.protocols.World`."""

    seed: int
    scheduler: Scheduler
    directory: Directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything of one run that is built before its first request arrives."""

    plan: Plan
    loop: SimulationLoop
    boundary: Boundary
    injector: FaultInjector
    workload: Any
    wire: Wire | None = None

    def simulation(self, on_settled: Callable[[Case], object], **options: Any) -> Simulation:
        """Return the simulation, ready to run; `options` go to Simulation."""
        scenario = self.plan.scenario
        around = () if self.wire is None else (self.plan.environment(), network_of(self.plan, self.wire))
        with self.plan.environment(), governed_imports():
            agent = self.plan.agent.make()
        simulation = Simulation(
            loop=self.loop,
            boundary=self.boundary,
            source=self.workload,
            agent=agent,
            manner=self.plan.manner,
            requests=self.plan.requests,
            concurrency=scenario.agent.concurrency,
            patience_ends_at_start=scenario.workload.patience.applies_to == "queue",
            horizon_s=scenario.limits.horizon,
            on_settled=on_settled,
            around=around,
            **options,
        )
        if self.wire is not None:
            self.wire.stops = simulation.stop
            self.wire.open_cases = simulation.open_cases
        return simulation


def set_stage(plan: Plan, *, forced: Mapping[int, list[Strike]] | None = None) -> Stage:
    """Build loop, workload, services and injector for one run. Raises UsageError and InvalidFile."""
    workload = workload_of(plan)
    services: Mapping[str, Service] = plan.services()
    loop = SimulationLoop()
    world = World(plan.seed, loop, workload.directory)
    operations = {name: each for service in services.values() for name, each in service.operations.items()}
    model = services["llm"]
    if plan.on_the_wire and isinstance(model, LlmService):
        model.known_operations = {
            name: each for name, each in operations.items() if each.service != "llm" and not each.protocol_only
        }
    for service in services.values():
        service.open(world)
    injector = FaultInjector(
        fault_models_of(plan),
        plan.fault_uses() if plan.faults else (),
        seed=plan.seed,
        services=services,
        scheduler=loop,
        operations=operations,
        requests=plan.requests,
        forced=forced,
        connections=plan.agent.foreign,
    )
    boundary = Boundary(
        loop=loop,
        seed=plan.seed,
        services=services,
        injector=injector,
        limits=plan.scenario.limits,
        offers=workload.offers,
    )
    wire = Wire(boundary, workload.directory) if plan.on_the_wire else None
    return Stage(plan=plan, loop=loop, boundary=boundary, injector=injector, workload=workload, wire=wire)


def fault_models_of(plan: Plan) -> Mapping[str, FaultModel]:
    """Return every fault model that the plan's run uses, by name."""
    return plan.fault_models if plan.faults else {}


def expectations_of(plan: Plan) -> dict[str, Expect]:
    """Return what each fault of the plan's run is expected to come to, by the fault's id."""
    models = fault_models_of(plan)
    return {use.id or use.use: models[use.use].expect for use in plan.scenario.faults if use.use in models}


class Collector:
    """Takes settled cases: digests, judges, tabulates and journals them."""

    def __init__(self, plan: Plan, spill: EventSpill | None, report: Report | None) -> None:
        self.table = RequestTable()
        self.expectations = ExpectationTally(expectations_of(plan))
        self.chain = DigestChain(plan.requests)
        self.scripted: dict[int, Verdict] = {}
        self._requests = plan.requests
        self._spill = spill
        self._report = report
        self._simulation: Simulation | None = None
        self._loop: SimulationLoop | None = None
        self._started_wall_s = perf_counter()
        self._report_due_wall_s = 0.0
        self._settled = 0

    def watch(self, simulation: Simulation, loop: SimulationLoop) -> None:
        """Remember whose progress is to be reported."""
        self._simulation = simulation
        self._loop = loop

    def take(self, case: Case) -> None:
        """Take one settled request."""
        digest = request_digest(case.index, case.log)
        self.chain.put(case.index, digest)
        verdict = judge(case)
        if self.expectations.take(case, verdict):
            verdict = replace(verdict, tags=(*verdict.tags, BROKEN))
        self.table.add(case, verdict, digest)
        if case.truth.scripted:
            self.scripted[case.index] = verdict
        if self._spill is not None:
            self._spill.add(case.index, case.log)
        if case.settled_s < 0.0:  # the run's end overtook it
            return
        self._settled += 1
        if self._report is not None and perf_counter() >= self._report_due_wall_s:
            self._report_due_wall_s = perf_counter() + _PROGRESS_EVERY_WALL_S
            self.report_progress()

    def report_progress(self) -> None:
        """Say how far the run is."""
        if self._report is None or self._loop is None or self._simulation is None:
            return
        snapshot = Snapshot(
            done=self._settled,
            total=self._requests,
            failures=self.table.failures,
            virtual_s=self._loop.time(),
            wall_s=perf_counter() - self._started_wall_s,
        )
        fence = self._simulation.fence
        if fence is None:
            self._report(snapshot)
        else:
            with fence.lifted():
                self._report(snapshot)


def execute(
    plan: Plan,
    *,
    out: Path | None,
    folder: RunFolder | None = None,
    report: Report | None = None,
    baseline: Callable[[], Baseline] | None = None,
    interruption: Interruption | None = None,
    replications: Replications | None = None,
) -> Execution:
    """Run the plan to its end, or to what stops it, and return what it found.

    With `out`, a run folder is made there, or `folder` is used; without either, nothing is written. `baseline` is asked
    for the fault-free run once this one is over and whole. Raises PagerproofError for what cannot begin, and
    BrokenInvariant where our own books do not balance.
    """
    stage = set_stage(plan)
    if interruption is not None:
        interruption.attach(stage.loop)
    if folder is None and out is not None:
        folder = new_run_folder(out, plan.name)
    manifest: dict[str, Any] = {}
    if folder is not None:
        manifest = manifest_of(plan)
        folder.write_manifest(manifest)
        _preload_writers()
    started_wall_s, started_cpu_s = perf_counter(), process_time()
    spill = None if folder is None else EventSpill(folder.events)
    collector = Collector(plan, spill, report)
    with process_restored() if plan.agent.foreign else nullcontext():
        simulation = stage.simulation(collector.take)
        collector.watch(simulation, stage.loop)
        end = simulation.run(spin_after_wall_s=plan.scenario.limits.spin_after)
    if spill is not None:
        spill.flush()
    stage.injector.close()
    stage.injector.check_balance()
    wall_s, cpu_s = perf_counter() - started_wall_s, process_time() - started_cpu_s
    collector.report_progress()
    base, without_base = _asked(baseline, end)
    if isinstance(without_base, Interrupted):  # the run itself is whole, and is kept
        end = replace(end, stopped_by=without_base)
    result = replace(
        _result(plan, collector, stage, end, base, wall_s),
        replications=replications,
        network=None if stage.wire is None else stage.wire.use(),
    )
    execution = Execution(
        requests=plan.requests,
        result=result,
        folder=folder,
        table=collector.table,
        scripted=collector.scripted,
        end=end,
        cpu_s=cpu_s,
    )
    if folder is not None:
        _store(folder, manifest, execution)
    if without_base is not None and not isinstance(without_base, Interrupted):
        raise without_base
    return execution


def _asked(baseline: Callable[[], Baseline] | None, end: RunEnd) -> tuple[Baseline | None, PagerproofError | None]:
    """Return the baseline, or why there is none: the run that has ended is kept before anything is made of that."""
    if baseline is None or end.stopped_by is not None:
        return None, None
    try:
        return baseline(), None
    except PagerproofError as error:
        return None, error


def _result(
    plan: Plan, collector: Collector, stage: Stage, end: RunEnd, base: Baseline | None, wall_s: float
) -> RunResult:
    requests = collector.table.finish()
    faults = deliveries(stage, collector.expectations)
    gates = evaluate(plan.scenario.gates, requests)
    stopped_by = end.stopped_by
    network = None if stage.wire is None else stage.wire.use()
    verdict = decide(
        gates=gates,
        faults=faults,
        with_faults=plan.faults,
        baseline=base,
        interrupted=stopped_by is not None and not isinstance(stopped_by, AgentMisbehaved),
        agent_stopped_run=str(stopped_by) if isinstance(stopped_by, AgentMisbehaved) else "",
        unattributed={} if network is None else network.unattributed,
    )
    return summarise(
        requests,
        scenario=plan.scenario.id,
        title=plan.scenario.title,
        seed=plan.seed,
        agent=plan.agent.name,
        digest=collector.chain.run_digest(),
        faults=faults,
        gates=gates,
        verdict=verdict,
        virtual_s=end.virtual_s,
        wall_s=wall_s,
        baseline=base,
        interrupted=stopped_by is not None,
    )


def deliveries(stage: Stage, expectations: ExpectationTally) -> tuple[FaultDelivery, ...]:
    """Return the books of every fault model, and what became of its expectations, in the scenario's order."""
    shared = {each.name for each in fields(FaultDelivery)} - {"id", "expectations"}
    return tuple(
        FaultDelivery(
            id=row.fault,
            expectations=expectations.of(row.fault),
            **{name: getattr(row, name) for name in shared},
        )
        for row in stage.injector.ledger()
    )


# --- the run's folder


def manifest_of(plan: Plan, status: str = "running") -> dict[str, Any]:
    """Return what has to be known to run this again."""
    return {
        "status": status,
        "started": utc_now_text(),
        "scenario": {"id": plan.scenario.id, "path": str(plan.scenario_path)},
        "agent": {"name": plan.agent.name, "spec": plan.agent_spec, "digest": plan.agent.digest},
        "folder": str(plan.folder),
        "seed": plan.seed,
        "requests": plan.requests,
        "faults": plan.faults,
        "inputs": plan.inputs(),
        "versions": versions(),
    }


def _store(folder: RunFolder, manifest: dict[str, Any], execution: Execution) -> None:
    """Write what the run left beside its events."""
    end = execution.end
    folder.write_requests(execution.table.finish().frame())
    folder.write_result(execution.result.to_json())
    stopped_by = end.stopped_by
    manifest["status"] = (
        "complete" if stopped_by is None else "interrupted" if isinstance(stopped_by, Interrupted) else "stopped"
    )
    manifest["stopped_by"] = "" if stopped_by is None else str(stopped_by)
    manifest["ended"] = utc_now_text()
    manifest["digest"] = execution.result.digest
    manifest["settled"] = len(execution.table) - len(end.unsettled)
    manifest["unsettled"] = list(end.unsettled[:100])
    manifest["timed_waits"] = end.timed_waits
    manifest["virtual_s"] = end.virtual_s
    manifest["wall_s"] = execution.result.wall_s
    folder.write_manifest(manifest)


def _preload_writers() -> None:
    """Import what the journal needs before the fence goes up: an import under way may read clocks or start threads."""
    import pyarrow.parquet  # noqa: F401 - for its side effect
