"""Memory grows by at most 2 kB for each further request; tests/benchmarks/memory.py also prints how time grows."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import pytest

from tests.benchmarks.memory import growth_bytes, measured_apart

BYTES_PER_FURTHER_REQUEST_MAX = 2_000


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_from_10001_to_100001_requests_memory_grows_by_at_most_2_kb_each():
    small, large = measured_apart(10_001), measured_apart(100_001)
    assert growth_bytes(small, large) <= BYTES_PER_FURTHER_REQUEST_MAX
