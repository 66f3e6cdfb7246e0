"""The table keeps every request's row whatever the order of settling, small, and without pandas until it is needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

import numpy as np
import pytest
from tests.conformance.oracle import Story, good_story

from pagerproof.metrics import Requests, RequestTable
from pagerproof.metrics.table import BYTES_PER_REQUEST
from pagerproof.oracles import judge


def table_of(stories: Iterable[Story]) -> Requests:
    table = RequestTable()
    for story in stories:
        case = story.case()
        table.add(case, judge(case), bytes([case.index % 256]) * 31 + b"\0")
    return table.finish()


def test_rows_stand_in_the_order_of_the_index_with_everything_about_a_request() -> None:
    doubled = good_story(index=3, arrival_s=5.0, intents=("refund", "complaint")).fault("cut").effect().valve("breaker")
    doubled.call("orders.Order.get", '{"again": 1}', attempt=2)
    frame = table_of([doubled.says(), good_story(index=1), Story(index=2).leave()]).frame()
    assert " ".join(frame.columns) == (
        "index arrival_s started_s answered_s settled_s latency_s intent channel locale outcome mode tool oracle tags "
        "faults scripted calls model_calls retries tokens_in tokens_out cost_usd valves edge_cases difficulty digest"
    )
    assert frame["index"].tolist() == [1, 2, 3]
    row = frame.iloc[2]
    assert (row["outcome"], row["mode"], row["tool"]) == ("failed_silent", "done_twice", "payments.Refund.create")
    assert (row["intent"], row["faults"], row["valves"]) == ("refund+complaint", "cut", "breaker")
    assert (row["calls"], row["model_calls"], row["retries"]) == (7, 3, 1)
    assert row["latency_s"] == pytest.approx(4.5)
    assert row["digest"] == "03" * 31 + "00"
    assert np.isnan(frame["answered_s"].iloc[1])
    assert np.isnan(frame["latency_s"].iloc[1])
    assert not frame["scripted"].any()


def test_latency_counts_from_the_intended_arrival_not_from_the_start() -> None:
    late = good_story(index=1, arrival_s=100.0).wait(30.0)
    assert table_of([late.says()]).latency_s.tolist() == [34.5 - 1.0]


def test_request_is_scripted_by_itself_or_by_a_delivered_fault_at_its_index() -> None:
    stories = [
        good_story(index=1),
        good_story(index=2, scripted=True),
        good_story(index=3).fault("cut", scripted=True),
        good_story(index=4).fault("cut", scripted=True, fate="limited"),
    ]
    assert table_of(stories).scripted.tolist() == [False, True, True, False]


def test_request_that_settles_twice_is_our_bug_and_said_so() -> None:
    with pytest.raises(ValueError, match="settled twice"):
        table_of([good_story(), good_story()])


def test_a_row_is_small() -> None:
    assert BYTES_PER_REQUEST <= 250


def test_example_kept_for_an_identity_is_the_first_index_not_the_first_to_settle() -> None:
    requests = table_of([good_story(index=at).effect().says() for at in (9, 4, 6)])
    assert [(each.index, each.mode) for each in requests.examples] == [(4, "done_twice")]


def test_empty_table_finishes() -> None:
    requests = RequestTable().finish()
    assert len(requests) == 0
    assert requests.frame().empty


def test_pandas_is_not_imported_until_a_frame_is_asked_for() -> None:
    code = "import sys, pagerproof.metrics, pagerproof.gates, pagerproof.oracles; assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
