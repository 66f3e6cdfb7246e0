"""Anthropic's messages API as a gateway: content blocks, their stream events, and Anthropic's errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from pagerproof.gateways.llm_canonical import (
    JSON,
    SSE,
    Problem,
    Said,
    as_text,
    event,
    is_foreign,
    pieces,
    read_answer,
    untouched,
    with_headers,
)
from pagerproof.gateways.llm_door import EPOCH_S, Asked, OpenCases, Unusable, carried_out, decoded
from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Exchange
from pagerproof.rng import hex_id, key_of

_KINDS: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOPS: Final = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}


class Messages:
    """`POST /v1/messages`."""

    def arguments(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the canonical arguments. Raises Unusable."""
        model = document.get("model")
        if not isinstance(model, str) or not model:
            raise Unusable("model: Field required", "model")
        limit = document.get("max_tokens")
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise Unusable("max_tokens: Field required", "max_tokens")
        if limit < 1:
            raise Unusable("max_tokens: must be greater than or equal to 1", "max_tokens")
        arguments: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": _messages(document)}
        tools = document.get("tools")
        if isinstance(tools, list) and tools:
            arguments["tools"] = _tools(tools)
        temperature = document.get("temperature", 1.0)
        if not isinstance(temperature, (int, float)) or isinstance(temperature, bool) or not 0 <= temperature <= 1:
            raise Unusable("temperature: range: 0..1", "temperature")
        arguments["temperature"] = temperature
        choice = document.get("tool_choice")
        if isinstance(choice, Mapping):
            kind = str(choice.get("type", "auto"))
            arguments["tool_choice"] = {"type": {"any": "required", "tool": "function"}.get(kind, kind)}
            if choice.get("name"):
                arguments["tool_choice"]["name"] = str(choice["name"])
        schema = _schema(document)
        if schema is not None:
            arguments["response_format"] = {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}
        return arguments

    def render(self, answer: Answer, asked: Asked) -> Answer:
        """Return the answer as a message, its events, or Anthropic's error."""
        headers = {**_limit_headers(answer, asked), "request-id": asked.id("req_011C", 20)}
        if answer.status >= 400:
            return _rendered_error(_plain(answer), headers)
        said = read_answer(answer)
        if isinstance(said, Problem) and asked.stream:
            return with_headers(_plain(answer), _stream_error(said), SSE, headers)
        if not isinstance(said, Said):
            return untouched(_plain(answer), headers)
        if asked.stream:
            return with_headers(_plain(answer), b"".join(_events(said, asked)), SSE, headers)
        return with_headers(_plain(answer), orjson.dumps(_message(said, asked)), JSON, headers)


_DIALECT: Final = Messages()


class AnthropicGateway:
    """Serves `/v1/messages` and `/v1/messages/count_tokens`; any key is accepted, none is a 401."""

    def __init__(self, *, open_cases: OpenCases = tuple) -> None:
        self._open_cases = open_cases

    async def __call__(self, request: WireRequest, exchange: Exchange) -> Answer:
        """Answer one HTTP request as Anthropic does. Raises ConnectionLost."""
        try:
            return await self._answered(request, exchange)
        except Unusable as error:
            return _failure(error.status, error.message, exchange)

    async def _answered(self, request: WireRequest, exchange: Exchange) -> Answer:
        if not request.headers.get("x-api-key") and not request.headers.get("authorization"):
            return _failure(401, "x-api-key header is required", exchange)
        if "anthropic-version" not in request.headers:
            return _failure(400, "anthropic-version: header is required", exchange)
        path = request.path.strip("/").removeprefix("v1/")
        if path not in ("messages", "messages/count_tokens"):
            return _failure(404, "Not found", exchange)
        if request.method != "POST":
            return _failure(405, "Method Not Allowed", exchange)
        document = decoded(request)
        if path == "messages/count_tokens":
            characters = sum(len(each["content"]) for each in _messages(document))
            return _json(200, {"input_tokens": characters // 4 + 8})
        return await carried_out(_DIALECT, document, exchange, self._open_cases, stream=document.get("stream") is True)


# --- requests


def _messages(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    system = as_text(document.get("system"))
    if system:
        messages.append({"role": "system", "content": system})
    given = document.get("messages")
    if not isinstance(given, list) or not given:
        raise Unusable("messages: at least one message is required", "messages")
    awaited: set[str] = set()
    for at, message in enumerate(given):
        if not isinstance(message, Mapping) or message.get("role") not in ("user", "assistant"):
            raise Unusable(f"messages.{at}.role: Input should be 'user' or 'assistant'", "messages")
        messages.extend(
            _of_assistant(message, awaited) if message["role"] == "assistant" else _of_user(message, at, awaited)
        )
    return messages


def _of_assistant(message: Mapping[str, Any], awaited: set[str]) -> list[dict[str, Any]]:
    content = message.get("content")
    calls = []
    for block in content if isinstance(content, list) else ():
        if isinstance(block, Mapping) and block.get("type") == "tool_use":
            written = orjson.dumps(block.get("input") or {}).decode()
            function = {"name": str(block.get("name", "")), "arguments": written}
            calls.append({"id": str(block.get("id", "")), "type": "function", "function": function})
            awaited.add(str(block.get("id", "")))
    said: dict[str, Any] = {"role": "assistant", "content": as_text(content)}
    return [{**said, "tool_calls": calls} if calls else said]


def _of_user(message: Mapping[str, Any], at: int, awaited: set[str]) -> list[dict[str, Any]]:
    content = message.get("content")
    messages = []
    words = []
    for part, block in enumerate(content) if isinstance(content, list) else ():
        if not isinstance(block, Mapping):
            raise Unusable(f"messages.{at}.content.{part}: Input should be an object", "messages")
        if block.get("type") == "tool_result":
            call = str(block.get("tool_use_id", ""))
            if call not in awaited:
                raise Unusable(
                    f"messages.{at}.content.{part}: unexpected `tool_use_id` found in `tool_result` blocks: {call}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
                    "messages",
                )
            text = as_text(block.get("content"))
            if block.get("is_error"):
                text = f"Error: {text}"
            messages.append({"role": "tool", "tool_call_id": call, "content": text})
        else:
            words.append(as_text([block]))
    if isinstance(content, str):
        words.append(content)
    text = "\n".join(each for each in words if each)
    if text or not messages:
        messages.append({"role": "user", "content": text})
    return messages


def _tools(tools: list[Any]) -> list[dict[str, Any]]:
    functions = []
    for at, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or not isinstance(tool.get("name"), str):
            raise Unusable(f"tools.{at}.custom.name: Field required", "tools")
        if "input_schema" in tool:
            function = {
                "name": tool["name"],
                "description": str(tool.get("description") or ""),
                "parameters": tool["input_schema"],
            }
            functions.append({"type": "function", "function": function})
    return functions


def _schema(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    config = document.get("output_config")
    shape = config.get("format") if isinstance(config, Mapping) else document.get("output_format")
    schema = shape.get("schema") if isinstance(shape, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


# --- answers


def _plain(answer: Answer) -> Answer:
    """The answer without the headers that only OpenAI has."""
    headers = {name: value for name, value in answer.headers.items() if not name.startswith("x-ratelimit-")}
    return answer.with_body(answer.body, headers, wire_bytes=answer.wire_bytes)


def _limit_headers(answer: Answer, asked: Asked) -> dict[str, str]:
    headers: dict[str, str] = {}
    for kind in ("requests", "tokens"):
        limit = answer.headers.get(f"x-ratelimit-limit-{kind}")
        if limit is None:
            continue
        reset = _seconds(answer.headers.get(f"x-ratelimit-reset-{kind}", "0s"))
        at = datetime.fromtimestamp(EPOCH_S + math.ceil(asked.now_s + reset), UTC)
        headers[f"anthropic-ratelimit-{kind}-limit"] = limit
        headers[f"anthropic-ratelimit-{kind}-remaining"] = answer.headers.get(f"x-ratelimit-remaining-{kind}", "0")
        headers[f"anthropic-ratelimit-{kind}-reset"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return headers


def _seconds(shown: str) -> float:
    """Seconds of a duration as OpenAI writes it: 12ms, 1.5s, 1m2s."""
    if shown.endswith("ms"):
        return float(shown[:-2]) / 1000.0
    minutes, _, seconds = shown.removesuffix("s").rpartition("m")
    return 60.0 * float(minutes or 0) + float(seconds or 0)


def _rendered_error(answer: Answer, headers: Mapping[str, str]) -> Answer:
    if is_foreign(answer):
        return untouched(answer, headers)
    problem = read_answer(answer)
    status = 529 if answer.status == 503 else answer.status  # overloaded is Anthropic's own status
    message = problem.message if isinstance(problem, Problem) else "Internal server error"
    kind = _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    body = {
        "type": "error",
        "error": {"type": kind, "message": "Overloaded" if status == 529 else message},
        "request_id": headers["request-id"],
    }
    return with_headers(answer, orjson.dumps(body), JSON, headers, status)


def _stop(said: Said) -> str | None:
    return None if said.finish is None else _STOPS.get(said.finish, said.finish)


def _call_id(given: str) -> str:
    return f"toolu_01{given.removeprefix('call_')}"


def _message(said: Said, asked: Asked) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    text = said.refusal or said.text
    if text:
        content.append({"type": "text", "text": text})
    for call in said.calls:
        # Cut or broken arguments reach nobody: the provider hands an object over, empty where it has none.
        content.append({"type": "tool_use", "id": _call_id(call.id), "name": call.name, "input": call.decoded() or {}})
    return {
        "id": asked.id("msg_01", 22),
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": _stop(said),
        "stop_sequence": None,
        "usage": _usage(said),
    }


def _usage(said: Said) -> dict[str, Any] | None:
    if said.tokens_in is None or said.tokens_out is None:
        return None
    return {
        "input_tokens": said.tokens_in,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": said.tokens_out,
        "service_tier": "standard",
    }


def _events(said: Said, asked: Asked) -> Iterator[bytes]:
    def sent(kind: str, **fields: Any) -> bytes:
        return event({"type": kind, **fields}, kind)

    message = _message(said, asked)
    usage = message["usage"]
    begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1} if usage else None}
    yield sent("message_start", message=begun)
    yield sent("ping")
    blocks = message["content"]
    for at, block in enumerate(blocks):
        last = at == len(blocks) - 1
        if block["type"] == "text":
            yield sent("content_block_start", index=at, content_block={"type": "text", "text": ""})
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        else:
            yield sent("content_block_start", index=at, content_block={**block, "input": {}})
            written = said.calls[at - (len(blocks) - len(said.calls))].arguments
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces(written))]
        for delta in deltas:
            yield sent("content_block_delta", index=at, delta=delta)
        if last and said.finish is None:  # the stream was cut
            return
        yield sent("content_block_stop", index=at)
    if said.finish is None:
        return
    yield sent(
        "message_delta",
        delta={"stop_reason": message["stop_reason"], "stop_sequence": None},
        usage={"output_tokens": said.tokens_out or 0},
    )
    yield sent("message_stop")


def _stream_error(problem: Problem) -> bytes:
    kind = problem.kind if problem.kind in _KINDS.values() else "api_error"
    return event({"type": "error", "error": {"type": kind, "message": problem.message}}, "error")


def _failure(status: int, message: str, exchange: Exchange) -> Answer:
    request_id = "req_011C" + hex_id(key_of(exchange.seed, "anthropic", exchange.case.index, exchange.case.calls), 20)
    error = {"type": _KINDS.get(status, "api_error"), "message": message}
    return _json(status, {"type": "error", "error": error, "request_id": request_id}, request_id)


def _json(status: int, document: Any, request_id: str = "") -> Answer:
    headers = {"content-type": JSON}
    if request_id:
        headers["request-id"] = request_id
    return Answer(status, headers, orjson.dumps(document), rendered=True)
