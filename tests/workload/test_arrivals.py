"""Arrival processes have the rates and the dispersion that they promise, and never depend on anything but the seed."""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagerproof.errors import InvalidFile, UsageError
from pagerproof.scenario.schema import Arrivals
from pagerproof.workload.arrivals import BANK_CALLS_PER_S, OPEN_S, SLOT_S, _day_factors, arrival_times

DAY_S = 86_400.0


def until(end_s: float, seed: int = 1, **spec: Any) -> list[float]:
    return list(takewhile(lambda at: at < end_s, arrival_times(Arrivals(**spec), seed)))


def counted(times: list[float], begin_s: float, end_s: float) -> int:
    return bisect_left(times, end_s) - bisect_left(times, begin_s)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(min_value=0, max_value=2**63 - 1),
    spec=st.sampled_from(
        [
            {"process": "contact_center"},
            {"process": "contact_center", "rate": "3/s", "starts_at": "23h", "day_factor_shape": 2.0},
            {"process": "poisson", "rate": "2/s"},
            {"process": "constant", "rate": "90/min"},
            {"process": "ramp", "rate": "1/s", "to": "9/s", "over": "30s"},
            {"process": "ramp", "rate": "9/s", "to": "1/s", "over": "30s"},
            {"process": "ramp", "rate": "2/s", "to": "2/s", "over": "30s"},
            {"process": "spike", "rate": "1/s", "to": "20/s", "at": "20s", "over": "10s"},
        ]
    ),
)
def test_times_are_nondecreasing_endless_and_the_same_again(seed: int, spec: dict[str, Any]) -> None:
    once = list(islice(arrival_times(Arrivals(**spec), seed), 300))
    assert len(once) == 300
    assert once[0] >= 0.0
    assert all(a <= b for a, b in pairwise(once))
    assert once == list(islice(arrival_times(Arrivals(**spec), seed), 300))


def test_another_seed_gives_other_times() -> None:
    assert until(600.0, seed=1, process="poisson", rate="1/s") != until(600.0, seed=2, process="poisson", rate="1/s")


def test_constant_and_poisson_keep_their_rate() -> None:
    assert until(10.1, process="constant", rate="2/s") == [number / 2 for number in range(1, 21)]
    times = until(10_000.0, process="poisson", rate="2/s")
    assert len(times) == pytest.approx(20_000, rel=0.03)
    per_minute = [counted(times, minute * 60.0, minute * 60.0 + 60.0) for minute in range(166)]
    assert dispersion(per_minute) == pytest.approx(1.0, abs=0.35)


def test_a_ramp_rises_to_its_rate_and_stays_there() -> None:
    times = until(4000.0, process="ramp", rate="1/s", to="5/s", over="2000s")
    assert counted(times, 0.0, 2000.0) == pytest.approx(6000, rel=0.04)
    assert counted(times, 0.0, 500.0) == pytest.approx(750, rel=0.15)
    assert counted(times, 1500.0, 2000.0) == pytest.approx(2250, rel=0.08)
    assert counted(times, 2000.0, 4000.0) == pytest.approx(10_000, rel=0.04)


def test_a_spike_begins_and_ends() -> None:
    times = until(3000.0, process="spike", rate="1/s", to="10/s", at="1000s", over="500s")
    assert counted(times, 0.0, 1000.0) == pytest.approx(1000, rel=0.1)
    assert counted(times, 1000.0, 1500.0) == pytest.approx(5000, rel=0.06)
    assert counted(times, 1500.0, 3000.0) == pytest.approx(1500, rel=0.1)


def dispersion(counts: list[int]) -> float:
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 for count in counts) / (len(counts) - 1) / mean


@pytest.fixture(scope="module")
def many_days() -> list[float]:
    return until(40 * DAY_S, process="contact_center", starts_at="0s")


def test_the_contact_center_has_the_mean_rate_and_the_profile_of_the_bank(many_days: list[float]) -> None:
    opened = sum(counted(many_days, day * DAY_S + 7 * 3600, day * DAY_S + 7 * 3600 + OPEN_S) for day in range(40))
    assert opened / (40 * OPEN_S) == pytest.approx(BANK_CALLS_PER_S, rel=0.05)
    peak = sum(counted(many_days, day * DAY_S + 10 * 3600, day * DAY_S + 10 * 3600 + SLOT_S) for day in range(40))
    assert peak / opened == pytest.approx(0.05236, rel=0.05)
    night = sum(counted(many_days, day * DAY_S, day * DAY_S + 7 * 3600) for day in range(40))
    assert night / (40 * 7 * 3600) == pytest.approx(0.02 * BANK_CALLS_PER_S, rel=0.1)


def test_half_hours_are_as_overdispersed_as_measured(many_days: list[float]) -> None:
    raw, given_day = [], []
    for slot in range(18, 36):  # 09:00 to 18:00
        counts = [counted(many_days, d * DAY_S + slot * SLOT_S, d * DAY_S + (slot + 1) * SLOT_S) for d in range(40)]
        days = [counted(many_days, day * DAY_S, (day + 1) * DAY_S) for day in range(40)]
        share = sum(counts) / sum(days)
        mean = sum(counts) / len(counts)
        raw.append(dispersion(counts))
        given_day.append(sum((n - share * d) ** 2 for n, d in zip(counts, days, strict=True)) / 39 / mean)
    assert 4.0 < sum(raw) / len(raw) < 21.0
    assert 2.0 < sum(given_day) / len(given_day) < 3.7


def test_busy_days_come_in_a_row() -> None:
    factors = list(islice(_day_factors(250.0, 5), 4000))
    mean = sum(factors) / 4000
    centred = [factor - mean for factor in factors]
    variance = sum(each * each for each in centred) / 4000
    assert mean == pytest.approx(1.0, abs=0.01)
    assert variance == pytest.approx(1 / 250, rel=0.15)
    assert sum(a * b for a, b in pairwise(centred)) / 4000 / variance == pytest.approx(0.64, abs=0.05)


def test_a_later_start_meets_the_same_half_hours() -> None:
    from_nine = until(3 * SLOT_S, process="contact_center", starts_at="9h")
    from_half_past = until(2 * SLOT_S, process="contact_center", starts_at="9.5h")
    late = [at - SLOT_S for at in from_nine if at >= SLOT_S]
    assert from_half_past == pytest.approx(late, abs=1e-6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"process": "poisson"}, "process 'poisson' needs 'rate'"),
        ({"process": "ramp", "rate": "1/s", "to": "2/s"}, "needs 'over'"),
        ({"process": "poisson", "rate": "1/s", "to": "2/s"}, "has no use for 'to': it takes rate"),
        ({"process": "replay"}, "needs 'file'"),
    ],
)
def test_keys_that_do_not_suit_the_process_are_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        arrival_times(Arrivals(**spec), 1)
    assert message in str(caught.value)


def replay(tmp_path: Path, text: str) -> list[float]:
    file = tmp_path / "calls.csv"
    file.write_text(text, encoding="utf-8")
    return list(arrival_times(Arrivals(process="replay", file="calls.csv"), 1, file))


def test_a_replay_begins_at_its_first_row(tmp_path: Path) -> None:
    assert replay(tmp_path, "caller,timestamp\na,100\nb,100.5\n\nc,160\n") == [0.0, 0.5, 60.0]
    iso = "timestamp\n2026-11-20T09:00:00Z\n2026-11-20T10:00:30+01:00\n2026-11-20 09:01:00Z\n"
    assert replay(tmp_path, iso) == [0.0, 30.0, 60.0]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("time\n1\n", ":1:", "needs a column named 'timestamp'"),
        ("", ":1:", "found nothing"),
        ("timestamp\n", ":1:", "holds no timestamps"),
        ("timestamp\n1\nsoon\n", ":3:", "'soon' is neither seconds nor an ISO 8601 time"),
        ("timestamp\n5\n4\n", ":3:", "earlier than the row above"),
        ("timestamp\n5\n2026-11-20T09:00:00Z\n", ":3:", "the rows above are seconds"),
        ("a,timestamp\n1,5\n1\n", ":3:", "''"),
        ("timestamp\nnan\n", ":2:", "not a finite number"),
    ],
)
def test_a_bad_csv_is_named_by_line(tmp_path: Path, text: str, place: str, message: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        replay(tmp_path, text)
    assert f"calls.csv{place}" in str(caught.value)
    assert message in str(caught.value)
