"""What SAP systems put on the wire when they refuse or fail: pure functions from a key and a time to answers.

The shapes follow recorded OData V2 answers: `message` is an object, `transactionid` 32 hexadecimal digits, `timestamp`
has seven decimals, business codes read class/number, and what the framework itself says carries no `application`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import orjson
from xxhash import xxh3_128_hexdigest

from pagerproof.model import RUN_BEGINS, Answer

SALES_ORDERS: Final = ("SD-SLS-API", "API_SALES_ORDER_SRV")
CREDIT_MEMOS: Final = ("SD-SLS-API", "API_CREDIT_MEMO_REQUEST_SRV")
PARTNERS: Final = ("LO-MD-BP", "API_BUSINESS_PARTNER")
STOCK: Final = ("MM-IM-GF", "API_MATERIAL_STOCK_SRV")
BILLING: Final = ("SD-BIL-API", "API_BILLING_DOCUMENT_SRV")
"""(component, service) as `innererror.application` names them; the components of the last three are assumed."""

_RESOLUTION: Final = {
    "SAP_Transaction": "For backend administrators: run transaction /IWFND/ERROR_LOG and look for the timestamp above.",
    "SAP_Note": "See SAP Note 1797736 for error analysis.",
}


def timestamp(now_s: float) -> str:
    """Return the time as `YYYYMMDDhhmmss.fffffff`."""
    return (RUN_BEGINS + timedelta(seconds=now_s)).strftime("%Y%m%d%H%M%S.%f") + "0"


def framework_code(text: str) -> str:
    """Return the code without a slash that the framework puts beside its own messages; the same text, the same code."""
    return xxh3_128_hexdigest(text.encode()).upper()


def error_body(
    code: str,
    text: str,
    *,
    key: int,
    now_s: float,
    application: tuple[str, str] | None = None,
    severity: str = "error",
    target: str = "",
) -> bytes:
    """Return the V2 JSON error body. Without `application` it has the framework's shape: no details."""
    inner: dict[str, Any] = {}
    if application is not None:
        component, service = application
        inner["application"] = {
            "component_id": component,
            "service_namespace": "/SAP/",
            "service_id": service,
            "service_version": "0001",
        }
    inner["transactionid"] = xxh3_128_hexdigest(b"transactionid", key).upper()
    inner["timestamp"] = timestamp(now_s)
    inner["Error_Resolution"] = _RESOLUTION
    if application is not None:
        inner["errordetails"] = [
            {
                "ContentID": "",
                "code": code,
                "message": text,
                "propertyref": "",
                "severity": severity,
                "transition": False,
                "target": target,
            }
        ]
    return orjson.dumps({"error": {"code": code, "message": {"lang": "en", "value": text}, "innererror": inner}})


def error(
    status: int,
    code: str,
    text: str,
    *,
    key: int,
    now_s: float,
    application: tuple[str, str] | None = None,
    target: str = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return an answer with this status and an error body of V2."""
    body = error_body(code, text, key=key, now_s=now_s, application=application, target=target)
    return Answer(
        status, {"content-type": "application/json;charset=utf-8", "dataserviceversion": "1.0", **(headers or {})}, body
    )


def lock_held(key: int, now_s: float, sales_order: str, user: str = "AGENT7") -> Answer:
    """Somebody else writes on this document: an enqueue lock, which arrives as a 400 with VL/045."""
    text = f"The sales order {sales_order} is currently being processed by user {user}."
    return error(400, "VL/045", text, key=key, now_s=now_s, application=SALES_ORDERS)


def etag_stale(key: int, now_s: float) -> Answer:
    """The If-Match value is not the present one: 412 with /IWBEP/CM_MGW_RT/190."""
    text = "The state of the resource has changed. Fetch a new ETag and try again."
    return error(412, "/IWBEP/CM_MGW_RT/190", text, key=key, now_s=now_s)


def not_found(key: int, now_s: float, what: str, application: tuple[str, str]) -> Answer:
    """No such entity: 404 with the data provider's text passed through as /IWBEP/CM_MGW_RT/022."""
    return error(404, "/IWBEP/CM_MGW_RT/022", f"{what} not found", key=key, now_s=now_s, application=application)


def number_range_exhausted(key: int, now_s: float, interval: str) -> Answer:
    """No number is left for a new document. Status and code, of a customer's own class, are assumed."""
    text = f"Number range for {interval}: no further number available."
    return error(500, "ZNR/001", text, key=key, now_s=now_s, application=SALES_ORDERS)


def run_limit_dump(key: int, now_s: float) -> Answer:
    """The work process was cut at rdisp/max_wprun_time: TIME_OUT. That it arrives as this 500 body is assumed."""
    return error(500, "SY/098", "Time limit exceeded.", key=key, now_s=now_s)


def quota_exceeded(retry_after_s: int) -> Answer:
    """The gateway's quota is used up until its window ends; the body's shape is assumed."""
    body = {"fault": {"faultstring": "Rate limit quota violation.", "detail": {"errorcode": "policies.QuotaViolation"}}}
    return Answer(429, {"content-type": "application/json", "retry-after": str(retry_after_s)}, orjson.dumps(body))


def csrf_required() -> Answer:
    """The token is missing or died with its session; the header asks for a new one and carries none."""
    return Answer(
        403, {"content-type": "text/plain;charset=utf-8", "x-csrf-token": "Required"}, b"CSRF token validation failed"
    )


def processing_timeout() -> Answer:
    """The ICM gave up waiting (PROCTIMEOUT). The work goes on and may still commit."""
    return _page(500, "Connection timed out", "The request was not answered within the processing timeout.")


def partner_not_reached() -> Answer:
    """The connection to the back end could not be opened within icm/conn_timeout."""
    return _page(404, "Resource not found", "Partner not reached")


def overloaded() -> Answer:
    """The dispatcher's queue or the connections are full; the page's wording is assumed."""
    return _page(503, "Service Unavailable", "The server is overloaded. Try again later.", {"retry-after": "30"})


def _page(status: int, title: str, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    # What the ICM says itself is a page for people: no JSON, whatever the client accepts.
    heading = f"{status} {title}"
    body = f"<html><head><title>{heading}</title></head><body><h1>{heading}</h1><p>{text}</p></body></html>"
    return Answer(
        status, {"content-type": "text/html;charset=utf-8", "connection": "close", **(headers or {})}, body.encode()
    )
