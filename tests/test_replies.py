"""What a reply in plain words is taken to claim."""

from __future__ import annotations

import pytest

from pagerproof.model import ReplyStatus
from pagerproof.replies import status_of
from pagerproof.services import model_words as words

DONE, FAILED, DECLINED, HANDED_OVER = (
    ReplyStatus.DONE,
    ReplyStatus.FAILED,
    ReplyStatus.DECLINED,
    ReplyStatus.HANDED_OVER,
)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("DONE: your refund is on its way", DONE),
        ("CANNOT: the order system does not answer", FAILED),
        ("DECLINE: not for this customer", DECLINED),
        ("Dear Ada, we have taken care of everything you asked for. The details: status shipped.", DONE),
        ("Dear Ada, we are sorry, we could not finish this. This is what we know so far: status open.", FAILED),
        ("Dear Ada, we are sorry, we could not find out what you asked for.", FAILED),
        ("Dear Ada, we are sorry, but this is something that we may not do for you.", DECLINED),
        ("We have taken care of everything. The details: rule Worn items are not eligible.", DONE),
        ("Refunds after 30 days are against our policy.", DECLINED),
        ("I was unable to look up your order.", FAILED),
        ("I couldn’t find this order.", FAILED),
        ("I have transferred you to a human agent.", HANDED_OVER),
        ("We are passing your case to our billing team, who will write to you.", HANDED_OVER),
        ("Your parcel was transferred to DHL and arrives on Friday.", DONE),
        ("", FAILED),
        (words.REFUSAL, DECLINED),
        (words.prose("lookup_order", 1), FAILED),
    ],
)
def test_a_reply_is_taken_for_what_it_says(text: str, status: ReplyStatus) -> None:
    assert status_of(text) is status


@pytest.mark.parametrize("phrase", words.POLITE)
def test_the_wish_for_another_round_is_no_result(phrase: str) -> None:
    assert status_of(phrase) is FAILED
