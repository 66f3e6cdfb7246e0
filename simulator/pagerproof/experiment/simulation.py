"""One run in virtual time: requests arrive, an agent works on each of them, and each is handed on once settled."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pagerproof import events
from pagerproof.agents.load import Agent, checked_reply
from pagerproof.errors import AgentMisbehaved, ForbiddenCall, Interrupted, PagerproofError, UsageError
from pagerproof.experiment.boundary import Boundary
from pagerproof.experiment.desk import SimulatedDesk, VirtualClock
from pagerproof.experiment.wire import owned_by, whose
from pagerproof.kernel import Fence, Manner, SimulationLoop, fenced, frozen_gc
from pagerproof.model import Request, Truth
from pagerproof.protocols import Case
from pagerproof.rng import ByteStream, key_of, sub_key

# Settled requests per collection of each generation: often enough that a request's memory is used again while it is
# still in the processor's cache, and rarely enough that what lives long is not looked at again and again.
_COLLECTIONS = ((20_000, 2), (2_000, 1), (200, 0))
_SMALLEST_PERIOD = _COLLECTIONS[-1][0]


class _Entropy:
    """The bytes that one request's code takes from the interpreter: begun when first asked for."""

    __slots__ = ("_index", "_read", "_seed")

    def __init__(self, seed: int, index: int) -> None:
        self._seed = seed
        self._index = index
        self._read: Callable[[int], bytes] | None = None

    def stream(self) -> Callable[[int], bytes]:
        """Return the request's stream, always the same one."""
        if self._read is None:
            self._read = ByteStream(sub_key(key_of(self._seed, self._index), b"entropy")).read
        return self._read


# A context reaches the tasks and callbacks that a request's code makes, which a table of tasks would not know.
_entropy_here: ContextVar[_Entropy] = ContextVar("pagerproof.entropy")


class CaseSource(Protocol):
    """Where requests come from: times of arrival and, for each index, the request and its hidden truth."""

    def arrivals(self) -> Iterator[float]:
        """Yield times in seconds, never falling."""
        ...

    def case(self, index: int, arrival_s: float) -> tuple[Request, Truth]:
        """Return request `index`, the same in every run of this scenario and seed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended: `stopped_by` is None when every request had settled."""

    virtual_s: float
    timed_waits: int
    unsettled: tuple[int, ...]
    stopped_by: PagerproofError | None = None


class Simulation:
    """Drives one run. `on_settled` gets every case exactly once, in the order of settling (then the unsettled)."""

    def __init__(
        self,
        *,
        loop: SimulationLoop,
        boundary: Boundary,
        source: CaseSource,
        agent: Agent,
        requests: int,
        concurrency: int | None,
        patience_ends_at_start: bool,
        horizon_s: float | None,
        on_settled: Callable[[Case], object],
        manner: Manner = "strict",
        around: Sequence[AbstractContextManager[object]] = (),
        only: frozenset[int] | None = None,
        stop_after: int | None = None,
    ) -> None:
        self._loop = loop
        self._boundary = boundary
        self._source = source
        self._agent = agent
        self._requests = requests
        self._concurrency = concurrency
        self._patience_ends_at_start = patience_ends_at_start
        self._horizon_s = horizon_s
        self._on_settled = on_settled
        self._manner: Manner = manner
        self._around = around
        self._only = only
        self._stop_after = stop_after
        self._clock = VirtualClock(loop)
        self._open: dict[int, Case] = {}
        self._impatient: dict[int, Any] = {}
        self._queue: deque[Case] = deque()
        self._working: dict[asyncio.Task[Any], Case] = {}
        self._entropy_of_none = _Entropy(boundary.seed, 0)
        self._over = False
        self._arrived = 0
        self._settled = 0
        self._finished: asyncio.Future[None] | None = None
        self._fence: Fence | None = None
        self._collect: Callable[[int], object] = lambda _generation: None

    @property
    def fence(self) -> Fence | None:
        """The fence around agent code while the run goes on: host code that reads the clock lifts it."""
        return self._fence

    def run(self, *, spin_after_wall_s: float = 10.0) -> RunEnd:
        """Run to the end, or to what stops it, which is then kept in the result.

        That is the user (Interrupted), the agent (AgentMisbehaved) or a full disk (UsageError).
        """
        loop = self._loop
        self._finished = loop.create_future()
        stopped_by: PagerproofError | None = None
        with ExitStack() as stack:
            self._collect = stack.enter_context(frozen_gc())
            self._fence = stack.enter_context(fenced(loop, self._entropy, self._manner))
            loop.on_blocked = _note_blocked(loop)
            for context in self._around:
                stack.enter_context(context)
            stack.enter_context(loop.watch_for_spin(spin_after_wall_s))
            loop.set_exception_handler(_ignore_after_the_end)
            arrivals = self._source.arrivals()
            self._await_next(arrivals)
            if self._horizon_s is not None:
                loop.schedule(self._horizon_s, self._finish)
            try:
                loop.run_until_complete(self._finished)
            except (AgentMisbehaved, Interrupted, UsageError) as stop:
                stopped_by = stop
            except Exception:
                self._over = True
                loop.abandon()
                raise
            if stopped_by is None and self._fence.refused is not None:
                stopped_by = self._fence.refused
            self._over = True
            virtual_s = loop.time()
            unsettled = tuple(sorted(self._open))
            for index in unsettled:
                self._give_up(self._open[index])
            loop.abandon()
        return RunEnd(virtual_s=virtual_s, timed_waits=loop.timed_waits, unsettled=unsettled, stopped_by=stopped_by)

    # --- arrivals

    def _await_next(self, arrivals: Iterator[float]) -> None:
        if self._arrived >= self._requests:
            return
        at_s = next(arrivals, None)
        if at_s is None:
            self._requests = self._arrived
            if self._settled == self._arrived:
                self._finish()
            return
        self._arrived += 1
        self._loop.schedule(max(0.0, at_s - self._loop.time()), self._arrive, arrivals, self._arrived, at_s)

    def _arrive(self, arrivals: Iterator[float], index: int, at_s: float) -> None:
        if self._only is None or index in self._only:
            self._open_case(index, at_s)
        else:
            self._settled += 1
        self._await_next(arrivals)
        if self._settled == self._requests:
            self._finish()

    def _open_case(self, index: int, at_s: float) -> None:
        request, truth = self._source.case(index, at_s)
        case = Case(request, truth)
        if index in self._boundary.watched:
            case.payloads = []
        case.log.append((self._loop.time(), events.ARRIVED, request.channel, 0, 0, "+".join(truth.intents)))
        self._open[index] = case
        if truth.patience_s != float("inf"):
            self._impatient[index] = self._loop.schedule(truth.patience_s, self._leave, case)
        if self._concurrency is None or len(self._working) < self._concurrency:
            self._start(case)
        else:
            self._queue.append(case)

    def _leave(self, case: Case) -> None:
        case.left = True
        case.log.append((self._loop.time(), events.LEFT, "", 0, 0, ""))
        if case.started_s < 0.0:
            case.on_idle = None
            self._settle(case)

    # --- work

    def _start(self, case: Case) -> None:
        case.started_s = self._loop.time()
        case.log.append((case.started_s, events.STARTED, "", 0, 0, ""))
        if self._patience_ends_at_start:
            self._be_patient(case.index)
        task = self._loop.create_task(self._work(case), name=f"request {case.index}")
        self._working[task] = case
        task.add_done_callback(self._answered)

    async def _work(self, case: Case) -> None:
        _entropy_here.set(_Entropy(self._boundary.seed, case.index))
        owned_by(case)
        toolbox = self._boundary.toolbox(case)
        desk = SimulatedDesk(case, toolbox, self._clock, self._loop, self._boundary.offered)
        case.reply = checked_reply(await self._agent.handle(case.request, desk))

    def _answered(self, task: asyncio.Task[None]) -> None:
        case = self._working.pop(task)
        if self._over:
            return
        try:
            self._close_case(case, task)
        except Exception as error:  # asyncio only logs what a done callback raises: a full disk would go unnoticed
            self._loop.abort(error)

    def _close_case(self, case: Case, task: asyncio.Task[None]) -> None:
        now = case.answered_s = self._loop.time()
        self._be_patient(case.index)
        failure = None if task.cancelled() else task.exception()
        if case.stopped:
            case.reply = None
        elif task.cancelled():
            case.crash = "CancelledError: the agent cancelled its own task"
        elif isinstance(failure, ForbiddenCall):
            self._loop.abort(failure)
        elif failure is not None:
            case.crash = _describe(failure)
        if case.crash:
            case.reply = None
            case.log.append((now, events.CRASHED, case.crash.partition(":")[0], 0, 0, case.crash))
        elif case.reply is not None:
            case.log.append((now, events.REPLIED, case.reply.status.value, 0, 0, case.reply.text))
        if case.pending:
            case.on_idle = lambda: self._settle(case)
        else:
            self._settle(case)
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.left:
                self._start(waiting)
                break

    def open_cases(self) -> Iterable[Case]:
        """Return the requests that have arrived and not settled, by index."""
        return self._open.values()

    def stop(self, case: Case) -> None:
        """End the work on a request that is over one of the simulator's limits, whatever its agent is waiting for."""
        for task, worked_on in self._working.items():
            if worked_on is case:
                task.cancel()

    def _be_patient(self, index: int) -> None:
        timer = self._impatient.pop(index, None)
        if timer is not None:
            timer.cancel()

    # --- the end of a request, and of the run

    def _settle(self, case: Case) -> None:
        case.on_idle = None
        self._impatient.pop(case.index, None)
        if self._open.pop(case.index, None) is None:
            return
        case.settled_s = self._loop.time()
        case.log.append((case.settled_s, events.SETTLED, "", 0, 0, ""))
        self._settled += 1
        self._on_settled(case)
        if self._settled % _SMALLEST_PERIOD == 0:
            self._collect_garbage()
        if self._settled == self._requests or case.index == self._stop_after:
            self._finish()

    def _collect_garbage(self) -> None:
        for period, generation in _COLLECTIONS:
            if self._settled % period == 0:
                self._collect(generation)
                return

    def _finish(self) -> None:
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _give_up(self, case: Case) -> None:
        """Hand on a request that the end of the run overtook; its case keeps `settled_s` at -1."""
        case.on_idle = None
        del self._open[case.index]
        self._on_settled(case)

    def _entropy(self) -> Callable[[int], bytes]:
        """Return the byte stream of the request that is being served; index 0 outside of requests."""
        return _entropy_here.get(self._entropy_of_none).stream()


def _note_blocked(loop: SimulationLoop) -> Callable[[float, str], None]:
    def note(seconds: float, place: str) -> None:
        """Tell, in the trace of the request that blocked the event loop, where and for how long."""
        owner = whose()
        if owner is not None:
            text = f"time.sleep({seconds:g}) at {place.rpartition('/')[2]}"
            owner.case.log.append((loop.time(), events.NOTE, "blocking_call", 0, 0, text))

    return note


def _ignore_after_the_end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Exceptions of tasks that the agent started and never awaited belong to its request, not to the terminal."""


def _describe(failure: BaseException) -> str:
    """Return `Class: message (file:line)`, the place being the innermost one outside of Pagerproof."""
    place = ""
    ours = str(Path(__file__).resolve().parent.parent)
    for frame in traceback.extract_tb(failure.__traceback__):
        if not frame.filename.startswith(ours) or "/agents/" in frame.filename:
            place = f" ({Path(frame.filename).name}:{frame.lineno})"
    message = str(failure).splitlines()[0][:300] if str(failure) else ""
    return f"{type(failure).__name__}: {message}{place}"
