"""The language model provider: its time, limits, prices, context window and disturbances."""

from __future__ import annotations

import json
import statistics
from typing import Any

import orjson
import pytest
from pydantic import ValidationError
from tests.conformance.service import Sample, check_service
from tests.services.llm_stage import (
    ALL_TOOLS,
    REFUND_ANSWERS,
    Desk,
    make_case,
    message_of,
    opening,
    tool_says,
)

from pagerproof.events import NOTE
from pagerproof.model import Answer
from pagerproof.protocols import Case
from pagerproof.services.job import Job
from pagerproof.services.llm import PROFILES, LlmParameters, LlmService
from pagerproof.services.model_policy import BEHAVIOURS


def test_the_service_keeps_every_promise_of_its_door() -> None:
    arguments = {"messages": opening(), "tools": list(ALL_TOOLS), "temperature": 0.0, "max_tokens": 512}
    check_service(LlmService, [Sample(operation="llm.Chat.create", arguments=arguments)])


@pytest.mark.parametrize("tools", [ALL_TOOLS, ()])
@pytest.mark.parametrize("model", ["gpt-5-mini", 'a "quoted" modèl\\'])
def test_the_body_put_together_from_parts_is_what_a_json_encoder_writes(tools: tuple[str, ...], model: str) -> None:
    case = make_case(slots={"email": 'ada"\\\n\u2028ü@example.com'})
    body = Desk(model=model).ask(case, tools=tools).body
    assert body == orjson.dumps(orjson.loads(body))
    assert orjson.loads(body)["model"] == model


def test_a_message_edited_in_place_is_read_as_it_stands_at_each_call() -> None:
    desk, case, messages = Desk(), make_case(), opening()
    first = json.loads(desk.ask(case, messages, tools=ALL_TOOLS).body)
    messages[0]["content"] += "x" * 400
    second = json.loads(desk.ask(case, messages, tools=ALL_TOOLS).body)
    assert second["usage"]["prompt_tokens"] == first["usage"]["prompt_tokens"] + 100
    messages.append(tool_says("crm.Customer.find", "ERROR"))
    messages[-1]["content"] = REFUND_ANSWERS["crm.Customer.find"]
    third = desk.ask(case, messages, tools=ALL_TOOLS)
    assert message_of(third)["tool_calls"][0]["function"]["name"] == "orders.Order.get"


def test_a_provider_that_refuses_by_a_rule_of_its_own_is_asked_about_every_call() -> None:
    class Closed(LlmService):
        def admit(self, job: Job) -> Answer | None:
            return Answer(403, {}, b"")

    desk = Desk()
    desk.service = Closed()
    desk.service.open(desk.world)
    assert desk.ask(make_case(), tools=ALL_TOOLS).status == 403


def test_an_unknown_argument_is_refused_beside_three_good_ones() -> None:
    answer = Desk().ask(make_case(), tools=ALL_TOOLS, temperature=0.0, max_tokens=100, sead=1)
    assert (answer.status, b"sead" in answer.body) == (400, True)


def test_an_answer_has_the_shape_of_a_chat_completion() -> None:
    answer = Desk().ask(make_case(), tools=ALL_TOOLS)
    body = json.loads(answer.body)
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["finish_reason"] == "tool_calls"
    (call,) = body["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "crm.Customer.find"
    assert json.loads(call["function"]["arguments"]) == {"email": "ada@example.com"}
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]


def test_tokens_and_cost_are_charged_at_the_stated_prices() -> None:
    desk, case = Desk(usd_per_token_in=0.001, usd_per_token_out=0.01), make_case()
    usage = json.loads(desk.ask(case, tools=ALL_TOOLS).body)["usage"]
    assert (case.tokens_in, case.tokens_out) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert case.cost_usd == pytest.approx(0.001 * case.tokens_in + 0.01 * case.tokens_out)
    assert desk.service.gauge("tokens.used") == case.tokens_in + case.tokens_out
    assert desk.service.gauge("cost.usd") == case.cost_usd


def test_the_default_prices_are_those_of_gpt_5_mini() -> None:
    parameters = LlmParameters()
    assert (parameters.usd_per_token_in, parameters.usd_per_token_out) == (2.5e-7, 2e-6)


def test_an_abandoned_call_is_billed_and_answered_to_nobody() -> None:
    desk, case = Desk(), make_case()
    call = desk.call(case)
    answers = desk.submit(call)
    call.abandoned = True
    desk.service.abandon(call)
    desk.clock.run()
    assert len(answers) == 1
    assert case.tokens_out > 0
    assert case.pending == 0


def test_a_call_takes_one_timer() -> None:
    desk = Desk()
    desk.ask(make_case())
    assert desk.clock.timers == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_the_time_follows_the_profile(profile: str) -> None:
    desk = Desk(latency_profile=profile, policy={})
    times = []
    for index in range(1, 801):
        desk.world.scheduler.now = 0.0
        ((at_s, _),) = _asked(desk, make_case(index=index))
        times.append(at_s)
    spec = PROFILES[profile]
    tokens = make_case_tokens()
    expected = spec.ttft_median_s + tokens / spec.tokens_per_s_median
    assert statistics.median(times) == pytest.approx(expected, rel=0.25)
    assert min(times) > 0.0


def make_case_tokens() -> int:
    case = make_case()
    Desk().ask(case, tools=ALL_TOOLS)
    return int(case.tokens_out)


def _asked(desk: Any, case: Case) -> Any:
    answers = desk.submit(desk.call(case, tools=ALL_TOOLS))
    desk.clock.run()
    return answers


def test_the_measured_profile_has_the_measured_quantiles() -> None:
    desk = Desk(latency_profile="azure-bench openai gpt-5.5 high effort")
    times = []
    for index in range(1, 1551):
        desk.world.scheduler.now = 0.0
        ((at_s, answer),) = _asked(desk, make_case(index=index))
        tokens = json.loads(answer.body)["usage"]["completion_tokens"]
        times.append(at_s - tokens / 73.0)
    times.sort()
    assert times[775] == pytest.approx(3.69, rel=0.1)  # azure-bench: p50 3.69, p95 6.00 s
    assert times[1472] == pytest.approx(6.00, rel=0.25)


def test_more_requests_than_the_minute_allows_are_refused_with_openai_s_body_and_headers() -> None:
    desk = Desk(requests_per_minute=2)
    answers = [desk.submit(desk.call(make_case(index=index))) for index in (1, 2, 3)]
    desk.clock.run()
    assert [given(each).status for each in answers] == [200, 200, 429]
    refused = given(answers[2])
    error = json.loads(refused.body)["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) == 30
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert desk.service.gauge("calls.rate_limited") == 1.0
    desk.world.scheduler.now += 31.0
    assert desk.ask(make_case(index=3)).status == 200


def test_a_request_is_charged_its_max_tokens_against_the_minute() -> None:
    desk = Desk(tokens_per_minute=1000)
    assert desk.ask(make_case(), max_tokens=600).status == 200
    refused = desk.ask(make_case(), max_tokens=600)
    assert refused.status == 429
    assert json.loads(refused.body)["error"]["type"] == "tokens"
    assert refused.headers["x-ratelimit-limit-tokens"] == "1000"
    assert make_case().tokens_in == 0


def test_a_refused_call_costs_nothing_and_moves_no_draw() -> None:
    limited, free = Desk(requests_per_minute=1), Desk()
    first, second = make_case(difficulty=0.9), make_case(difficulty=0.9)
    limited.ask(make_case(index=1))
    assert limited.ask(first, tools=ALL_TOOLS, temperature=1.0).status == 429
    assert (first.tokens_in, first.cost_usd) == (0, 0.0)
    limited.world.scheduler.now += 61.0
    assert (
        limited.ask(first, tools=ALL_TOOLS, temperature=1.0).body
        == free.ask(second, tools=ALL_TOOLS, temperature=1.0).body
    )


def test_what_exceeds_the_context_window_is_a_400() -> None:
    answer = Desk(context_window=100).ask(make_case(), opening("x" * 1000))
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["code"] == "context_length_exceeded"


def test_streams_beyond_the_limit_wait_for_their_turn() -> None:
    desk = Desk(streams=1)
    first = desk.submit(desk.call(make_case(index=1)))
    second = desk.submit(desk.call(make_case(index=2)))
    assert desk.service.gauge("calls.in_flight") == 1.0
    assert desk.service.gauge("pool.queued") == 1.0
    desk.clock.run()
    assert second[0][0] > first[0][0]


def test_max_tokens_cuts_the_answer_and_says_so() -> None:
    answer = Desk().ask(make_case(), tools=ALL_TOOLS, max_tokens=8)
    choice = json.loads(answer.body)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert not choice["message"]["tool_calls"][0]["function"]["arguments"].endswith("}")


def test_tokens_of_the_last_minute_are_forgotten_after_it() -> None:
    desk = Desk()
    desk.ask(make_case())
    assert desk.service.gauge("tokens.last_minute") == desk.service.gauge("tokens.used") > 0
    desk.world.scheduler.now += 61.0
    assert desk.service.gauge("tokens.last_minute") == 0.0


def given(answers: list[tuple[float, Answer | None]]) -> Answer:
    """The one answer that arrived; the connection did not break."""
    answer = answers[0][1]
    assert answer is not None
    return answer


def forced(behaviour: str, messages: Any = None, **arguments: Any) -> tuple[Answer, Case]:
    desk, case = Desk(), make_case()
    call = desk.call(case, messages, **arguments)
    desk.service.disturb(call, "behaviour", behaviour)
    answers = desk.submit(call)
    desk.clock.run()
    return given(answers), case


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("system", ["Use the tools.", "Route it.", "Verify it.", "Write to the customer."])
def test_every_behaviour_can_be_forced_in_every_task(behaviour: str, system: str) -> None:
    tools = ALL_TOOLS if "tools" in system else ()
    answer, case = forced(behaviour, [*opening(system=system), tool_says("crm.Customer.find", "{}")], tools=tools)
    assert answer.status == 200
    noted = [event for event in case.log if event[1] == NOTE]
    assert bool(noted) == (behaviour != "right_tool"), noted


def test_forced_behaviours_look_as_they_are_called() -> None:
    invented, _ = forced("invented_tool", tools=ALL_TOOLS)
    assert message_of(invented)["tool_calls"][0]["function"]["name"] not in ALL_TOOLS
    cut, _ = forced("truncated_arguments", tools=ALL_TOOLS)
    assert json.loads(cut.body)["choices"][0]["finish_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(message_of(cut)["tool_calls"][0]["function"]["arguments"])
    prose, _ = forced("prose", tools=ALL_TOOLS)
    assert "tool_calls" not in message_of(prose)
    claimed, _ = forced("claims_success", tools=ALL_TOOLS)
    assert message_of(claimed)["content"].startswith("DONE:")


def test_a_polite_loop_goes_on_by_itself_for_a_while() -> None:
    rounds = []
    for index in range(1, 201):
        desk, case, messages = Desk(), make_case(index=index), opening()
        call = desk.call(case, messages, tools=ALL_TOOLS)
        desk.service.disturb(call, "behaviour", "polite_loop")
        answers = desk.submit(call)
        desk.clock.run()
        said, n = message_of(given(answers)), 0
        while "tool_calls" not in said:
            n += 1
            messages = [*messages, said, {"role": "user", "content": "Thank you, please go on."}]
            said = message_of(desk.ask(case, messages, tools=ALL_TOOLS))
        rounds.append(n)
    assert statistics.mean(rounds) == pytest.approx(4.0, rel=0.25)  # 1 / (1 - 0.75)


def test_a_warmer_model_errs_more() -> None:
    def astray(shift: float) -> int:
        count = 0
        for index in range(1, 301):
            desk, case = Desk(), make_case(index=index, difficulty=0.5)
            call = desk.call(case, tools=ALL_TOOLS, temperature=0.0)
            desk.service.disturb(call, "temperature_shift", shift)
            desk.submit(call)
            desk.clock.run()
            count += len(case.log)
        return count

    assert astray(1.0) > 2 * astray(0.0)


def test_the_other_disturbances_do_what_every_service_does() -> None:
    desk, case = Desk(), make_case()
    overloaded = Answer(503, {}, b"{}")
    call = desk.call(case)
    desk.service.disturb(call, "fail_before", overloaded)
    assert desk.submit(call) == []
    desk.clock.run()
    assert case.tokens_out == 0
    broken = desk.call(case)
    desk.service.disturb(broken, "break_after_commit", True)
    answers = desk.submit(broken)
    desk.clock.run()
    assert answers[0][1] is None
    assert case.tokens_out > 0, "what was generated is billed"
    slow = desk.call(case)
    desk.service.disturb(slow, "extra_service_s", 50.0)
    began_s = desk.clock.time()
    answers = desk.submit(slow)
    desk.clock.run()
    assert answers[0][0] - began_s > 50.0


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("temperature", "hot"),
        ("max_tokens", "many"),
        ("tools", {"a": 1}),
        ("messages", [3]),
        ("messages", [{"content": 3}]),
    ],
)
def test_arguments_of_the_wrong_type_are_a_400_that_names_them(argument: str, value: Any) -> None:
    arguments: dict[str, Any] = {"messages": opening(), argument: value}
    for desk in (Desk(), Desk(tokens_per_minute=10**6)):
        answer = desk.ask(make_case(), **arguments)
        assert answer.status == 400
        assert json.loads(answer.body)["error"]["param"] == argument


def test_an_unknown_behaviour_or_parameter_is_refused() -> None:
    desk = Desk()
    with pytest.raises(KeyError):
        desk.service.disturb(desk.call(make_case()), "behaviour", "dances")
    with pytest.raises(ValidationError, match="read_median"):
        LlmParameters.model_validate({"read_median": "1s"})
    with pytest.raises(ValidationError, match="latency_profile"):
        LlmParameters.model_validate({"latency_profile": "fast"})


# Routing, verification and writing

DONE = {"role": "assistant", "content": "DONE: refunded."}
TOLD = [tool_says(name, text) for name, text in REFUND_ANSWERS.items()]


def said(system: str, *messages: dict[str, Any], case: Case | None = None, rates: Any = None) -> str:
    answer = Desk(policy=rates or {}).ask(case or make_case(), [*opening(system=system), *messages])
    return str(message_of(answer)["content"])


def test_the_router_names_intents_order_and_sender() -> None:
    routed = json.loads(said("Route the request."))
    assert routed["intents"] == ["refund"]
    assert (routed["order_id"], routed["email"]) == ("4500000007", "ada@example.com")
    assert 0.5 < routed["confidence"] <= 1.0


def test_the_router_errs_where_it_is_hard() -> None:
    wrong = sum(
        json.loads(said_hot("Triage this.", make_case(index=index, difficulty=0.9)))["intents"] != ["refund"]
        for index in range(1, 301)
    )
    assert 0.08 < wrong / 300 < 0.30  # 1 - 0.1 ** 0.08 = 0.17


def said_hot(system: str, case: Case) -> str:
    return str(message_of(Desk().ask(case, opening(system=system), temperature=1.0))["content"])


SHARP = {"false_approve": 0.0}


def test_the_verifier_approves_what_is_done_and_rejects_what_is_not() -> None:
    assert json.loads(said("Verify the work.", *TOLD, DONE, rates=SHARP))["approved"] is True
    undone = json.loads(said("Verify the work.", *TOLD[:2], DONE, rates=SHARP))
    assert undone["approved"] is False
    assert "payments.Refund.create" in undone["why"]
    cut = [*TOLD[:2], tool_says("payments.Refund.create", REFUND_ANSWERS["payments.Refund.create"][:30])]
    assert json.loads(said("Check it.", *cut, DONE, rates=SHARP))["approved"] is False
    foreign = [TOLD[0], tool_says("orders.Order.get", TOLD[1]["content"].replace("4500000007", "4500000008")), TOLD[2]]
    assert json.loads(said("Review it.", *foreign, DONE, rates=SHARP))["approved"] is False
    assert json.loads(said("Verify it.", DONE, case=make_case(decline=True), rates=SHARP))["approved"] is False


def test_a_problem_is_overlooked_now_and_then() -> None:
    passed = sum(
        json.loads(said("Verify it.", *TOLD[:2], DONE, case=make_case(index=index)))["approved"]
        for index in range(1, 501)
    )
    assert 0.05 < passed / 500 < 0.14


def test_the_writer_tells_what_it_saw() -> None:
    text = said("Write to the customer.", *TOLD, DONE)
    for value in ("129.80", "re_1", "4500000007", "Ada Byron"):
        assert value in text
    corrupted = [*TOLD[:2], tool_says("payments.Refund.create", '{"refund_id":"re_1","amount":"12')]
    assert "amount 12. " in said("Write to the customer.", *corrupted, DONE)


def test_the_writer_who_saw_nothing_says_so_or_makes_it_up() -> None:
    texts = [said("Write.", case=make_case(index=index, told=("shipped", "1Z0000000001"))) for index in range(1, 301)]
    honest = [text for text in texts if "could not find out" in text]
    made_up = [text for text in texts if "The details" in text]
    assert len(honest) + len(made_up) == 300
    assert 3 < len(made_up) < 40
    assert not any("1Z0000000001" in text for text in texts)


def test_the_writer_says_no_where_the_work_was_declined_or_given_up() -> None:
    assert "may not do" in said("Write.", {"role": "assistant", "content": "DECLINE: not yours."})
    assert "could not finish" in said("Write.", *TOLD[:2], {"role": "assistant", "content": "CANNOT: no way."})
