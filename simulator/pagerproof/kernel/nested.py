"""The event loop of `asyncio.run` inside a synchronous tool: its own ready queue, on the run's clock and network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

from pagerproof.kernel.batons import Batons, Worker
from pagerproof.kernel.handles import ReadyHandle, Timer
from pagerproof.kernel.loop import SimulationLoop


class NestedLoop(SimulationLoop):
    """A loop in a worker's thread; while nothing is ready there, the worker is parked and the run goes on."""

    def __init__(self, outer: SimulationLoop, batons: Batons, worker: Worker) -> None:
        super().__init__(outer.environment)
        self._schedule = outer._schedule
        self.order = outer.order
        self.network = outer.network
        self.batons = batons
        self._outer = outer
        self._worker = worker
        self._parked = False
        self._timers: dict[asyncio.TimerHandle, Timer] = {}

    def call_soon(self, callback: Callable[..., object], *args: object, context: Context | None = None) -> ReadyHandle:
        """Put a callback at the end of this loop's ready queue."""
        handle = super().call_soon(callback, *args, context=context)
        self._wake()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> ReadyHandle:
        """Do as `call_soon`: whoever calls holds the baton."""
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]  # the standard library's handle: the run's queue must not fire it
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Put a callback on this loop's ready queue after `delay` seconds of virtual time."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Put a callback on this loop's ready queue at the virtual time `when`."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers[handle] = self.schedule_at(max(when, self.time()), self._due, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        timer = self._timers.pop(handle, None)
        if timer is not None:
            timer.cancel()

    def _due(self, handle: asyncio.TimerHandle) -> None:
        self._timers.pop(handle, None)
        self._ready.append(handle)  # type: ignore[arg-type]  # asyncio's own handle, with the same attributes
        self._wake()

    def _wake(self) -> None:
        if self._parked:
            self._parked = False
            self.batons_of_run.wake(self._worker)

    @property
    def batons_of_run(self) -> Batons:
        """The threads of the run."""
        assert self.batons is not None
        return self.batons

    def abort(self, error: Exception) -> None:
        """Make the run's loop raise `error`."""
        self._outer.abort(error)

    def _run_turns(self) -> None:
        ready = self._ready
        while True:
            while not ready and not self._stopping:
                self._parked = True
                self._worker.park()
            for _ in range(len(ready)):
                handle: Any = ready.popleft()
                if not handle._cancelled:
                    try:
                        handle._context.run(handle._callback, *handle._args)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except Exception as failure:
                        self._callback_failed(handle, failure)
            if self._stopping:
                return
