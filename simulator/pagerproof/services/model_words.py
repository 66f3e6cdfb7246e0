"""What the simulated model says and makes up: phrases, plausible inventions, slips of a digit, and told facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pagerproof.rng import below, pick, sub_key
from pagerproof.services.model_reading import Reading

DONE: Final = "DONE:"
CANNOT: Final = "CANNOT:"
DECLINE: Final = "DECLINE:"

POLITE: Final = (
    "Thank you, that is a very good point. Let me refine this once more before we finish.",
    "Thanks for your patience! I would like to take one more look together, to be quite sure.",
    "Great work so far. Shall we do one more round to polish the result?",
    "I appreciate it. Let me double-check and come back with an even better version.",
)
_POLITE_PHRASES: Final = frozenset(POLITE)
_PROSE = (
    "I will now call {tool} to look into this.",
    "Next, I am going to use {tool} for the customer.",
    "Sure - let me check that with {tool}.",
)
REFUSAL: Final = "I'm sorry, but I can't help with that request."
_OPENINGS = (  # before and after the name
    ("Dear ", ", thank you for your message. "),
    ("Hello ", ", thanks for reaching out. "),
    ("Good day ", ", here is what we found and did. "),
)
_CLOSINGS = (
    " Kind regards, your service team",
    " Please write again whenever you need us.",
    " Have a good day, your contact center",
)

_FACTS_MAX = 60

_SHAPES = {
    "order_id": "45########",
    "sales_order": "1#########",
    "SalesOrder": "1#########",
    "payment_id": "pay_########",
    "billing_document": "90########",
    "customer_id": "C######",
    "business_partner": "10########",
    "amount": "1##.#0",
    "total": "1##.#0",
    "TotalNetAmount": "1##.#0",
    "price": "4#.90",
    "currency": "EUR",
    "TransactionCurrency": "EUR",
    "sku": "SKU-1###",
    "new_sku": "SKU-1###",
    "material": "MAT-1###",
    "postcode": "#####",
    "street": "Main Street ##",
    "city": "Springfield",
    "country": "DE",
    "slot": "2026-11-2#T09:00",
    "plan": "plus",
    "email": "customer###@example.com",
    "topic": "general",
    "quantity": "1",
    "item": "10",
    "field": "phone",
    "value": "+1555#######",
    "text": "Handled.",
    "query": "how does this work",
    "reason": "other",
    "status": "processing",
    "tracking": "1Z##########",
    "eta": "2026-11-2#",
    "points": "1###",
    "available": "1#",
}


def invented(name: str, key: int) -> str:
    """Return a plausible made-up value for the argument or field `name`."""
    return digits_filled(_SHAPES.get(name, "ref-######"), key)


def digits_filled(shape: str, key: int) -> str:
    """Return `shape` with every # replaced by a drawn digit."""
    if "#" not in shape:
        return shape
    text = []
    for character in shape:
        if character == "#":
            text.append(str(below(key, 10)))
            key = sub_key(key, b"digit")
        else:
            text.append(character)
    return "".join(text)


def other_value(name: str, value: str, key: int) -> str:
    """Return another value of the same shape as `value`, every digit drawn anew; never `value` itself."""
    shape = "".join("#" if character.isdigit() and at > 1 else character for at, character in enumerate(value))
    drawn = digits_filled(shape, key) if "#" in shape else invented(name, key)
    return drawn if drawn != value else slipped(name, value, key)


def slipped(name: str, value: str, key: int) -> str:
    """Return `value` with one wrong digit; without digits a made-up one, or the value with a letter doubled."""
    places = [at for at, character in enumerate(value) if "0" <= character <= "9"]
    if not places:
        drawn = invented(name, key)
        return drawn if drawn != value else value + value[-1:]
    at = pick(key, places)
    digit = (int(value[at]) + 1 + below(sub_key(key, b"slip"), 9)) % 10
    return f"{value[:at]}{digit}{value[at + 1 :]}"


def prose(tool: str, key: int) -> str:
    """Return a sentence that announces a call instead of making it."""
    return pick(key, _PROSE).format(tool=tool)


def told_facts(readings: Iterable[Reading]) -> str:
    """Return the told fields of these answers as they were seen, `status shipped, total 129.80`, each pair once."""
    seen: dict[str, None] = {}
    for reading in readings:
        seen.update(reading.told)
    return ", ".join(seen if len(seen) <= _FACTS_MAX else list(seen)[:_FACTS_MAX])


def letter(name: str, middle: str, key: int) -> str:
    """Return a reply to the customer around `middle`."""
    before, after = pick(key, _OPENINGS)
    return f"{before}{name}{after}{middle[:1].upper()}{middle[1:]}{pick(sub_key(key, b'closing'), _CLOSINGS)}"


def is_polite(text: str) -> bool:
    """Whether `text` is one of the phrases that ask for another round."""
    return text in _POLITE_PHRASES
