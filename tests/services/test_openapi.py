"""A user's OpenAPI document and state become a simulated service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.service import Bench, Sample, check_service, make_case
from tests.gateways.stage import ServiceExchange, send

from pagerproof.errors import InvalidFile, UsageError
from pagerproof.gateways.rest import own_gateway
from pagerproof.scenario.load import load_file
from pagerproof.scenario.quick import read_quickly
from pagerproof.scenario.schema import Scenario
from pagerproof.services.added import added_services, scenario_services
from pagerproof.services.openapi import OpenApiParameters, OpenApiService
from pagerproof.services.openapi_document import read_openapi
from pagerproof.services.own import operation_name

FILES = Path(__file__).parent / "files"
HEAD = "schema: pagerproof/scenario/1\nid: x\ntitle: X\n"


def billing(section: str = "openapi: billing.yaml, state: billing_state.yaml", folder: Path = FILES) -> OpenApiService:
    path = folder / "scenario.yaml"
    scenario = Scenario.model_validate(
        {"schema": "pagerproof/scenario/1", "id": "x", "title": "X", "services": {"billing": _section(section)}}
    )
    service = scenario_services(scenario, path, folder=folder)["billing"]
    assert isinstance(service, OpenApiService)
    return service


def _section(text: str) -> Any:
    return read_quickly(f"x: {{{text}}}")["x"]


SAMPLES = (
    Sample(operation="billing.Invoices.list", arguments={"status": "open"}),
    Sample(operation="billing.Invoices.create", arguments={"customer_id": "C000006", "amount": "12.00"}),
    Sample(operation="billing.Invoices.get", arguments={"id": "I-1"}),
    Sample(operation="billing.Invoices.update", arguments={"id": "I-1", "memo": "late"}),
    Sample(operation="billing.Invoices.replace", arguments={"id": "I-2", "customer_id": "C000007", "amount": "1.00"}),
    Sample(operation="billing.Invoices.delete", arguments={"id": "I-1"}),
    Sample(operation="billing.InvoicesLines.list", arguments={"id": "I-1"}),
    Sample(operation="billing.InvoicesLines.create", arguments={"id": "I-1", "text": "a shade"}),
    Sample(operation="billing.Rate.get", arguments={"currency": "EUR"}),
    Sample(operation="billing.Dunning.preview", arguments={"body": ["I-1"]}),
)


def test_it_keeps_every_promise_of_a_service() -> None:
    check_service(billing, SAMPLES)


@pytest.mark.parametrize(
    ("method", "path", "operation_id", "name"),
    [
        ("GET", "/invoices", "", "Invoices.list"),
        ("GET", "/invoices/{id}", "getInvoice", "Invoices.get"),
        ("POST", "/invoices", "", "Invoices.create"),
        ("PUT", "/invoices/{id}", "", "Invoices.replace"),
        ("PATCH", "/invoices/{id}", "", "Invoices.update"),
        ("DELETE", "/invoices/{id}", "", "Invoices.delete"),
        ("POST", "/v1/credit-notes/{id}/cancel", "", "V1CreditNotesCancel.create"),
        ("POST", "/invoices/{id}/cancel", "Invoice.cancel", "Invoice.cancel"),
        ("GET", "/", "", "Root.list"),
    ],
)
def test_names_of_operations_are_made_from_the_route(method: str, path: str, operation_id: str, name: str) -> None:
    assert operation_name(method, path, operation_id) == name


# --- the state


def ask(bench: Bench, operation: str, **arguments: Any) -> tuple[int, Any]:
    asked = bench.ask(f"billing.{operation}", arguments)
    return asked.status, json.loads(asked.answer.body) if asked.answer.body else None


def test_a_collection_is_listed_filtered_and_counted() -> None:
    bench = Bench(billing())
    status, data = ask(bench, "Invoices.list", status="paid")
    assert (status, [each["id"] for each in data["invoices"]], data["total"]) == (200, ["I-2"], 1)
    assert [each["id"] for each in ask(bench, "Invoices.list", limit=1)[1]["invoices"]] == ["I-1"]


def test_what_is_written_is_read_by_everybody_until_the_run_ends() -> None:
    service = billing()
    bench = Bench(service)
    status, made = ask(bench, "Invoices.create", customer_id="C000001", amount="12.00")
    assert status == 201
    assert made["status"] in ("open", "paid")  # required by the schema, so it is there
    bench.case = make_case(6)
    assert ask(bench, "Invoices.get", id=made["id"]) == (200, made)
    assert ask(bench, "Invoices.update", id=made["id"], memo="late")[1] == {**made, "memo": "late"}
    replaced = ask(bench, "Invoices.replace", id=made["id"], customer_id="C000002", amount="1.00")[1]
    assert replaced == {"id": made["id"], "customer_id": "C000002", "amount": "1.00"}
    assert ask(bench, "Invoices.delete", id=made["id"]) == (204, None)
    assert ask(bench, "Invoices.get", id=made["id"])[0] == 404
    assert Bench(service).service is service  # opened again
    assert len(ask(Bench(service), "Invoices.list")[1]["invoices"]) == 2


def test_a_collection_below_a_record_is_that_records_own() -> None:
    bench = Bench(billing())
    assert ask(bench, "InvoicesLines.list", id="I-1")[1] == [{"line_id": 7, "id": "I-1", "text": "a lamp"}]
    assert ask(bench, "InvoicesLines.list", id="I-2")[1] == []
    assert ask(bench, "InvoicesLines.list", id="I-3")[0] == 404


def test_records_may_be_kept_by_key() -> None:
    bench = Bench(billing("openapi: billing.yaml, state: {invoices: {I-9: {amount: '3.00'}}}"))
    assert ask(bench, "Invoices.get", id="I-9") == (200, {"amount": "3.00"})
    assert ask(bench, "Invoices.get", id="I-1")[0] == 404
    assert ask(bench, "Invoices.create", customer_id="C1", amount="1.00")[0] == 201
    assert ask(bench, "Invoices.list")[1]["total"] == 2


def test_a_key_that_is_taken_is_409(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(
        "openapi: 3.0.3\npaths:\n  /things:\n    post:\n"
        "      requestBody:\n"
        "        content: {application/json: {schema: {type: object, properties: {id: {type: integer}}}}}\n"
        "      responses: {201: {description: '', content: {application/json: {}}}}\n"
    )
    parameters = OpenApiParameters(openapi="x")
    bench = Bench(OpenApiService("things", read_openapi(path, "things"), {"things": [{"id": 4}]}, parameters))
    assert bench.ask("things.Things.create", {"id": 4}).status == 409
    made = bench.ask("things.Things.create", {})
    assert isinstance(made.data["id"], int)


def test_numbers_in_path_and_query_may_be_text() -> None:
    bench = Bench(billing())
    assert ask(bench, "Invoices.list", limit="1")[0] == 200
    assert ask(bench, "Invoices.list", limit="0")[0] == 400
    assert ask(bench, "Invoices.list", limit="one")[0] == 400


# --- the document


def test_properties_may_be_called_like_keywords(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(
        "openapi: 3.1.0\npaths: {/a: {get: {responses: {200: {description: '', content: {application/json: "
        "{schema: {$ref: '#/components/schemas/A'}}}}}}}}\n"
        "components: {schemas: {A: {type: object, properties: {type: {type: integer, minimum: 3, maximum: 3}, "
        "items: {type: string}, required: {$ref: '#/components/schemas/B'}}}, "
        "B: {type: object, properties: {again: {$ref: '#/components/schemas/B'}}, required: [again]}}}\n"
    )
    bench = Bench(OpenApiService("things", read_openapi(path, "things"), {}, OpenApiParameters(openapi="x")))
    data = bench.ask("things.A.list", {}).data
    assert data["type"] == 3
    assert "again" in data["required"]  # a schema that needs itself ends somewhere


def test_what_the_state_does_not_have_is_drawn_the_same_for_the_same_question() -> None:
    first, second = Bench(billing()), Bench(billing())
    second.case = make_case(8)
    drawn = ask(first, "Rate.get", currency="USD")
    assert drawn == ask(second, "Rate.get", currency="USD")
    assert drawn[1]["currency"] == "USD"
    assert 1 <= drawn[1]["rate"] <= 2
    assert ask(first, "Rate.get", currency="GBP")[1]["rate"] != drawn[1]["rate"]


def test_an_example_is_the_answer_where_there_is_one() -> None:
    assert ask(Bench(billing()), "Dunning.preview", body=["I-1"]) == (200, {"fee": "4.50"})


def test_without_a_state_everything_comes_from_the_document() -> None:
    status, data = ask(Bench(billing("openapi: billing.yaml")), "Invoices.get", id="I-77")
    assert (status, data["id"]) == (200, "I-77")
    assert {"customer_id", "amount", "status"} <= data.keys()


@pytest.mark.parametrize(
    ("operation", "arguments", "pointer", "said"),
    [
        ("Invoices.create", {"customer_id": "C1"}, "/amount", "is missing"),
        ("Invoices.create", {"customer_id": "C1", "amount": 3}, "/amount", "must be string, not integer"),
        ("Invoices.create", {"customer_id": "C1", "amount": "3"}, "/amount", "must match"),
        ("Invoices.create", {"customer_id": "C1", "amount": "3.00", "due": "soon"}, "/due", "is no date"),
        ("Invoices.create", {"customer_id": "C1", "amount": "3.00", "note": ""}, "/note", "is not known"),
        ("Invoices.create", {"customer_id": "C1", "amount": "3.00", "address": {}}, "/address/city", "is missing"),
        ("Invoices.list", {"status": "late"}, "status", "must be one of open, paid"),
        ("Invoices.list", {"limit": 0}, "limit", "must be at least 1"),
        ("Invoices.list", {"order": "up"}, "order", "is not known"),
        ("Rate.get", {"currency": "eur"}, "currency", "must match"),
        ("Dunning.preview", {"body": []}, "body", "at least 1 items"),
        ("Dunning.preview", {"body": ["a", 2]}, "/1", "must be string"),
    ],
)
def test_what_does_not_fit_its_schema_is_400_and_named(
    operation: str, arguments: dict[str, Any], pointer: str, said: str
) -> None:
    bench = Bench(billing())
    status, data = ask(bench, operation, **arguments)
    assert status == 400
    (field,) = data["error"]["fields"]
    assert field["pointer"] == pointer
    assert said in field["message"]
    assert bench.case.effects == []


# --- ledger, faults, idempotency, capacity


def test_a_write_leaves_its_path_and_what_it_changed_in_the_ledger() -> None:
    bench = Bench(billing())
    ask(bench, "Invoices.update", id="I-1", memo="late")
    ask(bench, "Invoices.create", customer_id="C000006", amount="12.00")
    first, second = bench.case.effects
    assert (first.service, first.kind, first.entity) == ("billing", "invoices_update", "I-1")
    assert first.details == (("path", "/invoices/I-1"), ("memo", "late"))
    assert (second.kind, second.entity) == ("invoices_create", "/invoices")
    assert dict(second.details) == {"path": "/invoices", "customer_id": "C000006", "amount": "12.00"}


def test_faults_reach_inside_it() -> None:
    bench = Bench(billing())
    lost = bench.ask("billing.Invoices.delete", {"id": "I-1"}, disturb={"commit": False})
    assert (lost.status, bench.case.effects) == (204, [])
    assert ask(bench, "Invoices.get", id="I-1")[0] == 200
    ask(bench, "Invoices.update", id="I-1", memo="new")
    stale = bench.ask("billing.Invoices.get", {"id": "I-1"}, disturb={"stale": True})
    assert "memo" not in stale.data
    twice = bench.ask("billing.Invoices.create", {"customer_id": "C1", "amount": "1.00"}, disturb={"twice": True})
    assert twice.status == 201
    assert len(bench.case.effects) == 3
    assert ask(bench, "Invoices.list")[1]["total"] == 4


def test_a_repeated_key_creates_once() -> None:
    bench = Bench(billing())
    made = [bench.ask("billing.Invoices.create", {"customer_id": "C1", "amount": "1.00"}, key="k") for _ in range(2)]
    assert made[0].data == made[1].data
    assert len(bench.case.effects) == 1


def test_capacity_and_latency_are_what_the_scenario_says() -> None:
    bench = Bench(billing("openapi: billing.yaml, workers: 1, queue_limit: 0, read_median: 2s, read_sigma: 0"))
    first = bench.submit("billing.Invoices.get", {"id": "I-1"})
    second = bench.submit("billing.Invoices.get", {"id": "I-1"})
    bench.clock.run()
    assert first.at_s == [2.0]
    assert second.status == 503


def test_it_answers_over_http_at_its_own_routes() -> None:
    service = billing()
    there = ServiceExchange({"billing": service})
    gateway = own_gateway(service)
    assert json.loads(send(gateway, there, "GET", "/openapi.json").body)["info"]["title"] == "Billing"
    made = send(gateway, there, "POST", "/invoices", {"customer_id": "C1", "amount": "1.00"})
    assert made.status == 201
    read = send(gateway, there, "GET", f"/invoices/{json.loads(made.body)['id']}")
    assert (read.status, read.body) == (200, made.body)
    assert send(gateway, there, "GET", "/invoices?limit=1").status == 200
    refused = send(gateway, there, "GET", "/invoices?limit=one")
    assert (refused.status, json.loads(refused.body)["error"]["fields"][0]["name"]) == (400, "limit")
    assert send(gateway, there, "POST", "/dunning/preview", ["I-1"]).status == 200
    assert send(gateway, there, "DELETE", "/invoices").headers["allow"] == "GET, HEAD, POST, OPTIONS"


# --- files with mistakes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("swagger: '2.0'\n", "1:1: this is a Swagger 2 document"),
        ("openapi: 2.0.0\n", "1:1: this is no OpenAPI 3 document"),
        ("openapi: 3.1.0\npaths: {}\n", "2:1: the document has no paths"),
        ("openapi: 3.1.0\npaths:\n  /a:\n    gte: {}\n", "4:5: 'gte' is no method: did you mean 'get'?"),
        ("openapi: 3.1.0\npaths:\n  a: {}\n", "3:3: 'a': a path begins with '/'"),
        ("openapi: 3.1.0\npaths:\n  /a/{id}:\n    get: {}\n", "4:5: '{id}' in the path is no parameter"),
        (
            "openapi: 3.1.0\npaths:\n  /a:\n    get:\n      parameters:\n      - {name: x, in: body}\n",
            "6:19: parameter 'x': 'in' must be path, query, header or cookie, not 'body'",
        ),
        (
            "openapi: 3.1.0\npaths:\n  /a:\n    get:\n      parameters:\n      - $ref: '#/components/x'\n",
            "6:9: '#/components/x': there is nothing in this document",
        ),
        (
            "openapi: 3.1.0\npaths:\n  /a-b: {get: {}}\n  /a_b: {get: {}}\n",
            "4:10: GET /a-b is the operation AB.list already: give one an operationId",
        ),
        ("openapi: 3.1.0\npaths: {/a: {get: {}}\n", "3:1: not valid YAML"),
        ("openapi: 3.1.0\npaths:\n  /a:\n    get: {responses: 4}\n", "4:11: responses: must be responses by status"),
        ("openapi: 3.1.0\ncomponents:\n  schemas:\n    A: {type: sting}\n", "4:9: type: must be one of string"),
        ("openapi: 3.1.0\ncomponents:\n  schemas:\n    A: {pattern: '('}\n", "4:9: pattern: missing )"),
        ("openapi: 3.1.0\ncomponents:\n  schemas:\n    A: {required: true}\n", "4:9: required: in a schema"),
        ("openapi: 3.1.0\ncomponents:\n  schemas:\n    A: {$ref: '#/components/schemas/A'}\n", "round in a circle"),
    ],
)
def test_a_mistake_in_the_document_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(text)
    with pytest.raises(InvalidFile) as caught:
        read_openapi(path, "billing")
    assert any(expected in str(each) for each in caught.value.problems), caught.value


def test_a_mistake_in_the_state_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "billing.yaml").write_text((FILES / "billing.yaml").read_text())
    (tmp_path / "state.yaml").write_text("invoices:\n  - 4\n")
    with pytest.raises(InvalidFile, match=r"state\.yaml:1:1: invoices: every record must be a mapping"):
        billing("openapi: billing.yaml, state: state.yaml", folder=tmp_path)
    with pytest.raises(UsageError, match="state: invoices: must be a list of records"):
        billing("openapi: billing.yaml, state: {invoices: none}", folder=tmp_path)
    with pytest.raises(UsageError, match=r"no file or folder 'nowhere\.yaml'"):
        billing("openapi: nowhere.yaml", folder=tmp_path)


def test_the_files_of_a_service_decide_the_run(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    for name in ("billing.yaml", "billing_state.yaml"):
        (tmp_path / name).write_text((FILES / name).read_text())
    path.write_text(HEAD + "services: {billing: {openapi: billing.yaml, state: billing_state.yaml}}\n")
    (added,) = added_services(load_file(path, Scenario).value, path)
    assert added.files == (tmp_path / "billing.yaml", tmp_path / "billing_state.yaml")
