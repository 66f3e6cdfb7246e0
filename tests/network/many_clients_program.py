"""A program of many simultaneous HTTP clients over the simulated network; prints the digest of what happened when.

Arguments: the client library, the scheme, and how many clients there are.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import importlib
import json
import ssl
import sys
import time

from pagerproof.kernel import SimulationLoop
from pagerproof.model import Answer, Delivery
from pagerproof.network import Connecting, SimulatedNetwork
from pagerproof.rng import uniform

current: contextvars.ContextVar[int | None] = contextvars.ContextVar("current", default=None)
BODY = json.dumps({"text": "x" * 500}).encode()
HOSTS = ("a.sim", "b.sim", "api.openai.com")


class Journal:
    def __init__(self, loop):
        self.loop = loop
        self.digest = hashlib.sha256()
        self.lines = 0

    def write(self, *words):
        self.lines += 1
        self.digest.update(f"{self.loop.time()!r} {words!r}\n".encode())


def answering(journal):
    async def answer(request, owner):
        journal.write("asked", request.host, request.path, owner, request.header_list, len(request.body))
        draw = uniform(1, request.path)
        await asyncio.sleep(draw * 3)
        journal.write("answered", request.path)
        if draw < 0.1:
            return Answer(200, {}, BODY, delivery=Delivery(how="reset", after_bytes=100))
        if draw < 0.2:
            return Answer(200, {"content-type": "text/event-stream"}, b"data: 1\n\n" * 10, pace_s=1.0)
        if draw < 0.25:
            return Answer(200, {}, BODY[:50], len(BODY))
        return Answer(200, {"content-type": "application/json"}, BODY)

    return answer


async def connecting(_host, _port, owner):
    draw = uniform(2, owner)
    return Connecting(how="refused") if draw < 0.05 else Connecting(how="slow", after_s=1.0) if draw < 0.1 else None


async def fetch_httpx(library, client, url, body):
    response = await (client.post(url, content=body) if body else client.get(url))
    return response.status_code, len(response.content)


async def fetch_aiohttp(_library, client, url, body):
    async with client.post(url, data=body) if body else client.get(url) as response:
        return response.status, len(await response.read())


async def customer(journal, library, scheme, number, shared, context):
    current.set(number)
    is_aiohttp = library.__name__ == "aiohttp"
    fetch = fetch_aiohttp if is_aiohttp else fetch_httpx
    await asyncio.sleep(uniform(3, number))
    own = number % 2 == 0
    client = new_client(library, context) if own else shared[number // 50]
    for step in range(3):
        url = f"{scheme}://{HOSTS[(number + step) % 3]}/{number}/{step}"
        try:
            async with asyncio.timeout(4):
                seen = await fetch(library, client, url, b"y" * 2_000 if step == 1 else b"")
        except Exception as error:
            seen = (type(error).__name__,)
        journal.write("saw", number, step, *seen)
    if own:
        await (client.close() if is_aiohttp else client.aclose())


def new_client(library, context):
    if library.__name__ == "aiohttp":
        timeout = library.ClientTimeout(total=None, sock_read=2.5)
        return library.ClientSession(connector=library.TCPConnector(limit=100, ssl=context), timeout=timeout)
    return library.AsyncClient(verify=context, timeout=2.5)


async def main(journal, library, scheme, clients):
    context = ssl.create_default_context()
    # A pool for 50: one for all of 2,000 would spend the time on its own queue, which httpcore searches from the front.
    shared = [new_client(library, context) for _ in range(clients // 50 + 1)]
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(customer(journal, library, scheme, number, shared, context))
    for client in shared:
        await (client.close() if library.__name__ == "aiohttp" else client.aclose())


if __name__ == "__main__":
    loop = SimulationLoop()
    # httpcore closes idle connections by this clock: where it is the wall's, a slow machine changes what happens.
    time.monotonic = loop.time
    journal = Journal(loop)
    answer = answering(journal)
    network = SimulatedNetwork(
        loop, {"*.sim": answer, "api.openai.com": answer}, whose=current.get, connecting=connecting
    )
    with network:
        library = importlib.import_module(sys.argv[1])
        loop.run_until_complete(main(journal, library, sys.argv[2], int(sys.argv[3])))
        print(journal.lines, network.connections_made, journal.digest.hexdigest())
    loop.close()
