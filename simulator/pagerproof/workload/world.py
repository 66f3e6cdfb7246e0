"""The master data of the synthetic world: orders, customers and products as pure functions of the seed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final, TypedDict

from pagerproof.model import Customer
from pagerproof.rng import below, digits, key_of, pick, sub_key, unit
from pagerproof.workload.money import cents_of, money
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


def order_id_of(index: int) -> str:
    """Return the order id of the request at `index`."""
    return f"45{index:08d}"


def index_of(document: str) -> int:
    """Return the index to which an order id, sales order, payment id or billing document belongs; 0 for others."""
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
        self._lines = tuple(_lines_of(product) for product in self._products.values())
        self._subscribers: dict[str, tuple[str, int]] = {}
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
        index_key, intent, customer, _ = self.roster.cast(index)
        needs = intent.needs
        key = sub_key(index_key, b"order")
        items, cents = self._items(key, index)
        total = f"{cents // 100}.{cents % 100:02d}"
        payment_id = f"pay_{index:08d}"
        payments = [{"payment_id": payment_id, "amount": total, "status": "captured"}]
        if needs.charged_twice:
            payments.append({"payment_id": payment_id + "b", "amount": total, "status": "captured"})
        billed = total
        if needs.billed_too_much:
            billed = money(cents + 100 + below(sub_key(key, b"difference"), 4900))
        subscriber = self._subscribers.get(customer.customer_id) or self._subscriber(customer.customer_id)
        statuses = needs.status or _STATUSES
        # one key gives four draws of 16 bits: bias under 0.1 % for choices this small
        draws = sub_key(key, b"choices")
        return {
            "order_id": f"45{index:08d}",
            "sales_order": f"1{index:09d}",
            "payment_id": payment_id,
            "billing_document": f"90{index:08d}",
            "customer_id": customer.customer_id,
            "business_partner": customer.business_partner,
            "status": statuses[(draws & 0xFFFF) * len(statuses) >> 16],
            "currency": _CURRENCIES.get(customer.country, "EUR"),
            "total": total,
            "items": items,
            "payments": payments,
            "carrier": _CARRIERS[(draws >> 16 & 0xFFFF) * 4 >> 16],
            "tracking": "1Z" + digits(sub_key(key, b"tracking"), 10),
            "placed_on": _PLACED[(draws >> 32 & 0xFFFF) * len(_PLACED) >> 16],
            "eta": _EXPECTED[(draws >> 48) * len(_EXPECTED) >> 16],
            "delivery_block": "01" if needs.delivery_block else "",
            "billed_amount": billed,
            "plan": subscriber[0],
            "points": subscriber[1],
            "street": customer.street,
            "city": customer.city,
            "postcode": customer.postcode,
            "country": customer.country,
        }

    def _subscriber(self, customer_id: str) -> tuple[str, int]:
        key = key_of(self.seed, "subscriber", customer_id)
        found = (pick(sub_key(key, b"plan"), PLANS), below(sub_key(key, b"points"), 5000))
        self._subscribers[customer_id] = found
        return found

    def _items(self, key: int, index: int) -> tuple[list[dict[str, Any]], int]:
        """Return the lines and their total in cents; an amount fixed by the scenario becomes a single line's price."""
        draws = sub_key(key, b"items")
        first = (draws & 0xFFFF) * PRODUCTS >> 16
        override = self.roster.overrides.get(index)
        if override is not None and override.amount is not None:
            cents = cents_of(override.amount)
            line, _ = self._lines[first][0]
            return [{**line, "price": money(cents)}], cents
        line, cents = self._lines[first][_QUANTITIES[(draws >> 16 & 0xFF) * 10 >> 8] - 1]
        items = [line]
        for extra in range(1, _ITEM_COUNTS[(draws >> 24 & 0xFF) * 10 >> 8]):
            quantity = _QUANTITIES[(draws >> 24 + 8 * extra & 0xFF) * 10 >> 8]
            line, more = self._lines[(first + extra * 67) % PRODUCTS][quantity - 1]
            items.append(line)
            cents += more
        return items, cents


def _lines_of(product: dict[str, Any]) -> tuple[tuple[dict[str, Any], int], ...]:
    """Return (line, its amount in cents) for quantities 1, 2, …; orders share these lines, which nobody changes."""
    shared = {name: product[name] for name in ("sku", "name", "material", "price")}
    cents = cents_of(product["price"])
    return tuple(({**shared, "quantity": number}, cents * number) for number in range(1, max(_QUANTITIES) + 1))


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
