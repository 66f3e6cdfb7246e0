"""The desk: what one request's agent has at hand, over the boundary to the services."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pagerproof import events
from pagerproof.kernel import SimulationLoop
from pagerproof.model import Operation, Request
from pagerproof.protocols import Case
from pagerproof.tools import BadAnswer, Clock, Completion, Message, Model, ModelToolCall, Toolbox

DEFAULT_TIMEOUT_S = 60.0
"""The time-out of a call that names none: what SAP's Integration Suite and most HTTP clients are left at."""


class VirtualClock:
    """The loop's time, as agents see it."""

    __slots__ = ("now_s",)

    def __init__(self, loop: SimulationLoop) -> None:
        self.now_s = loop.time  # the method itself: agents and valves ask for the time several times a call

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)


class ToolboxModel:
    """The language model behind a toolbox: calls the provider and decodes its body as an SDK would."""

    __slots__ = ("_toolbox",)

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox

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
        """Ask for the next message. Raises ToolTimeout, ConnectionLost, ToolError or BadAnswer."""
        result = await self._toolbox.call(
            "llm.Chat.create",
            {"messages": messages, "tools": tools, "temperature": temperature, "max_tokens": max_tokens},
            timeout_s=DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s,
            attempt=attempt,
        )
        return decode_completion(result.data())


def decode_completion(data: Any) -> Completion:
    """Return the completion in an OpenAI-shaped chat body. Raises BadAnswer where a part of it is missing."""
    try:
        choice = data["choices"][0]
        message = choice["message"]
        calls = message.get("tool_calls")
        usage = data.get("usage", {})
        return Completion(
            text=message.get("content") or "",
            tool_calls=tuple([_tool_call(call["function"]) for call in calls]) if calls else (),
            finish_reason=choice.get("finish_reason") or "",
            tokens_in=usage.get("prompt_tokens", 0),
            tokens_out=usage.get("completion_tokens", 0),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise BadAnswer("llm.Chat.create", f"the provider's body lacks {error}", status=200) from error


def _tool_call(function: Any) -> ModelToolCall:
    return ModelToolCall(function["name"], function["arguments"])


class SimulatedDesk:
    """Implements `pagerproof.tools.Desk` for one request."""

    __slots__ = ("_log", "_loop", "clock", "model", "operations", "request", "tools")

    def __init__(
        self,
        case: Case,
        toolbox: Toolbox,
        clock: VirtualClock,
        loop: SimulationLoop,
        operations: Mapping[str, Operation],
    ) -> None:
        self.operations = operations
        self.request: Request = case.request
        self.tools: Toolbox = toolbox
        self.model: Model = ToolboxModel(toolbox)
        self.clock: Clock = clock
        self._log = case.log
        self._loop = loop

    async def call(self, operation: str, /, **arguments: object) -> Any:
        """Call a tool with the default time-out and return its decoded data. Raises ToolError and its kinds."""
        result = await self.tools.call(operation, arguments, timeout_s=DEFAULT_TIMEOUT_S)
        return result.data()

    def note(self, text: str) -> None:
        """Write a line of reasoning into the request's trace."""
        self._log.append((self._loop.time(), events.NOTE, "", 0, 0, str(text)))

    def mark(self, kind: str, name: str, detail: str = "") -> None:
        """Write what a valve or an agent did into the trace (`kind` is `valve` or `agent`)."""
        known = events.VALVE if kind == events.VALVE else events.AGENT  # nobody writes a ledger's or a fault's events
        self._log.append((self._loop.time(), known, str(name), 0, 0, str(detail)))
