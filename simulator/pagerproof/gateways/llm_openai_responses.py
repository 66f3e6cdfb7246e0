"""OpenAI's responses API: items into the canonical conversation, answers into responses and their events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from pagerproof.gateways.llm_canonical import (
    JSON,
    SSE,
    Problem,
    Said,
    as_text,
    event,
    pieces,
    read_answer,
    untouched,
    with_headers,
)
from pagerproof.gateways.llm_door import Asked, Unusable
from pagerproof.gateways.llm_openai_chat import add_numbers, headers_of, model_of, rendered_error, tool_choice
from pagerproof.model import Answer

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Responses:
    """`POST /v1/responses`, without state on the provider's side."""

    def arguments(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the canonical arguments. Raises Unusable."""
        if document.get("previous_response_id"):
            raise Unusable(
                f"Previous response with id '{document['previous_response_id']}' not found.", "previous_response_id"
            )
        arguments: dict[str, Any] = {"model": model_of(document), "messages": _messages(document)}
        tools = document.get("tools")
        if tools is not None:
            arguments["tools"] = _tools(tools)
        add_numbers(arguments, document, ("max_output_tokens",))
        choice = tool_choice(document.get("tool_choice"))
        if choice is not None:
            arguments["tool_choice"] = choice
        text = document.get("text")
        shape = text.get("format") if isinstance(text, Mapping) else None
        if isinstance(shape, Mapping) and shape.get("type") == "json_schema":
            arguments["response_format"] = {"type": "json_schema", "json_schema": dict(shape)}
        return arguments

    def render(self, answer: Answer, asked: Asked) -> Answer:
        """Return the answer as a response, its events, or OpenAI's error."""
        headers = headers_of(asked)
        if answer.status >= 400:
            return rendered_error(answer, headers)
        said = read_answer(answer)
        if isinstance(said, Problem) and asked.stream:
            failed = {"type": "error", "sequence_number": 0, "code": said.code or said.kind, "message": said.message}
            return with_headers(answer, event({**failed, "param": said.param}, "error"), SSE, headers)
        if not isinstance(said, Said):
            return untouched(answer, headers)
        if asked.stream:
            return with_headers(answer, b"".join(_events(said, asked)), SSE, headers)
        return with_headers(answer, orjson.dumps(_response(said, asked, _output(said, asked))), JSON, headers)


DIALECT: Final = Responses()


# --- requests


def _messages(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    instructions = document.get("instructions")
    if isinstance(instructions, str) and instructions:
        messages.append({"role": "system", "content": instructions})
    given = document.get("input")
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    elif isinstance(given, list):
        for at, item in enumerate(given):
            _add(messages, item, at)
    else:
        raise Unusable("Missing required parameter: 'input'.", "input")
    if not messages:
        raise Unusable("Missing required parameter: 'input'.", "input")
    return messages


def _add(messages: list[dict[str, Any]], item: Any, at: int) -> None:
    if not isinstance(item, Mapping):
        raise Unusable(f"Invalid type for 'input[{at}]': expected an object.", f"input[{at}]")
    kind = item.get("type", "message")
    if kind == "message":
        role = item.get("role")
        if role not in ("system", "developer", "user", "assistant"):
            raise Unusable(f"Invalid value: '{role}'.", f"input[{at}].role")
        messages.append({"role": role, "content": as_text(item.get("content"))})
    elif kind == "function_call":
        function = {"name": str(item.get("name", "")), "arguments": str(item.get("arguments", ""))}
        call = {"id": str(item.get("call_id", "")), "type": "function", "function": function}
        last = messages[-1] if messages else {}
        if last.get("role") == "assistant":
            last.setdefault("tool_calls", []).append(call)
        else:
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
    elif kind == "function_call_output":
        call_id = str(item.get("call_id", ""))
        if not any(call["id"] == call_id for each in messages for call in each.get("tool_calls", ())):
            raise Unusable(f"No tool call found for function call output with call_id {call_id}.", "input")
        messages.append({"role": "tool", "tool_call_id": call_id, "content": as_text(item.get("output"))})
    elif kind not in ("reasoning", "item_reference"):
        raise Unusable(f"Invalid value: '{kind}'.", f"input[{at}].type")


def _tools(tools: Any) -> list[dict[str, Any]]:
    if not isinstance(tools, list):
        raise Unusable("Invalid type for 'tools': expected an array of objects.", "tools")
    functions = []
    for at, tool in enumerate(tools):
        if isinstance(tool, Mapping) and tool.get("type") == "function":
            if not isinstance(tool.get("name"), str) or not tool["name"]:
                raise Unusable(f"Missing required parameter: 'tools[{at}].name'.", f"tools[{at}].name")
            function = {
                name: tool[name] for name in ("name", "description", "parameters") if tool.get(name) is not None
            }
            functions.append({"type": "function", "function": function})
    return functions


# --- answers


def _output(said: Said, asked: Asked) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    status = "incomplete" if said.finish not in {"stop", "tool_calls"} else "completed"
    if said.text or said.refusal or not said.calls:
        part: dict[str, Any] = (
            {"type": "refusal", "refusal": said.refusal}
            if said.refusal
            else {"type": "output_text", "text": said.text or "", "annotations": [], "logprobs": []}
        )
        items.append(
            {"id": asked.id("msg_", 32), "type": "message", "status": status, "role": "assistant", "content": [part]}
        )
    for at, call in enumerate(said.calls):
        items.append(
            {
                "id": asked.id(f"fc_{at}", 30),
                "type": "function_call",
                "status": status,
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
            }
        )
    return items


def _response(said: Said, asked: Asked, output: list[dict[str, Any]], status: str = "") -> dict[str, Any]:
    document = asked.document
    reason = _INCOMPLETE.get(said.finish or "")
    usage = None
    if not status and said.tokens_in is not None and said.tokens_out is not None:
        usage = {
            "input_tokens": said.tokens_in,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said.tokens_out,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.tokens_in + said.tokens_out,
        }
    return {
        "id": asked.id("resp_", 32),
        "object": "response",
        "created_at": asked.created_s,
        "status": status or ("incomplete" if reason else "completed"),
        "error": None,
        "incomplete_details": {"reason": reason} if reason and not status else None,
        "instructions": document.get("instructions"),
        "max_output_tokens": document.get("max_output_tokens"),
        "model": asked.model,
        "output": output,
        "parallel_tool_calls": document.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": document.get("store", True),
        "temperature": document.get("temperature", 1.0),
        "text": document.get("text") or {"format": {"type": "text"}},
        "tool_choice": document.get("tool_choice", "auto"),
        "tools": document.get("tools") or [],
        "top_p": document.get("top_p", 1.0),
        "truncation": document.get("truncation", "disabled"),
        "usage": usage,
        "user": None,
        "metadata": document.get("metadata") or {},
    }


def _events(said: Said, asked: Asked) -> Iterator[bytes]:
    number = -1

    def sent(kind: str, **fields: Any) -> bytes:
        nonlocal number
        number += 1
        return event({"type": kind, "sequence_number": number, **fields}, kind)

    begun = _response(said, asked, [], "in_progress")
    yield sent("response.created", response=begun)
    yield sent("response.in_progress", response=begun)
    output = _output(said, asked)
    for at, item in enumerate(output):
        if item["type"] == "function_call":
            yield sent(
                "response.output_item.added",
                output_index=at,
                item={**item, "status": "in_progress", "arguments": ""},
            )
            place = {"item_id": item["id"], "output_index": at}
            for piece in pieces(item["arguments"]):
                yield sent("response.function_call_arguments.delta", **place, delta=piece)
            if said.finish is None and at == len(output) - 1:
                return
            yield sent("response.function_call_arguments.done", **place, arguments=item["arguments"], name=item["name"])
        else:
            yield sent(
                "response.output_item.added", output_index=at, item={**item, "status": "in_progress", "content": []}
            )
            place = {"item_id": item["id"], "output_index": at, "content_index": 0}
            part = item["content"][0]
            said_as = "refusal" if part["type"] == "refusal" else "text"
            kind = "response.refusal" if said_as == "refusal" else "response.output_text"
            yield sent("response.content_part.added", **place, part={**part, said_as: ""})
            more: dict[str, Any] = {} if said_as == "refusal" else {"logprobs": []}
            for piece in pieces(part[said_as]):
                yield sent(f"{kind}.delta", **place, delta=piece, **more)
            if said.finish is None and at == len(output) - 1:
                return
            yield sent(f"{kind}.done", **place, **{said_as: part[said_as]}, **more)
            yield sent("response.content_part.done", **place, part=part)
        yield sent("response.output_item.done", output_index=at, item=item)
    ended = _response(said, asked, output)
    yield sent(f"response.{ended['status']}", response=ended)
