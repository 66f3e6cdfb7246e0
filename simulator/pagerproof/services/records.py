"""Looking up records the way each system numbers them: an id of another shape is unknown, not helpful."""

from __future__ import annotations

from typing import Any

from pagerproof.model import Customer
from pagerproof.protocols import Directory


def own_order(directory: Directory, index: int) -> dict[str, Any] | None:
    """Return the one order of the request with this index."""
    return directory.order(f"45{index:08d}") if index > 0 else None


def order_by(directory: Directory, field: str, value: str) -> dict[str, Any] | None:
    """Return the order whose `field` reads exactly `value`."""
    record = directory.order(value)
    return record if record is not None and record[field] == value else None


def partner(directory: Directory, business_partner: str) -> Customer | None:
    """Return the customer behind a business partner's number."""
    if len(business_partner) != 10 or not business_partner.startswith("10") or not business_partner.isascii():
        return None
    if not business_partner.isdecimal():
        return None
    customer = directory.customer(f"C{int(business_partner[2:]):06d}")
    return customer if customer is not None and customer.business_partner == business_partner else None
