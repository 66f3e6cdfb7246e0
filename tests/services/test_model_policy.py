"""The stated model policy: the happy path, what it makes of broken answers, and the law of its error rates."""

from __future__ import annotations

import math

import pytest
from tests.services.llm_stage import (
    ALL_TOOLS,
    BOOKING,
    BOOKING_ANSWERS,
    REFUND,
    REFUND_ANSWERS,
    RESERVE,
    RESERVE_ANSWERS,
    SAP,
    SAP_ANSWERS,
    TEXT,
    loop,
    make_case,
    opening,
    step,
    tool_says,
)

from pagerproof.model import Step
from pagerproof.services.model_policy import BEHAVIOURS, Conversation, ModelPolicy, task_of, went_astray
from pagerproof.services.model_rates import FINISH_ERRORS, STEP_ERRORS, TASK_SHARES, ModelRates, error_budget

RATES = ModelRates()


@pytest.mark.parametrize(
    ("path", "answers"),
    [(REFUND, REFUND_ANSWERS), (SAP, SAP_ANSWERS), (BOOKING, BOOKING_ANSWERS), (RESERVE, RESERVE_ANSWERS)],
    ids=["refund", "sap", "booking", "reserve"],
)
def test_an_easy_request_walks_its_path_and_finishes(path: tuple[Step, ...], answers: dict[str, str]) -> None:
    ending = loop(make_case(path), answers)
    assert [name for name, _ in ending.calls] == [each.operation for each in path]
    assert ending.text.startswith("DONE:")
    assert not any(went_astray(behaviour) for behaviour in ending.behaviours)


def test_arguments_come_from_the_text_and_from_what_the_tools_said() -> None:
    ending = loop(make_case(), REFUND_ANSWERS)
    assert ending.calls == [
        ("crm.Customer.find", {"email": "ada@example.com"}),
        ("orders.Order.get", {"order_id": "4500000007"}),
        ("payments.Refund.create", {"payment_id": "pay_00000007", "amount": "129.80", "currency": "USD"}),
    ]
    assert "refund_id re_1" in ending.text
    assert loop(make_case(SAP), SAP_ANSWERS).calls[2][1]["amount"] == "77.50"
    assert loop(make_case(BOOKING), BOOKING_ANSWERS).calls[2][1]["slot"] == "2026-11-26T10:00"
    assert loop(make_case(RESERVE), RESERVE_ANSWERS).calls[1][1]["quantity"] == 2


def test_two_intents_in_one_message_share_the_steps_that_are_the_same() -> None:
    path = (*REFUND, *RESERVE)
    ending = loop(make_case(path), REFUND_ANSWERS | RESERVE_ANSWERS)
    assert [name for name, _ in ending.calls] == [each.operation for each in path]


def test_the_value_seen_flows_on_even_when_it_is_wrong() -> None:
    stale = REFUND_ANSWERS | {"orders.Order.get": REFUND_ANSWERS["orders.Order.get"].replace("129.80", "12.00")}
    assert loop(make_case(), stale).calls[2][1]["amount"] == "12.00"


def test_garbage_from_a_cut_answer_flows_on() -> None:
    whole = REFUND_ANSWERS["orders.Order.get"]
    cut = whole[: whole.index('"129.80"') + 3]  # ... "total":"12
    blind = ModelRates(notices_cut=0.0)
    ending = loop(make_case(), REFUND_ANSWERS | {"orders.Order.get": cut}, rates=blind)
    assert ending.calls[2][1] == {"payment_id": "pay_00000007", "amount": "12", "currency": "USD"}


def test_a_reader_who_notices_the_cut_asks_again() -> None:
    whole = REFUND_ANSWERS["orders.Order.get"]
    cut = whole[: whole.index('"129.80"') + 3]
    careful = ModelRates(notices_cut=1.0, asks_again=1.0)
    ending = loop(make_case(), REFUND_ANSWERS | {"orders.Order.get": [cut, whole]}, rates=careful)
    assert [name for name, _ in ending.calls].count("orders.Order.get") == 2
    assert ending.calls[-1][1]["amount"] == "129.80"


@pytest.mark.parametrize(
    "broken",
    [
        '```json\n{"order_id":"4500000007","payment_id":"pay_00000007","total":"129.80","currency":"USD"}\n```',
        '{"order_id":"4500000007","payment_id":"pay_00000007","total":"129.80","currency":"USD",}',
        '{"order_id":"4500000007", // the order\n"payment_id":"pay_00000007","total":"129.80","currency":"USD"}',
        "{'order_id': '4500000007', 'payment_id': 'pay_00000007', 'total': '129.80', 'currency': 'USD'}",
        'Here you are: {"order_id":"4500000007","payment_id":"pay_00000007","total":"129.80","currency":"USD"} bye',
        '{"order_id":"4500000007","payment_id":"pay_00000007","total":"129.80","currency":"USD"}{"x":1}',
        '\ufeff{"orderId":"4500000007","paymentId":"pay_00000007","orderTotal":"129.80","currency":"USD"}',
        '{"data":{"order":{"order_id":"4500000007","payment_id":"pay_00000007","total":129.8,"currency":"USD"}}}',
    ],
    ids=["fenced", "trailing comma", "comment", "single quotes", "prose around", "two objects", "renamed", "wrapped"],
)
def test_what_a_reader_can_repair_is_read_right(broken: str) -> None:
    ending = loop(make_case(), REFUND_ANSWERS | {"orders.Order.get": broken})
    assert ending.calls[2][1] in (
        {"payment_id": "pay_00000007", "amount": "129.80", "currency": "USD"},
        {"payment_id": "pay_00000007", "amount": "129.8", "currency": "USD"},
    )


def test_a_page_of_html_counts_as_an_error_or_is_believed_and_its_values_made_up() -> None:
    html = REFUND_ANSWERS | {"orders.Order.get": ["<html>502</html>", REFUND_ANSWERS["orders.Order.get"]]}
    doubting = loop(make_case(), html, rates=ModelRates(believes_noise=0.0, gives_up_after_error=(0.0,)))
    assert [name for name, _ in doubting.calls].count("orders.Order.get") == 2
    believing = loop(make_case(), html, rates=ModelRates(believes_noise=1.0))
    assert "invents_value" in believing.behaviours
    assert believing.calls[-1][1]["amount"] != "129.80"


def test_an_error_is_retried_with_the_same_arguments_by_default() -> None:
    answers = REFUND_ANSWERS | {"orders.Order.get": ["ERROR HTTP 503: overloaded", REFUND_ANSWERS["orders.Order.get"]]}
    ending = loop(make_case(), answers, rates=ModelRates(gives_up_after_error=(0.0,)))
    assert [call for call in ending.calls if call[0] == "orders.Order.get"] == [
        ("orders.Order.get", {"order_id": "4500000007"})
    ] * 2


def test_after_errors_in_a_row_the_model_gives_up_at_the_stated_rate() -> None:
    answers = REFUND_ANSWERS | {"orders.Order.get": "ERROR HTTP 503: overloaded"}
    rates = ModelRates(gives_up_after_error=(0.3,), claims_after_error=0.0)
    tries = []
    for index in range(1, 1001):
        ending = loop(make_case(index=index), answers, rates=rates, rounds_max=200)
        assert ending.text.startswith("CANNOT:")
        tries.append(len(ending.calls) - 1)
    assert sum(tries) / len(tries) == pytest.approx(1 / 0.3, rel=0.1)


def test_success_is_claimed_over_an_error_more_often_where_it_is_hard() -> None:
    answers = REFUND_ANSWERS | {"payments.Refund.create": "ERROR HTTP 503: overloaded"}

    def claims(difficulty: float) -> int:
        return sum(
            "claims_success" in loop(make_case(index=index, difficulty=difficulty), answers, temperature=1.0).behaviours
            for index in range(1, 401)
        )

    assert claims(0.0) < 10
    assert claims(0.6) > 40


def test_an_error_that_says_already_is_mostly_read_as_done() -> None:
    answers = REFUND_ANSWERS | {"payments.Refund.create": 'ERROR HTTP 409: {"error":{"code":"already_refunded"}}'}
    at_once = sum(len(loop(make_case(index=index), answers).calls) == 3 for index in range(1, 401))
    assert 0.63 < at_once / 400 < 0.85


def test_a_missing_value_is_fetched_again_then_made_up_or_given_up() -> None:
    partial = '{"order_id":"4500000007","payment_id":"pay_00000007","total":null,"currency":"USD"}'
    endings = [loop(make_case(index=index), REFUND_ANSWERS | {"orders.Order.get": partial}) for index in range(1, 301)]
    assert any("asks_again" in ending.behaviours for ending in endings)
    given_up = [ending for ending in endings if ending.text.startswith("CANNOT:")]
    made_up = [ending for ending in endings if "invents_value" in ending.behaviours]
    assert len(given_up) > 200
    assert 0 < len(made_up) < 60


def test_an_order_number_that_nobody_wrote_is_not_known() -> None:
    ending = loop(make_case(text="Please refund my last order."), REFUND_ANSWERS, rates=ModelRates(invents_missing=0.0))
    assert [name for name, _ in ending.calls] == ["crm.Customer.find"]
    assert ending.text.startswith("CANNOT:")


def test_invisible_characters_do_not_hide_an_order_number() -> None:
    text = TEXT.replace("4500000007", "4500\u200b000007\u2060")
    assert loop(make_case(text=text), REFUND_ANSWERS).calls[1][1] == {"order_id": "4500000007"}


def test_what_must_not_be_done_is_declined_before_the_first_write() -> None:
    ending = loop(make_case(decline=True), REFUND_ANSWERS)
    assert ending.text.startswith("DECLINE:")
    assert "payments.Refund.create" not in [name for name, _ in ending.calls]


def test_an_unknown_order_is_declined_where_declining_is_right() -> None:
    answers = REFUND_ANSWERS | {"orders.Order.get": 'ERROR HTTP 404: {"error":{"code":"not_found"}}'}
    assert loop(make_case(decline=True), answers).text.startswith("DECLINE:")


def test_a_hard_case_is_not_always_recognised_as_one_to_decline() -> None:
    astray = 0
    for index in range(1, 1001):
        ending = loop(make_case(decline=True, index=index, difficulty=0.5), REFUND_ANSWERS, temperature=1.0)
        astray += any(map(went_astray, ending.behaviours))
    expected = 1.0 - math.exp(-error_budget(RATES, "act", 0.5, 1.0))
    # The refund step and the finish are never reached by whoever declines, so their part of the budget is not spent.
    assert 0.7 * expected < astray / 1000 < expected + 0.04


def test_given_the_tools_of_some_steps_the_model_does_those_and_names_the_rest() -> None:
    tools = ("crm.Customer.find", "orders.Order.get")
    ending = loop(make_case(), REFUND_ANSWERS, tools=tools)
    assert [name for name, _ in ending.calls] == list(tools)
    assert ending.text.startswith("DONE:")
    assert "payments.Refund.create" in ending.text
    assert loop(make_case(), REFUND_ANSWERS, tools=("kb.Policy.get",)).text.startswith("CANNOT:")


# The law


def realized(difficulty: float, temperature: float, requests: int, streams: int = 1) -> float:
    """The share of requests in which the model erred somewhere, over a router, an actor, a verifier and a writer."""
    astray = 0
    for index in range(1, requests + 1):
        case = make_case(index=index, difficulty=difficulty)
        behaviours = loop(case, REFUND_ANSWERS, temperature=temperature, streams=streams, rounds_max=5).behaviours
        policy = ModelPolicy(1, RATES)
        told = [tool_says(name, text) for name, text in REFUND_ANSWERS.items()]
        done = {"role": "assistant", "content": "DONE: all."}
        for system in ("You route requests.", "You verify the work.", "You write to the customer."):
            messages = opening(system=system) if "route" in system else [*opening(system=system), *told, done]
            move, _ = policy.next_move(case, Conversation(messages), temperature=temperature, streams=streams)
            behaviours.append(move.behaviour)
        astray += any(map(went_astray, behaviours))
    return astray / requests


@pytest.mark.parametrize("difficulty", [0.05, 0.18, 0.5])
def test_at_temperature_one_the_chance_to_err_somewhere_is_the_difficulty(difficulty: float) -> None:
    share = realized(difficulty, 1.0, 5000)
    assert share == pytest.approx(difficulty, abs=3.5 * math.sqrt(difficulty * (1 - difficulty) / 5000))


@pytest.mark.parametrize(("temperature", "streams"), [(0.0, 1), (0.0, 500), (0.2, 1), (1.5, 1)])
def test_at_other_temperatures_it_follows_the_formula(temperature: float, streams: int) -> None:
    expected = 1.0 - math.exp(-sum(error_budget(RATES, task, 0.3, temperature, streams) for task in TASK_SHARES))
    share = realized(0.3, temperature, 3000, streams)
    assert share == pytest.approx(expected, abs=3.5 * math.sqrt(expected * (1 - expected) / 3000))


def test_the_residual_at_temperature_zero_is_small_grows_with_load_and_vanishes_for_easy_requests() -> None:
    def at_zero(difficulty: float, streams: int = 1) -> float:
        return sum(error_budget(RATES, task, difficulty, 0.0, streams) for task in TASK_SHARES)

    assert at_zero(0.0, 1000) == 0.0
    assert at_zero(0.005) < 1e-4
    assert 0.02 < at_zero(0.18) < 0.10
    assert at_zero(0.18, 200) > 1.5 * at_zero(0.18)


def test_a_hundred_easy_requests_at_temperature_zero_look_perfect() -> None:
    for index in range(1, 101):
        ending = loop(make_case(index=index, difficulty=0.005), REFUND_ANSWERS)
        assert ending.text.startswith("DONE:")
        assert len(ending.calls) == 3


def test_every_behaviour_of_the_table_happens() -> None:
    seen: set[str] = set()
    for index in range(1, 3001):
        case = make_case(index=index, difficulty=0.9)
        seen.update(loop(case, REFUND_ANSWERS, temperature=1.0, rounds_max=8).behaviours)
    assert set(STEP_ERRORS) | set(FINISH_ERRORS) <= seen
    assert set(STEP_ERRORS) <= set(BEHAVIOURS)


def test_the_shares_of_the_tables_sum_to_one() -> None:
    for shares in (STEP_ERRORS, FINISH_ERRORS, TASK_SHARES):
        assert sum(shares.values()) == pytest.approx(1.0)


def test_a_skipped_step_stays_skipped() -> None:
    skipped = 0
    for index in range(1, 1000):
        ending = loop(make_case(index=index, difficulty=0.5), REFUND_ANSWERS, temperature=1.0)
        if ending.behaviours[:1] == ["skips_step"]:
            assert "crm.Customer.find" not in [name for name, _ in ending.calls]
            skipped += 1
    assert skipped > 3


def test_a_step_whose_answer_is_needed_later_is_never_skipped() -> None:
    for index in range(1, 1000):
        ending = loop(make_case(index=index, difficulty=0.5), REFUND_ANSWERS, temperature=1.0)
        assert ending.behaviours[:2] != ["right_tool", "skips_step"]


def test_a_retry_at_one_step_changes_no_draw_of_a_later_step() -> None:
    faulty = REFUND_ANSWERS | {"crm.Customer.find": ["ERROR HTTP 503", REFUND_ANSWERS["crm.Customer.find"]]}
    compared = 0
    for index in range(1, 400):
        clean = loop(make_case(index=index, difficulty=0.6), REFUND_ANSWERS, temperature=1.0)
        struck = loop(make_case(index=index, difficulty=0.6), faulty, temperature=1.0)
        if clean.behaviours[:1] == ["right_tool"] and struck.behaviours[:2] == ["right_tool"] * 2:
            assert clean.behaviours[1:] == struck.behaviours[2:]
            assert clean.calls[1:] == struck.calls[2:]
            compared += 1
    assert compared > 200


def test_the_same_inputs_give_the_same_moves_and_another_seed_others() -> None:
    def run(seed: int) -> list[object]:
        return [
            loop(make_case(index=index, difficulty=0.7), REFUND_ANSWERS, seed=seed, temperature=1.0).calls
            for index in range(1, 60)
        ]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_tasks_are_recognised_by_tools_and_system_text() -> None:
    assert task_of(Conversation(opening(system="Verify this.")), ALL_TOOLS) == "act"
    assert task_of(Conversation(opening(system="ROUTE the request.")), ()) == "route"
    assert task_of(Conversation(opening(system="Please review what was done.")), ()) == "verify"
    assert task_of(Conversation(opening(system="Answer the customer.")), ()) == "write"


def test_openai_tool_definitions_are_understood() -> None:
    tools = [{"type": "function", "function": {"name": each.operation}} for each in REFUND]
    move, _ = ModelPolicy(1, RATES).next_move(make_case(), Conversation(opening()), tools=tools)
    assert move.tool == "crm.Customer.find"


def test_a_path_with_one_operation_twice_is_walked_twice() -> None:
    path = (step("inventory.Stock.get", sku="SKU-1"), step("inventory.Stock.get", sku="SKU-2"))
    ending = loop(make_case(path), RESERVE_ANSWERS)
    assert [arguments["sku"] for _, arguments in ending.calls] == ["SKU-1", "SKU-2"]
