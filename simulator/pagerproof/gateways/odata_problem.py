"""What the OData framework refuses by itself, before any operation: a status, a code and a text."""

from __future__ import annotations

from pagerproof import sap_wire


class ODataProblem(Exception):
    """A request that the framework answers with an error. Without `code` it is a framework code made from the text."""

    def __init__(self, status: int, text: str, *, code: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code or sap_wire.framework_code(text.partition("'")[0])
        self.headers = headers or {}


def bad(text: str) -> ODataProblem:
    """Return the 400 of a malformed request."""
    return ODataProblem(400, text)


def no_segment(name: str) -> ODataProblem:
    """Return the 404 of a path segment that the service does not have."""
    return ODataProblem(404, f"Resource not found for the segment '{name[:80]}'.")


def unsupported(text: str) -> ODataProblem:
    """Return the 501 of something the protocol has and this service does not."""
    return ODataProblem(501, text)
