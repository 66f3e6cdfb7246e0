"""Ctrl-C: the first one ends the run at its next callback with everything journalled, the second one kills."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pagerproof.errors import Interrupted
from pagerproof.kernel import SimulationLoop


class Interruption:
    """Whether the user has asked to stop (`pressed`), and the loop that is to hear of it."""

    def __init__(self) -> None:
        self.pressed = False
        self._loop: SimulationLoop | None = None

    def attach(self, loop: SimulationLoop) -> None:
        """Have `loop` stop when the user asks. Raises Interrupted where that has happened already."""
        if self.pressed:
            raise Interrupted("interrupted before the run began")
        self._loop = loop

    def press(self) -> None:
        """Ask to stop."""
        self.pressed = True
        if self._loop is not None:
            self._loop.abort(Interrupted("interrupted by the user"))


@contextmanager
def on_ctrl_c() -> Iterator[Interruption]:
    """Yield what Ctrl-C presses while this is open; a second Ctrl-C has its usual effect."""
    interruption = Interruption()

    def press(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        interruption.press()

    try:
        before = signal.signal(signal.SIGINT, press)
    except ValueError:  # not the main thread: whoever called us handles signals
        yield interruption
        return
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def children_deaf_to_ctrl_c() -> Iterator[None]:
    """Start processes here that do not hear Ctrl-C, which a terminal sends to all: each would print a traceback.

    They are deaf from their first instant, since a signal that is ignored stays so across the start of a program.
    """
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
