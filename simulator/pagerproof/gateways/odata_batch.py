"""`$batch` of OData V2: multipart bodies to requests and change sets, and answers back to a multipart body."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pagerproof.gateways.odata_problem import bad
from pagerproof.model import Answer

PARTS_MAX: Final = 1000
_BOUNDARY: Final = re.compile(r'boundary\s*=\s*(?:"([^"\r\n]{1,200})"|([^\s;,"]{1,200}))', re.IGNORECASE)
_REQUEST_LINE: Final = re.compile(r"([A-Z]{3,10}) (\S{1,8000})(?: HTTP/\d\.\d)?")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(.*?)\s*")
_REASONS: Final = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 400: "Bad Request", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 412: "Precondition Failed",
    415: "Unsupported Media Type", 428: "Precondition Required", 429: "Too Many Requests",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRequest:
    """One HTTP request inside a batch; `target` is relative to the service's root, or absolute. Names lower-case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSet:
    """Requests that are carried out all or not at all."""

    requests: tuple[PartRequest, ...]


def parse(body: bytes, content_type: str) -> list[PartRequest | ChangeSet]:
    """Return the parts of a batch. Raises ODataProblem (400) where the body is malformed."""
    parts: list[PartRequest | ChangeSet] = []
    for headers, content in _parts(body, content_type):
        kind = headers.get("content-type", "")
        if kind.lower().startswith("multipart/mixed"):
            parts.append(_change_set(content, kind))
        else:
            parts.append(_request(headers, content))
    if not parts:
        raise bad("The batch has no parts")
    return parts


def _change_set(content: bytes, content_type: str) -> ChangeSet:
    requests = []
    for headers, inner in _parts(content, content_type):
        request = _request(headers, inner)
        if request.method in ("GET", "HEAD"):
            raise bad("A change set must not contain a retrieve request")
        requests.append(request)
    return ChangeSet(requests=tuple(requests))


def _parts(body: bytes, content_type: str) -> list[tuple[dict[str, str], bytes]]:
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise bad("The content type of a batch needs a boundary")
    delimiter = b"--" + (match[1] or match[2]).encode("latin-1", "replace")
    pieces = (b"\n" + body.replace(b"\r\n", b"\n")).split(b"\n" + delimiter)
    if len(pieces) < 2:
        raise bad("The boundary of the content type does not occur in the batch")
    if len(pieces) > PARTS_MAX + 2:
        raise bad(f"The batch has more than {PARTS_MAX} parts")
    found = []
    closed = False
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            closed = True
            break
        rest, newline, content = piece.partition(b"\n")
        if rest.strip() or not newline:
            raise bad("A delimiter of the batch is malformed")
        found.append(_headers_and_body(content))
    if not closed:
        raise bad("The batch does not end with its closing delimiter")
    return found


def _headers_and_body(content: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = (b"\n" + content).partition(b"\n\n")
    return _header_lines(head.strip(b"\n")), body


def _header_lines(head: bytes) -> dict[str, str]:
    headers = {}
    for line in head.decode("latin-1").split("\n"):
        if not line.strip():
            continue
        match = _HEADER.fullmatch(line)
        if match is None:
            raise bad(f"Malformed header in the batch: '{line[:60]}'")
        headers[match[1].lower()] = match[2]
    return headers


def _request(headers: dict[str, str], content: bytes) -> PartRequest:
    if not headers.get("content-type", "").lower().startswith("application/http"):
        raise bad("A part of the batch must be application/http or a change set")
    line, _, rest = content.lstrip(b"\n").partition(b"\n")
    match = _REQUEST_LINE.fullmatch(line.decode("latin-1").strip())
    if match is None:
        raise bad(f"Malformed request line in the batch: '{line[:60].decode('latin-1')}'")
    own, body = _headers_and_body(rest)
    return PartRequest(
        method=match[1],
        target=match[2],
        headers=own,
        body=body.strip(b"\n"),
        content_id=own.get("content-id", headers.get("content-id", "")),
    )


def response(parts: list[Answer | list[Answer]], boundary: str) -> Answer:
    """Return the 202 that carries the answers; a list is a change set that succeeded."""
    pieces = []
    for number, part in enumerate(parts):
        if isinstance(part, list):
            inner = f"{boundary}_{number}"
            content = b"".join(b"--" + inner.encode() + b"\r\n" + _application_http(each) for each in part)
            content += f"--{inner}--\r\n".encode()
            head = f"Content-Type: multipart/mixed; boundary={inner}\r\nContent-Length: {len(content)}\r\n\r\n"
            pieces.append(head.encode() + content + b"\r\n")
        else:
            pieces.append(_application_http(part))
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + piece for piece in pieces) + f"--{boundary}--\r\n".encode()
    headers = {"content-type": f"multipart/mixed; boundary={boundary}", "dataserviceversion": "2.0"}
    return Answer(202, headers, body, rendered=True)


def _application_http(answer: Answer) -> bytes:
    names = {**answer.headers, "content-length": str(answer.wire_bytes)}
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in names.items()]
    inner = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + answer.body + b"\r\n"
    return b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n" + inner
