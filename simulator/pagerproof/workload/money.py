"""Decimal text to minor units and back; every currency of the synthetic world has two decimals."""

from __future__ import annotations


def money(cents: int) -> str:
    """Return decimal text such as 129.80."""
    return f"{cents // 100}.{cents % 100:02d}"


def cents_of(amount: str) -> int:
    """Return the minor units of non-negative decimal text with at most two decimals."""
    whole, _, fraction = amount.partition(".")
    return int(whole) * 100 + int((fraction + "00")[:2])
