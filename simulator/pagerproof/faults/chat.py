"""Faults of a language model, on the provider's chat body: tools that do not exist, cut arguments, endless courtesy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from pagerproof.faults.fields import decoded, encoded
from pagerproof.model import Answer
from pagerproof.protocols import Call
from pagerproof.rng import pick

_INVENTED: Final = ("payments.Refund.issue", "orders.Order.update", "crm.Customer.lookup", "sap.SalesOrder.modify")
_REFUSALS: Final = (
    "I'm sorry, but I can't help with that request.",
    "I'm not able to assist with requests that involve personal or financial information.",
)
_ROUTING: Final = ("route", "classify", "triage")
_VERIFYING: Final = ("verify", "review", "check")
_NOT_YET: Final = "Almost there. Let me go over this once more, to be sure that it reads well for the customer."
_WHY: Final = "Good work. Could you make it a little warmer, and then show it to me once more?"

Rewrite = Callable[[dict[str, Any], Call, int], bool]
"""Rewrites the first choice of a chat body in place; returns False where there is nothing to rewrite."""


def rewritten(answer: Answer, call: Call, key: int, rewrite: Rewrite) -> Answer | None:
    """Return the answer with its first choice rewritten, or None."""
    document = decoded(answer)
    try:
        choice = document["choices"][0]
        choice["message"]["role"]
    except (KeyError, IndexError, TypeError):
        return None
    return encoded(answer, document) if rewrite(choice, call, key) else None


def _functions(choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [each["function"] for each in choice["message"].get("tool_calls") or ()]


def _say(choice: dict[str, Any], text: str) -> None:
    choice["message"].pop("tool_calls", None)
    choice["message"]["content"] = text
    choice["finish_reason"] = "stop"


def invented_tool(name: str | None) -> Rewrite:
    """Let the first tool call name a tool that does not exist."""

    def rewrite(choice: dict[str, Any], _call: Call, key: int) -> bool:
        functions = _functions(choice)
        if functions:
            functions[0]["name"] = name or pick(key, _INVENTED)
        return bool(functions)

    return rewrite


def truncated_arguments(keep: float, finish_reason: str) -> Rewrite:
    """Cut the arguments of the last tool call."""

    def rewrite(choice: dict[str, Any], _call: Call, _key: int) -> bool:
        functions = _functions(choice)
        if not functions:
            return False
        arguments = str(functions[-1]["arguments"])
        functions[-1]["arguments"] = arguments[: min(int(len(arguments) * keep), len(arguments) - 1)]
        choice["finish_reason"] = finish_reason
        return True

    return rewrite


def prose(choice: dict[str, Any], _call: Call, _key: int) -> bool:
    """Say what would be done instead of calling the tool."""
    functions = _functions(choice)
    if functions:
        _say(choice, f"I will now use {functions[0]['name']} to take care of this, and come back to you in a moment.")
    return bool(functions)


def refusal(choice: dict[str, Any], _call: Call, key: int) -> bool:
    """Decline where nothing is wrong."""
    text = pick(key, _REFUSALS)
    _say(choice, text)
    choice["message"]["refusal"] = text
    return True


def polite_loop(choice: dict[str, Any], call: Call, _key: int) -> bool:
    """Let a verifier ask for one more round, and let a worker that wants to finish go on instead."""
    if not call.arguments.get("tools"):
        if not _is_verification(call):
            return False
        _say(choice, orjson.dumps({"approved": False, "why": _WHY}).decode())
        return True
    if _functions(choice):
        return False
    _say(choice, _NOT_YET)
    return True


def _is_verification(call: Call) -> bool:
    messages = call.arguments.get("messages") or ()
    text = next((str(each.get("content")) for each in messages if each.get("role") in ("system", "developer")), "")
    text = text.lower()
    return any(word in text for word in _VERIFYING) and not any(word in text for word in _ROUTING)


def cut_stream(keep: float) -> Rewrite:
    """End the answer in the middle, without a finish reason."""

    def rewrite(choice: dict[str, Any], _call: Call, _key: int) -> bool:
        message = choice["message"]
        functions = _functions(choice)
        if functions:
            arguments = str(functions[-1]["arguments"])
            functions[-1]["arguments"] = arguments[: int(len(arguments) * keep)]
        elif isinstance(message.get("content"), str):
            message["content"] = message["content"][: int(len(message["content"]) * keep)]
        choice["finish_reason"] = None
        return True

    return rewrite
