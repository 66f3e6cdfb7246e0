"""Agent code inside the fence gets no thread, socket, process, sleep or wall clock, and only the run's entropy."""

# This file calls what everybody else must not, in the ways agents would.
# ruff: noqa: TID251, DTZ003, DTZ005, DTZ007, DTZ011, PLW0108

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from datetime import date as imported_date
from datetime import datetime as imported_datetime
from random import random as imported_random
from time import perf_counter as imported_perf_counter
from time import sleep as imported_sleep
from time import time as imported_time

import pytest

from pagerproof.errors import ForbiddenCall
from pagerproof.kernel import SimulationLoop, fenced


@pytest.fixture
def loop():
    loop = SimulationLoop()
    yield loop
    loop.abandon()


FORBIDDEN = {
    "threading.Thread.start": lambda: threading.Thread(target=int).start(),
    "threading.Timer": lambda: threading.Timer(0, int).start(),
    "socket.socket": lambda: socket.socket(),
    "socket.create_connection": lambda: socket.create_connection(("127.0.0.1", 9)),
    "socket.getaddrinfo": lambda: socket.getaddrinfo("localhost", 1),
    "time.sleep": lambda: time.sleep(0),
    "from time import sleep": lambda: imported_sleep(0),
    "subprocess.run": lambda: subprocess.run(["true"], check=False),
    "os.system": lambda: os.system("true"),
    "os.fork": lambda: os.fork() or os._exit(0),
    "time.time": lambda: time.time(),
    "time.time_ns": lambda: time.time_ns(),
    "time.monotonic": lambda: time.monotonic(),
    "time.perf_counter": lambda: time.perf_counter(),
    "time.perf_counter_ns": lambda: time.perf_counter_ns(),
    "from time import time": lambda: imported_time(),
    "from time import perf_counter": lambda: imported_perf_counter(),
    "datetime.datetime.now": lambda: datetime.datetime.now(datetime.UTC),
    "datetime.datetime.utcnow": lambda: datetime.datetime.utcnow(),
    "datetime.date.today": lambda: datetime.date.today(),
    "from datetime import datetime": lambda: imported_datetime.now(),
    "from datetime import date": lambda: imported_date.today(),
}


@pytest.mark.parametrize("call", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_a_forbidden_call_is_refused_with_its_place_and_a_remedy_and_stops_the_run(loop, call):
    log: list[object] = []

    async def agent():
        try:
            call()
        except Exception as error:
            log.append(type(error))
        await asyncio.sleep(1)
        log.append("went on")

    with fenced(loop) as fence:
        with pytest.raises(ForbiddenCall) as caught:
            loop.run_until_complete(agent())
        assert fence.refused is caught.value
    assert log == [ForbiddenCall]
    line = call.__code__.co_firstlineno
    assert str(caught.value).startswith(f"{__file__}:{line} in <lambda>: ")
    assert " is refused in virtual time: " in str(caught.value)


def test_outside_the_loop_the_refusal_is_raised_and_remembered(loop):
    with fenced(loop) as fence:
        with pytest.raises(ForbiddenCall):
            time.time()
        assert isinstance(fence.refused, ForbiddenCall)
        first = fence.refused
        with pytest.raises(ForbiddenCall):
            time.monotonic()
        assert fence.refused is first


def test_asyncio_works_inside_the_fence(loop):
    async def agent():
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3))
        return await asyncio.to_thread(lambda: loop.time())

    with fenced(loop) as fence:
        assert loop.run_until_complete(agent()) == 3.0
    assert fence.refused is None


def test_logging_works_inside_the_fence(loop, caplog):
    with fenced(loop) as fence, caplog.at_level(logging.INFO):
        logging.getLogger("agent").info("hello")
    assert fence.refused is None
    assert [record.message for record in caplog.records] == ["hello"]


def test_the_host_s_own_code_passes_while_the_fence_is_lifted(loop):
    with fenced(loop) as fence:
        with fence.lifted():
            assert time.time() > 0
            assert imported_time() > 0
            assert datetime.datetime.now(datetime.UTC).year > 2000
            socket.socket().close()
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
        with pytest.raises(ForbiddenCall):
            time.time()


def test_other_threads_of_the_host_read_the_clock_freely(loop):
    seen: list[object] = []
    go = threading.Event()

    def hosts_own():
        go.wait()
        seen.extend([time.time(), os.urandom(1)])

    thread = threading.Thread(target=hosts_own)
    thread.start()
    with fenced(loop, entropy=lambda: bytes) as fence:
        go.set()
        thread.join()
        assert fence.refused is None
    assert len(seen) == 2


def test_dates_stay_ordinary_dates_inside_the_fence(loop):
    outside = datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC)
    with fenced(loop):
        inside = imported_datetime(2024, 2, 29, tzinfo=datetime.UTC)
        assert type(inside) is type(outside)
        assert isinstance(outside, imported_datetime)
        assert isinstance(inside, datetime.date)
        assert issubclass(type(outside), imported_datetime)
        assert type(imported_datetime.fromisoformat("2024-02-29")) is type(outside)
        assert type(imported_datetime.strptime("2024", "%Y")) is type(outside)
        assert imported_datetime.fromtimestamp(0, datetime.UTC).year == 1970
        assert imported_date(2024, 2, 29) + datetime.timedelta(days=1) == imported_date(2024, 3, 1)


def snapshot():
    names = {
        module: dict(vars(sys.modules[module]))
        for module in ("time", "os", "random", "datetime", "threading", "socket", "uuid", "asyncio.tasks", __name__)
    }
    return names | {"Thread": dict(vars(threading.Thread))}


def test_everything_is_put_back_exactly_even_after_an_error(loop):
    before = snapshot()

    def inside():
        with fenced(loop, entropy=lambda: bytes):
            assert time.time is not before["time"]["time"]
            assert imported_time is not before[__name__]["imported_time"]
            assert random.random is not before["random"]["random"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        inside()
    after = snapshot()
    for holder, names in before.items():
        changed = [name for name, value in names.items() if after[holder].get(name) is not value]
        assert changed == [], holder
        assert after[holder].keys() == names.keys()
    time.sleep(0)
    socket.socket().close()


def test_fences_do_not_nest(loop):
    with fenced(loop), pytest.raises(RuntimeError, match="already up"), fenced(loop):
        pass


def streams():
    """Counting byte streams, one per request; the request is chosen by `current`."""
    current = {"request": 1}
    counters: dict[int, int] = {}

    def stream(size: int) -> bytes:
        request = current["request"]
        counters[request] = counters.get(request, 0) + 1
        seed = f"{request}/{counters[request]}"
        return random.Random(seed).randbytes(size)

    return current, lambda: stream


def draws():
    return [
        random.random(),
        imported_random(),
        random.randint(1, 1_000_000),
        random.gauss(0, 1),
        random.gauss(0, 1),
        random.choice("abcdef"),
        random.sample(range(1_000), 5),
        random.uniform(1, 2),
        uuid.uuid4(),
        secrets.token_hex(8),
        secrets.randbelow(10**9),
        os.urandom(4),
    ]


def test_random_sources_are_served_from_the_stream_of_the_current_request(loop):
    def run(requests):
        current, entropy = streams()
        seen = {}
        with fenced(loop, entropy):
            for request in requests:
                current["request"] = request
                seen[request] = draws()
        return seen

    first, second = run([1, 2]), run([2, 1])
    assert first == second
    assert first[1] != first[2]


def test_draws_of_one_request_do_not_depend_on_draws_of_another_between_them(loop):
    current, entropy = streams()
    with fenced(loop, entropy):
        alone = [random.gauss(0, 1), random.gauss(0, 1)]
    current, entropy = streams()
    with fenced(loop, entropy):
        first = random.gauss(0, 1)
        current["request"] = 2
        random.gauss(0, 1)
        current["request"] = 1
        assert [first, random.gauss(0, 1)] == alone


def test_the_fence_leaves_the_hidden_generator_where_it_was(loop):
    random.seed(7)
    expected = random.random()
    random.seed(7)
    _, entropy = streams()
    with fenced(loop, entropy):
        random.seed(99)
        random.random()
    assert random.random() == expected
