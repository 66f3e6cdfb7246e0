"""Threads for synchronous functions of foreign agents: real ones, of which one at a time runs and hands on the baton.

A function of an executor begins from the loop's ready queue and runs until it returns, sleeps or waits for a loop of
its own (`asyncio.run` in a synchronous tool): then the loop goes on, and the thread takes its turn again from the ready
queue. So it is interleaved with everything else in virtual time, in the same order in every process.
"""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pagerproof.kernel.loop import SimulationLoop

WORKERS_MAX: Final = 32
"""How many functions run at once: the most that asyncio's default executor has, whatever the machine."""

_END_WALL_S = 1.0  # how long a thread may take to end once the run is over
_END_ATTEMPTS = 3
_start = threading.Thread.start  # the fence replaces it


class _Ended(BaseException):
    """Ends a function that still waits when its run is over."""


class Worker:
    """One thread; it runs while it holds the baton."""

    def __init__(self, batons: Batons, number: int) -> None:
        self.ending = False
        self.job: Callable[[], Callable[[], object]] | None = None
        self.tell: Callable[[], object] | None = None
        self._batons = batons
        self._turn = _taken_lock()
        self._thread = threading.Thread(target=self._main, name=f"asyncio_{number}", daemon=True)
        _start(self._thread)

    @property
    def ident(self) -> int:
        """The thread's number."""
        return self._thread.ident or 0

    def give_turn(self) -> None:
        """Let the thread go on."""
        self._turn.release()

    def park(self) -> None:
        """Hand back the baton and wait for the next turn; in the worker's own thread."""
        self._batons.hand_back()
        self._turn.acquire()
        if self.ending:
            raise _Ended

    def _main(self) -> None:
        while True:
            self._turn.acquire()
            job, self.job = self.job, None
            if job is None:
                return
            self.tell = job()
            self._batons.hand_back()


class Batons:
    """The threads of one run. Everything but `park` and what it calls happens in whichever thread holds the baton."""

    def __init__(self, loop: SimulationLoop) -> None:
        self._loop = loop
        self._workers: dict[int, Worker] = {}
        self._idle: list[Worker] = []
        self._waiting: deque[Callable[[], Callable[[], object]]] = deque()
        self._back = _taken_lock()
        self._running: Worker | None = None
        self.starting = False

    def here(self) -> Worker | None:
        """Return the worker whose thread this is."""
        return self._workers.get(_thread.get_ident())

    def submit(self, function: Callable[..., Any], args: tuple[object, ...], future: asyncio.Future[Any]) -> None:
        """Have a worker run the function in a copy of the caller's context, and the future get what comes of it."""
        context = copy_context()  # so that the request is known, which a thread of the standard executor would not

        def job() -> Callable[[], object]:
            try:
                result = context.run(function, *args)
            except BaseException as failure:
                return _telling(future, None, failure)
            return _telling(future, result, None)

        self._loop.call_soon(self._begin, job)

    def sleep(self, worker: Worker, seconds: float) -> None:
        """Let virtual time pass for this worker."""
        self._loop.schedule(seconds, self.wake, worker)
        worker.park()

    def wait(self, future: concurrent.futures.Future[Any], timeout_s: float | None) -> None:
        """Park until a future is done or time is up; at once in a thread that is none of the workers'."""
        worker = self.here()
        if worker is None or future.done():
            return
        waits = True

        def stop_waiting(_future: object = None) -> None:
            nonlocal waits
            if waits:
                waits = False
                self.wake(worker)

        timer = None if timeout_s is None else self._loop.schedule(timeout_s, stop_waiting)
        future.add_done_callback(stop_waiting)
        worker.park()
        if timer is not None:
            timer.cancel()

    def wake(self, worker: Worker) -> None:
        """Give a parked worker its turn from the ready queue."""
        self._loop.call_soon(self._run, worker)

    def hand_back(self) -> None:
        """Let the loop's thread go on."""
        self._back.release()

    def frame(self) -> FrameType | None:
        """Return where the worker that holds the baton is, if one does."""
        return None if self._running is None else sys._current_frames().get(self._running.ident)

    def end(self) -> None:
        """End every function that still waits, and every thread."""
        for worker in [each for each in self._workers.values() if each not in self._idle and each is not self._running]:
            for _ in range(_END_ATTEMPTS):
                worker.ending = True
                worker.give_turn()
                if not self._back.acquire(timeout=_END_WALL_S) or worker.tell is not None:
                    break
        for worker in self._workers.values():
            if worker in self._idle or worker.tell is not None:
                worker.give_turn()  # without a job: its thread returns

    def _begin(self, job: Callable[[], Callable[[], object]]) -> None:
        if not self._idle and len(self._workers) >= WORKERS_MAX:
            self._waiting.append(job)
            return
        worker = self._idle.pop() if self._idle else self._new_worker()
        worker.job = job
        self._run(worker)

    def _new_worker(self) -> Worker:
        self.starting = True  # the fence lets this one thread through
        try:
            worker = Worker(self, len(self._workers))
        finally:
            self.starting = False
        self._workers[worker.ident] = worker
        return worker

    def _run(self, worker: Worker) -> None:
        """Hand the baton to a worker until it parks or is done; in the loop's thread."""
        self._running = worker
        worker.give_turn()
        self._back.acquire()
        self._running = None
        if worker.tell is not None:
            tell, worker.tell = worker.tell, None
            self._idle.append(worker)
            tell()
            if self._waiting:
                self._loop.call_soon(self._begin, self._waiting.popleft())


def _taken_lock() -> _thread.LockType:
    lock = _thread.allocate_lock()
    lock.acquire()
    return lock


def _telling(future: asyncio.Future[Any], result: object, failure: BaseException | None) -> Callable[[], object]:
    def tell() -> None:
        if future.cancelled():
            return
        if failure is None:
            future.set_result(result)
        elif isinstance(failure, StopIteration):
            future.set_exception(RuntimeError("the function raised StopIteration"))
        else:
            future.set_exception(failure)

    def hand_over() -> None:
        loop = future.get_loop()
        if not loop.is_closed():
            loop.call_soon(tell)

    return hand_over
