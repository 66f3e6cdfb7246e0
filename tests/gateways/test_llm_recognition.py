"""Whose conversation it is where the call's context does not say."""

from __future__ import annotations

from typing import Any

from tests.gateways.llm_stage import Door, FakeExchange, Stage, json_of, world_of

from pagerproof.gateways.llm import LlmGateway
from pagerproof.gateways.llm_recognition import recognised
from pagerproof.model import Expectation, Request, Truth
from pagerproof.protocols import Case

WORLD = world_of()


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "Help."}, {"role": "user", "content": text}]


def case_at(index: int) -> Case:
    return Case(*WORLD.case(index, 0.0))


def test_the_one_case_whose_words_or_address_are_there_is_recognised() -> None:
    cases = [case_at(index) for index in range(1, 20)]
    for case in cases:
        assert recognised(said(f"Customer wrote: {case.request.text}"), cases) is case
        assert recognised(said(f"from {case.request.customer_email}"), cases) is case


def test_nobody_is_recognised_where_nobody_or_more_than_one_fits() -> None:
    one, other = case_at(1), case_at(2)
    assert recognised(said("Hello there"), [one, other]) is None
    both = f"{one.request.customer_email} and {other.request.customer_email}"
    assert recognised(said(both), [one, other]) is None
    assert recognised(said(one.request.text), []) is None


def nobody() -> Case:
    customer = WORLD.case(1, 0.0)[1].customer
    request = Request(index=0, arrival_s=0.0, channel="", locale="", customer_name="", customer_email="", text="")
    truth = Truth(customer=customer, intents=(), slots={}, path=(), expectation=Expectation(), difficulty=0.0,
                  patience_s=1.0, deadline_s=1.0)  # fmt: skip
    return Case(request, truth)


def body_for(text: str) -> bytes:
    import orjson

    return orjson.dumps({"model": "gpt-5", "messages": said(text)})


def test_a_call_without_a_request_is_answered_by_a_model_that_knows_nothing() -> None:
    stage = Stage(workload=WORLD)

    async def main() -> Any:
        headers = [("authorization", "Bearer k")]
        door = Door(stage, nobody())
        return json_of(await door.answer("POST", "api.openai.com", "/v1/chat/completions", headers, body_for("Hi")))

    assert "do not know which customer" in stage.run(main())["choices"][0]["message"]["content"]


def test_a_call_without_a_request_is_counted_for_the_customer_who_is_recognised() -> None:
    stage = Stage(workload=WORLD)
    case, stranger = stage.case(1), nobody()
    gateway = LlmGateway(open_cases=lambda: [case])

    async def main() -> None:
        headers = [("authorization", "Bearer k")]
        body = body_for(case.request.text)
        await Door(stage, stranger, gateway).answer("POST", "api.openai.com", "/v1/chat/completions", headers, body)

    stage.run(main())
    assert case.tokens_out > 0
    assert (stranger.tokens_out, stranger.calls) == (0, 0)
    assert FakeExchange(stage, case).case.calls == 1
