"""The roles that both reference pipelines are made of: what each is told, and which tools it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from pagerproof.agents.golden import PATHS
from pagerproof.tools import Completion, Message, Request

ROUTE: Final = (
    "Route the customer's message. Answer with JSON only: "
    '{"intents": [...], "order_id": "...", "confidence": 0.0 to 1.0}.'
)
VERIFY: Final = (
    "Verify that everything the customer asked for has been done, by the tools' answers alone. "
    'Answer with JSON only: {"approved": true or false, "why": "..."}.'
)
WRITE: Final = "Write the reply to the customer: short, friendly, and nothing but what the tools' answers say."
_SPECIALIST: Final = (
    "You are the {domain} specialist of a contact center. Use the tools, one call at a time. "
    "When all is done say DONE: and what was done; if it does not work, CANNOT: and why; "
    "if it must not be done, DECLINE: and why."
)

_READS: Final = tuple(
    """
    crm.Customer.find crm.Customer.get crm.Customer.verify crm.Subscription.get crm.Appointment.slots crm.Loyalty.get
    orders.Order.get orders.Order.list orders.Shipment.track orders.Return.find inventory.Product.get
    inventory.Stock.get payments.Payment.get payments.Payment.list payments.Refund.find kb.Article.search kb.Policy.get
    sap.BusinessPartner.get sap.SalesOrder.get sap.MaterialStock.get sap.BillingDocument.get sap.CreditMemo.find
    """.split()  # noqa: SIM905 - a list of names reads best as words
)
_NOTES: Final = ("crm.Ticket.create", "crm.Note.create")
_ACCOUNT: Final = (
    "crm.Customer.update_address",
    "crm.Customer.update_contact",
    "crm.Password.reset",
    "crm.Subscription.change",
    "crm.Subscription.cancel",
    "crm.Appointment.book",
    "sap.BusinessPartner.update_address",
)
_ORDERS: Final = (
    "orders.Order.cancel",
    "orders.Order.change_address",
    "orders.Order.change_item",
    "orders.Return.create",
    "orders.Exchange.create",
    "inventory.Stock.reserve",
)
_MONEY: Final = ("payments.Refund.create", "sap.CreditMemo.create")
_SALES: Final = (
    "sap.SalesOrder.create",
    "sap.SalesOrder.update_quantity",
    "sap.SalesOrder.cancel",
    "sap.SalesOrder.release_block",
)

EVERYTHING: Final = (*_READS, *_NOTES, *_ACCOUNT, *_ORDERS, *_MONEY, *_SALES)
SPECIALISTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "billing": (*_READS, *_NOTES, *_MONEY, *_ORDERS),
        "sales": (*_READS, *_NOTES, *_SALES, *_ORDERS),
        "account": (*_READS, *_NOTES, *_ACCOUNT),
        "orders": (*_READS, *_NOTES, *_ORDERS, *_MONEY),
    }
)
"""The tools of each specialist: every read, and the writes of the domain."""

_DOMAIN_WORDS: Final = (
    ("sales", ("sales_order", "block", "quantity", "reserve", "stock")),
    ("billing", ("refund", "charge", "invoice", "credit", "billing", "payment", "dispute", "money")),
    ("account", ("account", "password", "plan", "subscription", "appointment", "contact", "loyalty", "profile")),
    ("orders", ("cancel_order", "return", "exchange", "ship", "track", "order_status", "order_item", "wrong_item")),
)


def specialist_for(intents: Iterable[str]) -> tuple[str, Sequence[str]]:
    """Return (domain, tools) for what was routed; whoever it is not clear for gets the front desk with all tools."""
    domains = {domain_of(intent) for intent in intents}
    domain = domains.pop() if len(domains) == 1 else "front desk"
    return domain, SPECIALISTS.get(domain, EVERYTHING)


@lru_cache(maxsize=256)
def domain_of(intent: str) -> str:
    """Return the domain of one intent by the words in its name; intents that nobody declared go to the front desk."""
    if intent not in PATHS:
        return "front desk"
    for domain, words in _DOMAIN_WORDS:
        if any(word in intent for word in words):
            return domain
    return "front desk"


def specialist_prompt(domain: str) -> str:
    """Return what the specialist of this domain is told."""
    return _PROMPTS[domain]


_PROMPTS: Final = {domain: _SPECIALIST.format(domain=domain) for domain in (*SPECIALISTS, "front desk")}


def from_customer(request: Request) -> Message:
    """Return the customer's message with its sender."""
    return {"role": "user", "content": f"{request.text}\n\nFrom: {request.customer_name} <{request.customer_email}>"}


def conversation(system: str, *rest: Message) -> list[Message]:
    """Return a conversation that begins with `system`."""
    return [{"role": "system", "content": system}, *rest]


def as_message(completion: Completion) -> Message:
    """Return the model's own message, to go on from."""
    calls: list[Mapping[str, Any]] = [
        {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in completion.tool_calls
    ]
    if calls:
        return {"role": "assistant", "content": completion.text, "tool_calls": calls}
    return {"role": "assistant", "content": completion.text}
