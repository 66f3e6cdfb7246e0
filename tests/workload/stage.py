"""A small stage for workloads: builds them from the repository's files, and walks a happy path over real services."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any

from pagerproof.model import Answer, LedgerEntry, Request, Truth
from pagerproof.protocols import Call, Case, Directory, Scheduler
from pagerproof.rng import key_of
from pagerproof.scenario.schema import Workload
from pagerproof.services import make_services
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.workload.build import BuiltWorkload, build_workload

ROOT = Path(__file__).resolve().parents[2]


def resolve(name: str) -> Path:
    return ROOT / name


def built(*, seed: int = 1, length: int = 1000, **spec: Any) -> BuiltWorkload:
    return build_workload(Workload(**spec), seed=seed, requests=length, operations=OPERATIONS, resolve=resolve)


@cache
def shipped() -> BuiltWorkload:
    """The shipped intents without edge cases, built once."""
    return built(edge_cases=0, customers_per_locale=40)


def one_of_each(workload: BuiltWorkload, times: int = 1) -> Iterator[tuple[str, Request, Truth]]:
    """Yield `times` requests of every intent of the workload, in order of index."""
    wanted = {intent.parts: [intent.id, times] for intent in workload.intents.values()}
    for index in range(1, 100_000):
        request, truth = workload.case(index, 0.0)
        left: list[Any] = wanted[truth.intents]
        if left[1]:
            left[1] -= 1
            yield left[0], request, truth
            if not any(each[1] for each in wanted.values()):
                return
    raise AssertionError(f"never drawn: {wanted}")


class _Timer:
    def __init__(self, callback: Any, args: tuple[object, ...]) -> None:
        self.callback, self.args = callback, args

    def cancel(self) -> None:
        self.callback = None


class _Stage:
    """A scheduler that runs until nothing is left; also the World that services are opened with."""

    def __init__(self, directory: Directory, seed: int) -> None:
        self.directory, self.seed, self.now = directory, seed, 0.0
        self.scheduler: Scheduler = self
        self.queue: list[tuple[float, int, _Timer]] = []
        self.numbers = count()

    def time(self) -> float:
        return self.now

    def schedule(self, delay_s: float, callback: Any, /, *args: object) -> _Timer:
        timer = _Timer(callback, args)
        heappush(self.queue, (self.now + delay_s, next(self.numbers), timer))
        return timer

    def run(self) -> None:
        while self.queue:
            self.now, _, timer = heappop(self.queue)
            if timer.callback is not None:
                timer.callback(*timer.args)


def walk(workload: BuiltWorkload, request: Request, truth: Truth) -> tuple[list[LedgerEntry], dict[str, Any]]:
    """Carry out the happy path on fresh services; return the ledger's entries and each operation's answer.

    Fails where a service refuses a step.
    """
    stage = _Stage(workload.directory, workload.seed)
    services = make_services()
    for service in services.values():
        service.open(stage)
    case = Case(request, truth)
    answers: dict[str, Any] = {}
    for number, step in enumerate(truth.path, 1):
        operation = OPERATIONS[step.operation]
        arguments = {
            name: _argument(source, operation.arguments[name], truth.slots, answers) for name, source in step.arguments
        }
        got: list[Answer | None] = []
        call = Call(case, operation, arguments, number, 1, key_of(7, number), stage.now, None, None)
        services[operation.service].submit(call, got.append)
        stage.run()
        assert len(got) == 1
        assert got[0] is not None
        assert got[0].status < 300, f"{step}: {got[0]}"
        answers[step.operation] = json.loads(got[0].body)
    return case.effects, answers


def _argument(source: str, kind: str, slots: Mapping[str, str], answers: Mapping[str, Any]) -> Any:
    value: Any = source
    if source.startswith("$"):
        value = slots[source[1:]]
    elif source.startswith("@"):
        service, entity, verb, *fields = source[1:].split(".")
        value = answers[f"{service}.{entity}.{verb}"]
        for field in fields:
            value = value[int(field)] if field.isdecimal() else value[field]
    return int(value) if kind == "integer" else value
