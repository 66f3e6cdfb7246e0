"""Who waits, who runs and where: the words for a deadlock, a livelock or a spin."""

from __future__ import annotations

import asyncio
import os
import sysconfig
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

NAMED_MAX = 20
"""A message lists at most this many tasks or callbacks and counts the rest."""

_STANDARD_LIBRARY = tuple(
    os.path.join(path, "") for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")} if path
)
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_LOOP = os.path.join(_PACKAGE, "kernel", "loop.py")
_SHIPPED_AGENTS = os.path.join(_PACKAGE, "agents", "")


def is_installed(filename: str) -> bool:
    """Return whether a file belongs to an installed distribution."""
    return "site-packages" in filename or "dist-packages" in filename


def is_ours(filename: str) -> bool:
    """Return whether a file is Pagerproof's own and no agent that it ships."""
    return filename.startswith(_PACKAGE) and not filename.startswith(_SHIPPED_AGENTS)


def is_agent_code(filename: str) -> bool:
    """Return whether a file is an agent's or a library's it calls: not Pagerproof's, not the standard library's."""
    if filename.startswith(_PACKAGE):
        return filename.startswith(_SHIPPED_AGENTS)
    return is_installed(filename) or not filename.startswith((*_STANDARD_LIBRARY, "<frozen"))


def place_of(frame: FrameType | None) -> str:
    """Return `file:line in function` of the innermost frame of agent code, or of the innermost at all.

    Where that is an installed library, the agent's own line that led there comes first.
    """
    stack = list(_up_to_the_loop(frame))
    inner = next((each for each in stack if is_agent_code(each.f_code.co_filename)), None)
    if inner is None:
        return _shown(stack[0]) if stack else "an unknown place"
    own = next((each for each in stack if _is_own_code(each.f_code.co_filename)), inner)
    return _shown(own) if own is inner else f"{_shown(own)} (through {_shown(inner)})"


def _up_to_the_loop(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None and frame.f_code.co_filename == _LOOP:  # what the agent called of it
        frame = frame.f_back
    while frame is not None and frame.f_code.co_filename != _LOOP:
        yield frame
        frame = frame.f_back


def _is_own_code(filename: str) -> bool:
    return is_agent_code(filename) and not is_installed(filename)


def _shown(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def name_of_task(task: asyncio.Task[Any]) -> str:
    """Return `task 'name' (coroutine)`."""
    coroutine = task.get_coro()
    return f"task {task.get_name()!r} ({getattr(coroutine, '__qualname__', type(coroutine).__name__)})"


def waiting_task(task: asyncio.Task[Any]) -> str:
    """Return the task's name and the `file:line` at which its innermost agent code awaits."""
    frames: list[FrameType] = []
    awaitable: Any = task.get_coro()
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)
        frame = frame or getattr(awaitable, "ag_frame", None)
        if frame is not None:
            frames.append(frame)
        awaitable = (
            getattr(awaitable, "cr_await", None)
            or getattr(awaitable, "gi_yieldfrom", None)
            or getattr(awaitable, "ag_await", None)
        )
    own = [frame for frame in frames if is_agent_code(frame.f_code.co_filename)] or frames
    where = f"{own[-1].f_code.co_filename}:{own[-1].f_lineno}" if own else "an unknown place"
    return f"{name_of_task(task)} awaits at {where}"


def name_of_callback(callback: Any) -> str:
    """Return the task a callback belongs to, or the name of the function it is."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return name_of_task(owner)
    inner = getattr(callback, "func", callback)
    return f"callback {getattr(inner, '__qualname__', None) or type(inner).__name__}"


def listed(names: Iterable[str]) -> str:
    """Return the distinct names in order, one to a line, with how often each was seen and how many were left out."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    lines = [f"  {name}" + (f" ({times} times)" if times > 1 else "") for name, times in counts.items()]
    if len(lines) > NAMED_MAX:
        lines[NAMED_MAX:] = [f"  and {len(lines) - NAMED_MAX} more"]
    return "\n".join(lines)
