"""Reads a HAR file: recorded requests and their answers, and every mistake at its place."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson
from xxhash import xxh3_64_intdigest

from pagerproof.services.documents import Document

_HAS_DIGIT: Final = re.compile(r"[0-9]")
_DROPPED: Final = frozenset(
    {"content-length", "content-encoding", "transfer-encoding", "connection", "date", "keep-alive", "set-cookie"}
)
# A version in a path, such as v1, is part of its name.
_VERSION: Final = re.compile(r"v[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One recorded exchange. `query` is sorted; `body_print` is `body_print` of the request's body."""

    method: str
    path: str
    template: str
    query: tuple[tuple[str, str], ...]
    body_print: int
    status: int
    headers: Mapping[str, str]
    body: bytes


def read_har(path: Path) -> tuple[Recorded, ...]:
    """Return what was recorded, in the order of the file. Raises InvalidFile with every mistake at its place."""
    document = Document(path)
    log = document.value.get("log") if isinstance(document.value, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        document.mistake(("log", "entries"), "this is no HAR file: it should have log.entries, a list")
        document.finish()
    found = []
    for number, entry in enumerate(entries or ()):
        recorded = _recorded(document, ("log", "entries", number), entry)
        if recorded is not None:
            found.append(recorded)
    if not found and not document.problems:
        document.mistake(("log", "entries"), "nothing was recorded: log.entries is empty")
    document.finish()
    return tuple(found)


def template_of(path: str) -> str:
    """Return a path with its ids as parameters: a segment with a digit is one, unless it is a version such as v1.

    `/invoices/I-17/lines/3` is `/invoices/{id1}/lines/{id2}`.
    """
    parts = []
    count = 0
    for part in path.split("/"):
        if _HAS_DIGIT.search(part) and not _VERSION.fullmatch(part):
            count += 1
            parts.append(f"{{id{count}}}")
        else:
            parts.append(part)
    return "/".join(parts)


def body_print(body: bytes | str) -> int:
    """Return a hash of a body: the same for JSON texts that mean the same."""
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    with suppress(orjson.JSONDecodeError):
        raw = orjson.dumps(orjson.loads(raw), option=orjson.OPT_SORT_KEYS)
    return xxh3_64_intdigest(raw)


def _recorded(document: Document, place: tuple[str | int, ...], entry: Any) -> Recorded | None:
    request = entry.get("request") if isinstance(entry, dict) else None
    response = entry.get("response") if isinstance(entry, dict) else None
    if not isinstance(request, dict) or not isinstance(response, dict):
        document.mistake(place, "an entry needs a 'request' and a 'response'")
        return None
    method, url, status = request.get("method"), request.get("url"), response.get("status")
    if not isinstance(method, str) or not isinstance(url, str):
        document.mistake((*place, "request"), "the request needs a 'method' and a 'url'")
        return None
    if type(status) is not int or not 100 <= status <= 599:
        document.mistake((*place, "response", "status"), f"status: {status!r} is no HTTP status")
        return None
    try:
        split = urlsplit(url)
    except ValueError as error:
        document.mistake((*place, "request", "url"), f"url: {error}")
        return None
    posted = request.get("postData")
    text = posted.get("text", "") if isinstance(posted, dict) else ""
    if not isinstance(text, str):
        document.mistake((*place, "request", "postData", "text"), "text: must be text")
        return None
    return Recorded(
        method=method.upper(),
        path=split.path or "/",
        template=template_of(split.path or "/"),
        query=tuple(sorted(parse_qsl(split.query, keep_blank_values=True))),
        body_print=body_print(text),
        status=status,
        headers=_headers(response),
        body=_content(document, (*place, "response", "content"), response.get("content")),
    )


def _headers(response: Mapping[str, Any]) -> dict[str, str]:
    """Return the recorded headers, but for those that belong to the connection that was recorded."""
    headers: dict[str, str] = {}
    content = response.get("content")
    if isinstance(content, dict) and isinstance(content.get("mimeType"), str):
        headers["content-type"] = content["mimeType"]
    listed = response.get("headers")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and isinstance(each.get("name"), str) and isinstance(each.get("value"), str):
            name = each["name"].lower()
            if name not in _DROPPED and not name.startswith(":"):
                headers[name] = each["value"]
    return headers


def _content(document: Document, place: tuple[str | int, ...], content: Any) -> bytes:
    text = content.get("text", "") if isinstance(content, dict) else ""
    if not isinstance(text, str):
        document.mistake((*place, "text"), "text: must be text")
        return b""
    if isinstance(content, dict) and content.get("encoding") == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            document.mistake((*place, "text"), f"text: is no base64: {error}")
            return b""
    return text.encode("utf-8", "surrogatepass")
