"""A watch over callbacks that never return: the only part of the kernel that looks at the wall clock."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING

from pagerproof.errors import Spin
from pagerproof.kernel.diagnosis import name_of_task, place_of

if TYPE_CHECKING:
    from pagerproof.kernel.loop import SimulationLoop


class SpinSignal(BaseException):
    """Ends a spinning callback; not an `Exception`, so that `except Exception` in agent code lets it through."""


@contextmanager
def watched(loop: SimulationLoop, after_wall_s: float) -> Iterator[None]:
    """Stop the loop with `errors.Spin` when one callback runs longer than `after_wall_s` of wall time."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    ticks = _Ticks(loop, after_wall_s)
    before = signal.signal(signal.SIGALRM, ticks.on_tick)
    started = perf_counter()
    interval_s = after_wall_s / 2
    remaining_s, repeat_s = signal.setitimer(signal.ITIMER_REAL, interval_s, interval_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        # A tick may have gone off and not have arrived yet; the default action on it is the end of the process. To
        # ignore a signal discards what is pending of it.
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, before)
        if remaining_s:
            # Somebody else's alarm (a test runner's time limit) goes on as if we had not been here.
            signal.setitimer(signal.ITIMER_REAL, max(remaining_s - (perf_counter() - started), 1e-3), repeat_s)


class _Ticks:
    """Compares, twice per limit, which callback is running; three times the same one is a spin."""

    def __init__(self, loop: SimulationLoop, after_wall_s: float) -> None:
        self._loop = loop
        self._after_wall_s = after_wall_s
        self._seen: object = None
        self._times = 0

    def on_tick(self, _signal: int, frame: FrameType | None) -> None:
        running = self._loop.running_callback
        # `_seen` keeps the callback alive, so the same identity is the same callback.
        self._times = self._times + 1 if running is self._seen else 1
        self._seen = running
        if running is None or self._times < 3:
            return
        self._loop.abort(Spin(self._message(frame)))
        # Raised again at every tick until the callback ends, should it swallow even this.
        raise SpinSignal

    def _frame_of_worker(self) -> FrameType | None:
        batons = self._loop.batons
        return None if batons is None else batons.frame()

    def _message(self, frame: FrameType | None) -> str:
        task = asyncio.current_task(self._loop) if self._loop.is_running() else None
        who = name_of_task(task) if task is not None else "a callback"
        return (
            f"at virtual time {self._loop.time():.6f} s {who} has run for more than {self._after_wall_s:g} s of "
            f"wall time without awaiting: {place_of(self._frame_of_worker() or frame)}. "
            "Await something in the loop, or bound it."
        )
