"""OData V2 JSON: entities with `__metadata` and `__deferred`, collections, and rows completed from the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson

from pagerproof.gateways.sap_model import EntitySet, ODataService, set_of
from pagerproof.model import Answer

JSON: Final = "application/json;charset=utf-8"
Row = dict[str, Any]


def completed(entity_set: EntitySet, row: Mapping[str, Any]) -> Row:
    """Return the row in the model's order with the model's constants.

    What the service said stands as it is, also where a fault changed its type, and what a fault took away stays away;
    fields that the model does not know come last.
    """
    found: Row = {}
    for each in entity_set.properties.values():
        if each.name in row:
            found[each.name] = row[each.name]
        elif each.has_constant:
            found[each.name] = each.constant
    found.update((name, value) for name, value in row.items() if name not in found)
    return found


def key_text(entity_set: EntitySet, row: Mapping[str, Any]) -> str:
    """Return the key predicate of a row, with its parentheses, encoded for a URL."""
    pairs = [(name, _quoted(str(row.get(name, "")))) for name in entity_set.keys]
    if len(pairs) == 1:
        return f"({pairs[0][1]})"
    return "(" + ",".join(f"{name}={value}" for name, value in pairs) + ")"


def _quoted(text: str) -> str:
    return "'" + quote(text.replace("'", "''"), safe="'") + "'"


def uri_of(base: str, entity_set: EntitySet, row: Mapping[str, Any]) -> str:
    """Return the canonical address of a row; `base` is the service's root and ends with a slash."""
    return f"{base}{entity_set.name}{key_text(entity_set, row)}"


def etag_of(row: Mapping[str, Any]) -> str:
    """Return the ETag that the service gave the row, or ""."""
    metadata = row.get("__metadata")
    etag = metadata.get("etag", "") if isinstance(metadata, dict) else ""
    return etag if isinstance(etag, str) else ""


def entity(
    service: ODataService,
    base: str,
    entity_set: EntitySet,
    row: Row,
    *,
    select: Sequence[str] = (),
    expanded: Mapping[str, Sequence[Row]] | None = None,
) -> Row:
    """Return the JSON object of one entity; navigations that are not expanded are deferred."""
    uri = uri_of(base, entity_set, row)
    metadata = {"id": uri, "uri": uri, "type": f"{service.name}.{entity_set.type_name}"}
    if entity_set.guarded and etag_of(row):
        metadata["etag"] = etag_of(row)
    found: Row = {"__metadata": metadata}
    found.update(
        (name, value) for name, value in row.items() if name != "__metadata" and (not select or name in select)
    )
    for navigation in entity_set.navigations.values():
        target = set_of(navigation.target)
        if expanded is not None and navigation.name in expanded:
            inner = [entity(service, base, target, each) for each in expanded[navigation.name]]
            found[navigation.name] = {"results": inner} if navigation.many else (inner[0] if inner else None)
        elif not select or navigation.name in select:
            found[navigation.name] = {"__deferred": {"uri": f"{uri}/{navigation.name}"}}
    return found


def answer(status: int, data: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a rendered answer with `data` under `d`."""
    body = orjson.dumps({"d": data})
    return Answer(status, {"content-type": JSON, "dataserviceversion": "2.0", **(headers or {})}, body, rendered=True)


def text(body: str) -> Answer:
    """Return a rendered answer of plain text: `$count` and `$value`."""
    headers = {"content-type": "text/plain;charset=utf-8", "dataserviceversion": "2.0"}
    return Answer(200, headers, body.encode(), rendered=True)


def nothing(headers: Mapping[str, str] | None = None) -> Answer:
    """Return a rendered 204."""
    return Answer(204, {"dataserviceversion": "2.0", **(headers or {})}, b"", rendered=True)
