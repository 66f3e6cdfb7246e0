"""Quantities: what is read, what is refused, what is shown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerproof.units import duration_s, rate_per_s, share, show_duration, size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30.0),
        ("10m", 600.0),
        ("10min", 600.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("80us", 80e-6),
        ("1.5 s", 1.5),
        (" 3s ", 3.0),
        ("1_000s", 1000.0),
        ("1e3s", 1000.0),
        ("0s", 0.0),
        ("-5s", -5.0),
    ],
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["30", 30, 30.0, "", "s", "30 sec", "30S", "1,5s", "30s 1", "٣s", "3M", None, True, [1]]
)
def test_a_duration_without_a_known_unit_is_refused_and_the_message_shows_a_good_one(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration.*such as 30s"):
        duration_s(text)


@pytest.mark.parametrize("read", [duration_s, rate_per_s, size_bytes])
def test_a_number_beyond_all_floats_is_refused(read: object) -> None:
    unit = {duration_s: "s", rate_per_s: "/s", size_bytes: "B"}[read]  # type: ignore[index]  # three functions as keys
    with pytest.raises(ValueError, match="too large"):
        read(f"1e999{unit}")  # type: ignore[operator]  # the same three functions


@pytest.mark.parametrize(
    ("text", "rate"),
    [("4/s", 4.0), ("90/min", 1.5), ("90/m", 1.5), ("3600/h", 1.0), ("86400/d", 1.0), ("0.9 / s", 0.9)],
)
def test_rates_are_read_per_unit_of_time(text: str, rate: float) -> None:
    assert rate_per_s(text) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize("text", ["4", 4, "4/sec", "/s", "4s", "4/"])
def test_a_rate_without_a_unit_of_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a rate.*such as 4/s"):
        rate_per_s(text)


@pytest.mark.parametrize(
    ("text", "value"), [("3%", 0.03), ("0.03", 0.03), (0.03, 0.03), (0, 0.0), (1, 1.0), ("100 %", 1.0)]
)
def test_shares_are_percentages_or_fractions(text: object, value: float) -> None:
    assert share(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("text", [1.5, "1.5", "-1%", "101%", -0.01, "nan", "inf", math.nan])
def test_a_share_outside_of_0_and_1_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="within 0 and 1"):
        share(text)


@pytest.mark.parametrize("text", ["", "half", "%", None, True, "3 percent"])
def test_what_is_no_number_is_no_share(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a share: write 3% or 0.03"):
        share(text)


@pytest.mark.parametrize(
    ("text", "size"), [("512B", 512), ("40kB", 40_000), ("1KiB", 1024), ("1.5 MB", 1_500_000), ("1MiB", 1_048_576)]
)
def test_sizes_are_read_with_their_unit(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "why"), [("512", "not a size"), ("1KB", "not a size"), ("0.5B", "whole number of bytes")]
)
def test_a_size_without_unit_or_with_half_a_byte_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        size_bytes(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 µs"),
        (83e-6, "83 µs"),
        (0.0009996, "1 ms"),
        (0.25, "250 ms"),
        (0.9996, "1.0 s"),
        (4.24, "4.2 s"),
        (59.96, "1 min 0 s"),
        (725.0, "12 min 5 s"),
        (3599.7, "1 h 0 min"),
        (12_000.0, "3 h 20 min"),
        (7_199.0, "2 h 0 min"),
        (-4.2, "-4.2 s"),
        (math.inf, "∞"),
        (math.nan, "?"),
    ],
)
def test_durations_are_shown_short_and_never_round_up_into_sixty_of_a_unit(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown


@given(st.floats(min_value=0, max_value=1e7))
def test_no_shown_duration_says_60_seconds_60_minutes_or_1000_of_the_smaller_unit(seconds: float) -> None:
    shown = show_duration(seconds)
    assert not shown.startswith(("1000 µs", "1000 ms", "60.0 s", "60 min"))
    assert " 60 " not in shown
