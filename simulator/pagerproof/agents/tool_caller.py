"""The plainest agent there is: one model, every tool that the desk offers, a loop until the model is finished.

What a tau2-bench agent or a tutorial's is: no router, no specialist, no valves. A tool's error is handed to the model
as text, and a call that broke or timed out is repeated once where it only reads. It works with whatever tools a
workload brings, so that somebody else's domain can be tried before one's own agent speaks to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pagerproof.agents.roles import as_message, from_customer
from pagerproof.tools import Completion, Desk, Message, Reply, ReplyStatus, Request, ToolError, loads

TURNS_MAX: Final = 40
TIMEOUT_S: Final = 30.0
_HANDS_OVER: Final = "transfer_to_human"
_PROMPT: Final = (
    "You serve customers of {services}. Do what the customer asks for with the tools, one call at a time. When all is "
    "done, answer DONE: and what to tell the customer; DECLINE: and why, where it must not be done; CANNOT: and why, "
    "where it does not work."
)
_ENDINGS: Final = (("DONE", ReplyStatus.DONE), ("DECLINE", ReplyStatus.DECLINED), ("CANNOT", ReplyStatus.FAILED))
_GO_ON: Final[Message] = {"role": "user", "content": "Call the next tool, or say DONE, CANNOT or DECLINE."}


async def handle(request: Request, desk: Desk) -> Reply:
    """Let the model call tools until it says that it is finished; hand over where it called for a human.

    Fails loudly where the model does not answer, twice in a row.
    """
    tools = tuple(desk.operations)
    services = ", ".join(dict.fromkeys(name.partition(".")[0] for name in tools))
    system: Message = {"role": "system", "content": _PROMPT.format(services=services)}
    messages: list[Message] = [system, from_customer(request)]
    handed_over = False
    for _ in range(TURNS_MAX):
        try:
            completion = await _ask(desk, messages, tools)
        except ToolError as error:
            return _failed(f"the model does not answer: {error}")
        messages.append(as_message(completion))
        for call in completion.tool_calls:
            content, good = await _use(desk, call.name, call.arguments)
            messages.append({"role": "tool", "name": call.name, "content": content})
            handed_over = handed_over or (good and _HANDS_OVER in call.name)
        if completion.tool_calls:
            continue
        for word, status in _ENDINGS:
            if completion.text.startswith(word):
                said = completion.text.partition(":")[2].strip() or completion.text
                return Reply(text=said, status=ReplyStatus.HANDED_OVER if handed_over else status, reason=said)
        messages.append(_GO_ON)
    return _failed(f"no end after {TURNS_MAX} turns")


def _failed(reason: str) -> Reply:
    return Reply(text="I could not finish this.", status=ReplyStatus.FAILED, reason=reason)


async def _ask(desk: Desk, messages: list[Message], tools: tuple[str, ...]) -> Completion:
    try:
        return await desk.model.chat(messages, tools=tools, timeout_s=TIMEOUT_S)
    except ToolError as error:
        desk.note(f"the model did not answer, asking once more: {error}")
        return await desk.model.chat(messages, tools=tools, timeout_s=TIMEOUT_S, attempt=2)


async def _use(desk: Desk, name: str, written: str) -> tuple[str, bool]:
    """Call the tool and return (what the model gets to read, whether it is a good answer)."""
    arguments = _decoded(written)
    if arguments is None:
        return f"ERROR {name}: the arguments are no JSON object", False
    known = desk.operations.get(name)
    attempts = 2 if known is not None and not known.writes else 1
    for attempt in range(1, attempts + 1):
        try:
            result = await desk.tools.call(name, arguments, timeout_s=TIMEOUT_S, attempt=attempt)
        except ToolError as error:
            if attempt == attempts:
                return f"ERROR {error}", False
            continue
        return (result.text, True) if result.ok else (f"ERROR HTTP {result.status}: {result.text[:500]}", False)
    return f"ERROR {name} was not called", False


def _decoded(written: str) -> Mapping[str, Any] | None:
    try:
        data = loads(written)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
