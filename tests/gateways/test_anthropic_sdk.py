"""Anthropic's own SDK against the gateway, with no special case in the client's code."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateways.llm_agents import TOOLS, carried_out, opening
from tests.gateways.llm_stage import Door, Stage, transport_of, world_of

httpx2 = pytest.importorskip("httpx2")
anthropic = pytest.importorskip("anthropic")

WORLD = world_of(only_intents=["shipment_tracking"])
CLAUDE_TOOLS = [
    {
        "name": tool["function"]["name"],
        "description": tool["function"]["description"],
        "input_schema": tool["function"]["parameters"],
    }
    for tool in TOOLS
]


def client_of(door: Door, **options: Any) -> Any:
    http_client = httpx2.AsyncClient(transport=transport_of(httpx2, door))
    return anthropic.AsyncAnthropic(api_key="any", http_client=http_client, **options)


def stage_and_case(index: int = 1, **llm: Any) -> tuple[Stage, Any]:
    stage = Stage(workload=WORLD, parameters={"llm": llm})
    return stage, stage.case(index)


def asked(case: Any, **more: Any) -> dict[str, Any]:
    return {
        "model": "claude-opus-5",
        "max_tokens": 1024,
        "system": "You are the support agent of a shop.",
        "messages": opening(case)[1:],
        "tools": CLAUDE_TOOLS,
        **more,
    }


@pytest.mark.parametrize("streamed", [False, True])
def test_a_single_agent_on_messages_resolves_a_request_end_to_end(streamed: bool) -> None:
    stage, case = stage_and_case(2)

    async def next_message(client: Any, messages: list[Any]) -> Any:
        if not streamed:
            return await client.messages.create(**asked(case, messages=messages))
        async with client.messages.stream(**asked(case, messages=messages)) as events:
            return await events.get_final_message()

    async def agent() -> str:
        client = client_of(Door(stage, case))
        messages: list[Any] = opening(case)[1:]
        for _ in range(12):
            message = await next_message(client, messages)
            messages.append({"role": "assistant", "content": message.content})
            if message.stop_reason == "end_turn":
                return str(message.content[0].text)
            assert message.stop_reason == "tool_use"
            results = []
            for block in message.content:
                if block.type == "tool_use":
                    text = await carried_out(stage, case, block.name, dict(block.input))
                    results.append({"type": "tool_result", "tool_use_id": block.id, "content": text})
            messages.append({"role": "user", "content": results})
        raise AssertionError("the agent does not end")

    reply = stage.run(agent())
    assert case.truth.expectation.told[0] in reply
    assert [effect.kind for effect in case.effects] == ["note"]


def test_a_failed_tool_is_an_error_to_the_model_which_tries_again() -> None:
    stage, case = stage_and_case()

    async def main() -> Any:
        client = client_of(Door(stage, case))
        first = await client.messages.create(**asked(case))
        result = {
            "type": "tool_result",
            "tool_use_id": first.content[0].id,
            "content": "the customer service is away",
            "is_error": True,
        }
        messages = [
            *opening(case)[1:],
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ]
        return first, await client.messages.create(**asked(case, messages=messages))

    first, second = stage.run(main())
    assert first.content[0].name == second.content[0].name == "lookup_customer"


def test_streamed_events_come_in_anthropics_order_at_the_pace_of_generation() -> None:
    stage, case = stage_and_case()

    async def main() -> list[tuple[str, float]]:
        client = client_of(Door(stage, case))
        events = await client.messages.create(**asked(case, stream=True))
        return [(event.type, stage.loop.time()) async for event in events]

    events = stage.run(main())
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1
    assert 0.0 < events[0][1] < events[-1][1]


def test_limits_are_in_anthropics_headers_and_a_429_in_its_words() -> None:
    stage, case = stage_and_case(requests_per_minute=1)

    async def main() -> tuple[Any, Any]:
        client = client_of(Door(stage, case), max_retries=0)
        raw = await client.messages.with_raw_response.create(**asked(case))
        with pytest.raises(anthropic.RateLimitError) as caught:
            await client.messages.create(**asked(case))
        return raw.headers, caught.value

    headers, error = stage.run(main())
    assert headers["anthropic-ratelimit-requests-limit"] == "1"
    assert headers["anthropic-ratelimit-requests-reset"] == "2026-11-23T00:01:00Z"
    assert headers["request-id"].startswith("req_")
    assert not [name for name in headers if name.startswith("x-ratelimit")]
    assert error.body["error"]["type"] == "rate_limit_error"
    assert error.body["request_id"] == error.request_id
    assert float(error.response.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"max_tokens": 0}, "invalid_request_error"),
        ({"extra_body": {"temperature": 1.5}}, "invalid_request_error"),
        ({"messages": []}, "invalid_request_error"),
        ({"messages": [{"role": "system", "content": "x"}]}, "invalid_request_error"),
    ],
)
def test_a_request_that_anthropic_refuses_is_a_400(change: dict[str, Any], kind: str) -> None:
    stage, case = stage_and_case()

    async def main() -> Any:
        with pytest.raises(anthropic.BadRequestError) as caught:
            await client_of(Door(stage, case)).messages.create(**asked(case, **change))
        return caught.value

    assert stage.run(main()).body["error"]["type"] == kind


def test_without_a_key_there_is_a_401_and_tokens_can_be_counted() -> None:
    stage, case = stage_and_case()

    async def main() -> tuple[int, int]:
        door = Door(stage, case)
        refused = await door.answer("POST", "api.anthropic.com", "/v1/messages", [], b"{}")
        counted = await client_of(door).messages.count_tokens(
            model="claude-opus-5", messages=[{"role": "user", "content": "x" * 400}]
        )
        return refused.status, counted.input_tokens

    assert stage.run(main()) == (401, 108)
