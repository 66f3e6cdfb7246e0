"""The doctor finds what makes two processes differ, names the first differing event, the likely source and the line."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json

import pytest

from pagerproof.experiment.beside import FailedBeside
from pagerproof.experiment.doctor import diagnose, in_words
from tests.experiment.running import CALM, agent_file, pagerproof, plan_for, scenario_file

PLANTED = {
    "hash order": (
        """
        async def main(text):
            return " ".join({"orders", "refunds", "invoices", "credits", "returns", "claims"})
        """,
        "",
    ),
    "address": (
        """
        class Item:
            def __init__(self, name):
                self.name = name

        async def main(text):
            items = [Item(str(n)) for n in range(40)]
            return " ".join(each.name for each in sorted(items, key=lambda each: id(each) // 64 % 4093))
        """,
        "builtins.id() at {file}:8",
    ),
    "clock": (
        """
        import numpy

        async def main(text):
            return f"done at {numpy.datetime64('now', 'us')}"
        """,
        "",
    ),
    "entropy": (
        """
        import sqlite3

        async def main(text):
            return "ticket " + sqlite3.connect(":memory:").execute("select hex(randomblob(8))").fetchone()[0]
        """,
        "",
    ),
    "process": (
        """
        from os import getpid

        async def main(text):
            return f"ticket {getpid()}"
        """,
        "posix.getpid() at {file}:5",
    ),
    "file": (
        """
        import os
        import tempfile

        async def main(text):
            with tempfile.NamedTemporaryFile() as file:
                return f"done {os.path.getmtime(file.name)}"
        """,
        "posix.stat() at {file}:7",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("likely", "source", "place"), [(kind, *case) for kind, case in PLANTED.items()], ids=PLANTED)
def test_a_planted_source_of_difference_is_found_and_named(tmp_path, likely, source, place):
    plan = plan_for(tmp_path, source, requests=5)
    found = diagnose(plan.spec(), tmp_path / "scratch", runs=3 if likely == "hash order" else 2)
    assert found.difference is not None
    assert found.difference.likely == likely, in_words(found)
    assert found.difference.index == 1
    assert "replied done" in found.difference.left
    assert found.difference.left != found.difference.right
    if place:
        named = place.format(file=tmp_path / "my_agent.py")
        assert any(each.startswith(named) for each in found.difference.places), found.difference.places
    assert found.difference.remedy in "\n".join(in_words(found))


REPRODUCIBLE = """
    import asyncio
    import os
    import time
    import uuid
    from datetime import datetime
    from random import random

    STARTED = (time.time(), str(uuid.uuid4()))

    def tool():
        time.sleep(random())
        return random()

    async def main(text):
        os.environ["LEFT_BEHIND"] = "yes"
        drawn = await asyncio.gather(*(asyncio.to_thread(tool) for _ in range(3)))
        if random() < 0.2:
            time.sleep(0.1)
        return f"done {drawn} {STARTED} {datetime.now()} {uuid.uuid1()} {time.monotonic()}"
"""


def test_an_agent_that_reads_clocks_and_draws_everywhere_shows_no_difference_and_nobody_says_deterministic(tmp_path):
    plan = plan_for(tmp_path, REPRODUCIBLE)
    found = diagnose(plan.spec(), tmp_path / "scratch", runs=3)
    assert found.difference is None
    (line,) = in_words(found)
    assert line == "my_agent.py: no difference in 3 runs of 40 requests, each in a fresh process"


def test_a_run_that_is_stopped_is_no_diagnosis(tmp_path):
    plan = plan_for(tmp_path, "import socket\nasync def main(text):\n    socket.socket().connect(('1.1.1.1', 1))\n")
    with pytest.raises(FailedBeside, match="socket"):
        diagnose(plan.spec(), tmp_path / "scratch")


@pytest.mark.slow
def test_the_command_exits_4_on_a_difference_and_0_without_one(tmp_path):
    scenario_file(tmp_path, CALM)
    agent_file(tmp_path, PLANTED["process"][0], "bad.py")
    agent_file(tmp_path, REPRODUCIBLE, "good.py")
    options = ("doctor", "--scenario", "calm.yaml", "--requests", "5", "--runs", "2", "--no-progress")
    bad = pagerproof(*options, "--agent", "bad.py", folder=tmp_path)
    assert bad.returncode == 4, bad.stderr
    assert "likely source: process" in bad.stdout
    good = pagerproof(*options, "--agent", "good.py", "--format", "json", folder=tmp_path)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)[0]["difference"] is None


@pytest.mark.slow
def test_without_an_agent_it_examines_both_reference_agents(tmp_path):
    done = pagerproof("doctor", "-n", "20", "--runs", "2", "--no-progress", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["hardened", "vendor_demo", "tool_caller"]
