"""The injector lays faults around a call, counts what became of them, and says when the caller was gone first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.faults.stage import SERVICE_S, Seen, Stage, call_of, case, model, stage_for

from pagerproof.errors import BrokenInvariant
from pagerproof.events import FAULT
from pagerproof.faults import DeliveryRow
from pagerproof.model import Answer
from pagerproof.protocols import Call, Case
from pagerproof.scenario.schema import FaultUse

ORDER = "orders.Order.get"
CANCEL = "orders.Order.cancel"
SLOW = {"delay": {"for": "10s"}}
HTML = {"malform": {"how": "html"}}
CUT = {"truncate": {"keep": 0.5}}
TOO_MANY = {"answer": {"preset": "http.rate_limited", "retry_after": "2s"}}


def one_call(stage: Stage, operation: str = ORDER, **more: Any) -> tuple[Seen, Case]:
    a_case = case(1)
    seen = stage.run(stage.call(a_case, operation, **more))
    stage.injector.close()
    stage.injector.check_balance()
    return seen, a_case


def rows(stage: Stage) -> dict[str, DeliveryRow]:
    return {row.fault: row for row in stage.injector.ledger()}


def fault_events(a_case: Case) -> list[tuple[float, str, str]]:
    return [(round(event[0], 6), event[2], event[5]) for event in a_case.log if event[1] == FAULT]


# --- composition


def test_a_call_that_nothing_strikes_has_no_decisions() -> None:
    with stage_for(model(trigger={"probability": 0.0})) as stage:
        call = call_of(case(1), ORDER)
        assert stage.injector.decide(call) is None
        assert call.case.decisions == []
        assert rows(stage)["a-fault"].eligible == 1


def test_two_waits_add_up_and_both_are_seen() -> None:
    with stage_for(model("one", effect=[SLOW]), model("two", effect=[SLOW])) as stage:
        seen, _ = one_call(stage)
        assert seen.elapsed_s == pytest.approx(20 + SERVICE_S)
        assert [row.seen for row in stage.injector.ledger()] == [1, 1]


def test_the_first_fault_of_the_scenario_lies_outermost() -> None:
    fenced = model("fenced", effect=[{"malform": {"how": "fenced"}}])
    with stage_for(model("cut", effect=[CUT]), fenced) as stage:
        inner_fenced, _ = one_call(stage)
    with stage_for(fenced, model("cut", effect=[CUT])) as stage:
        inner_cut, _ = one_call(stage)
    assert inner_fenced.body.startswith(b"```json")
    assert not inner_fenced.body.endswith(b"```")
    assert inner_cut.body.endswith(b"```")


def test_what_is_scripted_comes_before_what_chance_brings() -> None:
    uses = [FaultUse(use="limit"), FaultUse(use="cut", at=(1,))]
    with stage_for(model("limit", effect=[TOO_MANY]), model("cut", effect=[HTML]), uses=uses) as stage:
        _, a_case = one_call(stage)
        assert [(each.fault, each.fate) for each in a_case.decisions] == [("cut", "delivered"), ("limit", "preempted")]


def test_the_scenarios_order_holds_however_the_faults_are_triggered() -> None:
    html = model("html", effect=[HTML])
    cut = model("cut", effect=[CUT], trigger={"probability": 0.999999})
    last = model("last", effect=[{"malform": {"how": "fenced"}}], trigger={"index": {"exact": [1]}})
    with stage_for(last, html, cut) as stage:
        _, a_case = one_call(stage)
        assert [decision.fault for decision in a_case.decisions] == ["last", "html", "cut"]


def test_an_answer_instead_of_the_service_preempts_whatever_comes_later() -> None:
    with stage_for(
        model("limit", effect=[TOO_MANY]), model("slow", effect=[SLOW]), model("cut", effect=[CUT])
    ) as stage:
        seen, a_case = one_call(stage)
        assert (seen.status, seen.headers["retry-after"], seen.elapsed_s) == (429, "2", 0.02)
        assert stage.services["orders"].levels["calls.total"] == 0
        assert rows(stage)["slow"].preempted_by == rows(stage)["cut"].preempted_by == (("limit", 1),)
        assert [decision.fate for decision in a_case.decisions] == ["delivered", "preempted", "preempted"]


def test_what_lies_outside_of_an_answer_still_applies_to_it() -> None:
    with stage_for(model("slow", effect=[SLOW]), model("limit", effect=[TOO_MANY])) as stage:
        seen, _ = one_call(stage)
        assert (seen.status, seen.elapsed_s) == (429, 10.02)
        assert all(row.delivered == row.seen == 1 for row in stage.injector.ledger())


def test_a_lost_answer_preempts_later_results_but_not_what_happens_inside_the_service() -> None:
    lost = model("lost", effect=[{"drop_connection": {"committed": 1.0}}])
    with stage_for(lost, model("cut", effect=[CUT]), model("twice", effect=["duplicate"])) as stage:
        seen, _ = one_call(stage, CANCEL)
        assert seen.error == "ConnectionLost"
        assert stage.services["orders"].committed == [CANCEL, CANCEL]
        assert rows(stage)["cut"].preempted == 1
        assert rows(stage)["twice"].delivered == 1


def test_a_connection_that_breaks_early_preempts_by_name() -> None:
    lost = model("lost", effect=[{"drop_connection": {"committed": 0.5}}])
    inner = model("twice", effect=["duplicate"])
    fates = set()
    with stage_for(lost, inner) as stage:
        for index in range(1, 30):
            a_case = case(index)
            stage.run(stage.call(a_case, CANCEL))
            fates.add((a_case.decisions[1].fate, a_case.decisions[1].by, len(a_case.effects) > 0))
    assert fates == {("preempted", "lost", False), ("delivered", "", True)}


def test_effects_of_one_model_act_together() -> None:
    with stage_for(model(effect=[SLOW, CUT])) as stage:
        seen, a_case = one_call(stage)
        assert seen.elapsed_s == pytest.approx(10 + SERVICE_S)
        assert seen.wire_bytes > len(seen.body)
        assert a_case.decisions[0].detail == "delay+truncate"


def test_an_answer_after_the_work_was_done_hides_it() -> None:
    hidden = model(effect=[{"answer": {"status": 503}}], target={"service": "orders", "edge": "response"})
    with stage_for(hidden) as stage:
        seen, _ = one_call(stage, CANCEL)
        assert seen.status == 503
        assert stage.services["orders"].committed == [CANCEL]


def test_a_service_that_refuses_itself_takes_its_own_time() -> None:
    with stage_for(model(effect=[{"answer": {"status": 503, "by": "service"}}])) as stage:
        seen, _ = one_call(stage, CANCEL)
        assert (seen.status, seen.elapsed_s) == (503, SERVICE_S)
        assert stage.services["orders"].committed == []


def test_a_fault_that_finds_nothing_to_change_is_not_delivered() -> None:
    with stage_for(model(effect=[{"drop_field": {"field": "nowhere"}}])) as stage:
        one_call(stage)
        assert rows(stage)["a-fault"].cancelled_by == (("nothing to change", 1),)


def test_the_service_is_not_asked_about_the_call_of_somebody_else() -> None:
    with stage_for(model(effect=["stale"])) as stage:
        first, _ = one_call(stage)
        assert b"before" in first.body
        other = stage.run(stage.call(case(2), "crm.Customer.get"))
        assert b"before" not in other.body


# --- time-outs


def test_a_time_out_of_the_fault_reaches_the_caller_as_tool_timeout() -> None:
    with stage_for(model(effect=[{"timeout": {"committed": 1.0, "after": "30s"}}])) as stage:
        seen, _ = one_call(stage, CANCEL)
        assert (seen.error, seen.elapsed_s) == ("ToolTimeout", 30.0)
        assert stage.services["orders"].committed == [CANCEL]
        assert rows(stage)["a-fault"].seen == 1


def test_a_gateway_that_gives_up_before_the_service_leaves_the_work_going_on() -> None:
    with stage_for(
        model(effect=[{"timeout": {"committed": 1.0, "after": "50ms", "answer": "http.gateway_timeout"}}])
    ) as stage:

        async def two() -> Seen:
            seen = await stage.call(case(1), CANCEL)
            await asyncio.sleep(1.0)
            return seen

        seen = stage.run(two())
        assert (seen.status, seen.elapsed_s) == (504, 0.05)
        assert stage.services["orders"].committed == [CANCEL]


def test_a_delay_that_outlives_the_callers_patience_was_delivered_and_seen() -> None:
    for where in ("before", "after"):
        with stage_for(model(effect=[{"delay": {"for": "10s", "where": where}}])) as stage:
            seen, a_case = one_call(stage, timeout_s=3.0)
            assert (seen.error, seen.elapsed_s) == ("client time-out", 3.0)
            decision = a_case.decisions[0]
            assert (decision.fate, decision.seen) == ("delivered", True)
            assert fault_events(a_case) == [(3.0, "a-fault", "delivered"), (3.0, "a-fault", "seen")]


def test_a_delay_after_an_answer_that_never_came_in_time_was_not_delivered() -> None:
    with stage_for(model(effect=[{"delay": {"for": "10s", "where": "after"}}])) as stage:
        _, a_case = one_call(stage, timeout_s=SERVICE_S / 2)
        assert (a_case.decisions[0].fate, a_case.decisions[0].by) == ("cancelled", "client time-out")


@pytest.mark.parametrize("effect", [{"delay": {"for": "3s", "where": "before"}}, {"slow_work": {"for": "60s"}}])
def test_a_wait_before_the_answer_counts_when_the_timer_fires_inside_the_service(effect: object) -> None:
    with stage_for(model(effect=[effect])) as stage:
        _, a_case = one_call(stage, timeout_s=3.0 + SERVICE_S / 2)
        assert (a_case.decisions[0].fate, a_case.decisions[0].seen) == ("delivered", True)


def test_a_cut_whose_answer_never_came_is_cancelled_by_the_timer() -> None:
    with stage_for(model(effect=[CUT])) as stage:
        _, a_case = one_call(stage, timeout_s=SERVICE_S / 2)
        assert (a_case.decisions[0].fate, a_case.decisions[0].by) == ("cancelled", "client time-out")
        assert stage.services["orders"].abandoned == 1


def test_a_change_inside_the_service_is_delivered_although_the_caller_has_gone() -> None:
    with stage_for(model(effect=["duplicate"])) as stage:
        _, a_case = one_call(stage, CANCEL, timeout_s=SERVICE_S / 2)
        assert a_case.decisions[0].fate == "delivered"


def test_an_inner_fault_behind_an_outer_wait_is_cancelled_when_the_caller_gives_up() -> None:
    outer = model("outer", effect=[{"delay": {"for": "10s", "where": "before"}}])
    with stage_for(outer, model("inner", effect=["duplicate"])) as stage:
        _, a_case = one_call(stage, CANCEL, timeout_s=1.0)
        assert [(each.fate, each.by) for each in a_case.decisions] == [
            ("delivered", ""),
            ("cancelled", "client time-out"),
        ]


@pytest.mark.parametrize("timeout_s", [None, 60.0])
def test_a_caller_that_cancels_is_told_apart_from_its_timer(timeout_s: float | None) -> None:
    with stage_for(model(effect=[CUT])) as stage:
        a_case = case(1)

        async def cancelled() -> None:
            task = asyncio.create_task(stage.call(a_case, ORDER, timeout_s=timeout_s))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        stage.run(cancelled())
        assert (a_case.decisions[0].fate, a_case.decisions[0].by) == ("cancelled", "caller cancelled")


def test_what_the_end_of_the_run_cancelled_keeps_that_fate_when_its_caller_is_cancelled_later() -> None:
    with stage_for(model(effect=[CUT])) as stage:
        a_case = case(1)

        async def overtaken() -> None:
            task = asyncio.create_task(stage.call(a_case, ORDER))
            await asyncio.sleep(0.1)
            stage.injector.close()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        stage.run(overtaken())
        assert (a_case.decisions[0].fate, a_case.decisions[0].by) == ("cancelled", "end of run")
        assert [what for _, _, what in fault_events(a_case)] == ["cancelled: end of run"]


def test_a_delivered_answer_that_nobody_reads_is_unread() -> None:
    with stage_for(model(effect=[HTML])) as stage:
        one_call(stage, read=False)
        row = rows(stage)["a-fault"]
        assert (row.delivered, row.seen, row.unread) == (1, 0, 1)


def test_an_error_status_is_seen_by_whoever_gets_the_answer() -> None:
    for effect in (TOO_MANY, {"answer": {"status": 503, "by": "service"}}):
        with stage_for(model(effect=[effect])) as stage:
            one_call(stage, read=False)
            assert rows(stage)["a-fault"].seen == 1


def test_bytes_cut_from_an_error_of_the_services_own_are_unread_until_read() -> None:
    refuses = model("refuses", effect=[{"answer": {"status": 503, "body": {"error": "no"}, "by": "service"}}])
    with stage_for(model("cut", effect=[CUT]), refuses) as stage:
        one_call(stage, read=False)
        assert (rows(stage)["refuses"].seen, rows(stage)["cut"].unread) == (1, 1)


def test_the_log_says_each_fate_once() -> None:
    with stage_for(model(effect=[HTML])) as stage:
        _, a_case = one_call(stage)
        assert fault_events(a_case) == [(SERVICE_S, "a-fault", "delivered")]


# --- limits


def test_at_most_so_many_calls_are_under_a_fault_at_once() -> None:
    with stage_for(model(effect=[SLOW], limits={"concurrent": 2})) as stage:

        async def five() -> list[Seen]:
            return await asyncio.gather(*(stage.call(case(index), ORDER) for index in range(1, 6)))

        slow = [seen.elapsed_s > 1 for seen in stage.run(five())]
        assert slow == [True, True, False, False, False]
        assert stage.run(five())[0].elapsed_s > 1, "those that ended made room"
        assert rows(stage)["a-fault"].limited_by == (("concurrent", 6),)


def test_a_concurrent_limit_may_stand_in_the_trigger() -> None:
    trigger = {"probability": 1.0, "limit": {"concurrent": 1}}
    with stage_for(model(trigger=trigger)) as stage:
        first = stage.injector.decide(call_of(case(1), ORDER))
        second = stage.injector.decide(call_of(case(2), ORDER))
        assert (first is not None, second) == (True, None)


def test_a_total_limit_ends_the_fault() -> None:
    with stage_for(model(limits={"total": 3})) as stage:
        hits = [stage.injector.decide(call_of(case(i), ORDER)) is not None for i in range(1, 7)]
        assert hits == [True] * 3 + [False] * 3


def test_requests_are_limited_by_number_or_by_share_of_the_run() -> None:
    for limits, size in (({"max_requests": 2}, None), ({"max_requests": "10%"}, 20)):
        with stage_for(model(limits=limits), requests=size) as stage:
            cases = [case(index) for index in (1, 2, 3, 1)]
            hits = [
                stage.injector.decide(call_of(each, ORDER, occurrence=n)) is not None for n, each in enumerate(cases)
            ]
            assert hits == [True, True, False, True], "a request that was struck may be struck again"


def test_a_gauge_stops_the_fault() -> None:
    with stage_for(model(limits={"stop_when": {"gauge": "orders.locks.held", "at_least": 5}})) as stage:
        first = stage.injector.decide(call_of(case(1), ORDER))
        stage.services["orders"].levels["locks.held"] = 5
        second = stage.injector.decide(call_of(case(2), ORDER))
        assert (first is not None, second) == (True, None)


def test_a_limited_decision_is_recorded_and_masks_nothing() -> None:
    limit = model("limit", effect=[TOO_MANY], limits={"total": 1})
    with stage_for(limit, model("cut", effect=[CUT])) as stage:
        stage.run(stage.call(case(1), ORDER))
        a_case = case(2)
        seen = stage.run(stage.call(a_case, ORDER))
        assert seen.status == 200
        assert [(each.fault, each.fate, each.by) for each in a_case.decisions] == [
            ("limit", "limited", "total"),
            ("cut", "delivered", ""),
        ]
        assert fault_events(a_case)[0][2] == "limited: total"


# --- the end, and again


def test_what_is_under_way_when_the_run_ends_is_cancelled_by_it() -> None:
    with stage_for(model()) as stage:
        stage.injector.decide(call_of(case(1), ORDER))
        stage.injector.close()
        stage.injector.check_balance()
        assert rows(stage)["a-fault"].cancelled_by == (("end of run", 1),)


def test_an_account_that_does_not_balance_is_our_bug() -> None:
    with stage_for(model()) as stage:
        stage.injector.decide(call_of(case(1), ORDER))
        with pytest.raises(BrokenInvariant, match="seed 1: the account of fault a-fault"):
            stage.injector.check_balance()
        stage.injector.close()


def test_a_service_that_raises_leaves_the_books_balanced() -> None:
    async def broken(_call: Call) -> Answer:
        raise RuntimeError("a bug in the service")

    with stage_for(model(effect=[CUT])) as stage:
        call = call_of(case(1), ORDER)
        decisions = stage.injector.decide(call)
        assert decisions is not None
        with pytest.raises(RuntimeError):
            stage.run(stage.injector.exchange(call, decisions, broken))
        stage.injector.check_balance()
        assert decisions[0].by == "RuntimeError"


def test_forced_strikes_repeat_exactly_what_was_recorded() -> None:
    loud, silent = model("loud"), model("silent", trigger={"probability": 0.0})
    recorded = {7: [("silent", ORDER, 2)]}
    with stage_for(loud, silent, forced=recorded) as stage:
        assert stage.injector.decide(call_of(case(6), ORDER)) is None
        a_case = case(7)
        assert stage.injector.decide(call_of(a_case, ORDER)) is None
        second = stage.injector.decide(call_of(a_case, ORDER, occurrence=2))
        assert second is not None
        assert [each.fault for each in second] == ["silent"]


def test_forced_strikes_may_name_the_calls_key() -> None:
    key = call_of(case(7), ORDER).key
    with stage_for(model(), forced={7: [("a-fault", ORDER, key)]}) as stage:
        assert stage.injector.decide(call_of(case(7), ORDER)) is not None
        assert stage.injector.decide(call_of(case(7), ORDER, occurrence=1)) is None


def test_the_ledger_carries_evidence_expectation_and_observability() -> None:
    cites = [{"supports": "a", "ref": "r", "evidence": "documented"}, {"supports": "b", "evidence": "assumed"}]
    uses = [FaultUse(use="a-fault", expect="armed")]
    with stage_for(model(cites=cites), uses=uses) as stage:
        row = stage.injector.ledger()[0]
        assert (row.evidence, row.expect, row.observable) == ("assumed", "armed", "timing")
