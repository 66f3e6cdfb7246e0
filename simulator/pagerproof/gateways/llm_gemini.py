"""Google's Gemini and Vertex APIs as a gateway: contents and parts, their streams, and Google's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from pagerproof.gateways.llm_canonical import (
    JSON,
    SSE,
    Problem,
    Said,
    event,
    is_foreign,
    pieces,
    read_answer,
    untouched,
    with_headers,
)
from pagerproof.gateways.llm_door import Asked, OpenCases, Unusable, carried_out, decoded
from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Exchange

# Gemini: v1beta/models/X:verb. Vertex: v1/projects/P/locations/L/publishers/google/models/X:verb, or without a project.
_PATH: Final = re.compile(
    r"^/(?:v1|v1beta|v1beta1|v1alpha)/(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/google/)?"
    r"models/(?P<model>[^/:]+):(?P<verb>\w+)$"
)
_STATUSES: Final[Mapping[int, tuple[int, str]]] = {
    400: (400, "INVALID_ARGUMENT"),
    401: (401, "UNAUTHENTICATED"),
    403: (403, "PERMISSION_DENIED"),
    404: (404, "NOT_FOUND"),
    405: (404, "NOT_FOUND"),
    409: (409, "ABORTED"),
    413: (400, "INVALID_ARGUMENT"),
    422: (400, "INVALID_ARGUMENT"),
    429: (429, "RESOURCE_EXHAUSTED"),
    499: (499, "CANCELLED"),
    500: (500, "INTERNAL"),
    502: (503, "UNAVAILABLE"),
    503: (503, "UNAVAILABLE"),
    504: (504, "DEADLINE_EXCEEDED"),
    529: (503, "UNAVAILABLE"),
}
_FINISHES: Final = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "function_call": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}


def is_gemini_path(path: str) -> bool:
    """Whether a path is one of Google's."""
    return _PATH.match(path) is not None


class GenerateContent:
    """`models/X:generateContent` and `:streamGenerateContent`."""

    def arguments(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the canonical arguments; `model` is put there by the gateway, from the path. Raises Unusable."""
        arguments: dict[str, Any] = {"model": document["model"], "messages": _messages(document)}
        functions = _functions(document.get("tools"))
        if functions:
            arguments["tools"] = functions
        config = _mapping(_either(document, "generationConfig", "generation_config"))
        temperature = config.get("temperature", 1.0)
        if not isinstance(temperature, (int, float)) or isinstance(temperature, bool) or not 0 <= temperature <= 2:
            raise Unusable(f"Unable to submit request because it has a temperature value of {temperature!r}.")
        arguments["temperature"] = temperature
        limit = _either(config, "maxOutputTokens", "max_output_tokens")
        if isinstance(limit, int) and limit > 0:
            arguments["max_tokens"] = limit
        schema = _either(config, "responseJsonSchema", "response_json_schema") or _lower(
            _either(config, "responseSchema", "response_schema")
        )
        if isinstance(schema, Mapping):
            arguments["response_format"] = {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}
        choice = _choice(document)
        if choice is not None:
            arguments["tool_choice"] = choice
        return arguments

    def render(self, answer: Answer, asked: Asked) -> Answer:
        """Return the answer as a GenerateContentResponse, its stream, or Google's error."""
        plain = {name: value for name, value in answer.headers.items() if not name.startswith("x-ratelimit-")}
        answer = Answer(
            answer.status, plain, answer.body, answer.wire_bytes, pace_s=answer.pace_s, delivery=answer.delivery
        )
        headers = {"server-timing": "gfet4t7; dur=1", "vary": "Origin"}
        if answer.status >= 400:
            return _rendered_error(answer, headers)
        said = read_answer(answer)
        if isinstance(said, Problem) and asked.stream:
            error = {"code": 503, "message": said.message, "status": "UNAVAILABLE"}
            return with_headers(answer, event({"error": error}), SSE, headers)
        if not isinstance(said, Said):
            return untouched(answer, headers)
        if asked.stream and asked.document.get("alt") == "sse":
            body = b"".join(event(each) for each in _responses(said, asked))
            return with_headers(answer, body, SSE, headers)
        if asked.stream:
            return with_headers(answer, orjson.dumps(list(_responses(said, asked))), JSON, headers)
        return with_headers(answer, orjson.dumps(_response(said, asked, _parts(said))), JSON, headers)


_DIALECT: Final = GenerateContent()


class GeminiGateway:
    """Serves Gemini's and Vertex's paths; any key or token is accepted, none is a 401 (Gemini: 403)."""

    def __init__(self, *, open_cases: OpenCases = tuple) -> None:
        self._open_cases = open_cases

    async def __call__(self, request: WireRequest, exchange: Exchange) -> Answer:
        """Answer one HTTP request as Google does. Raises ConnectionLost."""
        try:
            return await self._answered(request, exchange)
        except Unusable as error:
            return _failure(error.status, error.message)

    async def _answered(self, request: WireRequest, exchange: Exchange) -> Answer:
        query = parse_qs(request.query)
        if not (request.headers.get("x-goog-api-key") or request.headers.get("authorization") or query.get("key")):
            if "aiplatform" in request.host:
                return _failure(401, _NO_TOKEN)
            return _failure(403, _NO_KEY)
        match = _PATH.match(request.path)
        if match is None or match["verb"] not in ("generateContent", "streamGenerateContent", "countTokens"):
            return _failure(404, f"Requested entity was not found: {request.path}")
        if request.method != "POST":
            return _failure(404, f"The method {request.method} is not allowed on {request.path}.")
        document: dict[str, Any] = {**decoded(request), "model": match["model"], "alt": (query.get("alt") or [""])[0]}
        if match["verb"] == "countTokens":
            characters = sum(len(each["content"]) for each in _messages(document))
            return Answer(200, {"content-type": JSON}, orjson.dumps({"totalTokens": characters // 4}), rendered=True)
        return await carried_out(
            _DIALECT, document, exchange, self._open_cases, stream=match["verb"] == "streamGenerateContent"
        )


_NO_TOKEN: Final = (
    "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential."
)
_NO_KEY: Final = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other "
    "form of API consumer identity to call this API."
)


# --- requests


def _either(document: Mapping[str, Any], *names: str) -> Any:
    return next((document[name] for name in names if document.get(name) is not None), None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _messages(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    system = _either(document, "systemInstruction", "system_instruction")
    text = _text_of(_mapping(system).get("parts")) if not isinstance(system, str) else system
    if text:
        messages.append({"role": "system", "content": text})
    contents = document.get("contents")
    if isinstance(contents, Mapping):
        contents = [contents]
    if not isinstance(contents, list) or not contents:
        raise Unusable("* GenerateContentRequest.contents: contents is not specified")
    awaited: list[tuple[str, str]] = []  # (name, id) of calls without a response yet
    for at, content in enumerate(contents):
        if not isinstance(content, Mapping):
            raise Unusable(f"Invalid value at 'contents[{at}]'")
        role = content.get("role", "user")
        if role not in ("user", "model", "function"):
            raise Unusable("Please use a valid role: user, model.")
        parts = content.get("parts")
        parts = [parts] if isinstance(parts, Mapping) else parts
        if not isinstance(parts, list) or not parts:
            raise Unusable(f"* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.")
        messages.extend(_of_model(parts, awaited, at) if role == "model" else _of_user(parts, awaited))
    return messages


def _of_model(parts: list[Any], awaited: list[tuple[str, str]], at: int) -> list[dict[str, Any]]:
    calls = []
    for position, part in enumerate(parts):
        call = _either(_mapping(part), "functionCall", "function_call")
        if isinstance(call, Mapping):
            name = str(call.get("name", ""))
            call_id = str(call.get("id") or f"call_{at}_{position}")
            awaited.append((name, call_id))
            function = {"name": name, "arguments": orjson.dumps(call.get("args") or {}).decode()}
            calls.append({"id": call_id, "type": "function", "function": function})
    said: dict[str, Any] = {"role": "assistant", "content": _text_of(parts)}
    return [{**said, "tool_calls": calls} if calls else said]


def _of_user(parts: list[Any], awaited: list[tuple[str, str]]) -> list[dict[str, Any]]:
    messages = []
    for part in parts:
        given = _either(_mapping(part), "functionResponse", "function_response")
        if isinstance(given, Mapping):
            name = str(given.get("name", ""))
            match = next((each for each in awaited if each[0] == name), None)
            if match is None:
                raise Unusable(
                    "Please ensure that the number of function response parts is equal to the number of function call "
                    "parts of the function call turn."
                )
            awaited.remove(match)
            content = orjson.dumps(given.get("response") or {}).decode()
            messages.append({"role": "tool", "tool_call_id": match[1], "name": name, "content": content})
    text = _text_of(parts)
    if text or not messages:
        messages.append({"role": "user", "content": text})
    return messages


def _text_of(parts: Any) -> str:
    given = [parts] if isinstance(parts, Mapping) else parts
    if not isinstance(given, list):
        return ""
    return "\n".join(str(part["text"]) for part in given if isinstance(part, Mapping) and part.get("text"))


def _functions(tools: Any) -> list[dict[str, Any]]:
    functions = []
    for tool in tools if isinstance(tools, list) else ():
        for each in _either(_mapping(tool), "functionDeclarations", "function_declarations") or ():
            if not isinstance(each, Mapping) or not each.get("name"):
                raise Unusable(
                    "* GenerateContentRequest.tools[0].function_declarations[0].name: Invalid function name."
                )
            schema = _either(each, "parametersJsonSchema", "parameters_json_schema") or _lower(each.get("parameters"))
            function: dict[str, Any] = {"name": str(each["name"]), "description": str(each.get("description") or "")}
            if isinstance(schema, Mapping):
                function["parameters"] = schema
            functions.append({"type": "function", "function": function})
    return functions


def _lower(schema: Any) -> Any:
    """Google's schemas write types in capitals."""
    if isinstance(schema, Mapping):
        return {
            name: str(value).lower() if name == "type" and isinstance(value, str) else _lower(value)
            for name, value in schema.items()
        }
    return [_lower(each) for each in schema] if isinstance(schema, list) else schema


def _choice(document: Mapping[str, Any]) -> dict[str, Any] | None:
    config = _mapping(_either(document, "toolConfig", "tool_config"))
    calling = _mapping(_either(config, "functionCallingConfig", "function_calling_config"))
    mode = str(calling.get("mode", "")).upper()
    if mode == "NONE":
        return {"type": "none"}
    if mode in ("ANY", "VALIDATED"):
        return {"type": "required"} if mode == "ANY" else {"type": "auto"}
    return {"type": "auto"} if mode == "AUTO" else None


# --- answers


def _rendered_error(answer: Answer, headers: Mapping[str, str]) -> Answer:
    if is_foreign(answer):
        return untouched(answer, headers)
    problem = read_answer(answer)
    message = problem.message if isinstance(problem, Problem) else "Internal error encountered."
    status, name = _STATUSES.get(answer.status, (answer.status, "UNKNOWN"))
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    wait = answer.headers.get("retry-after")
    if status == 429 and wait is not None:
        error["message"] = f"{message} Please retry in {wait}s."
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"}]
    return with_headers(answer, orjson.dumps({"error": error}), JSON, headers, status)


def _parts(said: Said) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    text = said.refusal or said.text
    if text:
        parts.append({"text": text})
    for call in said.calls:
        decoded_arguments = call.decoded()
        if decoded_arguments is not None:
            parts.append({"functionCall": {"name": call.name, "args": decoded_arguments}})
    return parts


def _finish(said: Said) -> str | None:
    if said.finish is None:
        return None
    if said.finish in ("tool_calls", "stop") and any(call.decoded() is None for call in said.calls):
        return "MALFORMED_FUNCTION_CALL"  # Google never hands over arguments that are no JSON
    return _FINISHES.get(said.finish, "OTHER")


def _response(
    said: Said, asked: Asked, parts: list[dict[str, Any]], finish: str | None = "", *, last: bool = True
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    reason = _finish(said) if finish == "" else finish
    if not parts:
        candidate["content"] = {"role": "model"}
    if last and reason is not None:
        candidate["finishReason"] = reason
    response: dict[str, Any] = {"candidates": [candidate]}
    if said.tokens_in is not None and said.tokens_out is not None:
        usage = {"promptTokenCount": said.tokens_in, "totalTokenCount": said.tokens_in}
        if last:
            usage["candidatesTokenCount"] = said.tokens_out
            usage["totalTokenCount"] += said.tokens_out
        response["usageMetadata"] = usage
    return {**response, "modelVersion": asked.model, "responseId": asked.id("", 22)}


def _responses(said: Said, asked: Asked) -> Iterator[dict[str, Any]]:
    text = said.refusal or said.text or ""
    chunks: list[list[dict[str, Any]]] = [[{"text": piece}] for piece in pieces(text, 64)]
    chunks.extend([part] for part in _parts(said) if "functionCall" in part)
    if not chunks:
        chunks = [[]]
    for at, parts in enumerate(chunks):
        yield _response(said, asked, parts, last=at == len(chunks) - 1 and said.finish is not None)


def _failure(status: int, message: str) -> Answer:
    code, name = _STATUSES.get(status, (status, "UNKNOWN"))
    body = {"error": {"code": code, "message": message, "status": name}}
    return Answer(code, {"content-type": JSON}, orjson.dumps(body), rendered=True)
