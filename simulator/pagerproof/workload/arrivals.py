"""When requests come: arrival processes in virtual time, each arrival a keyed draw that nothing else can move."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pagerproof.errors import InvalidFile, Problem, UsageError
from pagerproof.rng import exponential, gamma, key_of, standard_normal, sub_key
from pagerproof.scenario.schema import Arrivals

SLOT_S: Final = 1800.0
_SLOTS_PER_DAY: Final = 48
_FIRST_OPEN_SLOT: Final = 14  # 07:00

# Percent of a day's calls per half hour from 07:00; measured. The last is the five minutes from 21:00.
HALF_HOUR_SHARES: Final = (
    1.472, 1.649, 2.550, 3.374, 4.722, 5.193, 5.236, 5.219, 5.125, 4.983, 4.830, 4.747, 4.618, 4.574, 4.476,
    4.464, 4.331, 4.235, 3.978, 3.573, 3.029, 2.649, 2.324, 2.076, 1.827, 1.669, 1.492, 1.370, 0.215,
)  # fmt: skip
OPEN_S: Final = SLOT_S * len(HALF_HOUR_SHARES)

BANK_CALLS_PER_S: Final = 32_461 / OPEN_S
"""Mean rate of the bank's day over its opening hours: the default of `contact_center`. Measured."""

DAY_FACTOR_SHAPE: Final = 250.0
DAY_CORRELATION: Final = 0.64
SLOT_NOISE_SHAPE: Final = 850.0
CLOSED_SHARE: Final = 0.02

_ALLOWED: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {  # process: (required, optional)
    "contact_center": (frozenset(), frozenset({"rate", "starts_at", "day_factor_shape"})),
    "poisson": (frozenset({"rate"}), frozenset()),
    "constant": (frozenset({"rate"}), frozenset()),
    "ramp": (frozenset({"rate", "to", "over"}), frozenset()),
    "spike": (frozenset({"rate", "to", "at", "over"}), frozenset()),
    "replay": (frozenset({"file"}), frozenset()),
}


def arrival_times(spec: Arrivals, seed: int, file: Path | None = None) -> Iterator[float]:
    """Yield arrival times in seconds since the run began, nondecreasing; endless except for `replay`.

    `contact_center` is a doubly stochastic Poisson process after `bank_calls` (Weinberg, Brown & Stroud 2007, JASA
    102:1185; 164 weekdays of a North American bank) and the busyness-factor model of Avramidis, Deslauriers &
    L'Ecuyer 2004 (Management Science 50:896):

    - half-hour shares from 07:00, and the mean day of 32,461 calls as default rate: measured
    - Gamma day factor with mean 1 and shape 250 (standard deviation 0.063), day to day correlation 0.64: measured
    - Gamma factor per half hour with shape 850: fitted here so that, at the bank's volume and given the day, the
      variance of the count is 2.0 to 3.7 times its mean in core hours, as measured
    - Poisson within a half hour: measured (dispersion of 5-minute counts against their neighbours 0.94)
    - outside of 07:00 to 21:30, 2 % of the mean rate: assumed (the bank is closed then)

    `rate` is the mean over 07:00 to 21:30; every day is an average weekday. Raises UsageError for keys that do not
    suit the process, InvalidFile for a CSV that cannot be used.
    """
    check_keys(spec)
    rate = spec.rate if spec.rate is not None else BANK_CALLS_PER_S
    if spec.process == "contact_center":
        starts_at_s = spec.starts_at if spec.starts_at is not None else _FIRST_OPEN_SLOT * SLOT_S
        return _contact_center(rate, starts_at_s, spec.day_factor_shape or DAY_FACTOR_SHAPE, seed)
    if spec.process == "constant":
        return _constant(rate)
    if spec.process == "poisson":
        return (unit_s / rate for unit_s in _unit_poisson(seed))
    if spec.process == "replay":
        if file is None:
            raise UsageError("workload.arrivals: process 'replay' needs 'file'")
        return iter(read_timestamps(file))
    to, over_s = _given(spec.to), _given(spec.over)
    if spec.process == "ramp":
        return _ramp(rate, to, over_s, seed)
    return _spike(rate, to, _given(spec.at), over_s, seed)


def check_keys(spec: Arrivals) -> None:
    """Raise UsageError where a key is missing that the process needs, or is there without use."""
    required, optional = _ALLOWED[spec.process]
    given = {name for name, value in spec.model_dump().items() if name != "process" and value is not None}
    for name in sorted(required - given):
        raise UsageError(f"workload.arrivals: process '{spec.process}' needs '{name}'")
    for name in sorted(given - required - optional):
        used = ", ".join(sorted(required | optional))
        raise UsageError(f"workload.arrivals: process '{spec.process}' has no use for '{name}': it takes {used}")


def _given(value: float | None) -> float:
    assert value is not None, "check_keys has seen to it"
    return value


def _ordinal_key(key: int, ordinal: int) -> int:
    return sub_key(key, ordinal.to_bytes(8, "little"))


def _unit_poisson(seed: int) -> Iterator[float]:
    """Arrival times of a Poisson process of rate 1, to be stretched by the inverse of a cumulative rate."""
    key = key_of(seed, "arrivals")
    at = 0.0
    ordinal = 0
    while True:
        at += exponential(_ordinal_key(key, ordinal), 1.0)
        ordinal += 1
        yield at


def _constant(rate: float) -> Iterator[float]:
    ordinal = 1
    while True:
        yield ordinal / rate
        ordinal += 1


def _ramp(rate: float, to: float, over_s: float, seed: int) -> Iterator[float]:
    expected_on_ramp = (rate + to) / 2.0 * over_s
    slope = (to - rate) / over_s if over_s > 0.0 else 0.0
    for unit_s in _unit_poisson(seed):
        if unit_s >= expected_on_ramp:
            yield over_s + (unit_s - expected_on_ramp) / to
        else:
            # the root of rate*t + slope*t²/2 = unit_s, in the form that survives a slope of zero
            yield 2.0 * unit_s / (rate + math.sqrt(max(rate * rate + 2.0 * slope * unit_s, 0.0)))


def _spike(rate: float, to: float, at_s: float, over_s: float, seed: int) -> Iterator[float]:
    expected_before = rate * at_s
    expected_in = to * over_s
    for unit_s in _unit_poisson(seed):
        if unit_s < expected_before:
            yield unit_s / rate
        elif unit_s < expected_before + expected_in:
            yield at_s + (unit_s - expected_before) / to
        else:
            yield at_s + over_s + (unit_s - expected_before - expected_in) / rate


def _contact_center(rate: float, starts_at_s: float, day_shape: float, seed: int) -> Iterator[float]:
    slot_rates = _slot_rates(rate, day_shape, seed)
    slots_key = key_of(seed, "arrivals", "slot")
    for slot, slot_rate in enumerate(slot_rates):
        ends_s = (slot + 1) * SLOT_S - starts_at_s
        if ends_s <= 0.0:
            continue
        # the exponential has no memory, so each slot begins afresh with its own keys
        at_s = max(slot * SLOT_S - starts_at_s, 0.0)
        slot_key = _ordinal_key(slots_key, slot)
        gap_mean_s = 1.0 / slot_rate
        ordinal = 0
        while True:
            at_s += exponential(_ordinal_key(slot_key, ordinal), gap_mean_s)
            if at_s >= ends_s:
                break
            ordinal += 1
            yield at_s


def _slot_rates(rate: float, day_shape: float, seed: int) -> Iterator[float]:
    """Yield the rate of each half hour from midnight of the first day on."""
    profile = [rate * CLOSED_SHARE] * _SLOTS_PER_DAY
    for position, percent in enumerate(HALF_HOUR_SHARES):
        profile[_FIRST_OPEN_SLOT + position] = rate * percent * len(HALF_HOUR_SHARES) / 100.0
    noise_key = key_of(seed, "arrivals", "noise")
    for day, factor in enumerate(_day_factors(day_shape, seed)):
        for position, mean_rate in enumerate(profile):
            slot_key = _ordinal_key(noise_key, day * _SLOTS_PER_DAY + position)
            # a floor keeps the process endless where a user's day factor is nearly always zero
            busy = max(factor * gamma(slot_key, SLOT_NOISE_SHAPE, 1.0 / SLOT_NOISE_SHAPE), 1e-6)
            yield mean_rate * busy


def _day_factors(shape: float, seed: int) -> Iterator[float]:
    """Yield Gamma day factors with mean 1, correlated from day to day through a normal autoregression."""
    key = key_of(seed, "arrivals", "day")
    innovation = math.sqrt(1.0 - DAY_CORRELATION**2)
    z = standard_normal(_ordinal_key(key, 0))
    day = 0
    while True:
        # Wilson & Hilferty's approximation of the gamma quantile; within 0.1 % from a shape of 5 on
        yield max(1.0 - 1.0 / (9.0 * shape) + z / (3.0 * math.sqrt(shape)), 0.0) ** 3
        day += 1
        z = DAY_CORRELATION * z + innovation * standard_normal(_ordinal_key(key, day))


def read_timestamps(file: Path) -> tuple[float, ...]:
    """Return the column `timestamp` of a CSV file in seconds after its first row.

    Values are seconds or ISO 8601 (without an offset: UTC), all of one kind and nondecreasing. Raises InvalidFile
    with the line of each mistake.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFile([Problem(path=str(file), message=f"cannot be read: {error}")]) from None
    rows = csv.reader(text.splitlines())
    header = [name.strip() for name in next(rows, [])]
    if "timestamp" not in header:
        found = ", ".join(header) or "nothing"
        message = f"needs a column named 'timestamp' in its first row; found {found}"
        raise InvalidFile([Problem(path=str(file), line=1, column=1, message=message)])
    column = header.index("timestamp")
    times: list[float] = []
    problems: list[Problem] = []
    kind = ""
    for row in rows:
        if not row:
            continue
        written = row[column].strip() if column < len(row) else ""
        try:
            at_s, this_kind = _timestamp(written)
            if kind and this_kind != kind:
                raise ValueError(f"{written!r} is {this_kind}, the rows above are {kind}")
            if times and at_s < times[-1]:
                raise ValueError(f"{written!r} is earlier than the row above: sort the file by time")
        except ValueError as error:
            problems.append(Problem(path=str(file), line=rows.line_num, column=1, message=str(error)))
            if len(problems) == 20:
                break
            continue
        kind = this_kind
        times.append(at_s)
    if problems:
        raise InvalidFile(problems)
    if not times:
        raise InvalidFile([Problem(path=str(file), line=1, column=1, message="holds no timestamps")])
    return tuple(at_s - times[0] for at_s in times)


def _timestamp(written: str) -> tuple[float, str]:
    try:
        seconds = float(written)
    except ValueError:
        pass
    else:
        if not math.isfinite(seconds):
            raise ValueError(f"{written!r} is not a finite number of seconds")
        return seconds, "seconds"
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise ValueError(f"{written!r} is neither seconds nor an ISO 8601 time such as 2026-11-20T07:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp(), "ISO 8601"
