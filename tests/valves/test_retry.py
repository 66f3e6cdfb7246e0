"""Retries: what is tried again and what is not, how long is waited, and what the budget allows."""

from __future__ import annotations

from contextlib import suppress

import pytest
from tests.conformance.valve import (
    READ,
    READ_ARGUMENTS,
    WRITE,
    WRITE_ARGUMENTS,
    FakeDesk,
    Scripted,
    ScriptedToolbox,
    answer,
    order,
    refund,
    run,
)

from pagerproof.tools import BadAnswer, ConnectionLost, ToolError, ToolTimeout
from pagerproof.valves import BreakerOpen, Deadline, IdempotencyKeys, Retry, RetryBudget, stack

GOOD = answer(order())
LOCKED = answer({"error": {"message": {"value": "Order 4711 is currently being processed by user AGENT7."}}}, 400)


@pytest.mark.parametrize(
    "failure",
    [
        ToolTimeout(READ, "late"),
        ConnectionLost(READ, "gone"),
        BadAnswer(READ, "cut"),
        ToolError(READ, "HTTP 502", status=502),
        answer({}, 408),
        answer({}, 429),
        answer({}, 500),
        answer({}, 529),
        LOCKED,
    ],
    ids=str,
)
def test_what_passes_by_itself_is_tried_again(failure: Scripted) -> None:
    inner = ScriptedToolbox({READ: [failure, failure, GOOD]})
    desk = FakeDesk(inner)
    assert run(Retry().around(inner, desk).call(READ, READ_ARGUMENTS)).ok
    assert [call["attempt"] for call in inner.calls] == [1, 2, 3]
    assert len(desk.marked("retry")) == len(desk.virtual.slept) == 2


@pytest.mark.parametrize(
    "failure",
    [
        BreakerOpen(READ, "open"),
        ToolError(READ, "HTTP 404", status=404),
        answer({}, 400),
        answer({}, 403),
        answer({}, 404),
        answer({}, 409),
        answer({"error": {"code": "insufficient_quota"}}, 429),
    ],
    ids=str,
)
def test_what_does_not_pass_by_itself_is_handed_on_at_once(failure: Scripted) -> None:
    inner = ScriptedToolbox({READ: [failure, GOOD]})
    desk = FakeDesk(inner)
    with suppress(ToolError):
        assert not run(Retry().around(inner, desk).call(READ, READ_ARGUMENTS)).ok
    assert len(inner.calls) == 1
    assert desk.virtual.slept == []
    assert desk.marks == []


def test_when_the_attempts_are_used_up_the_last_failure_is_handed_on() -> None:
    last = ToolTimeout(READ, "the third")
    inner = ScriptedToolbox({READ: [ToolTimeout(READ, "one"), answer({}, 500), last]})
    with pytest.raises(ToolTimeout, match="the third"):
        run(Retry().around(inner, FakeDesk(inner)).call(READ, READ_ARGUMENTS))
    inner = ScriptedToolbox({READ: [answer({}, 503)]})
    assert run(Retry().around(inner, FakeDesk(inner)).call(READ, READ_ARGUMENTS)).status == 503
    assert len(inner.calls) == 3


def test_a_write_is_tried_again_only_with_an_idempotency_key() -> None:
    inner = ScriptedToolbox({WRITE: [ToolTimeout(WRITE, "late"), answer(refund())]})
    with pytest.raises(ToolTimeout):
        run(Retry().around(inner, FakeDesk(inner)).call(WRITE, WRITE_ARGUMENTS))
    assert len(inner.calls) == 1

    inner = ScriptedToolbox({WRITE: [ToolTimeout(WRITE, "late"), answer(refund())]})
    desk = FakeDesk(inner)
    assert run(stack(inner, desk, [IdempotencyKeys(), Retry()]).call(WRITE, WRITE_ARGUMENTS)).ok
    keys = {call["idempotency_key"] for call in inner.calls}
    assert len(inner.calls) == 2
    assert len(keys) == 1
    assert None not in keys


def test_a_missing_csrf_token_opens_a_session_first_and_costs_no_waiting() -> None:
    inner = ScriptedToolbox(
        {
            WRITE: [answer(b"CSRF token validation failed", 403, x_csrf_token="Required"), answer(refund())],
            "sap.Session.open": [answer({"d": {}}, x_csrf_token="abc")],
        }
    )
    desk = FakeDesk(inner)
    assert run(Retry().around(inner, desk).call(WRITE, WRITE_ARGUMENTS)).ok
    assert [call["operation"] for call in inner.calls] == [WRITE, "sap.Session.open", WRITE]
    assert desk.virtual.slept == []


def test_a_token_that_stays_missing_is_asked_for_once_only() -> None:
    refused = answer(b"CSRF token validation failed", 403, x_csrf_token="Required")
    inner = ScriptedToolbox({WRITE: [refused], "sap.Session.open": [answer({"d": {}})]})
    assert run(Retry().around(inner, FakeDesk(inner)).call(WRITE, WRITE_ARGUMENTS)).status == 403
    assert len(inner.sent("sap.Session.open")) == 1


def test_retry_after_is_obeyed_up_to_a_limit() -> None:
    inner = ScriptedToolbox({READ: [answer({}, 429, retry_after="7"), GOOD]})
    desk = FakeDesk(inner)
    assert run(Retry().around(inner, desk).call(READ, READ_ARGUMENTS)).ok
    assert 7.0 <= desk.virtual.slept[0] <= 7.5
    inner = ScriptedToolbox({READ: [answer({}, 429, retry_after="600"), GOOD]})
    desk = FakeDesk(inner)
    assert run(Retry().around(inner, desk).call(READ, READ_ARGUMENTS)).status == 429
    assert desk.virtual.slept == []


@pytest.mark.parametrize("written", ["soon", "-5", "nan", "inf"])
def test_a_retry_after_that_is_no_time_is_ignored(written: str) -> None:
    inner = ScriptedToolbox({READ: [answer({}, 429, retry_after=written), GOOD]})
    desk = FakeDesk(inner)
    assert run(Retry().around(inner, desk).call(READ, READ_ARGUMENTS)).ok
    assert desk.virtual.slept[0] < 0.5


def test_the_jitter_is_full_and_belongs_to_request_operation_and_attempt() -> None:
    retry = Retry()
    waits = [retry.wait_s(index, READ, 3) for index in range(1, 2001)]
    assert waits == [retry.wait_s(index, READ, 3) for index in range(1, 2001)]
    assert min(waits) < 0.02
    assert 1.98 < max(waits) < 2.0
    assert sum(waits) / len(waits) == pytest.approx(1.0, abs=0.05)
    assert retry.wait_s(1, READ, 3) != retry.wait_s(1, READ, 2) * 2
    assert retry.wait_s(1, READ, 3) != retry.wait_s(1, WRITE, 3)
    assert retry.wait_s(1, READ, 3) != Retry(seed=1).wait_s(1, READ, 3)
    assert max(retry.wait_s(index, READ, 30) for index in range(200)) <= 8.0


def test_there_is_no_waiting_beyond_the_deadline() -> None:
    deadline = Deadline(limit_s=100.0)
    inner = ScriptedToolbox({READ: [answer({}, 429, retry_after="9"), GOOD]})
    desk = FakeDesk(inner)
    desk.virtual.time_s = 95.0
    assert run(Retry(deadline=deadline).around(inner, desk).call(READ, READ_ARGUMENTS)).status == 429
    assert desk.virtual.slept == []
    assert desk.marked("retry")[-1].endswith("the deadline comes first")


def test_a_spent_budget_ends_the_retries_of_all_requests() -> None:
    retry = Retry(budget=RetryBudget(share=0.2, per_s=0.0), base_s=0.0)
    tries = []
    for index in range(1, 51):
        inner = ScriptedToolbox({READ: [answer({}, 500)]})
        run(retry.around(inner, FakeDesk(inner, index=index)).call(READ, READ_ARGUMENTS))
        tries.append(len(inner.calls))
    assert sum(tries) == 50 + 10  # one retry for every five calls


def test_the_budget_grants_its_floor_and_its_share_and_forgets() -> None:
    budget = RetryBudget(share=0.2, per_s=1.0, ttl_s=10.0)
    assert sum(budget.withdraw(0.0) for _ in range(100)) == 10  # 1/s over 10 s
    for _ in range(50):
        budget.deposit(0.5)
    assert sum(budget.withdraw(0.5) for _ in range(100)) == 10  # 20 % of 50
    assert sum(budget.withdraw(20.0) for _ in range(100)) == 10  # what was taken out has been forgotten
    budget = RetryBudget(per_s=0.0)
    for _ in range(50):
        budget.deposit(0.0)
    assert not budget.withdraw(10.5), "deposits end after ten seconds"


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.1}, {"per_s": -1.0}, {"ttl_s": 0.0}])
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="budget"):
        RetryBudget(**wrong)


def test_at_least_one_attempt_is_needed() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Retry(attempts=0)
