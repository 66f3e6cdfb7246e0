"""Imports the 55 customer-service flows of ABCD (kb.json and ontology.json) from a user's folder as intents.

ABCD (Chen et al. 2021, MIT licence) describes each subflow by the actions an agent has to take. Each action becomes one
operation of our services by the table below, an expectation follows from the writes among them, and the utterances are
our own sentences around the names of flow and subflow: the folder holds no dialogues. All subflows weigh the same
(assumed: their real frequencies are not in these files).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pagerproof.errors import InvalidFile, Problem, UsageError
from pagerproof.model import Operation, Step
from pagerproof.scenario.words import nearest
from pagerproof.workload.intent import EffectTemplate, Intent, Needs, make_intent

ID_PREFIX: Final = "abcd_"
"""In front of a subflow's name: `refund_status` there is another request than ours of that name."""

Argument = str | tuple[str, str]
"""A `$slot` or literal; or (what an earlier answer said, the slot that holds where no such call came before)."""

Call = tuple[str, Mapping[str, Argument]]

_CUSTOMER: Final = ("@crm.Customer.find.customer_id", "$customer_id")
_PARTNER: Final = ("@crm.Customer.find.business_partner", "$business_partner")
_ORDER: Final = ("@orders.Order.get.order_id", "$order_id")


def _search(query: str) -> Call:
    return "kb.Article.search", {"query": query}


def _note(text: str) -> Call:
    return "crm.Note.create", {"customer_id": _CUSTOMER, "text": text}


_NEW_ADDRESS: Final[Mapping[str, Argument]] = {
    "street": "$new_street",
    "city": "$new_city",
    "postcode": "$new_postcode",
    "country": "$new_country",
}

ACTIONS: Final[Mapping[str, Call]] = MappingProxyType(
    {
        # kb_query
        "verify-identity": ("crm.Customer.verify", {"customer_id": _CUSTOMER, "postcode": "$postcode"}),
        "ask-the-oracle": ("kb.Policy.get", {"topic": "return"}),
        "validate-purchase": ("orders.Order.get", {"order_id": "$order_id"}),
        "make-password": ("crm.Password.reset", {"customer_id": _CUSTOMER}),
        "promo-code": _note("Promo code given"),
        "subscription-status": ("crm.Subscription.get", {"customer_id": _CUSTOMER}),
        # interaction
        "offer-refund": (
            "payments.Refund.create",
            {
                "payment_id": ("@orders.Order.get.payment_id", "$payment_id"),
                "amount": ("@orders.Order.get.total", "$amount"),
                "currency": ("@orders.Order.get.currency", "$currency"),
            },
        ),
        "make-purchase": (
            "sap.SalesOrder.create",
            {"business_partner": _PARTNER, "material": "$new_material", "quantity": "1"},
        ),
        "record-reason": _note("$reason"),
        "enter-details": ("crm.Customer.get", {"customer_id": _CUSTOMER}),
        "shipping-status": ("orders.Shipment.track", {"order_id": _ORDER}),
        "update-order": ("orders.Order.change_address", {"order_id": _ORDER, **_NEW_ADDRESS}),
        "pull-up-account": ("crm.Customer.find", {"email": "$email"}),
        "update-account": (
            "crm.Customer.update_contact",
            {"customer_id": _CUSTOMER, "field": "phone", "value": "$new_phone"},
        ),
        "send-link": _note("Link sent"),
        "notify-team": ("crm.Ticket.create", {"customer_id": _CUSTOMER, "topic": "For the team"}),
        # faq_policy
        "membership": ("crm.Loyalty.get", {"customer_id": _CUSTOMER}),
        "search-faq": _search("frequent questions"),
        "try-again": _search("try again"),
        "log-out-in": _search("log out and in"),
        "instructions": _search("instructions"),
        "search-jeans": _search("jeans"),
        "search-shirt": _search("shirt"),
        "search-boots": _search("boots"),
        "search-jacket": _search("jacket"),
        "search-pricing": _search("pricing"),
        "search-timing": _search("timing"),
        "search-membership": _search("membership"),
        "search-policy": _search("policy"),
        "select-faq": _search("$question"),
    }
)
"""Each of ABCD's 30 actions as one call."""

_RETURN: Final[Call] = (
    "orders.Return.create",
    {"order_id": _ORDER, "sku": ("@orders.Order.get.items.0.sku", "$sku"), "reason": "$reason"},
)
_CHANGE_PLAN: Final[Call] = ("crm.Subscription.change", {"customer_id": _CUSTOMER, "plan": "$new_plan"})

SPECIAL: Final[Mapping[tuple[str, str], Call]] = MappingProxyType(
    {
        ("return_stain", "update-order"): _RETURN,
        ("return_color", "update-order"): _RETURN,
        ("return_size", "update-order"): _RETURN,
        ("manage_change_address", "update-account"): (
            "crm.Customer.update_address",
            {"customer_id": _CUSTOMER, **_NEW_ADDRESS},
        ),
        ("status_service_added", "update-account"): _CHANGE_PLAN,
        ("status_service_removed", "update-account"): _CHANGE_PLAN,
        ("manage_extension", "update-account"): _CHANGE_PLAN,
    }
)
"""Where the name of a subflow says which of several writes is meant: (subflow, action) to call."""

_STATUS_NEEDED: Final = {
    "orders.Order.change_address": ("open", "processing"),
    "orders.Return.create": ("delivered",),
}
_NOT_COMPARED: Final = frozenset({"amount", "currency", "reason", "topic", "text"})

_UTTERANCES: Final = (
    "Hello, I need help with {flow}: {subflow}.",
    "This is about {subflow}. Could you look into it, please?",
    "I have been trying for days. {subflow}, that is all I want to get done.",
    "I am {{name}}, my e-mail address is {{email}}. It is about {flow}, namely {subflow}.",
)


def load_abcd(folder: Path, operations: Mapping[str, Operation]) -> tuple[Intent, ...]:
    """Return one intent per subflow of kb.json, named as there. Raises UsageError or InvalidFile."""
    if not folder.is_dir():
        raise UsageError(f"workload.abcd: {folder} is not a folder; it should hold ABCD's kb.json and ontology.json")
    paths, kb_text = _read(folder / "kb.json")
    ontology, _ = _read(folder / "ontology.json")
    flows = _flows(ontology, folder / "ontology.json")
    intents = []
    problems = []
    for subflow, actions in paths.items():
        message = _mistake(subflow, actions, flows)
        if message:
            problems.append(_problem_at(folder / "kb.json", kb_text, f'"{subflow}"', message))
            continue
        for action in actions:
            if action not in ACTIONS:
                message = f"{subflow}: there is no action '{action}'{nearest(action, ACTIONS)}"
                problems.append(_problem_at(folder / "kb.json", kb_text, f'"{action}"', message))
        if not problems:
            intents.append(_intent(flows[subflow], subflow, actions, operations))
    if problems:
        raise InvalidFile(problems)
    if not intents:
        raise InvalidFile([Problem(path=str(folder / "kb.json"), message="holds no subflows")])
    return tuple(intents)


def _read(file: Path) -> tuple[dict[str, Any], str]:
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFile([Problem(path=str(file), message=f"cannot be read: {error}")]) from None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        problem = Problem(path=str(file), line=error.lineno, column=error.colno, message=f"not JSON: {error.msg}")
        raise InvalidFile([problem]) from None
    if not isinstance(value, dict):
        raise InvalidFile([Problem(path=str(file), message="holds no JSON object")])
    return value, text


def _flows(ontology: Mapping[str, Any], file: Path) -> dict[str, str]:
    """Return the flow of each subflow."""
    try:
        by_flow = ontology["intents"]["subflows"]
        return {subflow: flow for flow, subflows in by_flow.items() for subflow in subflows}
    except (KeyError, TypeError, AttributeError):
        message = "needs intents.subflows: for each flow a list of subflows"
        raise InvalidFile([Problem(path=str(file), message=message)]) from None


def _mistake(subflow: str, actions: object, flows: Mapping[str, str]) -> str:
    if not isinstance(actions, list) or not actions or not all(isinstance(action, str) for action in actions):
        return f"'{subflow}' should be a list of actions"
    if subflow not in flows:
        return f"'{subflow}' belongs to no flow of ontology.json{nearest(subflow, flows)}"
    return ""


def _problem_at(file: Path, text: str, words: str, message: str) -> Problem:
    before, found, _ = text.partition(words)
    if not found:
        return Problem(path=str(file), message=message)
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    source = text.split("\n")[line - 1].replace("\t", " ")
    return Problem(path=str(file), line=line, column=column, message=message, source_line=source)


def _intent(flow: str, subflow: str, actions: Sequence[str], operations: Mapping[str, Operation]) -> Intent:
    calls = [SPECIAL.get((subflow, action), ACTIONS[action]) for action in actions]
    statuses = [_STATUS_NEEDED[name] for name, _ in calls if name in _STATUS_NEEDED]
    words = {"flow": flow.replace("_", " "), "subflow": subflow.replace("_", " ")}
    return make_intent(
        id=f"{ID_PREFIX}{subflow}",
        title=f"{words['flow']}: {words['subflow']}",
        weight=1.0,
        utterances=[utterance.format(**words) for utterance in _UTTERANCES],
        path=list(dict.fromkeys(_steps(calls))),
        needs=Needs(status=statuses[0] if statuses else ()),
        effects=list(_effects(calls, operations)),
    )


def _steps(calls: Sequence[Call]) -> Iterator[Step]:
    earlier: list[str] = []
    for name, arguments in calls:
        pairs = []
        for argument, source in arguments.items():
            if isinstance(source, tuple):
                reference, slot = source
                known = any(reference.startswith(f"@{each}.") for each in earlier)
                pairs.append((argument, reference if known else slot))
            else:
                pairs.append((argument, source))
        earlier.append(name)
        yield Step(operation=name, arguments=tuple(pairs))


def _effects(calls: Sequence[Call], operations: Mapping[str, Operation]) -> Iterator[EffectTemplate]:
    """Yield what the writes must leave behind, notes apart: the first argument names the entity."""
    for name, arguments in calls:
        operation = operations[name]
        if not operation.writes or operation.effect_kind == "note":
            continue
        truth = {argument: source if isinstance(source, str) else source[1] for argument, source in arguments.items()}
        first, *others = truth
        yield EffectTemplate(
            service=operation.service,
            kind=operation.effect_kind,
            entity=truth[first],
            amount=truth.get("amount"),
            details={argument: truth[argument] for argument in others if argument not in _NOT_COMPARED},
        )
