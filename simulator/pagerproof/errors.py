"""Every failure that Pagerproof itself reports, with the exit status it leads to."""

from __future__ import annotations

from dataclasses import dataclass


class PagerproofError(Exception):
    """A failure with a message meant for a person and the exit status of the command that met it."""

    exit_status = 5


class UsageError(PagerproofError):
    """What the user typed or wrote cannot be used: a file, an option, a name."""

    exit_status = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in one file; line and column count from 1, 0 where there is no position."""

    path: str
    line: int = 0
    column: int = 0
    message: str = ""
    source_line: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        text = f"{place}: {self.message}"
        if self.source_line and self.line:
            gutter = f"{self.line:>7} | "
            caret = " " * (len(gutter) - 2) + "| " + " " * max(self.column - 1, 0) + "^"
            text += f"\n{gutter}{self.source_line}\n{caret}"
        return text


class InvalidFile(UsageError):
    """One or more mistakes in a user's file, all of them reported at once."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class AgentCannotLoad(PagerproofError):
    """The agent's file or module could not be imported, or holds no such agent."""

    exit_status = 5


class NotReproducible(PagerproofError):
    """The same inputs gave another digest."""

    exit_status = 4


class BrokenInvariant(PagerproofError):
    """Pagerproof's own books do not balance: a bug of ours, reported with seed and index."""

    exit_status = 5


class AgentMisbehaved(PagerproofError):
    """The agent did something that no virtual-time run can go on from; the run stops with what it has."""

    exit_status = 1


class ForbiddenCall(AgentMisbehaved):
    """Agent code reached for a thread, a socket, a process, a sleep or the wall clock."""


class Deadlock(AgentMisbehaved):
    """Tasks wait and nothing is scheduled that could wake them."""


class Livelock(AgentMisbehaved):
    """One instant of virtual time never ends: callbacks keep scheduling callbacks."""


class Spin(AgentMisbehaved):
    """One callback never returns: code spins without awaiting."""


class Interrupted(PagerproofError):
    """The user pressed Ctrl-C: the run ends with what it has."""

    exit_status = 130
