"""Wall-clock time, for progress and for figures that stand outside the trace; nothing else may read it."""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter, process_time
from time import time as wall_clock_s  # noqa: TID251 - this is the one place

__all__ = ["perf_counter", "process_time", "utc_now_text", "wall_clock_s"]


def utc_now_text() -> str:
    """Return the wall-clock time as ISO 8601 in UTC, to the second."""
    now = datetime.now(UTC)  # noqa: TID251 - it goes into the manifest only, outside the trace
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
