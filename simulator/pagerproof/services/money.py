"""Decimal text and minor units: what people read and what ledgers add up. Every currency here has two decimals."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation


def minor_units(amount: str) -> int | None:
    """Return the amount in hundredths, or None where it is no finite amount with at most two decimals."""
    try:
        scaled = Decimal(amount) * 100
        whole = int(scaled)
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return whole if whole == scaled else None


def decimal_text(minor: int) -> str:
    """Return hundredths, not below zero, as decimal text: 12980 is `129.80`."""
    return f"{minor // 100}.{minor % 100:02d}"
