"""The sales order as an OData V4 service, for reading: V4's JSON, numbers as numbers, `message` as a plain text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote

import orjson

from pagerproof import sap_wire
from pagerproof.gateways.odata_json import etag_of
from pagerproof.gateways.odata_literal import milliseconds
from pagerproof.gateways.odata_problem import ODataProblem, bad, no_segment, unsupported
from pagerproof.gateways.odata_query import Query, filtered, options_of, page, query_of
from pagerproof.gateways.sap_model import SERVICES, EntitySet, set_of
from pagerproof.gateways.sap_reads import Record, keyed, listing, read_all
from pagerproof.gateways.sap_shape import Shape, error_of
from pagerproof.model import RUN_BEGINS, Answer, WireRequest
from pagerproof.protocols import Exchange
from pagerproof.rng import key_of

ROOT: Final = "/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/salesorder/0001/"
"""The address of the V4 service; the name of its one entity set is `SalesOrder`."""

_JSON: Final = "application/json;odata.metadata=minimal;charset=utf-8"
_HEADERS: Final = {"content-type": _JSON, "odata-version": "4.0"}


class ShapeV4(Shape):
    """Errors in V4's shape."""

    __slots__ = ()

    def problem(self, problem: ODataProblem) -> Answer:
        """Return what the framework refuses by itself."""
        error = {"code": problem.code, "message": problem.text}
        return self._error(problem.status, error, problem.headers, application=False)

    def refusal(self, answer: Answer) -> Answer:
        """Return a service's error, which has V2's shape, in V4's; what is no OData error stays as it is."""
        found = error_of(answer)
        if found is None:
            answer.rendered = True
            return answer
        message = found.get("message")
        text = message.get("value", "") if isinstance(message, dict) else message
        inner = found.get("innererror", {})
        error: dict[str, Any] = {"code": found.get("code", ""), "message": text}
        if "application" in inner:
            error["@SAP__common.ExceptionCategory"] = "Provider_Application_Error"
            error["details"] = [
                {"code": each["code"], "message": each["message"], "@SAP__common.Severity": each["severity"],
                 "@SAP__common.numericSeverity": 4}
                for each in inner.get("errordetails", [])
            ]  # fmt: skip
        return self._error(answer.status, error, {}, application="application" in inner)

    def _error(self, status: int, error: dict[str, Any], headers: Mapping[str, str], *, application: bool) -> Answer:
        key = key_of(self.exchange.seed, self.exchange.case.index, self.path, str(error["message"]))
        moment = RUN_BEGINS + timedelta(seconds=self.exchange.now_s())
        details: dict[str, Any] = {}
        if application:
            details["@SAP__common.Application"] = {
                "ComponentId": "SD-SLS-API", "ServiceRepository": "SRVD_A2X", "ServiceId": "API_SALESORDER",
                "ServiceVersion": "0001",
            }  # fmt: skip
        details["@SAP__common.TransactionId"] = sap_wire.framework_code(str(key))
        details["@SAP__common.Timestamp"] = moment.strftime("%Y%m%d%H%M%S.%f")
        details["@SAP__common.ErrorResolution"] = {
            "Analysis": "Use ADT feed reader or run transaction /IWFND/ERROR_LOG for more details.",
            "Note": "See SAP Note 1797736 for error analysis.",
        }
        body = orjson.dumps({"error": {**error, "innererror": {"ErrorDetails": details}}})
        return Answer(status, {**_HEADERS, **headers}, body, rendered=True)


async def answer(request: WireRequest, exchange: Exchange, page_size: int) -> Answer:
    """Answer one request below ROOT."""
    shape = ShapeV4(
        service=SERVICES["API_SALES_ORDER_SRV"],
        base=f"{request.host}{ROOT}",
        json=True,
        exchange=exchange,
        path=f"{request.method} {request.raw_path}?{request.query}",
    )
    try:
        if request.method not in ("GET", "HEAD"):
            raise ODataProblem(405, f"Method '{request.method[:20]}' is not supported", headers={"allow": "GET"})
        return await _get(shape, request, page_size)
    except ODataProblem as problem:
        return shape.problem(problem)


async def _get(shape: ShapeV4, request: WireRequest, page_size: int) -> Answer:
    segments = [unquote(each) for each in request.raw_path.removeprefix(ROOT).split("/") if each]
    entity_set = set_of("A_SalesOrder")
    if not segments:
        body = {"@odata.context": "$metadata", "value": [{"name": "SalesOrder", "url": "SalesOrder"}]}
        return Answer(200, dict(_HEADERS), orjson.dumps(body), rendered=True)
    name, bracket, rest = segments[0].partition("(")
    if name != "SalesOrder" or len(segments) > 1:
        raise no_segment(segments[-1])
    options = options_of(request.query)
    counted = options.pop("$count", "false")
    if counted not in ("true", "false"):
        raise bad(f"Invalid value '{counted[:40]}' for system query option '$count'")
    if "$expand" in options or "$inlinecount" in options:
        raise unsupported("System query options '$expand' and '$inlinecount' are not supported")
    query = query_of(options, entity_set, single=bool(bracket))
    if not bracket:
        return await _collection(shape, entity_set, query, page_size, counted=counted == "true")
    key = rest.removesuffix(")").removeprefix("SalesOrder=")
    if len(key) < 3 or not (key.startswith("'") and key.endswith("'")) or not rest.endswith(")"):
        raise bad(f"Invalid key predicate '({rest[:60]}'")

    def compose(rows: list[Record], _: Mapping[int, Any]) -> Answer:
        if not rows:
            raise no_segment("SalesOrder")
        etag = etag_of(rows[0])
        data = {"@odata.context": "$metadata#SalesOrder/$entity", "@odata.etag": etag, **_entity(rows[0], query)}
        return Answer(200, {**_HEADERS, **({"etag": etag} if etag else {})}, orjson.dumps(data), rendered=True)

    fetch = keyed(entity_set, key[1:-1].replace("''", "'"))
    return await read_all(shape, entity_set, [fetch], (), compose, list, missing_is_empty=False)


async def _collection(shape: ShapeV4, entity_set: EntitySet, query: Query, page_size: int, *, counted: bool) -> Answer:
    def compose(rows: list[Record], _: Mapping[int, Any]) -> Answer:
        found = filtered(rows, query, entity_set)
        kept, after = page(found, query, page_size)
        data: dict[str, Any] = {"@odata.context": "$metadata#SalesOrder"}
        if counted:
            data["@odata.count"] = len(found)
        data["value"] = [{"@odata.etag": etag_of(each), **_entity(each, query)} for each in kept]
        if after is not None:
            data["@odata.nextLink"] = f"SalesOrder?$skiptoken={after}"
        return Answer(200, dict(_HEADERS), orjson.dumps(data), rendered=True)

    fetches = listing(shape.exchange, entity_set, query.filter)
    return await read_all(shape, entity_set, fetches, (), compose, list, missing_is_empty=True)


def _entity(row: Mapping[str, Any], query: Query) -> dict[str, Any]:
    types = set_of("A_SalesOrder").types
    return {
        name: _value(value, types.get(name, ""))
        for name, value in row.items()
        if name != "__metadata" and (not query.select or name in query.select)
    }


def _value(value: Any, edm_type: str) -> Any:
    """A V2 JSON value as V4 writes it: decimals as numbers, dates as ISO texts; what does not read so stays."""
    if not isinstance(value, str):
        return value
    if edm_type == "Edm.Decimal":
        try:
            return float(Decimal(value))
        except ArithmeticError:
            return value
    if edm_type.startswith("Edm.DateTime"):
        found = milliseconds(value)
        if found is not None and abs(found) < 200_000_000_000_000:
            moment = datetime.fromtimestamp(found / 1000, UTC)
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if edm_type.endswith("Offset") else "%Y-%m-%d")
    return value
