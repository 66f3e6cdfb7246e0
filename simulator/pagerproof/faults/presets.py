"""The wire registry: whole answers that gateways and services give when they fail, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from pagerproof import sap_wire
from pagerproof.model import Answer
from pagerproof.protocols import Call
from pagerproof.rng import hex_id, sub_key

Make = Callable[[Call, float | None], Answer]
"""Takes the call and the seconds of Retry-After, if any."""


def _json(status: int, document: Mapping[str, Any], **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"content-type": "application/json", **named}, orjson.dumps(document))


def _seconds(retry_after_s: float | None, otherwise: str) -> str:
    return otherwise if retry_after_s is None else f"{retry_after_s:g}"


# --- SAP


def _document(call: Call) -> str:
    return next((str(value) for value in call.arguments.values() if isinstance(value, str)), "")


def _sap_unavailable(_call: Call, retry_after_s: float | None) -> Answer:
    answer = sap_wire.overloaded()
    if retry_after_s is not None:
        answer.headers["retry-after"] = f"{retry_after_s:g}"
    return answer


def _number_range(call: Call) -> str:
    return call.operation.effect_kind.replace("_", " ") or "documents"


# --- API gateways


def _refused(status: int, code: str, message: str, retry_after: str | None) -> Make:
    def make(_call: Call, retry_after_s: float | None) -> Answer:
        answer = _json(status, {"error": {"code": code, "message": message}})
        if retry_after is not None or retry_after_s is not None:
            answer.headers["retry-after"] = _seconds(retry_after_s, retry_after or "")
        return answer

    return make


# --- language model providers


def _llm_rate_limited(_call: Call, retry_after_s: float | None) -> Answer:
    error = {
        "message": "Rate limit reached for requests per minute.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    return _json(429, {"error": error}, retry_after=_seconds(retry_after_s, "1"), x_ratelimit_remaining_requests="0")


def _llm_overloaded(call: Call, _retry_after_s: float | None) -> Answer:
    request_id = "req_" + hex_id(sub_key(call.key, b"request_id"), 24)
    error = {"type": "overloaded_error", "message": "Overloaded"}
    return _json(529, {"type": "error", "error": error, "request_id": request_id})


PRESETS: Final[Mapping[str, Make]] = {
    "sap.lock_held": lambda call, _: sap_wire.lock_held(call.key, call.started_s, _document(call)),
    "sap.processing_timeout": lambda _call, _: sap_wire.processing_timeout(),
    "sap.run_limit_dump": lambda call, _: sap_wire.run_limit_dump(call.key, call.started_s),
    "sap.csrf_required": lambda _call, _: sap_wire.csrf_required(),
    "sap.partner_not_reached": lambda _call, _: sap_wire.partner_not_reached(),
    "sap.number_range_end": lambda call, _: sap_wire.number_range_exhausted(
        call.key, call.started_s, _number_range(call)
    ),
    "sap.service_unavailable": _sap_unavailable,
    "sap.quota_exceeded": lambda _call, seconds: sap_wire.quota_exceeded(round(60 if seconds is None else seconds)),
    "http.rate_limited": _refused(429, "rate_limited", "Too many requests.", "1"),
    "http.spike_arrest": _refused(429, "spike_arrest", "Spike arrest violation: too many requests per second.", None),
    "http.quota_exhausted": _refused(429, "quota_exhausted", "Rate limit quota violation. Quota limit exceeded.", None),
    "http.unavailable": _refused(503, "unavailable", "The service is unavailable.", None),
    "http.gateway_timeout": _refused(504, "gateway_timeout", "The upstream service did not answer in time.", None),
    "http.pool_exhausted": _refused(503, "too_many_connections", "No connection is free.", None),
    "llm.rate_limited": _llm_rate_limited,
    "llm.overloaded": _llm_overloaded,
}
"""Every preset that a fault model file may name."""
