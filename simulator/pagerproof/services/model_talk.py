"""How the simulated model routes a request, reviews the work and writes to the customer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import orjson

from pagerproof.rng import pick, sub_key
from pagerproof.services import model_words as words
from pagerproof.services.model_act import Move
from pagerproof.services.model_reading import BROKEN, GOOD
from pagerproof.services.model_walk import ROUTE, VERIFY, WRITE, Turn, Walk

# Intents of the shipped contact center, for the router's confusions.
_INTENTS: Final = (
    "order_status", "shipment_tracking", "delivery_date", "address_change", "delivery_address_change", "item_change",
    "order_cancel", "return_item", "refund", "exchange", "refund_status", "invoice_dispute", "duplicate_charge",
    "payment_status", "stock_check", "sales_order_change", "plan_change", "complaint", "warranty_claim",
)  # fmt: skip
_SAW: Final = "What I saw: "


def route(turn: Turn) -> Move:
    """Return {"intents", "order_id", "email", "confidence"} as JSON text."""
    turn.at(ROUTE, 0)
    return _spoken(turn, "routes", "misroutes", _routing, _misrouting)


def verify(turn: Turn) -> Move:
    """Return {"approved", "why"} as JSON text."""
    turn.at(VERIFY, 0)
    problem = _problem(turn)
    if problem and not turn.forced:
        rates = turn.rates
        overlooks = turn.draw(b"overlooks") < rates.false_approve + rates.false_approve_slope * turn.looseness
        if overlooks:
            return Move("false_approve", text=_verdict(True, "everything is in order"))
        return Move("rejects", text=_verdict(False, problem))
    return _spoken(
        turn,
        "rejects" if problem else "approves",
        "false_approve" if problem else "false_reject",
        lambda _: _verdict(not problem, problem or "every step is done and its answers agree"),
        lambda _: _verdict(bool(problem), "everything is in order" if problem else "I doubt that it is done"),
    )


def write(turn: Turn) -> Move:
    """Return the reply to the customer, with the facts as they were seen."""
    turn.at(WRITE, 0)
    walk = Walk(turn, every_step=True)
    word = _last_word(turn)
    if words.DECLINE in word:
        middle = "we are sorry, but this is something that we may not do for you."
        return _spoken(turn, "writes", "writes_wrong", lambda _: _letter(turn, middle), lambda _: _letter(turn, _WRONG))
    facts = words.told_facts(walk.last.values()) or _facts_quoted(word)
    if not facts:
        return _write_without_facts(turn, word)
    opening = (
        "we are sorry, we could not finish this. This is what we know so far: "
        if words.CANNOT in word
        else "we have taken care of everything you asked for. The details: "
    )
    return _spoken(
        turn,
        "writes",
        "writes_wrong",
        lambda _: _letter(turn, f"{opening}{facts}."),
        lambda _: _letter(turn, f"{opening}{_one_wrong(turn, facts)}."),
    )


_WRONG = "we have taken care of everything you asked for."


def _spoken(turn: Turn, behaviour: str, slip: str, right: Callable[[Turn], str], wrong: Callable[[Turn], str]) -> Move:
    """Say the right thing, the wrong one at the task's error chance, or what a disturbance forces."""
    if turn.forced:
        return _forced(turn, right, wrong)
    if turn.draw(b"errs") < -math.expm1(-turn.budget):
        return Move(slip, text=wrong(turn))
    return Move(behaviour, text=right(turn))


def _forced(turn: Turn, right: Callable[[Turn], str], wrong: Callable[[Turn], str]) -> Move:
    name = turn.forced
    if name == "right_tool":
        return Move(name, text=right(turn))
    if name == "refusal":
        return Move(name, text=words.REFUSAL)
    if name == "polite_loop":
        return Move(name, text=pick(sub_key(turn.key, b"words"), words.POLITE))
    if name == "empty":
        return Move(name)
    if name == "prose":
        return Move(name, text="Let me think about what this customer needs before I answer.")
    if name == "gives_up":
        return Move(name, text=f"{words.CANNOT} I have to stop here.")
    if name == "truncated_arguments":
        text = right(turn)
        return Move(name, text=text[: max(1, len(text) * 2 // 3)], finish_reason="length")
    if name == "broken_json":
        text = right(turn)
        return Move(name, text=f"{text[:-1]} // as far as I can tell\n{text[-1:]}")
    return Move(name, text=wrong(turn))


# Routing


def _routing(turn: Turn) -> str:
    return _routed(turn, list(turn.truth.intents), 0.98 - 0.3 * turn.truth.difficulty)


def _misrouting(turn: Turn) -> str:
    intents = list(turn.truth.intents)
    key = sub_key(turn.key, b"intent")
    if len(intents) > 1 and key & 1:
        del intents[-1]
    else:
        intents[:1] = [pick(key, [name for name in _INTENTS if name not in intents])]
    return _routed(turn, intents, 0.85 - 0.3 * turn.truth.difficulty)


def _routed(turn: Turn, intents: list[str], confidence: float) -> str:
    routed: dict[str, Any] = {
        "intents": intents,
        "order_id": turn.slot("order_id"),
        "email": turn.request.customer_email,
        "confidence": round(confidence - 0.1 * turn.draw(b"confidence"), 2),
    }
    return orjson.dumps(routed).decode()


# Verification


def _verdict(approved: bool, why: str) -> str:
    return orjson.dumps({"approved": approved, "why": why}).decode()


def _problem(turn: Turn) -> str:
    """What a careful reviewer of this conversation objects to; empty where there is nothing."""
    walk = Walk(turn, every_step=True)
    word = _last_word(turn)
    if turn.truth.expectation.decline:
        return "this must not be done" if words.DONE in word and words.DECLINE not in word else ""
    if words.CANNOT in word:
        return "the work was given up"
    if not walk.answers:
        return "an error is mentioned" if "ERROR" in turn.heard else ""
    path = turn.truth.path
    if walk.position < len(path):
        return f"{path[walk.position].operation} is not done"
    for step in path:
        reading = walk.last[step.operation]
        if reading.kind == BROKEN:
            return f"the answer of {step.operation} was cut or broken"
        if reading.kind != GOOD:
            return f"the answer of {step.operation} cannot be read"
    return _disagreement(turn, walk)


def _disagreement(turn: Turn, walk: Walk) -> str:
    """Records about another order or of another customer than the one who wrote."""
    order_id = turn.slot("order_id")
    customer_ids: set[str] = set()
    for operation, reading in walk.last.items():
        flat = reading.flat
        if len(flat.get("order_id", ())) == 1 and order_id and flat["order_id"][0] != order_id:
            return f"{operation} answered about order {flat['order_id'][0]}"
        customer_ids.update(flat.get("customer_id", ()))
    return "the answers belong to different customers" if len(customer_ids) > 1 else ""


# Writing


def _letter(turn: Turn, middle: str) -> str:
    return words.letter(turn.request.customer_name, middle, sub_key(turn.key, b"letter"))


def _last_word(turn: Turn) -> str:
    for text in reversed(turn.conversation.spoken):
        if text and (words.DONE in text or words.CANNOT in text or words.DECLINE in text):
            return text
    return ""


def _facts_quoted(word: str) -> str:
    return word[word.index(_SAW) + len(_SAW) :].strip().rstrip(".") if _SAW in word else ""


def _one_wrong(turn: Turn, facts: str) -> str:
    pairs = facts.split(", ")
    key = sub_key(turn.key, b"slip")
    with_digits = [at for at, pair in enumerate(pairs) if any(c.isdigit() for c in pair)]
    at = pick(key, with_digits or range(len(pairs)))
    name, _, value = pairs[at].partition(" ")
    pairs[at] = f"{name} {words.slipped(name, value or name, key)}"
    return ", ".join(pairs)


def _write_without_facts(turn: Turn, word: str) -> Move:
    told = turn.truth.expectation.told
    rates = turn.rates
    chance = rates.invents_missing + rates.invents_missing_slope * turn.looseness
    if told and words.CANNOT not in word and not turn.forced and turn.draw(b"invents") < chance:
        made = [words.other_value("value", value, sub_key(turn.key, value.encode())) for value in told]
        return Move("invents_value", text=_letter(turn, f"{_WRONG} The details: {', '.join(made)}."))
    middle = (
        "we have taken care of everything you asked for."
        if words.DONE in word and not told
        else "we are sorry, we could not find out what you asked for."
    )
    return _spoken(turn, "writes", "writes_wrong", lambda _: _letter(turn, middle), lambda _: _letter(turn, _WRONG))
