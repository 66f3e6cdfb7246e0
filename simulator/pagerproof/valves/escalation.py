"""Escalation: when the pipeline cannot vouch for the result, a human takes over, and the customer is told so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from pagerproof.model import Reply, ReplyStatus, Request
from pagerproof.tools import Desk, Handle, Toolbox, ToolError
from pagerproof.valves.refusals import ValveRefusal

HANDED_OVER_TEXT: Final = (
    "I could not finish this reliably, so I have passed your request to a colleague who will get back to you."
)


async def escalate(
    desk: Desk,
    reason: str,
    *,
    customer_id: str = "",
    text: str = HANDED_OVER_TEXT,
    toolbox: Toolbox | None = None,
    timeout_s: float = 10.0,
) -> Reply:
    """Hand the request over to a human and return the reply that says so.

    Opens a ticket where the customer is known, at best effort: a ticket system that fails changes nothing about the
    hand-over. `toolbox` is where the ticket is opened, by default the desk's tools.
    """
    desk.mark("valve", "escalation", f"handed over: {reason}")
    if customer_id:
        arguments = {"customer_id": customer_id, "topic": "handover"}
        try:
            tools = toolbox if toolbox is not None else desk.tools
            await tools.call("crm.Ticket.create", arguments, timeout_s=timeout_s)
        except ToolError as error:
            desk.mark("valve", "escalation", f"no ticket: {error}")
    return Reply(text=text, status=ReplyStatus.HANDED_OVER, reason=reason)


def escalating(handle: Handle) -> Callable[[Request, Desk], Awaitable[Reply | str]]:
    """Return `handle` with every refusal of a valve that it does not handle itself turned into a hand-over."""

    @wraps(handle)
    async def handle_or_escalate(request: Request, desk: Desk) -> Reply | str:
        try:
            return await handle(request, desk)
        except ValveRefusal as refusal:
            return await escalate(desk, str(refusal))

    return handle_or_escalate
