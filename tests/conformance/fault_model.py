"""What every fault model must keep to; `python -m tests.conformance.fault_model FILE...` tries your own files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.stage import ACT, FINISHED, SERVICES, VERIFY, Seen, Stage, call_of, case

from pagerproof.errors import PagerproofError
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.load import load_file
from pagerproof.scenario.schema import FaultUse

REQUESTS = 4000
SPAN_S = 40_000.0


def reaches_the_agent_or_the_service(model: FaultModel) -> None:
    """Struck by it, some call of its target ends otherwise for the agent, or leaves the service in another state."""
    tried = []
    for operation, arguments in _tries(model):
        before = _one_call(model, operation, arguments, struck=False)
        after = _one_call(model, operation, arguments, struck=True)
        if before != after:
            return
        tried.append(operation)
    raise AssertionError(f"{model.id} changes nothing about any call it can strike: {', '.join(tried)}")


def strikes_by_its_own_trigger(model: FaultModel) -> None:
    """Over thousands of requests, hours and much use, its own trigger lets it strike at least once, and not always."""
    with Stage([FaultUse(use=model.id)], {model.id: model}, requests=REQUESTS) as stage:
        for service in stage.services.values():
            service.levels = dict.fromkeys(service.levels, 1e6)
        operations = sorted({operation for operation, _ in _tries(model)})
        for index in range(1, REQUESTS + 1):
            a_case = case(index)
            for operation in operations[:3]:
                started_s = (index // 2) * 2 * SPAN_S / REQUESTS  # two requests at a time
                stage.injector.decide(call_of(a_case, operation, started_s=started_s, arguments=ACT))
        stage.injector.close()
        stage.injector.check_balance()
        row = stage.injector.ledger()[0]
    assert row.eligible == REQUESTS * len(operations[:3])
    assert row.drawn > 0, f"{model.id} never struck in {row.eligible} calls it could have struck"


def its_books_balance(model: FaultModel) -> None:
    """Answered, timed out or unread: every decision has exactly one fate."""
    with Stage([FaultUse(use=model.id, at=(1, 2, 3))], {model.id: model}) as stage:
        for index, timeout_s, read in ((1, None, True), (2, 0.1, True), (3, 30.0, False)):
            a_case = case(index)
            for operation, arguments in _tries(model):
                stage.run(stage.call(a_case, operation, timeout_s=timeout_s, arguments=arguments, read=read))
        stage.injector.close()
        stage.injector.check_balance()
        row = stage.injector.ledger()[0]
    assert row.drawn == row.scripted > 0


def says_where_it_comes_from(model: FaultModel) -> None:
    """Every figure has a source or is called assumed; what must hold is written."""
    assert model.cites
    assert model.expect.always or model.expect.sometimes


def its_parameters_can_be_turned(model: FaultModel) -> None:
    """Every knob takes the value that the file itself gives it."""
    written: dict[str, Any] = {}
    for name, path in model.parameters.items():
        holder: Any = model._written
        first, *rest = path.split(".")
        if first not in ("trigger", "limits"):
            holder = next(effect for effect in holder["effect"] if first in effect)
        for key in (first, *rest):
            holder = holder[key]
        written[name] = holder
    assert model.with_parameters(written) == model


CHECKS = (
    says_where_it_comes_from,
    its_parameters_can_be_turned,
    reaches_the_agent_or_the_service,
    strikes_by_its_own_trigger,
    its_books_balance,
)


def _tries(model: FaultModel) -> list[tuple[str, Mapping[str, Any] | None]]:
    with Stage([FaultUse(use=model.id)], {model.id: model}) as stage:
        armed = stage.injector._faults[model.id]
        names = [
            name for service in SERVICES for name in stage.services[service].operations if name in armed.operations
        ]
    return [
        (name, arguments)
        for name in names
        for arguments in ((ACT, FINISHED, VERIFY) if name == "llm.Chat.create" else (None,))
    ]


def _one_call(
    model: FaultModel, operation: str, arguments: Mapping[str, Any] | None, *, struck: bool
) -> tuple[Seen, list[str], list[tuple[str, object]]]:
    use = FaultUse(use=model.id, at=(1,) if struck else (2,))
    with Stage([use], {model.id: model}) as stage:
        seen = stage.run(stage.call(case(1), operation, timeout_s=3600.0, arguments=arguments))
        service = stage.services[operation.split(".", maxsplit=1)[0]]
        return seen, service.committed, service.state


def main(files: Sequence[str]) -> int:
    """Try the files; return the number of those that fail."""
    failed = 0
    for name in files:
        try:
            model = load_file(Path(name), FaultModel).value
            for check in CHECKS:
                check(model)
        except (AssertionError, PagerproofError) as error:
            failed += 1
            print(f"{name}: {error}")
        else:
            print(f"{name}: conforms")
    return failed


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
