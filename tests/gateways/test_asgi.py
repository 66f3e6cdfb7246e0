"""A gateway behind ASGI answers HTTP clients that know nothing of it."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest
from tests.gateways.stage import ServiceExchange

from pagerproof.gateways.asgi import asgi
from pagerproof.gateways.rest import rest_gateway
from pagerproof.model import Answer
from pagerproof.services import make_services

httpx = pytest.importorskip("httpx")


def served(there: ServiceExchange, service: str = "orders") -> Any:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi(rest_gateway(service), lambda request: there)), base_url="http://orders.sim"
    )


def test_an_http_client_reads_and_writes_through_it() -> None:
    there = ServiceExchange(make_services())

    async def agent() -> list[int]:
        async with served(there) as client:
            read = await client.get("/orders/4500000005")
            swap = {"new_sku": "SKU-1002"}
            changed = await client.patch("/orders/4500000005/items/SKU-1001", json=swap)
            again = await client.head("/orders/4500000005", headers={"If-None-Match": read.headers["etag"]})
            refused = await client.post("/orders/4500000005/items/SKU-1001", json=swap)
            assert read.json()["order_id"] == "4500000005"
            assert int(again.headers["content-length"]) > 0
            return [read.status_code, changed.status_code, again.status_code, refused.status_code]

    assert asyncio.run(agent()) == [200, 200, 200, 405]
    assert [effect.kind for effect in there.case.effects] == ["order_item"]


def test_path_query_and_header_arrive_as_they_were_sent() -> None:
    there = ServiceExchange(make_services())

    async def agent() -> None:
        async with served(there, "kb") as client:
            await client.get("/articles", params={"query": "späte Lieferung & Co"})
            await client.get("/policies/a%2Fb")

    asyncio.run(agent())
    assert [arguments for _, arguments, _ in there.asked] == [{"query": "späte Lieferung & Co"}, {"topic": "a/b"}]


def test_uvicorn_serves_it_and_breaks_the_connection_where_an_answer_was_cut() -> None:
    uvicorn = pytest.importorskip("uvicorn")
    there = ServiceExchange(make_services())
    config = uvicorn.Config(
        asgi(rest_gateway("orders"), lambda request: there), port=0, log_level="critical", lifespan="on"
    )
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                thread.join(0.01)
                assert thread.is_alive()
            with httpx.Client(base_url=address) as client:
                assert client.get("/orders/4500000005").json()["order_id"] == "4500000005"
                there.answer_instead = Answer(200, {}, b'{"half', wire_bytes=100, rendered=True)
                with pytest.raises(httpx.RemoteProtocolError):
                    client.post("/orders/4500000005/cancel")
        finally:
            server.should_exit = True
            thread.join(10)
