"""The public door for agents: tools, their results and their errors, the model, the desk and the valves around it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypedDict

import orjson

from pagerproof.model import Answer, Operation, Reply, ReplyStatus, Request


class ToolError(Exception):
    """A tool call that gave no usable answer. `status` is 0 where no HTTP status arrived."""

    def __init__(self, operation: str, message: str, *, status: int = 0, body: bytes = b"") -> None:
        super().__init__(f"{operation}: {message}")
        self.operation = operation
        self.status = status
        self.body = body


class ToolTimeout(ToolError, TimeoutError):
    """No answer within the call's time-out. The work may still be going on, or be done."""


class ConnectionLost(ToolError, ConnectionError):
    """The connection was refused or broke. The work may be done."""


class BadAnswer(ToolError, ValueError):
    """An answer arrived with a good status and cannot be decoded."""


def loads(body: bytes | str) -> Any:
    """Decode JSON as `json.loads` does, at a third of its cost where the body is strictly JSON.

    Whatever the strict decoder refuses goes to the standard library, which accepts more (NaN, half surrogate pairs)
    and whose errors people know.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)


_NOT_DECODED: Final = object()


class ToolResult:
    """An answer at the agent's boundary. Reading `body`, `text`, `json()` or `data()` marks it as read.

    The body is decoded once: `json()`, `strict_json()` and `data()` return the same object each time.
    """

    __slots__ = ("_body", "_decoded", "_on_read", "headers", "operation", "status", "wire_bytes")

    def __init__(self, operation: str, answer: Answer, on_read: Callable[[], None] | None = None) -> None:
        self.operation = operation
        self.status = answer.status
        self.headers = answer.headers
        self.wire_bytes = answer.wire_bytes
        self._body = answer.body
        self._decoded: Any = _NOT_DECODED
        self._on_read = on_read

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def body(self) -> bytes:
        """The body's bytes as they arrived."""
        if self._on_read is not None:
            self._on_read()
            self._on_read = None
        return self._body

    @property
    def text(self) -> str:
        """The body as UTF-8 text, undecodable bytes replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body decoded as JSON. Raises ValueError as json.loads does."""
        if self._decoded is _NOT_DECODED:
            self._decoded = loads(self.body)
        return self._decoded

    def strict_json(self) -> Any:
        """The body decoded as JSON and nothing else: NaN and half surrogate pairs are a ValueError, too."""
        self._decoded = orjson.loads(self.body)
        return self._decoded

    def data(self) -> Any:
        """The decoded body of a 2xx answer. Raises ToolError for another status, BadAnswer where it is not JSON."""
        if not self.ok:
            raise ToolError(
                self.operation, f"HTTP {self.status}: {self.text[:200]}", status=self.status, body=self.body
            )
        try:
            return self.json()
        except ValueError as error:
            raise BadAnswer(
                self.operation,
                f"HTTP {self.status} with a body that is not JSON: {error}",
                status=self.status,
                body=self.body,
            ) from error


class Toolbox(Protocol):
    """Something that carries out tool calls: the boundary to the services, or a valve around another toolbox."""

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        attempt: int = 1,
    ) -> ToolResult:
        """Carry out `operation` and return whatever arrived. Raises ToolTimeout or ConnectionLost.

        `attempt` counts from 1 and is raised by whoever calls again for the same purpose.
        """
        ...


class Message(TypedDict, total=False):
    """One message of a model's conversation. Roles: system, user, assistant, tool.

    A tool message carries the operation's `name` and the answer as text in `content`; an assistant message
    that called tools carries `tool_calls` as the model returned them.
    """

    role: str
    content: str
    name: str
    tool_calls: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ModelToolCall:
    """A tool call as the model wrote it; `arguments` is JSON text and may be broken."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A model's answer, decoded from the provider's body."""

    text: str
    tool_calls: tuple[ModelToolCall, ...]
    finish_reason: str
    tokens_in: int
    tokens_out: int


class Model(Protocol):
    """The language model as the agent calls it."""

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
        """Ask for the next message. Raises ToolTimeout, ConnectionLost, ToolError or BadAnswer.

        `attempt` counts from 1 and is raised by whoever asks the same again.
        """
        ...


class Clock(Protocol):
    """Virtual time."""

    def now_s(self) -> float:
        """Seconds since the run began."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; it takes no wall-clock time."""
        ...


class Desk(Protocol):
    """What one request's agent has at hand. `operations` are the tools that the workload is about, by full name."""

    request: Request
    operations: Mapping[str, Operation]
    tools: Toolbox
    model: Model
    clock: Clock

    async def call(self, operation: str, /, **arguments: object) -> Any:
        """Call a tool and return its decoded data. Raises ToolError and its kinds."""
        ...

    def note(self, text: str) -> None:
        """Write a line of reasoning into the request's trace."""
        ...

    def mark(self, kind: str, name: str, detail: str = "") -> None:
        """Write what a valve or an agent did into the trace (`kind` is `valve` or `agent`)."""
        ...


Handle = Callable[[Request, Desk], Awaitable[Reply | str]]
"""An agent: takes a request and its desk, returns its last word (a str counts as a `done` Reply)."""


class Valve(Protocol):
    """A safety valve: something put around any agent's tools. Its state lives as long as the run."""

    name: str

    def around(self, toolbox: Toolbox, desk: Desk) -> Toolbox:
        """Return a toolbox for this one request that adds the valve to `toolbox`."""
        ...


__all__ = [
    "Answer",
    "BadAnswer",
    "Clock",
    "Completion",
    "ConnectionLost",
    "Desk",
    "Handle",
    "Message",
    "Model",
    "ModelToolCall",
    "Operation",
    "Reply",
    "ReplyStatus",
    "Request",
    "ToolError",
    "ToolResult",
    "ToolTimeout",
    "Toolbox",
    "Valve",
]
