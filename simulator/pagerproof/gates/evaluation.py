"""Gates against the finished table: what was observed, over how many samples, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pagerproof.gates.expression import SHARE, Expression, parse
from pagerproof.metrics.result import GateResult
from pagerproof.metrics.statistics import quantile, wilson
from pagerproof.metrics.table import Requests
from pagerproof.model import Outcome

Mask = NDArray[np.bool_]


class GateLike(Protocol):
    """A gate as a scenario states it."""

    @property
    def gate(self) -> str:
        """The expression."""
        ...

    @property
    def source(self) -> str:
        """Where the limit comes from."""
        ...

    @property
    def evidence(self) -> str:
        """documented, incident, measured or assumed."""
        ...

    @property
    def model_input(self) -> bool:
        """Whether the gate mainly returns parameters of the simulated model."""
        ...


def evaluate(gates: Iterable[GateLike], requests: Requests) -> list[GateResult]:
    """Return one result per gate, in order. Raises ValueError for an expression that cannot be read.

    Scripted requests stay out of rates and quantities; a count is an invariant and counts them too. Rates are over
    settled requests (`unsettled` over all). A gate without samples says so and passes nothing.
    """
    return [_evaluate(gate, parse(gate.gate), requests) for gate in gates]


def _evaluate(gate: GateLike, expression: Expression, requests: Requests) -> GateResult:
    low = high = observed = None
    if expression.aggregate in ("rate", "count"):
        hits, n = _count(expression, requests)
        if n and expression.aggregate == "rate":
            observed = hits / n
            low, high = wilson(hits, n)
        elif n:
            observed = float(hits)
    elif expression.metric == "retry_amplification":
        observed, n = _amplification(expression, requests)
    else:
        samples = _samples(expression, requests)
        n = len(samples)
        observed = _aggregated(expression, samples) if n else None
    return GateResult(
        expression=expression.text,
        status="no_samples" if observed is None else "pass" if expression.holds(observed) else "fail",
        observed=observed,
        limit=expression.limit,
        unit=expression.unit,
        n=n,
        low=low,
        high=high,
        source=gate.source,
        evidence=gate.evidence,
        model_input=gate.model_input,
    )


def _count(expression: Expression, requests: Requests) -> tuple[int, int]:
    among = _labelled(expression, requests)
    outcome = expression.outcome
    if outcome is not Outcome.UNSETTLED:
        among &= requests.settled
    if expression.aggregate == "rate":
        among &= ~requests.scripted
    if outcome is not None:
        hit = requests.is_outcome(outcome)
    elif expression.metric == "failure":
        hit = requests.failed
    else:
        hit = requests.has("mode", expression.metric) | requests.has("tags", expression.metric)
    return int((hit & among).sum()), int(among.sum())


def _labelled(expression: Expression, requests: Requests) -> Mask:
    among: Mask = np.ones(len(requests), dtype=np.bool_)
    for label, value in expression.labels:
        among &= requests.is_outcome(Outcome(value)) if label == "outcome" else requests.has(label, value)
    return among


def _samples(expression: Expression, requests: Requests) -> NDArray[np.float64]:
    if expression.metric == "recovery":
        services = np.array(requests.recovery_services, dtype=object)
        kept = requests.recovery_s >= 0.0
        for _, value in expression.labels:
            kept &= services == value
        return requests.recovery_s[kept]
    among = _labelled(expression, requests) & ~requests.scripted
    if expression.metric == "latency":
        return requests.latency_s[among & ~np.isnan(requests.latency_s)]
    column = {"cost": "cost_usd"}.get(expression.metric, expression.metric)
    return np.asarray(requests.rows[column][among & requests.settled], dtype=np.float64)


def _aggregated(expression: Expression, samples: NDArray[np.float64]) -> float:
    if expression.aggregate == "p":
        return quantile(samples, expression.quantile)
    if expression.aggregate == "mean":
        return float(samples.mean())
    if expression.aggregate == "sum":
        return float(samples.sum())
    return float(samples.min() if expression.aggregate == "min" else samples.max())


def _amplification(expression: Expression, requests: Requests) -> tuple[float | None, int]:
    """Return the ratio over all matching operations, or of the worst, and the number of logical calls."""
    wanted = dict(expression.labels)
    counts = [
        each
        for operation, each in requests.calls.items()
        if each.logical
        and wanted.get("operation", operation) == operation
        and wanted.get("service", operation.partition(".")[0]) == operation.partition(".")[0]
    ]
    logical = sum(each.logical for each in counts)
    if not logical:
        return None, 0
    if expression.aggregate == "max":
        return max(each.physical / each.logical for each in counts), logical
    return sum(each.physical for each in counts) / logical, logical


def show_value(value: float | None, unit: str) -> str:
    """Return an observed value or a limit as people write it: `0.14%`, `7.2 s`, `0.11 USD`, `3`."""
    if value is None:
        return "no samples"
    if unit == SHARE:
        return f"{value * 100:.4g}%"
    return f"{value:.4g} {unit}".rstrip()
