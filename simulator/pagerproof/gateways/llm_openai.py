"""OpenAI's API as a gateway: chat completions, responses and the list of models, with OpenAI's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from pagerproof.gateways import llm_openai_chat, llm_openai_responses
from pagerproof.gateways.llm_canonical import JSON
from pagerproof.gateways.llm_door import EPOCH_S, Dialect, OpenCases, Unusable, carried_out, decoded
from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Exchange
from pagerproof.rng import hex_id, key_of

MODELS: Final = ("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-4o", "gpt-4o-mini", "gpt-4.1")

_DIALECTS: Final[Mapping[str, Dialect]] = {
    "chat/completions": llm_openai_chat.DIALECT,
    "responses": llm_openai_responses.DIALECT,
}


class OpenAiGateway:
    """Serves `/v1/...`; any key is accepted, none is a 401."""

    def __init__(self, *, open_cases: OpenCases = tuple, models: tuple[str, ...] = MODELS) -> None:
        self._open_cases = open_cases
        self._models = models

    async def __call__(self, request: WireRequest, exchange: Exchange) -> Answer:
        """Answer one HTTP request as OpenAI does. Raises ConnectionLost."""
        try:
            return await self._answered(request, exchange)
        except Unusable as error:
            return failure(error.status, error.message, "invalid_request_error", exchange, param=error.param, code=None)

    async def _answered(self, request: WireRequest, exchange: Exchange) -> Answer:
        if not request.headers.get("authorization", "").lower().startswith("bearer "):
            return failure(401, _NO_KEY, "invalid_request_error", exchange)
        # Azure's and compatible endpoints have other beginnings: what counts is how the path ends.
        path = request.path.partition("?")[0].strip("/")
        path = path.removeprefix("v1/") if path != "v1" else ""
        if path == "models" or path.startswith("models/"):
            return self._listed(request, path.removeprefix("models").strip("/"), exchange)
        dialect = _DIALECTS.get(path)
        if dialect is None:
            message = f"Invalid URL ({request.method} {request.path})"
            return failure(404, message, "invalid_request_error", exchange)
        if request.method != "POST":
            message = f"Not allowed to {request.method} on {request.path}."
            return failure(405, message, "invalid_request_error", exchange, code="method_not_supported")
        document = decoded(request)
        return await carried_out(dialect, document, exchange, self._open_cases, stream=document.get("stream") is True)

    def _listed(self, request: WireRequest, name: str, exchange: Exchange) -> Answer:
        if request.method != "GET":
            return failure(
                405, f"Not allowed to {request.method} on {request.path}.", "invalid_request_error", exchange
            )
        known = {
            each: {"id": each, "object": "model", "created": EPOCH_S, "owned_by": "system"} for each in self._models
        }
        if not name:
            return _json(200, {"object": "list", "data": list(known.values())}, exchange)
        if name not in known:
            message = f"The model '{name}' does not exist"
            return failure(404, message, "invalid_request_error", exchange, param="model", code="model_not_found")
        return _json(200, known[name], exchange)


_NO_KEY: Final = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY)."
)


def failure(
    status: int, message: str, kind: str, exchange: Exchange, *, param: str | None = None, code: str | None = None
) -> Answer:
    """Return one of OpenAI's errors, found before the model was asked."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return _json(status, {"error": error}, exchange)


def _json(status: int, document: Any, exchange: Exchange) -> Answer:
    request_id = "req_" + hex_id(key_of(exchange.seed, "openai", exchange.case.index, exchange.case.calls))
    headers = {"content-type": JSON, "x-request-id": request_id}
    return Answer(status, headers, orjson.dumps(document), rendered=True)
