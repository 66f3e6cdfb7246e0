"""The fences around agent code: no threads, sockets, processes, sleeps or wall clock, and no entropy but the run's.

What is refused, in the thread that opened the fence and while it is not lifted:

* by audit event, however the function was imported: creating, connecting or binding a socket, looking up a name,
  starting a process, forking, and (from Python 3.12 on) a bare `_thread.start_new_thread`;
* by replacing the method on its class, so equally without escape: `threading.Thread.start`;
* by replacing module attributes: `time.sleep` and the readings of `time`, for every module that calls them as
  `time.x()`, and for the agent's own modules also when they wrote `from time import x`;
* in the agent's own modules only: `now`, `utcnow` and `today` of `datetime` and `date`.

An agent's own module is one that was imported before the fence went up and is neither installed, nor the standard
library's, nor Pagerproof's (whose reference agents count as agents). Not caught, because nothing inside the process
can: libraries which imported a clock by name, clocks read in C, and `datetime.now()` in libraries. `logging` goes on
reading the clock: its lines are no part of a trace.

That is the manner `strict`, for agents that speak through the desk. In the manner `governed`, for foreign code, the
clocks are not refused but give virtual time, for every module, and `time.sleep` takes it (`governance.py`).

In both, `random`'s functions, `os.urandom`, `uuid`, and with them `secrets`, `random.Random()` and numpy generators
seeded from the system, draw from the stream of the request that is being served.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any, Literal, NoReturn

from pagerproof.errors import ForbiddenCall
from pagerproof.kernel.batons import Batons
from pagerproof.kernel.diagnosis import is_agent_code, is_installed, place_of
from pagerproof.kernel.governance import Dispatcher, Stream, dispatcher_of, governed
from pagerproof.kernel.loop import SimulationLoop
from pagerproof.kernel.nested import NestedLoop

Entropy = Callable[[], Stream]
"""Returns the byte stream of the request that is being served: `stream(n)` gives its next n bytes."""

Manner = Literal["strict", "governed"]
"""Whether agent code may not read a clock, or reads a virtual one."""

_USE_LOOP_CLOCK = "read the desk's clock or asyncio.get_running_loop().time(), which are virtual"
_USE_ASYNC_SLEEP = "await asyncio.sleep(), which takes virtual time"
_USE_TO_THREAD = "await asyncio.to_thread(), which the loop runs in its own order"
_USE_TOOLS = "call the simulated services through the desk's tools"
_NO_PROCESS = "do the work in Python, or behind a simulated service"

_AUDITED = {
    "socket.__new__": ("socket.socket()", _USE_TOOLS),
    "socket.connect": ("socket.connect()", _USE_TOOLS),
    "socket.bind": ("socket.bind()", _USE_TOOLS),
    "socket.sendto": ("socket.sendto()", _USE_TOOLS),
    "socket.getaddrinfo": ("socket.getaddrinfo()", _USE_TOOLS),
    "socket.getnameinfo": ("socket.getnameinfo()", _USE_TOOLS),
    "socket.gethostbyname": ("socket.gethostbyname()", _USE_TOOLS),
    "socket.gethostbyaddr": ("socket.gethostbyaddr()", _USE_TOOLS),
    "subprocess.Popen": ("subprocess.Popen()", _NO_PROCESS),
    "os.system": ("os.system()", _NO_PROCESS),
    "os.fork": ("os.fork()", _NO_PROCESS),
    "os.forkpty": ("os.forkpty()", _NO_PROCESS),
    "os.exec": ("os.exec*()", _NO_PROCESS),
    "os.posix_spawn": ("os.posix_spawn()", _NO_PROCESS),
    "os.spawn": ("os.spawn*()", _NO_PROCESS),
    "pty.spawn": ("pty.spawn()", _NO_PROCESS),
    "_thread.start_new_thread": ("_thread.start_new_thread()", _USE_TO_THREAD),
    "_thread.start_joinable_thread": ("_thread.start_joinable_thread()", _USE_TO_THREAD),
}
_CLOCKS = tuple(
    name + suffix
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
    for suffix in ("", "_ns")
    if hasattr(time, name + suffix)
)
_MAY_READ_CLOCKS = frozenset({"logging"})

_up: Fence | None = None
_hook_installed = False


class Fence:
    """One fence while it is up; `refused` is its first refusal, kept in case the agent swallows the error."""

    def __init__(self, loop: SimulationLoop, entropy: Entropy | None = None, manner: Manner = "strict") -> None:
        self.refused: ForbiddenCall | None = None
        self.clocks = manner == "governed"
        self._loop = loop
        self._entropy = entropy
        self._batons = loop.batons
        self._thread_id = threading.get_ident()
        self._lifted = 0

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let the host's own code through for a while: a progress display, a file being written."""
        self._lifted += 1
        try:
            yield
        finally:
            self._lifted -= 1

    def stands(self) -> bool:
        """Return whether the caller is inside: in the fenced thread and not lifted."""
        if self._lifted:
            return False
        if threading.get_ident() == self._thread_id:
            return self._batons is None or not self._batons.starting
        return self._batons is not None and self._batons.here() is not None

    def now_s(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def stream(self) -> Stream:
        """Return the stream of the request that is being served. Raises LookupError without entropy."""
        if self._entropy is None:
            raise LookupError("no entropy was given to this fence")
        return self._entropy()

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass for the calling thread."""
        self._loop.block(seconds, place_of(sys._getframe(3)))

    def refuse(self, call: str, remedy: str, frame: FrameType) -> NoReturn:
        """Raise ForbiddenCall and have the loop raise it too once the present callback returns."""
        error = ForbiddenCall(f"{place_of(frame)}: {call} is refused in virtual time: {remedy}")
        if self.refused is None:
            self.refused = error
        if self._loop.is_running():
            self._loop.abort(error)
        raise error


@contextmanager
def fenced(loop: SimulationLoop, entropy: Entropy | None = None, manner: Manner = "strict") -> Iterator[Fence]:
    """Hold the fence up around a run of `loop`; everything replaced is put back on the way out.

    A refusal raises ForbiddenCall at the call and once more out of the loop. Fences do not nest. Without `entropy`
    random sources are left alone, which only the manner `strict` can do. Raises ValueError for `governed` without.
    """
    global _up  # noqa: PLW0603  # the audit hook can never be removed, so it has to ask whether a fence is up
    if _up is not None:
        raise RuntimeError("a fence is already up")
    if manner == "governed" and entropy is None:
        raise ValueError("foreign code needs entropy")
    _install_hook()
    loop.batons = Batons(loop) if manner == "governed" else None
    fence = Fence(loop, entropy, manner)
    swaps = _Swaps()
    with nullcontext() if entropy is None else governed(fence):
        try:
            _swap_threads(fence, swaps)
            if manner == "strict":
                _swap_clocks(fence, swaps)
                swaps.reach_agent_modules()
            else:
                _swap_loops(fence, loop, swaps)
            _up = fence
            yield fence
        finally:
            if loop.batons is not None:
                loop.batons.end()
            _up = None
            swaps.undo()


class _Swaps:
    """Attributes replaced, in order, and how to put them back."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any]] = []
        self._new_of: dict[int, Any] = {}

    def swap(self, holder: Any, name: str, new: Any) -> None:
        """Replace `holder.name`, and remember that agent modules which hold the same object get `new` as well."""
        old = vars(holder)[name]
        self._done.append((holder, name, old))
        self._new_of[id(old)] = new
        if isinstance(old, Dispatcher):  # governed already: agent's modules may hold the real one or the dispatcher
            self._new_of[id(old.real)] = new
        elif (dispatcher := dispatcher_of(old)) is not None:
            self._new_of[id(dispatcher)] = new
        setattr(holder, name, new)

    def only_in_agent_modules(self, old: Any, new: Any) -> None:
        """Replace `old` where the agent's own modules hold it, and nowhere else."""
        self._new_of[id(old)] = new

    def reach_agent_modules(self) -> None:
        """Replace what the agent's own modules imported by name."""
        for module in [module for module in sys.modules.values() if _is_agents_own(module)]:
            for name, value in list(vars(module).items()):
                if id(value) in self._new_of:
                    self._done.append((module, name, value))
                    setattr(module, name, self._new_of[id(value)])

    def undo(self) -> None:
        """Put everything back, last first."""
        while self._done:
            holder, name, old = self._done.pop()
            setattr(holder, name, old)


def _is_agents_own(module: object) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and is_agent_code(file) and not is_installed(file)


def _install_hook() -> None:
    global _hook_installed  # noqa: PLW0603  # once per process, for good
    if not _hook_installed:
        sys.addaudithook(_audit)
        _hook_installed = True


def _audit(event: str, _arguments: tuple[object, ...]) -> None:
    refusal = _AUDITED.get(event)
    if refusal is not None and _up is not None and _up.stands():
        _up.refuse(*refusal, sys._getframe(1))


def _swap_threads(fence: Fence, swaps: _Swaps) -> None:
    swaps.swap(threading.Thread, "start", _refusing_method(fence, threading.Thread.start))


def _swap_loops(fence: Fence, loop: SimulationLoop, swaps: _Swaps) -> None:
    """Let `asyncio.run` in a thread of the batons have a loop on the run's clock."""
    real = asyncio.events.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        batons = loop.batons
        worker = None if batons is None else batons.here()
        if batons is None or worker is None or not fence.stands():
            return real()
        return NestedLoop(loop, batons, worker)

    swaps.swap(asyncio.events, "new_event_loop", new_event_loop)
    swaps.swap(asyncio, "new_event_loop", new_event_loop)
    swaps.swap(Future, "result", _awaiting(loop, Future.result))
    swaps.swap(Future, "exception", _awaiting(loop, Future.exception))


def _awaiting(loop: SimulationLoop, real: Callable[..., Any]) -> Callable[..., Any]:
    """Have a thread of the batons wait for a future (`run_coroutine_threadsafe`, `anyio.from_thread`) as if asleep."""

    def result(self: Future[Any], timeout: float | None = None) -> Any:
        if loop.batons is not None:
            loop.batons.wait(self, timeout)
            timeout = None if self.done() else 0.0
        return real(self, timeout)

    return result


def _swap_clocks(fence: Fence, swaps: _Swaps) -> None:
    swaps.swap(time, "sleep", _refusing(fence, "time.sleep()", time.sleep, _USE_ASYNC_SLEEP))
    for name in _CLOCKS:
        swaps.swap(time, name, _refusing(fence, f"time.{name}()", getattr(time, name), _USE_LOOP_CLOCK))
    moment = _clockless(fence, datetime.datetime, ("now", "utcnow", "today"))
    day = _clockless(fence, datetime.date, ("today",))
    module = types.ModuleType("datetime", datetime.__doc__)
    vars(module).update(vars(datetime), datetime=moment, date=day)
    swaps.only_in_agent_modules(datetime.datetime, moment)
    swaps.only_in_agent_modules(datetime.date, day)
    swaps.only_in_agent_modules(datetime, module)


def _refusing(fence: Fence, call: str, real: Callable[..., Any], remedy: str) -> Callable[..., Any]:
    def refuse(*args: Any) -> Any:
        frame = sys._getframe(1)
        if not fence.stands() or frame.f_globals.get("__name__") in _MAY_READ_CLOCKS:
            return real(*args)
        return fence.refuse(call, remedy, frame)

    return refuse


def _refusing_method(fence: Fence, real: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: threading.Thread) -> Any:
        if not fence.stands():
            return real(self)
        return fence.refuse("threading.Thread.start()", _USE_TO_THREAD, sys._getframe(1))

    return start


def _clockless(fence: Fence, real: type, methods: tuple[str, ...]) -> type:
    """Return a class which stands for `real` in every way, but refuses to be asked what time it is."""

    class Transparent(type):
        def __call__(cls, *args: Any, **options: Any) -> Any:
            return real(*args, **options)  # a plain one: no object of the class below ever exists

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    def refusing(name: str) -> Any:
        call = f"{real.__name__}.{name}()"
        return staticmethod(_refusing(fence, call, getattr(real, name), _USE_LOOP_CLOCK))

    return Transparent(real.__name__, (real,), {name: refusing(name) for name in methods})
