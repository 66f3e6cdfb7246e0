"""OpenAI's own SDK against the gateway, with no special case in the client's code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.gateways.llm_agents import TOOLS, carried_out, opening
from tests.gateways.llm_stage import Door, Stage, transport_of, world_of

httpx2 = pytest.importorskip("httpx2")
openai = pytest.importorskip("openai")

WORLD = world_of(only_intents=["shipment_tracking"])


def client_of(door: Door, **options: Any) -> Any:
    return openai.AsyncOpenAI(
        api_key="sk-any", http_client=httpx2.AsyncClient(transport=transport_of(httpx2, door)), **options
    )


def stage_and_case(index: int = 1, **llm: Any) -> tuple[Stage, Any]:
    stage = Stage(workload=WORLD, parameters={"llm": llm})
    return stage, stage.case(index)


def test_a_single_agent_on_chat_completions_resolves_a_request_end_to_end() -> None:
    stage, case = stage_and_case()

    async def agent() -> str:
        client = client_of(Door(stage, case))
        messages: list[Any] = opening(case)
        for _ in range(12):
            completion = await client.chat.completions.create(model="gpt-5", messages=messages, tools=TOOLS)
            message = completion.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            if not message.tool_calls:
                return str(message.content)
            for call in message.tool_calls:
                text = await carried_out(stage, case, call.function.name, json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
        raise AssertionError("the agent does not end")

    reply = stage.run(agent())
    assert case.truth.expectation.told[0] in reply
    assert "DONE" not in reply
    assert [effect.kind for effect in case.effects] == ["note"]
    assert case.tokens_out > 0


def test_a_single_agent_on_responses_resolves_a_request_end_to_end() -> None:
    stage, case = stage_and_case(2)
    tools = [{"type": "function", **tool["function"]} for tool in TOOLS]

    async def agent() -> str:
        client = client_of(Door(stage, case))
        items: list[Any] = opening(case)[1:]
        for _ in range(12):
            response = await client.responses.create(model="gpt-5", instructions="Help.", input=items, tools=tools)
            calls = [item for item in response.output if item.type == "function_call"]
            items.extend(item.model_dump() for item in response.output)
            if not calls:
                assert response.status == "completed"
                return str(response.output_text)
            for call in calls:
                text = await carried_out(stage, case, call.name, json.loads(call.arguments))
                items.append({"type": "function_call_output", "call_id": call.call_id, "output": text})
        raise AssertionError("the agent does not end")

    assert case.truth.expectation.told[0] in stage.run(agent())


def test_a_streamed_completion_is_the_same_as_the_whole_and_comes_at_the_pace_of_generation() -> None:
    def ask(stream: bool) -> tuple[Any, float, float]:
        stage, case = stage_and_case()

        async def main() -> tuple[Any, float, float]:
            client = client_of(Door(stage, case))
            if not stream:
                whole = await client.chat.completions.create(model="gpt-5", messages=opening(case), tools=TOOLS)
                return whole.choices[0].message.tool_calls[0].function.arguments, 0.0, stage.loop.time()
            first_s, last_s, text = 0.0, 0.0, ""
            events = await client.chat.completions.create(
                model="gpt-5", messages=opening(case), tools=TOOLS, stream=True, stream_options={"include_usage": True}
            )
            usage = None
            async for chunk in events:
                last_s = stage.loop.time()
                first_s = first_s or last_s
                for choice in chunk.choices:
                    for call in choice.delta.tool_calls or ():
                        text += call.function.arguments or ""
                usage = chunk.usage or usage
            assert usage is not None
            return text, first_s, last_s

        return stage.run(main())

    whole, _, whole_s = ask(False)
    streamed, first_s, streamed_s = ask(True)
    assert json.loads(streamed) == json.loads(whole)
    assert 0.0 < first_s < streamed_s < whole_s
    assert streamed_s == pytest.approx(whole_s, abs=0.07)  # what is left are the last two of nine events


def test_a_stream_is_billed_when_its_last_token_was_generated() -> None:
    stage, case = stage_and_case()

    async def main() -> list[tuple[int, int]]:
        client = client_of(Door(stage, case))
        seen = []
        events = await client.chat.completions.create(model="gpt-5", messages=opening(case), tools=TOOLS, stream=True)
        async for _ in events:
            seen.append((case.tokens_out, case.pending))
        return seen

    seen = stage.run(main())
    assert seen[0] == (0, 1)
    assert case.tokens_out > 0
    assert case.pending == 0


def test_events_of_a_streamed_response_add_up_to_the_response() -> None:
    stage, case = stage_and_case()

    async def main() -> tuple[list[str], Any]:
        client = client_of(Door(stage, case))
        kinds = []
        async with client.responses.stream(
            model="gpt-5", input=opening(case), tools=[{"type": "function", **tool["function"]} for tool in TOOLS]
        ) as events:
            async for event in events:
                kinds.append(event.type)
            return kinds, await events.get_final_response()

    kinds, final = stage.run(main())
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert final.output[0].type == "function_call"
    assert json.loads(final.output[0].arguments) == {"email": case.request.customer_email}
    assert final.usage.output_tokens > 0


def test_the_list_of_models_and_one_model_can_be_read() -> None:
    stage, case = stage_and_case()

    async def main() -> tuple[list[str], str]:
        client = client_of(Door(stage, case))
        names = [each.id async for each in client.models.list()]
        return names, (await client.models.retrieve(names[0])).id

    names, one = stage.run(main())
    assert one == names[0] == "gpt-5"


@pytest.mark.parametrize(
    ("arguments", "error", "status"),
    [
        ({"model": "gpt-5", "messages": []}, "BadRequestError", 400),
        ({"model": "", "messages": [{"role": "user", "content": "x"}]}, "BadRequestError", 400),
        ({"model": "gpt-5", "messages": [{"role": "owner", "content": "x"}]}, "BadRequestError", 400),
        ({"model": "gpt-5", "messages": [{"role": "user", "content": "x"}], "temperature": 9}, "BadRequestError", 400),
        (
            {"model": "gpt-5", "messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
            "BadRequestError",
            400,
        ),
    ],
)
def test_a_request_that_openai_refuses_is_refused_in_its_own_words(
    arguments: dict[str, Any], error: str, status: int
) -> None:
    stage, case = stage_and_case()

    async def main() -> Any:
        with pytest.raises(openai.APIStatusError) as caught:
            await client_of(Door(stage, case)).chat.completions.create(**arguments)
        return caught.value

    raised = stage.run(main())
    assert type(raised).__name__ == error
    assert raised.status_code == status
    assert raised.body["type"] == "invalid_request_error"
    assert raised.request_id.startswith("req_")
    assert case.calls == 0


def test_without_a_key_there_is_a_401() -> None:
    stage, case = stage_and_case()

    async def main() -> int:
        door = Door(stage, case)
        answer = await door.answer("POST", "api.openai.com", "/v1/chat/completions", [], b"{}")
        return answer.status

    assert stage.run(main()) == 401


def test_rate_limit_headers_and_a_429_reach_the_sdk() -> None:
    stage, case = stage_and_case(requests_per_minute=1)

    async def main() -> tuple[Any, Any]:
        client = client_of(Door(stage, case), max_retries=0)
        raw = await client.chat.completions.with_raw_response.create(model="gpt-5", messages=opening(case))
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="gpt-5", messages=opening(case))
        return raw.headers, caught.value

    headers, error = stage.run(main())
    assert headers["x-ratelimit-limit-requests"] == "1"
    assert headers["x-request-id"].startswith("req_")
    assert error.code == "rate_limit_exceeded"
    assert float(error.response.headers["retry-after"]) >= 1
