"""Decimal text and minor units: what people read and what ledgers add up. Every currency here has two decimals."""

from __future__ import annotations

import re

_AMOUNT = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,2}))?")


def minor_units(amount: str) -> int | None:
    """Return the amount in hundredths, or None where it is no plain amount with at most two decimals."""
    match = _AMOUNT.fullmatch(amount)
    if match is None:
        return None
    whole, fraction = match.groups("")
    return int(whole) * 100 + int(f"{fraction:0<2}")


def decimal_text(minor: int) -> str:
    """Return hundredths, not below zero, as decimal text: 12980 is `129.80`."""
    return f"{minor // 100}.{minor % 100:02d}"
