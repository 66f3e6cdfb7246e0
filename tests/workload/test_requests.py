"""Requests are pure functions of seed and index, with the stated shares, difficulties and edge cases."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workload.stage import built, resolve, shipped

from pagerproof.errors import UsageError
from pagerproof.scenario.schema import Arrivals, Workload
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.workload.build import BuiltWorkload, build_workload
from pagerproof.workload.edge_cases import EDGE_CASES, LONG_MESSAGE_CHARACTERS

INDICES = st.integers(min_value=1, max_value=20_000)


@cache
def strange() -> BuiltWorkload:
    return built(edge_cases=0.5, customers_per_locale=20)


def facts(workload: BuiltWorkload, index: int) -> Any:
    return workload.case(index, 0.0)


@settings(deadline=None, max_examples=60)
@given(indices=st.lists(INDICES, min_size=1, max_size=12), data=st.data())
def test_a_request_does_not_depend_on_what_was_made_before(indices: list[int], data: st.DataObject) -> None:
    one = {index: facts(strange(), index) for index in indices}
    other = data.draw(st.permutations(indices))
    fresh = {index: facts(another(), index) for index in other}
    assert one == fresh


@cache
def another() -> BuiltWorkload:
    return built(edge_cases=0.5, customers_per_locale=20, length=7)


def test_forgotten_orders_come_back_the_same() -> None:
    workload = built(customers_per_locale=10)
    first = workload.directory.order("4500000003")
    for index in range(10, 5_000):
        workload.directory.order_at(index)
    again = workload.directory.order("4500000003")
    assert first is not again
    assert first == again


def test_another_seed_gives_other_requests() -> None:
    one, two = shipped(), built(seed=2, edge_cases=0, customers_per_locale=40)
    assert sum(one.case(i, 0.0)[0].text == two.case(i, 0.0)[0].text for i in range(1, 201)) < 20


def test_an_override_changes_its_own_index_only() -> None:
    spec: dict[str, Any] = {"customers_per_locale": 20, "edge_cases": 0.2}
    plain = built(**spec)
    forced = built(**spec, requests={10: {"intent": "refund", "amount": "249", "patience": "15m", "channel": "voice"}})
    for index in (*range(1, 10), *range(11, 60)):
        assert plain.case(index, 0.0) == forced.case(index, 0.0)
    request, truth = forced.case(10, 3.0)
    assert truth.scripted
    assert truth.intents == ("refund",)
    assert truth.slots["amount"] == "249.00"
    assert {effect.amount_minor for effect in truth.expectation.effects} == {24_900}
    assert (request.channel, truth.patience_s, request.arrival_s) == ("voice", 900.0, 3.0)
    assert not plain.case(10, 0.0)[1].scripted


def test_shares_are_as_stated() -> None:
    workload = built(edge_cases="20%", customers_per_locale=40)
    cases = [workload.case(index, 0.0) for index in range(1, 4001)]
    channels = Counter(request.channel for request, _ in cases)
    chat_only = sum(truth.intents[1:] != () for _, truth in cases) / 4000
    assert channels["chat"] / 4000 == pytest.approx(0.62 * (1 - chat_only) + chat_only, abs=0.03)
    assert sum(bool(truth.edge_cases) for _, truth in cases) / 4000 == pytest.approx(0.20, abs=0.025)
    locales = Counter(request.locale for request, _ in cases)
    assert len(locales) == 6
    assert all(count / 4000 == pytest.approx(1 / 6, abs=0.03) for count in locales.values())
    total = sum(intent.weight for intent in workload.intents.values())
    statuses = Counter(truth.intents for _, truth in cases)
    assert statuses["order_status",] / 4000 == pytest.approx(workload.intents["order_status"].weight / total, abs=0.015)


def test_difficulty_is_one_minus_a_beta_draw() -> None:
    a, b = 5.8, 1.265
    found = [shipped().case(index, 0.0)[1].difficulty for index in range(1, 6001)]
    mean = sum(found) / len(found)
    variance = sum((each - mean) ** 2 for each in found) / len(found)
    assert mean == pytest.approx(b / (a + b), abs=0.006)
    assert variance == pytest.approx(a * b / ((a + b) ** 2 * (a + b + 1)), rel=0.08)
    assert all(0.0 <= each <= 1.0 for each in found)


def test_patience_follows_its_distribution() -> None:
    found = sorted(shipped().case(index, 0.0)[1].patience_s for index in range(1, 2002))
    assert found[1000] == pytest.approx(240.0, rel=0.06)
    forever = built(patience={"dist": "infinite"}, customers_per_locale=2)
    assert math.isinf(forever.case(1, 0.0)[1].patience_s)
    mean = built(patience={"dist": "exponential", "mean": "100s"}, customers_per_locale=2)
    waits = [mean.case(index, 0.0)[1].patience_s for index in range(1, 3001)]
    assert sum(waits) / 3000 == pytest.approx(100.0, rel=0.08)


def test_only_intents_narrows_the_mix() -> None:
    workload = built(only_intents=("refund", "complaint"), customers_per_locale=5, edge_cases=0)
    assert {workload.case(index, 0.0)[1].intents for index in range(1, 60)} == {("refund",), ("complaint",)}


@pytest.mark.parametrize("name", EDGE_CASES)
def test_every_edge_case_changes_text_or_customer_and_raises_difficulty(name: str) -> None:
    spec: dict[str, Any] = {"customers_per_locale": 20, "edge_cases": 0}
    fixed = {"intent": "refund", "locale": "de_DE"}
    plain_request, plain = built(**spec, requests={5: fixed}).case(5, 0.0)
    workload = built(**spec, requests={5: {**fixed, "edge_cases": [name]}})
    request, truth = workload.case(5, 0.0)
    assert truth.edge_cases == (name,)
    assert request.text != plain_request.text
    assert plain.difficulty < truth.difficulty <= 1.0
    must_decline = {"empty_message", "contradiction", "wrong_order_number", "other_peoples_data"}
    assert truth.expectation.decline == (name in must_decline)
    assert bool(truth.expectation.effects) != truth.expectation.decline
    order = workload.directory.order(truth.slots["order_id"])
    if name == "wrong_order_number":
        assert order is None
        assert truth.slots["order_id"] in request.text
        for slot in ("sales_order", "payment_id", "billing_document"):
            assert workload.directory.order(truth.slots[slot]) is None
    elif name == "other_peoples_data":
        assert order is not None
        assert order["customer_id"] != truth.customer.customer_id
        assert truth.slots["amount"] == order["total"]
    else:
        assert order is not None
        assert order["customer_id"] == truth.customer.customer_id
        assert truth.expectation.effects == () or truth.expectation.effects[0].entity == order["sales_order"]
    assert workload.directory.customer_by_email(request.customer_email) == truth.customer


def test_edge_cases_look_as_they_are_called() -> None:
    def text(name: str) -> str:
        override = {5: {"intent": "refund", "edge_cases": [name]}}
        return built(customers_per_locale=5, requests=override).case(5, 0.0)[0].text

    assert len(text("very_long_message")) == LONG_MESSAGE_CHARACTERS
    assert text("empty_message") == ""
    assert "4500000005" not in text("zero_width_characters")
    assert "4500000005" in text("zero_width_characters").replace("\u200b", "")
    assert text("duplicate_message").count("4500000005") == 2
    assert "<script>" in text("html_in_message")
    assert any("\u0590" <= letter <= "\u06ff" for letter in text("right_to_left_name"))


def test_two_edge_cases_may_meet() -> None:
    override = {5: {"intent": "refund", "edge_cases": ["right_to_left_name", "changed_mind"], "difficulty": 0.9}}
    request, truth = built(customers_per_locale=5, requests=override).case(5, 0.0)
    assert truth.edge_cases == ("right_to_left_name", "changed_mind")
    assert request.customer_name in request.text
    assert truth.difficulty == 0.9
    assert len(truth.expectation.effects) == 2


def test_all_edge_cases_turn_up_by_themselves() -> None:
    seen = {name for index in range(1, 1200) for name in strange().case(index, 0.0)[1].edge_cases}
    assert seen == set(EDGE_CASES)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"only_intents": ("refnd",)}, "there is no intent 'refnd': did you mean 'refund'?"),
        ({"requests": {0: {}}}, "start at 1"),
        ({"requests": {3: {"intent": "refnd"}}}, "workload.requests.3.intent"),
        ({"requests": {3: {"locale": "it_IT"}}}, "workload.requests.3.locale"),
        ({"requests": {3: {"channel": "fax"}}}, "there is no channel among workload.channels 'fax'"),
        ({"requests": {3: {"edge_cases": ["emojis"]}}}, "did you mean 'emoji'?"),
        ({"requests": {3: {"intent": "password_reset", "edge_cases": ["wrong_order_number"]}}}, "about no order"),
        ({"channels": {"chat": 0}}, "at least one channel"),
        ({"locales": ("xx_XX",)}, "Faker cannot make customers for 'xx_XX'"),
    ],
)
def test_what_the_scenario_gets_wrong_is_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        built(customers_per_locale=3, **spec)
    assert message in str(caught.value)


def test_a_replay_shorter_than_the_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("timestamp\n1\n2\n", encoding="utf-8")
    spec = Workload(arrivals=Arrivals(process="replay", file="calls.csv"), customers_per_locale=1)

    def find(name: str) -> Path:
        return file if name == "calls.csv" else resolve(name)

    def build(length: int) -> BuiltWorkload:
        return build_workload(spec, seed=1, requests=length, operations=OPERATIONS, resolve=find)

    assert list(build(2).arrivals()) == [0.0, 1.0]
    with pytest.raises(UsageError, match=r"calls\.csv holds 2 timestamps, the scenario asks for 3 requests"):
        build(3)
