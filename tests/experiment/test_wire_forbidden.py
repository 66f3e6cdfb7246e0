"""What virtual time cannot have is refused by name from foreign code, too, and nothing of a run outlives it."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import builtins
import datetime
import json
import os
import random  # noqa: TID251 - looked at, never drawn from
import signal
import socket
import ssl
import sys
import threading
import time
import uuid  # noqa: TID251 - looked at, never drawn from
import warnings

import pytest

from tests.experiment.running import agent_file, pagerproof, scenario_file
from tests.experiment.test_interruption import has_begun, runs_in, started, wait_until
from tests.experiment.wire_stage import CALM, events, run_wired, with_client

pytest.importorskip("httpx")

FORBIDDEN = {
    "requests": ('requests.get("http://orders.sim/orders/1")', "blocking socket"),
    "urllib.request": ('urllib.request.urlopen("http://orders.sim/orders/1")', "blocking socket"),
    "subprocess": ("subprocess.run(['true'])", "subprocess"),
}


@pytest.mark.parametrize("module", FORBIDDEN)
def test_what_would_leave_the_simulation_is_refused_with_place_and_remedy(tmp_path, module):
    pytest.importorskip(module.partition(".")[0])
    used, told = FORBIDDEN[module]
    agent_file(tmp_path, with_client(used, before=f"import {module}"))
    scenario_file(tmp_path, CALM)
    done = pagerproof("run", "calm.yaml", "--agent", "my_agent.py", folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert told in said
    assert "my_agent.py:7" in said
    assert "Traceback" not in said


def test_a_refusal_that_the_agent_swallows_ends_the_run_all_the_same(tmp_path):
    body = """
        try:
            subprocess.run(["true"])
        except BaseException:
            pass
    """
    execution = run_wired(tmp_path, with_client(body, before="import subprocess"))
    assert "subprocess" in str(execution.end.stopped_by)
    assert execution.exit_status == 1


def test_clocks_show_virtual_time(tmp_path):
    body = """
        began = time.time(), time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
        await asyncio.sleep(3600)
        told += [round(time.time() - began[0], 6), round(time.monotonic() - began[1], 6)]
        told.append((datetime.datetime.now(datetime.timezone.utc) - began[2]).total_seconds())
    """
    execution = run_wired(tmp_path, with_client(body, before="import asyncio, datetime, time"), requests=3)
    assert {event[4] for event in events(execution, "replied")} == {"HANDED OVER to a colleague: 3600.0 3600.0 3600.0"}


def test_a_pause_on_the_loop_takes_its_virtual_time_and_is_noted(tmp_path):
    execution = run_wired(tmp_path, with_client("time.sleep(2)", before="import time"), requests=3)
    noted = [event for event in events(execution, "note") if "time.sleep" in str(event)]
    assert noted or "time.sleep" in str(execution.end.stopped_by)


WATCHED = {
    "socket": lambda: socket.socket,
    "getaddrinfo": lambda: socket.getaddrinfo,
    "wrap_bio": lambda: ssl.SSLContext.wrap_bio,
    "wrap_socket": lambda: ssl.SSLContext.wrap_socket,
    "time": lambda: time.time,  # noqa: TID251 - looked at, never read
    "monotonic": lambda: time.monotonic,
    "sleep": lambda: time.sleep,
    "datetime": lambda: datetime.datetime,
    "urandom": lambda: os.urandom,
    "uuid4": lambda: uuid.uuid4,
    "random": lambda: random.random,
    "thread": lambda: threading.Thread.start,
    "open": lambda: builtins.open,
    "dumps": lambda: json.dumps,
    "excepthook": lambda: sys.excepthook,
    "environ": lambda: dict(os.environ),
    "cwd": os.getcwd,
    "path": lambda: list(sys.path),
    "filters": lambda: list(warnings.filters),
    "sigint": lambda: signal.getsignal(signal.SIGINT),
    "threads": threading.active_count,
    "random state": random.getstate,
}
LEAKING = with_client(
    """
    os.environ["LEFT_BEHIND"] = "yes"
    os.environ.pop("HOME", None)
    random.seed(3)
    random.random()
    await http.get("https://orders.sim/orders/1")
    """,
    before="""
    import os, random, sys
    os.environ["AT_IMPORT"] = "yes"
    """,
)


def test_nothing_of_a_run_is_left_in_the_process(tmp_path):
    run_wired(tmp_path, with_client("pass"), requests=1)  # imports are no leak
    before = {name: look() for name, look in WATCHED.items()}
    run_wired(tmp_path, LEAKING, requests=3)
    after = {name: look() for name, look in WATCHED.items()}
    assert [name for name in WATCHED if before[name] != after[name]] == []


LONG = with_client(
    """
    for _ in range(3000):
        await http.get("http://orders.sim/orders/1")
    """
)


@pytest.mark.parametrize("hash_seed", ["0", "random"], ids=["as it is", "after the re-exec"])
def test_ctrl_c_leaves_a_readable_part_of_a_foreign_run(tmp_path, monkeypatch, hash_seed):
    monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
    agent_file(tmp_path, LONG)
    scenario_file(tmp_path, CALM.replace("requests: 20", "requests: 4000"))
    process = started(tmp_path, "run", "calm.yaml", "--agent", "my_agent.py")
    wait_until(lambda: has_begun(tmp_path), process)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err
    (folder,) = runs_in(tmp_path)
    assert folder.manifest()["status"] == "interrupted"
