"""The client's end of a connection in memory: an asyncio transport as any client library expects one."""

from __future__ import annotations

import asyncio
from asyncio import protocols
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any, Final

from pagerproof.kernel import SimulationLoop
from pagerproof.network.pipe import END, RESET, Item, Mark, Pipe
from pagerproof.network.stand_in import StandIn

READ_BYTES_MAX: Final = 256 * 1024
"""One `data_received` gets at most this much, as of the standard library's transports."""
WINDOW_BYTES: Final = 256 * 1024
"""What the line takes up before a writer's bytes count as buffered: a send buffer and a receive window together."""
_HIGH_WATER: Final = 64 * 1024


class ClientTransport(asyncio.Transport):
    """Writes into a pipe to the server, reads what arrives from it.

    `whose()` is asked at every write, in the context of the writer; `ended` is called once it is closed for good.
    """

    _start_tls_compatible = True

    def __init__(
        self,
        loop: SimulationLoop,
        sock: StandIn,
        *,
        whose: Callable[[], object],
        ended: Callable[[ClientTransport], object],
    ) -> None:
        super().__init__({"socket": sock, "sockname": sock.getsockname(), "peername": sock.getpeername()})
        self._loop = loop
        self._sock = sock
        self._whose = whose
        self._ended = ended
        self.context = copy_context()
        self._pipe: Pipe | None = None
        self._protocol: asyncio.BaseProtocol | None = None
        self._inbox: deque[Item] = deque()
        self._reading = False
        self._read_is_due = False
        self._closing = False
        self._wrote_end = False
        self._lost = False
        self._writer_is_paused = False
        self._low, self._high = _HIGH_WATER // 4, _HIGH_WATER
        sock.readable = lambda: bool(self._inbox) or self._lost

    def start(self, pipe: Pipe, protocol: asyncio.BaseProtocol) -> None:
        """Join the protocol to the line to the server."""
        self._pipe = pipe
        self._protocol = protocol
        self._reading = True
        self._loop.call_soon(protocol.connection_made, self, context=self.context)

    # --- what arrives

    def arrived(self, item: Item, _owner: object) -> None:
        """Take what the line delivers, in the connection's own context."""
        if self._lost:
            return
        self._inbox.append(item)
        if self._reading and not self._read_is_due:
            self._read()

    def _read(self) -> None:
        self._read_is_due = False
        if not self._reading or self._closing or not self._inbox:
            return
        first = self._inbox.popleft()
        if isinstance(first, Mark):
            self._read_mark(first)
            return
        data = self._with_what_follows(first)
        try:
            self._feed(data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fail(error, "Fatal error: protocol.data_received() call failed.")
            return
        if self._inbox:
            self._read_soon()

    def _with_what_follows(self, data: bytes) -> bytes:
        inbox = self._inbox
        if not inbox and len(data) <= READ_BYTES_MAX:
            return data
        parts, size = [data], len(data)
        while inbox and size < READ_BYTES_MAX and not isinstance(inbox[0], Mark):
            part = inbox.popleft()
            assert isinstance(part, bytes)
            parts.append(part)
            size += len(part)
        whole = b"".join(parts)
        if size > READ_BYTES_MAX:
            inbox.appendleft(whole[READ_BYTES_MAX:])
            whole = whole[:READ_BYTES_MAX]
        return whole

    def _feed(self, data: bytes) -> None:
        protocol = self._protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            protocols._feed_data_to_buffered_proto(protocol, data)  # type: ignore[attr-defined]  # asyncio's own way
        elif isinstance(protocol, asyncio.Protocol):
            protocol.data_received(data)

    def _read_mark(self, mark: Mark) -> None:
        self._reading = False
        if mark is RESET:
            self._force_close(ConnectionResetError(104, "Connection reset by peer"))
            return
        try:
            stays_open = isinstance(self._protocol, asyncio.Protocol | asyncio.BufferedProtocol) and (
                self._protocol.eof_received()
            )
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fail(error, "Fatal error: protocol.eof_received() call failed.")
            return
        if not stays_open:
            self.close()

    def _read_soon(self) -> None:
        if not self._read_is_due:
            self._read_is_due = True
            self._loop.call_soon(self._read, context=self.context)

    # --- reading, as a client directs it

    def is_reading(self) -> bool:
        """Return whether data is received."""
        return not self._closing and self._reading

    def pause_reading(self) -> None:
        """Leave what arrives where it is."""
        if not self._closing:
            self._reading = False

    def resume_reading(self) -> None:
        """Receive data again, from the next turn of the loop on."""
        if self._closing or self._reading:
            return
        self._reading = True
        if self._inbox:
            self._read_soon()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection over to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the present protocol."""
        assert self._protocol is not None
        return self._protocol

    # --- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; they count as buffered where the line cannot take them up."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._wrote_end:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._closing or self._pipe is None:
            return
        if RESET in self._inbox:  # the peer has reset the connection, and nobody has read that yet
            self._force_close(ConnectionResetError(104, "Connection reset by peer"))
            return
        self._pipe.send(bytes(data), self._whose())
        if not self._writer_is_paused and self.get_write_buffer_size() > self._high:
            self._writer_is_paused = True
            self._tell("pause_writing")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send these bytes as one."""
        self.write(b"".join(list_of_data))

    def delivered(self) -> None:
        """Some of what was written has arrived: let a paused writer go on."""
        if self._writer_is_paused and self.get_write_buffer_size() <= self._low:
            self._loop.call_soon(self._resume_writing, context=self.context)

    def _resume_writing(self) -> None:
        if self._writer_is_paused and not self._lost:
            self._writer_is_paused = False
            self._tell("resume_writing")

    def _tell(self, name: str) -> None:
        try:
            getattr(self._protocol, name)()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            message = f"protocol.{name}() failed"
            self._loop.call_exception_handler(
                {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
            )

    def can_write_eof(self) -> bool:
        """Return True: either side may end first."""
        return True

    def write_eof(self) -> None:
        """Say that nothing more will be written; reading goes on."""
        if not self._closing and not self._wrote_end and self._pipe is not None:
            self._wrote_end = True
            self._pipe.send(END, self._whose())

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks at which a writer is paused and resumed. Raises ValueError unless high >= low >= 0."""
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._low, self._high = low, high

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return (low, high)."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the line has not taken up yet."""
        return 0 if self._pipe is None else max(0, self._pipe.under_way - WINDOW_BYTES)

    # --- the end

    def is_closing(self) -> bool:
        """Return whether it is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """End the connection once everything written is on the way."""
        if self._closing:
            return
        if self._pipe is not None:
            self._pipe.send(END)
        self._finish(None)

    def abort(self) -> None:
        """End the connection at once; what was written may be lost."""
        self._force_close(None)

    def drop(self) -> None:
        """Be closed without a word to anybody: the network is no more."""
        self._closing = self._lost = True
        self._reading = False
        self._inbox.clear()
        self._sock.close()

    def _force_close(self, error: BaseException | None) -> None:
        if self._lost:
            return
        if self._pipe is not None:
            self._pipe.send(RESET)
        if not self._closing:
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        self._closing = True
        self._reading = False
        self._loop.call_soon(self._lose, error, context=self.context)

    def _lose(self, error: BaseException | None) -> None:
        try:
            if self._protocol is not None:
                self._protocol.connection_lost(error if isinstance(error, Exception) else None)
        finally:
            self._lost = True
            self._inbox.clear()
            self._sock.close()
            self._protocol = None
            self._ended(self)

    def _fail(self, error: BaseException, message: str) -> None:
        if not isinstance(error, OSError):
            self._loop.call_exception_handler(
                {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
            )
        self._force_close(error)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return socket, sockname or peername; what TLS knows is told by the transport above this one."""
        return super().get_extra_info(name, default)

    def __repr__(self) -> str:
        return f"<ClientTransport {self._sock!r}>"
