"""Faults of the wire: what a caller at the desk gets of them, and what goes onto a connection."""

from __future__ import annotations

import pytest
from tests.faults.stage import SERVICE_S, Seen, case, model, shipped_models, stage_for

from pagerproof.faults.wire import SYN_GIVES_UP_S
from pagerproof.model import Answer, Delivery
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
            from tests.faults.stage import call_of

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
