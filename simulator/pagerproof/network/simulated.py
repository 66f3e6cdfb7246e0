"""The simulated network of a run: names, connects and connections that the loop asks for instead of the system's."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl as tls
import sys
from asyncio import sslproto
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, Self

from pagerproof.errors import ForbiddenCall
from pagerproof.kernel import SimulationLoop
from pagerproof.kernel.diagnosis import place_of
from pagerproof.network.hosts import LOOPBACK, Handler, Hosts, is_address, is_loopback, normal
from pagerproof.network.pipe import Item, Pipe
from pagerproof.network.server import ServerEnd, Site
from pagerproof.network.stand_in import BLOCKING_REMEDY, Address, Lookout, StandIn
from pagerproof.network.tls import Authority, Trust
from pagerproof.network.transport import ClientTransport
from pagerproof.rng import uniform

SYN_GIVES_UP_S: Final = 127.0
"""How long a connect without an answer takes: Linux sends a SYN and 6 repeats (tcp(7), tcp_syn_retries)."""
_LATENCY_S: Final = (0.0002, 0.0005)  # within one data centre; assumed
_FIRST_PORT: Final = 32768
_SERVICE_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """What becomes of a look-up or of an attempt to connect, `after_s` from now.

    `how`: `dns` (the name is not found), `refused`, `timeout` (no answer; without `after_s` the system gives up after
    127 s) or `slow` (it comes about).
    """

    how: Literal["dns", "refused", "timeout", "slow"]
    after_s: float | None = None


Resolving = Callable[[str, object], Awaitable[Connecting | None]]
"""Asked once for every look-up of a mapped name: (host, owner). None lets it come about."""
Decide = Callable[[str, int, object], Awaitable[Connecting | None]]
"""Asked once for every attempt to connect to a mapped host: (host, port, owner). None lets it come about."""
Unknown = Callable[[str, object], object]
"""Told of every host that was asked for and is not mapped: (host, owner)."""


async def _resolved(_host: str, _owner: object) -> Connecting | None:
    return None


async def _connected(_host: str, _port: int, _owner: object) -> Connecting | None:
    return None


class SimulatedNetwork:
    """Hosts, and the connections to them, while it is attached to its loop; a context manager that attaches it.

    `whose()` names the owner of what is written now, or None. `latency_s` is the time a byte takes one way: a number,
    or, by default, one of 0.2 to 0.5 ms that hangs on `seed` and the host. `bytes_per_s` bounds each direction of each
    connection. Attaching replaces `socket.socket`, `socket.getaddrinfo` and the two methods of `ssl.SSLContext` that
    begin a connection; detaching puts them back and drops what is open.
    """

    def __init__(
        self,
        loop: SimulationLoop,
        hosts: Mapping[str, Handler],
        *,
        whose: Callable[[], object] = lambda: None,
        resolving: Resolving = _resolved,
        connecting: Decide = _connected,
        unknown: Unknown = lambda _host, _owner: None,
        seed: int = 0,
        latency_s: float | None = None,
        bytes_per_s: float | None = None,
        body_bytes_max: int = 64 * 1024 * 1024,  # above what gateways refuse in their own words
        keep_alive_s: float | None = 75.0,
    ) -> None:
        self._loop = loop
        self._hosts = Hosts(hosts)
        self._whose = whose
        self._resolving = resolving
        self._connecting = connecting
        self._unknown = unknown
        self._seed = seed
        self._latency = latency_s
        self._bytes_per_s = bytes_per_s
        self._authority: Authority | None = None
        self._context = copy_context()
        self._site = Site(
            loop,
            self._hosts,
            context=self._context,
            tls=self._tls_end,
            body_bytes_max=body_bytes_max,
            keep_alive_s=keep_alive_s,
        )
        self._connections: dict[ClientTransport, tuple[ServerEnd, Pipe, Pipe]] = {}
        self._ports = _FIRST_PORT
        self._trust: Trust | None = None
        self._real: tuple[Any, Any] | None = None
        self.connections_made = 0

    # --- attaching

    def attach(self) -> Self:
        """Become the network of the loop. Raises RuntimeError where one is attached in this process."""
        if StandIn.lookout is not None or self._loop.network is not None:
            raise RuntimeError("a network is attached already")
        self._authority = Authority()
        self._trust = Trust(self._authority.pem)
        StandIn.lookout = Lookout()
        StandIn.refuse = self._refuse
        self._real = (socket.socket, socket.getaddrinfo)
        socket.socket = StandIn  # type: ignore[misc]  # a class is replaced, for every module that looks it up
        socket.getaddrinfo = self._refuse_getaddrinfo
        self._loop.network = self
        return self

    def detach(self) -> None:
        """Put everything back and drop the open connections; without effect where it is not attached."""
        if self._loop.network is not self:
            return
        self._loop.network = None
        assert self._real is not None
        socket.socket, socket.getaddrinfo = self._real  # type: ignore[misc]  # as above
        assert self._trust is not None
        self._trust.undo()
        self._trust = self._authority = None
        for transport, (end, *pipes) in list(self._connections.items()):
            end.drop()
            for pipe in pipes:
                pipe.cut()
            transport.drop()
        self._connections.clear()
        assert StandIn.lookout is not None
        StandIn.lookout.close()
        StandIn.lookout = None

    def __enter__(self) -> Self:
        return self.attach()

    def __exit__(self, *_: object) -> None:
        self.detach()

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    def _tls_end(self, host: str) -> Any:
        assert self._authority is not None
        return self._authority.end(host)

    def _refuse(self, error: ForbiddenCall) -> None:
        if self._loop.is_running():
            self._loop.abort(error)

    def _refuse_getaddrinfo(self, *_: object, **__: object) -> NoReturn:
        error = ForbiddenCall(f"{place_of(sys._getframe(1))}: socket.getaddrinfo() was called, but {BLOCKING_REMEDY}")
        self._refuse(error)
        raise error

    # --- names

    async def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Return the one address of a mapped name. Raises socket.gaierror for any other."""
        name = normal(host) if host else LOOPBACK
        number = _port_number(port)
        if not is_address(name):
            await self._resolve(name)
        elif flags & socket.AI_NUMERICSERV and isinstance(port, str) and not port.isdigit():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        address = self._address(name, family)
        kind = socket.SocketKind(type) if type else socket.SOCK_STREAM
        protocol = proto or (socket.IPPROTO_UDP if kind == socket.SOCK_DGRAM else socket.IPPROTO_TCP)
        canonical = name if flags & socket.AI_CANONNAME else ""
        if ":" in address:
            return [(socket.AF_INET6, kind, protocol, canonical, (address, number, 0, 0))]
        return [(socket.AF_INET, kind, protocol, canonical, (address, number))]

    async def getnameinfo(self, sockaddr: Address, flags: int = 0) -> tuple[str, str]:
        """Return the name that has this address, and the port."""
        address = str(sockaddr[0])
        name = address if flags & socket.NI_NUMERICHOST else self._hosts.name(address)
        return name, str(sockaddr[1])

    def _address(self, name: str, family: int = 0) -> str:
        address = self._hosts.address(name)
        if address is None:
            self._unknown(name, self._whose())
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if family == socket.AF_INET6 and ":" not in address:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return address

    # --- deciding what becomes of an attempt

    async def _resolve(self, name: str) -> None:
        """Wait as long as a look-up takes. Raises socket.gaierror where it fails."""
        if self._hosts.handler(name) is None:
            return  # its address, or that it has none, is known at once
        decided = await self._resolving(name, self._whose())
        if decided is not None:
            await asyncio.sleep(decided.after_s or 0.0)
            if decided.how != "slow":
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def _come_about(self, name: str, address: str, port: int) -> None:
        """Wait as long as the connect takes. Raises OSError where it fails."""
        owner = self._whose()
        round_trip_s = 2 * self._latency_s(name)
        if self._hosts.handler(name) is None:
            self._unknown(name, owner)
            await asyncio.sleep(round_trip_s)
            code = errno.ECONNREFUSED if is_loopback(address) else errno.ENETUNREACH
            raise _os_error(code, address, port)
        decided = await self._connecting(name, port, owner)
        if decided is None or decided.how == "slow":
            await asyncio.sleep(round_trip_s + (decided.after_s or 0.0 if decided is not None else 0.0))
        elif decided.how == "timeout":
            await asyncio.sleep(SYN_GIVES_UP_S if decided.after_s is None else decided.after_s)
            raise _os_error(errno.ETIMEDOUT, address, port)
        elif decided.how == "refused":
            await asyncio.sleep(round_trip_s + (decided.after_s or 0.0))
            raise _os_error(errno.ECONNREFUSED, address, port)
        else:
            raise ValueError(
                f"an attempt to connect to {name} was decided as {decided.how!r}, which is no ending of it"
            )

    def _latency_s(self, name: str) -> float:
        if self._latency is not None:
            return self._latency
        low, high = _LATENCY_S
        return low + (high - low) * uniform(self._seed, "latency", name)

    # --- connections

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | bytes | None = None,
        port: str | bytes | int | None = None,
        *,
        ssl: tls.SSLContext | bool | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: Address | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """Do as the standard loop's: return (transport, protocol) of a connection to a mapped host."""
        del happy_eyeballs_delay, interleave, all_errors, proto, flags  # every name has one address
        _check_tls(ssl, server_hostname, host, ssl_handshake_timeout, ssl_shutdown_timeout)
        if (host is None and port is None) == (sock is None):
            raise ValueError(
                "host and port was not specified and no sock specified"
                if sock is None
                else "host/port and sock can not be specified at the same time"
            )
        if sock is None:
            infos = await self.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
            sock = StandIn(infos[0][0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
            if local_addr is not None:
                sock.bind(local_addr)
            await self.sock_connect(sock, infos[0][4])
        if not isinstance(sock, StandIn) or sock.remote is None:
            raise ValueError(f"A socket of the simulated network that is connected was expected, got {sock!r}")
        name = self._hosts.name(sock.remote[0])
        if ssl and server_hostname is None:
            server_hostname = (host.decode() if isinstance(host, bytes) else host) or name
        return await self._joined(
            sock, name, protocol_factory, ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout
        )

    async def sock_connect(self, sock: socket.socket, address: Address) -> None:
        """Connect a client's own socket. Raises OSError where nobody listens."""
        if not isinstance(sock, StandIn):
            raise ValueError(f"A socket of the simulated network was expected, got {sock!r}")
        name = normal(address[0])
        if not is_address(name):
            name = self._address(name)
        host = self._hosts.name(name)
        await self._come_about(host, name, address[1])
        sock.remote = (name, address[1])
        if sock.local[1] == 0:
            sock.local = ("198.19.255.254", self._next_port())

    async def start_tls(
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: tls.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.BaseTransport | None:
        """Do as the standard loop's, whose code it is."""
        return await asyncio.BaseEventLoop.start_tls(
            self._loop,
            transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )

    async def _joined(
        self,
        sock: StandIn,
        name: str,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        ssl: tls.SSLContext | bool | None,
        server_hostname: str | None,
        handshake_timeout_s: float | None,
        shutdown_timeout_s: float | None,
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        protocol = protocol_factory()
        if not ssl:
            transport = self._connection(sock, name, protocol)
            await asyncio.sleep(0)  # connection_made comes first
            return transport, protocol
        waiter = self._loop.create_future()
        layer: Any = sslproto.SSLProtocol(  # what the standard loop joins
            self._loop,
            protocol,
            tls.create_default_context() if ssl is True else ssl,
            waiter,
            False,
            server_hostname,
            ssl_handshake_timeout=handshake_timeout_s,  # type: ignore[arg-type]  # typeshed says int
            ssl_shutdown_timeout=shutdown_timeout_s,
        )
        self._connection(sock, name, layer)
        secure = layer._app_transport
        try:
            await waiter
        except BaseException:
            secure.close()
            raise
        return secure, protocol

    def _connection(self, sock: StandIn, name: str, protocol: asyncio.BaseProtocol) -> ClientTransport:
        latency_s = self._latency_s(name)
        transport = ClientTransport(self._loop, sock, whose=self._whose, ended=self._ended)
        to_client = Pipe(
            self._loop,
            arrive=transport.arrived,
            context=transport.context,
            latency_s=latency_s,
            bytes_per_s=self._bytes_per_s,
        )
        end = ServerEnd(self._site, to_client, name)

        def arrive(item: Item, owner: object) -> None:
            end.arrived(item, owner)
            transport.delivered()

        to_server = Pipe(
            self._loop, arrive=arrive, context=self._context, latency_s=latency_s, bytes_per_s=self._bytes_per_s
        )
        self._connections[transport] = (end, to_server, to_client)
        self.connections_made += 1
        transport.start(to_server, protocol)
        return transport

    def _ended(self, transport: ClientTransport) -> None:
        self._connections.pop(transport, None)

    def _next_port(self) -> int:
        port = self._ports
        self._ports = _FIRST_PORT if port == 65535 else port + 1
        return port


def _port_number(port: str | bytes | int | None) -> int:
    if port is None or port in ("", b""):
        return 0
    if isinstance(port, bytes):
        port = port.decode()
    if isinstance(port, int) or port.isdigit():
        return int(port)
    if port not in _SERVICE_PORTS:
        raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
    return _SERVICE_PORTS[port]


def _check_tls(
    ssl: tls.SSLContext | bool | None,
    server_hostname: str | None,
    host: object,
    handshake_timeout_s: float | None,
    shutdown_timeout_s: float | None,
) -> None:
    if server_hostname is not None and not ssl:
        raise ValueError("server_hostname is only meaningful with ssl")
    if server_hostname is None and ssl and not host:
        raise ValueError("You must set server_hostname when using ssl without a host")
    if handshake_timeout_s is not None and not ssl:
        raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
    if shutdown_timeout_s is not None and not ssl:
        raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")


def _os_error(code: int, address: str, port: int) -> OSError:
    return OSError(code, f"Connect call failed ('{address}', {port}): {os.strerror(code)}")
