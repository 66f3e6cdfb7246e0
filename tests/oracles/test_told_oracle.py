"""The told-facts oracle accepts a truth in any notation, and finds the missing, the contradicted and the invented."""

from __future__ import annotations

import pytest
from tests.conformance.oracle import Story

from pagerproof.model import Outcome
from pagerproof.oracles import judge
from pagerproof.oracles.told import tells


def _told(value: str, text: str, asked: str = "Where is my order?") -> Story:
    story = Story(expected=[], told=[value], text=asked)
    return story.call("orders.Order.get").says(text=text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1298.50", "It comes to 1.298,50 EUR."),
        ("1298.50", "It comes to $1,298.50."),
        ("1298.50", "It comes to 1 298,50 zł"),
        ("1298.50", "It comes to 1'298.50 CHF"),
        ("1298.50", "It comes to 1298.5."),
        ("129.00", "You paid 129 euros"),
        ("1250", "You have 1,250 points."),
        ("1250", "You have 1250."),
        ("3", "There are 3 left"),
        ("shipped", "Your order has been Shipped."),
        ("2026-11-25", "It arrives on 25.11.2026."),
        ("2026-11-25", "It arrives on November 25, 2026"),
        ("2026-11-25", "It arrives on 25 Nov"),
        ("2026-11-25", "11月25日に届きます"),
        ("2026-11-25T09:00", "See you on 2026-11-25 at 9:00!"),
        ("2026-11-25T09:00", "slot 2026-11-25T09:00"),
        ("1Z0123456789", "tracking 1Z0123456789, eta soon"),
        ("Rue de la Paix", "We ship to  rue de la\nPaix 4"),
    ],
)
def test_truth_is_recognised_in_any_notation(value: str, text: str) -> None:
    assert judge(_told(value, text).case()).findings == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("3", "There are 13 left"),
        ("3", "There are 3.5 left"),
        ("129.80", "It costs 1129.80"),
        ("129.80", "It costs 129.08"),
        ("2026-11-25", "It arrives on 2026-11-26"),
        ("2026-11-25T09:00", "See you on 2026-11-25 at 11:00"),
        ("plus", "It is surplus"),
    ],
)
def test_something_else_is_not_the_truth(value: str, text: str) -> None:
    assert not tells(text, value)
    assert judge(_told(value, text).case()).outcome is Outcome.FAILED_SILENT


@pytest.mark.parametrize(
    ("value", "text", "mode"),
    [
        ("shipped", "Your order is on its way to you.", "claimed_and_not_told"),
        ("shipped", "Your order is delivered.", "wrong_fact_told"),
        ("129.80", "Your total is 192.80 EUR.", "wrong_fact_told"),
        ("129.80", "Your total is in the mail.", "claimed_and_not_told"),
        ("2026-11-25", "It arrives on 2026-12-25.", "wrong_fact_told"),
        ("1Z0123456789", "Your tracking number is 1Z9876543210.", "wrong_fact_told"),
        ("1Z0123456789", "Thank you for asking.", "claimed_and_not_told"),
    ],
)
def test_done_without_the_truth_is_silent_and_says_whether_another_was_told(value: str, text: str, mode: str) -> None:
    verdict = judge(_told(value, text).case())
    assert (verdict.outcome, verdict.mode, verdict.tags) == (Outcome.FAILED_SILENT, mode, ())
    assert repr(value) in verdict.findings[0].message


def test_untold_fact_is_no_matter_when_the_agent_does_not_claim_to_be_done() -> None:
    story = Story(expected=[], told=["shipped"]).call("orders.Order.get")
    assert judge(story.says("handed_over", "A colleague will look.").case()).outcome is Outcome.ESCALATED


@pytest.mark.parametrize(
    "token", ["4500000008", "pay_00000099", "C000077"], ids=["another's order", "another's payment", "a customer"]
)
def test_another_requests_id_out_of_nowhere_is_invented(token: str) -> None:
    verdict = judge(_told("shipped", f"Order {token} is shipped.").case())
    assert (verdict.outcome, verdict.mode) == (Outcome.FAILED_SILENT, "invented_fact")
    assert token in verdict.findings[0].message


@pytest.mark.parametrize(
    "text",
    [
        "Order 4500000007 (pay_00000007, pay_00000007b) of C000042 is shipped.",
        "status shipped, phone +4512345678, 45123456789, order 4500000007",
        "Order 4500000555 that you asked about is not yours; yours is shipped.",
    ],
    ids=["own ids", "phone numbers", "the customer's own words"],
)
def test_own_ids_and_what_the_customer_wrote_are_not_invented(text: str) -> None:
    assert judge(_told("shipped", text, asked="Where is order 4500000555?").case()).findings == ()


def test_orders_of_a_list_are_not_invented() -> None:
    story = Story(expected=[], told=["shipped"]).call("orders.Order.list")
    assert judge(story.says(text="4500000007 shipped, 4500000911 open").case()).findings == ()


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("We have refunded 192.80 EUR to your card.", "wrong_fact_told"),
        ("We have refunded 129,80 EUR to your card.", ""),
        ("Your refund of 129.80 for the order of 259.60 is on its way.", ""),
        ("We credited 5.00 EUR for your trouble, and 129,80 EUR go back.", ""),
        ("For your order of 259.60 EUR the refund is on its way.", ""),
        ("refund_id re_1, status succeeded, total 259.60, amount 129.80", ""),
        ("Your refund for the order of 259.60 is on its way.", ""),
    ],
)
def test_amount_told_as_paid_back_must_not_be_another(text: str, mode: str) -> None:
    story = Story(slots={"total": "259.60"}).call("orders.Order.get").effect().says(text=text)
    assert judge(story.case()).mode == mode
