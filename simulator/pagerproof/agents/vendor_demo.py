"""The pipeline from the vendor's demo: temperature 0, no time-outs thought of, no limits, and every 200 is believed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from pagerproof.agents.roles import (
    ROUTE,
    VERIFY,
    WRITE,
    as_message,
    conversation,
    from_customer,
    specialist_for,
    specialist_prompt,
)
from pagerproof.tools import Completion, Desk, Message, Reply, ReplyStatus, Request, ToolError, ToolTimeout

TIMEOUT_S: Final = 60.0  # whatever the client library had


async def handle(request: Request, desk: Desk) -> Reply:
    """Route, let the specialist talk until it says DONE, have it verified, write the reply."""
    customer = from_customer(request)
    routing = await _ask(desk, conversation(ROUTE, customer))
    intents = _decoded(routing.text).get("intents", [])
    domain, tools = specialist_for(map(str, intents) if isinstance(intents, list) else ())
    desk.note(f"router: {domain}")

    messages = conversation(specialist_prompt(domain), customer)
    last = await _talk_until_done(desk, messages, tools)
    if last.startswith("DECLINE"):
        return Reply(text=last.partition(":")[2].strip() or last, status=ReplyStatus.DECLINED)

    verdict = await _ask(desk, conversation(VERIFY, *messages[1:]))
    desk.note(f"verifier: {verdict.text}")
    if _decoded(verdict.text).get("approved") is False:
        messages.append({"role": "user", "content": f"The reviewer is not happy yet: {verdict.text}"})
        await _talk_until_done(desk, messages, tools)

    reply = await _ask(desk, conversation(WRITE, *messages[1:]))
    desk.note("writer: replied")
    return Reply(text=reply.text)


async def _talk_until_done(desk: Desk, messages: list[Message], tools: Sequence[str]) -> str:
    while True:
        completion = await _ask(desk, messages, tools)
        messages.append(as_message(completion))
        for call in completion.tool_calls:
            content = await _use(desk, call.name, _decoded(call.arguments))
            messages.append({"role": "tool", "name": call.name, "content": content})
        if completion.tool_calls:
            continue
        if "DONE" in completion.text or completion.text.startswith("DECLINE"):
            desk.note(f"specialist: {completion.text[:80]}")
            return completion.text
        messages.append({"role": "user", "content": "Please go on until you are DONE."})


async def _use(desk: Desk, operation: str, arguments: dict[str, Any]) -> str:
    try:
        result = await desk.tools.call(operation, arguments, timeout_s=TIMEOUT_S)
    except ToolTimeout:
        return f"ERROR {operation}: no confirmation yet, the request is being processed"
    except ToolError as error:
        return f"ERROR {error}"
    return result.text if result.ok else f"ERROR HTTP {result.status}: {result.text[:500]}"


async def _ask(desk: Desk, messages: Sequence[Message], tools: Sequence[str] = ()) -> Completion:
    while True:
        try:
            return await desk.model.chat(messages, tools=tools, temperature=0.0, timeout_s=TIMEOUT_S)
        except ToolError as error:
            desk.note(f"the model did not answer, asking again: {error}")


def _decoded(text: str) -> dict[str, Any]:
    """Make the best of what the model wrote."""
    for attempt in (text, text[text.find("{") : text.rfind("}") + 1], text + '"}', text + "}"):
        try:
            data = json.loads(attempt)
        except ValueError:
            continue
        if isinstance(data, dict):
            return data
    return {}
