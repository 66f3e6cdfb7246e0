"""Each gate is seen red on a table with the planted trouble, green on its twin, and never passes without samples."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.conformance.oracle import Story, good_story

from pagerproof.gates import evaluate, show_value
from pagerproof.metrics import GateResult, Requests, RequestTable
from pagerproof.oracles import judge
from pagerproof.scenario.schema import Gate


def table_of(stories: Iterable[Story]) -> Requests:
    table = RequestTable()
    for story in stories:
        case = story.case()
        table.add(case, judge(case), b"\1" * 32)
    return table.finish()


def check(text: str, stories: Iterable[Story]) -> GateResult:
    (result,) = evaluate([Gate(gate=text)], table_of(stories))
    return result


def _hammering(index: int) -> Story:
    story = Story(index=index)
    for attempt in (1, 2, 3, 4):
        story.call("sap.SalesOrder.get", status=503, takes_s=40.0, attempt=attempt)
    return story.call("sap.SalesOrder.get", attempt=5).effect().says()


def _good(index: int) -> Story:
    return good_story(index=index).call("sap.SalesOrder.get", status=503).call("sap.SalesOrder.get", attempt=2).says()


def _costly(index: int) -> Story:
    story = good_story(index=index)
    story.cost_usd = 0.5
    return story


def _unsettled(index: int) -> Story:
    story = Story(index=index)
    story.settled = False
    return story


def _talkative(index: int) -> Story:
    story = good_story(index=index)
    for at in range(12):
        story.call("kb.Policy.get", f'{{"topic": "{at}"}}')
    return story.says()


TROUBLE = {
    "silent_failure.rate < 0.1%": lambda at: good_story(index=at).effect().says(),
    "done_twice.count == 0": lambda at: good_story(index=at).effect().says(),
    "crashed.rate < 1%": lambda at: Story(index=at).crashes(),
    "runaway.count == 0": lambda at: Story(index=at).stops(),
    "failed_loud.rate < 1%": lambda at: Story(index=at).says("failed"),
    "abandoned.rate < 1%": lambda at: Story(index=at).leave(),
    "late.rate < 1%": lambda at: Story(index=at).wait(300.0).effect().says(),
    "escalated.rate < 25%": lambda at: Story(index=at).says("handed_over"),
    "resolved.rate > 70%": lambda at: Story(index=at).says("handed_over"),
    "failure.rate <= 0%": lambda at: Story(index=at).crashes(),
    "unsettled.rate < 1%": _unsettled,
    "latency.p(95) < 8s": lambda at: good_story(index=at).wait(30.0).says(),
    "latency{intent=refund}.max < 8s": lambda at: good_story(index=at).wait(30.0).says(),
    "cost.p(95) < 0.12 USD": _costly,
    "cost.sum < 1 USD": _costly,
    "calls.max < 10": _talkative,
    "recovery.p(95) < 60s": _hammering,
    "retry_amplification.max < 3": _hammering,
    "retry_amplification{service=sap}.mean < 3": _hammering,
    "retry_storm.count == 0": _hammering,
}


@pytest.mark.parametrize("text", TROUBLE)
def test_gate_fails_on_the_trouble_and_passes_on_its_twin(text: str) -> None:
    troubled = check(text, [TROUBLE[text](at) for at in range(1, 5)])
    assert (troubled.status, troubled.n > 0) == ("fail", True)
    calm = check(text, [_good(at) for at in range(1, 5)])
    assert (calm.status, calm.n > 0) == ("pass", True)
    assert calm.observed is not None


@pytest.mark.parametrize(
    ("text", "stories"),
    [
        ("failure.rate < 1%", []),
        ("runaway.count == 0", []),
        ("latency.p(95) < 8s", [Story(index=1).leave()]),
        ("latency{intent=teleport}.p(95) < 8s", [good_story()]),
        ("failure{channel=smoke}.rate < 1%", [good_story()]),
        ("recovery.p(95) < 60s", [good_story()]),
        ("recovery.p(95) < 60s", [Story(index=1).call("sap.SalesOrder.get", status=503).says("handed_over")]),
        ("retry_amplification{operation=sap.SalesOrder.get}.max < 3", [good_story()]),
        ("failure.rate < 1%", [good_story(scripted=True)]),
    ],
)
def test_gate_without_samples_never_passes(text: str, stories: list[Story]) -> None:
    result = check(text, stories)
    assert (result.status, result.observed, result.n) == ("no_samples", None, 0)


def test_scripted_requests_stay_out_of_rates_and_quantities_and_count_as_invariants() -> None:
    stories = [_good(1), good_story(index=2, scripted=True).effect().wait(99.0).says()]
    assert check("silent_failure.rate < 0.1%", stories).status == "pass"
    assert check("latency.max < 8s", stories).status == "pass"
    assert check("silent_failure.count == 0", stories).status == "fail"


def test_rates_are_over_settled_requests_only() -> None:
    assert check("crashed.rate < 60%", [Story(index=1).crashes(), good_story(index=2), _unsettled(3)]).observed == 0.5


def test_labels_narrow_to_requests_that_hold_the_value() -> None:
    stories = [good_story(index=1), good_story(index=2, intents=("return", "complaint")).wait(20.0).says()]
    assert check("latency{intent=refund}.max < 8s", stories).status == "pass"
    assert check("latency{intent=complaint}.max < 8s", stories).status == "fail"
    assert check("latency{intent=complaint,locale=en_US,channel=chat}.max < 8s", stories).n == 1
    assert check("latency{outcome=crashed}.max < 8s", stories).n == 0


def test_result_carries_limit_interval_and_what_the_scenario_said_about_it() -> None:
    gate = Gate(gate="failure.rate < 50%", source="our SLO", evidence="measured", model_input=True)
    (result,) = evaluate([gate], table_of([good_story(index=1), Story(index=2).crashes()]))
    assert (result.observed, result.limit, result.n, result.unit) == (0.5, 0.5, 2, "%")
    assert result.status == "fail"
    assert result.low is not None
    assert result.high is not None
    assert result.low < 0.5 < result.high
    assert (result.source, result.evidence, result.model_input) == ("our SLO", "measured", True)


def test_values_are_shown_with_their_units() -> None:
    shown = [show_value(0.00142, "%"), show_value(7.25, "s"), show_value(0.1, "USD"), show_value(3.0, "")]
    assert shown == ["0.142%", "7.25 s", "0.1 USD", "3"]
    assert show_value(None, "s") == "no samples"
