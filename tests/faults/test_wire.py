"""Faults of the wire: what a caller at the desk gets of them, and what goes onto a connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.faults.stage import SERVICE_S, Seen, call_of, case, model, shipped_models, stage_for

from pagerproof.faults.wire import SYN_GIVES_UP_S, attempt, look_up, opening
from pagerproof.model import Answer, Delivery, Operation
from pagerproof.protocols import Call
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.schema import FaultUse

CANCEL = "orders.Order.cancel"


def one_call(*models: FaultModel, timeout_s: float | None = None) -> tuple[Seen, list[str], list[tuple[str, bool]]]:
    """What a caller saw of one call under these faults, what was committed, and each fault's fate and sight."""
    with stage_for(*models) as stage:
        a_case = case(1)
        seen = stage.run(stage.call(a_case, CANCEL, timeout_s=timeout_s))
        stage.injector.close()
        stage.injector.check_balance()
        fates = [(decision.fate, decision.seen) for decision in a_case.decisions]
        return seen, stage.services["orders"].committed, fates


@pytest.mark.parametrize("how", ["dns", "refused", "timeout"])
def test_without_a_connection_the_service_sees_nothing(how: str) -> None:
    seen, committed, fates = one_call(model(effect=[{"connect": {"how": how}}]))
    assert (seen.error, committed, fates) == ("NotConnected", [], [("delivered", True)])
    assert seen.elapsed_s == (SYN_GIVES_UP_S if how == "timeout" else 0.02)


def test_an_attempt_to_connect_is_ended_by_the_callers_own_timer() -> None:
    seen, committed, fates = one_call(model(effect=[{"connect": {"how": "timeout"}}]), timeout_s=5.0)
    assert (seen.error, seen.elapsed_s, committed, fates) == ("client time-out", 5.0, [], [("delivered", True)])


def test_a_model_says_when_it_is_clear_that_nobody_answers() -> None:
    seen, _, _ = one_call(model(effect=[{"connect": {"how": "dns", "after": "5s"}}]))
    assert seen.elapsed_s == 5.0


@pytest.mark.parametrize("effect", [{"reset_body": {"keep": 0.5}}, "half_headers", {"bad_chunk": {"keep": 0.5}}])
def test_an_answer_that_breaks_on_its_way_is_lost_after_the_work_was_done(effect: object) -> None:
    seen, committed, fates = one_call(model(effect=[effect]))
    assert (seen.error, seen.elapsed_s, committed) == ("ConnectionLost", SERVICE_S, [CANCEL])
    assert fates[0][0] == "delivered"


def test_slow_bytes_are_waited_for_and_arrive_whole() -> None:
    whole, _, _ = one_call(model(effect=["stale"]))
    seen, _, fates = one_call(model(effect=[{"slow_bytes": {"bytes_per_s": 10}}]))
    assert seen.elapsed_s == pytest.approx(SERVICE_S + len(seen.body) / 10)
    assert (seen.status, len(seen.body) > 100, fates) == (200, True, [("delivered", True)])
    assert whole.elapsed_s == SERVICE_S


def test_slow_bytes_run_into_the_callers_time_out() -> None:
    seen, committed, fates = one_call(model(effect=[{"slow_bytes": {"bytes_per_s": 1}}]), timeout_s=5.0)
    assert (seen.error, seen.elapsed_s, committed, fates) == ("client time-out", 5.0, [CANCEL], [("delivered", True)])


def test_what_breaks_the_connection_hides_what_was_wrong_with_the_answer() -> None:
    broken = model("broken", effect=["half_headers"])
    _, _, fates = one_call(broken, model("cut", effect=[{"truncate": {"keep": 0.5}}]))
    assert [fate for fate, _ in fates] == ["delivered", "preempted"]


def test_a_broken_connection_is_not_slowed_as_well() -> None:
    slow = model("slow", effect=[{"slow_bytes": {"bytes_per_s": 1}}])
    seen, _, _ = one_call(slow, model("broken", effect=["half_headers"]))
    assert (seen.error, seen.elapsed_s) == ("ConnectionLost", SERVICE_S)


@pytest.mark.parametrize(
    ("effect", "delivery"),
    [
        ({"reset_body": {"keep": 0.25}}, Delivery(how="reset", after_bytes=10)),
        ({"bad_chunk": {"keep": 0.25}}, Delivery(how="bad_chunk", after_bytes=10)),
        ("half_headers", Delivery(how="half_headers")),
        ({"slow_bytes": {"bytes_per_s": 7}}, Delivery(how="slow", bytes_per_s=7.0)),
    ],
)
def test_a_share_is_one_of_the_bytes_that_go_onto_the_wire(effect: object, delivery: Delivery) -> None:
    rendered = Answer(200, {}, b"x" * 40, rendered=True, pace_s=2.0)
    with stage_for(model(effect=[effect])) as stage:

        async def carried_out() -> Answer:
            call: Call = call_of(case(1), CANCEL)
            call.render = lambda _answer: rendered
            decisions = stage.injector.decide(call)
            assert decisions is not None
            return await stage.injector.exchange(call, decisions, stage.proceed)

        answer = stage.run(carried_out())
    assert (answer.body, answer.pace_s, answer.rendered, answer.delivery) == (rendered.body, 2.0, True, delivery)


WIRE = [name for name in shipped_models() if name.startswith("wire-")]


@pytest.mark.parametrize("name", WIRE)
def test_a_shipped_fault_of_the_wire_leaves_the_caller_without_an_answer_or_late(name: str) -> None:
    models = shipped_models()
    with stage_for(models[name], uses=[FaultUse(use=name, at=(1,))]) as stage:
        operation = "payments.Refund.create"
        seen = stage.run(stage.call(case(1), operation, timeout_s=3_600.0))
    if name == "wire-slow-bytes":
        assert (seen.status, seen.elapsed_s > SERVICE_S + 0.5) == (200, True)
    else:
        assert seen.error in ("ConnectionLost", "NotConnected")


# --- where there is a network: attempts to connect are struck, not calls


def attempted(
    fault: FaultModel, operation: Operation, *, give_up_s: float | None = None
) -> tuple[str | None, float, Any]:
    """What one attempt to connect came to, how long it took, and the fault's account."""
    with stage_for(fault, connections=True) as stage:
        attempt_call = Call(case(1), operation, {}, 1, 1, 7, 0.0, None, None)

        async def work() -> str | None:
            try:
                async with asyncio.timeout(give_up_s):
                    return await attempt(stage.injector, attempt_call, stage.injector.decide(attempt_call))
            except TimeoutError:
                return "given up"

        ended = stage.run(work())
        stage.injector.close()
        stage.injector.check_balance()
        return ended, stage.loop.time(), stage.injector.ledger()[0]


@pytest.mark.parametrize(
    ("how", "operation", "after_s"),
    [("dns", look_up("orders"), 0.02), ("refused", opening("orders"), 0.02), ("timeout", opening("orders"), 127.0)],
)
def test_an_attempt_to_connect_fails_as_the_model_says(how: str, operation: Operation, after_s: float) -> None:
    ended, took_s, row = attempted(model(effect=[{"connect": {"how": how}}]), operation)
    assert (ended, took_s, row.eligible, row.delivered, row.seen) == (how, after_s, 1, 1, 1)


def test_a_look_up_is_not_struck_by_what_keeps_connections_from_opening() -> None:
    ended, _, row = attempted(model(effect=[{"connect": {"how": "refused"}}]), look_up("orders"))
    assert (ended, row.eligible, row.drawn) == (None, 0, 0)


def test_an_attempt_that_its_client_gives_up_is_accounted_for() -> None:
    ended, took_s, row = attempted(model(effect=[{"connect": {"how": "timeout"}}]), opening("orders"), give_up_s=5.0)
    assert (ended, took_s, row.delivered, row.seen) == ("given up", 5.0, 1, 1)


def test_calls_on_an_open_connection_are_left_to_other_faults() -> None:
    refused = model("refused", effect=[{"connect": {"how": "refused"}}])
    with stage_for(refused, model("slow"), connections=True) as stage:
        seen = stage.run(stage.call(case(1), CANCEL))
        assert (seen.status, seen.elapsed_s) == (200, SERVICE_S + 1)
        first = Call(case(2), opening("orders"), {}, 1, 1, 7, 0.0, None, None)
        stage.run(attempt(stage.injector, first, stage.injector.decide(first)))
        assert {row.fault: row.drawn for row in stage.injector.ledger()} == {"refused": 1, "slow": 1}
