"""The tally counts settled requests that a fault struck, in whatever order they settle."""

from __future__ import annotations

from tests.conformance.oracle import Story

from pagerproof.metrics.expectations import INDICES_MAX, ExpectationTally
from pagerproof.metrics.result import ExpectationResult
from pagerproof.oracles import judge
from pagerproof.protocols import Note
from pagerproof.scenario.fault_model import Expect

CLAIMS = Expect(always=("no_success_claim_without_document",), sometimes=("client_timeout", "lock_met_later"))


def tally_of(*stories: Story) -> dict[str, ExpectationResult]:
    tally = ExpectationTally({"cut": CLAIMS})
    for story in stories:
        case = story.case()
        tally.take(case, judge(case))
    return {each.name: each for each in tally.of("cut")}


def claim(index: int = 7, *, fate: str = "delivered") -> Story:
    """A struck request whose reply says done, with nothing in the ledger."""
    return Story(index=index).call("orders.Order.get").fault("cut", fate=fate).says()


def test_indices_are_the_lowest_in_order_whatever_the_order_of_settling() -> None:
    indices = [1 + (77 * n) % 200 for n in range(200)]
    broken = tally_of(*(claim(index) for index in indices))["no_success_claim_without_document"]
    assert (broken.count, broken.first_index) == (200, 1)
    assert broken.indices == tuple(range(1, INDICES_MAX + 1))


def test_a_strike_that_was_not_delivered_exercises_nothing() -> None:
    for fate in ("limited", "preempted", "cancelled"):
        assert {each.status for each in tally_of(claim(fate=fate)).values()} == {"not exercised"}


def test_what_happened_to_a_call_whose_strike_was_cancelled_is_not_the_faults_doing() -> None:
    story = Story().call("orders.Order.get").fault("cut")
    story.call("orders.Order.get", status=-1).fault("cut", fate="cancelled")
    assert tally_of(story.says())["client_timeout"].status == "not reached"


def test_a_request_that_never_settled_is_not_judged() -> None:
    story = claim()
    story.settled = False
    assert {each.status for each in tally_of(story).values()} == {"not exercised"}


def test_a_fact_of_the_world_may_be_met_by_a_request_that_was_not_struck() -> None:
    bystander = Story(index=8).call("sap.SalesOrder.cancel", status=400).says("failed").case()
    bystander.noted = (Note("met a lock left behind", "sap", 1),)
    struck = claim().case()
    tally = ExpectationTally({"cut": CLAIMS})
    for case in (bystander, struck):
        tally.take(case, judge(case))
    met = {each.name: each for each in tally.of("cut")}["lock_met_later"]
    assert (met.status, met.struck, met.count, met.first_index) == ("reached", 1, 1, 8)


def test_a_bystander_breaks_no_invariant_of_the_fault() -> None:
    bystander = Story().call("orders.Order.get").fault("another").says().case()
    tally = ExpectationTally({"cut": CLAIMS})
    assert not tally.take(bystander, judge(bystander))
    assert {each.status for each in tally.of("cut")} == {"not exercised"}


def test_a_fault_that_states_nothing_has_no_expectations() -> None:
    assert ExpectationTally({}).of("cut") == ()
