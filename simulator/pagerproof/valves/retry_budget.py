"""The retry budget: how many retries a whole run may spend, so that retries cannot become the load."""

from __future__ import annotations


class RetryBudget:
    """Finagle's retry budget on virtual time: `share` of the calls of the last `ttl_s`, and `per_s` besides.

    Its defaults are Finagle's: 20 %, 10 per second, 10 s (finagle.github.io, 2016-02-08). Calls and retries are
    forgotten after `ttl_s`, in ten slices.
    """

    __slots__ = ("_at", "_cost", "_held", "_reserve", "_slice_s", "_slices")

    _COUNT = 10

    def __init__(self, *, share: float = 0.2, per_s: float = 10.0, ttl_s: float = 10.0) -> None:
        if not 0.0 < share <= 1.0 or per_s < 0.0 or ttl_s <= 0.0:
            raise ValueError("a retry budget needs a share above 0 and at most 1, per_s from 0 and ttl_s above 0")
        self._cost = 1.0 / share
        self._reserve = per_s * ttl_s * self._cost
        self._slice_s = ttl_s / self._COUNT
        self._slices = [0.0] * self._COUNT
        self._held = 0.0
        self._at = 0

    def deposit(self, now_s: float) -> None:
        """One call for a new purpose has been made."""
        at = int(now_s / self._slice_s)
        if at != self._at:
            self._turn(at)
        self._slices[at % self._COUNT] += 1.0
        self._held += 1.0

    def withdraw(self, now_s: float) -> bool:
        """Take one retry out, if the budget allows it."""
        at = int(now_s / self._slice_s)
        if at != self._at:
            self._turn(at)
        if self._held + self._reserve < self._cost:
            return False
        self._slices[at % self._COUNT] -= self._cost
        self._held -= self._cost
        return True

    def _turn(self, at: int) -> None:
        slices = self._slices
        if at - self._at >= self._COUNT:
            slices[:] = [0.0] * self._COUNT
        else:
            for gone in range(self._at + 1, at + 1):
                slices[gone % self._COUNT] = 0.0
        self._held = sum(slices)
        self._at = at
