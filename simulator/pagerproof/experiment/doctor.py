"""Looks for what makes two runs of the same inputs differ: runs an agent in fresh processes and compares digests."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pagerproof.experiment.beside import run_in_child
from pagerproof.experiment.interruption import Interruption
from pagerproof.experiment.plan import PlanSpec
from pagerproof.experiment.run import execute
from pagerproof.experiment.stopwatch import wall_clock_s
from pagerproof.kernel.sources import watched_sources
from pagerproof.trace.store import RunFolder

HASH_SEEDS: Final = (0, 0, 1, 12345, 7, 99, 4711, 31337)
"""Of the processes in order: the first two differ in nothing that we could fix, so what differs there is no hash."""

_REMEDIES: Final = {
    "hash order": "sort before you iterate over a set of strings or a dict made of one, or fix PYTHONHASHSEED",
    "address": "order by a key of the content: id() and the default hash() are addresses, others in each process",
    "process": "do not put process ids into ids, keys or messages: draw them with uuid.uuid4()",
    "thread": "do not put thread ids into keys or messages: use a contextvar",
    "file": "do not read times or listings of files during a request: pass what you need as data, sort listings",
    "clock": "read time.time(), time.monotonic() or datetime.now(), which are virtual: clocks inside C are not",
    "entropy": "draw with random, secrets, uuid or os.urandom, which are governed: generators inside C are not",
    "machine": "do not put what the machine is into a request's work: pass it as configuration",
    "timing": "look for real threads, sockets and files whose readiness decides what happens first",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One run in a process of its own; `touched`: (kind, function, place, times), most often read first."""

    hash_seed: int
    digests: dict[int, str]
    folder: str
    process_id: int
    touched: tuple[tuple[str, str, str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where two runs first differ: event number `event` (from 1) of request `index`, in words on both sides."""

    index: int
    requests: int
    event: int
    left: str
    right: str
    hash_seeds: tuple[int, int]
    likely: str
    because: str
    places: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What `runs` runs of one agent came to; `difference` is None where none was found."""

    agent: str
    requests: int
    runs: int
    difference: Difference | None


def diagnose(
    spec: PlanSpec,
    scratch: Path,
    *,
    runs: int = 3,
    interruption: Interruption | None = None,
    done: Callable[[int], object] = lambda _run: None,
) -> Diagnosis:
    """Run the plan in `runs` fresh processes with several hash seeds, keep their traces below `scratch`, and compare.

    Raises what stops a run, as FailedBeside.
    """
    examined: list[Examined] = []
    for number, hash_seed in enumerate(HASH_SEEDS[:runs]):
        job = (spec, str(scratch / f"run-{number + 1}"), hash_seed, False)
        examined.append(run_in_child(examine, *job, hash_seed=hash_seed, interruption=interruption))
        done(number + 1)
    first = examined[0]
    other = next((each for each in examined[1:] if each.digests != first.digests), None)
    difference = None
    if other is not None:
        job = (spec, str(scratch / "watched"), 0, True)
        watched = run_in_child(examine, *job, hash_seed=0, interruption=interruption)
        difference = _difference(first, other, watched)
    return Diagnosis(agent=spec.agent, requests=spec.requests, runs=runs, difference=difference)


def examine(spec: PlanSpec, out: str, hash_seed: int, watch: bool) -> Examined:
    """Run the plan once in this process. Raises what stopped it."""
    import os

    plan = spec.plan()
    touched: dict[tuple[str, str, str], int] = {}
    if watch:
        with watched_sources() as touched:
            execution = execute(plan, out=Path(out))
    else:
        execution = execute(plan, out=Path(out))
    if execution.end.stopped_by is not None:
        raise execution.end.stopped_by
    assert execution.folder is not None
    table = execution.folder.requests()
    return Examined(
        hash_seed=hash_seed,
        digests={int(index): str(digest) for index, digest in zip(table["index"], table["digest"], strict=True)},
        folder=str(execution.folder.path),
        process_id=os.getpid(),
        touched=tuple((*key, times) for key, times in sorted(touched.items(), key=lambda item: -item[1])),
    )


def _difference(first: Examined, other: Examined, watched: Examined) -> Difference:
    indices = sorted(first.digests.keys() | other.digests.keys())
    differing = [index for index in indices if first.digests.get(index) != other.digests.get(index)]
    left, right = (_events(each.folder, differing[0]) for each in (first, other))
    number = next(
        (at for at, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]),
        min(len(left), len(right)),
    )
    on_left, on_right = (events[number] if number < len(events) else "(no event)" for events in (left, right))
    likely, because = _likely(on_left, on_right, first, other, watched)
    places = [
        f"{function} at {place} ({times:,} times)" for kind, function, place, times in watched.touched if kind == likely
    ]
    return Difference(
        index=differing[0],
        requests=len(differing),
        event=number + 1,
        left=on_left,
        right=on_right,
        hash_seeds=(first.hash_seed, other.hash_seed),
        likely=likely,
        because=because,
        places=tuple(places[:5]),
        remedy=_REMEDIES[likely],
    )


def _events(folder: str, index: int) -> list[str]:
    frame = RunFolder(Path(folder)).events_of(index)
    rows = frame[["time_us", "kind", "name", "call", "status", "detail"]].itertuples(index=False)
    return [
        f"{row[0] / 1e6:.6f} s  {row[1]} {row[2]}" + (f" #{row[3]}" if row[3] else "") + f"  {row[5]}".rstrip()
        for row in rows
    ]


_WORD = re.compile(r"[\w.:+-]+")


def _likely(left: str, right: str, first: Examined, other: Examined, watched: Examined) -> tuple[str, str]:
    """Return the likeliest kind of source, and what speaks for it."""
    touched = {kind for kind, *_ in watched.touched}
    pairs = list(zip(_WORD.findall(left), _WORD.findall(right), strict=False))
    differing = [(a, b) for a, b in pairs if a != b]
    same_words = sorted(_WORD.findall(left)) == sorted(_WORD.findall(right)) and bool(differing)
    if first.hash_seed != other.hash_seed:
        return "hash order", "two runs with the same hash seed agree, and a run with another one does not"
    if any(a == str(first.process_id) and b == str(other.process_id) for a, b in differing):
        return "process", "what differs is each process's own id"
    if same_words and "file" in touched:
        return "file", "the same words stand in another order, and the agent lists files"
    if same_words:
        return "address", "the same words stand in another order though the hash seed is the same"
    ranked = ("file", "entropy", "thread", "machine", "clock", "address", "process")
    read = next((kind for kind in ranked if kind in touched), None)
    if any(_is_wall_clock(a) and _is_wall_clock(b) for a, b in differing):
        if "file" in touched:
            return "file", "what differs is a time of the wall clock, and the agent reads the times of files"
        return "clock", "what differs is a time of the wall clock, read where governance cannot see it"
    if read is not None:
        return read, "the agent reads it"
    if differing:
        return "entropy", "values differ, and no known source was read: entropy or a clock inside C, or an address"
    return "timing", "the events are the same and their times are not"


def _is_wall_clock(word: str) -> bool:
    """Whether a word is an instant within a day of now: seconds (or milli-, micro-, nanoseconds), or an ISO date."""
    now_s = wall_clock_s()
    if re.match(r"\d{4}-\d\d-\d\d", word):
        from datetime import UTC, datetime

        return any(
            word.startswith(datetime.fromtimestamp(now_s + shift_s, UTC).strftime("%Y-%m-%d"))
            for shift_s in (-86_400, 0, 86_400)
        )
    try:
        value = float(word)
    except ValueError:
        return False
    return any(abs(value / scale - now_s) < 86_400 for scale in (1, 1e3, 1e6, 1e9))


def in_words(diagnosis: Diagnosis) -> Sequence[str]:
    """Return the diagnosis as lines of text."""
    found = diagnosis.difference
    if found is None:
        return (
            f"{diagnosis.agent}: no difference in {diagnosis.runs} runs of {diagnosis.requests:,} requests, "
            "each in a fresh process",
        )
    lines = [
        f"{diagnosis.agent}: {found.requests:,} of {diagnosis.requests:,} requests differ between two runs "
        f"(hash seeds {found.hash_seeds[0]} and {found.hash_seeds[1]})",
        f"  first in request {found.index}, event {found.event}:",
        f"    {found.left}",
        f"    {found.right}",
        f"  likely source: {found.likely} ({found.because})",
    ]
    lines += [f"    read by {place}" for place in found.places]
    lines.append(f"  what to do: {found.remedy}")
    return lines
