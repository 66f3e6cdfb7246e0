"""What the providers' SDKs do with broken responses: the sourced table, as the installed versions behave now.

A row names the fault, the way of asking, how many requests the SDK makes and what its caller gets: an exception's class
name, or a short word for what comes back without one.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.gateways.llm_agents import TOOLS, opening
from tests.gateways.llm_stage import Alter, Door, Stage, transport_of, world_of

from pagerproof.faults import effects
from pagerproof.model import Answer
from pagerproof.protocols import Call
from pagerproof.scenario.fault_effects import Effect

httpx2 = pytest.importorskip("httpx2")
openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

WORLD = world_of(only_intents=["shipment_tracking"])
OVERLOADED_MIDWAY: dict[str, Any] = {
    "status": 200,
    "body": {"error": {"type": "overloaded_error", "message": "Overloaded"}},
}


def fault(kind: str, edge: str = "response", **settings: Any) -> Alter:
    """One effect of the fault models, as the injector would lay it around the call."""
    context = effects.Context({}, "broken", 0, edge)
    effect = effects.build(Effect.model_validate({kind: settings}), context)

    async def apply(call: Call, proceed: Callable[[Call], Awaitable[Answer]]) -> Answer:
        return await effect.apply(call, proceed)

    return apply


def asking(ask: Callable[[Stage, Any], Awaitable[Any]], alter: Alter, **llm: Any) -> tuple[int, str, Stage]:
    """Return (requests made, what came of it, the stage)."""
    stage = Stage(workload=WORLD, alter=alter, parameters={"llm": llm})

    async def main() -> str:
        try:
            return str(await ask(stage, stage.case(1)))
        except Exception as error:
            return type(error).__name__

    outcome = stage.run(main())
    return len(stage.requests), outcome, stage


def openai_of(stage: Stage, case: Any) -> Any:
    door = Door(stage, case)
    return openai.AsyncOpenAI(api_key="k", http_client=httpx2.AsyncClient(transport=transport_of(httpx2, door)))


async def openai_whole(stage: Stage, case: Any) -> str:
    completion = await openai_of(stage, case).chat.completions.create(
        model="gpt-5", messages=opening(case), tools=TOOLS
    )
    if isinstance(completion, str):
        return "a str"
    choice = completion.choices[0]
    return f"{choice.finish_reason} {_json_or_not(choice.message.tool_calls[0].function.arguments)}"


async def openai_stream(stage: Stage, case: Any) -> str:
    chunks = await openai_of(stage, case).chat.completions.create(
        model="gpt-5", messages=opening(case), tools=TOOLS, stream=True
    )
    finish, arguments = None, ""
    async for chunk in chunks:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or ():
                arguments += call.function.arguments or ""
    return f"{finish} {_json_or_not(arguments)}"


def anthropic_of(stage: Stage, case: Any) -> tuple[Any, dict[str, Any]]:
    door = Door(stage, case)
    client = anthropic.AsyncAnthropic(api_key="k", http_client=httpx2.AsyncClient(transport=transport_of(httpx2, door)))
    tools = [{"name": tool["function"]["name"], "input_schema": tool["function"]["parameters"]} for tool in TOOLS]
    return client, {"model": "claude-opus-5", "max_tokens": 1024, "messages": opening(case)[1:], "tools": tools}


async def anthropic_whole(stage: Stage, case: Any) -> str:
    client, asked = anthropic_of(stage, case)
    message = await client.messages.create(**asked)
    return "a str" if isinstance(message, str) else f"{message.stop_reason} {_filled(message)}"


async def anthropic_stream(stage: Stage, case: Any) -> str:
    client, asked = anthropic_of(stage, case)
    async with client.messages.stream(**asked) as events:
        message = await events.get_final_message()
    return f"{message.stop_reason} {_filled(message)}"


def _json_or_not(text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        return "cut JSON"
    return "JSON"


def _filled(message: Any) -> str:
    return "filled" if message.content and message.content[0].input else "{}"


RATE_LIMITED = {"preset": "llm.rate_limited"}
TABLE: list[tuple[str, Any, Alter, dict[str, Any], int, str]] = [
    ("no fault", openai_whole, fault("delay", **{"for": "1ms"}), {}, 1, "tool_calls JSON"),
    ("no fault", openai_stream, fault("delay", **{"for": "1ms"}), {}, 1, "tool_calls JSON"),
    ("no fault", anthropic_whole, fault("delay", **{"for": "1ms"}), {}, 1, "tool_use filled"),
    ("no fault", anthropic_stream, fault("delay", **{"for": "1ms"}), {}, 1, "tool_use filled"),
    ("429 + retry-after 1", openai_whole, fault("answer", "request", **RATE_LIMITED), {}, 3, "RateLimitError"),
    ("429 + retry-after 1", anthropic_whole, fault("answer", "request", **RATE_LIMITED), {}, 3, "RateLimitError"),
    ("500", openai_whole, fault("answer", "request", status=500), {}, 3, "InternalServerError"),
    ("500", anthropic_whole, fault("answer", "request", status=500), {}, 3, "InternalServerError"),
    ("529", openai_whole, fault("answer", "request", preset="llm.overloaded"), {}, 3, "InternalServerError"),
    ("529", anthropic_whole, fault("answer", "request", preset="llm.overloaded"), {}, 3, "OverloadedError"),
    ("truncated JSON", openai_whole, fault("truncate", keep=0.5, content_length="actual"), {}, 1, "JSONDecodeError"),
    ("truncated JSON", anthropic_whole, fault("truncate", keep=0.5, content_length="actual"), {}, 1, "JSONDecodeError"),
    ("short body", openai_whole, fault("truncate", keep=0.5), {}, 3, "APIConnectionError"),
    ("text/html under 200", openai_whole, fault("malform", how="html"), {}, 1, "a str"),
    ("text/html under 200", anthropic_whole, fault("malform", how="html"), {}, 1, "a str"),
    ("length, cut tool JSON", openai_whole, fault("truncated_arguments"), {}, 1, "length cut JSON"),
    ("length, cut tool JSON", openai_stream, fault("truncated_arguments"), {}, 1, "length cut JSON"),
    ("max_tokens inside tool JSON", anthropic_whole, fault("truncated_arguments"), {}, 1, "max_tokens {}"),
    ("no [DONE]", openai_stream, fault("cut_stream"), {}, 1, "None cut JSON"),
    ("no message_stop", anthropic_stream, fault("cut_stream"), {}, 1, "None {}"),
    ("half a data line", openai_stream, fault("truncate", keep=0.7, content_length="actual"), {}, 1, "None cut JSON"),
    ("TCP drop", openai_stream, fault("truncate", keep=0.7), {}, 1, "APIConnectionError"),
    ("error in the stream", openai_stream, fault("answer", **OVERLOADED_MIDWAY), {}, 1, "APIError"),
    ("error in the stream", anthropic_stream, fault("answer", **OVERLOADED_MIDWAY), {}, 1, "APIStatusError"),
]


@pytest.mark.parametrize(
    ("ask", "alter", "llm", "hits", "outcome"),
    [row[1:] for row in TABLE],
    ids=[f"{row[1].__name__}: {row[0]}" for row in TABLE],
)
def test_the_sdk_does_with_a_broken_response(
    ask: Any, alter: Alter, llm: dict[str, Any], hits: int, outcome: str
) -> None:
    assert asking(ask, alter, **llm)[:2] == (hits, outcome)


@pytest.mark.parametrize(
    ("ask", "preset", "status", "body"),
    [
        (openai_whole, "llm.rate_limited", 429, {"type": "requests", "code": "rate_limit_exceeded"}),
        (openai_whole, "llm.overloaded", 503, {"type": "service_unavailable", "code": None}),
        (openai_whole, "http.unavailable", 503, {"type": "service_unavailable"}),
        (anthropic_whole, "llm.rate_limited", 429, {"type": "rate_limit_error"}),
        (anthropic_whole, "llm.overloaded", 529, {"type": "overloaded_error", "message": "Overloaded"}),
        (anthropic_whole, "http.gateway_timeout", 504, {"type": "timeout_error"}),
    ],
)
def test_a_preset_error_arrives_in_the_shape_of_the_provider_that_was_asked(
    ask: Any, preset: str, status: int, body: dict[str, Any]
) -> None:
    _, _, stage = asking(ask, fault("answer", "request", preset=preset))
    answer = stage.answers[0]
    assert answer.status == status
    error = json.loads(answer.body)["error"]
    assert {name: error[name] for name in body} == body


def test_a_page_of_a_middle_box_is_not_made_into_the_providers_error() -> None:
    page = {"status": 502, "headers": {"content-type": "text/html"}, "body": "<h1>Bad Gateway</h1>"}
    for ask in (openai_whole, anthropic_whole):
        _, _, stage = asking(ask, fault("answer", "request", **page))
        assert (stage.answers[0].status, stage.answers[0].body) == (502, b"<h1>Bad Gateway</h1>")


def test_a_fault_about_contents_strikes_before_rendering_and_one_about_bytes_after_it() -> None:
    _, _, renamed = asking(anthropic_whole, fault("invented_tool", name="no_such_tool"))
    assert json.loads(renamed.answers[0].body)["content"][0]["name"] == "no_such_tool"
    _, _, whole = asking(anthropic_whole, fault("delay", **{"for": "1ms"}))
    _, _, cut = asking(anthropic_whole, fault("truncate", bytes="100B"))
    assert cut.answers[0].body == whole.answers[0].body[:100]
    assert cut.answers[0].wire_bytes == len(whole.answers[0].body)


def test_a_cut_stream_keeps_its_pace() -> None:
    _, _, whole = asking(openai_stream, fault("delay", **{"for": "1ms"}))
    _, _, cut = asking(openai_stream, fault("truncate", keep=0.5))
    assert cut.answers[0].pace_s == whole.answers[0].pace_s > 0.0


def test_a_stream_that_was_cut_does_not_say_that_it_is_over() -> None:
    for ask, end in ((openai_stream, b"[DONE]"), (anthropic_stream, b"message_stop")):
        _, _, whole = asking(ask, fault("delay", **{"for": "1ms"}))
        _, _, cut = asking(ask, fault("cut_stream"))
        assert end in whole.answers[0].body
        assert end not in cut.answers[0].body
