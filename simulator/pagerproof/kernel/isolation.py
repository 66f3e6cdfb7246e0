"""Keeps what agent code changes of the process from the next run: environment, import path, policies, logging."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def process_restored() -> Iterator[None]:
    """Put back, on the way out, what code in between changed of the process beside its modules."""
    with ExitStack() as undo:
        for keep in (_environment, _import_system, _event_loops, _logging, _hooks, _signals):
            undo.callback(keep())
        with warnings.catch_warnings():
            yield


def _environment() -> Callable[[], None]:
    before, folder = dict(os.environ), os.getcwd()

    def restore() -> None:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        os.chdir(folder)

    return restore


def _import_system() -> Callable[[], None]:
    path, finders, hooks = list(sys.path), list(sys.meta_path), list(sys.path_hooks)

    def restore() -> None:
        sys.path[:], sys.meta_path[:], sys.path_hooks[:] = path, finders, hooks

    return restore


def _event_loops() -> Callable[[], None]:
    # The names themselves: asking for the policy would make one, and from Python 3.14 on would warn.
    before = getattr(asyncio.events, "_event_loop_policy", None)
    names = ("run", "new_event_loop", "get_event_loop", "sleep")
    running: dict[str, Any] = {name: vars(asyncio)[name] for name in names}

    def restore() -> None:
        asyncio.events._event_loop_policy = before  # type: ignore[attr-defined]  # typeshed leaves it out
        for name, function in running.items():
            setattr(asyncio, name, function)

    return restore


def _logging() -> Callable[[], None]:
    manager = logging.root.manager
    disabled = manager.disable

    def loggers() -> Iterator[logging.Logger]:
        yield logging.root
        yield from (each for each in list(manager.loggerDict.values()) if isinstance(each, logging.Logger))

    before = {each: (each.level, list(each.handlers), each.propagate, each.disabled) for each in loggers()}

    def restore() -> None:
        manager.disable = disabled
        for logger in loggers():
            level, handlers, propagate, is_disabled = before.get(logger, (logging.NOTSET, [], True, False))
            logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.propagate, logger.disabled = propagate, is_disabled

    return restore


def _hooks() -> Callable[[], None]:
    before = sys.excepthook, sys.unraisablehook, threading.excepthook, sys.stdout, sys.stderr, sys.stdin
    limit, profile, trace = sys.getrecursionlimit(), sys.getprofile(), sys.gettrace()

    def restore() -> None:
        sys.excepthook, sys.unraisablehook, threading.excepthook, sys.stdout, sys.stderr, sys.stdin = before
        if sys.getrecursionlimit() != limit:
            sys.setrecursionlimit(limit)
        if sys.getprofile() is not profile:
            sys.setprofile(profile)
        if sys.gettrace() is not trace:
            sys.settrace(trace)

    return restore


def _signals() -> Callable[[], None]:
    kept = [number for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if (number := getattr(signal, name, None))]
    before = {number: signal.getsignal(number) for number in kept}

    def restore() -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return restore
