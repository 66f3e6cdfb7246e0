"""The client's transport keeps asyncio's promises: order, back pressure, half-closes, resets, TLS on top."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio
import select
import socket
import ssl

import pytest
from tests.network.scene import Scene

GET = b"GET %b HTTP/1.1\r\nHost: a.sim\r\n\r\n"


class Recorder(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.data = b""
        self.error: BaseException | None = None
        self.transport: asyncio.Transport
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.told.append("made")
        self.transport = transport

    def data_received(self, data):
        self.told.append("data")
        self.data += data

    def eof_received(self):
        self.told.append("eof")

    def connection_lost(self, error):
        self.told.append("lost")
        self.error = error
        if not self.done.done():
            self.done.set_result(None)

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")


class Buffered(asyncio.BufferedProtocol):
    """Takes what arrives into a small buffer of its own."""

    def __init__(self) -> None:
        self.buffer = bytearray(100)
        self.data = b""

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.data += self.buffer[:nbytes]


async def connected(factory=Recorder, **options):
    return await asyncio.get_running_loop().create_connection(factory, "a.sim", 80, **options)


def test_bytes_arrive_in_order_and_the_latency_late():
    async def work():
        transport, protocol = await connected()
        began = asyncio.get_running_loop().time()
        transport.write(GET % b"/none")
        await asyncio.sleep(0.019)
        assert protocol.told == ["made"]
        await asyncio.sleep(0.002)
        assert protocol.told == ["made", "data"]
        transport.close()
        return began

    with Scene(latency_s=0.01) as scene:
        assert scene.run(work()) == 0.02  # a connect is one round trip


def test_no_latency_is_allowed():
    async def work():
        transport, protocol = await connected()
        transport.write(GET % b"/large")
        while len(protocol.data) < 3_000_000:
            await asyncio.sleep(0)
        transport.close()
        await protocol.done
        return protocol.data.partition(b"\r\n\r\n")[2]

    with Scene(latency_s=0.0) as scene:
        assert scene.run(work()) == b"abc" * 1_000_000
        assert scene.loop.time() == 0.0


def test_a_latency_belongs_to_the_host_and_the_seed():
    async def work():
        times = []
        clock = asyncio.get_running_loop().time
        for host in ("a.sim", "b.sim", "a.sim"):
            began = clock()
            _, writer = await asyncio.open_connection(host, 80)
            times.append(round(clock() - began, 9))
            writer.close()
        return times

    with Scene(seed=1) as scene:
        one = scene.run(work())
    with Scene(seed=2) as scene:
        two = scene.run(work())
    assert one[0] == one[2] != one[1]
    assert one[0] != two[0]
    assert all(0.0004 <= time <= 0.001 for time in one + two)


def test_data_is_kept_while_reading_is_paused():
    async def work():
        transport, protocol = await connected()
        transport.pause_reading()
        transport.write(GET % b"/none")
        await asyncio.sleep(1)
        assert (protocol.told, transport.is_reading()) == (["made"], False)
        transport.resume_reading()
        assert protocol.told == ["made"]
        await asyncio.sleep(0)
        assert protocol.told == ["made", "data"]
        transport.close()

    with Scene() as scene:
        scene.run(work())


def test_one_delivery_has_a_size_limit():
    async def work():
        transport, protocol = await connected()
        transport.pause_reading()
        transport.write(GET % b"/large")
        await asyncio.sleep(1)
        transport.resume_reading()
        await asyncio.sleep(1)
        transport.close()
        return protocol.told.count("data"), len(protocol.data)

    with Scene() as scene:
        deliveries, size = scene.run(work())
    assert deliveries == -(-size // (256 * 1024))


def test_a_protocol_with_a_buffer_of_its_own_gets_everything():
    async def work():
        transport, protocol = await connected(Buffered)
        transport.write(GET % b"/large")
        await asyncio.sleep(1)
        transport.close()
        return protocol.data

    with Scene() as scene:
        assert scene.run(work()).endswith(b"abc" * 1_000_000)


def test_a_writer_is_paused_at_the_high_mark_and_resumed_below_the_low_one():
    async def work():
        transport, protocol = await connected()
        transport.set_write_buffer_limits(high=100_000)
        assert transport.get_write_buffer_limits() == (25_000, 100_000)
        transport.write(b"POST / HTTP/1.1\r\nHost: a.sim\r\nContent-Length: 900000\r\n\r\n")
        for _ in range(9):
            transport.write(b"x" * 100_000)
        paused, size = protocol.told[:], transport.get_write_buffer_size()
        await asyncio.sleep(20)
        return paused, size, protocol.told, transport.get_write_buffer_size()

    with Scene(bytes_per_s=100_000.0) as scene:
        paused, size, told, left = scene.run(work())
        assert scene.asked[0][0].body == b"x" * 900_000
    assert (paused, size > 500_000) == (["made", "pause"], True)
    assert (told[:4], left) == (["made", "pause", "resume", "data"], 0)


def test_marks_that_make_no_sense_are_refused():
    async def work():
        transport, _ = await connected()
        with pytest.raises(ValueError, match="must be >="):
            transport.set_write_buffer_limits(high=1, low=2)
        with pytest.raises(TypeError, match="bytes-like"):
            transport.write("text")
        transport.close()

    with Scene() as scene:
        scene.run(work())


def test_a_servers_end_is_an_end_and_no_error():
    async def work():
        transport, protocol = await connected()
        transport.write((GET % b"/none").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await protocol.done
        return protocol

    with Scene() as scene:
        protocol = scene.run(work())
        assert (protocol.told, protocol.error) == (["made", "data", "eof", "lost"], None)
        assert scene.network.open_connections == 0


def test_a_reset_is_an_error_after_what_came_before():
    async def work():
        transport, protocol = await connected()
        transport.write(GET % b"/reset")
        await protocol.done
        return protocol

    with Scene() as scene:
        protocol = scene.run(work())
    assert (protocol.told, type(protocol.error)) == (["made", "data", "lost"], ConnectionResetError)
    assert protocol.data.endswith(b"x" * 490)


def test_writing_into_a_connection_that_was_reset_breaks_it():
    async def work():
        transport, protocol = await connected()
        transport.pause_reading()
        transport.write(GET % b"/lost")
        await asyncio.sleep(1)
        assert protocol.told == ["made"]
        transport.write(GET % b"/none")
        await protocol.done
        transport.write(b"more")  # nobody listens, and nobody minds
        return protocol.error

    with Scene() as scene:
        assert type(scene.run(work())) is ConnectionResetError


def test_a_request_that_crosses_the_servers_good_bye_is_not_answered():
    async def work():
        transport, protocol = await connected()
        await asyncio.sleep(1.0)  # the server has closed now, and nobody knows that here
        transport.write(GET % b"/none")
        await protocol.done
        return protocol.told

    with Scene(keep_alive_s=1.0, latency_s=0.001) as scene:
        assert scene.run(work()) == ["made", "eof", "lost"]
        assert scene.asked == []


def test_closing_sends_what_was_written_and_aborting_ends_at_once():
    async def work():
        for end in ("close", "abort"):
            transport, protocol = await connected()
            transport.write(GET % b"/none")
            getattr(transport, end)()
            assert transport.is_closing()
            assert protocol.told == ["made"]
            await protocol.done
            assert (protocol.told, protocol.error) == (["made", "lost"], None)
        await asyncio.sleep(1)

    with Scene() as scene:
        scene.run(work())
        assert len(scene.asked) == 2
        assert scene.network.open_connections == 0


def test_nothing_is_written_after_the_writers_end():
    async def work():
        transport, _ = await connected()
        assert transport.can_write_eof()
        transport.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            transport.write(b"x")
        transport.close()

    with Scene() as scene:
        scene.run(work())


def test_a_protocol_that_raises_loses_its_connection_and_is_reported():
    class Broken(Recorder):
        def data_received(self, data):
            raise KeyError("oops")

    async def work():
        reported = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reported.append(context["message"]))
        transport, protocol = await connected(Broken)
        transport.write(GET % b"/none")
        await protocol.done
        return reported, type(protocol.error)

    with Scene() as scene:
        assert scene.run(work()) == (["Fatal error: protocol.data_received() call failed."], KeyError)


def test_a_connection_tells_who_it_is():
    async def work():
        transport, _ = await connected()
        loop = asyncio.get_running_loop()
        peer = transport.get_extra_info("peername")
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert (sock.getpeername(), sock.family, sock.type) == (peer, socket.AF_INET, socket.SOCK_STREAM)
        assert await loop.getnameinfo(peer) == ("a.sim", "80")
        assert transport.get_extra_info("sockname") == sock.getsockname()
        transport.close()
        return peer

    with Scene() as scene:
        address, port = scene.run(work())
    assert (address.startswith(("198.18.", "198.19.")), port) == (True, 80)


def test_a_descriptor_shows_whether_something_can_be_read_as_clients_that_poll_expect():
    def readable(sock):
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def work():
        transport, _ = await connected()
        sock = transport.get_extra_info("socket")
        transport.pause_reading()
        seen = [readable(sock)]
        transport.write(GET % b"/none")
        await asyncio.sleep(1)
        seen.append(readable(sock))
        transport.abort()
        await asyncio.sleep(0)
        return seen, sock.fileno()

    with Scene() as scene:
        assert scene.run(work()) == ([False, True], -1)


def test_tls_can_begin_on_an_open_connection():
    async def work():
        loop = asyncio.get_running_loop()
        transport, protocol = await connected()
        secure = await loop.start_tls(transport, protocol, ssl.create_default_context(), server_hostname="a.sim")
        assert secure is not None
        secure.write(GET % b"/none")
        await asyncio.sleep(1)
        assert secure.get_extra_info("cipher")
        assert secure.get_extra_info("peername") == transport.get_extra_info("peername")
        secure.close()
        await protocol.done
        return protocol.data

    with Scene() as scene:
        assert scene.run(work()).startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"server_hostname": "a.sim"}, "only meaningful with ssl"),
        ({"ssl_handshake_timeout": 1}, "only meaningful with ssl"),
        ({"ssl_shutdown_timeout": 1}, "only meaningful with ssl"),
        ({"sock": object()}, "can not be specified at the same time"),
    ],
)
def test_options_that_contradict_are_refused_as_by_the_standard_loop(options, message):
    with Scene() as scene, pytest.raises(ValueError, match=message):
        scene.run(connected(**options))
