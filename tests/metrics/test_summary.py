"""The finished result says what the table holds, and survives its way through JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest
from tests.conformance.oracle import Story, good_story

from pagerproof.metrics import FaultDelivery, GateResult, Requests, RequestTable, RunResult, RunVerdict, summarise
from pagerproof.metrics import baseline as baseline_of
from pagerproof.metrics.summary import (
    amplification,
    changes,
    cost,
    cost_per_resolved_usd,
    failure_modes,
    latency,
    matrix,
    outcomes,
    recovery,
    strip,
    tag_counts,
)
from pagerproof.oracles import judge


def table_of(stories: Iterable[Story]) -> Requests:
    table = RequestTable()
    for story in stories:
        case = story.case()
        table.add(case, judge(case), b"\1" * 32)
    return table.finish()


def _paid_twice(index: int, **changes: bool) -> Story:
    return good_story(index=index, **changes).effect().says()


def test_failure_modes_have_counts_first_indices_and_what_came_on_its_own() -> None:
    stories = [good_story(index=at) for at in range(1, 7)]
    stories += [_paid_twice(7, scripted=True), _paid_twice(9), Story(index=8).crashes(), Story(index=10).says("failed")]
    modes = {each.mode: each for each in failure_modes(table_of(reversed(stories)))}
    assert list(modes) == ["done_twice", "crash", "gave_up"]
    twice = modes["done_twice"]
    assert (twice.count, twice.first_index, twice.indices) == (2, 7, (7, 9))
    assert (twice.first_unscripted, twice.scripted, twice.outcome) == (9, 1, "failed_silent")
    assert twice.tools == {"payments.Refund.create": 2}
    assert modes["crash"].first_index == 8


def test_outcomes_sum_to_the_requests_and_list_every_outcome() -> None:
    counts = outcomes(table_of([good_story(index=1), _paid_twice(2), Story(index=3).leave()]))
    assert counts["resolved"] == counts["failed_silent"] == counts["abandoned"] == 1
    assert sum(counts.values()) == 3
    assert len(counts) == 9


def test_tags_are_counted_also_where_they_decided_nothing() -> None:
    stories = [good_story(index=1), good_story(index=2).wait(500.0).says().leave()]
    assert tag_counts(table_of(stories)) == {"late": 1}
    assert tag_counts(table_of(stories[:1])) == {}


def test_latency_leaves_out_scripted_and_unanswered_requests() -> None:
    stories = [good_story(index=1), good_story(index=2, scripted=True).wait(99.0).says(), Story(index=3).leave()]
    stories.append(good_story(index=4, intents=("return",)).wait(1.0).says())
    rows = {each.label: each for each in latency(table_of(stories))}
    assert (rows["all"].n, rows["all"].p50, rows["all"].max) == (2, 3.5, 4.5)
    assert list(rows) == ["all", "refund", "return"]


def test_cost_of_a_resolved_request_carries_that_of_the_failed_ones() -> None:
    requests = table_of([good_story(index=1), _paid_twice(2), Story(index=3).crashes()])
    assert cost_per_resolved_usd(requests) == pytest.approx(0.03)
    assert [each.label for each in cost(requests)] == ["all", "failed_silent", "crashed", "resolved"]
    assert cost_per_resolved_usd(table_of([Story(index=1).crashes()])) is None


def test_amplification_splits_into_what_the_agent_and_what_retries_repeat() -> None:
    story = Story()
    for _ in range(2):
        for attempt in (1, 2, 3):
            story.call("orders.Order.get", status=503, attempt=attempt)
    rows = {each.operation: each for each in amplification(table_of([story.think().think(attempt=2).effect().says()]))}
    read = rows["orders.Order.get"]
    assert (read.logical, read.physical, read.ratio) == (1, 6, 6.0)
    assert (read.by_agent, read.by_retries) == (2.0, 3.0)
    assert rows["llm.Chat.create"].ratio == 2.0
    assert rows["payments.Refund.create"].ratio == 1.0
    assert rows["all"].physical == 9
    assert (rows["all"].logical, rows["all"].worst) == (3, 6.0)


def test_reading_back_after_a_write_is_no_amplification() -> None:
    story = Story().call("payments.Refund.find").effect().call("payments.Refund.find").says()
    rows = {each.operation: each for each in amplification(table_of([story]))}
    assert (rows["payments.Refund.find"].logical, rows["payments.Refund.find"].ratio) == (2, 1.0)


def test_scripted_requests_stay_out_of_amplification_and_recovery() -> None:
    story = Story(scripted=True).call("sap.SalesOrder.get", status=503).call("sap.SalesOrder.get").effect().says()
    requests = table_of([story])
    assert amplification(requests) == ()
    assert recovery(requests) == ()


def test_recovery_is_from_the_first_bad_answer_to_the_next_good_one_of_that_service() -> None:
    story = Story(index=1)
    story.call("sap.SalesOrder.get", status=-1, takes_s=10.0).call("orders.Order.get")
    story.call("sap.SalesOrder.get", status=503, takes_s=1.0).call("sap.SalesOrder.get", takes_s=2.0)
    cut = Story(index=2).call("orders.Order.get", takes_s=1.0).fault("cut").call("orders.Order.get", takes_s=4.0)
    given_up = Story(index=3).call("sap.SalesOrder.get", status=503).says("handed_over", "x", "SAP is down")
    rows = {each.service: each for each in recovery(table_of([story.effect().says(), cut.effect().says(), given_up]))}
    assert (rows["sap"].n, rows["sap"].censored, rows["sap"].p50_s) == (1, 1, 3.5)
    assert (rows["orders"].n, rows["orders"].censored, rows["orders"].p95_s) == (1, 0, 4.0)
    assert (rows["all"].n, rows["all"].censored, rows["all"].max_s) == (2, 1, 4.0)


def test_answer_that_is_only_old_is_no_bad_answer() -> None:
    assert recovery(table_of([Story().call("kb.Policy.get").fault("stale-read", effect="stale").effect().says()])) == ()


def test_matrix_counts_calls_requests_and_what_became_of_them_scripted_apart() -> None:
    stories = [
        good_story(index=1).call("orders.Order.get", '{"n": 2}').fault("cut").call("orders.Order.get", '{"n": 3}'),
        Story(index=2).call("orders.Order.get").fault("cut", seen=False).crashes(),
        Story(index=3).call("orders.Order.get").fault("cut").says("handed_over"),
        Story(index=4).call("orders.Order.get").fault("cut", scripted=True).crashes(),
        Story(index=5).call("orders.Order.get").fault("cut", fate="limited").crashes(),
    ]
    stories[0].fault("cut").says()
    (cell,) = matrix(table_of(stories))
    assert (cell.fault, cell.tool, cell.calls, cell.seen, cell.requests) == ("cut", "orders.Order.get", 4, 3, 3)
    assert (cell.resolved, cell.escalated, cell.failed, cell.scripted) == (1, 1, 1, 1)


def test_strip_covers_every_index_once_and_shows_the_worst_in_each_stretch() -> None:
    stories = [good_story(index=at) for at in range(1, 24) if at not in (5, 7)]
    stories += [Story(index=5).leave(), _paid_twice(7)]
    bins = strip(table_of(stories), bins=5)
    assert [(each.first, each.last) for each in bins] == [(1, 4), (5, 9), (10, 13), (14, 18), (19, 23)]
    assert sum(each.requests for each in bins) == 23
    assert (bins[1].worst, bins[1].mode, bins[1].failures) == ("failed_silent", "done_twice", 2)
    assert bins[1].outcomes == {"failed_silent": 1, "abandoned": 1, "resolved": 3}
    assert (bins[0].worst, bins[0].failures) == ("resolved", 0)
    assert len(strip(table_of([good_story(index=1)]), bins=100)) == 1
    assert strip(RequestTable().finish()) == ()


def test_change_points_carry_the_index_and_leave_out_scripted_and_unsettled_requests() -> None:
    stories = [good_story(index=at) for at in range(1, 101)]
    stories += [_paid_twice(at) for at in range(101, 201)]
    stories += [_paid_twice(at, scripted=True) for at in range(201, 301)]
    (change,) = changes(table_of(stories))
    assert (change.index, change.before, change.after) == (101, 0.0, 1.0)
    calm = [good_story(index=at) for at in range(1, 101)] + [_paid_twice(at, scripted=True) for at in range(101, 201)]
    assert changes(table_of(calm)) == ()


def _result(stories: Iterable[Story]) -> RunResult:
    requests = table_of(stories)
    gate = GateResult(expression="latency.p(95) < 8s", status="pass", observed=3.5, limit=8.0, unit="s", n=2)
    faults = [
        FaultDelivery(id="cut", eligible=9, drawn=2, limited=1, delivered=1, seen=1, evidence="documented"),
        FaultDelivery(id="quota", expect="armed", eligible=9),
    ]
    return summarise(
        requests,
        scenario="calm",
        title="A calm day",
        seed=1,
        agent="hardened",
        digest="ab" * 32,
        faults=faults,
        gates=[gate],
        verdict=RunVerdict(word="go", exit_status=0, reasons=("1 gate held",)),
        virtual_s=86_400.0,
        wall_s=1.5,
        baseline=baseline_of(requests, digest="cd" * 32, gates=[replace(gate, status="fail")]),
    )


def test_document_has_the_promised_keys_and_comes_back_as_it_went() -> None:
    result = _result([good_story(index=1), _paid_twice(2, scripted=True), Story(index=3).leave()])
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert document["schema"] == "pagerproof/result/1"
    promised = "scenario seed agent requests digest verdict outcomes failure_modes faults gates wall_s virtual_s"
    assert set(promised.split()) <= set(document)
    assert document["verdict"] == "go"
    assert document["verdict_detail"]["heading"] == "one replication, not launch evidence"
    assert {"mode", "count", "first_index", "indices"} <= set(document["failure_modes"][0])
    promised = "id eligible drawn limited preempted cancelled delivered seen unread scripted evidence"
    assert set(promised.split()) <= set(document["faults"][0])
    assert document["scripted"] == [2]
    assert document["not_exercised"] == ["quota"]
    assert document["baseline"]["broken_gates"] == ["latency.p(95) < 8s"]
    assert RunResult.from_json(document) == result


@pytest.mark.parametrize("document", [{}, {"schema": "pagerproof/result/99"}, {"schema": "pagerproof/result/1"}])
def test_document_that_is_no_result_is_refused(document: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="result"):
        RunResult.from_json(document)


def test_result_of_no_requests_is_still_a_result() -> None:
    result = _result([])
    assert result.requests == 0
    assert RunResult.from_json(result.to_json()) == result


def test_books_of_a_fault_balance_or_do_not() -> None:
    assert FaultDelivery(id="x", drawn=4, limited=1, preempted=1, cancelled=1, delivered=1).balanced
    assert not FaultDelivery(id="x", drawn=4, delivered=1).balanced
