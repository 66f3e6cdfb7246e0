"""Draws the facts of a request: the value of every slot, from its order, its customer and its key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from pagerproof.model import Customer
from pagerproof.rng import below, pick, sub_key
from pagerproof.workload.customers import phone_number
from pagerproof.workload.money import cents_of, money
from pagerproof.workload.world import PLANS, PRODUCTS, SyntheticWorld

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


def slots_of(
    key: int, order: Mapping[str, Any], customer: Customer, world: SyntheticWorld, wanted: frozenset[str]
) -> dict[str, str]:
    """Return the slots of a request, as pure function of the arguments; `order` may be somebody else's.

    Slots of `OPTIONAL_SLOTS` are there, group by group, where one of the group is wanted.
    """
    item = order["items"][0]
    slots = {
        "name": customer.name,
        "email": customer.email,
        "phone": customer.phone,
        "customer_id": customer.customer_id,
        "business_partner": customer.business_partner,
        "tier": customer.tier,
        "plan": order["plan"],
        "street": customer.street,
        "city": customer.city,
        "postcode": customer.postcode,
        "country": customer.country,
        "order_id": order["order_id"],
        "sales_order": order["sales_order"],
        "payment_id": order["payment_id"],
        "billing_document": order["billing_document"],
        "amount": order["total"],
        "currency": order["currency"],
        "status": order["status"],
        "carrier": order["carrier"],
        "tracking": order["tracking"],
        "eta": order["eta"],
        "sku": item["sku"],
        "item_name": item["name"],
        "item_price": item["price"],
        "material": item["material"],
    }
    if not wanted.isdisjoint(_NEW_ADDRESS):
        _add_new_address(slots, key, customer, world)
    if not wanted.isdisjoint(_NEW_PRODUCT):
        _add_new_product(slots, key, order, world)
    if not wanted.isdisjoint(_NUMBERS):
        _add_numbers(slots, key, order)
    if not wanted.isdisjoint(_WISHES):
        _add_wishes(slots, key, order, customer)
    return slots


_NEW_ADDRESS: Final = frozenset({"new_street", "new_city", "new_postcode", "new_country"})
_NEW_PRODUCT: Final = frozenset({"new_sku", "new_item_name", "new_item_price", "new_material"})
_NUMBERS: Final = frozenset({"quantity", "new_quantity", "second_payment_id", "billed_amount", "difference", "points"})
_WISHES: Final = frozenset({"new_plan", "new_phone", "new_email", "slot", "reason", "topic", "question"})
OPTIONAL_SLOTS: Final = _NEW_ADDRESS | _NEW_PRODUCT | _NUMBERS | _WISHES
"""Slots that a request has only where its intent uses them."""


def _add_new_address(slots: dict[str, str], key: int, customer: Customer, world: SyntheticWorld) -> None:
    """Somebody's address of the same locale; never the customer's own street."""
    other = pick(sub_key(key, b"address"), world.roster.pool.by_locale[customer.locale])
    slots["new_street"] = other.street if other.street != customer.street else f"{other.street} B"
    slots["new_city"] = other.city
    slots["new_postcode"] = other.postcode
    slots["new_country"] = other.country


def _add_new_product(slots: dict[str, str], key: int, order: Mapping[str, Any], world: SyntheticWorld) -> None:
    position = below(sub_key(key, b"product"), PRODUCTS)
    taken = [item["sku"] for item in order["items"]]
    while world.skus[position] in taken:
        position = (position + 1) % PRODUCTS
    product = world.product(world.skus[position])
    assert product is not None, "skus are those of the products"
    slots["new_sku"] = product["sku"]
    slots["new_item_name"] = product["name"]
    slots["new_item_price"] = product["price"]
    slots["new_material"] = product["material"]


def _add_numbers(slots: dict[str, str], key: int, order: Mapping[str, Any]) -> None:
    quantity: int = order["items"][0]["quantity"]
    payments = order["payments"]
    slots["quantity"] = str(quantity)
    slots["new_quantity"] = str(quantity + 1 + below(sub_key(key, b"more"), 3))
    slots["second_payment_id"] = payments[1]["payment_id"] if len(payments) > 1 else ""
    slots["billed_amount"] = order["billed_amount"]
    slots["difference"] = money(cents_of(order["billed_amount"]) - cents_of(order["total"]))
    slots["points"] = str(order["points"])


def _add_wishes(slots: dict[str, str], key: int, order: Mapping[str, Any], customer: Customer) -> None:
    slots["new_plan"] = PLANS[(PLANS.index(order["plan"]) + 1 + (key & 1)) % len(PLANS)]
    slots["new_phone"] = phone_number(sub_key(key, b"phone"), customer.country)
    slots["new_email"] = "new." + customer.email
    slots["slot"] = pick(sub_key(key, b"appointment"), _APPOINTMENTS)
    slots["reason"] = pick(sub_key(key, b"reason"), _REASONS)
    slots["topic"] = pick(sub_key(key, b"topic"), _TOPICS)
    slots["question"] = pick(sub_key(key, b"question"), _QUESTIONS)
