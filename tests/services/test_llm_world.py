"""The simulated model against the real services and the shipped intents: easy requests are done, and done right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.service import ManualClock

from pagerproof.model import Answer
from pagerproof.protocols import Call, Case, Service
from pagerproof.rng import key_of
from pagerproof.scenario.schema import Workload
from pagerproof.services.base import SimulatedService
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.crm import CustomerService
from pagerproof.services.inventory import InventoryService
from pagerproof.services.kb import KnowledgeService
from pagerproof.services.llm import LlmService
from pagerproof.services.orders import OrderService
from pagerproof.services.payments import PaymentService
from pagerproof.services.sap import SapService
from pagerproof.workload.build import BuiltWorkload, build_workload

SEED = 11
ROOT = Path(__file__).resolve().parents[2]
TOOLS = tuple(name for name in OPERATIONS if not name.startswith("llm."))
SERVICES: tuple[type[SimulatedService], ...] = (
    CustomerService, OrderService, InventoryService, PaymentService, KnowledgeService, SapService, LlmService,
)  # fmt: skip


def built(**spec: Any) -> BuiltWorkload:
    workload = Workload(customers_per_locale=20, **spec)
    return build_workload(workload, seed=SEED, requests=1000, operations=OPERATIONS, resolve=lambda name: ROOT / name)


class Bench:
    """Every service in one world, and an agent that only loops."""

    def __init__(self, workload: BuiltWorkload) -> None:
        self.seed = SEED
        self.scheduler: Any = ManualClock()
        self.directory: Any = workload.directory
        self.services: dict[str, Service] = {made.name: made() for made in SERVICES}
        for service in self.services.values():
            service.open(self)

    def ask(self, case: Case, operation: str, arguments: dict[str, Any]) -> Answer:
        case.calls += 1
        key = key_of(SEED, case.index, case.calls)
        call = Call(case, OPERATIONS[operation], arguments, case.calls, 1, key, self.scheduler.time(), None, None)
        answers: list[Answer | None] = []
        self.services[operation.split(".", maxsplit=1)[0]].submit(call, answers.append)
        self.scheduler.run()
        assert answers[0] is not None
        return answers[0]

    def chat(self, case: Case, messages: list[dict[str, Any]], tools: tuple[str, ...] = ()) -> dict[str, Any]:
        arguments = {"messages": messages, "tools": tools, "temperature": 0.0}
        message: dict[str, Any] = json.loads(self.ask(case, "llm.Chat.create", arguments).body)["choices"][0]["message"]
        return message

    def handle(self, case: Case) -> tuple[str, list[dict[str, Any]]]:
        messages = [
            {"role": "system", "content": "Use the tools."},
            {"role": "user", "content": f"{case.request.text}\n\nFrom: {case.request.customer_email}"},
        ]
        for _ in range(30):
            said = self.chat(case, messages, TOOLS)
            messages.append(said)
            if "tool_calls" not in said:
                return str(said["content"]), messages
            for called in said["tool_calls"]:
                name, arguments = called["function"]["name"], json.loads(called["function"]["arguments"])
                answer = self.ask(case, name, arguments)
                text = answer.body.decode()
                content = text if answer.status < 300 else f"ERROR HTTP {answer.status}: {text}"
                messages.append({"role": "tool", "name": name, "content": content})
        return "", messages


def case_at(workload: BuiltWorkload, index: int) -> Case:
    request, truth = workload.case(index, 0.0)
    return Case(request, replace(truth, difficulty=0.0))


def problems_of(case: Case, said: str, reply: str) -> list[str]:
    """What keeps this request from being done right."""
    found = []
    expectation = case.truth.expectation
    held = [(each.service, each.kind, each.entity, each.amount_minor) for each in case.effects]
    wanted = [(each.service, each.kind, each.entity, each.amount_minor) for each in expectation.effects]
    found += [f"missing {each}" for each in wanted if held.count(each) != 1]
    # A note on the file is never expected, and fails nobody.
    found += [f"unexpected {each}" for each in held if each not in wanted and each[1] != "note"]
    for effect in expectation.effects:
        entry = next((each for each in case.effects if (each.kind, each.entity) == (effect.kind, effect.entity)), None)
        if entry is not None and not set(effect.details) <= set(entry.details):
            found.append(f"details {entry.details}, not {effect.details}")
    begins = "DECLINE:" if expectation.decline else "DONE:"
    if not said.startswith(begins):
        found.append(f"said {said[:120]!r} instead of {begins}")
    if not expectation.decline:
        found += [f"told {value!r} neither by the actor" for value in expectation.told if value not in said]
        found += [f"nor by the writer: {value!r}" for value in expectation.told if value not in reply]
    return found


INTENTS = tuple(built().intents)


@pytest.mark.parametrize("intent", INTENTS)
def test_an_easy_request_of_every_intent_is_done_right(intent: str) -> None:
    workload = built(only_intents=(intent,), edge_cases=0.0)
    bench = Bench(workload)
    for index in (1, 2, 3, 4):
        case = case_at(workload, index)
        said, messages = bench.handle(case)
        verdict = json.loads(bench.chat(case, [{"role": "system", "content": "Verify it."}, *messages[1:]])["content"])
        reply = bench.chat(case, [{"role": "system", "content": "Write the reply."}, *messages[1:]])["content"]
        assert problems_of(case, said, reply) == [], case.request.text
        assert verdict["approved"] is True, verdict


def test_easy_requests_with_edge_cases_end_as_they_must() -> None:
    workload = built(edge_cases=1.0)
    bench = Bench(workload)
    seen: set[str] = set()
    for index in range(1, 201):
        case = case_at(workload, index)
        seen.update(case.truth.edge_cases)
        said, messages = bench.handle(case)
        reply = bench.chat(case, [{"role": "system", "content": "Write the reply."}, *messages[1:]])["content"]
        found = problems_of(case, said, reply)
        if case.truth.edge_cases == ("wrong_order_number",):
            # A tool that fails for good may be tried again or given up before it is declined.
            found = [each for each in found if not each.startswith("said 'CANNOT:")]
        assert found == [], (case.truth.edge_cases, case.truth.intents, case.request.text[:200])
    assert len(seen) > 10
