"""Words of tools: how the names and descriptions of anybody's tools become comparable with our operations'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_STOP: Final = frozenset(
    """
    a an and any as at be by for from given if in into is it its of on or our please some that the their this to
    tool use used using when with you your api function call
    """.split()  # noqa: SIM905 - a list of words reads best as words
)
_MEANINGS: Final[Mapping[str, str]] = {
    word: meaning
    for meaning, words in {
        "get": "get fetch lookup look retrieve show view check read load query find search see status detail info "
        "information about",
        "list": "list all history",
        "create": "create open make add issue file submit place start raise log write new register",
        "cancel": "cancel delete remove void abort terminate stop",
        "change": "update change modify edit set adjust redirect amend",
        "verify": "verify authenticate identity identify confirm validate",
        "customer": "customer user client profile member account person contact",
        "order": "order purchase",
        "shipment": "shipment shipping parcel package tracking track delivery courier",
        "payment": "payment charge transaction pay",
        "refund": "refund reimburse reimbursement",
        "stock": "stock inventory availability available",
        "article": "article faq knowledge kb doc documentation help",
        "policy": "policy rule term",
        "ticket": "ticket human escalate escalation case agent",
        "note": "note comment remark",
        "subscription": "subscription plan",
        "appointment": "appointment meeting visit",
        "book": "book booking schedule",
        "loyalty": "loyalty point reward",
        "exchange": "exchange swap replace replacement",
        "product": "product item sku goods",
        "reserve": "reserve reservation hold",
        "return": "return rma",
        "release": "release unblock lift",
        "partner": "partner bp",
        "billing": "billing invoice bill",
        "sale": "sale sales",
        "memo": "memo",
        "password": "password credential login",
    }.items()
    for word in words.split()
}
WRITING: Final = frozenset(
    {"create", "cancel", "change", "refund", "return", "exchange", "reserve", "release", "book", "reset"}
)

ARGUMENT_NAMES: Final[Mapping[str, str]] = {
    "email": "email_address e_mail mail customer_email user_email",
    "customer_id": "user_id account_id client_id customer_number customer member_id",
    "order_id": "order_number order_no order_ref order",
    "postcode": "zip zipcode zip_code postal_code postal",
    "street": "address1 street_address address_line address_line_1 line1 street_line new_street",
    "city": "town new_city",
    "country": "country_code new_country",
    "sku": "item_id product_id item_sku product_sku item product old_sku",
    "new_sku": "new_item_id replacement_sku new_product_id replacement_id new_item",
    "payment_id": "charge_id transaction_id payment_number payment",
    "amount": "refund_amount value total sum amount_minor",
    "currency": "currency_code",
    "quantity": "qty count units new_quantity",
    "query": "question search q term keywords text search_query",
    "topic": "category subject policy policy_name",
    "text": "note comment message body content",
    "reason": "why cause return_reason",
    "sales_order": "sales_order_id sales_order_number vbeln sap_order order_id",
    "business_partner": "partner_id bp business_partner_id bp_number",
    "material": "material_id material_number matnr",
    "billing_document": "invoice_id invoice_number invoice billing_document_id",
    "plan": "new_plan plan_name plan_id",
    "slot": "time date appointment_time appointment_slot when",
    "field": "attribute property",
    "value": "new_value",
    "item": "line position item_number line_item",
}
"""Other names for our arguments, as other people's tools have them."""

_OTHER_NAMES: Final = {argument: frozenset(names.split()) for argument, names in ARGUMENT_NAMES.items()}
_IDENTIFYING: Final = frozenset({"id", "number", "no", "num", "code", "ref", "reference", "identifier"})


@lru_cache(maxsize=4096)
def tokens(text: str) -> frozenset[str]:
    """Return the meanings of the words in a name or a sentence: lower case, singular, synonyms made one."""
    found = set()
    for part in _PART.findall(text):
        word = part.lower()
        if word in _STOP:
            continue
        found.add(_MEANINGS.get(word) or _MEANINGS.get(_singular(word)) or _singular(word))
    return frozenset(found)


def snake(name: str) -> str:
    """Return a name in snake_case."""
    return "_".join(part.lower() for part in _PART.findall(name))


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-3] + "y" if word.endswith("ies") else word[:-1]
    return word


@lru_cache(maxsize=4096)
def likeness_of_arguments(argument: str, parameter: str) -> float:
    """Return how sure it is, from 0 to 1, that a tool's parameter means our operation's argument."""
    name = snake(parameter)
    if name == argument:
        return 1.0
    if name in _OTHER_NAMES.get(argument, ()):
        return 0.85
    ours, theirs = set(argument.split("_")), set(name.split("_"))
    if ours - _IDENTIFYING and ours - _IDENTIFYING == theirs - _IDENTIFYING:
        return 0.9
    if ours < theirs and len(theirs) - len(ours) == 1 and "new" not in theirs - ours:
        return 0.7
    return 0.0


def is_bare_identifier(parameter: str) -> bool:
    """Whether a parameter is called `id` or the like, and the tool's name has to say of what."""
    return snake(parameter) in _IDENTIFYING
