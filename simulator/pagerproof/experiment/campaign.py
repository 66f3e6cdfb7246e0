"""Replications: the same scenario under many seeds, in parallel processes, without what its author scripted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median_low
from typing import Any

import orjson

from pagerproof.errors import PagerproofError
from pagerproof.experiment.interruption import children_deaf_to_ctrl_c
from pagerproof.experiment.plan import Plan, PlanSpec
from pagerproof.experiment.run import execute
from pagerproof.metrics import FirstAppearance, Replications
from pagerproof.model import Outcome
from pagerproof.scenario.find import shipped_folder
from pagerproof.trace.journal import cannot_write

FOLDER = "first_appearances"
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """What one seed showed: for each failure mode its outcome, how often, and where first."""

    seed: int
    digest: str
    modes: tuple[tuple[str, str, int, int], ...]


def campaign(
    plan: Plan,
    seeds: Sequence[int],
    *,
    workers: int,
    done: Callable[[Replication], object] | None = None,
) -> Replications:
    """Run the plan's scenario under every seed, unscripted, and return where each failure mode first appears.

    The result is the same for any number of workers. A replication whose worker dies is run again, up to three times.
    """
    specs = [replace(plan.spec(), seed=seed) for seed in seeds]
    found: dict[int, Replication] = {}
    for replication in _run_all(specs, workers):
        found[replication.seed] = replication
        if done is not None:
            done(replication)
    return Replications(
        seeds=tuple(seeds),
        requests=plan.requests,
        appearances=appearances([found[seed] for seed in seeds]),
        current=True,
    )


def appearances(replications: Iterable[Replication]) -> tuple[FirstAppearance, ...]:
    """Return each mode's first indices over the replications that showed it, the gravest outcome first."""
    first: dict[tuple[str, str], list[int]] = {}
    for replication in replications:
        for mode, outcome, _, index in replication.modes:
            first.setdefault((mode, outcome), []).append(index)
    gravity = {outcome.value: rank for rank, outcome in enumerate(Outcome)}
    return tuple(
        FirstAppearance(
            mode=mode,
            outcome=outcome,
            seeds=len(indices),
            first_min=min(indices),
            first_median=median_low(indices),
            first_max=max(indices),
        )
        for (mode, outcome), indices in sorted(first.items(), key=lambda item: (gravity[item[0][1]], min(item[1])))
    )


def replicate(spec: PlanSpec) -> Replication:
    """Run one seed of a campaign. Raises what stopped it."""
    execution = execute(spec.plan().without_script(), out=None)
    if execution.end.stopped_by is not None:
        raise execution.end.stopped_by
    return Replication(
        seed=spec.seed,
        digest=execution.result.digest,
        modes=tuple((each.mode, each.outcome, each.count, each.first_index) for each in execution.result.failure_modes),
    )


def _run_all(specs: Iterable[PlanSpec], workers: int) -> Iterator[Replication]:
    if workers == 1:
        for spec in specs:
            yield replicate(spec)
        return
    left = list(specs)
    for _ in range(_ATTEMPTS):
        lost: list[PlanSpec] = []
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            try:
                yield from _collected(pool, left, lost)
            except BaseException:
                _end(pool)
                raise
        if not lost:
            return
        left = lost
    seeds = ", ".join(str(spec.seed) for spec in left)
    raise PagerproofError(f"the workers for the seeds {seeds} died {_ATTEMPTS} times")


def _collected(pool: Executor, specs: Iterable[PlanSpec], lost: list[PlanSpec]) -> Iterator[Replication]:
    """Yield what the pool finishes; what a worker took with it when it died goes to `lost`."""
    with children_deaf_to_ctrl_c():
        running: dict[Future[Replication], PlanSpec] = {pool.submit(replicate, spec): spec for spec in specs}
    for future in as_completed(running):
        try:
            yield future.result()
        except BrokenProcessPool:
            lost.append(running[future])


def _end(pool: ProcessPoolExecutor) -> None:
    """End the workers now: leaving the pool would wait for every replication that has begun."""
    for process in list(pool._processes.values()):
        process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)


# --- kept results


def keep(plan: Plan, replications: Replications, folder: Path) -> Path:
    """Write the replications below `folder`, with the key of their inputs, and return the file."""
    path = folder / f"{plan.scenario.id}-{plan.agent.name}.json"
    document = {"schema": "pagerproof/first-appearances/1", "key": _key(plan), **asdict(replications)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def kept(plan: Plan, out: Path | None) -> Replications | None:
    """Return the replications kept for this scenario and agent: the user's own below `out`, else the shipped ones."""
    folders = ([] if out is None else [out / FOLDER]) + [shipped_folder("reports") / FOLDER]
    for folder in folders:
        path = folder / f"{plan.scenario.id}-{plan.agent.name}.json"
        if path.is_file():
            found = _read(path, _key(plan))
            if found is not None and found.requests == plan.requests:
                return found
    return None


def _read(path: Path, key: str) -> Replications | None:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        appearing = tuple(FirstAppearance(**each) for each in document["appearances"])
        return Replications(
            seeds=tuple(document["seeds"]),
            requests=document["requests"],
            appearances=appearing,
            current=document["key"] == key,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # half-written or of another version: as if it were not there


def _key(plan: Plan) -> str:
    """Name the inputs without the seed, which is what a campaign varies."""
    return replace(plan, seed=0, faults=bool(plan.scenario.faults)).key()
