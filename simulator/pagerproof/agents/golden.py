"""The golden policy of the hardened agent: which operations each kind of request takes, in which order.

Declared from a contact center's runbooks, not learned from a run; it has no opinion on an intent that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final

_FIND = "crm.Customer.find"
_VERIFY = "crm.Customer.verify"
_ORDER = "orders.Order.get"
_NOTE = "crm.Note.create"

PATHS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "order_status": (_FIND, _ORDER, "sap.SalesOrder.get"),
        "shipment_tracking": (_FIND, _ORDER, "orders.Shipment.track", _NOTE),
        "delivery_date": (_FIND, _ORDER, "orders.Shipment.track"),
        "address_change": (
            _FIND,
            _VERIFY,
            "crm.Customer.update_address",
            "sap.BusinessPartner.get",
            "sap.BusinessPartner.update_address",
            _NOTE,
        ),
        "contact_change": (_FIND, _VERIFY, "crm.Customer.update_contact", _NOTE),
        "email_change": (_FIND, _VERIFY, "crm.Customer.update_contact"),
        "password_reset": (_FIND, _VERIFY, "crm.Password.reset", _NOTE),
        "delivery_address_change": (_FIND, _VERIFY, _ORDER, "orders.Order.change_address", _NOTE),
        "item_change": (_FIND, _ORDER, "inventory.Stock.get", "orders.Order.change_item"),
        "order_cancel": (_FIND, _VERIFY, _ORDER, "orders.Order.cancel", "sap.SalesOrder.cancel"),
        "return_item": (_FIND, _ORDER, "kb.Policy.get", "orders.Return.create"),
        "refund": (_FIND, _VERIFY, _ORDER, "sap.CreditMemo.create", "payments.Refund.create", _NOTE),
        "exchange": (_FIND, _ORDER, "inventory.Stock.get", "orders.Exchange.create"),
        "refund_status": (_FIND, _ORDER, "payments.Refund.find", "sap.CreditMemo.find"),
        "invoice_dispute": (_FIND, _ORDER, "sap.BillingDocument.get", "sap.CreditMemo.create", _NOTE),
        "duplicate_charge": (_FIND, _ORDER, "payments.Payment.list", "payments.Refund.create", _NOTE),
        "damaged_goods_credit": (_FIND, _ORDER, "kb.Policy.get", "sap.CreditMemo.create", _NOTE),
        "invoice_copy": (_FIND, _VERIFY, _ORDER, "sap.BillingDocument.get"),
        "payment_status": (_FIND, _ORDER, "payments.Payment.get"),
        "stock_check": ("inventory.Product.get", "inventory.Stock.get", "sap.MaterialStock.get"),
        "stock_reserve": (_FIND, _ORDER, "inventory.Stock.get", "inventory.Stock.reserve"),
        "sales_order_create": (
            _FIND,
            "inventory.Product.get",
            "sap.MaterialStock.get",
            "sap.SalesOrder.create",
            _NOTE,
        ),
        "sales_order_change": (_FIND, _ORDER, "sap.SalesOrder.get", "sap.SalesOrder.update_quantity"),
        "sales_order_cancel": (_FIND, "sap.SalesOrder.get", "sap.SalesOrder.cancel", _NOTE),
        "delivery_block_release": (
            _FIND,
            _ORDER,
            "sap.SalesOrder.get",
            "payments.Payment.get",
            "sap.SalesOrder.release_block",
        ),
        "plan_change": (_FIND, _VERIFY, "crm.Subscription.get", "crm.Subscription.change", _NOTE),
        "plan_cancel": (_FIND, _VERIFY, "crm.Subscription.get", "crm.Subscription.cancel", _NOTE),
        "plan_question": (_FIND, "crm.Subscription.get", "kb.Article.search"),
        "loyalty_points": (_FIND, "crm.Loyalty.get", "kb.Policy.get"),
        "appointment": (_FIND, "crm.Appointment.slots", "crm.Appointment.book", _NOTE),
        "complaint": (_FIND, _ORDER, "crm.Ticket.create", _NOTE),
        "warranty_claim": (_FIND, _ORDER, "inventory.Product.get", "kb.Policy.get", "crm.Ticket.create"),
        "product_question": ("inventory.Product.get", "kb.Article.search"),
        "return_policy": ("kb.Policy.get", "kb.Article.search"),
    }
)
"""Operations by intent."""


@lru_cache(maxsize=1024)
def path_of(intents: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the operations for these intents together, or None where one of them is not known."""
    if not intents or any(intent not in PATHS for intent in intents):
        return None
    return tuple(dict.fromkeys(operation for intent in intents for operation in PATHS[intent]))


def still_to_do(intents: Sequence[str], done: Sequence[str]) -> Sequence[str] | None:
    """Return the operations of these intents that have not been done yet, in order; None without an opinion."""
    path = path_of(tuple(intents))
    if path is None:
        return None
    return [operation for operation in path if operation not in done]
