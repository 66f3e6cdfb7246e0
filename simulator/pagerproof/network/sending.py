"""How an answer goes onto the wire: whole or spread over time, honest or as badly as its delivery says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, Protocol

import h11

from pagerproof.model import Answer, Delivery

PIECES_MAX: Final = 64
"""A paced body goes out in at most so many pieces; more would cost time and show a client nothing new."""
SLOW_TICK_S: Final = 0.5
"""A slow body goes out every so often."""

OWN_PACKET_S: Final = 0.01
"""So much later, bytes arrive at a client by themselves."""

_EVENT_BORDER = re.compile(rb"\r?\n\r?\n")
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_HOP_BY_HOP: Final = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
_BODILESS: Final = frozenset({204, 304})


class Reset(Exception):
    """The connection is to be reset now."""


class Line(Protocol):
    """Where bytes are written to."""

    def write(self, data: bytes | None) -> None:
        """Send bytes."""
        ...

    def close(self) -> None:
        """End the connection after them."""
        ...


async def deliver(line: Line, http: h11.Connection, answer: Answer, method: str) -> None:
    """Write `answer` to the line. Raises Reset where the connection is to break.

    A body shorter than announced is followed by the connection's end.
    """
    bodiless = method == "HEAD" or answer.status in _BODILESS
    chunked = not bodiless and _wants_chunks(answer) and http.their_http_version == b"1.1"
    headers = headers_of(answer)
    if chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    elif answer.status not in _BODILESS:
        headers.append((b"content-length", b"%d" % answer.wire_bytes))
    head = http.send(h11.Response(status_code=answer.status, headers=headers, reason=reason_of(answer.status))) or b""
    delivery = answer.delivery
    if delivery is not None and delivery.how == "half_headers":
        line.write(head[: len(head) // 2])
        line.close()
        return
    line.write(head)
    if bodiless:
        line.write(http.send(h11.EndOfMessage()))
        return
    if delivery is not None and delivery.how in ("reset", "bad_chunk"):
        await _break_off(line, answer.body, delivery, chunked=chunked)
        return
    for piece, wait_s in _pieces(answer):
        if wait_s:
            await asyncio.sleep(wait_s)
        line.write(http.send(h11.Data(data=piece)))
    if answer.wire_bytes > len(answer.body):
        line.close()
        return
    line.write(http.send(h11.EndOfMessage()))


def reason_of(status: int) -> bytes:
    """Return the usual phrase for a status, or nothing for one of somebody's own."""
    return _REASONS.get(status, b"")


def headers_of(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers without those that say how its body is framed."""
    return [
        (name.encode("ascii"), value.encode("latin-1", "replace"))
        for name, value in answer.headers.items()
        if name not in _HOP_BY_HOP
    ]


def _wants_chunks(answer: Answer) -> bool:
    delivery = answer.delivery
    return (
        answer.pace_s > 0.0
        or "transfer-encoding" in answer.headers
        or answer.headers.get("content-type", "").startswith("text/event-stream")
        or (delivery is not None and delivery.how == "bad_chunk")
    )


async def _break_off(line: Line, body: bytes, delivery: Delivery, *, chunked: bool) -> None:
    """Write the part of the body that arrives, and what breaks it."""
    kept = body[: delivery.after_bytes]
    if delivery.how == "bad_chunk":
        if kept:
            line.write(b"%x\r\n%b\r\n" % (len(kept), kept))
            await asyncio.sleep(OWN_PACKET_S)
        line.write(b"no size\r\n")
        line.close()
        return
    if chunked:
        line.write(b"%x\r\n%b" % (max(len(body), 1), kept))
    else:
        line.write(kept)
    raise Reset


def _pieces(answer: Answer) -> Iterator[tuple[bytes, float]]:
    """Yield the body in pieces, each with the time to wait before it."""
    body = answer.body
    delivery = answer.delivery
    if delivery is not None and delivery.how == "slow" and delivery.bytes_per_s > 0.0:
        yield from _slow_pieces(body, delivery.bytes_per_s)
    elif answer.pace_s > 0.0 and body:
        pieces = _events(body)
        wait_s = answer.pace_s / len(pieces)
        for piece in pieces:
            yield piece, wait_s
    elif body:
        yield body, 0.0


def _slow_pieces(body: bytes, bytes_per_s: float) -> Iterator[tuple[bytes, float]]:
    size = max(1, int(bytes_per_s * SLOW_TICK_S))
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        yield piece, len(piece) / bytes_per_s


def _events(body: bytes) -> list[bytes]:
    """Split a stream at its blank lines, or, where it has none, into equal parts."""
    borders = [match.end() for match in _EVENT_BORDER.finditer(body)]
    if not borders:
        step = -(-len(body) // PIECES_MAX)
        borders = list(range(step, len(body), step))
    if not borders or borders[-1] != len(body):
        borders.append(len(body))
    together = -(-len(borders) // PIECES_MAX)
    ends = borders[together - 1 :: together]
    if ends[-1] != len(body):
        ends.append(len(body))
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]
