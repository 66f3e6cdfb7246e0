"""The REST interfaces answer as HTTP says, and their documents describe what they answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from tests.conformance.service import samples_of
from tests.gateways.stage import ServiceExchange, send

from pagerproof.gateways.openapi import openapi_document
from pagerproof.gateways.rest import BODY_BYTES_MAX, rest_gateway
from pagerproof.gateways.rest_routes import REST_SERVICES, ROUTES
from pagerproof.model import Answer
from pagerproof.services import make_services
from pagerproof.services.catalogue import operations_of
from pagerproof.services.own import own_operation
from pagerproof.services.routes import Route
from pagerproof.tools import ConnectionLost

RESERVATIONS = "/products/SKU-1001/reservations"
REFUNDS = "/payments/pay_00000005/refunds"


def exchange() -> ServiceExchange:
    return ServiceExchange(make_services())


def ask(service: str, method: str, url: str, body: object = b"", **more: Any) -> Answer:
    return send(rest_gateway(service), exchange(), method, url, body, **more)


def data(answer: Answer) -> Any:
    return json.loads(answer.body)


def request_of(route: Route, arguments: Mapping[str, Any]) -> tuple[str, object]:
    """The URL and body that carry these arguments, made from what the document says."""
    described = rest_gateway(route.operation.service).document["paths"][route.path][route.method.lower()]
    url, query, body = route.path, {}, dict(arguments)
    for parameter in described["parameters"]:
        if parameter["in"] == "path":
            url = url.replace(f"{{{parameter['name']}}}", quote(str(body.pop(parameter["name"])), safe=""))
        elif parameter["in"] == "query":
            query[parameter["name"]] = body.pop(parameter["name"])
    if "requestBody" in described:
        schema = described["requestBody"]["content"]["application/json"]["schema"]
        assert set(body) <= set(schema["properties"])
        assert set(schema.get("required", ())) <= set(body)
        return url + ("?" + urlencode(query) if query else ""), body
    assert body == {}
    return url + ("?" + urlencode(query) if query else ""), b""


# --- every operation, and the documents


@pytest.mark.parametrize(("body", "media"), [("whole", "application/json"), ("raw", "*/*")])
def test_a_document_says_that_there_is_a_body_also_where_its_shape_is_not_known(body: Any, media: str) -> None:
    operation = own_operation(
        "billing", "Invoice.create", "Write.", arguments={"body": "any"}, optional=["body"], writes=True
    )
    route = Route(method="POST", path="/invoices", operation=operation, places={"body": "body"}, body=body)
    described = openapi_document("billing", "https://billing.sim", [route])["paths"]["/invoices"]["post"]
    assert described["requestBody"] == {"required": False, "content": {media: {"schema": {}}}}


def test_every_operation_of_these_services_has_one_route() -> None:
    for service in REST_SERVICES:
        assert sorted(route.operation.full_name for route in ROUTES[service]) == sorted(operations_of(service))


@pytest.mark.parametrize("service", REST_SERVICES)
def test_every_operation_succeeds_through_its_route_as_documented(service: str) -> None:
    for sample in samples_of(service):
        route = next(each for each in ROUTES[service] if each.operation.full_name == sample.operation)
        there = exchange()
        url, body = request_of(route, sample.arguments)
        answer = send(rest_gateway(service), there, route.method, url, body)
        documented = rest_gateway(service).document["paths"][route.path][route.method.lower()]["responses"]
        assert str(answer.status) in documented, f"{route.method} {url}: {answer!r}"
        assert answer.rendered
        assert there.asked == [(sample.operation, sample.arguments, None)]
        assert bool(there.case.effects) == route.operation.writes


@pytest.mark.parametrize("service", REST_SERVICES)
def test_the_documents_are_openapi_3_1(service: str) -> None:
    document = data(ask(service, "GET", "/openapi.json"))
    assert document["openapi"].startswith("3.1.")
    assert {"title", "version"} <= document["info"].keys()
    assert document["servers"][0]["url"] == f"https://{service}.sim"
    seen: set[str] = set()
    for path, item in document["paths"].items():
        assert path.startswith("/")
        for method, operation in item.items():
            assert method in ("get", "put", "post", "patch", "delete")
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            names = [(each["in"], each["name"]) for each in operation["parameters"]]
            assert len(names) == len(set(names))
            assert {name for place, name in names if place == "path"} == set(re.findall(r"{(\w+)}", path))
            assert all(each["required"] for each in operation["parameters"] if each["in"] == "path")
            assert ("requestBody" in operation) <= (method in ("put", "post", "patch"))
            for status, response in operation["responses"].items():
                assert status == "default" or status.isdecimal()
                assert response["description"]
    references = re.findall(r'"\$ref":\s*"#/([^"]+)"', json.dumps(document))
    for reference in references:
        place = document
        for part in reference.split("/"):
            place = place[part]
    assert references


# --- what a service never sees


def test_an_unknown_path_is_404_and_names_the_nearest() -> None:
    there = exchange()
    answer = send(rest_gateway("orders"), there, "GET", "/order/4500000005")
    assert answer.status == 404
    assert "/orders/{order_id}" in data(answer)["error"]["message"]
    assert there.asked == []


def test_a_wrong_method_is_405_with_the_methods_that_are_there() -> None:
    answer = ask("orders", "DELETE", "/orders/4500000005/returns")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"


def test_options_names_the_methods() -> None:
    answer = ask("crm", "OPTIONS", "/customers/C000006/subscription")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["allow"] == "GET, HEAD, PATCH, DELETE, OPTIONS"
    assert ask("crm", "OPTIONS", "/nowhere").status == 404


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"{", {"content-type": "application/json"}, 400, "not JSON"),
        (b"[1]", {"content-type": "application/json"}, 400, "must be a JSON object"),
        (b"amount=1", {"content-type": "application/x-www-form-urlencoded"}, 415, "x-www-form-urlencoded"),
        (b"{" + b" " * BODY_BYTES_MAX + b"}", {"content-type": "application/json"}, 413, "at most 1000000"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body: bytes, headers: dict[str, str], status: int, said: str) -> None:
    there = exchange()
    answer = send(rest_gateway("payments"), there, "POST", REFUNDS, body, headers=headers)
    assert answer.status == status
    assert said in data(answer)["error"]["message"]
    assert there.asked == []


# --- what is wrong with a field


@pytest.mark.parametrize(
    ("service", "method", "url", "body", "status", "field"),
    [
        ("payments", "POST", REFUNDS, {"amount": "1.00"}, 400, ("body", "/currency")),
        ("payments", "POST", REFUNDS, {"amount": 1, "currency": "EUR"}, 422, ("body", "/amount")),
        ("payments", "POST", REFUNDS, {"amount": "x", "currency": "EUR"}, 422, ("body", "/amount")),
        ("payments", "POST", REFUNDS, {"amount": "1", "currency": "EUR", "why": 1}, 400, ("body", "/why")),
        ("payments", "POST", REFUNDS, {"payment_id": "pay_2"}, 400, ("body", "/payment_id")),
        ("inventory", "POST", RESERVATIONS, {"quantity": "2", "order_id": "x"}, 422, ("body", "/quantity")),
        ("crm", "GET", "/customers", b"", 400, ("query", "email")),
        ("crm", "GET", "/customers?email=a@b&email=c@d", b"", 400, ("query", "email")),
        ("crm", "GET", "/customers?email=a@b&sort=up", b"", 400, ("query", "sort")),
        ("crm", "PATCH", "/customers/C000006/subscription?plan=plus", b"", 400, ("query", "plan")),
    ],
)  # fmt: skip
def test_a_bad_field_is_pointed_at(
    service: str, method: str, url: str, body: object, status: int, field: tuple[str, str]
) -> None:
    answer = ask(service, method, url, body)
    assert answer.status == status, answer
    (found,) = data(answer)["error"]["fields"]
    assert (found["in"], found["pointer"]) == field


def test_an_over_long_idempotency_key_is_refused() -> None:
    body = {"amount": "1.00", "currency": "EUR"}
    answer = ask("payments", "POST", REFUNDS, body, headers={"Idempotency-Key": "k" * 256})
    assert answer.status == 400
    assert data(answer)["error"]["fields"][0]["in"] == "header"


def test_path_segments_are_decoded_once_and_kept_whole() -> None:
    there = exchange()
    answer = send(rest_gateway("orders"), there, "GET", "/orders/45%2F00%2541")
    assert answer.status == 404
    assert there.asked[0][1] == {"order_id": "45/00%41"}


# --- what HTTP adds


def test_head_is_get_without_its_body() -> None:
    whole, head = ask("orders", "GET", "/orders/4500000005"), ask("orders", "HEAD", "/orders/4500000005")
    assert (head.status, head.headers, head.body) == (200, whole.headers, b"")
    assert head.wire_bytes == len(whole.body)
    refused = ask("orders", "HEAD", "/nowhere")
    assert (refused.status, refused.body) == (404, b"")


def test_a_read_has_an_etag_and_whoever_holds_it_gets_304() -> None:
    there, gateway = exchange(), rest_gateway("orders")
    tag = send(gateway, there, "GET", "/orders/4500000005").headers["etag"]
    held = send(gateway, there, "GET", "/orders/4500000005", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (held.status, held.body, held.headers["etag"]) == (304, b"", tag)
    assert send(gateway, there, "POST", "/orders/4500000005/cancel").status == 200
    after = send(gateway, there, "GET", "/orders/4500000005", headers={"If-None-Match": tag})
    assert (after.status, data(after)["status"]) == (200, "cancelled")


def test_a_repeated_idempotency_key_pays_once() -> None:
    there, gateway = exchange(), rest_gateway("payments")
    body, headers = {"amount": "1.00", "currency": "EUR"}, {"Idempotency-Key": "one"}
    first, second = (send(gateway, there, "POST", REFUNDS, body, headers=headers) for _ in range(2))
    assert (first.status, second.status, first.body) == (201, 201, second.body)
    assert second.headers["idempotent-replayed"] == "true"
    assert len(there.case.effects) == 1
    other = send(gateway, there, "POST", REFUNDS, {**body, "amount": "2.00"}, headers=headers)
    assert other.status == 409


def test_retry_after_is_passed_on() -> None:
    there = exchange()
    there.disturb = {"fail_before": Answer(503, {"retry-after": "7"}, b"busy")}
    answer = send(rest_gateway("kb"), there, "GET", "/policies/return")
    assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "7", b"busy")


def test_a_broken_connection_stays_one() -> None:
    there = exchange()
    there.disturb = {"break_after_commit": True}
    with pytest.raises(ConnectionLost):
        send(rest_gateway("kb"), there, "GET", "/policies/return")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "no"}', b'{"error": {"message": 4}}'])
def test_rendering_takes_whatever_a_fault_left_of_an_answer(body: bytes) -> None:
    there = exchange()
    there.answer_instead = Answer(422, {}, body)
    answer = send(rest_gateway("kb"), there, "GET", "/policies/return")
    assert (answer.status, answer.body, answer.rendered) == (422, body, True)
