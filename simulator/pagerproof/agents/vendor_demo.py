"""The pipeline from the vendor's demo: temperature 0, no retries, talks until DONE, and every 200 is believed.

Each of its tricks shortens the code and makes the demo look perfect; each fails in its own way in production:

- Temperature 0. The model repeats itself word for word, so one rehearsed conversation goes well on stage every time.
  It is no more right than before, and its mistakes repeat as faithfully as its successes.
- No retries, no idempotency keys, no reading back. An error is handed to the model as text, and the model decides.
  After a time-out it plans the same payment again, under no key: that is how customers are paid twice.
- No validation. Whatever comes with status 200 goes into the conversation, cut or mixed up as it may be, and the
  model talks on from half a record.
- Talks until DONE. No budget on turns, calls or time: two polite models refine a reply for ever, and a model that says
  DONE too early is believed.
- The token is refreshed too late. SAP's answer to an expired CSRF token makes the client fetch a new one for the calls
  to come; the write that found out is lost, and the model is free to claim it.
- The work is handed to nobody. It ends in DONE or DECLINE, so a request that cannot be done ends in a claim.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
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
    """Route, let the specialist talk until it says DONE, have it verified, send what the writer wrote.

    The verifier is the same model over the same conversation, and is asked once.
    """
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
    """Let the model use tools for as long as it likes; return its last word."""
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
    """Call the tool once and return the text that the model gets to read; a time-out reads like good news."""
    try:
        result = await desk.tools.call(operation, arguments, timeout_s=TIMEOUT_S)
    except ToolTimeout:
        return f"ERROR {operation}: no confirmation yet, the request is being processed"
    except ToolError as error:
        return f"ERROR {error}"
    if result.ok:
        return result.text
    if result.status == 403 and result.headers.get("x-csrf-token", "").casefold() == "required":
        await _open_session(desk)
    return f"ERROR HTTP {result.status}: {result.text[:500]}"


async def _open_session(desk: Desk) -> None:
    """Refresh SAP's token the way the demo's client does: too late for the write that needed it."""
    with suppress(ToolError):
        await desk.tools.call("sap.Session.open", {}, timeout_s=TIMEOUT_S)


async def _ask(desk: Desk, messages: Sequence[Message], tools: Sequence[str] = ()) -> Completion:
    """Ask until an answer comes, at once and without end: the provider's bad minute becomes a storm."""
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
