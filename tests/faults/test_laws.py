"""Laws of the injector under any faults: the books balance, and no decision depends on another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.faults.stage import Stage, call_of, case, model, shipped_models

from pagerproof.protocols import Call
from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.schema import FaultUse

OPERATIONS = ("orders.Order.get", "orders.Order.cancel", "orders.Return.create")
EFFECTS: Sequence[Sequence[object]] = (
    [{"delay": {"dist": "exponential", "mean": "2s"}}],
    [{"delay": {"for": "1s", "where": "before"}}],
    [{"truncate": {"keep": 0.5}}],
    [{"malform": {"how": "html"}}],
    [{"answer": {"status": 503}}],
    [{"answer": {"status": 503, "by": "service"}}],
    [{"timeout": {"committed": 0.5, "after": "1s", "answer": "http.gateway_timeout"}}],
    [{"timeout": {"committed": 1.0, "after": "100ms"}}],
    [{"drop_connection": {"committed": 0.5}}],
    [{"drop_field": {"field": "any"}}, {"delay": {"for": "500ms"}}],
    ["duplicate"],
    ["ignore_write"],
    ["stale"],
    [{"slow_work": {"for": "3s"}}],
    [{"connect": {"how": "refused"}}],
    [{"connect": {"how": "timeout", "after": "1s"}}],
    [{"reset_body": {"keep": 0.5}}],
    [{"slow_bytes": {"bytes_per_s": 50}}],
)
TRIGGERS: Sequence[dict[str, Any]] = (
    {"probability": 1.0},
    {"probability": 0.5},
    {"index": {"exact": [1, 3]}},
    {"probability": 0.9, "burst": {"enter": 0.4, "leave": 0.4, "slot": "1s"}},
    {"nth_call": [2]},
    {"wear": {"gauge": "orders.calls.total", "at_least": 3}},
    {"probability": 0.5, "per": "request"},
)
LIMITS: Sequence[object] = ("none", {"concurrent": 1}, {"total": 2}, {"max_requests": 1})

MODELS = st.lists(
    st.tuples(st.sampled_from(EFFECTS), st.sampled_from(TRIGGERS), st.sampled_from(LIMITS)), min_size=1, max_size=4
)
CALLS = st.lists(
    st.tuples(
        st.integers(1, 4),  # request
        st.sampled_from(OPERATIONS),
        st.sampled_from([None, 0.1, 0.7, 5.0]),  # the caller's time-out
        st.sampled_from([0.0, 0.5, 3.0]),  # when it begins
        st.sampled_from([None, 0.05, 0.3, 1.5]),  # when somebody cancels it
        st.booleans(),  # whether its bytes are read
    ),
    min_size=1,
    max_size=8,
)


def made(parts: Sequence[tuple[Any, Any, Any]]) -> dict[str, FaultModel]:
    return {
        f"fault-{n}": model(f"fault-{n}", effect=effect, trigger=trigger, limits=limits)
        for n, (effect, trigger, limits) in enumerate(parts)
    }


@settings(max_examples=150, deadline=None)
@given(MODELS, CALLS, st.booleans())
def test_every_decision_has_exactly_one_fate(
    parts: Sequence[tuple[Any, Any, Any]], calls: Sequence[tuple[Any, ...]], cut_off: bool
) -> None:
    models = made(parts)
    with Stage([FaultUse(use=name) for name in models], models) as stage:
        cases = {index: case(index) for index in range(1, 5)}

        async def caller(n: int, index: int, operation: str, timeout_s: float | None, at_s: float, read: bool) -> None:
            await asyncio.sleep(at_s)
            await stage.call(cases[index], operation, timeout_s=timeout_s, occurrence=n, read=read)

        async def everybody() -> None:
            tasks = []
            for n, (index, operation, timeout_s, at_s, cancel_s, read) in enumerate(calls):
                task = asyncio.create_task(caller(n, index, operation, timeout_s, at_s, read))
                tasks.append(task)
                if cancel_s is not None:
                    stage.loop.call_later(at_s + cancel_s, task.cancel)
            if cut_off:
                await asyncio.sleep(0.6)
                stage.injector.close()
            await asyncio.gather(*tasks, return_exceptions=True)

        stage.run(everybody())
        stage.injector.close()
        stage.injector.check_balance()
        decisions = [decision for each in cases.values() for decision in each.decisions]
        assert {decision.fate for decision in decisions} <= {"limited", "preempted", "cancelled", "delivered"}
        assert all(decision.by for decision in decisions if decision.fate != "delivered")
        assert not any(decision.seen for decision in decisions if decision.fate != "delivered")
        rows = stage.injector.ledger()
        assert sum(row.drawn for row in rows) == len(decisions)
        assert all(row.eligible == len(calls) for row in rows)
        assert all(armed.under_way == 0 for armed in stage.injector._faults.values())


# --- keyed draws


def decided(models: dict[str, FaultModel], calls: Sequence[Call]) -> dict[tuple[int, int], list[str]]:
    with Stage([FaultUse(use=name) for name in models], models) as stage:
        for call in calls:
            stage.injector.decide(call)
        return {
            (call.case.index, call.number): [d.fault for d in call.case.decisions if d.call == call.number]
            for call in calls
        }


def many_calls(extra_at: int = 0) -> list[Call]:
    calls = []
    for index in range(1, 400):
        a_case = case(index)
        for n in range(3):
            calls.append(call_of(a_case, OPERATIONS[n], started_s=index * 1.5))
        if index == extra_at:
            calls.append(call_of(a_case, OPERATIONS[0], started_s=index * 1.5, occurrence=9))
    return calls


INDEPENDENT = {
    name: each
    for name, each in shipped_models().items()
    if "orders" in each.target.service and each.trigger.wear is None and each.trigger.spacing is None
}


def test_removing_one_fault_changes_no_decision_of_another() -> None:
    everything = decided(INDEPENDENT, many_calls())
    assert sum(map(len, everything.values())) > 20
    for removed in INDEPENDENT:
        rest = {name: each for name, each in INDEPENDENT.items() if name != removed}
        without = decided(rest, many_calls())
        assert without == {key: [f for f in faults if f != removed] for key, faults in everything.items()}


def test_one_more_call_changes_no_decision_about_the_others() -> None:
    before = decided(INDEPENDENT, many_calls())
    after = decided(INDEPENDENT, many_calls(extra_at=100))
    assert {key: faults for key, faults in after.items() if key in before} == before


def test_the_order_of_calls_changes_no_decision() -> None:
    forwards = decided(INDEPENDENT, many_calls())
    assert decided(INDEPENDENT, many_calls()[::-1]) == forwards


def test_another_seed_of_the_weather_changes_only_bursts() -> None:
    def struck(seed: int, **trigger: Any) -> list[int]:
        only = {"a-fault": model(trigger=trigger)}
        with Stage([FaultUse(use="a-fault")], only, seed=seed) as stage:
            return [
                i
                for i in range(1, 500)
                if stage.injector.decide(call_of(case(i), OPERATIONS[0], started_s=i * 5.0)) is not None
            ]

    burst = {"enter": 0.2, "leave": 0.2, "slot": "10s"}
    assert struck(1, probability=0.2) == struck(2, probability=0.2)
    assert struck(1, probability=0.2, burst=burst) != struck(2, probability=0.2, burst=burst)


def test_what_an_effect_draws_belongs_to_its_call() -> None:
    def waits(*names: str) -> list[float]:
        models = {name: model(name, effect=[{"delay": {"dist": "exponential", "mean": "5s"}}]) for name in names}
        with Stage([FaultUse(use=names[-1])], models) as stage:
            return [stage.run(stage.call(case(index), OPERATIONS[0])).elapsed_s for index in (1, 2, 3)]

    assert len(set(waits("a-fault"))) == 3
    assert waits("a-fault") == waits("another", "a-fault") != waits("another")
