"""A recording becomes a simulated service."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from tests.conformance.service import Bench, Sample, check_service, make_case
from tests.gateways.stage import ServiceExchange, send

from pagerproof.errors import InvalidFile
from pagerproof.gateways.rest import own_gateway
from pagerproof.services.har import HarParameters, HarService
from pagerproof.services.har_file import read_har, template_of


def entry(
    method: str,
    url: str,
    answer: object,
    *,
    status: int = 200,
    body: str = "",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    request: dict[str, Any] = {"method": method, "url": url}
    if body:
        request["postData"] = {"mimeType": "application/json", "text": body}
    return {
        "request": request,
        "response": {
            "status": status,
            "headers": [{"name": name, "value": value} for name, value in headers.items()],
            "content": {"mimeType": "application/json", "text": text},
        },
    }


ENTRIES = (
    entry("GET", "https://b.example/v1/invoices/I-17", {"n": 17}, headers={"ETag": "x", "Content-Length": "99"}),
    entry("GET", "https://b.example/v1/invoices/I-18", {"status": "pending"}),
    entry("GET", "https://b.example/v1/invoices/I-18", {"status": "done"}),
    entry("GET", "https://b.example/v1/invoices?status=open&page=1", {"page": 1}),
    entry("GET", "https://b.example/v1/invoices?status=open&page=2", {"page": 2}),
    entry("POST", "https://b.example/v1/invoices", {"id": "A"}, status=201, body='{"amount": 1, "to": "A"}'),
    entry("POST", "https://b.example/v1/invoices", {"id": "B"}, status=201, body='{"amount": 2}'),
)


def written(folder: Path, *entries: object) -> Path:
    path = folder / "billing.har"
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    return path


def billing(folder: Path, *entries: object) -> HarService:
    return HarService("billing", read_har(written(folder, *(entries or ENTRIES))), HarParameters(har="billing.har"))


def ask(bench: Bench, operation: str, **arguments: Any) -> Any:
    asked = bench.ask(f"billing.{operation}", arguments)
    return json.loads(asked.answer.body)


class WithoutMisses(HarService):
    """A miss never succeeds, as every sample of the conformance suite must."""

    def operation_table(self):
        return {name: each for name, each in super().operation_table().items() if "Recording" not in name}


def test_it_keeps_every_promise_of_a_service(tmp_path: Path) -> None:
    recorded = read_har(written(tmp_path, *ENTRIES))
    samples = (
        Sample(operation="billing.V1Invoices.get", arguments={"id1": "I-17"}),
        Sample(operation="billing.V1Invoices.list", arguments={"status": "open"}),
        Sample(operation="billing.V1Invoices.create", arguments={"body": '{"amount": 2}'}),
    )
    check_service(lambda: WithoutMisses("billing", recorded, HarParameters(har="x")), samples)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/invoices/17", "/invoices/{id1}"),
        ("/v1/invoices", "/v1/invoices"),
        ("/a/b-2/c/3", "/a/{id1}/c/{id2}"),
        ("/", "/"),
    ],
)
def test_segments_with_digits_are_parameters(path: str, template: str) -> None:
    assert template_of(path) == template


def test_the_recording_that_fits_best_is_the_answer(tmp_path: Path) -> None:
    bench = Bench(billing(tmp_path))
    assert ask(bench, "V1Invoices.get", id1="I-17") == {"n": 17}
    assert ask(bench, "V1Invoices.list", status="open", page="2") == {"page": 2}
    assert ask(bench, "V1Invoices.list", page="1") == {"page": 1}
    assert ask(bench, "V1Invoices.create", body='{"amount":2}') == {"id": "B"}
    assert ask(bench, "V1Invoices.create", body={"to": "A", "amount": 1}) == {"id": "A"}
    assert ask(bench, "V1Invoices.create", body="something else") == {"id": "A"}


def test_whoever_asks_again_gets_the_later_recording_and_nobody_else_does(tmp_path: Path) -> None:
    bench = Bench(billing(tmp_path))
    assert [ask(bench, "V1Invoices.get", id1="I-18")["status"] for _ in range(3)] == ["pending", "done", "done"]
    bench.case = make_case(6)
    assert ask(bench, "V1Invoices.get", id1="I-18")["status"] == "pending"


def test_a_miss_is_404_and_counted(tmp_path: Path) -> None:
    bench = Bench(billing(tmp_path))
    assert bench.ask("billing.V1Invoices.get", {"id1": "I-99"}).status == 404
    assert ask(bench, "Recording.get", path="elsewhere")["error"]["code"] == "not_recorded"
    assert bench.service.gauge("misses") == 2.0


def test_a_recorded_write_leaves_a_ledger_entry(tmp_path: Path) -> None:
    bench = Bench(billing(tmp_path))
    ask(bench, "V1Invoices.create", body='{"amount": 2}')
    (effect,) = bench.case.effects
    assert (effect.kind, effect.entity) == ("v1invoices_create", "/v1/invoices")
    assert effect.details == (("path", "/v1/invoices"), ("amount", "2"))


def test_over_http_it_answers_at_the_recorded_paths(tmp_path: Path) -> None:
    service = billing(tmp_path)
    there, gateway = ServiceExchange({"billing": service}), own_gateway(service)
    first = send(gateway, there, "GET", "/v1/invoices/I-17")
    assert (first.status, first.body) == (200, b'{"n": 17}')
    assert send(gateway, there, "GET", "/v1/invoices?page=2&status=open").body == b'{"page": 2}'
    assert send(gateway, there, "POST", "/v1/invoices", {"amount": 2}).status == 201
    for method, path in (("GET", "/v1/other"), ("DELETE", "/v1/invoices"), ("GET", "/v1/invoices/I-9?x=1")):
        assert send(gateway, there, method, path).status == 404
    assert there.gauge("billing", "misses") == 3.0


def test_headers_of_the_recorded_connection_are_not_repeated(tmp_path: Path) -> None:
    answer = Bench(billing(tmp_path)).ask("billing.V1Invoices.get", {"id1": "I-17"}).answer
    assert answer.headers == {"content-type": "application/json", "etag": "x"}


def test_bodies_in_base64_are_decoded(tmp_path: Path) -> None:
    binary = entry("GET", "https://b.example/logo", base64.b64encode(b"\x89PNG").decode())
    binary["response"]["content"]["encoding"] = "base64"
    assert Bench(billing(tmp_path, binary)).ask("billing.Logo.list", {}).answer.body == b"\x89PNG"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", ":1:1: this is no HAR file"),
        ('{"log": {"entries": []}}', ":1:10: nothing was recorded"),
        ('{"log": {"entries": [\n4]}}', ":2:1: an entry needs a 'request' and a 'response'"),
        (
            '{"log": {"entries": [\n{"request": {"url": 3},\n"response": {}}]}}',
            ":2:2: the request needs a 'method' and a 'url'",
        ),
        (
            '{"log": {"entries": [\n{"request": {"method": "GET", "url": "/"},\n"response": {"status": 0}}]}}',
            ":3:14: status: 0 is no HTTP status",
        ),
        (
            '{"log": {"entries": [\n{"request": {"method": "GET", "url": "s://[x"},\n"response": {"status": 200}}]}}',
            ":2:31: url: Invalid IPv6 URL",
        ),
        ("{", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_recording_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.har"
    path.write_text(text)
    with pytest.raises(InvalidFile) as caught:
        read_har(path)
    assert said in str(caught.value)
