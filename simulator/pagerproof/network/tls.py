"""TLS ended in memory, under a certificate authority that lives as long as one run."""

from __future__ import annotations

import importlib
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from weakref import WeakSet

import trustme

from pagerproof.network.hosts import is_address

_RECORD_BYTES: Final = 256 * 1024


class Authority:
    """A certificate authority with a server context for every name that was asked for."""

    def __init__(self) -> None:
        with _genuine_entropy():
            self._authority = trustme.CA(organization_name="Pagerproof", organization_unit_name="this run only")
        self.pem = self._authority.cert_pem.bytes().decode("ascii")
        self._contexts: dict[str, ssl.SSLContext] = {}

    def end(self, host: str) -> TlsEnd:
        """Return the server's side of one TLS connection that was made to `host`."""
        return TlsEnd(self._context(host))

    def _context(self, host: str) -> ssl.SSLContext:
        known = self._contexts.get(host)
        if known is not None:
            return known
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with _genuine_entropy():
            self._authority.issue_cert(host).configure_cert(context)
        context.set_alpn_protocols(["http/1.1"])
        context.num_tickets = 0  # nobody resumes a session here, and tickets are bytes on the wire
        context.sni_callback = self._by_name
        self._contexts[host] = context
        return context

    def _by_name(self, end: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        if name and not is_address(name):
            named = self._context(name.lower())
            if named is not context:
                end.context = named


class TlsEnd:
    """The server's side of one TLS connection: bytes in and out, no socket.

    `said_good_bye` is whether the client has closed it.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._open = False
        self.said_good_bye = False

    def received(self, data: bytes) -> bytes:
        """Take ciphertext and return the plaintext in it. Raises ssl.SSLError."""
        self._incoming.write(data)
        parts: list[bytes] = []
        try:
            if not self._open:
                self._object.do_handshake()
                self._open = True
            while part := self._object.read(_RECORD_BYTES):
                parts.append(part)
            self.said_good_bye = True
        except ssl.SSLWantReadError:
            pass
        return b"".join(parts)

    def encrypt(self, data: bytes) -> bytes:
        """Return ciphertext for this plaintext."""
        self._object.write(data)
        return self._outgoing.read()

    def close(self) -> bytes:
        """Return the good-bye, or nothing where no connection came about."""
        if self._open:
            with suppress(ssl.SSLError):  # it waits for the other side's good-bye, and we do not
                self._object.unwrap()
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """Return what TLS itself has to say: its part of the handshake, an alert."""
        return self._outgoing.read()


class Trust:
    """Makes every client context of the process trust an authority at the moment it begins a connection.

    The two methods through which every TLS connection begins are replaced on their class, whoever made the context:
    certifi, truststore, httpx or the agent itself. `undo` puts them back; a context that was used keeps one more
    certificate, whose key is gone by then.
    """

    _METHODS: Final = ("wrap_bio", "wrap_socket")

    def __init__(self, pem: str) -> None:
        self._pem = pem
        self._told: WeakSet[ssl.SSLContext] = WeakSet()
        self._real = {name: vars(ssl.SSLContext)[name] for name in self._METHODS}
        for name, real in self._real.items():
            setattr(ssl.SSLContext, name, self._trusting(real))

    def undo(self) -> None:
        """Put the methods back."""
        for name, real in self._real.items():
            setattr(ssl.SSLContext, name, real)

    def _trusting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrap(context: ssl.SSLContext, *args: Any, **options: Any) -> Any:
            if context not in self._told:
                self._told.add(context)
                context.load_verify_locations(cadata=self._pem)
            return real(context, *args, **options)

        wrap.__name__ = real.__name__
        wrap.__doc__ = real.__doc__
        return wrap


@contextmanager
def _genuine_entropy() -> Iterator[None]:
    """Give key generation the system's entropy: a certificate must not take bytes from a request's stream."""
    governed = os.urandom
    os.urandom = importlib.import_module(os.name).urandom
    try:
        yield
    finally:
        os.urandom = governed
