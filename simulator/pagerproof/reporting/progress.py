"""How a run is going: a live display on a terminal, a heartbeat line anywhere else, both fed with snapshots."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pagerproof.reporting.layout import visible
from pagerproof.reporting.summary import STYLES, words
from pagerproof.units import show_duration

HEARTBEAT_S: Final = 10.0
REFRESH_S: Final = 0.1
_MODES_SHOWN: Final = 4
_PACE_WINDOW_S: Final = 10.0
_PACE_STEP_S: Final = 0.5
_BAR_COLUMNS_MAX: Final = 40
_STYLES: Final[Mapping[str, str]] = {outcome.value: style for outcome, style in STYLES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How far a run is. `failures` counts by failure mode or outcome; `wall_s` is wall-clock time since it began."""

    done: int
    total: int
    failures: Mapping[str, int] = field(default_factory=dict)
    virtual_s: float = 0.0
    wall_s: float = 0.0


class Progress(Protocol):
    """Something that is told how a run is going, within a `with` block; it reads no clock of its own."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def update(self, snapshot: Snapshot) -> None:
        """Take note; cheap enough to be called once a request."""
        ...


def progress_for(console: Console, *, enabled: bool, label: str = "") -> Progress:
    """Return what suits the console: nothing, a live display or heartbeat lines. `label` says what is running."""
    if not enabled:
        return NoProgress()
    if console.is_terminal and console.is_interactive and not console.is_dumb_terminal:
        return LiveProgress(console, label=label)
    return Heartbeat(console, label=label)


class NoProgress:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, snapshot: Snapshot) -> None:
        """Do nothing."""


class Heartbeat:
    """Prints one plain line every ten seconds of wall time."""

    def __init__(self, console: Console, *, label: str = "") -> None:
        self._console = console
        self._label = label
        self._pace = _Pace()
        self._due_s = HEARTBEAT_S
        self._sample_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, snapshot: Snapshot) -> None:
        """Print a line if ten seconds have gone since the last one."""
        if snapshot.wall_s < self._sample_s:
            return
        self._sample_s = snapshot.wall_s + _PACE_STEP_S
        self._pace.observe(snapshot)
        if snapshot.wall_s < self._due_s:
            return
        self._due_s = (snapshot.wall_s // HEARTBEAT_S + 1.0) * HEARTBEAT_S
        self._console.print(Text(self._line(snapshot)), soft_wrap=True)

    def _line(self, snapshot: Snapshot) -> str:
        rate = self._pace.per_s
        lead = f"{visible(self._label)}: " if self._label else ""
        parts = [
            f"{lead}{snapshot.done}/{snapshot.total} {_percent(snapshot)} {rate:.0f}/s "
            f"virtual {show_duration(snapshot.virtual_s)}",
            f"failures: {_failures(snapshot.failures).plain}" if snapshot.failures else "no failure",
            _left(snapshot, rate),
        ]
        return ", ".join(part for part in parts if part)


class LiveProgress:
    """Shows a bar, the pace, the clocks and the failures so far, redrawn in place at most ten times a second."""

    def __init__(self, console: Console, *, label: str = "") -> None:
        self._console = console
        self._label = label
        self._pace = _Pace()
        # No refresh thread: threads are refused while agent code runs. Streams stay as they are: data goes there.
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._due_s = 0.0
        self._finished = False

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, snapshot: Snapshot) -> None:
        """Redraw if a tenth of a second has gone, or if the last request is done."""
        finished = snapshot.done >= snapshot.total
        if snapshot.wall_s < self._due_s and (self._finished or not finished):
            return
        self._finished = finished
        self._due_s = snapshot.wall_s + REFRESH_S
        self._pace.observe(snapshot)
        self._live.update(self._picture(snapshot), refresh=True)

    def _picture(self, snapshot: Snapshot) -> Text:
        rate = self._pace.per_s
        figures = [
            f"{snapshot.done:,}/{snapshot.total:,} {_percent(snapshot)}",
            f"{rate:,.0f}/s",
            f"virtual {show_duration(snapshot.virtual_s)}",
            _left(snapshot, rate),
        ]
        tail = "  ".join(part for part in figures if part)
        lead = f"{visible(self._label)} " if self._label else ""
        columns = min(_BAR_COLUMNS_MAX, self._console.width - len(tail) - len(lead) - 2)
        bar = _bar(snapshot, columns, unicode=self._console.encoding.lower().startswith("utf"))
        failures = _failures(snapshot.failures) if snapshot.failures else Text("none so far", style="dim")
        return Text.assemble(lead, bar, tail, "\n", "failures: ", failures)


class _Pace:
    """Requests per second of wall time, over the last ten seconds."""

    __slots__ = ("_samples", "per_s")

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque([(0.0, 0)])
        self.per_s = 0.0

    def observe(self, snapshot: Snapshot) -> None:
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= snapshot.wall_s - _PACE_WINDOW_S:
            samples.popleft()
        then_s, then_done = samples[0]
        if snapshot.wall_s > then_s:
            self.per_s = max(0.0, (snapshot.done - then_done) / (snapshot.wall_s - then_s))
        if snapshot.wall_s >= samples[-1][0] + _PACE_STEP_S:
            samples.append((snapshot.wall_s, snapshot.done))


def _percent(snapshot: Snapshot) -> str:
    return f"{100 * snapshot.done // max(snapshot.total, 1)}%"


def _left(snapshot: Snapshot, per_s: float) -> str:
    todo = snapshot.total - snapshot.done
    if todo <= 0:
        return "settling the last ones"
    return f"about {show_duration(max(1.0, float(round(todo / per_s))))} left".replace(".0 s", " s") if per_s else ""


def _failures(failures: Mapping[str, int]) -> Text:
    """Return the most frequent failures, and how many more there are."""
    ranked = sorted(failures.items(), key=lambda each: (-each[1], each[0]))
    shown = ranked[:_MODES_SHOWN]
    parts = [Text(f"{visible(words(mode))} {count:,}", style=_STYLES.get(mode, "")) for mode, count in shown]
    others = sum(count for _, count in ranked[_MODES_SHOWN:])
    if others:
        parts.append(Text(f"others {others:,}"))
    return Text(", ").join(parts)


def _bar(snapshot: Snapshot, columns: int, *, unicode: bool) -> Text:
    if columns < 8:
        return Text()
    full, empty = ("━", "─") if unicode else ("=", "-")
    done = columns * min(snapshot.done, snapshot.total) // max(snapshot.total, 1)
    return Text.assemble((full * done, "green"), (empty * (columns - done), "dim"), "  ")


__all__ = ["Heartbeat", "LiveProgress", "NoProgress", "Progress", "Snapshot", "progress_for"]
