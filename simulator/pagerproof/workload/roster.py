"""Who asks for what at each index: intent, customer and edge case, drawn by key and shared by requests and orders."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from pagerproof.model import Customer
from pagerproof.rng import key_of, pick, sub_key, unit
from pagerproof.scenario.schema import RequestOverride
from pagerproof.workload.customers import CustomerPool
from pagerproof.workload.intent import Intent

Cast = tuple[int, Intent, Customer, tuple[str, ...]]
"""(key of the index, intent, customer, edge cases)."""


class Roster:
    """Casts every index as a pure function of the seed; overrides fix single indices by hand."""

    def __init__(
        self,
        seed: int,
        intents: Sequence[Intent],
        pool: CustomerPool,
        edge_case_share: float,
        overrides: Mapping[int, RequestOverride],
        all_intents: Mapping[str, Intent],
    ) -> None:
        total = sum(intent.weight for intent in intents)
        self.seed = seed
        self.pool = pool
        self.overrides = overrides
        self._intents = tuple(intents)
        self._cumulative = [share / total for share in accumulate(intent.weight for intent in intents)]
        self._cumulative[-1] = 1.0
        self._edge_case_share = edge_case_share
        self._all_intents = all_intents
        self._last_index = 0
        self._last: Cast | None = None

    def cast(self, index: int) -> Cast:
        """Return who asks for what at `index`, which may lie beyond the run's requests."""
        if index == self._last_index and self._last is not None:
            return self._last
        key = key_of(self.seed, index)
        intent = self._intents[bisect_right(self._cumulative, unit(sub_key(key, b"intent")))]
        customers = self.pool.everyone
        edge_cases: tuple[str, ...] = ()
        if unit(sub_key(key, b"edge")) < self._edge_case_share:
            edge_cases = ("",)
        override = self.overrides.get(index)
        if override is not None:
            if override.intent is not None:
                intent = self._all_intents[override.intent]
            if override.locale is not None:
                customers = self.pool.by_locale[override.locale]
            if "edge_cases" in override.model_fields_set:
                edge_cases = override.edge_cases
        if edge_cases == ("",):
            edge_cases = (pick(sub_key(key, b"edge case"), intent.edge_cases),)
        for edge_case in edge_cases:
            customers = self.pool.unusual.get(edge_case, customers)
        self._last = (key, intent, pick(sub_key(key, b"customer"), customers), edge_cases)
        self._last_index = index
        return self._last
