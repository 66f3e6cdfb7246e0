"""The depth limit and the deadline: they act when they should, and are silent otherwise."""

from __future__ import annotations

import pytest
from tests.conformance.valve import (
    READ,
    READ_ARGUMENTS,
    WRITE,
    WRITE_ARGUMENTS,
    FakeDesk,
    ScriptedToolbox,
    answer,
    run,
)

from pagerproof.valves import BudgetExceeded, Deadline, DeadlineExceeded, DepthLimit


def anything() -> ScriptedToolbox:
    names = [READ, WRITE, "crm.Customer.find", "crm.Customer.get", "kb.Policy.get", "orders.Shipment.track"]
    return ScriptedToolbox({name: [answer({})] for name in names})


def test_the_same_question_more_often_than_allowed_is_a_loop() -> None:
    inner = anything()
    desk = FakeDesk(inner)
    toolbox = DepthLimit(repeats=2).around(inner, desk)
    run(toolbox.call(READ, {"a": 1, "b": 2}))
    run(toolbox.call(READ, {"b": 2, "a": 1}))
    run(toolbox.call(READ, {"a": 1, "b": 3}))
    assert desk.marks == []
    with pytest.raises(BudgetExceeded, match="a loop"):
        run(toolbox.call(READ, {"a": 1, "b": 2}))
    assert len(inner.calls) == 3
    assert desk.marked("depth_limit")


def test_a_step_ends_only_with_something_new() -> None:
    inner = anything()
    toolbox = DepthLimit(calls_per_step=3, repeats=9).around(inner, FakeDesk(inner))
    run(toolbox.call(READ, {"n": 1}))
    run(toolbox.call(READ, {"n": 2}))
    run(toolbox.call(READ, {"n": 2.5}))
    run(toolbox.call("kb.Policy.get", {}))
    for n in (3, 4):
        run(toolbox.call(READ, {"n": n}))
    with pytest.raises(BudgetExceeded, match="3 tool calls in a row"):
        run(toolbox.call(READ, {"n": 5}))


def test_a_request_has_so_many_calls_and_the_next_request_has_them_again() -> None:
    inner = anything()
    valve = DepthLimit(calls_per_request=2)
    toolbox = valve.around(inner, FakeDesk(inner))
    run(toolbox.call(READ, {}))
    run(toolbox.call("kb.Policy.get", {}))
    with pytest.raises(BudgetExceeded, match="its 2 tool calls"):
        run(toolbox.call("crm.Customer.get", {}))
    assert run(valve.around(inner, FakeDesk(inner, index=2)).call(READ, {})).ok


def test_arguments_that_cannot_be_hashed_are_compared_all_the_same() -> None:
    inner = anything()
    toolbox = DepthLimit(repeats=1).around(inner, FakeDesk(inner))
    run(toolbox.call(READ, {"ids": [1, 2]}))
    run(toolbox.call(READ, {"ids": [2, 1]}))
    with pytest.raises(BudgetExceeded):
        run(toolbox.call(READ, {"ids": [1, 2]}))


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        DepthLimit(repeats=0)


def test_a_call_without_a_time_out_gets_one_by_its_kind() -> None:
    inner = anything()
    toolbox = Deadline(read_timeout_s=10.0, write_timeout_s=30.0).around(inner, FakeDesk(inner))
    run(toolbox.call(READ, READ_ARGUMENTS))
    run(toolbox.call(WRITE, WRITE_ARGUMENTS))
    run(toolbox.call(READ, READ_ARGUMENTS, timeout_s=2.0))
    assert [call["timeout_s"] for call in inner.calls] == [10.0, 30.0, 2.0]


def test_a_time_out_shrinks_to_what_is_left_since_the_arrival() -> None:
    inner = anything()
    desk = FakeDesk(inner)
    toolbox = Deadline(limit_s=100.0).around(inner, desk)
    desk.virtual.time_s = 96.0
    run(toolbox.call(READ, READ_ARGUMENTS))
    assert inner.calls[0]["timeout_s"] == pytest.approx(4.0)
    assert desk.marked("deadline") == ["orders.Order.get: time-out cut from 10.0 s to 4.0 s"]


def test_after_the_deadline_nothing_is_sent() -> None:
    inner = anything()
    desk = FakeDesk(inner)
    toolbox = Deadline(limit_s=100.0).around(inner, desk)
    desk.virtual.time_s = 100.0
    with pytest.raises(DeadlineExceeded):
        run(toolbox.call(READ, READ_ARGUMENTS))
    assert inner.calls == []
    assert desk.marked("deadline")


def test_no_write_is_begun_that_the_deadline_would_cut_off() -> None:
    inner = anything()
    desk = FakeDesk(inner)
    toolbox = Deadline(limit_s=100.0, write_reserve_s=5.0).around(inner, desk)
    desk.virtual.time_s = 96.0
    with pytest.raises(DeadlineExceeded):
        run(toolbox.call(WRITE, WRITE_ARGUMENTS))
    assert run(toolbox.call(READ, READ_ARGUMENTS)).ok
