"""The facts of a request by name: what utterances mention, paths pass on and expectations compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SLOT_NAMES: Final[Mapping[str, str]] = {
    "name": "the customer's name",
    "email": "the customer's e-mail address",
    "phone": "the customer's phone number on file",
    "customer_id": "the customer's id",
    "business_partner": "the customer's SAP business partner",
    "tier": "the customer's loyalty tier",
    "points": "the customer's loyalty points",
    "plan": "the customer's plan",
    "new_plan": "another plan",
    "street": "street of the address on file",
    "city": "city of the address on file",
    "postcode": "postcode of the address on file; proves identity",
    "country": "country of the address on file",
    "new_street": "street of a new address",
    "new_city": "city of a new address",
    "new_postcode": "postcode of a new address",
    "new_country": "country of a new address",
    "new_phone": "a new phone number",
    "new_email": "a new e-mail address",
    "slot": "the appointment the customer wishes, such as 2026-11-25T09:00",
    "order_id": "the order this request is about",
    "sales_order": "its SAP sales order",
    "payment_id": "its payment",
    "second_payment_id": "its second payment, empty where it was charged once",
    "billing_document": "its SAP billing document",
    "amount": "its total",
    "billed_amount": "what its invoice says",
    "difference": "what its invoice says beyond the total",
    "currency": "its currency",
    "status": "its status",
    "carrier": "its carrier",
    "tracking": "its tracking number",
    "eta": "when it is expected",
    "sku": "its first item",
    "item_name": "the first item's name",
    "item_price": "the first item's price",
    "material": "the first item's SAP material",
    "quantity": "the first item's quantity",
    "new_quantity": "another quantity, larger by up to three",
    "new_sku": "a product that is not in the order",
    "new_item_name": "that product's name",
    "new_item_price": "that product's price",
    "new_material": "that product's SAP material",
    "reason": "why, in a few words",
    "topic": "what a complaint is about",
    "question": "what the customer would like to know about the first item",
}
"""Every slot with what it holds."""

ORDER_SLOTS: Final = frozenset({"order_id", "sales_order", "payment_id", "second_payment_id", "billing_document"})
"""Slots that name the order or one of its documents."""
