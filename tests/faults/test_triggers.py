"""A fault strikes when its trigger says so, and a scenario may say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faults.stage import Stage, call_of, case, model, stage_for

from pagerproof.errors import UsageError
from pagerproof.faults.triggers import Weather, threshold
from pagerproof.rng import unit
from pagerproof.scenario.fault_model import Burst
from pagerproof.scenario.schema import FaultUse

ORDER = "orders.Order.get"


def struck(stage: Stage, indices: range, operation: str = ORDER, **more: Any) -> list[int]:
    return [i for i in indices if stage.injector.decide(call_of(case(i), operation, **more)) is not None]


def with_trigger(**trigger: Any) -> Stage:
    return stage_for(model(trigger=trigger))


@given(st.integers(0, 2**64 - 1), st.floats(0, 1))
def test_the_integer_threshold_decides_exactly_as_the_unit_draw(key: int, probability: float) -> None:
    assert (key < threshold(probability)) == (unit(key) < probability)


def test_a_probability_is_met_in_the_long_run() -> None:
    with with_trigger(probability=0.1) as stage:
        assert 330 < len(struck(stage, range(1, 4001))) < 470


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_never_is_never_and_always_is_always(probability: float) -> None:
    with with_trigger(probability=probability) as stage:
        assert len(struck(stage, range(1, 101))) == 100 * probability


def test_exact_indices_are_scripted_and_ranges_are_not() -> None:
    with with_trigger(index={"exact": [3, 7]}) as stage:
        assert struck(stage, range(1, 11)) == [3, 7]
        assert stage.injector.ledger()[0].scripted == 2
    with with_trigger(index={"range": [4, 6]}) as stage:
        assert struck(stage, range(1, 11)) == [4, 5, 6]
        assert stage.injector.ledger()[0].scripted == 0
    with with_trigger(index={"every": 4}) as stage:
        assert struck(stage, range(1, 11)) == [4, 8]


def test_a_window_opens_at_its_first_instant_and_closes_before_its_last() -> None:
    with with_trigger(window={"virtual": ["10s", "20s"]}) as stage:
        times = [0.0, 9.999, 10.0, 19.999, 20.0, 1000.0]
        hits = [t for t in times if stage.injector.decide(call_of(case(1), ORDER, started_s=t)) is not None]
        assert hits == [10.0, 19.999]


def test_the_nth_call_counts_the_matching_calls_of_one_request() -> None:
    with with_trigger(nth_call=[2]) as stage:
        a_case = case(1)
        hits = [
            number
            for number, operation in enumerate([ORDER, "crm.Customer.get", ORDER, ORDER], 1)
            if stage.injector.decide(call_of(a_case, operation, occurrence=number)) is not None
        ]
        assert hits == [3]


def test_the_nth_call_counts_calls_outside_of_its_window_too() -> None:
    with with_trigger(nth_call=[2], window={"virtual": ["10s", "20s"]}) as stage:
        a_case = case(1)
        first = stage.injector.decide(call_of(a_case, ORDER, started_s=0.0))
        second = stage.injector.decide(call_of(a_case, ORDER, started_s=15.0, occurrence=2))
        assert first is None
        assert second is not None


def test_a_draw_per_request_is_the_same_for_all_its_calls() -> None:
    with with_trigger(probability=0.3, per="request") as stage:
        for index in range(1, 60):
            a_case = case(index)
            calls = [call_of(a_case, ORDER, occurrence=n) for n in range(4)]
            assert len({stage.injector.decide(call) is not None for call in calls}) == 1
        assert 0.1 < len(struck(stage, range(100, 400))) / 300 < 0.5


def test_wear_begins_at_its_threshold() -> None:
    with with_trigger(wear={"gauge": "orders.calls.total", "at_least": 100}) as stage:
        levels = stage.services["orders"].levels
        levels["calls.total"] = 99
        assert struck(stage, range(1, 20)) == []
        levels["calls.total"] = 100
        assert struck(stage, range(1, 20)) == list(range(1, 20))


def test_a_wear_ramp_rises_to_its_probability() -> None:
    wear = {"gauge": "orders.calls.total", "at_least": 100, "full_at": 200}
    with with_trigger(probability=0.5, wear=wear) as stage:
        shares = []
        for level in (100, 150, 200, 10_000):
            stage.services["orders"].levels["calls.total"] = level
            shares.append(len(struck(stage, range(1, 2001))) / 2000)
        assert shares[0] == 0.0
        assert shares[1] == pytest.approx(0.25, abs=0.04)
        assert shares[2] == shares[3] == pytest.approx(0.5, abs=0.04)


def test_the_state_of_a_service_opens_and_closes_a_fault() -> None:
    with with_trigger(state={"gauge": "orders.pool.queued", "above": 5, "below": 10}) as stage:
        hits = []
        for level in (5.0, 6.0, 9.0, 10.0):
            stage.services["orders"].levels["pool.queued"] = level
            hits += [level] if struck(stage, range(1, 2)) else []
        assert hits == [6.0, 9.0]


def test_spacing_strikes_calls_too_soon_after_the_last_that_passed() -> None:
    with with_trigger(spacing="1s") as stage:
        times = [0.0, 0.5, 0.9, 1.0, 1.9, 2.5]
        hits = [t for t in times if stage.injector.decide(call_of(case(1), ORDER, started_s=t)) is not None]
        assert hits == [0.5, 0.9, 1.9]


def test_one_node_of_four_gets_a_quarter_of_the_calls_or_of_the_requests() -> None:
    with with_trigger(node={"of": 4, "sticky": "call"}) as stage:
        assert len(struck(stage, range(1, 2001))) / 2000 == pytest.approx(0.25, abs=0.04)
    with with_trigger(node={"of": 4, "sticky": "request"}) as stage:
        for index in range(1, 40):
            a_case = case(index)
            calls = [call_of(a_case, ORDER, occurrence=n) for n in range(3)]
            assert len({stage.injector.decide(call) is not None for call in calls}) == 1


# --- bursts


def weather(enter: float = 0.05, leave: float = 0.25, fault: str = "a-fault") -> Weather:
    return Weather(Burst.model_validate({"enter": enter, "leave": leave, "slot": "10s"}), 1, fault)


def test_bad_slots_come_in_runs_of_the_expected_length_and_share() -> None:
    w = weather()
    states = [w.bad(slot) for slot in range(20_000)]
    bad = sum(states)
    runs = sum(now and not before for before, now in zip([False, *states], states, strict=False))
    assert bad / len(states) == pytest.approx(0.05 / 0.30, abs=0.02)
    assert bad / runs == pytest.approx(1 / 0.25, abs=0.4)


def test_weather_is_the_same_whenever_it_is_asked() -> None:
    forwards, backwards = weather(), weather()
    asked = [forwards.bad(slot) for slot in range(500)]
    assert [backwards.bad(slot) for slot in reversed(range(500))] == asked[::-1]
    assert [weather(fault="another").bad(slot) for slot in range(500)] != asked


@given(st.floats(0, 1e4))
def test_a_period_holds_until_it_ends(time_s: float) -> None:
    w = weather()
    bad, until = w.period(time_s)
    assert until > time_s
    inside = time_s + (until - time_s) * 0.5
    assert w.period(inside)[0] == bad


def test_in_a_burst_requests_are_struck_together() -> None:
    with with_trigger(probability=1.0, burst={"enter": 0.05, "leave": 0.25, "slot": "10s"}) as stage:
        hits = [
            stage.injector.decide(call_of(case(i), ORDER, started_s=float(i))) is not None for i in range(1, 10_000)
        ]
    share = sum(hits) / len(hits)
    after_a_hit = [now for before, now in pairwise(hits) if before]
    assert 0.05 < share < 0.3
    assert sum(after_a_hit) / len(after_a_hit) > 0.9


# --- what a scenario may say


def used(use: Mapping[str, Any], **parts: Any) -> Stage:
    return stage_for(model(**parts), uses=[FaultUse.model_validate({"use": "a-fault", **use})])


def test_intensity_multiplies_and_stops_at_certainty() -> None:
    with used({"intensity": 0.5}, trigger={"probability": 0.2}) as stage:
        assert len(struck(stage, range(1, 2001))) / 2000 == pytest.approx(0.1, abs=0.03)
    with used({"intensity": 50}, trigger={"probability": 0.2}) as stage:
        assert len(struck(stage, range(1, 101))) == 100
    with used({"intensity": 0}, trigger={"probability": 0.2}) as stage:
        assert struck(stage, range(1, 101)) == []


def test_raising_the_intensity_only_adds_strikes() -> None:
    with (
        used({"intensity": 1}, trigger={"probability": 0.1}) as low,
        used({"intensity": 2}, trigger={"probability": 0.1}) as high,
    ):
        assert set(struck(low, range(1, 500))) < set(struck(high, range(1, 500)))


def test_a_probability_of_the_scenario_replaces_the_models() -> None:
    with used({"probability": "100%"}, trigger={"probability": 0.01}) as stage:
        assert len(struck(stage, range(1, 101))) == 100


def test_at_replaces_the_trigger_and_is_scripted() -> None:
    trigger = {"probability": 0.5, "window": {"virtual": ["1h", "2h"]}}
    with used({"at": [5], "intensity": 0.1}, trigger=trigger) as stage:
        assert struck(stage, range(1, 11)) == [5]
        assert stage.injector.ledger()[0].scripted == 1


def test_only_first_strikes_the_first_matching_call_of_the_request() -> None:
    with used({"at": [1], "only": "first"}) as stage:
        a_case = case(1)
        hits = [stage.injector.decide(call_of(a_case, ORDER, occurrence=n)) is not None for n in range(3)]
        assert hits == [True, False, False]


def test_operations_narrow_the_target() -> None:
    with used({"operations": ["Order.cancel"]}) as stage:
        assert struck(stage, range(1, 3)) == []
        assert struck(stage, range(1, 3), "orders.Order.cancel") == [1, 2]


def test_parameters_turn_the_models_knobs() -> None:
    parts = {"effect": [{"delay": {"for": "1s"}}], "parameters": {"wait": "delay.for"}}
    with used({"parameters": {"wait": "7s"}}, **parts) as stage:
        assert stage.run(stage.call(case(1), ORDER)).elapsed_s == pytest.approx(7.2)


@pytest.mark.parametrize(
    ("use", "parts", "message"),
    [
        ({"use": "a-falut"}, {}, r"no fault model 'a-falut'; did you mean a-fault\?"),
        (
            {"parameters": {"wat": "7s"}},
            {"parameters": {"wait": "delay.for"}},
            "no parameter 'wat'; did you mean",
        ),
        ({"parameters": {"wait": "7"}}, {"parameters": {"wait": "delay.for"}}, "is not a duration"),
        ({"operations": ["Order.teleport"]}, {}, "names none that a-fault can strike"),
        (
            {},
            {"target": {"service": "orders", "operation": "Order.gett"}},
            "no operation of orders; did you mean",
        ),
        ({}, {"trigger": {"wear": {"gauge": "orders.calls.totl", "at_least": 1}}}, "did you mean orders.calls.total"),
        ({}, {"effect": [{"hold": {"resource": "sap.worker", "for": "1s"}}]}, "no resource of orders"),
        ({}, {"effect": [{"behaviour": {"name": "prose"}}]}, "orders knows no effect 'behaviour'"),
    ],
)
def test_a_use_that_makes_no_sense_is_named(use: dict[str, Any], parts: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        used(use, **parts)


def test_two_uses_of_one_model_need_names_of_their_own() -> None:
    uses = [FaultUse(use="a-fault"), FaultUse(use="a-fault")]
    with pytest.raises(UsageError, match="two faults are called 'a-fault'"):
        stage_for(model(), uses=uses)
