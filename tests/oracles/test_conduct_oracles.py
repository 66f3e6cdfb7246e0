"""Loops, storms, damaged data and bad ends: each seen when planted, none in the twin that behaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.oracle import Story, good_story

from pagerproof.model import Outcome, ReplyStatus
from pagerproof.oracles import judge


def _after(story: Story) -> Story:
    return story.effect().says()


def _asking(times: int, *, status: int = 200, retry: bool = False) -> Story:
    story = Story()
    for at in range(times):
        story.call("orders.Order.get", '{"order_id": "4500000007"}', status=status, attempt=at + 1 if retry else 1)
    return story


def _talking(rounds: int) -> Story:
    story = Story().think("You review the work.")
    for _ in range(rounds):
        story.think("You write to the customer.").think("You polish.")
    return story


def test_good_answer_asked_for_again_and_again_is_a_tool_loop() -> None:
    verdict = judge(_after(_asking(6)).case())
    assert (verdict.outcome, verdict.mode) == (Outcome.RUNAWAY, "tool_loop")
    assert verdict.findings[0].message == "asked orders.Order.get the same thing 6 times and got 6 good answers"
    assert len(verdict.findings[0].events) == 6


def test_a_few_looks_at_the_same_record_are_no_finding() -> None:
    assert judge(_after(_asking(3)).case()).findings == ()


@pytest.mark.parametrize("story", [_asking(7, status=503), _asking(4), _asking(7, retry=True)])
def test_more_than_three_calls_for_one_purpose_are_a_storm_and_only_a_tag(story: Story) -> None:
    verdict = judge(_after(story).case())
    assert (verdict.outcome, verdict.tags) == (Outcome.RESOLVED, ("retry_storm",))


def test_looking_again_after_each_write_is_no_storm() -> None:
    story = _asking(2).effect()
    for _ in range(2):
        story.call("orders.Order.get", '{"order_id": "4500000007"}')
    assert judge(story.says().case()).findings == ()
    stormy = _asking(2).effect()
    for _ in range(4):
        stormy.call("orders.Order.get", '{"order_id": "4500000007"}', status=503)
    finding = judge(stormy.says().case()).findings[0]
    assert finding.message.startswith("4 physical calls of orders.Order.get for one purpose")
    assert len(finding.events) == 4


def test_storm_says_how_its_layers_multiply() -> None:
    story = Story()
    for _ in range(2):
        for attempt in (1, 2, 3):
            story.call("orders.Order.get", status=503, attempt=attempt)
    assert judge(_after(story).case()).findings[0].message == (
        "6 physical calls of orders.Order.get for one purpose: 2 by the agent, times 3.0 by retries"
    )


def test_retries_of_the_model_are_a_storm_too() -> None:
    story = Story().think().think(attempt=2).think(attempt=3)
    assert judge(_after(story).case()).findings == ()
    story = Story().think().think(attempt=2).think(attempt=3).think(attempt=4)
    assert judge(_after(story).case()).tags == ("retry_storm",)


@pytest.mark.parametrize(
    ("rounds", "outcome", "tags"),
    [
        (3, Outcome.RESOLVED, ()),
        (4, Outcome.RESOLVED, ("polite_loop",)),
        (6, Outcome.RUNAWAY, ()),
    ],
)
def test_talk_without_a_tool_call_is_noted_after_three_rounds_and_a_runaway_after_five(
    rounds: int, outcome: Outcome, tags: tuple[str, ...]
) -> None:
    verdict = judge(_talking(rounds).effect().says().case())
    assert (verdict.outcome, verdict.tags) == (outcome, tags)
    assert verdict.mode == ("polite_loop" if outcome is Outcome.RUNAWAY else "")


def test_an_agent_that_broke_the_talk_off_by_itself_and_said_so_did_not_run_away() -> None:
    verdict = judge(_talking(20).says(ReplyStatus.HANDED_OVER).case())
    assert (verdict.outcome, verdict.tags) == (Outcome.ESCALATED, ("polite_loop",))


def test_many_steps_with_a_tool_call_each_are_no_polite_loop() -> None:
    story = Story()
    for at in range(12):
        story.think("You act.").call("orders.Order.get", f'{{"n": {at}}}')
    assert judge(_after(story).case()).findings == ()


def test_stopped_request_is_a_runaway_named_by_its_pattern() -> None:
    assert judge(_asking(20).stops().case()).mode == "tool_loop"
    assert judge(_talking(20).stops().case()).mode == "polite_loop"
    other = judge(Story().call("orders.Order.get").stops("cost_per_request_usd").case())
    assert (other.outcome, other.mode) == (Outcome.RUNAWAY, "endless_work")
    assert "cost_per_request_usd" in other.findings[0].message


# --- damaged data


def _cut_read(**changes: bool) -> Story:
    return Story().call("orders.Order.get").fault("truncate-bytes", **changes)  # type: ignore[arg-type]  # flags


def test_damaged_read_that_the_agent_worked_on_is_tagged() -> None:
    verdict = judge(_after(_cut_read()).case())
    assert (verdict.outcome, verdict.tags) == (Outcome.RESOLVED, ("accepted_damaged_data",))
    assert verdict.findings[0].faults == ("truncate-bytes",)


@pytest.mark.parametrize(
    "story",
    [
        lambda: _after(_cut_read(seen=False)),
        lambda: _after(_cut_read().call("orders.Order.get", attempt=2)),
        lambda: _after(_cut_read().valve("response_validation", "refused")),
        lambda: _cut_read().says("handed_over", "A colleague looks at it."),
        lambda: _after(Story().call("orders.Order.get").fault("slow", observable="timing")),
        lambda: _after(Story().call("orders.Order.get", status=500).fault("http-500")),
        lambda: _after(Story().call("orders.Order.get").fault("cut", fate="preempted")),
        lambda: _after(Story().call("orders.Order.get").fault("stale-read", effect="stale")),
    ],
    ids=[
        "unread",
        "asked again",
        "a valve acted",
        "handed over",
        "only slow",
        "plain error",
        "never delivered",
        "only old",
    ],
)
def test_damage_that_was_noticed_or_never_arrived_is_no_finding(story: Callable[[], Story]) -> None:
    assert judge(story().case()).findings == ()


# --- bad ends


@pytest.mark.parametrize(
    ("story", "outcome", "mode"),
    [
        (lambda: Story().crashes(), Outcome.CRASHED, "crash"),
        (lambda: Story().says("failed", "Sorry.", "no answer from SAP"), Outcome.FAILED_LOUD, "gave_up"),
        (lambda: Story().says("declined", "No."), Outcome.FAILED_LOUD, "declined_wrongly"),
        (Story, Outcome.FAILED_LOUD, "no_reply"),
        (lambda: Story().leave(), Outcome.ABANDONED, "abandoned"),
        (lambda: Story().leave().effect().says(), Outcome.ABANDONED, "abandoned"),
        (lambda: Story().wait(180.0).effect().says(), Outcome.LATE, "late"),
        (lambda: Story().wait(180.0).says("handed_over"), Outcome.LATE, "late"),
        (lambda: Story().says("handed_over"), Outcome.ESCALATED, ""),
        (lambda: Story().wait(178.0).effect().says(), Outcome.RESOLVED, ""),
        (lambda: Story().effect().says().wait(5.0).leave(), Outcome.RESOLVED, ""),
    ],
    ids=[
        "crash",
        "gave up",
        "declined",
        "silence",
        "left in the queue",
        "left, then done",
        "late",
        "handed over late",
        "handed over",
        "just in time",
        "left after the answer",
    ],
)
def test_end_of_a_request(story: Callable[[], Story], outcome: Outcome, mode: str) -> None:
    verdict = judge(story().case())
    assert (verdict.outcome, verdict.mode) == (outcome, mode)


def test_gave_up_repeats_the_reason_and_late_tells_the_times() -> None:
    assert judge(Story().says("failed", "Sorry.", "no SAP").case()).findings[0].message == "the agent gave up: no SAP"
    late = judge(good_story(deadline_s=2.0).case()).findings[0]
    assert late.message == "answered after 3.5 s, the deadline was 2 s"
