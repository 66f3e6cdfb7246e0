"""The language of gates: `metric{label=value}.aggregate < limit unit`, one threshold in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pagerproof.metrics.expectations import BROKEN
from pagerproof.model import Outcome
from pagerproof.oracles import known_modes

SHARE: Final = "%"
TIME: Final = "s"
MONEY: Final = "USD"
COUNT: Final = ""

_COUNTS = ("count", "rate")
_REQUEST_LABELS = ("intent", "channel", "locale")
_SPREADS = ("p", "mean", "min", "max", "sum")
_TIME_UNITS = {"ms": (1.0, 1000.0), "s": (1.0, 1.0), "min": (60.0, 1.0), "m": (60.0, 1.0), "h": (3600.0, 1.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What a gate may name: its aggregates, its labels, and the unit of its values ("%" belongs to every rate)."""

    name: str
    aggregates: tuple[str, ...]
    labels: tuple[str, ...]
    unit: str
    summary: str


def _of_requests(name: str, summary: str) -> Metric:
    return Metric(name=name, aggregates=_COUNTS, labels=_REQUEST_LABELS, unit=COUNT, summary=summary)


def _spread(name: str, unit: str, summary: str, labels: tuple[str, ...] = (*_REQUEST_LABELS, "outcome")) -> Metric:
    return Metric(name=name, aggregates=_SPREADS, labels=labels, unit=unit, summary=summary)


_OUTCOME_NAMES = {"silent_failure": Outcome.FAILED_SILENT, **{outcome.value: outcome for outcome in Outcome}}


def _metrics(modes: Iterable[str]) -> dict[str, Metric]:
    found = [_of_requests(name, f"requests whose outcome is {outcome}") for name, outcome in _OUTCOME_NAMES.items()]
    found.append(_of_requests("failure", "requests with any outcome that is a failure"))
    found.append(_of_requests(BROKEN, "requests that broke an invariant of a fault that struck them"))
    found.append(_spread("latency", TIME, "seconds from the intended arrival to the answer"))
    found.append(_spread("cost", MONEY, "what a request's model calls cost"))
    found.append(_spread("calls", COUNT, "physical calls of a request, model calls included"))
    found.append(_spread("model_calls", COUNT, "physical model calls of a request"))
    found.append(_spread("retries", COUNT, "calls of a request with an attempt above 1"))
    found.append(_spread("tokens_in", COUNT, "tokens that a request's model calls read"))
    found.append(_spread("tokens_out", COUNT, "tokens that a request's model calls wrote"))
    found.append(_spread("recovery", TIME, "seconds from a bad answer to the service's next good one", ("service",)))
    found.append(
        Metric(
            name="retry_amplification",
            aggregates=("mean", "max"),
            labels=("operation", "service"),
            unit=COUNT,
            summary="physical calls per logical call: over all operations, or of the worst one",
        )
    )
    by_name = {metric.name: metric for metric in found}
    for mode in sorted(modes):
        by_name.setdefault(mode, _of_requests(mode, f"requests with the failure mode or tag {mode}"))
    return by_name


METRICS: Final = _metrics(known_modes())
"""Every metric by its name: outcomes, quantities, and the failure modes and tags of the installed oracles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A parsed gate. `limit` is in the metric's base unit: a fraction for rates, seconds, USD or a bare number."""

    text: str
    metric: str
    aggregate: str
    quantile: float
    labels: tuple[tuple[str, str], ...]
    comparator: str
    limit: float
    unit: str

    @property
    def outcome(self) -> Outcome | None:
        """The outcome that the metric counts, if it counts one."""
        return _OUTCOME_NAMES.get(self.metric)

    def holds(self, observed: float) -> bool:
        """Whether an observed value passes."""
        if self.comparator == "<":
            return observed < self.limit
        if self.comparator == "<=":
            return observed <= self.limit
        if self.comparator == ">":
            return observed > self.limit
        if self.comparator == ">=":
            return observed >= self.limit
        return observed == self.limit if self.comparator == "==" else observed != self.limit


class ExpressionError(ValueError):
    """A gate that cannot be read; `offset` counts characters from 0."""

    def __init__(self, text: str, offset: int, message: str) -> None:
        self.text = text
        self.offset = offset
        self.message = message
        super().__init__(f"{message}\n  {text}\n  {' ' * offset}^")


_NAME = re.compile(r"[A-Za-z_]\w*")
_LABEL_VALUE = re.compile(r"[^,}\s][^,}]*")
_COMPARATOR = re.compile(r"<=|>=|==|!=|<|>")
_NUMBER = re.compile(r"[+-]?\d+(?:_\d{3})*(?:\.\d+)?(?:[eE][+-]?\d+)?")
_UNIT = re.compile(r"%|[A-Za-zµ$€]+")


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, message: str, at: int | None = None) -> ExpressionError:
        return ExpressionError(self.text, self.at if at is None else at, message)

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def take(self, pattern: re.Pattern[str], what: str) -> str:
        self.skip()
        match = pattern.match(self.text, self.at)
        if match is None:
            raise self.fail(f"expected {what}")
        self.at = match.end()
        return match[0]

    def sees(self, character: str) -> bool:
        self.skip()
        if self.text.startswith(character, self.at):
            self.at += len(character)
            return True
        return False


def parse(text: str) -> Expression:
    """Return the gate that `text` says. Raises ExpressionError (a ValueError) with the offset and the nearest name."""
    reader = _Reader(text)
    name_at = _start(reader)
    name = reader.take(_NAME, "the name of a metric, as in `latency.p(95) < 8s`")
    metric = METRICS.get(name)
    if metric is None:
        raise reader.fail(f"unknown metric {name!r}{_nearest(name, METRICS)}", name_at)
    labels = _labels(reader, metric)
    aggregate, quantile = _aggregate(reader, metric)
    comparator = reader.take(_COMPARATOR, "a comparator: < <= > >= == !=")
    number_at = _start(reader)
    number = float(reader.take(_NUMBER, "a number").replace("_", ""))
    kind = SHARE if aggregate == "rate" else COUNT if aggregate == "count" else metric.unit
    multiplier, divisor = _factor(reader, f"{name}.{aggregate}", kind)
    limit = number * multiplier / divisor
    if kind == SHARE and not 0.0 <= limit <= 1.0:
        raise reader.fail(f"a rate lies within 0% and 100%, not {number:g}%", number_at)
    reader.skip()
    if reader.at < len(text):
        raise reader.fail(f"nothing may follow the limit, and here is {text[reader.at :]!r}")
    return Expression(
        text=text,
        metric=name,
        aggregate=aggregate,
        quantile=quantile,
        labels=labels,
        comparator=comparator,
        limit=limit,
        unit=kind,
    )


def check_expression(text: str) -> None:
    """Raise ValueError, with the place and the nearest name, unless `text` is a gate."""
    parse(text)


def _start(reader: _Reader) -> int:
    reader.skip()
    return reader.at


def _labels(reader: _Reader, metric: Metric) -> tuple[tuple[str, str], ...]:
    labels: list[tuple[str, str]] = []
    if not reader.sees("{"):
        return ()
    while True:
        at = _start(reader)
        label = reader.take(_NAME, "the name of a label, as in {intent=refund}")
        if label not in metric.labels:
            raise reader.fail(f"{metric.name} has no label {label!r}{_nearest(label, metric.labels)}", at)
        if not reader.sees("="):
            raise reader.fail("expected = and the label's value")
        value_at = _start(reader)
        value = reader.take(_LABEL_VALUE, "the label's value").strip()
        if label == "outcome" and value not in set(Outcome):
            raise reader.fail(f"unknown outcome {value!r}{_nearest(value, [each.value for each in Outcome])}", value_at)
        labels.append((label, value))
        if reader.sees("}"):
            return tuple(labels)
        if not reader.sees(","):
            raise reader.fail("expected , or }")


def _aggregate(reader: _Reader, metric: Metric) -> tuple[str, float]:
    choices = ", ".join("p(95)" if each == "p" else each for each in metric.aggregates)
    if not reader.sees("."):
        raise reader.fail(f"expected . and an aggregate of {metric.name}: {choices}")
    at = _start(reader)
    aggregate = reader.take(_NAME, f"an aggregate of {metric.name}: {choices}")
    if aggregate not in metric.aggregates:
        near = _nearest(aggregate, metric.aggregates)
        raise reader.fail(f"{metric.name} has no aggregate {aggregate!r}{near}; it has {choices}", at)
    if aggregate != "p":
        return aggregate, 0.0
    if not reader.sees("("):
        raise reader.fail("expected a percentile in parentheses, as in p(95)")
    at = _start(reader)
    percentile = float(reader.take(_NUMBER, "a percentile, as in p(95)").replace("_", ""))
    if not 0.0 < percentile <= 100.0:
        raise reader.fail(f"a percentile lies above 0 and not above 100, not {percentile:g}", at)
    if not reader.sees(")"):
        raise reader.fail("expected )")
    return aggregate, percentile / 100.0


def _factor(reader: _Reader, name: str, kind: str) -> tuple[float, float]:
    """Read the unit, which must be there where the value has one; return what to multiply and divide the number by.

    Two numbers, because 70 / 100 is 0.7 and 70 * 0.01 is not.
    """
    at = _start(reader)
    match = _UNIT.match(reader.text, at)
    unit = match[0] if match else ""
    reader.at = match.end() if match else at
    if kind == SHARE:
        if unit != "%":
            raise reader.fail(f"{name} needs the unit %, as in < 0.1%", at)
        return 1.0, 100.0
    if kind == TIME:
        if unit not in _TIME_UNITS:
            raise reader.fail(f"{name} needs a unit of time: ms, s, min or h, as in < 8s", at)
        return _TIME_UNITS[unit]
    if kind == MONEY:
        if unit != MONEY:
            raise reader.fail(f"{name} needs the unit USD, as in < 0.12 USD", at)
        return 1.0, 1.0
    if unit:
        raise reader.fail(f"{name} is a bare number without a unit", at)
    return 1.0, 1.0


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
