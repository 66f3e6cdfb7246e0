"""Exactly one outcome for any request, the gravest that applies, and everything else as tags."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.oracle import ADDRESS, REFUND, RETURN, Story

from pagerproof.model import Outcome
from pagerproof.oracles import PRECEDENCE, judge, known_modes
from pagerproof.protocols import Case

# What makes each outcome apply; any two of them can be laid over the same request.
APPLIES: dict[Outcome, tuple[str, Callable[[Story], object]]] = {
    Outcome.FAILED_SILENT: ("done_twice", lambda story: story.effect().effect()),
    Outcome.CRASHED: ("crash", lambda story: setattr(story, "crash", "KeyError: 'x'")),
    Outcome.RUNAWAY: ("endless_work", lambda story: setattr(story, "stopped", "calls_per_request")),
    Outcome.FAILED_LOUD: ("gave_up", lambda story: story.says("failed", "Sorry.")),
    Outcome.ABANDONED: ("abandoned", lambda story: story.leave()),
    Outcome.LATE: ("late", lambda story: story.wait(500.0)),
}


def test_precedence_is_the_one_that_was_promised() -> None:
    assert [outcome.value for outcome in PRECEDENCE] == [
        "failed_silent",
        "crashed",
        "runaway",
        "failed_loud",
        "abandoned",
        "late",
        "escalated",
        "resolved",
    ]


@pytest.mark.parametrize(("graver", "other"), list(combinations(APPLIES, 2)))
def test_graver_outcome_wins_and_the_other_stays_as_a_tag(graver: Outcome, other: Outcome) -> None:
    story = Story(expected=[REFUND])
    for outcome in sorted((graver, other), key=lambda each: list(APPLIES).index(each), reverse=True):
        APPLIES[outcome][1](story)
    if Outcome.FAILED_LOUD in (graver, other):
        story.says("failed", "Sorry.")
    else:
        story.says("handed_over", "A colleague takes over.", "no answer")
    verdict = judge(story.case())
    assert verdict.outcome is graver
    assert verdict.mode == APPLIES[graver][0]
    assert APPLIES[other][0] in verdict.tags
    assert verdict.findings[0].mode == verdict.mode


def test_request_that_never_settled_is_unsettled_with_what_was_found_as_tags() -> None:
    story = Story().effect().effect().says()
    story.settled = False
    verdict = judge(story.case())
    assert (verdict.outcome, verdict.mode, verdict.tags) == (Outcome.UNSETTLED, "", ("done_twice",))


EFFECTS = st.sampled_from([REFUND, RETURN, ADDRESS])
STATUSES = st.sampled_from(["done", "declined", "handed_over", "failed", None])


@st.composite
def any_case(draw: st.DrawFn) -> Case:
    told = draw(st.lists(st.sampled_from(["shipped", "129.80", "2026-11-25", "1Z0123456789", ""]), max_size=2))
    story = Story(
        expected=draw(st.lists(EFFECTS, max_size=2)),
        told=told,
        decline=draw(st.booleans()),
        deadline_s=draw(st.sampled_from([1.0, 180.0])),
    )
    for _ in range(draw(st.integers(0, 8))):
        act = draw(st.sampled_from(["call", "think", "effect", "other", "fault", "valve", "wait"]))
        if act == "call":
            story.call(
                "orders.Order.get", status=draw(st.sampled_from([200, 503, -1, -2])), attempt=draw(st.integers(1, 4))
            )
        elif act == "think":
            story.think()
        elif act == "effect":
            story.effect(draw(EFFECTS), same_call=story.calls > 0 and draw(st.booleans()))
        elif act == "other":
            story.effect(draw(EFFECTS), entity="elsewhere", customer_id=draw(st.sampled_from(["C000042", "C1"])))
        elif act == "fault" and story.calls:
            story.fault("cut", seen=draw(st.booleans()), scripted=draw(st.booleans()))
        elif act == "valve":
            story.valve("breaker")
        else:
            story.wait(100.0)
    if draw(st.booleans()):
        story.leave()
    status = draw(STATUSES)
    if status:
        story.says(status, draw(st.text(max_size=60)) + draw(st.sampled_from(["", " 4500000009 shipped 12.30"])))
    elif draw(st.booleans()):
        story.crashes()
    else:
        story.stops()
    story.settled = draw(st.integers(0, 9)) > 0
    return story.case()


@settings(max_examples=300, deadline=None)
@given(case=any_case())
def test_any_request_has_exactly_one_outcome_that_its_findings_explain(case: Case) -> None:
    verdict = judge(case)
    assert verdict.outcome in set(Outcome)
    applying = {finding.outcome for finding in verdict.findings if finding.outcome is not None}
    if case.settled_s < 0.0:
        assert verdict.outcome is Outcome.UNSETTLED
    elif applying:
        assert verdict.outcome is min(applying, key=PRECEDENCE.index)
        assert verdict.findings[0].mode == verdict.mode
    else:
        assert verdict.outcome in (Outcome.RESOLVED, Outcome.ESCALATED)
        assert not verdict.mode
    assert {verdict.mode, *verdict.tags} - {""} == {finding.mode for finding in verdict.findings}
    assert set(verdict.tags) <= known_modes()
    assert judge(case) == verdict
