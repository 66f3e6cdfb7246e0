"""Reading back: after a write whose fate is unknown, look at the system of record before doing anything else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import orjson

from pagerproof.model import Answer
from pagerproof.tools import BadAnswer, ConnectionLost, Desk, Toolbox, ToolError, ToolResult, ToolTimeout
from pagerproof.valves.circuit_breaker import is_cached
from pagerproof.valves.purposes import WRITES, same_amount
from pagerproof.valves.refusals import Uncertain

READ_BACK_HEADER: Final = "x-pagerproof-read-back"
_UNCERTAIN_STATUSES = frozenset({408, 500, 502, 504})  # SAP's processing time-out is a 500, and the work goes on.

REPEATABLE: Final = frozenset(
    {
        "crm.Customer.update_address",
        "crm.Customer.update_contact",
        "crm.Note.create",
        "crm.Password.reset",
        "crm.Subscription.cancel",
        "crm.Subscription.change",
        "crm.Ticket.create",
        "orders.Order.cancel",
        "orders.Order.change_address",
        "sap.BusinessPartner.update_address",
        "sap.SalesOrder.cancel",
        "sap.SalesOrder.release_block",
        "sap.SalesOrder.update_quantity",
    }
)
"""Writes that harm nobody when they happen twice: they set a value, or leave a note."""

Document = dict[str, Any]


class Fate(StrEnum):
    """What a look at the system of record says about a write."""

    DONE = "done"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Lookup:
    """How one kind of write is looked up.

    `found(arguments, data)` returns the write's document in the shape of the write's own answer, or None.
    """

    operation: str
    arguments: tuple[str, ...]
    found: Callable[[Mapping[str, Any], Any], Document | None]


def _refund(asked: Mapping[str, Any], data: Any) -> Document | None:
    for each in data["refunds"]:
        if same_amount(each["amount"], asked["amount"]):
            return {**each, "payment_id": asked["payment_id"], "currency": asked.get("currency"), "status": "succeeded"}
    return None


def _credit_memo(asked: Mapping[str, Any], data: Any) -> Document | None:
    for each in data["d"]["results"]:
        if same_amount(each["TotalNetAmount"], asked["amount"]):
            memo = {**each, "SalesOrder": asked["sales_order"], "TransactionCurrency": asked.get("currency")}
            return {"d": memo}
    return None


def _return(asked: Mapping[str, Any], data: Any) -> Document | None:
    for each in data["returns"]:
        if each.get("sku", asked["sku"]) == asked["sku"]:
            return {**each, "order_id": asked["order_id"], "sku": asked["sku"]}
    return None


def _cancelled(asked: Mapping[str, Any], data: Any) -> Document | None:
    return {"order_id": asked["order_id"], "status": "cancelled"} if data["status"] == "cancelled" else None


def _has_address(asked: Mapping[str, Any], address: Mapping[str, Any]) -> bool:
    return all(address[name] == asked[name] for name in ("street", "city", "postcode", "country") if name in asked)


def _order_address(asked: Mapping[str, Any], data: Any) -> Document | None:
    address = data["address"]
    return {"order_id": asked["order_id"], "address": address} if _has_address(asked, address) else None


def _order_item(asked: Mapping[str, Any], data: Any) -> Document | None:
    if any(item["sku"] == asked["new_sku"] for item in data["items"]):
        return {"order_id": asked["order_id"], "sku": asked["new_sku"]}
    return None


def _customer_address(asked: Mapping[str, Any], data: Any) -> Document | None:
    if not _has_address(asked, data["address"]):
        return None
    return {"customer_id": asked["customer_id"], "updated": True, **data["address"]}


def _contact(asked: Mapping[str, Any], data: Any) -> Document | None:
    if data[asked["field"]] != asked["value"]:
        return None
    return {"customer_id": asked["customer_id"], "updated": True, asked["field"]: asked["value"]}


def _plan(asked: Mapping[str, Any], data: Any) -> Document | None:
    return {"customer_id": asked["customer_id"], "plan": data["plan"]} if data["plan"] == asked["plan"] else None


def _partner_address(asked: Mapping[str, Any], data: Any) -> Document | None:
    partner = data["d"]
    fields = (("street", "StreetName"), ("city", "CityName"), ("postcode", "PostalCode"), ("country", "Country"))
    return data if all(partner[field] == asked[name] for name, field in fields) else None


def _quantity(asked: Mapping[str, Any], data: Any) -> Document | None:
    return data if same_amount(data["d"]["RequestedQuantity"], asked["quantity"]) else None


def _released(asked: Mapping[str, Any], data: Any) -> Document | None:  # noqa: ARG001 - every lookup has this signature
    return data if data["d"]["DeliveryBlockReason"] == "" else None


LOOKUPS: Final[Mapping[str, Lookup]] = MappingProxyType(
    {
        "payments.Refund.create": Lookup("payments.Refund.find", ("payment_id",), _refund),
        "sap.CreditMemo.create": Lookup("sap.CreditMemo.find", ("sales_order",), _credit_memo),
        "orders.Return.create": Lookup("orders.Return.find", ("order_id",), _return),
        "orders.Order.cancel": Lookup("orders.Order.get", ("order_id",), _cancelled),
        "orders.Order.change_address": Lookup("orders.Order.get", ("order_id",), _order_address),
        "orders.Order.change_item": Lookup("orders.Order.get", ("order_id",), _order_item),
        "crm.Customer.update_address": Lookup("crm.Customer.get", ("customer_id",), _customer_address),
        "crm.Customer.update_contact": Lookup("crm.Customer.get", ("customer_id",), _contact),
        "crm.Subscription.change": Lookup("crm.Subscription.get", ("customer_id",), _plan),
        "sap.BusinessPartner.update_address": Lookup(
            "sap.BusinessPartner.get", ("business_partner",), _partner_address
        ),
        "sap.SalesOrder.update_quantity": Lookup("sap.SalesOrder.get", ("sales_order",), _quantity),
        "sap.SalesOrder.release_block": Lookup("sap.SalesOrder.get", ("sales_order",), _released),
    }
)
"""Which writes can be looked up, and how. Those that are absent here leave no trace that a read of ours shows."""


async def look(toolbox: Toolbox, operation: str, arguments: Mapping[str, Any]) -> tuple[Fate, Document | None]:
    """Ask the system of record whether this write has happened. A remembered or failed answer proves nothing."""
    lookup = LOOKUPS.get(operation)
    if lookup is None:
        return Fate.UNKNOWN, None
    try:
        result = await toolbox.call(lookup.operation, {name: arguments[name] for name in lookup.arguments})
        if not result.ok or is_cached(result):
            return Fate.UNKNOWN, None
        document = lookup.found(arguments, result.json())
    except (ToolError, ValueError, LookupError, TypeError, AttributeError):
        return Fate.UNKNOWN, None
    return (Fate.ABSENT, None) if document is None else (Fate.DONE, document)


class ReadBack:
    """Settles uncertain writes: looks them up after each of `waits_s` until the write shows.

    Uncertain are a time-out, a broken connection, 408, 500, 502 and 504, and a good status with an unusable body.
    Found: the write is answered with 200, its document and the header `x-pagerproof-read-back`. Not found: the first
    error is handed on where another try is safe, which is where the service honours idempotency keys (`honours_keys`;
    of our services only payments) and for writes in `repeatable`; anywhere else the work may still be going on, and
    Uncertain is raised. The waits are choices of ours.
    """

    name = "read_back"

    def __init__(
        self,
        *,
        waits_s: tuple[float, ...] = (0.5, 4.0, 12.0),
        honours_keys: frozenset[str] = frozenset({"payments"}),
        repeatable: frozenset[str] = REPEATABLE,
    ) -> None:
        self.waits_s = waits_s
        self.honours_keys = honours_keys
        self.repeatable = repeatable

    def may_be_tried_again(self, operation: str, idempotency_key: str | None) -> bool:
        """Whether another try of this write can do no harm, though the first may still have its effect."""
        if operation in self.repeatable:
            return True
        return idempotency_key is not None and operation.partition(".")[0] in self.honours_keys

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        """Return `toolbox` with uncertain writes settled."""
        return _ReadingBack(self, toolbox, desk)


class _ReadingBack:
    __slots__ = ("_desk", "_inner", "_valve")

    def __init__(self, valve: ReadBack, inner: Toolbox, desk: Desk) -> None:
        self._valve = valve
        self._inner = inner
        self._desk = desk

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> Coroutine[Any, Any, ToolResult]:
        if operation in WRITES:
            return self._write(operation, arguments, timeout_s, idempotency_key, attempt)
        return self._inner.call(
            operation, arguments, timeout_s=timeout_s, idempotency_key=idempotency_key, attempt=attempt
        )

    async def _write(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        timeout_s: float | None,
        idempotency_key: str | None,
        attempt: int,
    ) -> ToolResult:
        result: ToolResult | None = None
        error: ToolError | None = None
        try:
            result = await self._inner.call(
                operation, arguments, timeout_s=timeout_s, idempotency_key=idempotency_key, attempt=attempt
            )
            if result.status not in _UNCERTAIN_STATUSES:
                return result
        except (ToolTimeout, ConnectionLost, BadAnswer) as raised:
            error = raised
        found = await self._settle(operation, arguments)
        if found is not None:
            return ToolResult(operation, Answer(200, {READ_BACK_HEADER: "found"}, orjson.dumps(found)))
        if not self._valve.may_be_tried_again(operation, idempotency_key):
            raise Uncertain(operation, "the write was not acknowledged and does not show") from error
        if error is not None:
            raise error
        assert result is not None
        return result

    async def _settle(self, operation: str, arguments: Mapping[str, Any]) -> Document | None:
        if operation not in LOOKUPS:
            if operation in self._valve.repeatable:
                return None
            self._desk.mark("valve", ReadBack.name, f"{operation}: not acknowledged, and no read shows it")
            return None
        for wait_s in self._valve.waits_s:
            await self._desk.clock.sleep(wait_s)
            fate, document = await look(self._inner, operation, arguments)
            self._desk.mark("valve", ReadBack.name, f"{operation}: not acknowledged; looked it up: {fate}")
            if document is not None:
                return document
        return None
