"""Google's own SDK against the gateway, with no special case in the client's code."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateways.llm_agents import TOOLS, carried_out, opening
from tests.gateways.llm_stage import Door, Stage, json_of, transport_of, world_of

httpx = pytest.importorskip("httpx")
genai = pytest.importorskip("google.genai")

WORLD = world_of(only_intents=["shipment_tracking"])
MODEL = "gemini-2.5-flash"


def client_of(door: Door, **options: Any) -> Any:
    client = httpx.AsyncClient(transport=transport_of(httpx, door))
    return genai.Client(api_key="any", http_options=genai.types.HttpOptions(httpx_async_client=client, **options)).aio


def config_of(case: Any) -> Any:
    functions = [
        genai.types.FunctionDeclaration(
            name=tool["function"]["name"],
            description=tool["function"]["description"],
            parameters_json_schema=tool["function"]["parameters"],
        )
        for tool in TOOLS
    ]
    return genai.types.GenerateContentConfig(
        system_instruction="You are the support agent of a shop.",
        tools=[genai.types.Tool(function_declarations=functions)],
    )


def stage_and_case(index: int = 1, **llm: Any) -> tuple[Stage, Any]:
    stage = Stage(workload=WORLD, parameters={"llm": llm})
    return stage, stage.case(index)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_single_agent_on_generate_content_resolves_a_request_end_to_end(streamed: bool) -> None:
    stage, case = stage_and_case(2)
    types = genai.types

    async def next_parts(client: Any, contents: list[Any]) -> list[Any]:
        if not streamed:
            response = await client.models.generate_content(model=MODEL, contents=contents, config=config_of(case))
            assert response.candidates[0].finish_reason == "STOP"
            return list(response.candidates[0].content.parts)
        parts: list[Any] = []
        chunks = await client.models.generate_content_stream(model=MODEL, contents=contents, config=config_of(case))
        async for chunk in chunks:
            parts.extend(chunk.candidates[0].content.parts or ())
        assert chunk.candidates[0].finish_reason == "STOP"
        assert chunk.usage_metadata.candidates_token_count > 0
        return parts

    async def agent() -> str:
        client = client_of(Door(stage, case))
        contents = [types.Content(role="user", parts=[types.Part(text=opening(case)[1]["content"])])]
        for _ in range(12):
            parts = await next_parts(client, contents)
            contents.append(types.Content(role="model", parts=parts))
            calls = [part.function_call for part in parts if part.function_call]
            if not calls:
                return "".join(part.text for part in parts)
            answers = []
            for call in calls:
                text = await carried_out(stage, case, call.name, dict(call.args))
                answers.append(types.Part.from_function_response(name=call.name, response={"result": text}))
            contents.append(types.Content(role="user", parts=answers))
        raise AssertionError("the agent does not end")

    reply = stage.run(agent())
    assert case.truth.expectation.told[0] in reply
    assert [effect.kind for effect in case.effects] == ["note"]


def test_a_rate_limit_is_googles_resource_exhausted() -> None:
    stage, case = stage_and_case(requests_per_minute=1)

    async def main() -> Any:
        client = client_of(Door(stage, case))
        await client.models.generate_content(model=MODEL, contents="Hello")
        with pytest.raises(genai.errors.ClientError) as caught:
            await client.models.generate_content(model=MODEL, contents="Hello")
        return caught.value

    error = stage.run(main())
    assert (error.code, error.status) == (429, "RESOURCE_EXHAUSTED")
    assert "Please retry in" in error.message


@pytest.mark.parametrize(
    ("target", "headers", "body", "status", "name"),
    [
        (f"/v1beta/models/{MODEL}:generateContent", [], b"{}", 403, "PERMISSION_DENIED"),
        (f"/v1beta/models/{MODEL}:generateContent", [("x-goog-api-key", "k")], b"{}", 400, "INVALID_ARGUMENT"),
        (f"/v1beta/models/{MODEL}:generate", [("x-goog-api-key", "k")], b"{}", 404, "NOT_FOUND"),
        (f"/v1beta/models/{MODEL}:generateContent?key=k", [], b"nonsense", 400, "INVALID_ARGUMENT"),
    ],
)
def test_a_request_that_google_refuses_is_refused_in_its_own_words(
    target: str, headers: list[tuple[str, str]], body: bytes, status: int, name: str
) -> None:
    stage, case = stage_and_case()

    async def main() -> Any:
        return await Door(stage, case).answer("POST", "generativelanguage.googleapis.com", target, headers, body)

    answer = stage.run(main())
    assert answer.status == status
    assert json_of(answer)["error"]["status"] == name


def test_vertex_paths_are_served_and_want_a_token() -> None:
    stage, case = stage_and_case()
    target = f"/v1/projects/p/locations/us-central1/publishers/google/models/{MODEL}:generateContent"
    body = b'{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}'

    async def main() -> Any:
        door = Door(stage, case)
        host = "us-central1-aiplatform.googleapis.com"
        refused = await door.answer("POST", host, target, [], body)
        served = await door.answer("POST", host, target, [("authorization", "Bearer t")], body)
        return refused.status, served

    refused, served = stage.run(main())
    assert refused == 401
    assert json_of(served)["modelVersion"] == MODEL
