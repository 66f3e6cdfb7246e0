"""Names of the simulated network: which hosts exist, what serves them, and the addresses they seem to have."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import translate
from functools import lru_cache
from typing import Final, Generic, TypeVar

from xxhash import xxh3_64_intdigest

from pagerproof.errors import UsageError
from pagerproof.model import Answer, WireRequest

Handler = Callable[[WireRequest, object], Awaitable[Answer]]
"""Answers a request that belongs to an owner (None: to nobody). `ConnectionLost` breaks the connection instead."""

Served = TypeVar("Served")

LOOPBACK: Final = "127.0.0.1"
_LOOPBACK_NAMES: Final = ("localhost", "localhost.localdomain", "ip6-localhost")
_BENCHMARK_NETWORK: Final = int(ipaddress.IPv4Address("198.18.0.0"))  # RFC 2544: never routed on the Internet
_ADDRESSES: Final = 2**17 - 2
_NAME = re.compile(r"^[a-z0-9*_]([a-z0-9*_-]*[a-z0-9*_])?(\.[a-z0-9*_]([a-z0-9*_-]*[a-z0-9*_])?)*$")


class Hosts(Generic[Served]):
    """Host names with what serves them, such as handlers; a name may hold `*` for any run of characters.

    An exact name goes before a pattern, a longer pattern before a shorter one. Raises UsageError for what is no name.
    """

    def __init__(self, handlers: Mapping[str, Served]) -> None:
        self._exact: dict[str, Served] = {}
        patterns: list[tuple[str, Served]] = []
        for name, handler in handlers.items():
            plain = normal(name)
            if not is_address(plain) and not _NAME.match(plain):
                raise UsageError(f"{name!r} is no host name: write it without scheme, port and path")
            if "*" in plain:
                patterns.append((plain, handler))
            else:
                self._exact[plain] = handler
        patterns.sort(key=lambda each: (-len(each[0]), each[0]))
        self._patterns = [(re.compile(translate(pattern)), handler) for pattern, handler in patterns]
        self._address_of: dict[str, str] = {}
        self._name_of: dict[str, str] = {}
        for name in sorted(self._exact):
            self._give_address(name)

    def handler(self, host: str) -> Served | None:
        """Return what serves this host (a name in `normal` form, or an address that was given out)."""
        found = self._exact.get(host)
        if found is not None:
            return found
        return next((handler for pattern, handler in self._patterns if pattern.match(host)), None)

    def address(self, host: str) -> str | None:
        """Return the address of a name: its own for an address, the same in every run for a mapped name, or None."""
        if is_address(host):
            return host
        known = self._address_of.get(host)
        if known is not None:
            return known
        if self.handler(host) is not None:
            return self._give_address(host)
        return LOOPBACK if host in _LOOPBACK_NAMES or host.endswith(".localhost") else None

    def name(self, address: str) -> str:
        """Return the name that got this address, or the address itself."""
        return self._name_of.get(address, address)

    def _give_address(self, name: str) -> str:
        if is_address(name):
            return name
        number = xxh3_64_intdigest(name.encode()) % _ADDRESSES
        while True:
            address = str(ipaddress.IPv4Address(_BENCHMARK_NETWORK + 1 + number))
            if address not in self._name_of:
                break
            number = (number + 1) % _ADDRESSES
        self._address_of[name] = address
        self._name_of[address] = name
        return address


@lru_cache(maxsize=4096)
def normal(host: str | bytes) -> str:
    """Return a host name as it is compared: lower case, ASCII, without a final dot or brackets."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    text = text.strip("[]").rstrip(".").lower()
    if text.isascii():
        return text
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        return text


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Return whether `host` is a literal IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Return whether an address means this machine."""
    return is_address(address) and (ipaddress.ip_address(address).is_loopback or address in ("0.0.0.0", "::"))
