"""The circuit breaker: its states beside those of other libraries, what it remembers, and what it never gives."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.valve import (
    READ,
    READ_ARGUMENTS,
    WRITE,
    WRITE_ARGUMENTS,
    FakeDesk,
    ScriptedToolbox,
    answer,
    order,
    run,
)

from pagerproof.tools import BadAnswer, ConnectionLost, ToolTimeout
from pagerproof.valves import CACHED_AGE_HEADER, BreakerOpen, CircuitBreaker, Thresholds, is_cached
from pagerproof.valves.circuit_breaker import PRESETS, Circuit, State

# Recorded from pybreaker 1.4.1 (fail_max=5, reset_timeout=60) on a clock of our own: seconds since the last call, the
# call fails or succeeds, it was let through (+) or refused (-), and the state afterwards (closed or open).
_PYBREAKER = """
    5s+c 5f+c 20f+c 20f+c 20f+c 1f+o 1f-o 61f+o 20s-o 5f-o 20f-o 20f+o 20f-o 1f-o 1f-o 5f-o
    20f-o 20f+o 1f-o 61f+o 61f+o 20s-o 1f-o 1f-o 20f-o 1f-o 1f-o 1f-o 1f-o 1f-o 1f-o 61f+o
    1f-o 1f-o 1f-o 1f-o 5f-o 1f-o 61f+o 1f-o 5f-o 20f-o 20f-o 61f+o 5f-o 1f-o 1f-o 20f-o
    1f-o 5s-o 20f-o 1f-o 1f-o 1f-o 20f+o 1f-o 1f-o 20f-o 1f-o 1f-o 1s-o 5f-o 1s-o 1f-o
    1s-o 20f-o 1f-o 61s+c 1f+c 5s+c 20f+c 1f+c 1f+c 1f+c 61f+o 5f-o 20f-o 20f-o 61s+c 1f+c
    20f+c 20f+c 1f+c 1f+o 1f-o 5f-o 1f-o 1f-o 1f-o 1s-o 1f-o 61f+o 1f-o 1f-o 1f-o 1f-o
""".split()  # noqa: SIM905 - a table reads best as words


def test_the_states_are_those_that_pybreaker_was_recorded_with() -> None:
    circuit = Circuit(PRESETS["pybreaker"])
    now_s = 0.0
    for row, words in enumerate(_PYBREAKER):
        now_s += float(words[:-3])
        failed, let_through, after = words[-3] == "f", words[-2] == "+", words[-1]
        assert circuit.permits(now_s) is let_through, f"row {row}: {words}"
        if let_through:
            circuit.record(circuit.generation, now_s, failed=failed)
        assert circuit.state.value[0] == after, f"row {row}: {words}"


class Resilience4jRules:
    """The documented rules of resilience4j's CircuitBreaker with a COUNT window, written down a second time."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self.state = "closed"
        self.outcomes: deque[bool] = deque(maxlen=thresholds.window_calls)
        self.opened_s = 0.0
        self.permits = 0

    def step(self, now_s: float, *, failed: bool) -> bool:
        if self.state == "open":
            if now_s < self.opened_s + self.thresholds.open_s:
                return False
            self.state, self.permits = "half_open", self.thresholds.half_open_calls
            self.outcomes = deque(maxlen=self.thresholds.half_open_calls)
        if self.state == "half_open":
            if self.permits == 0:
                return False
            self.permits -= 1
        self.outcomes.append(failed)
        enough = self.thresholds.minimum_calls if self.state == "closed" else self.thresholds.half_open_calls
        if len(self.outcomes) >= enough:
            rate = sum(self.outcomes) / len(self.outcomes)
            if rate >= self.thresholds.failure_rate:
                self.state, self.opened_s = "open", now_s
            elif self.state == "half_open":
                self.state = "closed"
                self.outcomes = deque(maxlen=self.thresholds.window_calls)
        return True


_FEW = Thresholds(failure_rate=1.0, minimum_calls=2, window_calls=2, open_s=30.0, half_open_calls=1)
_SMALL = Thresholds(failure_rate=0.5, minimum_calls=4, window_calls=6, open_s=30.0, half_open_calls=3)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([_SMALL, *PRESETS.values()]),
    st.lists(st.tuples(st.sampled_from([0.5, 3.0, 31.0, 61.0]), st.booleans()), max_size=200),
)
def test_the_states_follow_the_rules_of_resilience4j(thresholds: Thresholds, calls: list[tuple[float, bool]]) -> None:
    circuit, rules = Circuit(thresholds), Resilience4jRules(thresholds)
    now_s = 0.0
    for gap_s, failed in calls:
        now_s += gap_s
        permitted = circuit.permits(now_s)
        if permitted:
            circuit.record(circuit.generation, now_s, failed=failed)
        assert permitted is rules.step(now_s, failed=failed)
        assert circuit.state.value == rules.state


def test_only_so_many_trial_calls_run_at_once_and_one_given_up_frees_its_place() -> None:
    circuit = Circuit(_SMALL)
    for _ in range(4):
        assert circuit.permits(0.0)
        circuit.record(circuit.generation, 0.0, failed=True)
    assert circuit.state is State.OPEN
    assert [circuit.permits(30.0) for _ in range(4)] == [True, True, True, False]
    circuit.release(circuit.generation)
    assert circuit.permits(30.0)


def test_a_call_from_before_the_circuit_opened_no_longer_counts() -> None:
    circuit = Circuit(_FEW)
    old = circuit.generation
    for _ in range(2):
        circuit.record(old, 0.0, failed=True)
    assert circuit.permits(30.0)
    circuit.record(old, 30.0, failed=False)
    assert circuit.state is State.HALF_OPEN


@pytest.mark.parametrize(
    "wrong",
    [{"failure_rate": 0.0}, {"failure_rate": 1.5}, {"minimum_calls": 7}, {"minimum_calls": 0}, {"half_open_calls": 0}],
)
def test_thresholds_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    sane = {"failure_rate": 0.5, "minimum_calls": 4, "window_calls": 6, "open_s": 30.0, "half_open_calls": 3}
    with pytest.raises(ValueError, match="must"):
        Thresholds(**{**sane, **wrong})  # type: ignore[arg-type]  # figures of one table, some of them wrong on purpose


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="resilience4j"):
        CircuitBreaker("hystrix")


def opened(breaker: CircuitBreaker, operation: str = READ) -> None:
    circuit = breaker.circuit(operation)
    for _ in range(breaker.thresholds.minimum_calls):
        circuit.record(circuit.generation, 0.0, failed=True)
    assert circuit.state is State.OPEN


@pytest.mark.parametrize(
    "failure", [ToolTimeout(READ, "late"), ConnectionLost(READ, "gone"), BadAnswer(READ, "cut"), answer({}, 500)]
)
def test_failures_open_the_circuit_and_the_next_call_is_not_sent(failure: object) -> None:
    inner = ScriptedToolbox({READ: [failure]})  # type: ignore[list-item]  # one of the kinds it takes
    desk = FakeDesk(inner)
    toolbox = CircuitBreaker(_FEW).around(inner, desk)
    for _ in range(2):
        with suppress(ToolTimeout, ConnectionLost, BadAnswer):
            run(toolbox.call(READ, READ_ARGUMENTS))
    with pytest.raises(BreakerOpen):
        run(toolbox.call(READ, READ_ARGUMENTS))
    assert len(inner.calls) == 2
    assert desk.marked("circuit_breaker")[0] == "orders.Order.get: closed -> open"


@pytest.mark.parametrize("status", [400, 404, 409, 429])
def test_what_the_caller_did_wrong_does_not_open_the_circuit(status: int) -> None:
    inner = ScriptedToolbox({READ: [answer({}, status)]})
    toolbox = CircuitBreaker(_FEW).around(inner, FakeDesk(inner))
    assert [run(toolbox.call(READ, READ_ARGUMENTS)).status for _ in range(9)] == [status] * 9


def test_an_open_circuit_answers_the_same_read_from_memory_and_says_how_old_it_is() -> None:
    breaker = CircuitBreaker(_FEW)
    inner = ScriptedToolbox({READ: [answer(order(), etag="W/1")]})
    desk = FakeDesk(inner)
    toolbox = breaker.around(inner, desk)
    run(toolbox.call(READ, READ_ARGUMENTS))
    opened(breaker)
    desk.virtual.time_s = 12.5
    remembered = run(toolbox.call(READ, dict(READ_ARGUMENTS)))
    assert remembered.json() == order()
    assert remembered.headers[CACHED_AGE_HEADER] == "12.500"
    assert remembered.headers["etag"] == "W/1"
    assert is_cached(remembered)
    assert len(inner.calls) == 1


def test_an_open_circuit_never_answers_with_another_customers_record() -> None:
    breaker = CircuitBreaker(_FEW)
    inner = ScriptedToolbox({READ: [answer(order())]})
    run(breaker.around(inner, FakeDesk(inner)).call(READ, READ_ARGUMENTS))
    opened(breaker)
    with pytest.raises(BreakerOpen):
        run(breaker.around(inner, FakeDesk(inner, index=2)).call(READ, {"order_id": "4500000002"}))


def test_an_open_circuit_refuses_writes_even_if_the_same_write_succeeded_before() -> None:
    breaker = CircuitBreaker(_FEW)
    inner = ScriptedToolbox({WRITE: [answer({})]})
    toolbox = breaker.around(inner, FakeDesk(inner))
    run(toolbox.call(WRITE, WRITE_ARGUMENTS))
    opened(breaker, WRITE)
    with pytest.raises(BreakerOpen):
        run(toolbox.call(WRITE, WRITE_ARGUMENTS))


def test_memory_is_bounded_in_number_and_in_age_and_can_be_switched_off() -> None:
    inner = ScriptedToolbox({READ: [answer(order())]})
    for breaker, age_s in (
        (CircuitBreaker(_FEW, cached_answers=2), 0.0),
        (CircuitBreaker(_FEW, cached_age_max_s=5.0), 6.0),
        (CircuitBreaker(_FEW, cached=False), 0.0),
    ):
        desk = FakeDesk(inner)
        toolbox = breaker.around(inner, desk)
        for index in (1, 2, 3):
            run(toolbox.call(READ, {"order_id": f"450000000{index}"}))
        opened(breaker)
        desk.virtual.time_s = age_s
        with pytest.raises(BreakerOpen):
            run(toolbox.call(READ, {"order_id": "4500000001"}))


def test_a_good_trial_call_closes_the_circuit_again() -> None:
    breaker = CircuitBreaker(_FEW)
    inner = ScriptedToolbox({READ: [answer(order())]})
    desk = FakeDesk(inner)
    toolbox = breaker.around(inner, desk)
    opened(breaker)
    desk.virtual.time_s = 31.0
    assert run(toolbox.call(READ, READ_ARGUMENTS)).ok
    assert desk.marked("circuit_breaker") == [
        "orders.Order.get: open -> half_open",
        "orders.Order.get: half_open -> closed",
    ]


def test_circuits_are_kept_per_operation_or_per_service() -> None:
    each, shared = CircuitBreaker(_FEW), CircuitBreaker(_FEW, per="service")
    assert each.circuit("sap.SalesOrder.get") is not each.circuit("sap.CreditMemo.find")
    assert shared.circuit("sap.SalesOrder.get") is shared.circuit("sap.CreditMemo.find")
    assert shared.circuit("sap.SalesOrder.get") is not shared.circuit("crm.Customer.get")
