"""Which handoff suits what is left to do: names and descriptions of other agents against intents and operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pagerproof.services.model_tools import ToolUse
from pagerproof.services.model_walk import WRITES
from pagerproof.services.tool_words import tokens

_DOMAINS: Final[Mapping[str, frozenset[str]]] = {
    "billing": frozenset({"billing", "payment", "refund", "memo", "dispute", "money", "duplicate"}),
    "refund": frozenset({"refund", "return", "payment", "memo"}),
    "sale": frozenset({"sale", "order", "quantity", "block", "stock", "material"}),
    "order": frozenset({"order", "shipment", "return", "exchange", "cancel", "product"}),
    "shipment": frozenset({"shipment", "order"}),
    "customer": frozenset({"customer", "password", "subscription", "appointment", "loyalty", "address"}),
    "technical": frozenset({"password", "warranty", "article"}),
}


def how_fitting(use: ToolUse, intents: Sequence[str], left: Sequence[str]) -> float:
    """Return how well a handoff suits what is left to do."""
    name = tokens(use.tool.name)
    said = tokens(use.tool.description)
    about: set[str] = set()
    for word in name:
        about |= _DOMAINS.get(word, frozenset()) | {word}
    wanted = tokens(" ".join(intents))
    score: float = 2.0 * len(wanted & name) + 1.0 * len(wanted & about) + 0.5 * len(wanted & said)
    for operation in left:
        needs = tokens(operation) - {"get", "create", "change"}
        weight = 1.0 if operation in WRITES else 0.2
        score += weight * (len(needs & about) + 0.5 * len(needs & said)) / max(1, len(needs))
    return score
