"""The end state decides: not by which writes it came about, and whatever the agent says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.conformance.oracle import CUSTOMER, OPERATION_OF_KIND, Story

from pagerproof.model import ExpectedEffect, Outcome, end_state_of
from pagerproof.oracles import judge
from pagerproof.oracles.end_state import EndState
from pagerproof.protocols import Case

PLACE = f"users/{CUSTOMER.customer_id}/city"
MOVED = ExpectedEffect(service="crm", kind="address", entity=CUSTOMER.customer_id, details=((PLACE, '"Rye"'),))


def moved(to: str = "Rye", was: str = "Ada") -> tuple[tuple[str, str], ...]:
    return ((PLACE, f'"{to}"'), (f"was {PLACE}", f'"{was}"'))


def judged(story: Story, wanted: Mapping[str, str] | None = None) -> Case:
    case = story.case()
    end_state = {PLACE: '"Rye"'} if wanted is None else dict(wanted)
    expectation = replace(case.truth.expectation, end_state=end_state)
    case.truth = replace(case.truth, expectation=expectation)
    return case


def story() -> Story:
    assert OPERATION_OF_KIND["address"] == "crm.Customer.update_address"
    return Story(expected=(MOVED,))


def test_the_right_end_state_is_in_order_by_whatever_writes() -> None:
    for told in (
        story().effect(MOVED, details=moved()).says(),
        story().effect(MOVED, details=moved("Oz")).effect(MOVED, details=moved("Rye", "Oz")).says(),
        story().effect(MOVED, details=moved()).effect(MOVED, details=()).says(),
    ):
        verdict = judge(judged(told))
        assert (verdict.outcome, verdict.tags) == (Outcome.RESOLVED, ())


def test_a_write_that_was_undone_is_no_change() -> None:
    told = story().effect(MOVED, details=moved()).effect(MOVED, details=moved("Ada", "Rye")).says()
    case = judged(told)
    assert end_state_of(case.effects) == {}
    assert [finding.mode for finding in EndState().judge(case)] == ["wrong_end_state"]
    assert judge(judged(told, {})).outcome is Outcome.RESOLVED


@pytest.mark.parametrize(
    ("told", "mode"),
    [
        (story().says(), "claimed_and_absent"),
        (story().effect(MOVED, details=moved("Oz")).says(), "wrong_details"),
        (story().effect(MOVED, entity="C000001", customer_id="C000001", details=moved()).says(), "wrong_customer"),
        (
            story()
            .effect(MOVED, details=moved())
            .effect(MOVED, details=(("orders/1/status", '"gone"'), ("was orders/1/status", '"open"')))
            .says(),
            "done_twice",
        ),
    ],
)
def test_a_wrong_end_state_has_the_ledgers_name_and_its_own(told: Story, mode: str) -> None:
    case = judged(told, {PLACE: '"Rye"', "more": "1"} if mode == "wrong_customer" else None)
    verdict = judge(case)
    assert (verdict.outcome, verdict.mode) == (Outcome.FAILED_SILENT, mode)
    assert "wrong_end_state" in verdict.tags


def test_a_difference_that_no_single_effect_explains_is_named_by_its_places() -> None:
    more = (*moved(), ("users/x/zip", '"1"'), ("was users/x/zip", '"2"'))
    verdict = judge(judged(story().effect(MOVED, details=more).says()))
    assert (verdict.outcome, verdict.mode) == (Outcome.FAILED_SILENT, "wrong_end_state")
    assert verdict.findings[0].message == 'users/x/zip is "1", asked unchanged'
    assert verdict.findings[0].tool == "crm.Customer.update_address"


def test_a_right_end_state_that_is_denied_is_a_silent_failure_and_one_handed_over_is_not() -> None:
    assert judge(judged(story().effect(MOVED, details=moved()).says("failed"))).mode == "done_and_denied"
    handed = judge(judged(story().effect(MOVED, details=moved()).says("handed_over")))
    assert (handed.outcome, handed.tags) == (Outcome.ESCALATED, ())


def test_nothing_done_and_nothing_claimed_is_for_other_oracles() -> None:
    for said in ("failed", "handed_over", "declined"):
        assert EndState().judge(judged(story().says(said))) == ()


def test_where_nothing_was_to_change_declining_is_right_and_a_change_is_not() -> None:
    asked = Story(expected=())
    assert judge(judged(asked.says("declined"), {})).outcome is Outcome.RESOLVED
    assert judge(judged(Story(expected=()).says(), {})).outcome is Outcome.RESOLVED
    changed = judge(judged(Story(expected=()).effect(MOVED, details=moved()).says(), {}))
    assert (changed.outcome, changed.mode) == (Outcome.FAILED_SILENT, "unasked_effect")


def test_requests_without_an_end_state_are_left_to_the_ledger() -> None:
    assert EndState().judge(story().says().case()) == ()
