"""What every agent must do, whoever wrote it; run it on an agent of your own: `check_agent(make_agent)`.

`make_agent` returns something with `async handle(request, desk)`. The conversation of the suite is the simplest there
is: read the customer and the order, then say so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.conformance.valve import FakeDesk, ScriptedModel, ScriptedToolbox, answer, order, run

from pagerproof.agents.load import Agent, checked_reply
from pagerproof.model import Reply
from pagerproof.tools import Completion, Message, ModelToolCall

CUSTOMER: dict[str, Any] = {
    "customer_id": "C000001",
    "business_partner": "1000000001",
    "name": "Ann Smith",
    "email": "ann@example.org",
    "phone": "",
    "tier": "gold",
    "address": {"street": "A 1", "city": "B", "postcode": "12345", "country": "DE"},
}


class SmallModel:
    """A model that follows one path without a mistake, by reading the conversation it is given."""

    def __init__(self, path: Sequence[tuple[str, dict[str, Any]]], intents: Sequence[str] = ("delivery_date",)) -> None:
        self.path = list(path)
        self.intents = list(intents)
        self.heard: list[list[Message]] = []
        self.attempts: list[int] = []
        self.offered: list[tuple[str, ...]] = []
        self.reply = "It will arrive on 2026-11-25."
        self.verdicts = ['{"approved": true, "why": "all done"}']
        self.endings = ["DONE: everything has been looked up."]

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[str] = (),
        temperature: float = 0.0,
        max_tokens: int = 1024,
        timeout_s: float | None = None,
        attempt: int = 1,
    ) -> Completion:
        self.heard.append(list(messages))
        self.attempts.append(attempt)
        assert len(self.heard) <= 60, "the conversation does not end"
        await asyncio.sleep(0)
        if tools:
            self.offered.append(tuple(tools))
            return self.act(messages)
        system = messages[0]["content"].casefold()
        if "route" in system:
            return word(json.dumps({"intents": self.intents, "order_id": "4500000001", "confidence": 0.9}))
        if "verify" in system:
            return word(self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0])
        return word(self.reply)

    def act(self, messages: Sequence[Message]) -> Completion:
        done = 0
        for message in messages:
            if message["role"] == "tool" and done < len(self.path) and message["name"] == self.path[done][0]:
                done += not message["content"].startswith("ERROR")
        if done < len(self.path):
            return tool_call(*self.path[done])
        return word(self.endings.pop(0) if len(self.endings) > 1 else self.endings[0])


def word(text: str) -> Completion:
    """The model says something."""
    return Completion(text=text, tool_calls=(), finish_reason="stop", tokens_in=10, tokens_out=10)


def tool_call(operation: str, arguments: dict[str, Any] | str) -> Completion:
    """The model calls a tool; arguments as text stay as they are."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    calls = (ModelToolCall(operation, text),)
    return Completion(text="", tool_calls=calls, finish_reason="tool_calls", tokens_in=10, tokens_out=10)


def reads(index: int = 1) -> list[tuple[str, dict[str, Any]]]:
    """Find the customer, read the order, track the shipment."""
    order_id = f"45{index:08d}"
    return [
        ("crm.Customer.find", {"email": "ann@example.org"}),
        ("orders.Order.get", {"order_id": order_id}),
        ("orders.Shipment.track", {"order_id": order_id}),
    ]


def back_office() -> ScriptedToolbox:
    """Systems of record that know one customer, whose every order they find."""

    def tracked(asked: Any) -> Any:
        return answer({"order_id": asked["order_id"], "status": "shipped", "carrier": "DHL", "eta": "2026-11-25"})

    return ScriptedToolbox(
        {
            "crm.Customer.find": [answer(CUSTOMER)],
            "orders.Order.get": [lambda asked: answer(order(int(asked["order_id"][2:])))],
            "orders.Shipment.track": [tracked],
            "crm.Note.create": [answer({"note_id": "N1"})],
            "crm.Ticket.create": [answer({"ticket_id": "T1"})],
        }
    )


def check_agent(make: Callable[[], Agent]) -> None:
    """Raise AssertionError where an agent made by `make` breaks a promise that every agent gives."""
    for promise in PROMISES:
        promise(make)


def it_answers_an_easy_request(make: Callable[[], Agent]) -> None:
    toolbox = back_office()
    desk = FakeDesk(toolbox, model=SmallModel(reads()))
    reply = run(_replied(make(), desk))
    assert reply.text.strip(), "the reply says nothing"
    assert toolbox.calls, "no tool was used: an agent works through its desk"


def it_keeps_two_requests_apart(make: Callable[[], Agent]) -> None:
    agent = make()
    desks = [FakeDesk(back_office(), index=index, model=SmallModel(reads(index))) for index in (1, 2)]

    async def both() -> list[Reply]:
        return list(await asyncio.gather(*(_replied(agent, desk) for desk in desks)))

    run(both())
    for desk, other in ((desks[0], "4500000002"), (desks[1], "4500000001")):
        toolbox = desk.tools
        assert isinstance(toolbox, ScriptedToolbox)
        sent = json.dumps([call["arguments"] for call in toolbox.calls])
        assert other not in sent, "one request's order turned up in another request"


def it_lets_cancellation_through(make: Callable[[], Agent]) -> None:
    desk = FakeDesk(back_office(), model=ScriptedModel([asyncio.CancelledError()]))
    assert run(_ends_by(make(), desk, asyncio.CancelledError)), "a cancelled request went on"


class Stopped(BaseException):
    """Stands for the simulator, which ends a request at one of its limits."""


def it_lets_the_simulators_stop_through(make: Callable[[], Agent]) -> None:
    toolbox = ScriptedToolbox({name: [Stopped()] for name in back_office().script})
    desk = FakeDesk(toolbox, model=SmallModel(reads()))
    assert run(_ends_by(make(), desk, Stopped)), "a stopped request went on"


async def _replied(agent: Agent, desk: FakeDesk) -> Reply:
    return checked_reply(await agent.handle(desk.request, desk))


async def _ends_by(agent: Agent, desk: FakeDesk, kind: type[BaseException]) -> bool:
    try:
        await agent.handle(desk.request, desk)
    except kind:
        return True
    return False


PROMISES = (
    it_answers_an_easy_request,
    it_keeps_two_requests_apart,
    it_lets_cancellation_through,
    it_lets_the_simulators_stop_through,
)
