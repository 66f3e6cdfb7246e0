"""What the valves know about operations: which of them write, and when two calls mean the same thing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

WRITES: Final[frozenset[str]] = frozenset(
    {
        "crm.Customer.update_address",
        "crm.Customer.update_contact",
        "crm.Password.reset",
        "crm.Subscription.change",
        "crm.Subscription.cancel",
        "crm.Appointment.book",
        "crm.Ticket.create",
        "crm.Note.create",
        "orders.Order.cancel",
        "orders.Order.change_address",
        "orders.Order.change_item",
        "orders.Return.create",
        "orders.Exchange.create",
        "inventory.Stock.reserve",
        "payments.Refund.create",
        "sap.BusinessPartner.update_address",
        "sap.SalesOrder.create",
        "sap.SalesOrder.update_quantity",
        "sap.SalesOrder.cancel",
        "sap.SalesOrder.release_block",
        "sap.CreditMemo.create",
        "sap.SalesOrder.create_with_items",
        "sap.SalesOrder.add_item",
        "sap.SalesOrder.reject_item",
        "sap.SalesOrder.update_header",
        "sap.SalesOrder.delete",
        "sap.ChangeSet.apply",
    }
)
"""The operations that change a system of record; every other one is a read."""

_REMARKS: Final = frozenset({"reason", "etag"})  # Said in passing: another wording does not make another write.

Purpose = tuple[object, ...]


def purpose_of(operation: str, arguments: Mapping[str, Any]) -> Purpose:
    """Return a hashable value that two calls share if, and only if, they ask the same thing in the same words."""
    if len(arguments) == 1:
        ((name, value),) = arguments.items()
        if type(value) is str:
            return (operation, name, value)
    purpose = (operation, *sorted(arguments.items()))
    try:
        hash(purpose)
    except TypeError:
        return (operation, json.dumps(arguments, sort_keys=True, default=str))
    return purpose


def write_of(operation: str, arguments: Mapping[str, Any]) -> str:
    """Return the text that two writes share when they mean the same change: 129.8 is 129.80, remarks do not count."""
    words = [operation]
    for name in sorted(arguments):
        if name not in _REMARKS:
            value = arguments[name]
            words.append(f"{name}={decimal_text(value) if name == 'amount' else value}")
    return "\x1f".join(words)


def decimal_text(value: object) -> str:
    """Return a decimal in its shortest plain form, anything else as its text."""
    try:
        return format(Decimal(str(value)).normalize(), "f")
    except InvalidOperation:
        return str(value)


def same_amount(one: object, other: object) -> bool:
    """Whether both are finite decimals of the same value."""
    try:
        return Decimal(str(one)) == Decimal(str(other))
    except InvalidOperation:
        return False
