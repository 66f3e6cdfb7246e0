"""Foreign code in a governed fence gets virtual clocks and its request's entropy, however it bound the names."""

# This file reads clocks and entropy in every way that foreign code would.
# ruff: noqa: TID251, PLW0108, DTZ002, DTZ003, DTZ005, DTZ011

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import datetime
import gc
import importlib
import os
import random
import secrets
import sys
import textwrap
import time
import uuid
from datetime import datetime as imported_datetime
from random import random as imported_random
from time import monotonic as imported_monotonic
from time import sleep as imported_sleep
from time import time as imported_time
from uuid import uuid4 as imported_uuid4

import numpy as np
import pytest

from pagerproof.kernel import SimulationLoop, fenced, governed_imports, process_restored
from pagerproof.kernel.libraries import OrderedSet, UuidMaker
from pagerproof.model import RUN_BEGINS
from pagerproof.rng import ByteStream

BEGINS_S = RUN_BEGINS.timestamp()


@pytest.fixture
def loop():
    loop = SimulationLoop()
    yield loop
    loop.abandon()


def governed_run(loop, coroutine, seed=1):
    read = ByteStream(seed).read
    with fenced(loop, lambda: read, "governed") as fence:
        result = loop.run_until_complete(coroutine)
        loop.abandon()
    assert fence.refused is None
    return result


CLOCKS = {
    "time.time": lambda: time.time() - BEGINS_S,
    "time.time_ns": lambda: time.time_ns() / 1e9 - BEGINS_S,
    "from time import time": lambda: imported_time() - BEGINS_S,
    "time.monotonic": lambda: time.monotonic(),
    "time.monotonic_ns": lambda: time.monotonic_ns() / 1e9,
    "from time import monotonic": lambda: imported_monotonic(),
    "time.perf_counter": lambda: time.perf_counter(),
    "time.process_time": lambda: time.process_time(),
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
    "datetime.now": lambda: datetime.datetime.now().timestamp() - BEGINS_S,
    "datetime.now(UTC)": lambda: datetime.datetime.now(datetime.UTC).timestamp() - BEGINS_S,
    "datetime.utcnow": lambda: (datetime.datetime.utcnow() - RUN_BEGINS.replace(tzinfo=None)).total_seconds(),
    "from datetime import datetime": lambda: imported_datetime.now().timestamp() - BEGINS_S,
    "datetime.today": lambda: imported_datetime.today().timestamp() - BEGINS_S,
    "date.today": lambda: (datetime.date.today() - RUN_BEGINS.date()).days * 86_400,
    "time.localtime": lambda: time.mktime(time.localtime()) - BEGINS_S,
    "time.gmtime": lambda: time.gmtime().tm_hour * 3600 + time.gmtime().tm_yday * 86_400 - 327 * 86_400,
    "time.strftime": lambda: int(time.strftime("%j")) * 86_400 - 327 * 86_400 + int(time.strftime("%H")) * 3600,
}


@pytest.mark.parametrize("read", CLOCKS.values(), ids=CLOCKS.keys())
def test_every_clock_is_the_loop_s(loop, read):
    async def agent():
        await asyncio.sleep(2 * 86_400)
        return read()

    assert governed_run(loop, agent()) == pytest.approx(2 * 86_400, abs=1e-5)


def draws():
    return [
        random.random(),
        imported_random(),
        random.Random().random(),
        random.Random(5).random(),
        str(uuid.uuid1()),
        str(uuid.uuid4()),
        str(imported_uuid4()),
        uuid.getnode(),
        secrets.token_hex(8),
        os.urandom(4),
        os.getrandom(4) if hasattr(os, "getrandom") else b"",
        float(np.random.default_rng().random()),
    ]


def test_every_draw_comes_from_the_stream_of_the_request_and_from_nothing_else():
    async def agent():
        return draws()

    def run(seed):
        loop = SimulationLoop()
        return governed_run(loop, agent(), seed)

    first, again, other = run(1), run(1), run(2)
    assert first == again
    differing = [at for at, (a, b) in enumerate(zip(first, other, strict=True)) if a != b]
    assert differing == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11], "all but the generator with a seed of its own"


def test_identifiers_have_the_version_they_claim():
    make = UuidMaker(lambda: 1_700_000_000_123_456_789, ByteStream(3).read)
    for version in (1, 4, 6, 7):
        made = getattr(make, f"uuid{version}")()
        assert made.version == version
        assert made.variant == uuid.RFC_4122
    assert make.uuid7().int >> 80 == 1_700_000_000_123
    assert make.uuid1().time // 10_000_000 - 0x01B21DD213814000 // 10_000_000 == 1_700_000_000


def test_dates_are_the_class_that_everybody_knows(loop):
    before = datetime.datetime

    async def agent():
        assert datetime.datetime is before
        assert type(imported_datetime.now()) is before
        return imported_datetime.now(datetime.timezone(datetime.timedelta(hours=2))).isoformat()

    assert governed_run(loop, agent()) == "2026-11-23T02:00:00+02:00"
    assert abs(datetime.datetime.now(datetime.UTC).timestamp() - time.time()) < 5


def test_a_sleep_on_the_loop_delays_everybody_and_is_told(loop):
    told, log = [], []
    loop.on_blocked = lambda seconds, place: told.append((seconds, place))

    async def other():
        await asyncio.sleep(1)
        log.append(("other", loop.time()))

    async def agent():
        task = asyncio.create_task(other())
        await asyncio.sleep(0.5)
        imported_sleep(3)
        log.append(("agent", loop.time()))
        await task

    governed_run(loop, agent())
    assert log == [("agent", 3.5), ("other", 3.5)]
    ((seconds, place),) = told
    assert seconds == 3
    assert place.startswith(f"{__file__}:")


LIBRARY = """
    from time import time, monotonic
    from uuid import uuid4

    class Timer:
        clock = monotonic          # as a class attribute a function would become a method

    def stamp(now=time):           # a default argument is bound at import
        return now()

    MADE_AT_IMPORT = (time(), str(uuid4()))
"""


def test_what_was_bound_at_import_is_governed_later_and_ordinary_outside(loop, tmp_path, monkeypatch):
    (tmp_path / "bound_early.py").write_text(textwrap.dedent(LIBRARY), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    made = []
    for _ in range(2):
        sys.modules.pop("bound_early", None)
        with governed_imports():
            library = importlib.import_module("bound_early")
        made.append(library.MADE_AT_IMPORT)
    assert made[0] == made[1]

    async def agent():
        await asyncio.sleep(7)
        return library.stamp() - BEGINS_S, library.Timer().clock()

    assert governed_run(loop, agent()) == (7.0, 7.0)
    assert abs(library.stamp() - time.time()) < 5
    assert abs(library.Timer().clock() - time.monotonic()) < 5


def test_a_collection_reads_no_clock_while_an_agent_is_imported(tmp_path, monkeypatch):
    (tmp_path / "littering.py").write_text(
        "from time import perf_counter\n"
        "litter = [[] for _ in range(20_000)]\n"
        "READ = perf_counter()\n"
    )  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    with governed_imports():

        def at_collection(_phase, _info):
            time.perf_counter()

        gc.callbacks.append(at_collection)
        try:
            assert importlib.import_module("littering").READ == 0.0
        finally:
            gc.callbacks.remove(at_collection)
    assert gc.isenabled()


def test_identifiers_made_in_rust_are_replaced_when_their_module_is_imported(loop, tmp_path, monkeypatch):
    package = tmp_path / "uuid_utils"
    package.mkdir()
    (package / "__init__.py").write_text("def uuid4():\n    return 'from rust'\n", "utf-8")
    (package / "compat.py").write_text("import uuid\ndef uuid7():\n    return 'from rust'\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with governed_imports():
            compat = importlib.import_module("uuid_utils.compat")

        async def agent():
            return compat.uuid7()

        made = governed_run(loop, agent())
        assert made.version == 7
        assert compat.uuid7() == "from rust"
    finally:
        for name in ("uuid_utils", "uuid_utils.compat"):
            sys.modules.pop(name, None)


def test_everything_is_put_back(loop):
    names = ("time", "os", "random", "datetime", "threading", "uuid", "asyncio", "asyncio.events", __name__)
    before = {name: dict(vars(sys.modules[name])) for name in names}
    before["time"].pop("tzname")  # made anew whenever the zone is set
    types = {kind: dict(vars(kind)) for kind in (datetime.datetime, random.Random)}
    zone = time.tzname

    async def agent():
        assert time.time is not before["time"]["time"]

    governed_run(loop, agent())
    for name in names:
        changed = [key for key, value in before[name].items() if vars(sys.modules[name]).get(key) is not value]
        assert changed == [], name
    assert {kind: dict(vars(kind)) for kind in types} == types
    assert time.tzname == zone


def test_a_process_is_put_back_as_it_was():
    import logging

    before = (dict(os.environ), list(sys.path), list(logging.root.handlers), logging.root.level, sys.excepthook)
    with process_restored():
        os.environ["LEFT_BEHIND"] = "1"
        os.environ.pop("PATH", None)
        sys.path.append("/nowhere")
        logging.root.addHandler(logging.NullHandler())
        logging.getLogger("made.inside").addHandler(logging.NullHandler())
        logging.root.setLevel(7)
        asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
        sys.excepthook = lambda *_: None
    after = (dict(os.environ), list(sys.path), list(logging.root.handlers), logging.root.level, sys.excepthook)
    assert after == before
    assert logging.getLogger("made.inside").handlers == []


def test_an_ordered_set_does_what_a_set_does_in_the_order_of_insertion():
    one = OrderedSet([3, 1])
    one.add(2)
    one.add(3)
    one.discard(9)
    one.remove(1)
    one.update([8], [7])
    assert list(one.copy()) == [3, 2, 8, 7]
    assert 8 in one
    assert len(one) == 4
