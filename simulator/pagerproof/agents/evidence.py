"""What the hardened agent holds for established: validated answers, whose they are, and what may be built on them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pagerproof.tools import Request, ToolResult
from pagerproof.valves import WRITES, is_cached

ENTITY_ARGUMENTS: Final = frozenset(
    {"order_id", "sales_order", "payment_id", "customer_id", "business_partner", "billing_document", "email"}
)
_POINTING_ARGUMENTS: Final = ENTITY_ARGUMENTS | {"sku", "new_sku", "material"}
_FREE_ARGUMENTS: Final = frozenset({"reason", "text", "topic", "field", "item", "etag", "amount", "currency", "query"})
_AMOUNT_FIELDS: Final = frozenset({"total", "amount", "price", "billed_amount", "TotalNetAmount"})
_SAME_AS: Final[Mapping[str, str]] = {
    "SalesOrder": "sales_order",
    "SoldToParty": "business_partner",
    "BusinessPartner": "business_partner",
    "BillingDocument": "billing_document",
    "TransactionCurrency": "currency",
    "Material": "material",
}
_FIGURE = re.compile(r"\d(?:[\w.,:/-]*\w)?")  # beginning at the letters before it costs eight times as much
_FIGURE_ASCII = re.compile(_FIGURE.pattern, re.ASCII)  # finds the same in ASCII text, without asking Unicode's tables
_MANY = 60
_TELLING = 4  # characters that a value needs before finding it in a text means anything


class Evidence:
    """The validated answers of one request, and the questions the agent asks them before it acts or speaks."""

    __slots__ = ("_amounts", "_strings", "_text", "customer", "facts", "request", "stale")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.facts: dict[str, str] = {}
        self.customer: Mapping[str, Any] | None = None
        self.stale = False
        self._amounts: set[str] = set()
        self._strings: set[str] = set()
        self._text: str | None = None

    def learn(self, operation: str, result: ToolResult) -> Any:
        """Take a validated answer in and return it decoded (None where it has no body)."""
        if is_cached(result):
            self.stale = True
        if result.status == 204 or not result.body:
            return None
        data = result.json()
        if operation == "crm.Customer.find":
            self.customer = data
        self._take_in((("", data),))
        return data

    def _take_in(self, fields: Iterable[tuple[str, Any]]) -> None:
        """Remember every scalar below `fields`, but for the metadata of SAP."""
        facts = self.facts
        remember = self._strings.add
        for name, value in fields:
            kind = type(value)
            if kind is dict:
                if name != "__metadata":
                    self._take_in(value.items())
            elif kind is list:
                self._take_in([(name, each) for each in value])
            elif value is not None and value != "":
                text = value if kind is str else str(value).casefold() if kind is bool else str(value)
                remember(text)
                facts[_SAME_AS.get(name, name)] = text
                if name in _AMOUNT_FIELDS:
                    self._amounts.add(text)

    def foreign(self, operation: str, data: Any) -> bool:
        """Whether this answer shows an order that is not the sender's."""
        customer = self.customer
        if operation == "orders.Order.get":
            email = data.get("email")
            if email and email.casefold() != self.request.customer_email.casefold():
                return True
            return customer is not None and data["customer_id"] != customer["customer_id"]
        if operation == "sap.SalesOrder.get":
            return customer is not None and data["d"]["SoldToParty"] != customer["business_partner"]
        return False

    def stray(self, arguments: Mapping[str, Any]) -> str:
        """Return the name of an argument that points at something nobody has mentioned, or ""."""
        for name, value in arguments.items():
            if (
                name in _POINTING_ARGUMENTS
                and value not in self._strings
                and value != self.request.customer_email
                and not self.said(str(value))
            ):
                return name
        return ""

    def knows(self, value: object) -> bool:
        """Whether a validated answer contains this very value."""
        return str(value) in self._strings

    def knows_amount(self, value: object) -> bool:
        """Whether this amount stands in an answer, or is the difference of two that do, or a whole multiple of one."""
        if value in self._amounts:
            return True
        amount = _decimal(str(value))
        if amount is None:
            return False
        amounts = {each for each in map(_decimal, self._amounts) if each is not None}
        if amount in amounts:
            return True
        if not amount > 0:
            return False
        return any(one + amount in amounts or amount in (one * 2, one * 3, one * 4) for one in amounts)

    def doubtful(self, arguments: Mapping[str, Any]) -> list[str]:
        """Return the names of those arguments that neither the customer nor any answer has mentioned."""
        return [
            name
            for name, value in arguments.items()
            if name not in _FREE_ARGUMENTS
            and name not in ENTITY_ARGUMENTS
            and str(value) not in self._strings
            and not self.said(str(value))
        ]

    def said(self, value: str) -> bool:
        """Whether the customer's own words contain this value, however it is spaced or cased."""
        if value in self.request.text:
            return True
        if self._text is None:
            self._text = plain(self.request.text)
        return plain(value) in self._text

    def fault_of(self, text: str) -> str:
        """Return why this reply must not go out, or "": it tells nothing, or something that nobody has established."""
        if not self._tells_news(text):
            return "it tells nothing that was found out"
        unfounded = self.unfounded(text)
        return f"it says {unfounded}, which stands nowhere" if unfounded else ""

    def _tells_news(self, text: str) -> bool:
        """Whether `text` tells anything that the customer did not bring along; a polite refusal does not."""
        brought = f"{self.request.text}\n{self.request.customer_name}\n{self.request.customer_email}"
        return any(len(fact) >= _TELLING and fact in text and fact not in brought for fact in self.facts.values())

    def unfounded(self, text: str) -> str:
        """Return the first word in `text` whose figure neither the customer nor any answer has mentioned, or ""."""
        strings = self._strings
        mentioned = ""
        for figure in (_FIGURE_ASCII if text.isascii() else _FIGURE).findall(text):
            if figure not in strings and figure not in mentioned:
                if not mentioned:
                    mentioned = "\n".join((self.request.text, self.request.customer_name, *strings))
                    if figure in mentioned:
                        continue
                return next(word.strip(".,:;()") for word in text.split() if figure in word)
        return ""

    def summary(self) -> str:
        """Return the established facts in plain words, the latest value of each."""
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in list(self.facts.items())[-_MANY:])


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def plain(text: str) -> str:
    """Return only the letters and digits of `text`, in lower case."""
    return "".join(filter(str.isalnum, text)).casefold()


def is_money_write(operation: str, arguments: Mapping[str, Any]) -> bool:
    """Whether this call moves money."""
    return operation in WRITES and "amount" in arguments
