"""The plain tool caller: every tool on offer, errors to the model as text, and loud when the model is silent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.conformance.valve import (
    READ,
    READ_ARGUMENTS,
    WRITE,
    WRITE_ARGUMENTS,
    FakeDesk,
    ScriptedModel,
    ScriptedToolbox,
    answer,
    order,
    refund,
    run,
)

from pagerproof.agents import tool_caller
from pagerproof.model import Operation, Reply, ReplyStatus
from pagerproof.tools import Completion, ModelToolCall, ToolError, ToolTimeout

HUMAN = "retail.transfer_to_human_agents"


def says(text: str) -> Completion:
    return Completion(text=text, tool_calls=(), finish_reason="stop", tokens_in=1, tokens_out=1)


def calls(name: str, arguments: Any) -> Completion:
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = ModelToolCall(name, written)
    return Completion(text="", tool_calls=(call,), finish_reason="tool_calls", tokens_in=1, tokens_out=1)


def worked(model: list[Any], tools: dict[str, list[Any]]) -> tuple[Reply, ScriptedToolbox, list[Any]]:
    toolbox, scripted = ScriptedToolbox(tools), ScriptedModel(model)
    desk = FakeDesk(toolbox, model=scripted)
    human = Operation(service="retail", name="transfer_to_human_agents", summary="", arguments={"summary": "string"})
    desk.operations = {**desk.operations, HUMAN: human}
    return run(tool_caller.handle(desk.request, desk)), toolbox, scripted.heard


def test_it_calls_what_the_model_asks_for_and_ends_with_its_word() -> None:
    reply, toolbox, heard = worked(
        [calls(READ, READ_ARGUMENTS), says("DONE: it is shipped.")], {READ: [answer(order())]}
    )
    assert (reply.status, reply.text) == (ReplyStatus.DONE, "it is shipped.")
    assert toolbox.sent(READ)[0]["arguments"] == READ_ARGUMENTS
    assert json.loads(heard[1][-1]["content"])["status"] == "shipped"


@pytest.mark.parametrize(
    ("word", "status"), [("DECLINE: no", ReplyStatus.DECLINED), ("CANNOT: no", ReplyStatus.FAILED)]
)
def test_the_models_last_word_is_the_status(word: str, status: ReplyStatus) -> None:
    assert worked([says(word)], {})[0].status is status


def test_who_called_for_a_human_hands_over_and_who_was_refused_one_does_not() -> None:
    script = [calls(HUMAN, {"summary": "x"}), says("DONE: a colleague takes over.")]
    assert worked(script, {HUMAN: [answer({"transferred": True})]})[0].status is ReplyStatus.HANDED_OVER
    assert worked(script, {HUMAN: [answer({"error": "x"}, 500)]})[0].status is ReplyStatus.DONE


def test_a_read_that_timed_out_is_tried_once_more_and_a_write_is_not() -> None:
    _, toolbox, _ = worked(
        [calls(READ, READ_ARGUMENTS), says("DONE:")], {READ: [ToolTimeout(READ, "late"), answer({})]}
    )
    assert [call["attempt"] for call in toolbox.calls] == [1, 2]
    _, toolbox, heard = worked([calls(WRITE, WRITE_ARGUMENTS), says("DONE:")], {WRITE: [ToolTimeout(WRITE, "late")]})
    assert len(toolbox.calls) == 1
    assert heard[1][-1]["content"].startswith("ERROR")


def test_arguments_that_are_no_object_never_reach_a_tool() -> None:
    _, toolbox, heard = worked(
        [calls(WRITE, "{broken"), calls(WRITE, "[1]"), says("DONE:")], {WRITE: [answer(refund())]}
    )
    assert toolbox.calls == []
    assert "no JSON object" in heard[1][-1]["content"]
    assert "no JSON object" in heard[2][-1]["content"]


def test_a_model_that_fails_twice_ends_the_request_loudly() -> None:
    reply, _, heard = worked([ToolError("llm.Chat.create", "overloaded", status=529)], {})
    assert reply.status is ReplyStatus.FAILED
    assert "overloaded" in reply.reason
    assert len(heard) == 2


def test_talk_without_end_is_ended() -> None:
    reply, _, heard = worked([says("Let me think.")], {})
    assert reply.status is ReplyStatus.FAILED
    assert len(heard) == tool_caller.TURNS_MAX
