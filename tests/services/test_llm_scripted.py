"""A user's function or a cassette in place of the simulated model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.gateways.llm_stage import Door, Stage, json_of, world_of
from tests.services.llm_stage import Desk, make_case, message_of, opening

from pagerproof.errors import InvalidFile, UsageError
from pagerproof.services.llm import LlmParameters, LlmService
from pagerproof.services.llm_scripted import CassetteRecorder, key_of_content

HERE = __name__


def echoes(messages: Any, tools: Any) -> str:
    return f"{len(messages)} messages, {len(tools)} tools"


def calls_a_tool(messages: Any, tools: Any) -> Any:
    return {"name": "lookup", "arguments": {"id": "7"}}


def breaks(messages: Any, tools: Any) -> str:
    raise ValueError("out of ideas")


def answers_nonsense(messages: Any, tools: Any) -> Any:
    return 42


async def thinks(messages: Any, tools: Any) -> str:
    await asyncio.sleep(3.0)
    return "thought"


def takes_one(messages: Any) -> str:
    return ""


def test_a_function_answers_in_place_of_the_policy_and_is_billed() -> None:
    desk = Desk(model_function=f"{HERE}:echoes")
    case = make_case()
    assert message_of(desk.ask(case, tools=("a", "b"), temperature=0.0, max_tokens=100))["content"] == (
        "2 messages, 2 tools"
    )
    assert case.tokens_out > 0


def test_a_function_may_call_tools() -> None:
    answer = Desk(model_function=f"{HERE}:calls_a_tool").ask(make_case())
    (call,) = message_of(answer)["tool_calls"]
    assert call["function"] == {"name": "lookup", "arguments": '{"id":"7"}'}
    assert json.loads(answer.body)["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(("name", "said"), [("breaks", "out of ideas"), ("answers_nonsense", "42")])
def test_a_function_that_fails_is_a_500_that_says_so_and_is_counted(name: str, said: str) -> None:
    desk = Desk(model_function=f"{HERE}:{name}")
    case = make_case()
    answer = desk.ask(case)
    assert answer.status == 500
    assert said in json.loads(answer.body)["error"]["message"]
    assert desk.service.gauge("model.failures") == 1
    assert any(said in event[5] for event in case.log)
    assert case.tokens_out == 0


def test_an_async_function_is_waited_for_in_virtual_time() -> None:
    stage = Stage(workload=world_of(), parameters={"llm": {"model_function": f"{HERE}:thinks"}})
    body = b'{"model":"gpt-5","messages":[{"role":"user","content":"x"}]}'

    async def main() -> tuple[Any, float]:
        door = Door(stage, stage.case(1))
        headers = [("authorization", "Bearer k")]
        answer = await door.answer("POST", "api.openai.com", "/v1/chat/completions", headers, body)
        return json_of(answer), stage.loop.time()

    answer, seconds = stage.run(main())
    assert answer["choices"][0]["message"]["content"] == "thought"
    assert seconds > 3.0


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nothing", "module:function"),
        ("no_such_module_here:f", "no module"),
        (f"{HERE}:no_such_function", "has no"),
        (f"{HERE}:HERE", "no function"),
        (f"{HERE}:takes_one", "(messages, tools)"),
    ],
)
def test_a_function_that_cannot_be_used_is_a_clear_error_before_the_run(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Desk(model_function=spec)
    assert said in str(caught.value)


def recorded(tmp_path: Path) -> Path:
    case = make_case()
    arguments = {"model": "gpt-5", "messages": opening(), "tools": []}
    policy = Desk().ask(case, arguments["messages"], model="gpt-5", tools=[])
    recorder = CassetteRecorder()
    recorder.add(arguments, json.loads(policy.body))
    path = tmp_path / "answers.jsonl"
    assert recorder.write(path) == 1
    return path


def test_a_cassette_gives_back_what_was_recorded(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    said = message_of(Desk().ask(make_case(), opening(), model="gpt-5", tools=[]))["content"]
    answer = Desk(cassette=str(path)).ask(make_case(), opening(), model="gpt-5", tools=[])
    assert message_of(answer)["content"] == said


def test_a_miss_is_a_404_that_names_the_key_and_is_counted(tmp_path: Path) -> None:
    desk = Desk(cassette=str(recorded(tmp_path)))
    case = make_case()
    answer = desk.ask(case, opening("Something else"), model="gpt-5", tools=[])
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (404, "not_in_cassette")
    assert key_of_content("gpt-5", opening("Something else"), []) in error["message"]
    assert desk.service.gauge("cassette.misses") == 1


def test_ids_of_tool_calls_do_not_change_a_key_and_everything_else_does() -> None:
    def messages(call: str, content: str = "x") -> list[dict[str, Any]]:
        function = {"name": "f", "arguments": "{}"}
        return [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": call, "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": call, "content": content},
        ]

    assert key_of_content("m", messages("call_1"), []) == key_of_content("m", messages("call_2"), [])
    assert key_of_content("m", messages("call_1"), []) != key_of_content("m", messages("call_1", "y"), [])
    assert key_of_content("m", messages("call_1"), []) != key_of_content("n", messages("call_1"), [])


def test_a_bad_line_of_a_cassette_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"key": "a", "answer": "fine"}\nnonsense\n{"key": "b"}\n{"key": "a", "answer": "other"}\n')
    with pytest.raises(InvalidFile) as caught:
        Desk(cassette=str(path))
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4]


def test_a_cassette_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Desk(cassette=str(tmp_path / "none.jsonl"))


def test_a_function_and_a_cassette_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="set one of them"):
        LlmService(LlmParameters(model_function="a:b", cassette="c"))
