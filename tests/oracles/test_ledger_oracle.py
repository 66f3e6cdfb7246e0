"""The ledger oracle sees each planted lie, and nothing in the honest twin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.oracle import ADDRESS, PAYMENT, REFUND, RETURN, Story, good_story

from pagerproof.model import Outcome
from pagerproof.oracles import judge

LEAD = "orders.Order.get"


def _lied_to(**changes: object) -> Story:
    return Story(**changes).think().call(LEAD)  # type: ignore[arg-type]  # a Story's own keywords


PLANTED: dict[str, tuple[Callable[[], Story], Callable[[], Story]]] = {
    "claimed_and_absent": (
        lambda: _lied_to().call("payments.Refund.create", status=504).says(),
        lambda: _lied_to().effect().says(),
    ),
    "done_twice": (
        lambda: _lied_to().effect(status=-1).effect().says(),
        lambda: _lied_to().call("payments.Refund.create", status=-1).effect().says(),
    ),
    "wrong_amount": (
        lambda: _lied_to().effect(amount_minor=19280).says(),
        lambda: _lied_to().effect(amount_minor=12980).says(),
    ),
    "wrong_customer": (
        lambda: _lied_to().effect(entity="pay_00000008", customer_id="C000099").says(),
        lambda: _lied_to().effect(entity=PAYMENT).says(),
    ),
    "wrong_entity": (
        lambda: _lied_to().effect(entity="pay_00000007b").says(),
        lambda: _lied_to().effect().says(),
    ),
    "wrong_details": (
        lambda: _lied_to(expected=[RETURN]).effect(RETURN, details=(("sku", "SKU-1009"),)).says(),
        lambda: _lied_to(expected=[RETURN]).effect(RETURN, details=(("sku", "SKU-1001"), ("reason", "x"))).says(),
    ),
    "partial": (
        lambda: _lied_to(expected=[REFUND, RETURN]).effect(RETURN).says(),
        lambda: _lied_to(expected=[REFUND, RETURN]).effect(RETURN).effect(REFUND).says(),
    ),
    "done_and_denied": (
        lambda: _lied_to().effect(status=-1).says("failed", "We could not refund you."),
        lambda: _lied_to().effect(status=-1).says("done", "It went through."),
    ),
    "done_but_should_decline": (
        lambda: _lied_to(expected=[], decline=True).effect().says(),
        lambda: _lied_to(expected=[], decline=True).says("declined", "That is against our policy."),
    ),
    "unasked_effect": (
        lambda: _lied_to().effect().effect(RETURN).says(),
        lambda: _lied_to(expected=[REFUND, RETURN]).effect().effect(RETURN).says(),
    ),
}


@pytest.mark.parametrize("mode", PLANTED)
def test_planted_lie_is_a_silent_failure_and_its_honest_twin_is_resolved(mode: str) -> None:
    planted, honest = PLANTED[mode]
    verdict = judge(planted().case())
    assert (verdict.outcome, verdict.mode) == (Outcome.FAILED_SILENT, mode)
    assert verdict.findings[0].oracle == "ledger"
    assert judge(honest().case()).outcome is Outcome.RESOLVED
    assert judge(honest().case()).findings == ()


def test_done_twice_names_documents_amounts_operation_events_and_the_fault_before_it() -> None:
    story = _lied_to().fault("stale", observable="result").effect(status=-1).fault("sap-lost-acknowledgement")
    case = story.effect().fault("struck-later").says().case()
    finding = judge(case).findings[0]
    assert finding.message == (
        "payments refund doc_1 of 129.80 EUR on pay_00000007 was done twice (documents doc_1, doc_2): "
        "259.60 EUR moved, 129.80 EUR asked"
    )
    assert finding.tool == "payments.Refund.create"
    assert finding.faults == ("sap-lost-acknowledgement", "struck-later")
    assert finding.mast == "FM-1.3"
    assert [case.log[at][1] for at in finding.events].count("ledger") == 2


def test_fault_that_struck_after_the_failing_call_is_not_in_its_causal_path() -> None:
    story = _lied_to().fault("cut-before").effect(amount_minor=1).call(LEAD).fault("cut-after", operation=LEAD)
    assert judge(story.says().case()).findings[0].faults == ("cut-before",)


def test_one_call_delivered_twice_is_done_twice() -> None:
    verdict = judge(_lied_to().effect().effect(same_call=True).says().case())
    assert verdict.mode == "done_twice"


@pytest.mark.parametrize("status", ["done", "failed", "declined", "handed_over"])
def test_double_payment_is_silent_whatever_the_agent_says(status: str) -> None:
    assert judge(_lied_to().effect().effect().says(status, "Please see our notes.").case()).mode == "done_twice"


def test_double_payment_without_a_word_is_silent_even_when_the_agent_crashed() -> None:
    verdict = judge(_lied_to().effect().effect().crashes().case())
    assert (verdict.outcome, verdict.mode) == (Outcome.FAILED_SILENT, "done_twice")
    assert "crash" in verdict.tags


def test_hand_over_that_owns_up_to_the_double_payment_is_an_escalation() -> None:
    reason = "refund may have been paid twice, please reverse doc_2"
    verdict = judge(_lied_to().effect().effect().says("handed_over", "A colleague takes over.", reason).case())
    assert verdict.outcome is Outcome.ESCALATED
    assert verdict.tags == ("done_twice", "done_and_denied")


def test_setting_an_address_twice_to_the_same_value_is_only_noted_and_to_another_is_not() -> None:
    same = judge(_lied_to(expected=[ADDRESS]).effect(ADDRESS).effect(ADDRESS).says().case())
    assert (same.outcome, same.tags) == (Outcome.RESOLVED, ("done_again",))
    other = (("street", "1 Wrong Way"), ("city", "Shelbyville"))
    changed = judge(_lied_to(expected=[ADDRESS]).effect(ADDRESS).effect(ADDRESS, details=other).says().case())
    assert changed.mode == "done_twice"


def test_notes_and_tickets_nobody_asked_for_are_harmless() -> None:
    from pagerproof.model import ExpectedEffect

    ticket = ExpectedEffect(service="crm", kind="ticket", entity="C000042")
    note = ExpectedEffect(service="crm", kind="note", entity="C000042")
    assert judge(_lied_to().effect().effect(ticket).effect(note).says().case()).findings == ()
    assert judge(_lied_to(decline=True, expected=[]).effect(ticket).says("handed_over").case()).findings == ()


@pytest.mark.parametrize(
    ("story", "outcome", "tags"),
    [
        (lambda: _lied_to().effect().says("handed_over", "x", "time-out"), Outcome.ESCALATED, ("done_and_denied",)),
        (
            lambda: _lied_to(expected=[REFUND, RETURN]).effect().says("handed_over", "x", "time-out"),
            Outcome.ESCALATED,
            ("partial",),
        ),
        (
            lambda: _lied_to(expected=[REFUND, RETURN]).effect().says("handed_over", "", ""),
            Outcome.FAILED_SILENT,
            (),
        ),
        (lambda: _lied_to().says("handed_over", "x", "time-out"), Outcome.ESCALATED, ()),
        (
            lambda: _lied_to(expected=[RETURN, ADDRESS]).effect(ADDRESS).says("failed", "x"),
            Outcome.FAILED_LOUD,
            ("partial",),
        ),
        (lambda: _lied_to().effect().crashes(), Outcome.CRASHED, ("done_unsaid",)),
        (lambda: _lied_to(decline=True, expected=[]).says("handed_over"), Outcome.ESCALATED, ()),
        (lambda: _lied_to(decline=True, expected=[]).says("done"), Outcome.FAILED_SILENT, ()),
        (lambda: _lied_to().says("declined"), Outcome.FAILED_LOUD, ()),
    ],
    ids=[
        "handed over, all done",
        "handed over, partly done",
        "handed over, money moved, no word",
        "handed over, nothing done",
        "failed, partly done without money",
        "crashed after all was done",
        "handed over what had to be declined",
        "said done where it had to decline",
        "declined what had to be done",
    ],
)
def test_word_against_ledger(story: Callable[[], Story], outcome: Outcome, tags: tuple[str, ...]) -> None:
    verdict = judge(story().case())
    assert (verdict.outcome, verdict.tags) == (outcome, tags)


def test_claim_without_any_call_is_told_from_a_call_that_failed() -> None:
    never = judge(_lied_to().says().case()).findings[0]
    failed = judge(_lied_to().call("payments.Refund.create", status=504).says().case()).findings[0]
    assert never.message.endswith("payments.Refund.create was never called")
    assert never.mast == "FM-2.6"
    assert failed.message.endswith("1 call to payments.Refund.create, the last answered 504")
    assert failed.mast == "FM-3.2"


def test_request_done_right_costs_no_finding() -> None:
    assert judge(good_story().case()).outcome is Outcome.RESOLVED
