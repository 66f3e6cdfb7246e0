"""Executes a run again until one request has settled, and proves by digest that it is the same request."""

from __future__ import annotations

from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagerproof.errors import NotReproducible, UsageError
from pagerproof.experiment.interruption import Interruption
from pagerproof.experiment.plan import Plan, make_plan
from pagerproof.experiment.run import Report, set_stage
from pagerproof.experiment.stopwatch import perf_counter
from pagerproof.faults.injector import Strike
from pagerproof.kernel import process_restored
from pagerproof.model import Outcome
from pagerproof.oracles import judge
from pagerproof.protocols import Case
from pagerproof.reporting.progress import Snapshot
from pagerproof.reporting.timeline import Replay
from pagerproof.trace.journal import request_digest
from pagerproof.trace.store import RunFolder

if TYPE_CHECKING:
    import pandas as pd


def replay_request(
    folder: RunFolder,
    index: int,
    *,
    isolated: bool = False,
    report: Report | None = None,
    interruption: Interruption | None = None,
) -> Replay:
    """Return request `index` of the run in `folder`, executed again.

    All arrivals are included, later ones too, since they compete for capacity; the run ends once the request has
    settled. `isolated` leaves every other request out and repeats exactly the faults that struck this one. Raises
    UsageError for an index or a run that cannot be replayed, NotReproducible where the request never settles.
    """
    manifest = folder.manifest()
    row = _recorded(folder, manifest, index)
    plan = recorded_plan(folder)
    forced = {index: _strikes(folder, index)} if isolated else None
    case = _executed_again(plan, index, forced=forced, isolated=isolated, report=report, interruption=interruption)
    verdict = judge(case)
    return Replay(
        case=case,
        verdict=verdict,
        scenario=plan.scenario.id,
        seed=plan.seed,
        agent=plan.agent.name,
        digest=request_digest(index, case.log).hex(),
        recorded_digest=str(row["digest"]),
        recorded_outcome=str(row["outcome"]),
        recorded_mode=str(row["mode"] or ""),
        isolated=isolated,
    )


def _recorded(folder: RunFolder, manifest: dict[str, Any], index: int) -> pd.Series[Any]:
    if index > manifest["requests"]:
        raise UsageError(
            f"there is no request {index} in {folder.path}: it has the requests 1 to {manifest['requests']}"
        )
    table = folder.requests()
    rows = table[table["index"] == index]
    if rows.empty:
        raise UsageError(
            f"request {index} never arrived in {folder.path}: the run is {manifest['status']} "
            f"({manifest.get('stopped_by') or 'no reason was kept'})"
        )
    row = rows.iloc[0]
    if row["outcome"] == Outcome.UNSETTLED.value and manifest["status"] == "interrupted":
        raise UsageError(
            f"request {index} had not settled when the run in {folder.path} was interrupted: "
            "there is nothing to compare it with"
        )
    return row


def recorded_plan(folder: RunFolder) -> Plan:
    """Return the plan that the run's manifest describes. Raises UsageError where an input has changed since."""
    manifest = folder.manifest()
    for path, recorded in manifest["inputs"].items():
        file = Path(path)
        if not file.is_file():
            raise UsageError(f"{path}, which the run in {folder.path} was made from, is no longer there")
        if sha256(file.read_bytes()).hexdigest() != recorded:
            raise UsageError(f"{path} has changed since the run in {folder.path}: replay needs it as it was then")
    plan = make_plan(
        manifest["scenario"]["path"],
        requests=manifest["requests"],
        seed=manifest["seed"],
        agent=manifest["agent"]["spec"],
        faults=manifest["faults"],
        folder=Path(manifest["folder"]),
    )
    if plan.agent.digest != manifest["agent"]["digest"]:
        raise UsageError(f"the agent {manifest['agent']['spec']} has changed since the run in {folder.path}")
    return plan


def _strikes(folder: RunFolder, index: int) -> list[Strike]:
    """Return the faults that struck the request, as (fault, operation, number of the call), from its journal."""
    events = folder.events_of(index)
    operations = {
        int(call): str(name) for call, name in events.loc[events["kind"] == "called", ["call", "name"]].to_numpy()
    }
    struck = events[(events["kind"] == "fault") & events["detail"].str.startswith(("delivered", "cancelled"))]
    return [
        (str(name), operations[int(call)], int(call))
        for name, call in struck[["name", "call"]].drop_duplicates().to_numpy()
        if int(call) in operations
    ]


def _executed_again(
    plan: Plan,
    index: int,
    *,
    forced: dict[int, list[Strike]] | None,
    isolated: bool,
    report: Report | None,
    interruption: Interruption | None,
) -> Case:
    stage = set_stage(plan, forced=forced)
    if interruption is not None:
        interruption.attach(stage.loop)
    stage.boundary.watched.add(index)
    found: list[Case] = []
    started_wall_s = perf_counter()
    done = 0

    def take(case: Case) -> None:
        nonlocal done
        done += 1
        if case.index == index:
            found.append(case)
        if done % 64 == 0 and report is not None and simulation.fence is not None:
            with simulation.fence.lifted():
                report(
                    Snapshot(
                        done=done,
                        total=max(index, done),
                        failures={},
                        virtual_s=stage.loop.time(),
                        wall_s=perf_counter() - started_wall_s,
                    )
                )

    only = frozenset({index}) if isolated else None
    with process_restored() if plan.agent.foreign else nullcontext():
        simulation = stage.simulation(take, only=only, stop_after=index)
        end = simulation.run()
    if not found:
        if end.stopped_by is not None:
            raise end.stopped_by
        raise NotReproducible(f"request {index} did not come up again before the run's end")
    return found[0]
