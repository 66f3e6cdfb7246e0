"""A program of 2,000 simultaneous tasks through every corner of asyncio that keeps tasks in sets; prints a digest."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import hashlib
import sys

from pagerproof.kernel import SimulationLoop

TASKS = 2_000


class Journal:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.digest = hashlib.sha256()
        self.lines = 0

    def write(self, *words: object) -> None:
        self.lines += 1
        self.digest.update(f"{self.loop.time()!r} {words!r}\n".encode())


async def nap(journal: Journal, kind: str, number: int) -> int:
    try:
        await asyncio.sleep(1 + number % 7 * 0.5)
        journal.write(kind, "slept", number)
    except asyncio.CancelledError:
        journal.write(kind, "cancelled", number)
        raise
    return number


async def waits(journal: Journal, tasks: int) -> None:
    pending: set[asyncio.Task[int]] = {asyncio.create_task(nap(journal, "wait", n)) for n in range(tasks)}
    while pending:
        done, pending = await asyncio.wait(pending, timeout=0.7, return_when=asyncio.FIRST_COMPLETED)
        journal.write("done", [(task.get_name(), task.cancelled()) for task in done])
        if len(pending) < tasks // 2:
            for task in pending:
                task.cancel()


async def waits_for_futures(journal: Journal, futures: int) -> None:
    loop = asyncio.get_running_loop()
    waited = [loop.create_future() for _ in range(futures)]
    for number, future in enumerate(waited):
        loop.call_later(1 + number % 3, future.set_result, number)
    done, pending = await asyncio.wait(set(waited), timeout=2.5)
    journal.write("futures", [future.result() for future in done], len(pending))


async def fails_in_a_group(journal: Journal, tasks: int) -> None:
    async def fail() -> None:
        await asyncio.sleep(2.2)
        raise ValueError

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(tasks):
                group.create_task(nap(journal, "group", number))
            group.create_task(fail())
    except* ValueError:
        journal.write("group failed")


async def completes(journal: Journal, tasks: int) -> None:
    for next_done in asyncio.as_completed([nap(journal, "as_completed", n) for n in range(tasks)], timeout=3.2):
        try:
            journal.write("completed", await next_done)
        except TimeoutError:
            journal.write("timed out")
            break
    await asyncio.sleep(5)


async def queues(journal: Journal, tasks: int) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=7)

    async def produce(number: int) -> None:
        await queue.put(number)

    async def consume() -> None:
        while True:
            try:
                async with asyncio.timeout(1.5):
                    number = await queue.get()
            except TimeoutError:
                return
            journal.write("got", number)
            await asyncio.sleep(number % 3)

    await asyncio.gather(*(produce(n) for n in range(tasks)), *(consume() for _ in range(50)))


async def main(journal: Journal) -> None:
    await asyncio.gather(
        *(corner(journal, TASKS) for corner in (waits, waits_for_futures, fails_in_a_group, completes, queues)),
    )


if __name__ == "__main__":
    # Allocations of a size of its own shift every address from one process to the next, whatever the platform does.
    ballast = [bytearray(int(sys.argv[1]) * 977 + number % 613) for number in range(3_000)]
    loop = SimulationLoop()
    if "--plain-tasks" in sys.argv:
        loop.set_task_factory(lambda loop, coro, **options: asyncio.Task(coro, loop=loop, **options))
    journal = Journal(loop)
    loop.run_until_complete(main(journal))
    loop.close()
    print(journal.lines, journal.digest.hexdigest())
