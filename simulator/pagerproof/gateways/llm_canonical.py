"""A provider's answer in plain terms: what the simulated model said or what went wrong, from the canonical body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pagerproof.model import Answer

JSON: Final = "application/json"
SSE: Final = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call as the model wrote it; `arguments` is JSON text and may be broken."""

    id: str
    name: str
    arguments: str

    def decoded(self) -> dict[str, Any] | None:
        """The arguments as an object; None where they are not the JSON of one."""
        try:
            value = orjson.loads(self.arguments or "{}")
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A chat completion; fields that a fault took away are None."""

    key: str
    text: str | None
    refusal: str | None
    calls: tuple[ToolCall, ...]
    finish: str | None
    tokens_in: int | None
    tokens_out: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error in the provider's own terms: `kind` is OpenAI's type, `code` its code.

    Under a status of 200 it is one that came when the answer had begun: in a stream, an event of its own.
    """

    status: int
    message: str
    kind: str
    code: str | None
    param: str | None = None


def is_foreign(answer: Answer) -> bool:
    """Whether somebody on the way answered instead of the provider: something that is no JSON, such as a page."""
    return not answer.headers.get("content-type", "").startswith(JSON)


def read_answer(answer: Answer) -> Said | Problem | None:
    """Return what a service's answer says; None where it is not in the canonical shape."""
    if is_foreign(answer):
        return None
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    if answer.status >= 400 or "error" in document:
        return _problem(answer.status, document)
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    return None if choice is None else _said(document, choice)


def _problem(status: int, document: Mapping[str, Any]) -> Problem | None:
    error = document.get("error")
    if not isinstance(error, Mapping):
        return None
    return Problem(
        status=status,
        message=str(error.get("message", "")),
        kind=str(error.get("type") or ""),
        code=None if error.get("code") is None else str(error["code"]),
        param=None if error.get("param") is None else str(error["param"]),
    )


def _said(document: Mapping[str, Any], choice: Mapping[str, Any]) -> Said:
    given = choice.get("message")
    message: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    used = document.get("usage")
    usage: Mapping[str, Any] = used if isinstance(used, Mapping) else {}
    return Said(
        key=str(document.get("id", "")).removeprefix("chatcmpl-"),
        text=_text(message.get("content")),
        refusal=_text(message.get("refusal")),
        calls=tuple(_calls(message.get("tool_calls"))),
        finish=_text(choice.get("finish_reason")),
        tokens_in=_whole(usage.get("prompt_tokens")),
        tokens_out=_whole(usage.get("completion_tokens")),
    )


def _calls(given: Any) -> list[ToolCall]:
    calls = []
    for each in given if isinstance(given, list) else ():
        function = each.get("function") if isinstance(each, Mapping) else None
        if isinstance(function, Mapping):
            calls.append(
                ToolCall(
                    id=str(each.get("id", "")),
                    name=str(function.get("name", "")),
                    arguments=str(function.get("arguments", "")),
                )
            )
    return calls


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# --- what renderers make


def with_headers(answer: Answer, body: bytes, content_type: str, more: Mapping[str, str], status: int = 0) -> Answer:
    """Return the answer in its protocol's shape: another body and type, the provider's headers added."""
    headers = {**answer.headers, **more, "content-type": content_type}
    return Answer(status or answer.status, headers, body, pace_s=answer.pace_s, delivery=answer.delivery, rendered=True)


def untouched(answer: Answer, more: Mapping[str, str]) -> Answer:
    """Return an answer that is not the provider's, or not in its shape any more, as it came."""
    return with_headers(answer, answer.body, answer.headers.get("content-type", ""), more)


def event(data: Any, name: str = "") -> bytes:
    """Return one server-sent event."""
    text = data if isinstance(data, bytes) else orjson.dumps(data)
    return (b"event: %b\n" % name.encode() if name else b"") + b"data: %b\n\n" % text


def pieces(text: str, size: int = 16) -> list[str]:
    """Return a text cut as streams cut it: a few characters (about four tokens) a piece; none of an empty one."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def as_text(content: Any) -> str:
    """Return the text of a message's content: text as it is, the text parts of a list, and "" for nothing."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "\n".join(
            str(part.get("text") or part.get("refusal") or "") if isinstance(part, Mapping) else str(part)
            for part in content
            if not isinstance(part, Mapping) or "text" in part or "refusal" in part
        )
    return ""
