"""Cuts and malformations of a body's bytes: pure functions from the JSON a service sent to what arrives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from pagerproof.model import Answer

_HTML: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Service</title></head>"
    b"<body><h1>We are updating our systems</h1><p>Please try again in a few minutes.</p></body></html>\n"
)
_KEY = re.compile(rb'"([A-Za-z_][A-Za-z0-9_]*)"\s*:')
# A number, or a decimal written as text; digits alone in quotes are an id.
_NUMBER_VALUE = re.compile(rb'(:\s*)(-?\d+(?:\.\d+)?|"-?\d+\.\d+")(?=\s*[,}\]])')
_TEXT_VALUE = re.compile(rb'(:\s*")([^"\\]{2,})"')
_TOKEN_ENDS: Final = frozenset(b",:{}[]")


def cut(body: bytes, at: str, size: int) -> bytes | None:
    """Return the beginning of `body`: about `size` bytes, ended at a byte, a token or inside a UTF-8 character.

    None where there is nothing to cut: an empty body, or no character of more than one byte for `mid_utf8`.
    """
    size = min(size, len(body) - 1)
    if size < 0:
        return None
    if at == "token":
        while size > 0 and body[size - 1] not in _TOKEN_ENDS:
            size -= 1
    elif at == "mid_utf8":
        inside = [position for position in range(1, len(body)) if body[position] & 0xC0 == 0x80]
        if not inside:
            return None
        size = min(inside, key=lambda position: (abs(position - size), position))
    return body[:size]


def _html(_body: bytes) -> bytes | None:
    return _HTML


def _empty(body: bytes) -> bytes | None:
    return b"" if body else None


def _trailing_comma(body: bytes) -> bytes | None:
    text = body.rstrip()
    if text[-1:] not in (b"}", b"]") or text[:-1].rstrip()[-1:] in (b"{", b"["):
        return None
    return text[:-1] + b"," + text[-1:]


def _single_quotes(body: bytes) -> bytes | None:
    return body.replace(b'"', b"'") if b'"' in body else None


def _unquoted_keys(body: bytes) -> bytes | None:
    changed, count = _KEY.subn(rb"\1:", body)
    return changed if count else None


def _nan(body: bytes) -> bytes | None:
    changed, count = _NUMBER_VALUE.subn(rb"\1NaN", body, count=1)
    return changed if count else None


def _comment(body: bytes) -> bytes | None:
    return body.replace(b"{", b"{ // as of the last synchronisation\n", 1) if b"{" in body else None


def _fenced(body: bytes) -> bytes | None:
    return b"```json\n" + body + b"\n```" if body else None


def _concatenated(body: bytes) -> bytes | None:
    return body + body if body else None


def _unescaped(body: bytes) -> bytes | None:
    def broken(match: re.Match[bytes]) -> bytes:
        text = match[2]
        # Behind the first half, but never inside a character.
        middle = len(text) // 2
        while middle < len(text) and text[middle] & 0xC0 == 0x80:
            middle += 1
        return match[1] + text[:middle] + b"\n" + text[middle:] + b'"'

    changed, count = _TEXT_VALUE.subn(broken, body, count=1)
    return changed if count else None


def _bom(body: bytes) -> bytes | None:
    return b"\xef\xbb\xbf" + body if body else None


def _double_encoded(body: bytes) -> bytes | None:
    return json.dumps(body.decode("utf-8", "replace")).encode() if body else None


MALFORMED: Final[dict[str, Callable[[bytes], bytes | None]]] = {
    "html": _html,
    "empty": _empty,
    "trailing_comma": _trailing_comma,
    "single_quotes": _single_quotes,
    "unquoted_keys": _unquoted_keys,
    "nan": _nan,
    "comment": _comment,
    "fenced": _fenced,
    "concatenated": _concatenated,
    "unescaped": _unescaped,
    "bom": _bom,
    "double_encoded": _double_encoded,
}
"""The malformations by name; each returns None where the body offers nothing to malform.

Not all of them stop a decoder: Python's json.loads accepts `nan`, `bom` (as bytes, not as text) and
`double_encoded` (it returns a text, not an object). That is their point: they pass the parser and go on.
"""


def malformed(answer: Answer, how: str) -> Answer | None:
    """Return the answer under the same status with its body malformed, or None where that is not possible."""
    body = MALFORMED[how](answer.body)
    if body is None:
        return None
    headers = {**answer.headers, "content-type": "text/html; charset=utf-8"} if how == "html" else answer.headers
    return answer.with_body(body, headers)
