"""A program of many foreign agents at once: threads, nested loops, anyio scopes, clocks, draws; prints a digest."""

# ruff: noqa: TID251

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
import time
import uuid
from random import random as draw

import anyio

from pagerproof.kernel import SimulationLoop, fenced
from pagerproof.rng import ByteStream


class Journal:
    def __init__(self):
        self.digest = hashlib.sha256()
        self.lines = 0

    def write(self, *words):
        self.lines += 1
        self.digest.update(f"{time.time()!r} {words!r}\n".encode())


def tool(journal, number):
    time.sleep(draw())
    journal.write("tool", number, str(uuid.uuid4()))
    if number % 3 == 0:
        return asyncio.run(inside(journal, number))
    return number


async def inside(journal, number):
    await asyncio.sleep(random.uniform(0, 2))
    journal.write("inside", number, time.monotonic())
    return number


async def child(journal, number, name):
    try:
        await anyio.sleep(1 + draw())
    finally:
        journal.write("child", number, name)


async def agent(journal, number):
    await asyncio.to_thread(tool, journal, number)
    await anyio.to_thread.run_sync(tool, journal, number)
    with anyio.move_on_after(1.5):
        async with anyio.create_task_group() as group:
            for name in range(4):
                group.start_soon(child, journal, number, name)
    journal.write("done", number, str(uuid.uuid1()))


async def main(journal, tasks):
    with anyio.move_on_after(9):  # cancels what is left, scope by scope
        async with anyio.create_task_group() as group:
            for number in range(tasks):
                group.start_soon(agent, journal, number)


if __name__ == "__main__":
    ballast = [bytearray(int(sys.argv[1]) * 977 + number % 613) for number in range(3_000)]
    loop = SimulationLoop()
    journal = Journal()
    read = ByteStream(1).read
    with fenced(loop, lambda: read, "governed"):
        loop.run_until_complete(main(journal, int(sys.argv[2])))
        loop.abandon()
    print(journal.lines, journal.digest.hexdigest())
