"""Which sources of difference between two processes agent code reads, and where: a count by a profiler's hook.

For `experiment/doctor.py` only, since the hook makes a run several times slower.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, MappingProxyType
from typing import Any, Final

from pagerproof.kernel.diagnosis import is_agent_code, is_installed, is_ours

SOURCES: Final = MappingProxyType(
    {
        **dict.fromkeys(("getpid", "getppid", "getpgid", "getsid"), "process"),
        **dict.fromkeys(("get_ident", "get_native_id"), "thread"),
        **dict.fromkeys(("stat", "lstat", "fstat", "statvfs", "listdir", "scandir"), "file"),
        **dict.fromkeys(("times", "getrusage", "clock_gettime", "clock_gettime_ns"), "clock"),
        **dict.fromkeys(("RAND_bytes", "RAND_priv_bytes", "getentropy"), "entropy"),
        **dict.fromkeys(("gethostname", "uname", "cpu_count", "sched_getaffinity", "getloadavg"), "machine"),
        "id": "address",
        "hash": "hash order",
    }
)
"""The kinds of source by the name of the builtin function that reads it."""

_MODULES: Final = frozenset({"posix", "nt", "builtins", "_thread", "time", "_ssl", "_socket", "resource", "_random"})
_LOADS_AGENTS: Final = tuple(os.path.join("pagerproof", "agents", name) for name in ("load.py", "foreign.py"))
_GOVERNED_ANYWAY: Final = frozenset({"clock_gettime", "clock_gettime_ns"})

Touched = dict[tuple[str, str, str], int]
"""(kind of source, function, `file:line in function`) and how often it was read there."""


@contextmanager
def watched_sources() -> Iterator[Touched]:
    """Count what agent code reads while this is open, in this thread and in those it starts."""
    touched: Touched = {}

    def hook(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and (kind := SOURCES.get(function.__name__)) is not None:
            place = _place(frame)
            if place and function.__module__ in _MODULES and function.__name__ not in _GOVERNED_ANYWAY:
                key = (kind, f"{function.__module__}.{function.__name__}()", place)
                touched[key] = touched.get(key, 0) + 1

    before = sys.getprofile()
    threading.setprofile(hook)
    sys.setprofile(hook)
    try:
        yield touched
    finally:
        sys.setprofile(before)
        threading.setprofile(before)


def _place(frame: FrameType) -> str:
    """Return the agent's own innermost place, or "" for what the import system, the host or a library reads itself."""
    found: FrameType | None = frame
    while found is not None:
        filename = found.f_code.co_filename
        if filename.startswith("<frozen importlib") or filename.endswith(_LOADS_AGENTS):
            return ""
        if not filename.startswith("<") and is_agent_code(filename):
            if is_installed(filename):
                return ""
            return f"{filename}:{found.f_lineno} in {found.f_code.co_name}"
        if is_ours(filename):
            return ""
        found = found.f_back
    return ""
