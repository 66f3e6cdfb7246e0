"""Nothing leaves the process, nothing stays behind: what is refused beside a network, and what detaching undoes."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import os
import socket
import ssl

import pytest
from tests.network.scene import Scene, raw

from pagerproof.errors import ForbiddenCall
from pagerproof.kernel import SimulationLoop, fenced
from pagerproof.network import SimulatedNetwork

REFUSED = {
    "create_server": (asyncio.Protocol, "127.0.0.1", 0),
    "create_datagram_endpoint": (asyncio.DatagramProtocol,),
    "create_unix_connection": (asyncio.Protocol, "/var/run/docker.sock"),
    "create_unix_server": (asyncio.Protocol, "/var/run/docker.sock"),
    "subprocess_exec": (asyncio.SubprocessProtocol, "ls"),
    "subprocess_shell": (asyncio.SubprocessProtocol, "ls"),
    "connect_read_pipe": (asyncio.Protocol, None),
    "sock_recv": (None, 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_leave_the_process_is_refused_beside_a_network_too(name):
    async def work():
        await getattr(asyncio.get_running_loop(), name)(*REFUSED[name])

    with Scene() as scene, pytest.raises(ForbiddenCall, match=name):
        scene.run(work())


def test_without_a_network_connections_are_refused_as_before():
    loop = SimulationLoop()

    async def work():
        await loop.create_connection(asyncio.Protocol, "a.sim", 80)

    with pytest.raises(ForbiddenCall, match=r"loop.create_connection\(\) was called, but there is no network"):
        loop.run_until_complete(work())
    loop.close()


def test_a_blocking_client_is_refused_with_the_remedy():
    requests = pytest.importorskip("requests")

    async def work():
        try:
            await asyncio.to_thread(requests.get, "http://a.sim/", timeout=5)
        except Exception:
            return "swallowed"

    with Scene() as scene, pytest.raises(ForbiddenCall, match=r"blocking socket cannot wait .*httpx\.AsyncClient"):
        scene.run(work())


def test_a_blocking_socket_is_refused_at_the_call_that_would_wait():
    async def work():
        with socket.socket() as sock:
            sock.settimeout(1)
            sock.connect(("198.18.0.1", 80))

    with Scene() as scene, pytest.raises(ForbiddenCall, match=r"socket.connect\(\) was called"):
        scene.run(work())


def test_a_network_stands_inside_a_fence():
    with Scene() as scene, fenced(scene.loop, entropy=lambda: bytes):
        answer = scene.run(raw(b"GET / HTTP/1.1\r\nHost: a.sim\r\n\r\n", tls=ssl.create_default_context()))
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_aiohttps_own_sockets_pass_a_fence_because_none_is_opened():
    aiohttp = pytest.importorskip("aiohttp")

    async def work():
        async with aiohttp.ClientSession() as session, session.get("https://a.sim/") as response:
            return response.status

    with Scene() as scene, fenced(scene.loop):
        assert scene.run(work()) == 200


def test_certificates_take_nothing_from_a_requests_entropy():
    drawn = []

    def stream(size):
        drawn.append(size)
        return bytes(size)

    async def work():
        context = ssl.create_default_context()
        for host in ("a.sim", "b.sim"):
            _, writer = await asyncio.open_connection(host, 443, ssl=context)
            writer.close()

    with Scene() as scene, fenced(scene.loop, entropy=lambda: stream):
        scene.run(work())
    assert drawn == []


def test_detaching_puts_everything_back():
    before = (socket.socket, socket.getaddrinfo, ssl.SSLContext.wrap_bio, ssl.SSLContext.wrap_socket)
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    with Scene() as scene:
        scene.run(raw(b"GET / HTTP/1.1\r\nHost: a.sim\r\n\r\n", tls=ssl.create_default_context()))
        assert socket.socket is not before[0]
    assert (socket.socket, socket.getaddrinfo, ssl.SSLContext.wrap_bio, ssl.SSLContext.wrap_socket) == before
    assert scene.loop.network is None
    if descriptors is not None:
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_detaching_drops_open_connections_and_what_they_wait_for():
    async def work():
        reader, writer = await asyncio.open_connection("a.sim", 80)
        writer.write(b"GET /wait/60 HTTP/1.1\r\nHost: a.sim\r\n\r\n")
        await asyncio.sleep(1)
        return reader, writer

    with Scene() as scene:
        _, writer = scene.run(work())
        assert scene.network.open_connections == 1
        scene.network.detach()
        assert writer.is_closing()
        assert scene.network.open_connections == 0
        scene.settle()
        assert scene.cancelled == ["/wait/60"]


def test_networks_follow_one_another_and_do_not_nest():
    for _ in range(2):
        with Scene() as scene:
            scene.run(raw(b"GET / HTTP/1.1\r\nHost: a.sim\r\n\r\n", tls=ssl.create_default_context()))
            with pytest.raises(RuntimeError, match="attached already"):
                SimulatedNetwork(scene.loop, {}).attach()


def test_a_socket_made_before_is_a_socket_still():
    with socket.socket() as real, Scene():
        assert isinstance(real, socket.socket)
        assert isinstance(socket.socket(), socket.socket)
