"""Somebody else's ids: the same question, asked about another customer's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pagerproof.protocols import Directory

_ORDERS = {"order_id": 2, "sales_order": 1, "payment_id": 4, "billing_document": 2}  # lengths of the prefixes
_CUSTOMERS = {"customer_id": 1, "business_partner": 2}


def neighbour(directory: Directory, arguments: Mapping[str, Any], places: int) -> dict[str, Any]:
    """Return `arguments` with every order's and customer's id replaced by the one so many places on.

    Past the last customer it counts backwards. What names no order and no customer stays as it is.
    """
    moved = dict(arguments)
    for name, value in arguments.items():
        if type(value) is not str:
            continue
        if name in _ORDERS:
            moved[name] = _shifted(value, _ORDERS[name], places)
        elif name in _CUSTOMERS:
            moved[name] = _other_customer(directory, value, _CUSTOMERS[name], places)
        elif name == "email":
            own = directory.customer_by_email(value)
            if own is not None:
                other = directory.customer(_other_customer(directory, own.customer_id, 1, places))
                moved[name] = other.email if other is not None else value
    return moved


def _other_customer(directory: Directory, text: str, prefix: int, places: int) -> str:
    for step in (places, -places):
        other = _shifted(text, prefix, step)
        number = other[prefix:]
        if number.isdecimal() and directory.customer(f"C{int(number):06d}") is not None:
            return other
    return text


def _shifted(text: str, prefix: int, places: int) -> str:
    """`text` with the number behind its prefix moved on by `places`, its width kept."""
    digits = text[prefix:].rstrip("b")
    if not digits.isdecimal():
        return text
    number = int(digits) + places
    return f"{text[:prefix]}{number:0{len(digits)}d}" if number >= 1 else text
