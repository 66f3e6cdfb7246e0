"""A job in a process beside this one: the fault-free baseline while the run goes on, the other agent of a demo."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from pagerproof.errors import Interrupted, PagerproofError
from pagerproof.experiment.interruption import Interruption, children_deaf_to_ctrl_c

T = TypeVar("T")

_LOOK_FOR_CTRL_C_EVERY_S = 0.1


class FailedBeside(PagerproofError):
    """The job failed with this message and this exit status."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class Beside(Generic[T]):
    """Runs `work(*arguments)`, a function of a module, in a fresh process as soon as it is made."""

    def __init__(self, work: Callable[..., T], *arguments: object) -> None:
        context = get_context("spawn")
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_do, args=(sender, work, arguments), daemon=True)
        with children_deaf_to_ctrl_c():  # the process that waits decides
            self._process.start()
        sender.close()

    def result(self, interruption: Interruption | None = None) -> T:
        """Wait for what the job returns. Raises FailedBeside, and Interrupted when the user asks to stop."""
        try:
            while not self._receiver.poll(_LOOK_FOR_CTRL_C_EVERY_S):
                if interruption is not None and interruption.pressed:
                    raise Interrupted("interrupted by the user")
            done, returned = self._receiver.recv()
        except EOFError:
            self._process.join()
            raise FailedBeside(f"a process beside this one died (exit code {self._process.exitcode})", 5) from None
        finally:
            self.stop()
        if not done:
            raise FailedBeside(*returned)
        result: T = returned
        return result

    def stop(self) -> None:
        """End the process if it still runs."""
        self._process.terminate()
        self._process.join()
        self._receiver.close()


def run_in_child(
    work: Callable[..., T], *arguments: object, hash_seed: int = 0, interruption: Interruption | None = None
) -> T:
    """Return what `work(*arguments)` returns in a fresh process with this hash seed, also from within a test runner.

    `work` is a function of a module. Raises FailedBeside, and Interrupted when the user asks to stop.
    """
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = str(hash_seed)
    try:
        beside = Beside(work, *arguments)
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before
    return beside.result(interruption)


def _do(sender: Connection, work: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    try:
        answer = (True, work(*arguments))
    except PagerproofError as error:
        answer = (False, (str(error), error.exit_status))
    except Exception as error:
        answer = (False, (f"internal error: {type(error).__name__}: {error}", 5))
    sender.send(answer)
    sender.close()
