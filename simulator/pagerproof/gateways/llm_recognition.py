"""Who is speaking: the one open case that a conversation is about, where the call's context does not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pagerproof.protocols import Case

_IDS: Final = ("customer_id", "order_id", "sales_order", "payment_id", "business_partner")
_TEXT_MIN: Final = 12  # characters: a shorter message may be anybody's


def recognised(messages: Sequence[Mapping[str, Any]], cases: Iterable[Case]) -> Case | None:
    """Return the case whose customer wrote these messages, if there is exactly one.

    The customer's own words say it most surely, then the e-mail address, then the ids of order and customer; the first
    of these that exactly one case fits decides.
    """
    heard = "\n".join(str(message.get("content") or "") for message in messages if message.get("role") != "assistant")
    candidates = [case for case in cases if case.index]
    for signs in (_words, _address, _ids):
        fitting = [case for case in candidates if any(sign in heard for sign in signs(case))]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            candidates = fitting
    return None


def _words(case: Case) -> list[str]:
    text = case.request.text.strip()
    return [text] if len(text) >= _TEXT_MIN else []


def _address(case: Case) -> list[str]:
    return [case.request.customer_email] if case.request.customer_email else []


def _ids(case: Case) -> list[str]:
    slots = case.truth.slots
    return [slots[name] for name in _IDS if slots.get(name)]
