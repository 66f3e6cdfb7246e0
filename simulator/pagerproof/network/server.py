"""The server's end of a connection: HTTP/1.1 on h11, one request at a time, each handed to its host's handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import h11

from pagerproof.kernel import SimulationLoop, Timer
from pagerproof.model import Answer, WireRequest
from pagerproof.network.hosts import Handler, Hosts, normal
from pagerproof.network.pipe import END, RESET, Item, Pipe
from pagerproof.network.sending import Reset, deliver, headers_of, reason_of
from pagerproof.tools import ConnectionLost

HEADER_BYTES_MAX: Final = 64 * 1024
_TLS_HANDSHAKE: Final = 0x16

_Response = h11.Response


class Tls(Protocol):
    """TLS ended in memory: ciphertext in, plaintext out."""

    said_good_bye: bool

    def received(self, data: bytes) -> bytes:
        """Take ciphertext and return the plaintext in it. Raises ssl.SSLError."""
        ...

    def encrypt(self, data: bytes) -> bytes:
        """Return ciphertext for this plaintext."""
        ...

    def close(self) -> bytes:
        """Return the good-bye."""
        ...

    def outgoing(self) -> bytes:
        """Return what TLS itself has to say: its part of the handshake."""
        ...


class Site:
    """What all connections of a network share on the server's side.

    `body_bytes_max` and `keep_alive_s` are the server's limits: a larger body is answered with 413, a connection that
    idles for longer is closed.
    """

    __slots__ = ("body_bytes_max", "context", "hosts", "keep_alive_s", "loop", "tls")

    def __init__(
        self,
        loop: SimulationLoop,
        hosts: Hosts[Handler],
        *,
        context: Context,
        tls: Callable[[str], Tls],
        body_bytes_max: int,
        keep_alive_s: float | None,
    ) -> None:
        self.loop = loop
        self.hosts = hosts
        self.context = context
        self.tls = tls
        self.body_bytes_max = body_bytes_max
        self.keep_alive_s = keep_alive_s


class ServerEnd:
    """One connection as its server sees it."""

    def __init__(self, site: Site, pipe: Pipe, host: str) -> None:
        self._site = site
        self._pipe = pipe
        self._host = host
        self._tls: Tls | None = None
        self._sniffed = False
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
        self._request: h11.Request | None = None
        self._owner: object = None
        self._begun = False
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._serving: asyncio.Task[None] | None = None
        self._idle: Timer | None = None
        self._closed = False
        self._refused = False
        self._wait_idle()

    # --- what arrives

    def arrived(self, item: Item, owner: object) -> None:
        """Take what the line delivers."""
        if self._closed:
            return
        if item is END or item is RESET:
            self._client_has_gone()
            return
        assert isinstance(item, bytes)
        if not self._sniffed:
            self._sniffed = True
            if item[0] == _TLS_HANDSHAKE:
                self._tls = self._site.tls(self._host)
        data = item if self._tls is None else self._decrypted(item)
        if data and not self._refused:
            self._received(data, owner)
        if self._tls is not None and self._tls.said_good_bye:
            self._client_has_gone()

    def _decrypted(self, item: bytes) -> bytes:
        assert self._tls is not None
        try:
            return self._tls.received(item)
        except OSError:  # ssl.SSLError: the client refused our certificate, or does not speak TLS after all
            self.close()
            return b""
        finally:
            answer = self._tls.outgoing()
            if answer:
                self._pipe.send(answer)

    def _received(self, data: bytes, owner: object) -> None:
        if self._serving is None and not self._begun:
            self._begun = True
            self._owner = owner
            self._stop_idle()
        try:
            self._http.receive_data(data)
            if self._serving is None:
                self._parse()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, str(error))

    def _parse(self) -> None:
        http = self._http
        while True:
            event = http.next_event()
            if http.they_are_waiting_for_100_continue:
                self.write(http.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")))
            if isinstance(event, h11.Request):
                self._request = event
                if event.method == b"CONNECT":
                    self._refuse(501, "this server is no proxy")
                    return
                if _announced_bytes(event) > self._site.body_bytes_max:
                    self._refuse(413, f"the body may have {self._site.body_bytes_max} bytes")
                    return
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
                self._body_bytes += len(event.data)
                if self._body_bytes > self._site.body_bytes_max:
                    self._refuse(413, f"the body may have {self._site.body_bytes_max} bytes")
                    return
            elif isinstance(event, h11.EndOfMessage):
                self._serve()
                return
            else:
                return  # NEED_DATA, PAUSED or ConnectionClosed

    # --- one request

    def _serve(self) -> None:
        assert self._request is not None
        wire = wire_request(self._request, self._host, b"".join(self._body))
        self._body.clear()
        self._body_bytes = 0
        handler = self._site.hosts.handler(wire.host) or self._site.hosts.handler(self._host)
        assert handler is not None
        loop = self._site.loop
        self._serving = loop.create_task(
            self._answer(handler, wire, self._owner),
            name=f"{wire.method} {wire.host}",
            context=self._site.context.copy(),
        )

    async def _answer(self, handler: Handler, wire: WireRequest, owner: object) -> None:
        try:
            answer = await handler(wire, owner)
            await deliver(self, self._http, answer, wire.method)
        except (ConnectionLost, Reset):
            self.reset()
        except asyncio.CancelledError:
            self.close()
            raise
        except Exception as error:
            self.reset()
            self._site.loop.abort(error)
        except BaseException:
            self.reset()  # the request was ended from outside, and its connection with it
            raise
        else:
            self._next_request()
        finally:
            self._serving = None

    def _next_request(self) -> None:
        http = self._http
        if self._closed:
            return
        pipelined = bool(http.trailing_data[0])
        if pipelined or http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            self.close()
            return
        http.start_next_cycle()
        self._request = None
        self._begun = False
        self._wait_idle()

    def _refuse(self, status: int, why: str) -> None:
        """Answer what is no proper request, and close."""
        self._refused = True
        http = self._http
        if http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = Answer(status, {"content-type": "text/plain; charset=utf-8"}, why.encode())
            headers = [*headers_of(answer), (b"content-length", b"%d" % len(answer.body)), (b"connection", b"close")]
            self.write(http.send(_Response(status_code=status, headers=headers, reason=reason_of(status))))
            self.write(http.send(h11.Data(data=answer.body)))
            self.write(http.send(h11.EndOfMessage()))
        self.close()

    # --- the connection

    def write(self, data: bytes | None) -> None:
        """Send plaintext to the client."""
        if data and not self._closed:
            self._pipe.send(data if self._tls is None else self._tls.encrypt(data))

    def close(self) -> None:
        """End the connection after what was written."""
        if not self._closed:
            if self._tls is not None:
                good_bye = self._tls.close()
                if good_bye:
                    self._pipe.send(good_bye)
            self._pipe.send(END)
            self._shut()

    def reset(self) -> None:
        """Break the connection after what was written."""
        if not self._closed:
            self._pipe.send(RESET)
            self._shut()

    def drop(self) -> None:
        """Be gone without a word: the network is no more."""
        self._shut()
        if self._serving is not None:
            self._serving.cancel()

    def _shut(self) -> None:
        self._closed = True
        self._stop_idle()

    def _client_has_gone(self) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            self._site.loop.call_soon(serving.cancel)  # a request that has arrived whole has been begun at least
        self.close()

    def _wait_idle(self) -> None:
        if self._site.keep_alive_s is not None:
            self._idle = self._site.loop.schedule(self._site.keep_alive_s, self.close)

    def _stop_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def wire_request(request: h11.Request, host: str, body: bytes) -> WireRequest:
    """Return a parsed request as gateways get it; `host` is the one that was connected to."""
    pairs = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers)
    headers = dict(pairs)
    target = request.target.decode("latin-1")
    said = headers.get("host", "")
    if not target.startswith("/") and "://" in target:  # absolute form, as proxies get it
        parts = urlsplit(target)
        said = parts.netloc
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    raw_path, _, query = target.partition("?")
    name = said.rsplit("@", 1)[-1]
    if not name.endswith("]"):
        name = name.partition(":")[0] if name.count(":") == 1 else name
    return WireRequest(
        method=request.method.decode("ascii"),
        host=normal(name) or host,
        path=unquote(raw_path),
        raw_path=raw_path,
        query=query,
        headers=headers,
        header_list=pairs,
        body=body,
    )


def _announced_bytes(request: h11.Request) -> int:
    return next((int(value) for name, value in request.headers if name == b"content-length"), 0)
