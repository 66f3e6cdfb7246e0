"""Safety valves: wrappers that anyone can put around any agent's tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from pagerproof.tools import Valve
from pagerproof.valves.circuit_breaker import CACHED_AGE_HEADER, CircuitBreaker, Thresholds, is_cached
from pagerproof.valves.deadline import Deadline
from pagerproof.valves.depth_limit import DepthLimit
from pagerproof.valves.escalation import escalate, escalating
from pagerproof.valves.golden_policy import GoldenPath, GoldenPolicy
from pagerproof.valves.idempotency_keys import IdempotencyKeys
from pagerproof.valves.purposes import WRITES
from pagerproof.valves.read_back import LOOKUPS, Fate, ReadBack, look
from pagerproof.valves.refusals import (
    BreakerOpen,
    BudgetExceeded,
    DeadlineExceeded,
    OffPath,
    Uncertain,
    ValveRefusal,
)
from pagerproof.valves.response_validation import ResponseValidation
from pagerproof.valves.retry import Retry
from pagerproof.valves.retry_budget import RetryBudget
from pagerproof.valves.stacking import stack
from pagerproof.valves.steady_model import SteadyModel

BUILTIN_VALVES: Final[Mapping[str, Callable[[], Valve]]] = MappingProxyType(
    {
        DepthLimit.name: DepthLimit,
        GoldenPolicy.name: GoldenPolicy,
        IdempotencyKeys.name: IdempotencyKeys,
        Retry.name: Retry,
        ReadBack.name: ReadBack,
        Deadline.name: Deadline,
        CircuitBreaker.name: CircuitBreaker,
        ResponseValidation.name: ResponseValidation,
    }
)
"""The valves by name, outermost first: the order in which they belong around a toolbox."""

__all__ = [
    "BUILTIN_VALVES",
    "BreakerOpen",
    "BudgetExceeded",
    "CACHED_AGE_HEADER",
    "CircuitBreaker",
    "Deadline",
    "DeadlineExceeded",
    "DepthLimit",
    "Fate",
    "GoldenPath",
    "GoldenPolicy",
    "IdempotencyKeys",
    "LOOKUPS",
    "OffPath",
    "ReadBack",
    "ResponseValidation",
    "Retry",
    "RetryBudget",
    "SteadyModel",
    "Thresholds",
    "Uncertain",
    "ValveRefusal",
    "WRITES",
    "escalate",
    "escalating",
    "is_cached",
    "look",
    "stack",
]
