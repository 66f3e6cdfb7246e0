"""Names of the simulated network: what is mapped, what is not, and addresses that are the same in every run."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest
from tests.network.scene import Scene

from pagerproof.errors import UsageError
from pagerproof.network import Hosts


def handler(name):
    async def answer(_request, _owner):
        raise AssertionError

    answer.__name__ = name
    return answer


EXACT, AZURE, VERTEX, ANY = (handler(name) for name in ("exact", "azure", "vertex", "any"))
HOSTS = {
    "api.openai.com": EXACT,
    "*.azure.com": ANY,
    "*.openai.azure.com": AZURE,
    "*-aiplatform.googleapis.com": VERTEX,
}


@pytest.mark.parametrize(
    ("host", "served_by"),
    [
        ("api.openai.com", EXACT),
        ("me.openai.azure.com", AZURE),
        ("a.b.openai.azure.com", AZURE),
        ("me.azure.com", ANY),
        ("europe-west4-aiplatform.googleapis.com", VERTEX),
        ("openai.com", None),
        ("xapi.openai.com", None),
    ],
)
def test_an_exact_name_goes_before_a_pattern_and_a_longer_pattern_before_a_shorter(host, served_by):
    assert Hosts(HOSTS).handler(host) is served_by


@pytest.mark.parametrize("name", ["https://a.sim", "a.sim/x", "a.sim:443", "a b", ""])
def test_what_is_no_host_name_is_refused(name):
    with pytest.raises(UsageError, match="no host name"):
        Hosts({name: EXACT})


def test_addresses_do_not_depend_on_the_order_of_names():
    names = [f"host-{n}.example" for n in range(3_000)]
    one = Hosts(dict.fromkeys(names, EXACT))
    two = Hosts(dict.fromkeys(reversed(names), EXACT))
    addresses = [str(one.address(name)) for name in names]
    assert addresses == [two.address(name) for name in reversed(names)][::-1]
    assert len(set(addresses)) == len(names)
    network = ipaddress.ip_network("198.18.0.0/15")
    assert all(ipaddress.ip_address(address) in network for address in addresses)
    assert [one.name(address) for address in addresses] == names


async def looked_up(*args, **options):
    return await asyncio.get_running_loop().getaddrinfo(*args, **options)


def test_a_look_up_answers_as_the_systems_does():
    with Scene() as scene:
        family, kind, proto, canonical, (address, port) = scene.run(looked_up("A.sim.", "https"))[0]
        assert (family, kind, proto, canonical, port) == (socket.AF_INET, socket.SOCK_STREAM, 6, "", 443)
        assert scene.run(looked_up("a.sim", 80))[0][4] == (address, 80)
        assert scene.run(looked_up("127.0.0.1", 80))[0][4] == ("127.0.0.1", 80)
        assert scene.run(looked_up("localhost", 80))[0][4] == ("127.0.0.1", 80)
        assert scene.run(looked_up("::1", 80))[0][0] == socket.AF_INET6


@pytest.mark.parametrize(
    ("host", "options", "code"),
    [
        ("example.com", {}, socket.EAI_NONAME),
        ("a.sim", {"family": socket.AF_INET6}, socket.EAI_NONAME),
        ("dns.sim", {}, socket.EAI_AGAIN),
    ],
)
def test_a_name_that_is_not_found_raises_as_the_systems_resolver_does(host, options, code):
    with Scene() as scene:
        with pytest.raises(socket.gaierror) as caught:
            scene.run(looked_up(host, 443, **options))
        assert caught.value.errno == code
        assert scene.unknown == (["example.com"] if host == "example.com" else [])


def test_a_service_without_a_port_is_refused():
    with Scene() as scene, pytest.raises(socket.gaierror):
        scene.run(looked_up("a.sim", "gopher"))


@pytest.mark.parametrize(
    ("host", "error"),
    [("localhost", ConnectionRefusedError), ("127.0.0.1", ConnectionRefusedError), ("10.1.2.3", OSError)],
)
def test_an_address_that_nobody_serves_cannot_be_reached(host, error):
    with Scene() as scene, pytest.raises(error):
        scene.run(asyncio.wait_for(asyncio.open_connection(host, 8080), 5))


def test_the_system_gives_up_an_attempt_that_nobody_answers():
    with Scene() as scene:
        with pytest.raises(TimeoutError):
            scene.run(asyncio.wait_for(asyncio.open_connection("timeout.sim", 80), 1_000))
        assert scene.loop.time() == pytest.approx(127.0)


def test_every_look_up_and_every_connect_is_decided_once():
    with Scene() as scene:
        for _ in range(2):
            _, writer = scene.run(asyncio.wait_for(asyncio.open_connection("a.sim", 443), 5))
            writer.close()
        assert scene.attempts == [("a.sim", 443), ("a.sim", 443)]
