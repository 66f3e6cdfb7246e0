"""Writing entities: from a method, a target and a JSON body to the operations that carry it out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pagerproof.gateways import odata_json
from pagerproof.gateways.odata_literal import milliseconds
from pagerproof.gateways.odata_problem import ODataProblem, bad, unsupported
from pagerproof.gateways.sap_model import EntitySet, FunctionImport, set_of
from pagerproof.gateways.sap_reads import records_of
from pagerproof.gateways.sap_shape import Shape, data_of, passed
from pagerproof.model import Answer
from pagerproof.tools import loads

_DECIMAL: Final = re.compile(r"-?\d{1,31}(\.\d{1,14})?")
_HEADER: Final = ("SalesOrderType", "SalesOrganization", "DistributionChannel", "OrganizationDivision",
                  "PurchaseOrderByCustomer", "RequestedDeliveryDate")  # fmt: skip
_DEFAULTS: Final = {"SalesOrderType": "OR", "SalesOrganization": "1010", "DistributionChannel": "10",
                    "OrganizationDivision": "00", "PurchaseOrderByCustomer": ""}  # fmt: skip
_ADDRESS: Final = {"StreetName": "street", "CityName": "city", "PostalCode": "postcode", "Country": "country"}
_INCOMPLETE: Final = (
    '{"code":"ZSD/010","message":"The sales document is not yet complete: it has no items.","severity":"warning",'
    '"target":"","details":[]}'
)
"""The `sap-message` of a sales order without items; its code, of a customer's own class, is assumed."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One operation of a write. `reads_first`: its ETag must be compared by reading the sales order before."""

    operation: str
    arguments: Mapping[str, Any]
    etag: str = ""
    reads_first: bool = False
    completes_address: bool = False  # the address fields that are missing are those that the partner has now


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one modifying request does, and how the last operation's record is answered."""

    writes: tuple[Write, ...]
    reply: Callable[[Body], Answer]


def body_of(content: bytes, content_type: str) -> Body:
    """Return the JSON object of a body. Raises ODataProblem: 415 for another type, 400 where it is malformed."""
    if "json" not in content_type.lower():
        raise ODataProblem(415, f"Content type '{content_type[:60]}' is not supported; send application/json")
    try:
        data = loads(content)
    except (ValueError, RecursionError):
        raise bad("The request body is not valid JSON") from None
    if isinstance(data, dict) and isinstance(data.get("d"), dict):
        data = data["d"]
    if not isinstance(data, dict):
        raise bad("The request body must be a JSON object")
    return {name: value for name, value in data.items() if name != "__metadata"}


def checked(entity_set: EntitySet, body: Body) -> Body:
    """Return the body's properties. Raises ODataProblem (400) for a name or a value that the model does not allow."""
    found = {}
    for name, value in body.items():
        if name in entity_set.navigations:
            continue
        known = entity_set.properties.get(name)
        if known is None:
            raise bad(f"Property '{str(name)[:80]}' is invalid in type '{entity_set.type_name}'")
        if value is not None and not _fits(known.type, known.size, value):
            raise bad(f"Property '{name}' has the invalid value '{str(value)[:40]}'")
        found[name] = value
    return found


def _fits(edm_type: str, size: str, value: Any) -> bool:
    if edm_type == "Edm.Boolean":
        return isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if edm_type == "Edm.String":
        return len(value) <= int(size)
    if edm_type == "Edm.Decimal":
        return _DECIMAL.fullmatch(value) is not None
    return milliseconds(value) is not None


# -- creating ---------------------------------------------------------------------------------------------------------


def create(shape: Shape, entity_set: EntitySet, body: Body, parent: Mapping[str, str]) -> Plan:
    """Plan a POST to a collection; `parent` holds the keys of the entity whose navigation it went through."""
    values = {**checked(entity_set, body), **parent}

    def reply(raw: Body) -> Answer:
        [record, *_] = records_of(entity_set, raw)
        headers = {"sap-message": _INCOMPLETE} if raw.get("Material") == "" else {}
        return shape.entity(201, entity_set, record, headers=headers)

    makers = {
        "A_SalesOrder": _create_sales_order,
        "A_SalesOrderItem": _create_item,
        "A_CreditMemoRequest": _create_memo,
    }
    maker = makers.get(entity_set.name)
    if maker is None:
        raise not_allowed(entity_set, "created")
    return Plan(writes=(maker(values, body),), reply=reply)


def not_allowed(entity_set: EntitySet, what: str) -> ODataProblem:
    """Return the 405 of a set that does not let itself be written so."""
    return ODataProblem(405, f"Entities of '{entity_set.name}' cannot be {what}", headers={"allow": "GET"})


def _create_sales_order(values: Body, body: Body) -> Write:
    partner = _text(values, "SoldToParty")
    items = [_wanted_item(each) for each in _inner(body, "to_Item")]
    if "to_Partner" in body:
        raise unsupported("Deep insert through 'to_Partner' is not supported")
    _only(values, {"SoldToParty", "SalesOrder", *_HEADER})
    fields = {
        name: values[name] for name in _HEADER if values.get(name) is not None and values[name] != _DEFAULTS.get(name)
    }
    if len(items) == 1 and not fields:
        [item] = items
        return Write(operation="sap.SalesOrder.create", arguments={"business_partner": partner, **item})
    arguments: Body = {"business_partner": partner, "items": items}
    if fields:
        arguments["fields"] = fields
    return Write(operation="sap.SalesOrder.create_with_items", arguments=arguments)


def _inner(body: Body, navigation: str) -> list[Body]:
    value = body.get(navigation, [])
    if isinstance(value, dict) and "results" in value:
        value = value["results"]
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise bad(f"Navigation property '{navigation}' must hold a list of entities")
    return value


def _wanted_item(body: Body) -> Body:
    items = set_of("A_SalesOrderItem")
    values = checked(items, {name: value for name, value in body.items() if name != "__metadata"})
    _only(values, {"SalesOrder", "SalesOrderItem", "Material", "RequestedQuantity", "RequestedQuantityUnit"})
    _unit(values)
    return {"material": _text(values, "Material"), "quantity": _whole(values, "RequestedQuantity")}


def _create_item(values: Body, _: Body) -> Write:
    order = _text(values, "SalesOrder")
    return Write(operation="sap.SalesOrder.add_item", arguments={"sales_order": order, **_wanted_item(values)})


def _create_memo(values: Body, _: Body) -> Write:
    _only(
        values,
        {"ReferenceSDDocument", "TotalNetAmount", "TransactionCurrency", "SDDocumentReason", "CreditMemoRequestType"},
    )
    if values.get("CreditMemoRequestType") not in (None, "CR"):
        raise bad(f"Property 'CreditMemoRequestType' has the invalid value '{values['CreditMemoRequestType']}'")
    arguments = {
        "sales_order": _text(values, "ReferenceSDDocument"),
        "amount": _money(values, "TotalNetAmount"),
        "currency": _text(values, "TransactionCurrency"),
    }
    if values.get("SDDocumentReason"):
        arguments["reason"] = values["SDDocumentReason"]
    return Write(operation="sap.CreditMemo.create", arguments=arguments)


# -- changing ---------------------------------------------------------------------------------------------------------


def update(entity_set: EntitySet, key: Mapping[str, str], body: Body, *, replace: bool, etag: str) -> Plan:
    """Plan a PATCH, MERGE or (`replace`) PUT; it is answered with 204."""
    values = {name: value for name, value in checked(entity_set, body).items() if name not in entity_set.keys}
    if entity_set.name == "A_SalesOrder":
        writes = _update_sales_order(key["SalesOrder"], values, replace=replace, etag=etag)
    elif entity_set.name == "A_SalesOrderItem":
        writes = _update_item(key, values, etag=etag)
    elif entity_set.name == "A_BusinessPartnerAddress":
        _only(values, set(_ADDRESS))
        if replace and len(values) < len(_ADDRESS):
            raise bad("PUT of an address needs all of its properties")
        address = {argument: values[name] for name, argument in _ADDRESS.items() if values.get(name) is not None}
        writes = (
            Write(
                operation="sap.BusinessPartner.update_address",
                arguments={"business_partner": key["BusinessPartner"], **address},
                completes_address=len(address) < len(_ADDRESS),
            ),
        )
    else:
        raise not_allowed(entity_set, "updated")
    if not writes:
        raise bad("The request body changes no property")
    return Plan(writes=writes, reply=lambda raw: odata_json.nothing(_etag_header(entity_set, raw)))


def _etag_header(entity_set: EntitySet, raw: Body) -> dict[str, str]:
    etag = odata_json.etag_of(raw) if entity_set.guarded else ""
    return {"etag": etag} if etag else {}


def _update_sales_order(number: str, values: Body, *, replace: bool, etag: str) -> tuple[Write, ...]:
    _only(values, {*_HEADER, "DeliveryBlockReason"})
    writes = []
    released = values.pop("DeliveryBlockReason", None)
    fields = {name: "" if value is None else value for name, value in values.items()}
    if replace:
        fields = {**{name: _DEFAULTS.get(name, "") for name in _HEADER}, **fields}
    if released == "":
        arguments = {"sales_order": number}
        writes.append(
            Write(operation="sap.SalesOrder.release_block", arguments=arguments, etag=etag, reads_first=not fields)
        )
    elif released is not None:
        fields["DeliveryBlockReason"] = released
    if fields:
        changes = {"sales_order": number, "fields": fields}
        # After a release in the same request the order has a new ETag: the release has compared it.
        guard = "" if writes else etag
        writes.append(Write(operation="sap.SalesOrder.update_header", arguments=changes, etag=guard))
    return tuple(writes)


def _update_item(key: Mapping[str, str], values: Body, *, etag: str) -> tuple[Write, ...]:
    _only(values, {"RequestedQuantity", "RequestedQuantityUnit", "SalesDocumentRjcnReason"})
    _unit(values)
    target = {"sales_order": key["SalesOrder"], "item": key["SalesOrderItem"]}
    writes = []
    if values.get("RequestedQuantity") is not None:
        arguments = {**target, "quantity": _whole(values, "RequestedQuantity")}
        writes.append(Write(operation="sap.SalesOrder.update_quantity", arguments=arguments, etag=etag))
    if values.get("SalesDocumentRjcnReason"):
        arguments = {**target, "reason": values["SalesDocumentRjcnReason"]}
        guard = "" if writes else etag
        writes.append(Write(operation="sap.SalesOrder.reject_item", arguments=arguments, etag=guard))
    return tuple(writes)


def delete(entity_set: EntitySet, key: Mapping[str, str], *, etag: str) -> Plan:
    """Plan a DELETE; it is answered with 204."""
    if "delete" not in entity_set.may:
        raise not_allowed(entity_set, "deleted")
    write = Write(operation="sap.SalesOrder.delete", arguments={"sales_order": key["SalesOrder"]}, etag=etag)
    return Plan(writes=(write,), reply=lambda _: odata_json.nothing())


def call_function(shape: Shape, function: FunctionImport, options: Mapping[str, Any]) -> Plan:
    """Plan a POST function import; its parameters come as literals in the query string."""
    from pagerproof.gateways.odata_literal import literal

    arguments = {}
    for name, argument, length in function.parameters:
        text = options.get(name)
        if text is None:
            raise bad(f"Function import parameter '{name}' is missing")
        value = literal(text).value
        if not isinstance(value, str) or len(value) > length:
            raise bad(f"Function import parameter '{name}' has the invalid value '{text[:40]}'")
        arguments[argument] = value
    returns = set_of(function.returns)

    def reply(raw: Body) -> Answer:
        [record, *_] = records_of(returns, raw)
        return shape.entity(200, returns, record)

    return Plan(writes=(Write(operation=function.operation, arguments=arguments),), reply=reply)


# -- values -----------------------------------------------------------------------------------------------------------


def _only(values: Body, allowed: set[str]) -> None:
    for name, value in values.items():
        if name not in allowed and value not in (None, ""):
            raise bad(f"Property '{name}' cannot be set")


def _text(values: Body, name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value.strip():
        raise bad(f"Property '{name}' is missing")
    return value


def _unit(values: Body) -> None:
    if values.get("RequestedQuantityUnit") not in (None, "", "PC"):
        raise bad(f"Property 'RequestedQuantityUnit' has the invalid value '{values['RequestedQuantityUnit']}'")


def _whole(values: Body, name: str) -> int:
    number = Decimal(_text(values, name))
    if number != number.to_integral_value() or not 0 < number < 10**9:
        raise bad(f"Property '{name}' has the invalid value '{values[name]}'")
    return int(number)


def _money(values: Body, name: str) -> str:
    """The amount with two decimals, which is how the ledger counts; what has more stays as it is, to be refused."""
    text = _text(values, name)
    whole, point, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2}" if point else text


def rendered(shape: Shape, plan: Plan, answer: Answer) -> Answer:
    """Return the answer of a plan's last operation as it goes onto the wire."""
    if answer.status >= 300:
        return shape.refusal(answer)
    raw = data_of(answer)
    return passed(answer) if raw is None else plan.reply(raw)
