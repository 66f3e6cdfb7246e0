"""OData V2 literals and values: `datetime'...'`, `12.5M`, `guid'...'`, and the comparable value behind each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from pagerproof.gateways.odata_problem import bad

_NUMBER: Final = re.compile(r"(-?\d{1,40})(\.\d{1,40})?([eE][+-]?\d{1,3})?([mMdDfFlL]?)")
_PREFIXED: Final = re.compile(r"(datetimeoffset|datetime|time|guid|binary|X)'([^']*)'", re.IGNORECASE)
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_WIRE_DATE: Final = re.compile(r"/Date\((-?\d{1,15})([+-]\d{1,4})?\)/")
_DURATION: Final = re.compile(r"PT(?:(\d{1,2})H)?(?:(\d{1,2})M)?(?:(\d{1,2})(?:\.\d{1,7})?S)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A literal as it was written (`text`) and the Python value it compares by: str, bool, Decimal, datetime, None."""

    text: str
    value: Any


def literal(text: str) -> Literal:
    """Return the literal that `text` writes. Raises ODataProblem (400) where it is none."""
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return Literal(text=text, value=text[1:-1].replace("''", "'"))
    if text in ("true", "false"):
        return Literal(text=text, value=text == "true")
    if text == "null":
        return Literal(text=text, value=None)
    number = _NUMBER.fullmatch(text)
    if number is not None:
        return Literal(text=text, value=Decimal(text.rstrip("mMdDfFlL")))
    prefixed = _PREFIXED.fullmatch(text)
    if prefixed is not None:
        return Literal(text=text, value=_prefixed(prefixed[1].lower(), prefixed[2]))
    raise bad(f"Invalid literal '{text[:40]}'")


def _prefixed(kind: str, content: str) -> Any:
    if kind in ("datetime", "datetimeoffset"):
        return moment(content)
    if kind == "time" and _DURATION.fullmatch(content) is not None:
        return content
    if kind == "guid" and _GUID.fullmatch(content) is not None:
        return content.lower()
    if kind in ("binary", "x") and re.fullmatch(r"(?:[0-9a-fA-F]{2})*", content) is not None:
        return content.upper()
    raise bad(f"Invalid literal of type {kind}: '{content[:40]}'")


def moment(text: str) -> datetime:
    """Return the moment that an ISO text names, in UTC where it says none. Raises ODataProblem (400)."""
    shortened = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        if len(text) < 10 or "T" not in text:
            raise ValueError(text)
        found = datetime.fromisoformat(shortened)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad(f"Invalid date and time '{text[:40]}'") from None


def milliseconds(wire: str) -> int | None:
    """Return the milliseconds since 1970 that `/Date(ms)/` holds, or None where it is no such text."""
    match = _WIRE_DATE.fullmatch(wire)
    return None if match is None else int(match[1])


def comparable(edm_type: str, value: Any) -> Any:
    """Return what a property's JSON value compares by. What does not read as its type stays as it is."""
    if value is None or not isinstance(value, str | int | float) or isinstance(value, bool):
        return value
    if edm_type.startswith("Edm.DateTime") and isinstance(value, str):
        found = milliseconds(value)
        if found is None or abs(found) > 200_000_000_000_000:
            return value
        return datetime.fromtimestamp(found / 1000, UTC)
    if edm_type in ("Edm.Decimal", "Edm.Int16", "Edm.Int32", "Edm.Int64", "Edm.Double", "Edm.Byte"):
        try:
            return Decimal(str(value))
        except ArithmeticError:
            return value
    return value
