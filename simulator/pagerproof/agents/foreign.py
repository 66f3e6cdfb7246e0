"""Agents that know nothing of Pagerproof: async functions that take the customer's words and return a text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final

from pagerproof.model import Reply, Request
from pagerproof.replies import status_of
from pagerproof.tools import Desk

_FACTS: Final[Mapping[str, Callable[[Request], Any]]] = MappingProxyType(
    {
        "text": lambda request: request.text,
        "message": lambda request: request.text,
        "query": lambda request: request.text,
        "prompt": lambda request: request.text,
        "question": lambda request: request.text,
        "user_input": lambda request: request.text,
        "email": lambda request: request.customer_email,
        "customer_email": lambda request: request.customer_email,
        "name": lambda request: request.customer_name,
        "customer_name": lambda request: request.customer_name,
        "channel": lambda request: request.channel,
        "locale": lambda request: request.locale,
        "request": lambda request: request,
    }
)
"""What a parameter of such a function is given, by its name; a single parameter of another name is given the text."""


def facts_wanted(function: Callable[..., Any]) -> tuple[str, ...] | None:
    """Return the facts that `function` takes, in order, or None where it is not a function of this kind."""
    parameters = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    ]
    wanted = [each for each in parameters if each.default is each.empty or each.name in _FACTS]
    if len(wanted) == 1 and wanted[0].name not in _FACTS:
        return ("text",) if wanted[0].kind is not wanted[0].KEYWORD_ONLY else None
    if not wanted or any(each.name not in _FACTS or each.kind is each.POSITIONAL_ONLY for each in wanted):
        return None
    return tuple(each.name for each in wanted)


class ForeignAgent:
    """Makes an agent of such a function; whatever it returns is brought down to a reply."""

    __slots__ = ("_facts", "_function")

    def __init__(
        self,
        function: Callable[..., Coroutine[Any, Any, object]],
        facts: tuple[str, ...],
    ) -> None:
        self._function = function
        self._facts = facts

    async def handle(self, request: Request, desk: Desk) -> Reply:
        """Ask the function; the desk stays unused: such an agent reaches the services over the network."""
        del desk
        if self._facts == ("text",):
            value = await self._function(request.text)
        else:
            value = await self._function(**{name: _FACTS[name](request) for name in self._facts})
        return value if isinstance(value, Reply) else reply_of(text_of(value))


def reply_of(text: str) -> Reply:
    """Return the reply whose status is what its words claim."""
    return Reply(text=text, status=status_of(text))


def text_of(value: object) -> str:
    """Return the last word in what a framework's run returns. Raises TypeError where there is none.

    A text is itself; a result with `final_output` (OpenAI Agents) or `output` (Pydantic AI), a mapping with `messages`
    (LangGraph) and a message with `content` are looked into.
    """
    for _ in range(4):
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping) and value.get("messages"):
            value = value["messages"][-1]
        elif isinstance(value, Mapping) and "content" in value:
            value = value["content"]
        else:
            value = next(
                (
                    getattr(value, name)
                    for name in ("final_output", "output", "content")
                    if getattr(value, name, None) is not None
                ),
                None,
            )
    raise TypeError("the agent must return the text of its reply, or a framework's result that has one")
