"""The facts of a request by name: what utterances mention, paths pass on and expectations compare with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from pagerproof.model import Customer
from pagerproof.rng import below, pick, sub_key
from pagerproof.workload.customers import phone_number
from pagerproof.workload.world import PLANS, PRODUCTS, SyntheticWorld, cents_of, money

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

_REASONS: Final = (
    "it does not fit", "it arrived damaged", "it is not what I expected", "I found it cheaper", "it came too late",
    "the color is wrong", "it was a gift", "it stopped working",
)  # fmt: skip
_TOPICS: Final = (
    "late delivery", "rude courier", "broken packaging", "unanswered e-mails", "wrong advice", "hidden fees",
    "repeated delays",
)  # fmt: skip
_QUESTIONS: Final = (
    "how to clean it", "how long the warranty is", "which parts come with it", "how much it weighs",
    "whether spare parts exist", "whether it may stand outdoors",
)  # fmt: skip
_APPOINTMENTS: Final = tuple(
    f"{(date(2026, 11, 25) + timedelta(days=day)).isoformat()}T{hour:02d}:00"
    for day in range(10)
    for hour in (9, 10, 11, 13, 14, 15, 16)
)


def slots_of(key: int, order: Mapping[str, Any], customer: Customer, world: SyntheticWorld) -> dict[str, str]:
    """Return the value of every slot, as pure function of the arguments; `order` may be somebody else's."""
    item = order["items"][0]
    payments = order["payments"]
    new_product = _new_product(key, order, world)
    moved = _new_address(key, customer, world)
    plan_at = PLANS.index(order["plan"])
    quantity: int = item["quantity"]
    return {
        "name": customer.name,
        "email": customer.email,
        "phone": customer.phone,
        "customer_id": customer.customer_id,
        "business_partner": customer.business_partner,
        "tier": customer.tier,
        "points": str(order["points"]),
        "plan": order["plan"],
        "new_plan": PLANS[(plan_at + 1 + (key & 1)) % 3],
        "street": customer.street,
        "city": customer.city,
        "postcode": customer.postcode,
        "country": customer.country,
        "new_street": moved[0],
        "new_city": moved[1].city,
        "new_postcode": moved[1].postcode,
        "new_country": moved[1].country,
        "new_phone": phone_number(sub_key(key, b"phone"), customer.country),
        "new_email": "new." + customer.email,
        "slot": pick(sub_key(key, b"appointment"), _APPOINTMENTS),
        "order_id": order["order_id"],
        "sales_order": order["sales_order"],
        "payment_id": order["payment_id"],
        "second_payment_id": payments[1]["payment_id"] if len(payments) > 1 else "",
        "billing_document": order["billing_document"],
        "amount": order["total"],
        "billed_amount": order["billed_amount"],
        "difference": money(cents_of(order["billed_amount"]) - cents_of(order["total"])),
        "currency": order["currency"],
        "status": order["status"],
        "carrier": order["carrier"],
        "tracking": order["tracking"],
        "eta": order["eta"],
        "sku": item["sku"],
        "item_name": item["name"],
        "item_price": item["price"],
        "material": item["material"],
        "quantity": str(quantity),
        "new_quantity": str(quantity + 1 + below(sub_key(key, b"more"), 3)),
        "new_sku": new_product["sku"],
        "new_item_name": new_product["name"],
        "new_item_price": new_product["price"],
        "new_material": new_product["material"],
        "reason": pick(sub_key(key, b"reason"), _REASONS),
        "topic": pick(sub_key(key, b"topic"), _TOPICS),
        "question": pick(sub_key(key, b"question"), _QUESTIONS),
    }


def _new_product(key: int, order: Mapping[str, Any], world: SyntheticWorld) -> dict[str, Any]:
    position = below(sub_key(key, b"product"), PRODUCTS)
    taken = {item["sku"] for item in order["items"]}
    while world.skus[position] in taken:
        position = (position + 1) % PRODUCTS
    product = world.product(world.skus[position])
    assert product is not None
    return product


def _new_address(key: int, customer: Customer, world: SyntheticWorld) -> tuple[str, Customer]:
    """Return (street, somebody of the same locale who lives there); never the customer's own street."""
    neighbours = world.roster.pool.by_locale[customer.locale]
    other = pick(sub_key(key, b"address"), neighbours)
    street = other.street if other.street != customer.street else f"{other.street} B"
    return street, other
