"""The gate language reads what it promises, and each mistake gets one message with its place and the nearest name."""

from __future__ import annotations

import pytest

from pagerproof.gates import METRICS, ExpressionError, check_expression, parse


@pytest.mark.parametrize(
    ("text", "metric", "aggregate", "comparator", "limit", "unit"),
    [
        ("silent_failure.rate < 0.1%", "silent_failure", "rate", "<", 0.001, "%"),
        ("latency{intent=refund}.p(95) < 8s", "latency", "p", "<", 8.0, "s"),
        ("latency.p(99.9) <= 1500 ms", "latency", "p", "<=", 1.5, "s"),
        ("latency.max < 2 min", "latency", "max", "<", 120.0, "s"),
        ("cost.p(95) < 0.12 USD", "cost", "p", "<", 0.12, "USD"),
        ("runaway.count == 0", "runaway", "count", "==", 0.0, ""),
        ("escalated.rate < 25%", "escalated", "rate", "<", 0.25, "%"),
        ("retry_amplification.max < 3", "retry_amplification", "max", "<", 3.0, ""),
        ("recovery{service=sap}.p(95) < 60s", "recovery", "p", "<", 60.0, "s"),
        ("abandoned.rate < 5%", "abandoned", "rate", "<", 0.05, "%"),
        ("late.rate < 5%", "late", "rate", "<", 0.05, "%"),
        ("failed_loud.rate < 5%", "failed_loud", "rate", "<", 0.05, "%"),
        ("crashed.rate < 5%", "crashed", "rate", "<", 0.05, "%"),
        ("resolved.rate >= 70%", "resolved", "rate", ">=", 0.7, "%"),
        ("failure.rate < 1e0%", "failure", "rate", "<", 0.01, "%"),
        ("done_twice.count != 1_000", "done_twice", "count", "!=", 1000.0, ""),
        ("  retry_storm . count   <  5 ", "retry_storm", "count", "<", 5.0, ""),
        ("tokens_in.mean < 9000", "tokens_in", "mean", "<", 9000.0, ""),
    ],
)
def test_gate_is_read(text: str, metric: str, aggregate: str, comparator: str, limit: float, unit: str) -> None:
    check_expression(text)
    gate = parse(text)
    assert (gate.metric, gate.aggregate, gate.comparator, gate.unit) == (metric, aggregate, comparator, unit)
    assert gate.limit == limit


def test_labels_are_read_in_order() -> None:
    gate = parse("latency{ intent = order status , outcome=late}.p(50) < 1s")
    assert gate.labels == (("intent", "order status"), ("outcome", "late"))
    assert gate.quantile == 0.5


GOLDEN = {
    "silent_failures.rate < 1%": (0, "unknown metric 'silent_failures'; did you mean 'silent_failure'?"),
    "xyzzy.rate < 1%": (0, "unknown metric 'xyzzy'"),
    "latency{intnt=refund}.p(95) < 8s": (8, "latency has no label 'intnt'; did you mean 'intent'?"),
    "recovery{intent=refund}.p(95) < 8s": (9, "recovery has no label 'intent'"),
    "latency{outcome=resolvd}.p(95) < 8s": (16, "unknown outcome 'resolvd'; did you mean 'resolved'?"),
    "latency{intent}.p(95) < 8s": (14, "expected = and the label's value"),
    "latency{intent=}.p(95) < 8s": (15, "expected the label's value"),
    "latency{intent=refund.p(95) < 8s": (32, "expected , or }"),
    "latency < 8s": (8, "expected . and an aggregate of latency: p(95), mean, min, max, sum"),
    "latency.rate < 8%": (
        8,
        "latency has no aggregate 'rate'; it has p(95), mean, min, max, sum",
    ),
    "failure.rates < 8%": (8, "failure has no aggregate 'rates'; did you mean 'rate'?; it has count, rate"),
    "latency.p95 < 8s": (8, "latency has no aggregate 'p95'; did you mean 'p'?; it has p(95), mean, min, max, sum"),
    "latency.p < 8s": (10, "expected a percentile in parentheses, as in p(95)"),
    "latency.p(950) < 8s": (10, "a percentile lies above 0 and not above 100, not 950"),
    "latency.p(95 < 8s": (13, "expected )"),
    "latency.p(95) 8s": (14, "expected a comparator: < <= > >= == !="),
    "latency.p(95) < soon": (16, "expected a number"),
    "latency.p(95) < 8": (17, "latency.p needs a unit of time: ms, s, min or h, as in < 8s"),
    "latency.p(95) < 8 USD": (18, "latency.p needs a unit of time: ms, s, min or h, as in < 8s"),
    "failure.rate < 0.1": (18, "failure.rate needs the unit %, as in < 0.1%"),
    "cost.mean < 0.12": (16, "cost.mean needs the unit USD, as in < 0.12 USD"),
    "runaway.count == 0%": (18, "runaway.count is a bare number without a unit"),
    "failure.rate < 150%": (15, "a rate lies within 0% and 100%, not 150%"),
    "failure.rate < 1% ok": (18, "nothing may follow the limit, and here is 'ok'"),
    "": (0, "expected the name of a metric, as in `latency.p(95) < 8s`"),
    "5 > runaway.count": (0, "expected the name of a metric, as in `latency.p(95) < 8s`"),
}


@pytest.mark.parametrize("text", GOLDEN)
def test_mistake_is_named_with_its_place(text: str) -> None:
    offset, message = GOLDEN[text]
    with pytest.raises(ExpressionError) as caught:
        check_expression(text)
    assert (caught.value.offset, caught.value.message) == (offset, message)
    assert str(caught.value) == f"{message}\n  {text}\n  {' ' * offset}^"
    assert isinstance(caught.value, ValueError)


def test_every_metric_says_what_it_is_and_can_be_asked_for() -> None:
    units = {"rate": "1%", "count": "1"}
    for metric in METRICS.values():
        assert metric.summary
        for aggregate in metric.aggregates:
            limit = units.get(aggregate, f"1 {metric.unit}")
            check_expression(f"{metric.name}.{'p(50)' if aggregate == 'p' else aggregate} < {limit}")
