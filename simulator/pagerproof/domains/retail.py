"""The tools of tau2-bench's retail domain, written by us from its policy and from the actions of its tasks.

The data folder of tau2-bench holds a database, tasks and a policy, and no tools: these are ours; where the policy is
silent they do what the tasks' own actions need. What the policy demands of a conversation (identification first, an
explicit yes) is the agent's business; what it demands of a record (status, same product, payment method, gift card
balance, one change of items or exchange an order) is refused here.
"""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, DivisionByZero, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

from pagerproof.domains.records import Record, Records
from pagerproof.domains.toolset import Action, writes

CANCEL_REASONS: Final = ("no longer needed", "ordered by mistake")
ITEMS_MODIFIED: Final = "pending (items modified)"
_ADDRESS: Final = ("address1", "address2", "city", "state", "country", "zip")
_EXPRESSION_MAX: Final = 200
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[Decimal, Decimal], Decimal]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


# --- reads


def find_user_id_by_email(db: Records, email: str) -> Record:
    """Find a user id by e-mail address."""
    wanted = email.casefold()
    for user in db.rows("users"):
        if user["email"].casefold() == wanted:
            return {"user_id": user["user_id"]}
    raise LookupError("user not found")


def find_user_id_by_name_zip(db: Records, first_name: str, last_name: str, zip: str) -> Record:
    """Find a user id by first name, last name and zip code."""
    wanted = (first_name.casefold(), last_name.casefold(), zip)
    for user in db.rows("users"):
        name = user["name"]
        if (name["first_name"].casefold(), name["last_name"].casefold(), user["address"]["zip"]) == wanted:
            return {"user_id": user["user_id"]}
    raise LookupError("user not found")


def get_user_details(db: Records, user_id: str) -> Record:
    """Read a user: name, address, payment methods and order ids."""
    return _found(db, "users", user_id, "user")


def get_order_details(db: Records, order_id: str) -> Record:
    """Read an order: items, status, address, fulfilments and payment history."""
    return _found(db, "orders", order_id, "order")


def get_product_details(db: Records, product_id: str) -> Record:
    """Read a product and its variants."""
    return _found(db, "products", product_id, "product")


def get_item_details(db: Records, item_id: str) -> Record:
    """Read one variant of a product by its item id."""
    for product in db.rows("products"):
        variant: Record | None = product["variants"].get(item_id)
        if variant is not None:
            return variant
    raise LookupError("item not found")


def list_all_product_types(db: Records) -> Record:
    """List the names of all products with their product ids."""
    return {product["name"]: product["product_id"] for product in sorted(db.rows("products"), key=lambda p: p["name"])}


def calculate(_db: Records, expression: str) -> Record:
    """Work out an expression of numbers, + - * / and parentheses, to two decimals."""
    if len(expression) > _EXPRESSION_MAX:
        raise ValueError("the expression is too long")
    try:
        value = _value_of(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, InvalidOperation, DivisionByZero) as error:
        raise ValueError(f"the expression cannot be worked out: {error}") from None
    return {"result": str(round(value, 2))}


def think(_db: Records, thought: str) -> Record:  # noqa: ARG001  # the thought is only for whoever reads the trace
    """Write down a thought; nothing is read or changed."""
    return {"noted": True}


def transfer_to_human_agents(_db: Records, summary: str) -> Record:
    """Hand the user over to a human agent, with a summary."""
    return {"transferred": True, "summary": summary}


# --- writes


@writes("order_id")
def cancel_pending_order(db: Records, order_id: str, reason: str) -> Record:
    """Cancel a pending order and refund what was paid."""
    _must_be(_found(db, "orders", order_id, "order"), "pending", "cancelled")
    if reason not in CANCEL_REASONS:
        raise ValueError(f"the reason must be one of {' or '.join(map(repr, CANCEL_REASONS))}")
    order = db.change("orders", order_id)
    for payment in [each for each in order["payment_history"] if each["transaction_type"] == "payment"]:
        _refund(db, order, payment["payment_method_id"], payment["amount"])
    order["status"] = "cancelled"
    order["cancel_reason"] = reason
    return order


@writes("order_id")
def modify_pending_order_address(
    db: Records, order_id: str, address1: str, city: str, state: str, country: str, zip: str, address2: str = ""
) -> Record:
    """Change the shipping address of a pending order."""
    _must_be_pending(_found(db, "orders", order_id, "order"))
    order = db.change("orders", order_id)
    order["address"] = dict(zip_of(_ADDRESS, (address1, address2, city, state, country, zip)))
    return order


@writes("order_id")
def modify_pending_order_items(
    db: Records, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> Record:
    """Replace items of a pending order by other variants of the same products; once an order."""
    _must_be(_found(db, "orders", order_id, "order"), "pending", "modified")
    swaps, difference = _swaps(db, order_id, item_ids, new_item_ids)
    order = db.change("orders", order_id)
    _check_payment(db, order, payment_method_id, difference)
    if difference > 0:
        _pay(db, order, payment_method_id, difference)
    elif difference < 0:
        _refund(db, order, payment_method_id, -difference)
    for place, variant in swaps:
        item = order["items"][place]
        item["item_id"], item["price"], item["options"] = variant["item_id"], variant["price"], variant["options"]
    order["status"] = ITEMS_MODIFIED
    return order


@writes("order_id")
def modify_pending_order_payment(db: Records, order_id: str, payment_method_id: str) -> Record:
    """Pay a pending order by another payment method; the first one is refunded."""
    order = _found(db, "orders", order_id, "order")
    _must_be_pending(order)
    history = order["payment_history"]
    if len(history) != 1 or history[0]["transaction_type"] != "payment":
        raise ValueError("there must be exactly one payment for the order")
    first, amount = history[0]["payment_method_id"], history[0]["amount"]
    if payment_method_id == first:
        raise ValueError("the new payment method must be another one than the current one")
    _check_payment(db, order, payment_method_id, amount)
    order = db.change("orders", order_id)
    _pay(db, order, payment_method_id, amount)
    _refund(db, order, first, amount)
    return order


@writes("user_id")
def modify_user_address(
    db: Records, user_id: str, address1: str, city: str, state: str, country: str, zip: str, address2: str = ""
) -> Record:
    """Change the default address of a user."""
    _found(db, "users", user_id, "user")
    user = db.change("users", user_id)
    user["address"] = dict(zip_of(_ADDRESS, (address1, address2, city, state, country, zip)))
    return user


@writes("order_id")
def return_delivered_order_items(db: Records, order_id: str, item_ids: list[str], payment_method_id: str) -> Record:
    """Request the return of items of a delivered order; once an order."""
    found = _found(db, "orders", order_id, "order")
    _must_be(found, "delivered", "returned")
    method = _payment_method(db, found, payment_method_id)
    if method["source"] != "gift_card" and payment_method_id != found["payment_history"][0]["payment_method_id"]:
        raise ValueError("the refund must go to the original payment method or to a gift card")
    _places(found, item_ids)
    order = db.change("orders", order_id)
    order["status"] = "return requested"
    order["return_items"] = sorted(item_ids)
    order["return_payment_method_id"] = payment_method_id
    return order


@writes("order_id")
def exchange_delivered_order_items(
    db: Records, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> Record:
    """Request the exchange of items of a delivered order for other variants of the same products; once an order."""
    found = _found(db, "orders", order_id, "order")
    _must_be(found, "delivered", "exchanged")
    _, difference = _swaps(db, order_id, item_ids, new_item_ids)
    _check_payment(db, found, payment_method_id, difference)
    order = db.change("orders", order_id)
    order["status"] = "exchange requested"
    order["exchange_items"] = sorted(item_ids)
    order["exchange_new_items"] = sorted(new_item_ids)
    order["exchange_payment_method_id"] = payment_method_id
    order["exchange_price_difference"] = difference
    return order


# --- what the policy demands


def _found(db: Records, table: str, key: str, what: str) -> Record:
    record = db.get(table, key)
    if record is None:
        raise LookupError(f"{what} not found")
    return record


def _must_be(order: Record, status: str, done: str) -> None:
    if order["status"] != status:
        raise ValueError(f"order {order['order_id']} is {order['status']}: only a {status} one can be {done}")


def _must_be_pending(order: Record) -> None:
    _must_be(order, "pending", "modified")


def _payment_method(db: Records, order: Record, payment_method_id: str) -> Record:
    method: Record | None = _found(db, "users", order["user_id"], "user")["payment_methods"].get(payment_method_id)
    if method is None:
        raise LookupError("payment method not found")
    return method


def _check_payment(db: Records, order: Record, payment_method_id: str, amount: float) -> None:
    method = _payment_method(db, order, payment_method_id)
    if method["source"] == "gift_card" and method["balance"] < amount:
        raise ValueError(f"the gift card's balance of {method['balance']} does not cover {amount}")


def _places(order: Record, item_ids: Sequence[str]) -> list[int]:
    """Return where these items stand in the order, each taken once."""
    if not item_ids or not all(isinstance(item_id, str) for item_id in item_ids):
        raise ValueError("the items must be named by their item ids")
    there: dict[str, list[int]] = {}
    for place, item in enumerate(order["items"]):
        there.setdefault(item["item_id"], []).append(place)
    for item_id, wanted in Counter(item_ids).items():
        if wanted > len(there.get(item_id, ())):
            raise ValueError(f"order {order['order_id']} has no {wanted} of item {item_id}")
    return [there[item_id].pop(0) for item_id in item_ids]


def _swaps(
    db: Records, order_id: str, item_ids: Sequence[str], new_item_ids: Sequence[str]
) -> tuple[list[tuple[int, Record]], float]:
    """Return (place in the order, new variant) of each swap, and the difference in price, positive if to be paid."""
    order = _found(db, "orders", order_id, "order")
    if len(item_ids) != len(new_item_ids):
        raise ValueError("there must be as many new items as items")
    swaps: list[tuple[int, Record]] = []
    difference = 0.0
    for place, new_item_id in zip(_places(order, item_ids), new_item_ids, strict=True):
        item = order["items"][place]
        variant = _found(db, "products", item["product_id"], "product")["variants"].get(new_item_id)
        if variant is None:
            raise ValueError(f"item {new_item_id} is no variant of {item['name']}")
        if not variant["available"]:
            raise ValueError(f"item {new_item_id} is not available")
        if new_item_id == item["item_id"]:
            raise ValueError(f"item {new_item_id} must be another one than the present one")
        swaps.append((place, variant))
        difference += variant["price"] - item["price"]
    return swaps, round(difference, 2)


def _pay(db: Records, order: Record, payment_method_id: str, amount: float) -> None:
    _book(db, order, "payment", payment_method_id, amount, -amount)


def _refund(db: Records, order: Record, payment_method_id: str, amount: float) -> None:
    _book(db, order, "refund", payment_method_id, amount, amount)


def _book(db: Records, order: Record, kind: str, payment_method_id: str, amount: float, to_card: float) -> None:
    order["payment_history"].append(
        {"transaction_type": kind, "amount": round(amount, 2), "payment_method_id": payment_method_id}
    )
    if _payment_method(db, order, payment_method_id)["source"] == "gift_card":
        card = db.change("users", order["user_id"])["payment_methods"][payment_method_id]
        card["balance"] = round(card["balance"] + to_card, 2)


def _value_of(node: ast.expr) -> Decimal:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return Decimal(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value_of(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value_of(left), _value_of(right))
    raise ValueError("the expression may hold numbers, + - * / and parentheses only")


def zip_of(names: Sequence[str], values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return names and values pairwise; `zip` itself is an argument's name here."""
    return ((name, values[at]) for at, name in enumerate(names))


# --- what has to go before a gold action that the tasks do not list


def before(db: Records, name: str, arguments: Mapping[str, Any], done: Sequence[Action], text: str) -> list[Action]:
    """Return the reads that the policy demands before a write: who is it, and how does the order stand."""
    if name not in TOOLS or not getattr(TOOLS[name], "writes", ""):
        return []
    order_id = arguments.get("order_id")
    order = db.get("orders", order_id) if isinstance(order_id, str) else None
    user = db.get("users", str(arguments.get("user_id") if order is None else order["user_id"]))
    reads: list[Action] = []
    if user is not None and not any(each.startswith("find_user_id") for each, _ in done):
        names = user["name"]
        who = {"first_name": names["first_name"], "last_name": names["last_name"], "zip": user["address"]["zip"]}
        by_email = user["email"] in text
        reads.append(
            ("find_user_id_by_email", {"email": user["email"]}) if by_email else ("find_user_id_by_name_zip", who)
        )
    look = ("get_order_details", {"order_id": order_id})
    if order is not None and look not in done:
        reads.append(look)
    return reads


TOOLS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        each.__name__: each
        for each in (
            find_user_id_by_email,
            find_user_id_by_name_zip,
            get_user_details,
            get_order_details,
            get_product_details,
            get_item_details,
            list_all_product_types,
            calculate,
            think,
            cancel_pending_order,
            modify_pending_order_address,
            modify_pending_order_items,
            modify_pending_order_payment,
            modify_user_address,
            exchange_delivered_order_items,
            return_delivered_order_items,
            transfer_to_human_agents,
        )
    }
)
"""Every tool by its name."""
