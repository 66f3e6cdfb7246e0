"""When a stream begins: the part of an answer's time that passes before its first visible token."""

from __future__ import annotations

import math
from typing import Protocol

from pagerproof.rng import lognormal, sub_key, unit


class Profile(Protocol):
    """What of a latency profile decides the first token."""

    @property
    def ttft_median_s(self) -> float:
        """Median time to first token."""
        ...

    @property
    def ttft_sigma(self) -> float:
        """Sigma of its logarithm."""
        ...

    @property
    def slow_share(self) -> float:
        """Share of slow answers."""
        ...

    @property
    def slow_factor(self) -> float:
        """How much slower they are."""
        ...


def first_token_s(profile: Profile, key: int, seconds: float, tokens_out: int, hidden_tokens: int) -> float:
    """Return when the first visible token of an answer comes that takes `seconds` in all; the draws are its own.

    Hidden tokens are generated before the visible ones.
    """
    first_s = lognormal(sub_key(key, b"first token"), profile.ttft_median_s, profile.ttft_sigma)
    if unit(sub_key(key, b"slow")) < profile.slow_share:
        first_s *= profile.slow_factor
    rest_s = max(0.0, seconds - first_s)
    if tokens_out and hidden_tokens:
        first_s += rest_s * hidden_tokens / tokens_out
    return min(first_s, seconds) if math.isfinite(first_s) else seconds
