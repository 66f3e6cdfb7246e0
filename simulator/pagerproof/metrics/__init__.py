"""Metrics: the table by request index, its statistics, and the one finished result of a run."""

from pagerproof.metrics.expectations import ExpectationTally
from pagerproof.metrics.result import (
    SCHEMA,
    Baseline,
    ExpectationResult,
    FaultDelivery,
    FirstAppearance,
    GateResult,
    Replications,
    RunResult,
    RunVerdict,
)
from pagerproof.metrics.summary import baseline, summarise
from pagerproof.metrics.table import Requests, RequestTable

__all__ = [
    "SCHEMA",
    "Baseline",
    "ExpectationResult",
    "ExpectationTally",
    "FaultDelivery",
    "FirstAppearance",
    "GateResult",
    "Replications",
    "RequestTable",
    "Requests",
    "RunResult",
    "RunVerdict",
    "baseline",
    "summarise",
]
