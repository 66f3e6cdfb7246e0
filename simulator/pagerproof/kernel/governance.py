"""Governance of foreign code: its clocks show virtual time and its entropy is the stream of the request it serves.

Names are replaced by dispatchers which do the usual thing outside of a run, so that a module may go on holding one.
Within `governed` they stand in their own modules and in every module that imported them by name before;
within `governed_imports`, which surrounds the import of an agent, they are what everybody imports, so that class
attributes, default arguments and closures hold them too. `datetime.now` and `utcnow` are replaced in the class's own
dictionary: the class stays the same object, which pydantic and whoever compares types need, and every subclass and
every alias is reached.

Why not time-machine, which patches the same functions in C: it leaves out `time.monotonic` and `perf_counter`, which
timeouts of frameworks are made of, and so would add to these dispatchers instead of replacing them; what it catches
beyond them are names bound by libraries that were imported before an agent's process asked for governance, and the
processes that run foreign agents have none. Not governed, because nothing in the process can see it: clocks and
entropy read inside C or Rust (`numpy.datetime64("now")`, SQLite's `random()`), addresses (`id`, the default `hash`),
process ids, and files with their times. `experiment/doctor.py` looks for their effects.
"""

from __future__ import annotations

import ctypes
import datetime
import functools
import gc
import importlib
import os
import random  # noqa: TID251  # not to draw from: what foreign code draws from is replaced here
import sys
import threading
import time
import uuid  # noqa: TID251  # the same
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, Final, Protocol

from pagerproof.kernel.diagnosis import is_ours
from pagerproof.kernel.libraries import UuidMaker, patching_libraries
from pagerproof.model import RUN_BEGINS
from pagerproof.rng import ByteStream, key_of, sub_key

Stream = Callable[[int], bytes]
EPOCH_NS: Final = int(RUN_BEGINS.timestamp()) * 1_000_000_000
"""What the wall clock shows, in nanoseconds since 1970, at virtual time 0."""


class Governor(Protocol):
    """Who answers for the clocks and the entropy of the code that runs now; `clocks`: whether for the clocks too."""

    clocks: bool

    def stands(self) -> bool:
        """Return whether the caller is governed: in a thread of the run, and not the host's own code."""
        ...

    def now_s(self) -> float:
        """Return the virtual time."""
        ...

    def stream(self) -> Stream:
        """Return the byte stream of the request that is being served."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass for the calling thread."""
        ...


_governor: Governor | None = None


class Dispatcher:
    """Stands for a function of the standard library: `served(governor, ...)` where governed, else the real one.

    An object and not a function, since a builtin kept as a class attribute does not turn into a method either.
    """

    def __init__(self, real: Callable[..., Any], served: Callable[..., Any], *, clock: bool = False) -> None:
        functools.update_wrapper(self, real, updated=())
        self.real = real
        self._served = served
        self.clock = clock

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Do as the real function, or as the governor has it."""
        governor = _governor
        if governor is None or not (governor.clocks or not self.clock) or not governor.stands():
            return self.real(*args, **options)
        return self._served(governor, *args, **options)

    def __repr__(self) -> str:
        return f"<governed {self.real!r}>"

    def __reduce__(self) -> str:
        return str(self.real.__qualname__)


# --- clocks


def _wall_s(governor: Governor) -> float:
    return (EPOCH_NS + round(governor.now_s() * 1e9)) / 1e9


def _clock_gettime(governor: Governor, clock: int) -> float:
    return _wall_s(governor) if clock == time.CLOCK_REALTIME else governor.now_s()


def _clock_gettime_ns(governor: Governor, clock: int) -> int:
    return round(governor.now_s() * 1e9) + (EPOCH_NS if clock == time.CLOCK_REALTIME else 0)


def _from_now(real: Callable[..., Any]) -> Callable[..., Any]:
    def served(governor: Governor, seconds: float | None = None) -> Any:
        return real(_wall_s(governor) if seconds is None else seconds)

    return served


def _strftime(governor: Governor, text: str, *moment: Any) -> str:
    return _real_strftime(text, *(moment or (_real_localtime(_wall_s(governor)),)))


def _asctime(governor: Governor, *moment: Any) -> str:
    return _real_asctime(*(moment or (_real_localtime(_wall_s(governor)),)))


_real_strftime, _real_asctime, _real_localtime = time.strftime, time.asctime, time.localtime
_ELAPSED: Final = tuple(
    name for name in ("monotonic", "perf_counter", "process_time", "thread_time") if hasattr(time, name)
)


def _clocks() -> Iterator[tuple[str, Callable[..., Any]]]:
    yield "time", _wall_s
    yield "time_ns", lambda governor: EPOCH_NS + round(governor.now_s() * 1e9)
    for name in _ELAPSED:
        yield name, lambda governor: governor.now_s()
        yield f"{name}_ns", lambda governor: round(governor.now_s() * 1e9)
    if hasattr(time, "clock_gettime"):
        yield "clock_gettime", _clock_gettime
        yield "clock_gettime_ns", _clock_gettime_ns
    for name in ("localtime", "gmtime", "ctime"):
        yield name, _from_now(getattr(time, name))
    yield "strftime", _strftime
    yield "asctime", _asctime
    yield "sleep", lambda governor, seconds: governor.sleep(seconds)


# --- entropy


class _StreamRandom(random.SystemRandom):
    """`random`'s functions over `os.urandom`, which is a dispatcher; it keeps nothing between two draws."""

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        self.gauss_next = None  # the second normal of a pair must not go to another request
        return super().gauss(mu, sigma)


def _stream_of(governor: Governor) -> Stream:
    """Return the stream to draw from: the request's, or, while it imports a module, that of the module.

    What a library draws as it is imported would otherwise shift the draws of the request that came first, and only in
    the first run of a process.
    """
    if _imports_under_way:
        module = _module_being_executed()
        if module and not isinstance(governor, _Importing):
            return _stream_of_module(module)
    return governor.stream()


def _stream_of_module(module: str) -> Stream:
    return ByteStream(sub_key(key_of(0, 0), f"import\x1f{module}".encode())).read


_imports_under_way: Final[dict[str, object]] = getattr(importlib._bootstrap, "_module_locks", {})
"""The locks of modules that are being imported: empty when none is, which is quicker to ask than the stack."""

_served_random = _StreamRandom()
_real_seed = random.Random.seed


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    governor = _governor
    if a is None and governor is not None and governor.stands():
        a = int.from_bytes(_stream_of(governor)(32), "big")
    _real_seed(self, a, version)


_uuids = UuidMaker(lambda: EPOCH_NS + round(_now_s() * 1e9), lambda size: os.urandom(size))  # noqa: PLW0108  # by its name, which is replaced


def _now_s() -> float:
    return 0.0 if _governor is None else _governor.now_s()


def _entropy() -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    def read(governor: Governor, size: int, _flags: int = 0) -> bytes:
        return _stream_of(governor)(size)

    yield os, "urandom", read
    if hasattr(os, "getrandom"):
        yield os, "getrandom", read
    yield uuid, "uuid1", lambda _governor, node=None, clock_seq=None: _uuids.uuid1(node, clock_seq)
    yield uuid, "getnode", lambda governor: int.from_bytes(_stream_of(governor)(6), "big") | 1 << 40
    if hasattr(uuid, "uuid7"):  # the standard library's keeps a counter for the whole process
        yield uuid, "uuid7", lambda _governor: _uuids.uuid7()
    hidden = random.random.__self__  # type: ignore[attr-defined]  # the generator behind the module's functions
    for name, function in list(vars(random).items()):
        if getattr(function, "__self__", None) is hidden:
            yield random, name, _serving(getattr(_served_random, name))


def _serving(method: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _governor, *args, **options: method(*args, **options)


def _all_dispatchers() -> Iterator[tuple[Any, str, Dispatcher]]:
    for name, served in _clocks():
        yield time, name, Dispatcher(getattr(time, name), served, clock=True)
    for holder, name, served in _entropy():
        yield holder, name, Dispatcher(getattr(holder, name), served)


_DISPATCHERS: Final = tuple(_all_dispatchers())
_OF: Final = {id(dispatcher.real): dispatcher for _, _, dispatcher in _DISPATCHERS}


def dispatcher_of(real: object) -> Dispatcher | None:
    """Return the dispatcher that stands for a function of the standard library."""
    return _OF.get(id(real))


# --- in force


@contextmanager
def governed(governor: Governor) -> Iterator[None]:
    """Let `governor` answer for the clocks and the entropy of the process; everything is put back on the way out."""
    global _governor  # noqa: PLW0603  # one process has one set of clocks
    if _governor is not None:
        raise RuntimeError("the process is governed already")
    with ExitStack() as undo:
        for holder, name, dispatcher in _DISPATCHERS:
            if governor.clocks or holder is not time:
                _swap(undo, holder, name, dispatcher)
        _swap(undo, random, "_urandom", _OF[id(_real_urandom)])
        _swap(undo, random.Random, "seed", _seed)
        if governor.clocks:
            undo.enter_context(_virtual_datetime())
        _rebind(undo, clocks=governor.clocks)
        _governor = governor
        undo.callback(_release)
        undo.enter_context(patching_libraries(_uuids, _stands))
        yield


_real_urandom = os.urandom


def _stands() -> bool:
    governor = _governor
    return governor is not None and governor.stands()


def _release() -> None:
    global _governor  # noqa: PLW0603  # see above
    _governor = None


def _swap(undo: ExitStack, holder: Any, name: str, new: Any) -> None:
    undo.callback(setattr, holder, name, vars(holder)[name])
    setattr(holder, name, new)


def _rebind(undo: ExitStack, *, clocks: bool) -> None:
    """Give the dispatchers to every module that holds the real functions by name, except Pagerproof's own."""
    own = {id(holder) for holder, _, _ in _DISPATCHERS}
    for module in list(sys.modules.values()):
        if id(module) in own or _is_hosts(module):
            continue
        for name, value in list(getattr(module, "__dict__", {}).items()):
            dispatcher = _OF.get(id(value))
            if dispatcher is not None and (clocks or not dispatcher.clock):
                _swap(undo, module, name, dispatcher)


def _is_hosts(module: ModuleType) -> bool:
    """Whether a module belongs to whoever runs the run: Pagerproof, a test runner, the interpreter's own modules."""
    name = getattr(module, "__name__", "")  # what stands in sys.modules need not be a module
    return name.partition(".")[0] in {"_pytest", "pytest", "posix", "nt", "faulthandler"} or is_ours(
        getattr(module, "__file__", None) or ""
    )


# --- datetime


def _type_dict(kind: type) -> dict[str, Any]:
    """Return the dictionary itself that `kind.__dict__` only shows."""
    found: dict[str, Any] = gc.get_referents(kind.__dict__)[0]
    return found


_REAL_NOW: Final = _type_dict(datetime.datetime)["now"]
_REAL_UTCNOW: Final = _type_dict(datetime.datetime)["utcnow"]


def _now(cls: Any, tz: datetime.tzinfo | None = None) -> Any:
    governor = _governor
    if governor is None or not governor.stands():
        return _REAL_NOW.__get__(None, cls)(tz)
    return _moment(cls, governor, tz or datetime.UTC, naive=tz is None)


def _utcnow(cls: Any) -> Any:
    governor = _governor
    if governor is None or not governor.stands():
        return _REAL_UTCNOW.__get__(None, cls)()
    return _moment(cls, governor, datetime.UTC, naive=True)


def _moment(cls: Any, governor: Governor, tz: datetime.tzinfo, *, naive: bool) -> Any:
    begins = cls(RUN_BEGINS.year, RUN_BEGINS.month, RUN_BEGINS.day, tzinfo=datetime.UTC)
    moment = (begins + datetime.timedelta(microseconds=round(governor.now_s() * 1e6))).astimezone(tz)
    return moment.replace(tzinfo=None) if naive else moment


@contextmanager
def _virtual_datetime() -> Iterator[None]:
    """Have `datetime.now` ask the governor, and local time be UTC: the machine's own zone is no input of a run.

    `date.today` and `datetime.today` ask `time.time`, which is a dispatcher.
    """
    methods = _type_dict(datetime.datetime)
    zone = os.environ.get("TZ")
    methods["now"], methods["utcnow"] = classmethod(_now), classmethod(_utcnow)
    _modified(datetime.datetime)
    _set_zone("UTC")
    try:
        yield
    finally:
        methods["now"], methods["utcnow"] = _REAL_NOW, _REAL_UTCNOW
        _modified(datetime.datetime)
        _set_zone(zone)


def _modified(kind: type) -> None:
    """Tell the interpreter that what it remembers of a type's attributes is out of date."""
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def _set_zone(zone: str | None) -> None:
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    if hasattr(time, "tzset"):
        time.tzset()


# --- while an agent is imported or made


class _Importing:
    """Governs imports: every module has a stream and a clock of its own, so that it matters not who came first."""

    clocks = True

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._streams: dict[str, Stream] = {}
        self._readings: dict[str, int] = {}

    def stands(self) -> bool:
        return threading.get_ident() == self._thread

    def now_s(self) -> float:
        """Return 0 and a microsecond more at each reading, for whoever waits for a clock to move."""
        module = _module_being_executed()
        self._readings[module] = readings = self._readings.get(module, -1) + 1
        return readings / 1e6

    def stream(self) -> Stream:
        module = _module_being_executed()
        if module not in self._streams:
            self._streams[module] = _stream_of_module(module)
        return self._streams[module]

    def sleep(self, seconds: float) -> None:
        _REAL_SLEEP(seconds)


def _module_being_executed() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    if frame.f_code.co_name != "<module>":
        return ""
    name = str(frame.f_globals.get("__name__", ""))
    return "" if name == "__main__" or name.partition(".")[0] in {"pagerproof", "_pytest", "pytest"} else name


_REAL_SLEEP: Final = _OF[id(time.sleep)].real


@contextmanager
def governed_imports() -> Iterator[None]:
    """Import or make an agent here: what it binds is ours, and what it draws or reads at import is the same each time.

    Inside of a run, or of another such context, it changes nothing.
    """
    if _governor is not None:
        yield
        return
    collects = gc.isenabled()
    gc.disable()  # somebody's callback at a collection would read the clock whenever the collector liked
    try:
        with governed(_Importing()):
            yield
    finally:
        if collects:
            gc.enable()
