"""An asyncio event loop whose only clock and only queue are those of a SimPy environment."""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import events, tasks
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import AbstractContextManager, suppress
from contextvars import Context, copy_context
from heapq import heappop, heappush
from itertools import count
from math import inf, isnan
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast
from weakref import WeakKeyDictionary

import simpy

from pagerproof.errors import AgentMisbehaved, Deadlock, ForbiddenCall, Livelock
from pagerproof.kernel.batons import Batons
from pagerproof.kernel.diagnosis import listed, name_of_callback, place_of, waiting_task
from pagerproof.kernel.handles import (
    Entry,
    OrderedFuture,
    OrderedTask,
    ReadyHandle,
    Schedule,
    Timer,
    TimerHandle,
    lineage_below,
)
from pagerproof.kernel.spin import SpinSignal, watched

T = TypeVar("T")

_CANCEL_ATTEMPTS = 3  # Agents may catch a CancelledError or two,
_TURNS_TO_CANCEL = 100  # and hand it from task to task, a turn each.
_NORMAL = 1  # simpy.events.NORMAL, the priority of a timeout: a timer stands in line with those.
_new = object.__new__  # The handles have no constructor: their slots are stored by the one who makes them.


class SimulationLoop(asyncio.BaseEventLoop):
    """Runs coroutines and SimPy processes on one virtual clock, in the standard library's exact order.

    In each turn all SimPy events due at this instant fire first (a timer puts its handle on the ready queue), then
    one generation of the ready queue runs. Time moves on only when the ready queue is empty. Timers due at the
    same instant fire in the order in which they were made.

    `timed_waits` counts the timers that fired after a positive virtual delay. While a `network` is attached (an object
    with the loop's own methods named in `NETWORKED`), those are carried out by it instead of refused.
    """

    if TYPE_CHECKING:  # attributes of asyncio.BaseEventLoop that type stubs do not know
        _closed: bool
        _current_handle: object
        _ready: deque[ReadyHandle | TimerHandle]
        _stopping: bool
        _task_factory: object
        _thread_id: int | None
        _asyncgens: object

    def __init__(
        self, environment: simpy.Environment | None = None, *, callbacks_per_instant_max: int = 100_000
    ) -> None:
        super().__init__()
        self.environment: simpy.Environment = environment if environment is not None else simpy.Environment(0.0)
        # Straight at SimPy's queue, clock and counter, not through its methods: a timer costs a third
        # of a Timeout that way, and a cancelled one can be skipped without moving the clock.
        # tests/kernel/test_simpy_contract.py fails if an upgrade of SimPy changes what is used here.
        self.environment._now = float(self.environment._now)
        self._numbers = self.environment._eid
        self._queue = cast(list[Entry], self.environment._queue)
        self._schedule = Schedule(self._queue)
        self._callbacks_per_instant_max = callbacks_per_instant_max
        self._abort_error: Exception | None = None
        self._owner_thread_id = threading.get_ident()
        self._asyncgens = _OrderedWeakSet()
        self._task_names = count(1)
        self.order = count()
        self.timed_waits = 0
        self.network: object | None = None
        self.on_blocked: Callable[[float, str], object] = lambda _seconds, _place: None
        self.batons: Batons | None = None

    def __del__(self) -> None:
        """Go without a warning: unlike a loop on a selector, an unclosed one holds nothing of the system's."""

    # --- the clock and the light path of simulated services

    def time(self) -> float:
        """Return the virtual time in seconds."""
        now: float = self.environment._now
        return now

    def schedule(self, delay_s: float, callback: Callable[..., object], *args: object) -> Timer:
        """Call `callback(*args)` in kernel context `delay_s` from now, and return the timer to cancel it.

        The callback runs while the clock stands at that instant, before any coroutine does. What it raises ends
        the run. Raises ValueError for a delay below zero or not a number.
        """
        if not delay_s >= 0.0:
            raise ValueError(f"delay_s must be zero or more, not {delay_s}")
        timer = _new(Timer)
        timer.at_s = at_s = self.environment._now + delay_s
        timer._callback = callback
        timer._args = args
        timer._schedule = self._schedule
        heappush(self._queue, (at_s, _NORMAL, next(self._numbers), timer))
        return timer

    def schedule_at(self, at_s: float, callback: Callable[..., object], *args: object) -> Timer:
        """Call `callback(*args)` in kernel context at `at_s`. Raises ValueError for an instant in the past."""
        if not at_s >= self.environment._now:
            raise ValueError(f"at_s must not be before now ({self.environment._now}), not {at_s}")
        timer = _new(Timer)
        timer.at_s = at_s
        timer._callback = callback
        timer._args = args
        timer._schedule = self._schedule
        heappush(self._queue, (at_s, _NORMAL, next(self._numbers), timer))
        return timer

    # --- asyncio's ways to schedule

    def call_soon(self, callback: Callable[..., object], *args: object, context: Context | None = None) -> ReadyHandle:
        """Put a callback at the end of the ready queue."""
        if self._closed:
            _refuse_closed()
        handle = _new(ReadyHandle)
        handle._callback = callback
        handle._args = args
        handle._cancelled = False
        handle._context = copy_context() if context is None else context
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> ReadyHandle:
        """Do as `call_soon`. Raises ForbiddenCall from another thread: its timing would be the wall clock's."""
        in_batons = self.batons is not None and self.batons.here() is not None
        if not in_batons and threading.get_ident() != (self._thread_id or self._owner_thread_id):
            raise ForbiddenCall(
                "loop.call_soon_threadsafe() was called from another thread, and threads do not exist in virtual "
                "time: use asyncio.to_thread() or loop.run_in_executor(), which run in the loop's order"
            )
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> TimerHandle:
        """Put a callback on the ready queue after `delay` seconds of virtual time."""
        # The body of call_at again: a call less is 5 % of a sleep.
        if self._closed:
            _refuse_closed()
        when = self.environment._now + delay
        if isnan(when):
            raise ValueError(f"delay must be a number, not {delay}")
        handle = _new(TimerHandle)
        handle._callback = callback
        handle._args = args
        handle._cancelled = False
        handle._context = copy_context() if context is None else context
        handle._schedule = self._schedule
        handle._scheduled = True
        handle._when = when
        heappush(self._queue, (when, _NORMAL, next(self._numbers), handle))
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> TimerHandle:
        """Put a callback on the ready queue at the virtual time `when`."""
        if self._closed:
            _refuse_closed()
        if isnan(when):
            raise ValueError(f"when must be a number, not {when}")
        handle = _new(TimerHandle)
        handle._callback = callback
        handle._args = args
        handle._cancelled = False
        handle._context = copy_context() if context is None else context
        handle._schedule = self._schedule
        handle._scheduled = True
        handle._when = when
        heappush(self._queue, (when, _NORMAL, next(self._numbers), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """Return a new future of this loop.

        A future of the kernel's own that never enters a set may be made as `asyncio.Future(loop=loop)`, which is
        cheaper by 0.7 microseconds: tasks await the base class itself by a shortcut.
        """
        return OrderedFuture(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        """Return a task for `coro`; unnamed ones are numbered per loop. `options` as the interpreter's Task takes."""
        if self._closed:
            _refuse_closed()
        if self._task_factory is not None:
            return super().create_task(coro, name=name, context=context, **options)
        label = f"Task-{next(self._task_names)}" if name is None else str(name)
        task = OrderedTask(coro, loop=self, name=label, context=context, **options)
        parent = asyncio.current_task(self)
        task.lineage = "" if parent is None else lineage_below(parent)
        return task

    def set_task_factory(self, factory: Any) -> None:
        """Use `factory` for new tasks; `asyncio.eager_task_factory` is rebuilt on our ordered tasks."""
        eager = getattr(asyncio, "eager_task_factory", None)  # from Python 3.12 on
        if eager is not None and factory is eager:
            factory = asyncio.create_eager_task_factory(OrderedTask)  # type: ignore[attr-defined,unused-ignore]
        super().set_task_factory(factory)

    def run_in_executor(
        self,
        executor: object,  # noqa: ARG002  # there is but one
        func: Callable[..., T],
        *args: object,
    ) -> asyncio.Future[T]:
        """Run `func(*args)`, whatever the executor, and deliver its result through the ready queue.

        With `batons` it runs in one of their threads from the ready queue on, else at once; there is no running loop
        meanwhile, as there would be none in a worker thread.
        """
        if self._closed:
            _refuse_closed()
        future: asyncio.Future[T] = self.create_future()
        if self.batons is not None:
            self.batons.submit(func, args, future)
            return future
        running = events._get_running_loop()
        events._set_running_loop(None)
        try:
            result = func(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as failure:
            self.call_soon(_deliver_failure, future, failure)
        else:
            self.call_soon(_deliver, future, result)
        finally:
            events._set_running_loop(running)
        return future

    def block(self, seconds: float, place: str) -> None:
        """Let virtual time pass as `time.sleep` does. Raises ValueError for a negative time.

        In a thread of the batons only that one waits. On the loop everybody does: the clock moves on at once, whatever
        falls due meanwhile is late, and `on_blocked(seconds, place)` is told.
        """
        if not seconds >= 0.0:
            raise ValueError("sleep length must be non-negative")
        worker = None if self.batons is None else self.batons.here()
        if self.batons is not None and worker is not None:
            self.batons.sleep(worker, seconds)
            return
        self.on_blocked(seconds, place)
        self.environment._now += seconds

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Do nothing: there is no executor."""

    # --- stopping a run that cannot go on

    @property
    def running_callback(self) -> object:
        """The handle, timer or SimPy event whose callback runs now; None between runs."""
        return self._current_handle

    def abort(self, error: Exception) -> None:
        """Make the loop raise `error` when the callback that runs now has returned, whatever that one catches."""
        if self._abort_error is None:
            self._abort_error = error
            handle = _new(ReadyHandle)
            handle._callback = self._raise_abort
            handle._args = ()
            handle._cancelled = False
            handle._context = copy_context()
            self._ready.appendleft(handle)

    def abandon(self) -> None:
        """Drop what is scheduled, cancel every task and close: for a run that ends before its agents do.

        Agent code sees CancelledError, and nothing it does or raises then is reported: finish the trace before.
        """
        self.set_exception_handler(lambda _loop, _context: None)
        self._abort_error = None
        for _ in range(_CANCEL_ATTEMPTS):
            for task in sorted(asyncio.all_tasks(self), key=hash):
                task.cancel()
            for _ in range(_TURNS_TO_CANCEL):
                self._queue.clear()  # time does not go on
                self._schedule.cancelled = 0
                if self._ready:
                    self.stop()
                    with suppress(AgentMisbehaved):
                        self.run_forever()
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # it will not listen, and we said so
        self.close()

    def watch_for_spin(self, after_wall_s: float = 10.0) -> AbstractContextManager[None]:
        """While this context is open, stop with `errors.Spin` when a callback runs longer than this in wall time.

        Python code that spins is interrupted; a single endless call into C cannot be. Needs SIGALRM and the main
        thread, and is without effect where there is neither. Nothing of it reaches the trace.
        """
        return watched(self, after_wall_s)

    # --- the turn of the loop

    def run_forever(self) -> None:
        """Run until `stop`. Raises Deadlock, Livelock or Spin when a run cannot go on."""
        # as_completed() turns what it is given into set(given) before it makes tasks of it, so bare coroutines
        # would start in the order of their addresses. The name `set` in that module, for as long as the loop runs,
        # reaches every way in which as_completed() and wait() may have been imported.
        inner = "set" in vars(tasks)
        vars(tasks)["set"] = _ordered_set
        try:
            super().run_forever()
        finally:
            if not inner:  # an executor's function may run a loop of its own meanwhile
                del vars(tasks)["set"]

    def _run_once(self) -> None:
        """Run turns until `stop`: asyncio's `run_forever` calls this where the standard loop makes one turn."""
        try:
            self._run_turns()
        except SpinSignal:
            self._raise_abort()
        finally:
            self._current_handle = None

    def _run_turns(self) -> None:  # noqa: PLR0915  # the hot path: a call less is time won
        environment = self.environment
        queue = self._queue
        ready = self._ready
        popleft = ready.popleft
        now: float = environment._now
        made_before = 0  # the number that separates timers made before this instant from those made in it
        left = limit = self._callbacks_per_instant_max
        while True:
            if environment._now != now:  # a callback blocked the loop
                now = environment._now
                made_before = next(self._numbers)
                left = limit
            if not ready and not self._stopping:
                while queue:
                    event = queue[0][3]
                    kind = type(event)
                    if (kind is TimerHandle or kind is Timer) and event._callback is None:
                        heappop(queue)
                        self._schedule.cancelled -= 1
                    else:
                        break
                at = queue[0][0] if queue else inf
                if at > now:
                    if at == inf:
                        self._raise_deadlock()
                    environment._now = now = at
                    made_before = next(self._numbers)
                    left = limit

            while queue and queue[0][0] <= now:
                left -= 1
                if left < 0:
                    self._raise_livelock()
                _, _, number, event = queue[0]
                kind = type(event)
                if kind is TimerHandle:
                    heappop(queue)
                    if event._cancelled:
                        self._schedule.cancelled -= 1
                        continue
                    event._scheduled = False
                    ready.append(event)
                    if number < made_before:
                        self.timed_waits += 1
                elif kind is Timer:
                    heappop(queue)
                    callback = event._callback
                    if callback is None:
                        self._schedule.cancelled -= 1
                        continue
                    event._callback = None
                    self._current_handle = event
                    if number < made_before:
                        self.timed_waits += 1
                    callback(*event._args)
                else:
                    self._current_handle = event
                    environment.step()
                    environment._now = now  # an event that fired late turns the clock back

            generation = len(ready)
            left -= generation
            if left < 0:
                self._raise_livelock()
            for _ in range(generation):
                handle = popleft()
                if handle._cancelled:
                    continue
                self._current_handle = handle
                args = handle._args
                try:
                    # Unpacking a tuple builds a list and another tuple; a task's step has none or one argument.
                    if not args:
                        handle._context.run(handle._callback)
                    elif len(args) == 1:
                        handle._context.run(handle._callback, args[0])
                    else:
                        handle._context.run(handle._callback, *args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as failure:
                    self._callback_failed(handle, failure)
            handle = None  # type: ignore[assignment]  # what a callback holds must not outlive its turn
            if self._stopping:
                return

    def _callback_failed(self, handle: ReadyHandle | TimerHandle, failure: BaseException) -> None:
        if handle._callback == self._raise_abort:
            raise failure
        if isinstance(failure, SpinSignal):
            return  # the error itself stands next in line
        self.call_exception_handler(
            {
                "message": f"Exception in {name_of_callback(handle._callback)}",
                "exception": failure,
                "handle": handle,
            }
        )

    def _raise_abort(self) -> None:
        # Raised once: afterwards the loop may still be used to cancel and close what is left.
        error, self._abort_error = self._abort_error, None
        if error is not None:
            raise error

    def _raise_deadlock(self) -> NoReturn:
        waiters = sorted((task for task in asyncio.all_tasks(self) if not task.done()), key=hash)
        waiting = listed(waiting_task(task) for task in waiters) or "  (no task waits)"
        raise Deadlock(
            f"deadlock at virtual time {self.time():.6f} s: nothing is ready, nothing is scheduled, and these wait:\n"
            f"{waiting}"
        )

    def _raise_livelock(self) -> NoReturn:
        names = [name_of_callback(handle._callback) for handle in self._ready if not handle._cancelled]
        names += [_name_of_event(entry[3]) for entry in self._queue if entry[0] <= self.time()]
        raise Livelock(
            f"livelock at virtual time {self.time():.6f} s: more than {self._callbacks_per_instant_max} callbacks in "
            f"one instant, with no end in sight; next in line:\n{listed(names)}"
        )


class _OrderedWeakSet(WeakKeyDictionary[Any, None]):
    """A weak set that iterates in the order of insertion, where `WeakSet` goes by address."""

    def add(self, item: object) -> None:
        self[item] = None

    def discard(self, item: object) -> None:
        self.pop(item, None)


def _ordered_set(items: Iterable[T] | None = None) -> dict[T, None] | set[T]:
    # Both callers only iterate over what they give and take its length; with nothing given it is a result to fill.
    return set() if items is None else dict.fromkeys(items)


def _refuse_closed() -> NoReturn:
    raise RuntimeError("Event loop is closed")


def _deliver(future: asyncio.Future[T], result: T) -> None:
    if not future.cancelled():
        future.set_result(result)


def _deliver_failure(future: asyncio.Future[Any], failure: BaseException) -> None:
    if not future.cancelled():
        future.set_exception(failure)


def _name_of_event(event: object) -> str:
    if type(event) in (Timer, TimerHandle):
        return name_of_callback(event._callback)  # type: ignore[attr-defined]
    return f"SimPy event {type(event).__name__}"


_NO_NETWORK = "there is no network in virtual time: call the simulated services through the desk's tools"
_NO_PROCESS = "there are no processes in virtual time: do the work in Python, or behind a simulated service"
_NO_SIGNAL = "signals arrive in wall-clock time: the run handles Ctrl-C itself"
_NO_PIPE = "there are no pipes in virtual time: use an asyncio.Queue or a stream of the desk"

_REFUSED = {
    _NO_NETWORK: (
        *("create_connection", "create_server", "create_datagram_endpoint", "create_unix_connection"),
        *("create_unix_server", "connect_accepted_socket", "start_tls", "sendfile", "getaddrinfo", "getnameinfo"),
        *("sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_sendto"),
        *("sock_connect", "sock_accept", "sock_sendfile", "add_reader", "remove_reader", "add_writer"),
        "remove_writer",
    ),
    _NO_PROCESS: ("subprocess_shell", "subprocess_exec"),
    _NO_SIGNAL: ("add_signal_handler", "remove_signal_handler"),
    _NO_PIPE: ("connect_read_pipe", "connect_write_pipe"),
}


NETWORKED = ("create_connection", "sock_connect", "getaddrinfo", "getnameinfo", "start_tls")


def _networked(name: str, refuse: Callable[..., NoReturn]) -> Callable[..., Any]:
    def pass_on(self: SimulationLoop, *args: object, **options: object) -> Any:
        return refuse(self) if self.network is None else getattr(self.network, name)(*args, **options)

    pass_on.__name__ = name
    pass_on.__doc__ = "Leave it to the simulated network. Raises ForbiddenCall where none is attached."
    return pass_on


def _refusal(name: str, remedy: str) -> Callable[..., NoReturn]:
    def refuse(self: SimulationLoop, *_: object, **__: object) -> NoReturn:
        error = ForbiddenCall(f"{place_of(sys._getframe(1))}: loop.{name}() was called, but {remedy}")
        if self.is_running():
            self.abort(error)  # the agent may catch what is raised here; the run still cannot go on
        raise error

    refuse.__name__ = name
    refuse.__doc__ = "Raise ForbiddenCall."
    return refuse


for _remedy, _names in _REFUSED.items():
    for _name in _names:
        _method = _refusal(_name, _remedy)
        setattr(SimulationLoop, _name, _networked(_name, _method) if _name in NETWORKED else _method)
