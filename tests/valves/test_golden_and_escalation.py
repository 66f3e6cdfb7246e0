"""The golden policy, escalation, the steady model, and the stack that puts valves together."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.conformance.valve import (
    WRITE,
    WRITE_ARGUMENTS,
    FakeDesk,
    Scripted,
    ScriptedModel,
    ScriptedToolbox,
    answer,
    run,
)

from pagerproof.model import Reply, ReplyStatus, Request
from pagerproof.tools import BadAnswer, Completion, ConnectionLost, Desk, ModelToolCall, ToolError, ToolTimeout
from pagerproof.valves import (
    BudgetExceeded,
    Deadline,
    DeadlineExceeded,
    GoldenPath,
    GoldenPolicy,
    OffPath,
    Retry,
    RetryBudget,
    SteadyModel,
    escalate,
    escalating,
    stack,
)

FIND, READ = "crm.Customer.find", "orders.Order.get"


def plan(intents: Sequence[str], done: Sequence[str]) -> Sequence[str] | None:
    return [each for each in (FIND, READ, WRITE) if each not in done] if "refund" in intents else None


def golden_path(*intents: str) -> tuple[GoldenPath, FakeDesk, ScriptedToolbox]:
    names = [FIND, READ, WRITE, "orders.Order.cancel", "kb.Policy.get", "crm.Note.create"]
    inner = ScriptedToolbox({name: [answer({})] for name in names})
    desk = FakeDesk(inner)
    path = GoldenPolicy(plan, diverge_max=2).begin(inner, desk)
    if intents:
        path.routed(intents)
    return path, desk, inner


def test_a_write_off_the_path_is_refused_and_told_what_comes_next() -> None:
    path, desk, inner = golden_path("refund")
    run(path.call(FIND, {}))
    with pytest.raises(OffPath, match=READ):
        run(path.call("orders.Order.cancel", {}))
    assert len(inner.calls) == 1
    assert len(desk.marked("golden_policy")) == 1


def test_writes_on_the_path_reads_and_notes_pass_in_silence() -> None:
    path, desk, inner = golden_path("refund")
    for operation in (FIND, "kb.Policy.get", READ, WRITE, WRITE, "crm.Note.create"):
        run(path.call(operation, {}))
    assert len(inner.calls) == 6
    assert desk.marks == []


@pytest.mark.parametrize("intents", [(), ("something_new",)])
def test_without_an_opinion_nothing_is_refused_and_nothing_replaced(intents: tuple[str, ...]) -> None:
    path, desk, _ = golden_path(*intents)
    assert run(path.call("orders.Order.cancel", {})).ok
    assert [path.align("orders.Order.cancel") for _ in range(5)] == ["orders.Order.cancel"] * 5
    assert desk.marks == []


def test_after_enough_divergences_the_policys_next_read_replaces_the_models_choice() -> None:
    path, desk, _ = golden_path("refund")
    assert path.align(FIND) == FIND
    assert path.align("kb.Policy.get") == "kb.Policy.get"
    assert desk.marks == []
    assert path.align("kb.Policy.get") == FIND
    run(path.call(FIND, {}))
    assert path.align("kb.Policy.get") == READ
    assert [detail.partition(":")[0] for detail in desk.marked("golden_policy")] == ["divergence 2", "divergence 3"]


def test_a_write_is_never_made_in_the_models_place() -> None:
    path, _, _ = golden_path("refund")
    run(path.call(FIND, {}))
    run(path.call(READ, {}))
    assert [path.align("kb.Policy.get") for _ in range(4)] == ["kb.Policy.get"] * 4


def test_what_failed_is_still_to_be_done() -> None:
    inner = ScriptedToolbox({FIND: [answer({}, 503)]})
    path = GoldenPolicy(plan).begin(inner, FakeDesk(inner))
    path.routed(("refund",))
    run(path.call(FIND, {}))
    assert list(path.remaining() or ()) == [FIND, READ, WRITE]


# --- escalation


def test_a_hand_over_opens_a_ticket_for_a_known_customer_and_says_so() -> None:
    inner = ScriptedToolbox({"crm.Ticket.create": [answer({"ticket_id": "T1"})]})
    desk = FakeDesk(inner)
    reply = run(escalate(desk, "the write is uncertain", customer_id="C000001"))
    assert reply.status is ReplyStatus.HANDED_OVER
    assert reply.reason == "the write is uncertain"
    assert "handed over: the write is uncertain" in desk.marked("escalation")
    assert inner.calls[0]["arguments"]["customer_id"] == "C000001"


@pytest.mark.parametrize("failure", [ToolTimeout("t", "late"), ConnectionLost("t", "gone"), answer({}, 500)], ids=str)
def test_a_ticket_system_that_fails_does_not_stop_the_hand_over(failure: Scripted) -> None:
    desk = FakeDesk(ScriptedToolbox({"crm.Ticket.create": [failure]}))
    assert run(escalate(desk, "why", customer_id="C000001")).status is ReplyStatus.HANDED_OVER


def test_without_a_known_customer_no_ticket_is_opened() -> None:
    inner = ScriptedToolbox({})
    assert run(escalate(FakeDesk(inner), "why")).status is ReplyStatus.HANDED_OVER
    assert inner.calls == []


def test_any_agent_can_be_made_to_hand_over_what_its_valves_refuse() -> None:
    async def stubborn(request: Request, desk: Desk) -> Reply | str:
        raise BudgetExceeded(READ, "a loop")

    async def content(request: Request, desk: Desk) -> Reply | str:
        return "all well"

    async def broken(request: Request, desk: Desk) -> Reply | str:
        raise ToolTimeout(READ, "late")

    desk = FakeDesk(ScriptedToolbox({}))
    handed_over = run(_handled(escalating(stubborn)(desk.request, desk)))
    assert isinstance(handed_over, Reply)
    assert handed_over.status is ReplyStatus.HANDED_OVER
    assert run(_handled(escalating(content)(desk.request, desk))) == "all well"
    with pytest.raises(ToolTimeout):
        run(_handled(escalating(broken)(desk.request, desk)))


async def _handled(work: object) -> object:
    return await work  # type: ignore[misc]  # an Awaitable, which asyncio.run does not take


# --- the model


def said(text: str = "ok", finish_reason: str = "stop", arguments: str | None = None) -> Completion:
    calls = () if arguments is None else (ModelToolCall(READ, arguments),)
    return Completion(text=text, tool_calls=calls, finish_reason=finish_reason, tokens_in=1, tokens_out=1)


def steady(*script: Completion | BaseException) -> tuple[SteadyModel, FakeDesk, ScriptedModel]:
    model = ScriptedModel(script)
    desk = FakeDesk(ScriptedToolbox({}), model=model)
    deadline = Deadline(limit_s=100.0)
    return SteadyModel(model, desk, retry=Retry(deadline=deadline), deadline=deadline), desk, model


def test_a_complete_answer_of_the_model_passes_in_silence() -> None:
    model, desk, inner = steady(said())
    assert run(model.chat([])).text == "ok"
    assert inner.timeouts_s == [30.0]
    assert desk.marks == []


@pytest.mark.parametrize(
    "half",
    [
        said(finish_reason="length"),
        said(finish_reason=""),
        said(finish_reason="tool_calls", arguments='{"order_id": "45'),
        said(finish_reason="tool_calls", arguments='["4500000001"]'),
        ToolTimeout("llm.Chat.create", "late"),
        ToolError("llm.Chat.create", "overloaded", status=529),
        BadAnswer("llm.Chat.create", "no choices"),
    ],
    ids=str,
)
def test_a_half_or_failed_answer_of_the_model_is_asked_for_again(half: Completion | BaseException) -> None:
    model, desk, inner = steady(half, said("whole"))
    assert run(model.chat([])).text == "whole"
    assert inner.attempts == [1, 2]
    assert len(desk.marked("retry")) == 1
    assert len(desk.marked("response_validation")) == isinstance(half, Completion)


def test_a_model_that_stays_broken_is_given_up() -> None:
    model, _, inner = steady(said(finish_reason="length"))
    with pytest.raises(BadAnswer):
        run(model.chat([]))
    assert len(inner.heard) == 3


def test_the_model_is_not_asked_after_the_deadline() -> None:
    model, desk, inner = steady(said())
    desk.virtual.time_s = 80.0
    run(model.chat([]))
    assert inner.timeouts_s == [pytest.approx(20.0)]
    assert desk.marked("deadline") == ["llm.Chat.create: time-out cut from 30.0 s to 20.0 s"]
    desk.virtual.time_s = 100.0
    with pytest.raises(DeadlineExceeded):
        run(model.chat([]))


def test_model_and_tools_spend_one_budget() -> None:
    deadline = Deadline()
    retry = Retry(deadline=deadline, budget=RetryBudget(per_s=0.0))
    model = ScriptedModel([said(finish_reason="length")])
    desk = FakeDesk(ScriptedToolbox({}), model=model)
    with pytest.raises(BadAnswer):
        run(SteadyModel(model, desk, retry=retry, deadline=deadline).chat([]))
    assert len(model.heard) == 1


def test_the_first_valve_named_is_the_outermost() -> None:
    inner = ScriptedToolbox({WRITE: [answer({})]})
    desk = FakeDesk(inner)
    toolbox = stack(inner, desk, [GoldenPolicy(), Deadline()])
    assert isinstance(toolbox, GoldenPath)
    run(toolbox.call(WRITE, WRITE_ARGUMENTS))
    assert inner.calls[0]["timeout_s"] == 30.0
