"""The fault-free baseline of a run: made once for a seed, kept beside the runs, and timed apart from them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import orjson

from pagerproof.experiment.beside import Beside
from pagerproof.experiment.interruption import Interruption
from pagerproof.experiment.plan import Plan, PlanSpec
from pagerproof.experiment.run import execute
from pagerproof.gates import evaluate
from pagerproof.metrics import Baseline, baseline

_FOLDER = "baselines"


def baseline_of(
    plan: Plan, out: Path | None, *, interruption: Interruption, announce: Callable[[], object] = lambda: None
) -> Callable[[], Baseline]:
    """Return a function that gives the plan's baseline: from below `out`, or made in a process beside this one.

    That process starts now, after `announce`. The function waits for it; it raises Interrupted when the user does not.
    """
    kept = _stored(_place(plan, out))
    if kept is not None:
        return lambda: kept
    announce()
    return partial(Beside(make_baseline, plan.spec(), out).result, interruption)


def make_baseline(spec: PlanSpec, out: Path | None) -> Baseline:
    """Run the plan without faults, keep what it comes to below `out`, and return it. Raises what stopped it."""
    plan = spec.plan()
    calm = plan.without_faults()
    execution = execute(calm, out=None)
    if execution.end.stopped_by is not None:
        raise execution.end.stopped_by
    requests = execution.table.finish()
    made = baseline(
        requests,
        digest=execution.result.digest,
        gates=evaluate(calm.scenario.gates, requests),
        wall_s=execution.result.wall_s,
    )
    _keep(_place(plan, out), made)
    return made


def _place(plan: Plan, out: Path | None) -> Path | None:
    return None if out is None else out / _FOLDER / f"{plan.without_faults().key()[:32]}.json"


def _stored(path: Path | None) -> Baseline | None:
    if path is None or not path.is_file():
        return None
    try:
        document = json.loads(path.read_bytes())
        document["broken_gates"] = tuple(document["broken_gates"])
        return Baseline(**document)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # half-written or of another version: it is made again


def _keep(path: Path | None, made: Baseline) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
        unfinished.write_bytes(orjson.dumps(asdict(made), option=orjson.OPT_INDENT_2))
        unfinished.rename(path)
    except OSError:
        path.unlink(missing_ok=True)  # a cache that cannot be kept is made again next time
