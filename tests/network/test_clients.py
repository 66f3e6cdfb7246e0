"""httpx, httpx2 and aiohttp run on the simulated network as they are, in virtual time."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import contextvars
import io
import ssl

import pytest
from tests.network.scene import BODY, EVENTS, Scene

SCHEMES = ("http", "https")
current: contextvars.ContextVar[int | None] = contextvars.ContextVar("current", default=None)


@pytest.fixture(params=["httpx", "httpx2"])
def httpx(request):
    return pytest.importorskip(request.param)


@pytest.fixture
def aiohttp():
    return pytest.importorskip("aiohttp")


# --- httpx and httpx2, which share their interface


@pytest.mark.parametrize("scheme", SCHEMES)
def test_httpx_gets_posts_and_keeps_its_connection(httpx, scheme):
    async def work():
        async with httpx.AsyncClient() as client:
            got = await client.get(f"{scheme}://api.openai.com/v1/models", params={"limit": "2"})
            posted = await client.post(f"{scheme}://api.openai.com/v1/x", json={"a": 1})
            large = await client.put(f"{scheme}://api.openai.com/v1/x", content=b"x" * 3_000_000)
        return got.json(), posted.json(), large.json()["bytes"], got.http_version

    with Scene() as scene:
        got, posted, size, version = scene.run(work())
        scene.settle()
        assert scene.network.connections_made == 1
        assert scene.network.open_connections == 0
    assert (got["path"], got["query"], got["host"]) == ("/v1/models", "limit=2", "api.openai.com")
    assert (posted["method"], posted["bytes"], size, version) == ("POST", 7, 3_000_000, "HTTP/1.1")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_httpx_streams_down_as_events_come(httpx, scheme):
    async def work():
        clock = asyncio.get_running_loop().time
        seen = []
        async with httpx.AsyncClient() as client, client.stream("GET", f"{scheme}://a.sim/stream") as response:
            began = clock()
            async for line in response.aiter_lines():
                if line:
                    seen.append((line, round(clock() - began, 3)))
        return seen

    with Scene() as scene:
        assert scene.run(work()) == [(f"data: {number}", 0.5 * (number + 1)) for number in range(10)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_httpx_streams_up(httpx, scheme):
    async def parts():
        for _ in range(5):
            await asyncio.sleep(1)
            yield b"x" * 1_000

    async def work():
        async with httpx.AsyncClient() as client:
            return (await client.post(f"{scheme}://a.sim/up", content=parts())).json()["bytes"]

    with Scene() as scene:
        assert scene.run(work()) == 5_000
        assert scene.loop.time() == pytest.approx(5, abs=0.1)


def test_httpx_waits_for_a_connection_of_its_pool(httpx):
    async def work():
        limits = httpx.Limits(max_connections=2)
        async with httpx.AsyncClient(limits=limits) as client:
            await asyncio.gather(*(client.get("http://a.sim/wait/1") for _ in range(6)))
            with pytest.raises(httpx.PoolTimeout):
                await asyncio.gather(*(client.get("http://a.sim/wait/1", timeout=0.5) for _ in range(3)))

    with Scene() as scene:
        scene.run(work())
        assert scene.loop.time() == pytest.approx(3.5, abs=0.1)
        assert scene.network.connections_made == 2


def test_httpx_finds_out_that_an_idle_connection_was_closed(httpx):
    async def work():
        async with httpx.AsyncClient() as client:
            await client.get("http://a.sim/")
            await asyncio.sleep(2)
            return (await client.get("http://a.sim/")).status_code

    with Scene(keep_alive_s=1.0) as scene:
        assert scene.run(work()) == 200
        assert scene.network.connections_made == 2


@pytest.mark.parametrize("scheme", SCHEMES)
def test_httpx_times_out_in_virtual_time(httpx, scheme):
    async def work(url):
        began = asyncio.get_running_loop().time()
        try:
            async with httpx.AsyncClient(timeout=7.0) as client:
                await client.get(url)
        except httpx.TimeoutException as error:
            return type(error).__name__, round(asyncio.get_running_loop().time() - began, 1)

    with Scene() as scene:
        assert scene.run(work(f"{scheme}://a.sim/wait/600")) == ("ReadTimeout", 7.0)
        assert scene.run(work(f"{scheme}://timeout.sim/")) == ("ConnectTimeout", 7.0)
        scene.settle()
        assert scene.cancelled == ["/wait/600"]


def test_httpx_reaches_every_mapped_host_at_any_port_and_no_other(httpx):
    async def work():
        async with httpx.AsyncClient() as client:
            hosts = ("http://a.sim:8080/", "https://b.sim:8443/", "http://API.OpenAI.com/", "https://a.b.sim/")
            found = [(await client.get(url)).json()["host"] for url in hosts]
            for url in ("http://example.com/", "http://localhost:9/", "http://127.0.0.1/", "http://10.0.0.1/"):
                with pytest.raises(httpx.ConnectError):
                    await client.get(url)
            return found

    with Scene() as scene:
        assert scene.run(work()) == ["a.sim", "b.sim", "api.openai.com", "a.b.sim"]
        assert scene.unknown == ["example.com", "127.0.0.1", "127.0.0.1", "10.0.0.1"]


def test_a_certificate_is_still_checked_for_its_name():
    # Clients trust the authority, not everything.
    async def work():
        loop = asyncio.get_running_loop()
        context = ssl.create_default_context()
        ours = loop.create_connection(asyncio.Protocol, "a.sim", 443, ssl=context, server_hostname="b.sim")
        (await ours)[0].close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await loop.create_connection(asyncio.Protocol, "a.sim", 443, ssl=context, server_hostname="127.0.0.1")

    with Scene() as scene:
        scene.run(work())


def test_calls_belong_to_who_writes_them_not_to_who_opened_the_connection(httpx):
    async def one(client, number):
        current.set(number)
        await client.get(f"https://a.sim/{number}")

    async def work():
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
            for number in (1, 2, 3):
                await asyncio.create_task(one(client, number))
            await asyncio.create_task(client.get("https://a.sim/none"))

    with Scene(whose=current.get) as scene:
        scene.run(work())
        assert [(request.path, owner) for request, owner in scene.asked] == [
            ("/1", 1),
            ("/2", 2),
            ("/3", 3),
            ("/none", None),
        ]
        assert scene.network.connections_made == 1


# --- aiohttp


@pytest.mark.parametrize("scheme", SCHEMES)
def test_aiohttp_gets_posts_streams_and_keeps_its_connection(aiohttp, scheme):
    async def parts():
        for _ in range(5):
            await asyncio.sleep(1)
            yield b"x" * 1_000

    async def work():
        clock = asyncio.get_running_loop().time
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{scheme}://api.openai.com/v1/models?limit=2") as response:
                got = await response.json()
            async with session.post(f"{scheme}://api.openai.com/v1/x", data=io.BytesIO(b"x" * 3_000_000)) as response:
                large = (await response.json())["bytes"]
            async with session.post(f"{scheme}://api.openai.com/v1/x", data=parts()) as response:
                streamed = (await response.json())["bytes"]
            async with session.get(f"{scheme}://api.openai.com/stream") as response:
                began, seen = clock(), []
                async for line in response.content:
                    if line.strip():
                        seen.append((line.strip().decode(), round(clock() - began, 3)))
            async with session.get(f"{scheme}://api.openai.com/large") as response:
                down = len(await response.read())
        return got["query"], large, streamed, seen, down

    with Scene() as scene:
        query, large, streamed, seen, down = scene.run(work())
        scene.settle(60.0)
        assert scene.network.connections_made == 1
        assert scene.network.open_connections == 0
    assert (query, large, streamed, down) == ("limit=2", 3_000_000, 5_000, 3_000_000)
    assert seen == [(f"data: {number}", 0.5 * (number + 1)) for number in range(10)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_aiohttp_times_out_in_virtual_time(aiohttp, scheme):
    async def work(url):
        began = asyncio.get_running_loop().time()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=3, sock_read=7)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
                await response.read()
        except aiohttp.ServerTimeoutError as error:
            return type(error).__name__, round(asyncio.get_running_loop().time() - began, 1)

    with Scene() as scene:
        assert scene.run(work(f"{scheme}://a.sim/wait/600")) == ("SocketTimeoutError", 7.0)
        assert scene.run(work(f"{scheme}://timeout.sim/")) == ("ConnectionTimeoutError", 3.0)


def test_aiohttp_limits_its_connections(aiohttp):
    async def get(session):
        async with session.get("http://a.sim/wait/1") as response:
            return response.status

    async def work():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session:
            return await asyncio.gather(*(get(session) for _ in range(6)))

    with Scene() as scene:
        assert scene.run(work()) == [200] * 6
        assert scene.loop.time() == pytest.approx(3, abs=0.1)
        assert scene.network.connections_made == 2


def test_aiohttp_owners_are_read_at_the_write(aiohttp):
    async def one(session, number):
        current.set(number)
        async with session.post(f"https://a.sim/{number}", data=b"x" * 100_000) as response:
            await response.read()

    async def work():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            for number in (1, 2, 3):
                await asyncio.create_task(one(session, number))

    with Scene(whose=current.get) as scene:
        scene.run(work())
        assert [(request.path, owner) for request, owner in scene.asked] == [("/1", 1), ("/2", 2), ("/3", 3)]
        assert scene.network.connections_made == 1


# --- what the wire does to them: the table of the ecosystem, met in virtual time

HTTPX_FAULTS = {
    "/reset": "ReadError",
    "/reset-stream": "ReadError",
    "/half-headers": "RemoteProtocolError",
    "/bad-chunk": "RemoteProtocolError",
    "/short": "RemoteProtocolError",
    "/short-stream": "RemoteProtocolError",
    "/lost": "ReadError",
    "/wait/600": "ReadTimeout",
    "//dns.sim/": "ConnectError",
    "//refused.sim/": "ConnectError",
    "//timeout.sim/": "ConnectTimeout",
    "//slow.sim/": "200",
    "/slow": "200",
}
AIOHTTP_FAULTS = HTTPX_FAULTS | {
    "/reset": "ClientPayloadError",
    "/reset-stream": "ClientPayloadError",
    "/half-headers": "ServerDisconnectedError",
    "/bad-chunk": "nothing",  # its C parser waits for ever, past every read time-out of its own
    "/short": "ClientPayloadError",
    "/short-stream": "ClientPayloadError",
    "/lost": "ClientOSError",
    "/wait/600": "SocketTimeoutError",
    "//dns.sim/": "ClientConnectorDNSError",
    "//refused.sim/": "ClientConnectorError",
    "//timeout.sim/": "ConnectionTimeoutError",
}


def url_of(scheme: str, target: str) -> str:
    return f"{scheme}:{target}" if target.startswith("//") else f"{scheme}://a.sim{target}"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("target", "outcome"), HTTPX_FAULTS.items(), ids=lambda value: value.strip("/"))
def test_httpx_sees_each_fault_of_the_wire(httpx, scheme, target, outcome):
    async def work():
        try:
            async with httpx.AsyncClient(timeout=5.0) as client:
                return str((await client.get(url_of(scheme, target))).status_code)
        except httpx.TransportError as error:
            return type(error).__name__

    with Scene() as scene:
        assert scene.run(work()) == outcome
        scene.settle()
        assert scene.network.open_connections == 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("target", "outcome"), AIOHTTP_FAULTS.items(), ids=lambda value: value.strip("/"))
def test_aiohttp_sees_each_fault_of_the_wire(aiohttp, scheme, target, outcome):
    async def work():
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=5)
        try:
            async with (
                asyncio.timeout(100),
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url_of(scheme, target)) as response,
            ):
                await response.read()
                return str(response.status)
        except aiohttp.ClientError as error:
            return type(error).__name__
        except TimeoutError:
            return "nothing"

    with Scene() as scene:
        assert scene.run(work()) == outcome
        scene.settle(60.0)
        assert scene.network.open_connections == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_httpx_keeps_what_came_before_the_break(httpx, scheme):
    async def work(path):
        body = b""
        async with httpx.AsyncClient() as client:
            try:
                async with client.stream("GET", f"{scheme}://a.sim{path}") as response:
                    async for part in response.aiter_raw():
                        body += part
            except httpx.TransportError:
                return body

    with Scene() as scene:
        assert scene.run(work("/reset")) == BODY[:500]
        assert scene.run(work("/reset-stream")) == EVENTS[:25]
        assert scene.run(work("/short")) == BODY[:500]
        assert scene.run(work("/bad-chunk")) == BODY[:500]


def test_slow_bytes_take_their_time_and_keep_read_time_outs_quiet(httpx):
    async def work():
        async with httpx.AsyncClient(timeout=1.0) as client:
            return len((await client.get("http://a.sim/slow")).content)

    with Scene() as scene:
        assert scene.run(work()) == len(BODY)
        assert scene.loop.time() == pytest.approx(len(BODY) / 100, abs=0.1)


def test_bandwidth_slows_both_ways(httpx):
    async def work():
        async with httpx.AsyncClient(timeout=None) as client:
            await client.post("http://a.sim/", content=b"x" * 1_000_000)
            up = asyncio.get_running_loop().time()
            await client.get("http://a.sim/large")
            return up, asyncio.get_running_loop().time() - up

    with Scene(bytes_per_s=100_000.0) as scene:
        up, down = scene.run(work())
    assert (up, down) == (pytest.approx(10, abs=0.1), pytest.approx(30, abs=0.1))


def test_an_openai_client_needs_no_special_case():
    openai = pytest.importorskip("openai")
    from pagerproof.model import Answer

    async def answer(_request, _owner):
        await asyncio.sleep(2)
        return Answer(
            200,
            {"content-type": "application/json"},
            b'{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, '
            b'"finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}]}',
        )

    async def work():
        async with openai.AsyncOpenAI(api_key="k", base_url="https://llm.sim/v1") as client:
            messages = [{"role": "user", "content": "hi"}]
            return (await client.chat.completions.create(model="m", messages=messages)).choices[0].message.content

    with Scene(answer) as scene:
        assert scene.run(work()) == "hello"
        assert scene.loop.time() == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("store", ["system", "certifi", "truststore", "an empty one"])
def test_every_certificate_store_trusts_the_authority(store):
    def context():
        if store == "system":
            return ssl.create_default_context()
        if store == "certifi":
            return ssl.create_default_context(cafile=pytest.importorskip("certifi").where())
        if store == "truststore":
            return pytest.importorskip("truststore").SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def work():
        reader, writer = await asyncio.open_connection("a.sim", 443, ssl=context())
        writer.write(b"GET /none HTTP/1.1\r\nHost: a.sim\r\n\r\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    with Scene() as scene:
        assert scene.run(work()) == b"HTTP/1.1 204 No Content\r\n"


def test_the_servers_protocol_is_http_1_1_whatever_is_offered():
    async def work():
        context = ssl.create_default_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection("a.sim", 443, ssl=context)
        agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.close()
        return agreed

    with Scene() as scene:
        assert scene.run(work()) == "http/1.1"
