"""What the commands do: run, replay, demo and report, with progress on stderr and data on stdout."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from pagerproof.cli.console import stderr_console, stdout_console
from pagerproof.cli.process import fix_hash_seed
from pagerproof.errors import Interrupted, UsageError
from pagerproof.experiment.beside import Beside
from pagerproof.experiment.campaign import FOLDER, Replication, campaign, keep, kept
from pagerproof.experiment.demo import compare, execute_spec
from pagerproof.experiment.interruption import on_ctrl_c
from pagerproof.experiment.plan import Plan, differing_versions, make_plan
from pagerproof.experiment.replay import recorded_plan, replay_request
from pagerproof.experiment.run import Execution, execute
from pagerproof.experiment.steady_state import baseline_of
from pagerproof.metrics.result import RunResult
from pagerproof.reporting.progress import progress_for
from pagerproof.reporting.side_by_side import print_side_by_side
from pagerproof.reporting.summary import print_replications, print_summary
from pagerproof.reporting.summary import replay_command as replay_command_line
from pagerproof.reporting.timeline import replay_document
from pagerproof.reporting.timeline_text import print_replay
from pagerproof.trace.store import RunFolder, latest_run, new_run_folder


def run_command(
    scenario: str,
    *,
    requests: int | None,
    seed: int | None,
    agent: str | None,
    faults: bool,
    out: Path,
    format_: str,
    quiet: bool,
    progress: bool,
    color: str,
) -> int:
    """Run a scenario, print its result, and return the exit status."""
    plan = make_plan(scenario, requests=requests, seed=seed, agent=agent, faults=faults)
    fix_hash_seed(plan)
    execution = _executed(plan, out, stderr_console(color), progress=progress)
    if not quiet:
        _print_result(execution.result, stdout_console(color), format_, _shown(execution.folder))
    _say_what_stopped(execution, stderr_console(color))
    return execution.exit_status


def _executed(plan: Plan, out: Path, stderr: Console, *, progress: bool) -> Execution:
    def announce_baseline() -> None:
        if progress:
            stderr.print(f"making the fault-free baseline of {plan.name} as well (once; kept in {out})", soft_wrap=True)

    with progress_for(stderr, enabled=progress, label=plan.agent.name) as shown, on_ctrl_c() as interruption:
        return execute(
            plan,
            out=out,
            report=shown.update,
            baseline=baseline_of(plan, out, interruption=interruption, announce=announce_baseline)
            if plan.faults
            else None,
            interruption=interruption,
            replications=kept(plan, out) if plan.faults else None,
        )


def _print_result(result: RunResult, stdout: Console, format_: str, run_folder: str) -> None:
    if format_ == "json":
        print(json.dumps(result.to_json() | {"run": run_folder}, indent=2))
    else:
        print_summary(stdout, result, run_folder=run_folder)


def _say_what_stopped(execution: Execution, stderr: Console) -> None:
    stopped_by = execution.end.stopped_by
    if stopped_by is None:
        return
    settled = len(execution.table) - len(execution.end.unsettled)
    where = f" and stands in {execution.folder.path}" if execution.folder is not None else ""
    kind = "interrupted" if isinstance(stopped_by, Interrupted) else "stopped"
    message = "" if isinstance(stopped_by, Interrupted) else f": {stopped_by}"
    stderr.print(
        f"{kind} after {settled:,} of {execution.requests:,} requests{message}\n"
        f"what had settled by then is journalled{where}",
        soft_wrap=True,
    )


def _shown(folder: RunFolder | None) -> str:
    if folder is None:
        return ""
    try:
        return str(folder.path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(folder.path)


def replay_command(
    index: int, *, run_folder: Path | None, isolated: bool, out: Path, format_: str, progress: bool, color: str
) -> int:
    """Execute a run again up to one request, print that request, and return 0, or 4 where it is not the same."""
    folder = RunFolder(run_folder) if run_folder is not None else latest_run(out)
    fix_hash_seed(recorded_plan(folder))
    stderr = stderr_console(color)
    with progress_for(stderr, enabled=progress) as shown, on_ctrl_c() as interruption:
        replay = replay_request(folder, index, isolated=isolated, report=shown.update, interruption=interruption)
    if format_ == "json":
        print(json.dumps(replay_document(replay), indent=2, ensure_ascii=False))
    else:
        alone = " --isolated" if isolated else ""
        command = replay_command_line(index, _shown(folder)) + alone
        print_replay(stdout_console(color), replay, command=command)
    if replay.same or isolated:
        return 0
    differing = differing_versions(folder.manifest()["versions"])
    if differing:
        stderr.print(f"the run was made with other versions: {', '.join(differing)}", soft_wrap=True)
    return 4


def demo_command(
    scenario: str, *, requests: int | None, seed: int | None, out: Path, quiet: bool, progress: bool, color: str
) -> int:
    """Run both reference agents on one seed, print them side by side, and return 0 unless something stopped a run."""
    stderr = stderr_console(color)
    plans = [make_plan(scenario, requests=requests, seed=seed, agent=agent) for agent in ("vendor_demo", "hardened")]
    if progress:
        what = f"{plans[0].requests:,} requests, seed {plans[0].seed}"
        stderr.print(f"{what}: hardened here, vendor_demo in a process beside it", soft_wrap=True)
    with progress_for(stderr, enabled=progress, label="hardened") as shown, on_ctrl_c() as interruption:
        folders = [new_run_folder(out, plan.name) for plan in plans]
        beside = Beside(execute_spec, plans[0].spec(), folders[0])
        right = execute(plans[1], out=out, folder=folders[1], report=shown.update, interruption=interruption)
        if right.end.stopped_by is not None:
            beside.stop()
            _say_what_stopped(right, stderr)
            return right.exit_status
        left = beside.result(interruption)
    if left.end.stopped_by is not None:
        _say_what_stopped(left, stderr)
        return left.exit_status
    if not quiet:
        print_side_by_side(
            stdout_console(color),
            left.result,
            right.result,
            compare(left, right),
            left_run=_shown(left.folder),
            right_run=_shown(right.folder),
        )
    return 0


def campaign_command(
    scenario: str,
    *,
    requests: int | None,
    seed: int | None,
    seeds: int,
    agent: str | None,
    workers: int,
    out: Path,
    keep_in: Path | None,
    format_: str,
    progress: bool,
    color: str,
) -> int:
    """Run a scenario under many seeds without its script, keep and print where each mode first appears."""
    plan = make_plan(scenario, requests=requests, seed=seed, agent=agent)
    fix_hash_seed(plan)
    stderr = stderr_console(color)
    numbers = range(plan.seed, plan.seed + seeds)

    def done(replication: Replication) -> None:
        if progress:
            modes = ", ".join(f"{mode.replace('_', ' ')} from {first}" for mode, _, _, first in replication.modes[:3])
            stderr.print(f"seed {replication.seed}: {modes or 'no failure'}", soft_wrap=True)

    replications = campaign(plan, numbers, workers=workers, done=done)
    path = keep(plan, replications, keep_in if keep_in is not None else out / FOLDER)
    if format_ == "json":
        print(json.dumps(asdict(replications), indent=2))
    else:
        stdout = stdout_console(color)
        print_replications(stdout, replications)
        stdout.print(f"kept in {path}", soft_wrap=True)
    return 0


def report_command(run_folder: Path, *, format_: str, color: str) -> int:
    """Print the summary of a stored run again; the exit status is that of reading it."""
    folder = RunFolder(run_folder)
    manifest = folder.manifest()
    document = folder.result()
    if format_ == "json":
        print(json.dumps(document | {"run": _shown(folder)}, indent=2))
        return 0
    try:
        result = RunResult.from_json(document)
    except ValueError as error:
        raise UsageError(f"{folder.path / 'result.json'} cannot be read by this version: {error}") from error
    stdout = stdout_console(color)
    print_summary(stdout, result, run_folder=_shown(folder))
    if manifest["status"] != "complete":
        stdout.print(f"status     {manifest['status']} after {manifest.get('settled', 0):,} settled requests")
    return 0
