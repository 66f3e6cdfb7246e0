"""How the simulated model reads a tool's text: exactly where it parses, best effort where it is broken."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

GOOD: Final = "good"  # JSON, as it is or after the repairs that any reader makes (fence, comment, trailing comma)
BROKEN: Final = "broken"  # does not parse, but "key": value pairs can be made out, the last one cut where the text ends
ERROR: Final = "error"  # says that it is an error
NOISE: Final = "noise"  # a page of HTML, or text without any pair
EMPTY: Final = "empty"  # nothing at all, or an empty object

_ERROR_TEXT = re.compile(r"\s*(?:ERROR\b|Error\b|HTTP[ /][\d. ]*[45]\d\d|[45]\d\d [A-Z]|Traceback)")
_ERROR_KEYS = ("error", "errors", "fault")
_FENCE = re.compile(r"^\s*```\w*\s*|\s*```.*$", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"\w])//[^\n]*|(?<=[,{\[\s])#[^\n\"]*$", re.DOTALL | re.MULTILINE)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_PAIR = re.compile(r"""["']([A-Za-z_][\w.]*)["']\s*[:=]\s*(?:"((?:[^"\\]|\\.)*)("?)|'([^']*)'|([-+\w.]+))""")
_CHARACTERS_MAX = 20_000  # a reader skims what is longer
# The fields that a reply repeats, in the words of our services and of SAP.
TOLD_FIELDS: Final = frozenset((
    "order_id", "sales_order", "status", "total", "amount", "billed_amount", "currency", "carrier", "tracking",
    "eta", "points", "tier", "plan", "price", "renews_on", "effective_on", "cancelled", "slot", "slots",
    "appointment_id", "ticket_id", "note_id", "reset_id", "sent_to", "refund_id", "refunded", "return_id",
    "label", "exchange_id", "reservation_id", "new_sku", "sku", "name", "material", "quantity", "available",
    "plant", "title", "rule", "days", "verified", "street", "city", "postcode", "country", "email", "phone",
    "field", "value", "payment_id", "billing_document", "updated", "delivery_block", "SalesOrder",
    "TotalNetAmount", "TransactionCurrency", "OverallSDProcessStatus", "DeliveryBlockReason",
    "RequestedQuantity", "Material", "Plant", "MatlWrhsStkQtyInMatlBaseUnit", "BillingDocument",
    "CreditMemoRequest", "BusinessPartner", "StreetName", "CityName", "PostalCode", "Country",
    "RequestedDeliveryDate",
))  # fmt: skip
_PER_FIELD_MAX = 8  # nobody reads out a calendar
_NOTHING = ("null", "None", "NaN", "undefined")


class Reading:
    """What one tool message said. `cut_key` is the key whose value ran into the end of a broken text."""

    __slots__ = ("_flat", "_told", "cut_key", "data", "kind", "text")

    def __init__(self, kind: str, data: Any, text: str, cut_key: str = "") -> None:
        self.kind = kind
        self.data = data
        self.text = text
        self.cut_key = cut_key
        self._flat: dict[str, list[str]] | None = None
        self._told: dict[str, None] | None = None

    @property
    def told(self) -> dict[str, None]:
        """What a reply repeats of it, as `status shipped`, each once and in order."""
        told = self._told
        if told is None:
            told = self._told = {
                f"{name} {value}": None
                for name, values in self.flat.items()
                if name in TOLD_FIELDS
                for value in values[:_PER_FIELD_MAX]
            }
        return told

    @property
    def flat(self) -> dict[str, list[str]]:
        """Every scalar by its innermost key, as text, in the order of the answer."""
        if self._flat is None:
            self._flat = {}
            _collect("", self.data, self._flat)
        return self._flat

    def value(self, path: tuple[str, ...]) -> str | None:
        """The scalar at `path` as text, by the exact way or else under the same or a similar name; None if absent."""
        here = self.data
        for part in path:
            if isinstance(here, dict) and part in here:
                here = here[part]
            elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
                here = here[int(part)]
            else:
                return self._by_name(path)
        if isinstance(here, str):
            return here or None
        if isinstance(here, (dict, list)):
            inner: dict[str, list[str]] = {}
            _collect("", here, inner)
            return next((values[0] for values in inner.values()), None)
        return None if here is None else _as_text(here)

    def _by_name(self, path: tuple[str, ...]) -> str | None:
        names = [part for part in path if not part.isdigit()]
        if not names:
            return None
        nth = next((int(part) for part in path if part.isdigit()), 0)
        found = self.flat.get(names[-1]) or self._by_similar_name(names[-1])
        if not found:
            return None
        return (found[nth] if nth < len(found) else found[0]) or None

    def _by_similar_name(self, name: str) -> list[str] | None:
        plain = _plain(name)
        for key, values in self.flat.items():
            if plain in _plain(key):
                return values
        return None


def read_tool_text(text: str) -> Reading:
    """Return what a reader makes of a tool message's content. Never raises."""
    stripped = text.strip().lstrip("\ufeff")
    if not stripped:
        return Reading(EMPTY, {}, text)
    if stripped[0] in "{[":
        data = _parse(stripped)
        if data is not None:
            return _judge(data, text)
    if _ERROR_TEXT.match(stripped):
        return Reading(ERROR, {}, text)
    if stripped[0] == "<":
        return Reading(NOISE, {}, text)
    return _read_repaired(stripped[:_CHARACTERS_MAX], text)


def _judge(data: Any, text: str) -> Reading:
    if not data:
        return Reading(EMPTY, {}, text)
    if isinstance(data, dict):
        for key in _ERROR_KEYS:
            if data.get(key):
                return Reading(ERROR, data, text)
    return Reading(GOOD, data, text)


def _read_repaired(stripped: str, text: str) -> Reading:
    body = _TRAILING_COMMA.sub(r"\1", _COMMENT.sub("", _FENCE.sub("", stripped) if "```" in stripped else stripped))
    start = min((at for at in (body.find("{"), body.find("[")) if at >= 0), default=-1)
    if start >= 0:
        data = _parse(body[start:]) or _parse(body[start : max(body.rfind("}"), body.rfind("]")) + 1])
        if data is not None:
            return _judge(data, text)
    return _read_pairs(stripped, text)


def _read_pairs(stripped: str, text: str) -> Reading:
    pairs: dict[str, list[str]] = {}
    cut_key = ""
    for match in _PAIR.finditer(stripped):
        key, quoted, closed, single, bare = match.groups()
        value = quoted if quoted is not None else single if single is not None else bare
        if value and value not in _NOTHING:
            pairs.setdefault(key, []).append(value)
        if match.end() == len(stripped) and not closed and single is None:
            cut_key = key
    if stripped.startswith(('{"error"', "{'error'", '{"fault"')):
        return Reading(ERROR, {}, text)
    if not pairs:
        return Reading(NOISE, {}, text)
    reading = Reading(BROKEN, {}, text, cut_key)
    reading._flat = pairs
    return reading


def _parse(text: str) -> Any:
    try:
        data = orjson.loads(text)
        return orjson.loads(data) if isinstance(data, str) else data
    except orjson.JSONDecodeError:
        return None


def _collect(name: str, data: Any, found: dict[str, list[str]]) -> None:
    """Add every scalar in `data` to `found`, under its innermost key; one without a key is under `name`."""
    if isinstance(data, dict):
        for key, value in data.items():
            kind = type(value)  # decoded JSON has no subclasses, and most of it is text
            if kind is dict or kind is list:
                _collect(key, value, found)
            elif value is not None:
                text = value if kind is str else _as_text(value)
                if key in found:
                    found[key].append(text)
                else:
                    found[key] = [text]
    elif isinstance(data, list):
        for value in data:
            _collect(name, value, found)
    elif data is not None:
        found.setdefault(name, []).append(data if isinstance(data, str) else _as_text(data))


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
