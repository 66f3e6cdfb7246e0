"""A stand-in for `socket.socket` that no descriptor is opened for: what clients may ask a socket, and nothing else."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from pagerproof.errors import ForbiddenCall
from pagerproof.kernel.diagnosis import place_of

Address = tuple[Any, ...]

BLOCKING_REMEDY = (
    "a blocking socket cannot wait in virtual time: use the library's asynchronous client "
    "(httpx.AsyncClient, aiohttp, AsyncOpenAI, ...) instead of requests, urllib3 or a synchronous SDK"
)


class Lookout:
    """Two descriptors that answer for all sockets of a network whether something can be read.

    Clients poll an idle connection's descriptor to see whether the server has gone. `quiet` never becomes readable,
    `ready` always is.
    """

    def __init__(self) -> None:
        self.quiet, self._kept = os.pipe()
        self.ready, writer = os.pipe()
        os.close(writer)

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in (self.quiet, self._kept, self.ready):
            os.close(descriptor)


class _KnowsRealOnes(type):
    def __instancecheck__(cls, instance: object) -> bool:
        # `socket.socket` names this class while a network is attached, and sockets made before are sockets still.
        return isinstance(instance, _REAL)


_REAL = socket.socket


class StandIn(_REAL, metaclass=_KnowsRealOnes):
    """A socket without a descriptor. Every blocking call on it raises ForbiddenCall, which also ends the run."""

    lookout: ClassVar[Lookout | None] = None
    refuse: ClassVar[Callable[[ForbiddenCall], object]]
    readable: Callable[[], bool]

    def __init__(  # the parameters of the real one
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        # The constructor of the base is what would open a descriptor.
        if fileno is not None:
            self._refuse("socket(fileno=...)")
        self._family = socket.AF_INET if family == -1 else socket.AddressFamily(family)
        self._type = socket.SOCK_STREAM if type == -1 else socket.SocketKind(type)
        self._proto = 0 if proto == -1 else proto
        self._timeout: float | None = None
        self._options: dict[tuple[int, int], int | bytes] = {}
        self._is_open = True
        self.local: Address = ("0.0.0.0", 0)
        self.remote: Address | None = None
        self.readable = lambda: False

    @property
    def family(self) -> socket.AddressFamily:
        """The address family it was asked for."""
        return self._family

    @property
    def type(self) -> socket.SocketKind:
        """Stream or datagram."""
        return self._type

    @property
    def proto(self) -> int:
        """The protocol number."""
        return self._proto

    @property
    def timeout(self) -> float | None:
        """The time-out that was set: 0.0 for a socket that does not block."""
        return self._timeout

    def fileno(self) -> int:
        """Return a descriptor to poll, and for nothing else: -1 once closed."""
        lookout = StandIn.lookout
        if not self._is_open or lookout is None:
            return -1
        return lookout.ready if self.readable() else lookout.quiet

    def setblocking(self, flag: bool, /) -> None:
        """Remember it."""
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """Return whether calls would block."""
        return self._timeout != 0.0

    def settimeout(self, value: float | None, /) -> None:
        """Remember it."""
        self._timeout = value

    def gettimeout(self) -> float | None:
        """Return what was set."""
        return self._timeout

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None, /) -> None:
        """Remember the option."""
        del optlen
        self._options[level, optname] = value

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        """Return what was set, or 0."""
        value = self._options.get((level, optname), 0)
        return value.to_bytes(buflen, sys.byteorder) if buflen and isinstance(value, int) else value

    def getsockname(self) -> Address:
        """Return the local address."""
        return self.local

    def getpeername(self) -> Address:
        """Return the peer's address. Raises OSError where there is none."""
        if self.remote is None:
            raise OSError(107, os.strerror(107))
        return self.remote

    def bind(self, address: Any, /) -> None:
        """Take the local address."""
        self.local = tuple(address)

    def shutdown(self, how: int, /) -> None:
        """Do nothing: the transport ends the connection."""

    def close(self) -> None:
        """Close; the transport that uses it ends the connection by itself."""
        self._is_open = False

    def detach(self) -> int:
        """Close and return no descriptor."""
        self.close()
        return -1

    def __repr__(self) -> str:
        return f"<simulated socket {self.local} -> {self.remote}{'' if self._is_open else ' [closed]'}>"

    def _refuse(self, name: str) -> NoReturn:
        error = ForbiddenCall(f"{place_of(sys._getframe(2))}: socket.{name}() was called, but {BLOCKING_REMEDY}")
        StandIn.refuse(error)
        raise error


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(self: StandIn, *_: object, **__: object) -> NoReturn:
        self._refuse(name)

    refuse.__name__ = name
    refuse.__doc__ = "Raise ForbiddenCall."
    return refuse


_BLOCKING = (
    *("connect", "connect_ex", "listen", "accept", "send", "sendall", "sendto", "sendmsg", "sendfile"),
    *("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "makefile", "dup"),
)
for _name in _BLOCKING:
    setattr(StandIn, _name, _refusing(_name))
