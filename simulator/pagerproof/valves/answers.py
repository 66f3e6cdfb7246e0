"""What a good answer of each operation must contain: fields, their types, and which of them must echo the question."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pagerproof.valves.purposes import same_amount

Check = Callable[[Any], bool]
Same = Callable[[Any, Any], bool]

_DECIMAL = re.compile(r"\d{1,13}(?:\.\d{1,14})?").fullmatch
_ABOVE_ZERO = re.compile(r"(?=[0.]*[1-9])\d{1,13}(?:\.\d{1,14})?").fullmatch


def is_text(value: Any) -> bool:
    """A string with something in it."""
    return type(value) is str and value != ""


def is_string(value: Any) -> bool:
    """A string, perhaps empty."""
    return type(value) is str


def is_amount(value: Any) -> bool:
    """Decimal text from zero, as systems of record write money."""
    return type(value) is str and _DECIMAL(value) is not None


def is_money(value: Any) -> bool:
    """Decimal text above zero."""
    return type(value) is str and _ABOVE_ZERO(value) is not None


def is_currency(value: Any) -> bool:
    """Three capital letters."""
    return type(value) is str and len(value) == 3 and value.isalpha() and value.isupper()


def is_count(value: Any) -> bool:
    """An integer from zero; true and false are none."""
    return type(value) is int and value >= 0


def is_flag(value: Any) -> bool:
    """True or false."""
    return type(value) is bool


def is_true(value: Any) -> bool:
    """True itself."""
    return value is True


def is_list(value: Any) -> bool:
    """A list, perhaps empty."""
    return type(value) is list


def is_address(value: Any) -> bool:
    """An object with street, city, postcode and country as strings."""
    return type(value) is dict and all(
        type(value.get(name)) is str for name in ("street", "city", "postcode", "country")
    )


def is_items(value: Any) -> bool:
    """At least one item, each with a SKU, a quantity and a price above zero."""
    if type(value) is not list or not value:
        return False
    for item in value:
        if type(item) is not dict:
            return False
        quantity = item.get("quantity")
        if type(quantity) is not int or quantity < 0 or not is_text(item.get("sku")) or not is_money(item.get("price")):
            return False
    return True


def is_cancelled(value: Any) -> bool:
    """The status that a cancelled order has."""
    return type(value) is str and value == "cancelled"


def same_text(asked: Any, answered: Any) -> bool:
    """The same text."""
    return str(asked) == str(answered)


def same_letters(asked: Any, answered: Any) -> bool:
    """The same text but for case and outer space, as with e-mail addresses."""
    return str(asked).strip().casefold() == str(answered).strip().casefold()


def same_article(asked: Any, answered: Any) -> bool:
    """The same article: SKU-1042 and MAT-1042 are one."""
    return str(asked) == str(answered) or str(asked).rpartition("-")[2] == str(answered).rpartition("-")[2]


_KINDS: Final[Mapping[str, tuple[Check, str]]] = MappingProxyType(
    {
        "text": (is_text, "text"),
        "string": (is_string, "a string"),
        "amount": (is_amount, "decimal text"),
        "money": (is_money, "decimal text above 0"),
        "currency": (is_currency, "a currency code"),
        "count": (is_count, "a whole number from 0"),
        "flag": (is_flag, "true or false"),
        "true": (is_true, "true"),
        "list": (is_list, "a list"),
        "address": (is_address, "an address"),
        "items": (is_items, "a list of items"),
        "cancelled": (is_cancelled, "the word cancelled"),
    }
)
_SAME: Final[Mapping[str, Same]] = MappingProxyType(
    {"=": same_text, "~": same_letters, "article": same_article, "amount": same_amount}
)


class Shape:
    """The shape of one operation's good answer."""

    __slots__ = ("echoes", "fields", "wrapped")

    def __init__(
        self,
        fields: tuple[tuple[str, Check, str], ...],
        echoes: tuple[tuple[str, str, Same], ...],
        wrapped: bool,
    ) -> None:
        self.fields = fields
        self.echoes = echoes
        self.wrapped = wrapped

    def fault(self, arguments: Mapping[str, Any], data: Any) -> str:
        """Return what is wrong with the decoded body as an answer to this question, or ""."""
        if self.wrapped:
            if type(data) is not dict or "d" not in data:
                return "there is no d"
            data = data["d"]
        if type(data) is not dict:
            return f"{type(data).__name__} where an object belongs"
        for name, check, kind in self.fields:
            if not check(data.get(name)):
                return f"{name} must be {kind}, not {data[name]!r:.60}" if name in data else f"{name} is missing"
        for argument, name, same in self.echoes:
            asked = arguments.get(argument)
            if asked is not None and asked != data.get(name) and not same(asked, data.get(name)):
                return f"asked for {argument} {asked!r:.60}, answered {name} {data.get(name)!r:.60}"
        return ""


def shape(fields: str, echoes: str = "", *, wrapped: bool = False) -> Shape:
    """Make a shape from `name:kind ...` and `argument=field ...`; `~` for `=` ignores case, `=article:` and `=amount:`
    compare articles and decimals."""
    return Shape(
        tuple((name, *_KINDS[kind]) for name, _, kind in (each.partition(":") for each in fields.split())),
        tuple(_echo(each) for each in echoes.split()),
        wrapped,
    )


def _echo(text: str) -> tuple[str, str, Same]:
    if "~" in text:
        argument, _, name = text.partition("~")
        return argument, name, same_letters
    argument, _, rest = text.partition("=")
    how, colon, name = rest.partition(":")
    return (argument, name, _SAME[how]) if colon else (argument, rest, same_text)


_CUSTOMER = "customer_id:text business_partner:text name:text email:text address:address"
_OF_CUSTOMER = "customer_id=customer_id"
_OF_ORDER = "order_id=order_id"
_PARTNER = "BusinessPartner:text BusinessPartnerFullName:string"
_SALES_ORDER = "SalesOrder:text"
_OF_SALES_ORDER = "sales_order=SalesOrder"

SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "crm.Customer.find": shape(_CUSTOMER, "email~email"),
        "crm.Customer.get": shape(_CUSTOMER, _OF_CUSTOMER),
        "crm.Customer.verify": shape("customer_id:text verified:flag", _OF_CUSTOMER),
        "crm.Customer.update_address": shape("customer_id:text updated:true", _OF_CUSTOMER),
        "crm.Customer.update_contact": shape("customer_id:text updated:true", _OF_CUSTOMER),
        "crm.Password.reset": shape("customer_id:text reset_id:text", _OF_CUSTOMER),
        "crm.Subscription.get": shape("customer_id:text plan:text price:amount currency:currency", _OF_CUSTOMER),
        "crm.Subscription.change": shape("customer_id:text plan:text", f"{_OF_CUSTOMER} plan=plan"),
        "crm.Subscription.cancel": shape("customer_id:text cancelled:true", _OF_CUSTOMER),
        "crm.Appointment.slots": shape("customer_id:text slots:list", _OF_CUSTOMER),
        "crm.Appointment.book": shape("appointment_id:text slot:text", "slot=slot"),
        "crm.Loyalty.get": shape("customer_id:text points:count", _OF_CUSTOMER),
        "crm.Ticket.create": shape("ticket_id:text"),
        "crm.Note.create": shape("note_id:text"),
        "orders.Order.get": shape(
            "order_id:text customer_id:text status:text currency:currency total:money items:items", _OF_ORDER
        ),
        "orders.Order.list": shape("customer_id:text orders:list", _OF_CUSTOMER),
        "orders.Order.cancel": shape("order_id:text status:cancelled", _OF_ORDER),
        "orders.Order.change_address": shape("order_id:text", _OF_ORDER),
        "orders.Order.change_item": shape("order_id:text sku:text", f"{_OF_ORDER} new_sku=sku"),
        "orders.Shipment.track": shape("order_id:text status:text", _OF_ORDER),
        "orders.Return.create": shape("return_id:text order_id:text sku:text", f"{_OF_ORDER} sku=sku"),
        "orders.Return.find": shape("order_id:text returns:list", _OF_ORDER),
        "orders.Exchange.create": shape("exchange_id:text order_id:text", f"{_OF_ORDER} new_sku=new_sku"),
        "inventory.Product.get": shape("sku:text price:money currency:currency", "sku=article:sku"),
        "inventory.Stock.get": shape("sku:text available:count", "sku=article:sku"),
        "inventory.Stock.reserve": shape("reservation_id:text sku:text", "sku=article:sku"),
        "payments.Payment.get": shape(
            "payment_id:text order_id:text amount:money currency:currency status:text", "payment_id=payment_id"
        ),
        "payments.Payment.list": shape("order_id:text payments:list", _OF_ORDER),
        "payments.Refund.create": shape(
            "refund_id:text payment_id:text amount:money", "payment_id=payment_id amount=amount:amount"
        ),
        "payments.Refund.find": shape("payment_id:text refunds:list", "payment_id=payment_id"),
        "kb.Article.search": shape("articles:list"),
        "kb.Policy.get": shape("topic:text rule:text", "topic~topic"),
        "sap.Session.open": shape("", wrapped=True),
        "sap.BusinessPartner.get": shape(_PARTNER, "business_partner=BusinessPartner", wrapped=True),
        "sap.BusinessPartner.update_address": shape("", wrapped=True),
        "sap.SalesOrder.get": shape(
            "SalesOrder:text SoldToParty:text TransactionCurrency:currency TotalNetAmount:money",
            _OF_SALES_ORDER,
            wrapped=True,
        ),
        "sap.SalesOrder.create": shape(_SALES_ORDER, wrapped=True),
        "sap.SalesOrder.update_quantity": shape("", wrapped=True),
        "sap.SalesOrder.cancel": shape("", wrapped=True),
        "sap.SalesOrder.release_block": shape("", wrapped=True),
        "sap.MaterialStock.get": shape(
            "Material:text MatlWrhsStkQtyInMatlBaseUnit:amount", "material=article:Material", wrapped=True
        ),
        "sap.BillingDocument.get": shape(
            "BillingDocument:text TotalNetAmount:money TransactionCurrency:currency",
            "billing_document=BillingDocument",
            wrapped=True,
        ),
        "sap.CreditMemo.create": shape(
            "CreditMemoRequest:text TotalNetAmount:money", "amount=amount:TotalNetAmount", wrapped=True
        ),
        "sap.CreditMemo.find": shape("results:list", wrapped=True),
    }
)
"""By operation; an operation that is not here only has to answer complete JSON."""
