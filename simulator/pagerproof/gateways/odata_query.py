"""The query options of one OData request: read strictly, then applied to rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import unquote_plus

from pagerproof.gateways import odata_filter
from pagerproof.gateways.odata_literal import comparable
from pagerproof.gateways.odata_problem import bad, unsupported
from pagerproof.gateways.sap_model import EntitySet

R = TypeVar("R", bound=Mapping[str, Any])
"""A row of an entity set."""

NUMBER_MAX: Final = 2_147_483_647
_KNOWN: Final = frozenset(
    {"$filter", "$select", "$expand", "$top", "$skip", "$orderby", "$inlinecount", "$skiptoken", "$format"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The options of a request, checked against the entity set; `None` and `()` where one was not given."""

    filter: odata_filter.Node | None = None
    select: tuple[str, ...] = ()
    expand: tuple[str, ...] = ()
    top: int | None = None
    skip: int = 0
    order: tuple[tuple[str, bool], ...] = ()  # (property, descending)
    inline_count: bool = False
    skip_token: int = 0


def options_of(query: str) -> dict[str, str]:
    """Return the options of a query string, decoded. Raises ODataProblem (400) where a system option comes twice."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        if name.startswith("$") and name in found:
            raise bad(f"System query option '{name[:40]}' is given twice")
        found[name] = unquote_plus(value)
    return found


def query_of(options: Mapping[str, str], entity_set: EntitySet, *, single: bool = False) -> Query:
    """Read the options. Raises ODataProblem: 400 where one is malformed or unknown, 501 for what is not supported."""
    for name in options:
        if name.startswith("$") and name not in _KNOWN:
            if name in ("$search", "$apply", "$compute", "$links"):
                raise unsupported(f"System query option '{name}' is not supported")
            raise bad(f"Invalid system query option '{name[:40]}'")
        if single and name in ("$filter", "$top", "$skip", "$orderby", "$inlinecount", "$skiptoken"):
            raise bad(f"System query option '{name}' is not allowed for a single entity")
    inline = options.get("$inlinecount", "none")
    if inline not in ("allpages", "none"):
        raise bad(f"Invalid value '{inline[:40]}' for system query option '$inlinecount'")
    return Query(
        filter=_filter(options.get("$filter"), entity_set),
        select=_select(options.get("$select"), entity_set),
        expand=_expand(options.get("$expand"), entity_set),
        top=_number(options, "$top"),
        skip=_number(options, "$skip") or 0,
        order=_order(options.get("$orderby"), entity_set),
        inline_count=inline == "allpages",
        skip_token=_number(options, "$skiptoken") or 0,
    )


def _number(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= NUMBER_MAX):
        raise bad(f"Invalid value '{text[:40]}' for system query option '{name}'")
    return int(text)


def _filter(text: str | None, entity_set: EntitySet) -> odata_filter.Node | None:
    if text is None:
        return None
    node = odata_filter.parse(text)
    for name in sorted(odata_filter.properties(node)):
        _check(name, entity_set)
    return node


def _check(name: str, entity_set: EntitySet) -> str:
    if name not in entity_set.properties:
        raise bad(f"Property '{name[:80]}' not found in type '{entity_set.type_name}'")
    return name


def _select(text: str | None, entity_set: EntitySet) -> tuple[str, ...]:
    if text is None or text.strip() == "*":
        return ()
    names = tuple(each.strip() for each in text.split(","))
    for name in names:
        head, slash, _ = name.partition("/")
        if head in entity_set.navigations:
            if slash:
                raise unsupported("Selecting properties of an expanded entity is not supported")
            continue
        _check(name, entity_set)
    return names


def _expand(text: str | None, entity_set: EntitySet) -> tuple[str, ...]:
    if text is None or not text.strip():
        return ()
    names = tuple(each.strip() for each in text.split(","))
    for name in names:
        head, slash, _ = name.partition("/")
        if head not in entity_set.navigations:
            raise bad(f"Navigation property '{head[:80]}' not found in type '{entity_set.type_name}'")
        if slash:
            raise unsupported("Expanding more than one level is not supported")
    return names


def _order(text: str | None, entity_set: EntitySet) -> tuple[tuple[str, bool], ...]:
    if text is None:
        return ()
    found = []
    for part in text.split(","):
        words = part.split()
        if len(words) not in (1, 2) or (len(words) == 2 and words[1] not in ("asc", "desc")):
            raise bad(f"Invalid value '{part[:80]}' for system query option '$orderby'")
        found.append((_check(words[0], entity_set), len(words) == 2 and words[1] == "desc"))
    return tuple(found)


def filtered(rows: list[R], query: Query, entity_set: EntitySet) -> list[R]:
    """Return the rows that pass the filter, in the wanted order; without one, as they came."""
    types = entity_set.types
    if query.filter is not None:
        rows = [row for row in rows if odata_filter.passes(query.filter, row, types)]
    for name, descending in reversed(query.order):
        rows = sorted(rows, key=lambda row: _rank(comparable(types[name], row.get(name))), reverse=descending)
    return rows


def _rank(value: Any) -> tuple[int, Any]:
    """An order over values of mixed types: nothing, numbers and truths, texts, moments, the rest by its text."""
    if value is None:
        return 0, 0
    if isinstance(value, bool | int | float | Decimal):
        return 1, value
    if isinstance(value, str):
        return 2, value
    return (3, value) if hasattr(value, "isoformat") else (4, repr(value))


def page(rows: list[R], query: Query, size: int) -> tuple[list[R], int | None]:
    """Return the rows of this page and the skip token of the next one, or None where nothing is left."""
    wanted = rows[query.skip :]
    if query.top is not None:
        wanted = wanted[: query.top]
    begin = query.skip_token
    more = begin + size < len(wanted)
    return wanted[begin : begin + size], begin + size if more else None
