"""Tool results of anybody's tools, put into words that the simulated model reads: errors, fields, values in prose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from pagerproof.services.model_reading import TOLD_FIELDS
from pagerproof.services.tool_words import likeness_of_arguments, snake

_ERROR: Final = re.compile(
    r"^\s*(?:tool |function )?(?:error\b|an error occurred|exception\b|traceback|failed\b|failure\b)"
    r"|^\s*http[ /][\d. ]*[45]\d\d"
    r"|error (?:executing|running|calling|invoking|while)|tool (?:execution |call )?failed|function failed"
    r"|\b(?:client|server) error '|error code: [45]\d\d|fix (?:the|your) (?:errors?|mistakes?)|please fix your"
    r"|unknown tool name|is not a valid tool|no tool named|tool .{0,60}not found|invalid arguments"
    r"|timed out|timeouterror|connectionerror|\b\w+(?:Error|Exception)(?:\(|:)",
    re.IGNORECASE,
)
_ERROR_SHOWS_WITHIN: Final = 400  # characters: an error says so at once
_STATUS: Final = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_FAILED_STATES: Final = frozenset({"error", "failed", "failure", "fail"})
_WRAPPERS: Final = frozenset({"result", "output", "data", "response", "content", "value", "payload", "body", "d"})

FIELD_FACTS: Final[Mapping[str, str]] = {
    "total": "amount",
    "TotalNetAmount": "amount",
    "TransactionCurrency": "currency",
    "SalesOrder": "sales_order",
    "SoldToParty": "business_partner",
    "BusinessPartner": "business_partner",
    "BillingDocument": "billing_document",
    "Material": "material",
    "price": "item_price",
    "slots": "slot",
}
"""Facts of a request under the names that our services' answers have for them."""


class Wanted:
    """What a reader of a request's tool results looks for: the names of fields, and values known from elsewhere."""

    __slots__ = ("_shapes", "facts", "fields", "told", "values")

    def __init__(self, fields: frozenset[str], facts: Mapping[str, str], told: tuple[str, ...] = ()) -> None:
        self.fields = fields
        self.told = told
        self.values = frozenset(facts.values())
        self.facts = {name: value for name, value in facts.items() if len(value) >= 2}
        self._shapes: dict[str, re.Pattern[str]] = {}

    def fact_of(self, field: str) -> str | None:
        """The value that is known for a field's name, if any."""
        return self.facts.get(field) or self.facts.get(FIELD_FACTS.get(field, ""))

    def shape(self, value: str) -> re.Pattern[str]:
        """Return the pattern of what looks like this value: its letters, with other digits."""
        shape = self._shapes.get(value)
        if shape is None:
            parts = re.split(r"(\d+)", value)
            pattern = "".join(
                (rf"\d{{{len(part)}}}" if len(part) > 3 else r"\d+") if part.isdigit() else re.escape(part)
                for part in parts
            )
            shape = self._shapes[value] = re.compile(rf"(?<![\w.]){pattern}(?![\w])")
        return shape


def read_result(text: str, wanted: Wanted) -> str:
    """Return a tool's text as the model understands it: an ERROR, or JSON with the fields that it was looked at for.

    What is JSON already keeps all of it; fields are added where the text has them under other names or in prose.
    What cannot be understood comes back as it is.
    """
    stripped = text.strip().lstrip("\ufeff")
    if not stripped:
        return text
    data = _decoded(stripped)
    if data is None:
        return _read_words(stripped, text, wanted)
    data = _unwrapped(data)
    if isinstance(data, str):
        return read_result(data, wanted) if data != text else text
    failure = _failure_in(data)
    if failure:
        return _as_error(failure)
    added = _fields_by_other_names(data, stripped, wanted)
    if not added:
        return orjson.dumps(data).decode()
    if isinstance(data, dict):
        return orjson.dumps({**data, **added}).decode()
    return orjson.dumps({"results": data, **added}).decode()


def looks_like_an_error(text: str) -> bool:
    """Whether a tool's plain text is one of the ways in which tools and frameworks report errors."""
    return bool(_ERROR.search(text[:_ERROR_SHOWS_WITHIN]))


def _as_error(text: str) -> str:
    status = _STATUS.search(text)
    return f"ERROR HTTP {status[1]}: {text}" if status else f"ERROR {text}"


def _read_words(stripped: str, text: str, wanted: Wanted) -> str:
    if stripped[0] in "{[":  # cut or broken JSON: the reader knows how to make the best of it
        return text
    if looks_like_an_error(stripped):
        return _as_error(stripped)
    if stripped[0] == "<":
        return text
    found = _values_in(stripped, wanted)
    return orjson.dumps({**found, "text": stripped}).decode() if found else orjson.dumps({"text": stripped}).decode()


def _decoded(text: str) -> Any:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return data if isinstance(data, (dict, list, str)) else None


def _unwrapped(data: Any) -> Any:
    """Take the envelope off: {"result": ...}, [{"type": "text", "text": ...}]."""
    for _ in range(4):
        if isinstance(data, dict) and len(data) == 1:
            ((name, inner),) = data.items()
            if name in _WRAPPERS and isinstance(inner, (dict, list, str)):
                data = inner
                continue
        if isinstance(data, list) and data and all(isinstance(each, dict) and "text" in each for each in data):
            data = "\n".join(str(each["text"]) for each in data)
        if isinstance(data, str) and data.strip()[:1] in ("{", "["):
            inner = _decoded(data.strip())
            if inner is not None:
                data = inner
                continue
        break
    return data


def _failure_in(data: Any) -> str:
    """What a decoded result says went wrong; "" where nothing did."""
    if not isinstance(data, dict):
        return ""
    for name in ("error", "errors", "fault", "exception", "error_message"):
        if data.get(name):
            return orjson.dumps(data).decode()
    if data.get("isError") or data.get("is_error") or data.get("success") is False or data.get("ok") is False:
        return orjson.dumps(data).decode()
    if str(data.get("status", "")).lower() in _FAILED_STATES:
        return orjson.dumps(data).decode()
    status = data.get("status_code", data.get("statusCode"))
    if isinstance(status, int) and status >= 400:
        return orjson.dumps(data).decode()
    if set(data) == {"detail"}:
        return orjson.dumps(data).decode()
    return ""


def _fields_by_other_names(data: Any, text: str, wanted: Wanted) -> dict[str, str]:
    flat: dict[str, str] = {}
    _flatten(data, flat)
    added: dict[str, str] = {}
    for field in sorted(wanted.fields):
        if field in flat:
            continue
        meaning = FIELD_FACTS.get(field, field)
        best = max(flat, key=lambda name: likeness_of_arguments(meaning, name), default="")
        if meaning in flat:
            added[field] = flat[meaning]
        elif best and likeness_of_arguments(meaning, best) >= 0.7:
            added[field] = flat[best]
        else:
            value = _value_like(text, wanted.fact_of(field), wanted, exactly=True)
            if value is not None:
                added[field] = value
    return added


def _flatten(data: Any, flat: dict[str, str]) -> None:
    if isinstance(data, dict):
        for name, value in data.items():
            if isinstance(value, (dict, list)):
                _flatten(value, flat)
            elif value is not None:
                text = ("true" if value else "false") if isinstance(value, bool) else str(value)
                flat.setdefault(name, text)
                flat.setdefault(snake(name), text)
    elif isinstance(data, list):
        for value in data:
            _flatten(value, flat)


def _values_in(text: str, wanted: Wanted) -> dict[str, str | list[str]]:
    """The fields of a text in prose: what it says in so many words, else values that are known, or look like those."""
    found: dict[str, str | list[str]] = {}
    for match in _STATEMENT.finditer(text):
        field = _field_meant(match[1], wanted)
        if field:
            earlier = found.get(field, [])
            found[field] = [*([earlier] if isinstance(earlier, str) else earlier), match[2].strip()]
    for field in sorted(wanted.fields | (TOLD_FIELDS & wanted.facts.keys())):
        if field not in found:
            value = _value_like(text, wanted.fact_of(field), wanted, exactly=False)
            if value is not None:
                found[field] = value
    unsaid = [each for each in wanted.told if each in text and not any(each in value for value in found.values())]
    if unsaid:
        found["value"] = unsaid
    return found


_STATEMENT: Final = re.compile(
    r"\b([A-Za-z][A-Za-z_]*(?: [A-Za-z_]+){0,4}?)\s*(?:\bis now\b|\bis\b|\bwas\b|:|=)\s*"
    r"([^\s.,;][^,;\n]*?)(?=[.,;]?\s*(?:$|\n)|\. |, |; )"
)


def _field_meant(words: str, wanted: Wanted) -> str:
    """The field that the last words before an `is` name, as in "the order number is"; "" for none."""
    parts = words.split()
    for count in range(min(3, len(parts)), 0, -1):
        name = snake("_".join(parts[-count:]))
        if name in wanted.fields or name in TOLD_FIELDS:
            return name
        for field in sorted(wanted.fields):
            if snake(field) == name or likeness_of_arguments(FIELD_FACTS.get(field, field), name) >= 0.85:
                return field
    return ""


def _value_like(text: str, known: str | None, wanted: Wanted, *, exactly: bool) -> str | None:
    if known is None:
        return None
    if known in text:
        return known
    if known.casefold() in text.casefold():
        return known
    if exactly or not any(character.isdigit() for character in known) or len(known) < 4:
        return None
    others = wanted.values
    return next((each for each in wanted.shape(known).findall(text) if each not in others), None)
