"""OpenAI's chat completions: requests into the canonical form, answers into completions and chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from pagerproof.gateways.llm_door import Asked, Unusable
from pagerproof.model import Answer

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_FINGERPRINT: Final = "fp_pagerproof"


class Chat:
    """`POST /v1/chat/completions`."""

    def arguments(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the canonical arguments: contents as text, tools as functions. Raises Unusable."""
        arguments: dict[str, Any] = {"model": model_of(document), "messages": _messages(document.get("messages"))}
        tools = document.get("tools")
        if tools is not None:
            arguments["tools"] = checked_tools(tools)
        add_numbers(arguments, document, ("max_completion_tokens", "max_tokens"))
        choice = tool_choice(document.get("tool_choice"))
        if choice is not None:
            arguments["tool_choice"] = choice
        asked = document.get("response_format")
        if isinstance(asked, Mapping):
            arguments["response_format"] = dict(asked)
        return arguments

    def render(self, answer: Answer, asked: Asked) -> Answer:
        """Return the answer as a completion, its chunks, or OpenAI's error."""
        headers = headers_of(asked)
        if answer.status >= 400:
            return rendered_error(answer, headers)
        said = read_answer(answer)
        if isinstance(said, Problem) and asked.stream:
            return with_headers(answer, event({"error": error_of(said)}), SSE, headers)
        if not isinstance(said, Said):
            return untouched(answer, headers)
        if asked.stream:
            return with_headers(answer, b"".join(_chunks(said, asked)), SSE, headers)
        return with_headers(answer, _completion(answer, asked), JSON, headers)


DIALECT: Final = Chat()


# --- requests


def model_of(document: Mapping[str, Any]) -> str:
    """Return the model's name. Raises Unusable."""
    model = document.get("model")
    if not isinstance(model, str) or not model:
        raise Unusable("you must provide a model parameter")
    return model


def add_numbers(arguments: dict[str, Any], document: Mapping[str, Any], limits: Sequence[str]) -> None:
    """Take over the temperature and the first limit on tokens that is there. Raises Unusable."""
    temperature = document.get("temperature")
    if temperature is not None:
        if not isinstance(temperature, (int, float)) or isinstance(temperature, bool) or not 0 <= temperature <= 2:
            raise Unusable(f"Invalid 'temperature': expected a number from 0 to 2, got {temperature!r}.", "temperature")
        arguments["temperature"] = temperature
    else:
        arguments["temperature"] = 1.0
    for name in limits:
        limit = document.get(name)
        if limit is None:
            continue
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise Unusable(f"Invalid '{name}': integer below minimum value. Expected a value >= 1.", name)
        arguments["max_tokens"] = limit
        return


def checked_tools(tools: Any) -> list[dict[str, Any]]:
    """Return the functions among the tools. Raises Unusable."""
    if not isinstance(tools, list):
        raise Unusable(f"Invalid type for 'tools': expected an array of objects, but got {_kind(tools)}.", "tools")
    functions = []
    for at, tool in enumerate(tools):
        if not isinstance(tool, Mapping):
            raise Unusable(
                f"Invalid type for 'tools[{at}]': expected an object, but got {_kind(tool)}.", f"tools[{at}]"
            )
        function = tool.get("function")
        if tool.get("type") == "function" and not isinstance(function, Mapping):
            raise Unusable(f"Missing required parameter: 'tools[{at}].function'.", f"tools[{at}].function")
        if isinstance(function, Mapping):
            if not isinstance(function.get("name"), str) or not function["name"]:
                raise Unusable(
                    f"Missing required parameter: 'tools[{at}].function.name'.", f"tools[{at}].function.name"
                )
            functions.append(dict(tool))
    return functions


def tool_choice(choice: Any) -> dict[str, Any] | None:
    """Return the choice as {"type": auto, none, required or function, "name": ...}; None where nothing is said."""
    if isinstance(choice, str):
        return {"type": choice}
    if isinstance(choice, Mapping):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
        return {"type": "function", "name": str(name)} if name else {"type": "auto"}
    return None


def _messages(messages: Any) -> list[dict[str, Any]]:
    if not isinstance(messages, list):
        raise Unusable(
            "Missing required parameter: 'messages'." if messages is None else "'messages' must be an array.",
            "messages",
        )
    if not messages:
        raise Unusable("Invalid 'messages': empty array. Expected an array with minimum length 1.", "messages")
    awaited: set[str] = set()
    return [_message(each, at, awaited) for at, each in enumerate(messages)]


def _message(message: Any, at: int, awaited: set[str]) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise Unusable(f"Invalid type for 'messages[{at}]': expected an object.", f"messages[{at}]")
    role = message.get("role")
    if role not in _ROLES:
        raise Unusable(
            f"Invalid value: '{role}'. Supported values are: {', '.join(sorted(_ROLES))}.", f"messages[{at}].role"
        )
    content = as_text(message.get("content"))
    if role == "assistant":
        calls = message.get("tool_calls")
        if not calls:
            return {"role": role, "content": content}
        if not isinstance(calls, list) or not all(_is_call(each) for each in calls):
            raise Unusable(f"Invalid value for 'messages[{at}].tool_calls'.", f"messages[{at}].tool_calls")
        awaited.update(str(each.get("id")) for each in calls)
        return {"role": role, "content": content, "tool_calls": calls}
    if role == "tool":
        if message.get("tool_call_id") not in awaited:
            raise Unusable(
                "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                "'tool_calls'.",
                f"messages[{at}].role",
            )
        return {"role": role, "content": content, "tool_call_id": message["tool_call_id"]}
    return {"role": role, "content": content}


def _is_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, Mapping) else None
    return isinstance(function, Mapping) and isinstance(function.get("name"), str)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, Mapping) else "an array" if isinstance(value, list) else "another type"


# --- answers


def headers_of(asked: Asked) -> dict[str, str]:
    """Return the headers that OpenAI adds to every answer."""
    return {
        "x-request-id": asked.id("req_", 32),
        "openai-version": "2020-10-01",
        "openai-organization": "pagerproof",
        "openai-processing-ms": "0",
    }


def rendered_error(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """Return an error in OpenAI's shape; a page that a middle box sent stays what it is."""
    if is_foreign(answer):
        return untouched(answer, headers)
    status = 503 if answer.status == 529 else answer.status  # OpenAI has no 529
    problem = read_answer(answer)
    message = problem.message if isinstance(problem, Problem) and status != 503 else _OVERLOADED
    if not isinstance(problem, Problem):
        message = _OVERLOADED if status == 503 else "The server had an error while processing your request."
        problem = Problem(status=status, message=message, kind="", code=None)
    kind = problem.kind if problem.kind and answer.status != 529 else _kind_of(status)
    error = {**error_of(problem), "message": message, "type": kind}
    return with_headers(answer, orjson.dumps({"error": error}), JSON, headers, status)


_OVERLOADED: Final = "The engine is currently overloaded, please try again later"


def _kind_of(status: int) -> str:
    if status >= 500:
        return "service_unavailable" if status == 503 else "server_error"
    return "requests" if status == 429 else "invalid_request_error"


def error_of(problem: Problem) -> dict[str, Any]:
    """Return OpenAI's error object."""
    return {"message": problem.message, "type": problem.kind, "param": problem.param, "code": problem.code}


def _completion(answer: Answer, asked: Asked) -> bytes:
    """The canonical body, with what OpenAI's has in addition; what faults did to it stays."""
    document = orjson.loads(answer.body)
    if "model" in document:
        document["model"] = asked.model
    for choice in document["choices"]:
        choice.setdefault("logprobs", None)
        message = choice.get("message")
        if isinstance(message, dict):
            message.setdefault("refusal", None)
            message.setdefault("annotations", [])
    usage = document.get("usage")
    if isinstance(usage, dict):
        usage.update(_USAGE_DETAILS)
    more = {"created": asked.created_s, "service_tier": "default", "system_fingerprint": _FINGERPRINT}
    return orjson.dumps({**document, **more})


_USAGE_DETAILS: Final = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def _chunks(said: Said, asked: Asked) -> Iterator[bytes]:
    base = {
        "id": f"chatcmpl-{said.key}",
        "object": "chat.completion.chunk",
        "created": asked.created_s,
        "model": asked.model,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }
    options = asked.document.get("stream_options")
    counted = isinstance(options, Mapping) and options.get("include_usage") is True
    more: dict[str, Any] = {"usage": None} if counted else {}

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**base, "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": None if said.calls else "", "refusal": None})
    for piece in pieces(said.text or ""):
        yield chunk({"content": piece})
    for at, call in enumerate(said.calls):
        function = {"name": call.name, "arguments": ""}
        yield chunk({"tool_calls": [{"index": at, "id": call.id, "type": "function", "function": function}]})
        for piece in pieces(call.arguments):
            yield chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
    if said.finish is None:  # the stream was cut: nothing says that it is over
        return
    yield chunk({}, said.finish)
    if counted and said.tokens_in is not None and said.tokens_out is not None:
        usage = {
            "prompt_tokens": said.tokens_in,
            "completion_tokens": said.tokens_out,
            "total_tokens": said.tokens_in + said.tokens_out,
            **_USAGE_DETAILS,
        }
        yield event({**base, "choices": [], "usage": usage})
    yield event(b"[DONE]")
