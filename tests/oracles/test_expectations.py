"""Each fact of the world is reached by a story in which it comes about, and not by its twin in which it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.oracle import REFUND, RETURN, Story

from pagerproof.model import Outcome
from pagerproof.oracles import judge, known_modes
from pagerproof.oracles.expectations import ALWAYS, EXPECTATIONS, SOMETIMES, Struck
from pagerproof.protocols import Note

FAULT = "the-fault"
READ = "orders.Order.get"
ASKED = '{"order_id": "4500000007"}'
WRITE = "payments.Refund.create"

Told = Story | Callable[[], Struck]


def struck(story: Story) -> Struck:
    case = story.case()
    return Struck(case, judge(case), FAULT)


def hit(operation: str = READ, arguments: str = ASKED, *, status: int = 200, takes_s: float = 0.5) -> Story:
    """A story that begins with a struck call."""
    return Story().call(operation, arguments, status=status, takes_s=takes_s).fault(FAULT)


def told_of_answer(*, undecodable: bool = False, retry_after_s: float = -1.0, again_after_s: float = 0.0) -> Story:
    story = hit(status=429 if retry_after_s >= 0.0 else 200)
    story.decisions[0].undecodable = undecodable
    story.decisions[0].retry_after_s = retry_after_s
    return story.wait(again_after_s).call(READ, ASKED).says()


def keyed(story: Story, *calls: int) -> Story:
    for decision in story.decisions:
        decision.keyed = decision.call in calls
    return story


def noted(note: Note) -> Callable[[], Struck]:
    def told() -> Struck:
        case = hit("sap.SalesOrder.get").says().case()
        case.noted += (note,)
        return Struck(case, judge(case), FAULT)

    return told


def accepted(*, asked_again: bool) -> Story:
    story = hit()
    if asked_again:
        story.call(READ, ASKED)
    return story.effect().says()


REACHED: dict[str, tuple[Told, Told]] = {
    "client_timeout": (hit(status=-1).says(), hit().call("crm.Customer.get", status=-1).says()),
    "late_answer": (hit(takes_s=1000.0).effect().says(), hit().effect().says()),
    "retried": (hit(status=503).call(READ, ASKED).says(), hit().call(READ, ASKED).says()),
    "retry_after_obeyed": (
        told_of_answer(retry_after_s=2.0, again_after_s=2.0),
        told_of_answer(retry_after_s=2.0, again_after_s=1.5),
    ),
    "session_reopened": (
        hit("sap.CreditMemo.create", status=403).call("sap.Session.open").says(),
        Story().call("sap.Session.open").call("sap.CreditMemo.create", status=403).fault(FAULT).says(),
    ),
    "handed_over": (hit().says("handed_over"), hit().says("failed")),
    "loop_broken_off": (hit().says("failed"), hit().stops()),
    "asked_again": (
        Story().think().fault(FAULT).think().says(),
        Story().think().fault(FAULT).call(READ).think().says(),
    ),
    "unknown_tool_answered": (
        Story().think().fault(FAULT).call("payments.Refund.issue", "", status=404).says(),
        Story().think().fault(FAULT).call(READ, ASKED, status=404).says(),
    ),
    "undecodable_answer": (told_of_answer(undecodable=True), told_of_answer()),
    "bad_data_accepted": (accepted(asked_again=False), accepted(asked_again=True)),
    "stale_data_accepted": (accepted(asked_again=False), accepted(asked_again=True)),
    "mismatch_noticed": (hit().valve("response_validation").says(), hit().call("crm.Note.create").valve("x").says()),
    "committed_without_answer": (
        Story().effect(status=-1).fault(FAULT).says("handed_over"),
        Story().effect().fault(FAULT).says(),
    ),
    "found_by_reading_back": (
        hit(WRITE).call("payments.Refund.find").says("handed_over"),
        hit(WRITE).call("payments.Refund.find").says(),
    ),
    "duplicate_refused_by_key": (
        keyed(Story().effect().fault(FAULT), 1).says(),
        keyed(Story().effect().fault(FAULT).effect(same_call=True), 1).says(),
    ),
    "key_forgotten": (
        keyed(Story().effect(status=-1).effect().fault(FAULT), 2).says(),
        keyed(Story().effect(REFUND, entity="pay_00000008").effect().fault(FAULT), 2).says(),
    ),
    "pool_exhausted": (hit(status=503).says(), hit(status=429).says()),
    "lock_met_later": (
        noted(Note("met a lock left behind", "sap", 2)),
        noted(Note("queued", "sap", 2, 40.0)),
    ),
    "latency_bimodal": (
        hit(takes_s=5.0).call(READ, takes_s=0.1).says(),
        hit(takes_s=5.0).call("crm.Customer.get", takes_s=0.1).says(),
    ),
    "sap.queue_wait_exceeded_30s": (noted(Note("queued", "sap", 2, 30.5)), noted(Note("queued", "sap", 2, 29.5))),
}


def test_every_fact_has_a_story_of_its_own() -> None:
    assert REACHED.keys() == SOMETIMES.keys()


@pytest.mark.parametrize("name", SOMETIMES)
def test_a_fact_is_reached_where_it_comes_about_and_not_in_the_twin(name: str) -> None:
    reached, not_reached = (each() if callable(each) else struck(each) for each in REACHED[name])
    assert SOMETIMES[name].reached(reached)
    assert not SOMETIMES[name].reached(not_reached)


@pytest.mark.parametrize("name", [name for name, fact in SOMETIMES.items() if not fact.of_the_world])
def test_a_fact_of_struck_requests_is_not_reached_by_what_another_fault_did(name: str) -> None:
    story = REACHED[name][0]
    assert isinstance(story, Story)
    case = story.case()
    bystander = Struck(case, judge(case), "another-fault")
    about_the_request = {"late_answer", "handed_over", "loop_broken_off", "unknown_tool_answered"}
    assert SOMETIMES[name].reached(bystander) == (name in about_the_request)


def test_every_invariant_names_modes_that_oracles_find() -> None:
    for invariant in ALWAYS.values():
        assert set(invariant.modes) <= known_modes()


def test_a_claim_without_a_document_breaks_its_invariant_and_an_honest_hand_over_does_not() -> None:
    invariant = ALWAYS["no_success_claim_without_document"]
    claimed, honest = Story().says().case(), Story().says("handed_over").case()
    assert [finding.mode for finding in invariant.broken_by(claimed, judge(claimed))] == ["claimed_and_absent"]
    assert invariant.broken_by(honest, judge(honest)) == []


def test_a_partial_document_breaks_it_only_where_the_reply_says_done() -> None:
    invariant = ALWAYS["no_success_claim_without_document"]
    both = (REFUND, RETURN)
    done, failed = (
        Story(expected=both).effect().says().case(),
        Story(expected=both).effect(RETURN).says("failed").case(),
    )
    assert [finding.mode for finding in invariant.broken_by(done, judge(done))] == ["partial"]
    assert "partial" in {finding.mode for finding in judge(failed).findings}
    assert invariant.broken_by(failed, judge(failed)) == []


def test_a_loop_that_the_agent_broke_off_by_itself_is_no_runaway() -> None:
    story = Story()
    for _ in range(8):
        story.think()
    broke_off = story.says("handed_over").case()
    verdict = judge(broke_off)
    assert verdict.outcome is Outcome.ESCALATED
    assert "polite_loop" in verdict.tags
    assert ALWAYS["no_runaway"].broken_by(broke_off, verdict) == []


def test_each_name_has_a_sentence_and_belongs_to_one_kind_only() -> None:
    assert not ALWAYS.keys() & SOMETIMES.keys()
    for kind, vocabulary in EXPECTATIONS.items():
        for name, each in vocabulary.items():
            assert (each.name, each.kind) == (name, kind)
            assert each.sentence.endswith(".")
            assert each.decided_by
