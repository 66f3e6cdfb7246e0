"""The master data of the synthetic world: orders, customers and products as pure functions of the seed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final, TypedDict

from pagerproof.model import Customer
from pagerproof.rng import below, digits, key_of, pick, sub_key, unit
from pagerproof.workload.roster import Roster

PRODUCTS: Final = 200
ORDERS_REMEMBERED: Final = 4096
PLANS: Final = ("basic", "plus", "premium")

# Currencies with two decimals only, so that a minor unit is a hundredth everywhere.
_CURRENCIES: Final = {"US": "USD", "PL": "PLN", "GB": "GBP", "CA": "CAD", "AU": "AUD", "CH": "CHF"}
_MATERIALS: Final = ("Oak", "Linen", "Steel", "Copper", "Walnut", "Wool", "Glass", "Cork", "Bamboo", "Enamel")
_THINGS: Final = (
    "Desk Lamp", "Kettle", "Backpack", "Armchair", "Teapot", "Bookshelf", "Blanket", "Speaker", "Clock", "Stool",
    "Mirror", "Pan", "Router", "Headset", "Keyboard", "Suitcase", "Raincoat", "Bicycle Bell", "Planter", "Toolbox",
)  # fmt: skip
_CARRIERS: Final = ("UPS", "DHL", "DPD", "GLS")
_STATUSES: Final = ("open",) * 3 + ("processing",) * 3 + ("shipped",) * 6 + ("delivered",) * 7 + ("cancelled",)
_QUANTITIES: Final = (1, 1, 1, 1, 1, 1, 2, 2, 3, 4)
_ITEM_COUNTS: Final = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3)
_PLACED: Final = tuple((date(2026, 10, 1) + timedelta(days=day)).isoformat() for day in range(45))
_EXPECTED: Final = tuple((date(2026, 11, 21) + timedelta(days=day)).isoformat() for day in range(14))


class Item(TypedDict):
    """One line of an order; `price` is decimal text for one piece."""

    sku: str
    name: str
    material: str
    quantity: int
    price: str


class Charge(TypedDict):
    """One payment of an order."""

    payment_id: str
    amount: str
    status: str


class OrderRecord(TypedDict):
    """An order as it stood when its request arrived; amounts are decimal text with two decimals."""

    order_id: str
    sales_order: str
    payment_id: str
    billing_document: str
    customer_id: str
    business_partner: str
    status: str  # open | processing | shipped | delivered | cancelled
    currency: str
    total: str
    items: list[Item]
    payments: list[Charge]  # two where the customer was charged twice
    carrier: str
    tracking: str
    placed_on: str
    eta: str
    delivery_block: str  # "" or "01"
    billed_amount: str  # differs from total where the invoice is wrong
    plan: str  # the customer's, the same in all their orders
    points: int  # the customer's, the same in all their orders
    street: str
    city: str
    postcode: str
    country: str


def money(cents: int) -> str:
    """Return decimal text such as 129.80."""
    return f"{cents // 100}.{cents % 100:02d}"


def cents_of(amount: str) -> int:
    """Return the minor units of non-negative decimal text with at most two decimals."""
    whole, _, fraction = amount.partition(".")
    return int(whole) * 100 + int((fraction + "00")[:2])


def order_id_of(index: int) -> str:
    """Return the order id of the request at `index`."""
    return f"45{index:08d}"


def index_of(document: str) -> int:
    """Return the index that an order id, sales order, payment id or billing document belongs to; 0 for anything else."""
    if not document.isascii():
        return 0
    if document.startswith("pay_"):
        figures = document[4:-1] if document.endswith("b") else document[4:]
        expected = 8
    elif document.startswith(("45", "90")):
        figures, expected = document[2:], 8
    elif document.startswith("1"):
        figures, expected = document[1:], 9
    else:
        return 0
    return int(figures) if len(figures) == expected and figures.isdigit() else 0


class SyntheticWorld:
    """Serves `Directory`. Orders are made when asked for and the last few thousand kept; forgetting changes nothing."""

    def __init__(self, seed: int, roster: Roster) -> None:
        self.seed = seed
        self.roster = roster
        self._customers = roster.pool
        self._remembered: dict[int, dict[str, Any]] = {}
        self._products = _make_products(seed)
        self.skus = tuple(self._products)
        self._by_material = {product["material"]: product for product in self._products.values()}

    def order(self, order_id: str) -> dict[str, Any] | None:
        """The order that an order id, sales order, payment id or billing document names, or None."""
        index = index_of(order_id)
        if index < 1:
            return None
        order = self.order_at(index)
        if order_id.endswith("b") and len(order["payments"]) < 2:
            return None
        return order

    def customer(self, customer_id: str) -> Customer | None:
        """The customer with this id, or None."""
        return self._customers.by_id.get(customer_id)

    def customer_by_email(self, email: str) -> Customer | None:
        """The customer with this e-mail address, or None."""
        return self._customers.by_email.get(email)

    def product(self, sku: str) -> dict[str, Any] | None:
        """The product with this sku or material number, or None."""
        return self._products.get(sku) or self._by_material.get(sku)

    def order_at(self, index: int) -> dict[str, Any]:
        """The order of the request at `index` (from 1)."""
        remembered = self._remembered
        order = remembered.get(index)
        if order is None:
            if len(remembered) >= ORDERS_REMEMBERED:
                del remembered[next(iter(remembered))]
            order = remembered[index] = self._make_order(index)
        return order

    def _make_order(self, index: int) -> dict[str, Any]:
        intent, customer, _ = self.roster.cast(index)
        needs = intent.needs
        key = sub_key(key_of(self.seed, index), b"order")
        override = self.roster.overrides.get(index)
        amount = override.amount if override is not None else None
        items, cents = self._items(key, amount)
        total = money(cents)
        payment_id = f"pay_{index:08d}"
        payments = [{"payment_id": payment_id, "amount": total, "status": "captured"}]
        if needs.charged_twice:
            payments.append({"payment_id": payment_id + "b", "amount": total, "status": "captured"})
        billed = total
        if needs.billed_too_much:
            billed = money(cents + 100 + below(sub_key(key, b"difference"), 4900))
        customer_key = key_of(self.seed, "subscriber", customer.customer_id)
        return {
            "order_id": f"45{index:08d}",
            "sales_order": f"1{index:09d}",
            "payment_id": payment_id,
            "billing_document": f"90{index:08d}",
            "customer_id": customer.customer_id,
            "business_partner": customer.business_partner,
            "status": pick(sub_key(key, b"status"), needs.status or _STATUSES),
            "currency": _CURRENCIES.get(customer.country, "EUR"),
            "total": total,
            "items": items,
            "payments": payments,
            "carrier": pick(sub_key(key, b"carrier"), _CARRIERS),
            "tracking": "1Z" + digits(sub_key(key, b"tracking"), 10),
            "placed_on": pick(sub_key(key, b"placed"), _PLACED),
            "eta": pick(sub_key(key, b"eta"), _EXPECTED),
            "delivery_block": "01" if needs.delivery_block else "",
            "billed_amount": billed,
            "plan": pick(sub_key(customer_key, b"plan"), PLANS),
            "points": below(sub_key(customer_key, b"points"), 5000),
            "street": customer.street,
            "city": customer.city,
            "postcode": customer.postcode,
            "country": customer.country,
        }

    def _items(self, key: int, amount: str | None) -> tuple[list[dict[str, Any]], int]:
        """Return the lines and their total; an amount fixed by the scenario becomes the price of a single line."""
        first = below(sub_key(key, b"product"), PRODUCTS)
        if amount is not None:
            product = self._products[self.skus[first]]
            return [_line(product, 1, money(cents_of(amount)))], cents_of(amount)
        items = []
        cents = 0
        quantity_key = sub_key(key, b"quantity")
        for line in range(pick(sub_key(key, b"lines"), _ITEM_COUNTS)):
            product = self._products[self.skus[(first + line * 67) % PRODUCTS]]
            quantity = _QUANTITIES[(quantity_key >> (line * 8)) % 10]
            items.append(_line(product, quantity, product["price"]))
            cents += quantity * cents_of(product["price"])
        return items, cents


def _line(product: dict[str, Any], quantity: int, price: str) -> dict[str, Any]:
    return {
        "sku": product["sku"],
        "name": product["name"],
        "material": product["material"],
        "quantity": quantity,
        "price": price,
    }


def _make_products(seed: int) -> dict[str, dict[str, Any]]:
    products = {}
    for number in range(PRODUCTS):
        key = key_of(seed, "product", number)
        sku = f"SKU-{1000 + number}"
        cents = round(900 * 40 ** unit(sub_key(key, b"price")))
        products[sku] = {
            "sku": sku,
            "name": f"{_MATERIALS[number % 10]} {_THINGS[number // 10]}",
            "material": f"MAT-{1000 + number}",
            "price": money(cents - cents % 10),
            "currency": "EUR",
            "plant": pick(sub_key(key, b"plant"), ("1010", "1020", "1710")),
            "stock": 120 + below(sub_key(key, b"stock"), 780),
        }
    return products
