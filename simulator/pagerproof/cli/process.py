"""Starts the command again with a fixed hash seed, once, where a foreign agent is about to run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagerproof.experiment.plan import Plan

_of_the_shell = False


def came_from_the_shell() -> None:
    """Say that this process is the user's command itself, and not one that somebody runs within another program."""
    global _of_the_shell  # noqa: PLW0603  # a fact about the process
    _of_the_shell = True


def fix_hash_seed(plan: Plan) -> None:
    """Replace this process by the same command under PYTHONHASHSEED=0 if the agent is foreign and hashes are random.

    The process keeps its number, so Ctrl-C and the exit status are those of the one command.
    """
    if _of_the_shell and plan.agent.foreign and sys.flags.hash_randomization:
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
