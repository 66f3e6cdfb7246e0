"""The providers' synchronous clients against the gateway, one call each."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateways.llm_agents import TOOLS, opening
from tests.gateways.llm_stage import Door, Stage, sync_transport_of, world_of

httpx = pytest.importorskip("httpx")
httpx2 = pytest.importorskip("httpx2")

WORLD = world_of(only_intents=["shipment_tracking"])


def stage_and_door() -> tuple[Stage, Any, Door]:
    stage = Stage(workload=WORLD)
    case = stage.case(1)
    return stage, case, Door(stage, case)


def test_openai() -> None:
    openai = pytest.importorskip("openai")
    stage, case, door = stage_and_door()
    client = openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=sync_transport_of(httpx2, door)))
    with stage.closing():
        whole = client.chat.completions.create(model="gpt-5", messages=opening(case), tools=TOOLS)
        chunks = list(client.chat.completions.create(model="gpt-5", messages=opening(case), tools=TOOLS, stream=True))
    assert whole.choices[0].message.tool_calls[0].function.name == "lookup_customer"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_anthropic() -> None:
    anthropic = pytest.importorskip("anthropic")
    stage, case, door = stage_and_door()
    client = anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=sync_transport_of(httpx2, door)))
    with stage.closing():
        message = client.messages.create(model="claude-opus-5", max_tokens=500, messages=opening(case)[1:])
    assert message.stop_reason == "end_turn"


def test_google() -> None:
    genai = pytest.importorskip("google.genai")
    stage, case, door = stage_and_door()
    client = genai.Client(
        api_key="k",
        http_options=genai.types.HttpOptions(httpx_client=httpx.Client(transport=sync_transport_of(httpx, door))),
    )
    with stage.closing():
        response = client.models.generate_content(model="gemini-2.5-flash", contents=opening(case)[1]["content"])
    assert response.text
