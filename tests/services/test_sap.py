"""SAP: what each operation answers, and how its time-outs, locks, ETags, number ranges, quota and session fail."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.conformance.service import ADDRESS, PARTNER, SALES_ORDER, Bench, make_case

from pagerproof import sap_wire
from pagerproof.services.sap import SapParameters, SapService

_MEMO = {**SALES_ORDER, "amount": "20.00", "currency": "EUR"}


def sap(**parameters: Any) -> Bench:
    return Bench(SapService(SapParameters.model_validate(parameters)))


def test_a_sales_order_is_answered_as_odata_v2_with_decimals_as_text_and_an_etag() -> None:
    asked = sap().ask("sap.SalesOrder.get", SALES_ORDER)
    d = asked.data["d"]
    assert {name: d[name] for name in d if name not in ("__metadata", "LastChangeDateTime")} == {
        "SalesOrder": "1000000005",
        "SalesOrderType": "OR",
        "SoldToParty": "1000000006",
        "TransactionCurrency": "EUR",
        "TotalNetAmount": "129.80",
        "OverallSDProcessStatus": "A",
        "OverallSDDocumentRejectionSts": "A",
        "DeliveryBlockReason": "01",
        "Material": "MAT-1001",
        "RequestedQuantity": "2",
    }
    assert re.fullmatch(r"/Date\(\d+\+0000\)/", d["LastChangeDateTime"])
    assert asked.answer.headers["etag"] == d["__metadata"]["etag"]
    assert re.fullmatch(r"W/\"datetimeoffset'2026-10-03T08%3A00%3A00\.0000000Z'\"", d["__metadata"]["etag"])


def test_a_business_partner_shows_a_changed_address_to_the_request_that_changed_it_alone() -> None:
    bench = sap()
    bench.ask("sap.BusinessPartner.update_address", {**PARTNER, **ADDRESS})
    own = bench.ask("sap.BusinessPartner.get", PARTNER).data["d"]
    other = bench.ask("sap.BusinessPartner.get", PARTNER, case=make_case(15)).data["d"]
    assert (own["StreetName"], own["PostalCode"], own["Country"]) == ("1 New Road", "99999", "US")
    assert other["StreetName"] == "6 Mill Lane"
    assert own["BusinessPartnerFullName"] == "Ada 000006"
    [effect] = bench.case.effects
    assert (effect.entity, effect.customer_id, effect.details) == ("1000000006", "C000006", tuple(ADDRESS.items()))


def test_stock_and_billing_documents_are_read() -> None:
    bench = sap()
    stock = bench.ask("sap.MaterialStock.get", {"material": "MAT-1001"}).data["d"]
    bill = bench.ask("sap.BillingDocument.get", {"billing_document": "9000000005"}).data["d"]
    assert (stock["Material"], stock["Plant"], stock["MatlWrhsStkQtyInMatlBaseUnit"]) == ("MAT-1001", "1010", "120.000")
    assert (bill["BillingDocument"], bill["SalesOrder"], bill["TotalNetAmount"], bill["TransactionCurrency"]) == (
        "9000000005", "1000000005", "149.80", "EUR",
    )  # fmt: skip


def test_a_created_sales_order_can_be_read_and_changed_afterwards() -> None:
    bench = sap()
    made = bench.ask("sap.SalesOrder.create", {**PARTNER, "material": "MAT-1002", "quantity": 3})
    number = made.data["d"]["SalesOrder"]
    assert made.status == 201
    assert re.fullmatch(r"2\d{9}", number)
    assert made.data["d"]["TotalNetAmount"] == "194.70"
    [effect] = bench.case.effects
    assert (effect.document, effect.entity) == (number, "1000000006")
    assert effect.details == (("material", "MAT-1002"), ("quantity", "3"))
    changed = bench.ask("sap.SalesOrder.update_quantity", {"sales_order": number, "item": "000010", "quantity": 5})
    assert changed.data["d"]["RequestedQuantity"] == "5"
    assert bench.ask("sap.SalesOrder.get", {"sales_order": number}).data["d"]["RequestedQuantity"] == "5"


def test_credit_memos_are_not_deduplicated_without_a_request_id() -> None:
    bench = sap()
    made = [bench.ask("sap.CreditMemo.create", _MEMO) for _ in range(2)]
    numbers = [each.data["d"]["CreditMemoRequest"] for each in made]
    assert [each.status for each in made] == [201, 201]
    assert numbers[0] != numbers[1]
    found = bench.ask("sap.CreditMemo.find", SALES_ORDER).data["d"]["results"]
    assert [(each["CreditMemoRequest"], each["TotalNetAmount"]) for each in found] == [
        (numbers[0], "20.00"), (numbers[1], "20.00"),
    ]  # fmt: skip
    assert [(each.amount_minor, each.currency, each.entity) for each in bench.case.effects] == [
        (2000, "EUR", "1000000005")
    ] * 2


def test_a_request_id_makes_a_credit_memo_once() -> None:
    bench = sap()
    first = bench.ask("sap.CreditMemo.create", _MEMO, key="k1")
    again = bench.ask("sap.CreditMemo.create", _MEMO, key="k1")
    assert again.answer.body == first.answer.body
    assert again.answer.headers["idempotent-replayed"] == "true"
    assert len(bench.case.effects) == 1


def test_the_delivery_block_is_released_once() -> None:
    bench = sap()
    assert bench.ask("sap.SalesOrder.release_block", SALES_ORDER).data["d"]["DeliveryBlockReason"] == ""
    assert bench.ask("sap.SalesOrder.release_block", SALES_ORDER).status == 400
    assert len(bench.case.effects) == 1


def test_a_cancelled_sales_order_is_rejected_and_can_not_be_changed() -> None:
    bench = sap()
    assert bench.ask("sap.SalesOrder.cancel", SALES_ORDER).data["d"]["OverallSDDocumentRejectionSts"] == "C"
    for operation, more in (("cancel", {}), ("update_quantity", {"item": "10", "quantity": 1}), ("release_block", {})):
        assert bench.ask(f"sap.SalesOrder.{operation}", {**SALES_ORDER, **more}).status == 400
    assert len(bench.case.effects) == 1


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("sap.SalesOrder.get", {"sales_order": "4500000005"}),
        ("sap.SalesOrder.get", {"sales_order": "nonsense"}),
        ("sap.BusinessPartner.get", {"business_partner": "1099999999"}),
        ("sap.BusinessPartner.get", {"business_partner": "10 0000006"}),
        ("sap.MaterialStock.get", {"material": "SKU-1001"}),
        ("sap.BillingDocument.get", {"billing_document": "1000000005"}),
        ("sap.CreditMemo.find", {"sales_order": "1000000000"}),
    ],
)
def test_an_unknown_id_is_a_404_with_the_data_providers_text(operation: str, arguments: dict[str, str]) -> None:
    asked = sap().ask(operation, arguments)
    error = asked.data["error"]
    assert asked.status == 404
    assert error["code"] == "/IWBEP/CM_MGW_RT/022"
    assert next(iter(arguments.values())) in error["message"]["value"]


# -- time-outs --------------------------------------------------------------------------------------------------------


def test_the_processing_timeout_answers_500_while_the_work_goes_on_and_commits() -> None:
    bench = sap(processing_timeout="60s")
    asked = bench.submit("sap.CreditMemo.create", _MEMO, disturb={"extra_service_s": 100.0})
    bench.clock.run(until_s=61.0)
    assert (asked.status, asked.at_s) == (500, [60.0])
    assert b"Connection timed out" in asked.answer.body
    assert asked.answer.headers["content-type"].startswith("text/html")
    assert (bench.case.effects, bench.case.pending) == ([], 1)
    assert bench.service.gauge("pool.in_use") == 1.0
    bench.clock.run()
    [effect] = bench.case.effects
    assert effect.time_s > 100.0
    assert (bench.case.pending, bench.service.gauge("pool.in_use")) == (0, 0.0)


def test_a_retry_after_a_lost_acknowledgement_makes_a_second_document_unless_it_carries_the_request_id() -> None:
    for key, documents in ((None, 2), ("k1", 1)):
        bench = sap()
        bench.ask("sap.CreditMemo.create", _MEMO, key=key, disturb={"extra_service_s": 100.0})
        again = bench.ask("sap.CreditMemo.create", _MEMO, key=key)
        assert again.status == 201
        assert len(bench.case.effects) == documents
        assert again.data["d"]["CreditMemoRequest"] == bench.case.effects[-1].document


def test_waiting_in_the_dispatcher_queue_counts_towards_the_processing_timeout() -> None:
    bench = sap(work_processes=2, processing_timeout="60s")
    slow = bench.submit("sap.SalesOrder.get", SALES_ORDER, disturb={"extra_service_s": 50.0})
    queued = bench.submit("sap.SalesOrder.cancel", SALES_ORDER, disturb={"extra_service_s": 20.0})
    assert bench.service.gauge("pool.queued") == 1.0
    bench.clock.run()
    assert slow.status == 200
    assert (queued.status, queued.at_s) == (500, [60.0])
    assert [effect.kind for effect in bench.case.effects] == ["sales_order_cancelled"]


def test_the_run_limit_cuts_the_work_with_a_dump_and_rolls_it_back() -> None:
    bench = sap(processing_timeout="3600s")
    asked = bench.ask("sap.CreditMemo.create", _MEMO, disturb={"extra_service_s": 900.0})
    assert (asked.status, asked.at_s) == (500, [600.0])
    assert asked.data["error"]["code"] == "SY/098"
    assert asked.data["error"]["message"] == {"lang": "en", "value": "Time limit exceeded."}
    assert bench.case.effects == []


def test_the_run_limit_may_come_after_the_commit() -> None:
    bench = sap(processing_timeout="3600s")
    asked = bench.ask("sap.CreditMemo.create", _MEMO, disturb={"extra_service_s": 900.0, "commit": True})
    assert asked.status == 500
    assert len(bench.case.effects) == 1


def test_a_slow_report_holds_a_work_process_before_the_call_that_meets_it() -> None:
    bench = sap(work_processes=2, processing_timeout="3600s")
    asked = bench.submit("sap.SalesOrder.get", SALES_ORDER, disturb={"hold_worker_s": 300.0})
    assert (bench.service.gauge("pool.in_use"), bench.service.gauge("pool.queued")) == (1.0, 1.0)
    bench.clock.run()
    assert asked.at_s[0] > 300.0
    assert bench.service.gauge("pool.in_use") == 0.0


def test_a_full_dispatcher_queue_refuses() -> None:
    bench = sap(work_processes=2, queue_limit=1)
    asked = [bench.submit("sap.SalesOrder.get", SALES_ORDER) for _ in range(3)]
    bench.clock.run()
    assert [each.status for each in asked] == [200, 200, 503]


def test_what_only_queued_is_dropped_when_its_caller_goes() -> None:
    bench = sap(work_processes=2)
    bench.submit("sap.SalesOrder.get", SALES_ORDER, disturb={"extra_service_s": 30.0})
    queued = bench.submit("sap.CreditMemo.create", _MEMO)
    running = bench.submit("sap.SalesOrder.cancel", {"sales_order": "1000000006"})
    bench.service.abandon(queued.call)
    bench.clock.run()
    assert queued.answers == [None]
    assert [effect.kind for effect in bench.case.effects] == ["sales_order_cancelled"]
    assert running.status == 200
    assert bench.service.gauge("calls.abandoned") == 1.0


# -- locks, ETags, ranges, quota, session -----------------------------------------------------------------------------


def test_a_second_writer_meets_the_enqueue_lock_as_a_400_with_vl_045() -> None:
    bench = sap()
    first = bench.submit("sap.CreditMemo.create", _MEMO)
    second = bench.submit("sap.SalesOrder.cancel", SALES_ORDER)
    reader = bench.submit("sap.SalesOrder.get", SALES_ORDER)
    assert bench.service.gauge("locks.held") == 1.0
    bench.clock.run()
    assert [first.status, second.status, reader.status] == [201, 400, 200]
    assert second.data["error"]["code"] == "VL/045"
    assert bench.service.gauge("locks.held") == 0.0
    assert bench.ask("sap.SalesOrder.cancel", SALES_ORDER).status == 200


def test_a_lock_left_behind_holds_for_its_time() -> None:
    bench = sap()
    bench.submit("sap.CreditMemo.create", _MEMO, disturb={"lock_s": 120.0})
    bench.clock.run(until_s=60.0)
    assert bench.service.gauge("locks.held") == 1.0
    refused = bench.submit("sap.CreditMemo.create", _MEMO)
    bench.clock.run(until_s=100.0)
    assert refused.data["error"]["code"] == "VL/045"
    bench.clock.run()
    assert bench.service.gauge("locks.held") == 0.0
    assert bench.ask("sap.CreditMemo.create", _MEMO).status == 201


def test_a_writer_that_ends_does_not_take_away_somebody_elses_lock() -> None:
    bench = sap()
    bench.submit("sap.SalesOrder.cancel", SALES_ORDER, disturb={"extra_service_s": 30.0})
    bench.submit("sap.SalesOrder.get", SALES_ORDER, disturb={"lock_s": 100.0})
    bench.clock.run(until_s=50.0)
    assert [effect.kind for effect in bench.case.effects] == ["sales_order_cancelled"]
    assert bench.service.gauge("locks.held") == 1.0


def test_who_was_answered_cannot_abandon_the_call_any_more() -> None:
    bench = sap(work_processes=2, processing_timeout="60s")
    bench.submit("sap.SalesOrder.get", SALES_ORDER, disturb={"extra_service_s": 100.0})
    queued = bench.submit("sap.SalesOrder.cancel", SALES_ORDER)
    bench.clock.run(until_s=61.0)
    assert queued.status == 500
    bench.service.abandon(queued.call)
    bench.clock.run()
    assert bench.service.gauge("calls.abandoned") == 0.0
    assert len(bench.case.effects) == 1


def test_a_stale_etag_is_refused_with_412() -> None:
    bench = sap()
    old = bench.ask("sap.SalesOrder.get", SALES_ORDER).answer.headers["etag"]
    change = {**SALES_ORDER, "item": "10", "quantity": 4, "etag": old}
    first = bench.ask("sap.SalesOrder.update_quantity", change)
    second = bench.ask("sap.SalesOrder.update_quantity", {**change, "quantity": 6})
    assert (first.status, second.status) == (200, 412)
    assert second.data["error"]["code"] == "/IWBEP/CM_MGW_RT/190"
    new = bench.ask("sap.SalesOrder.get", SALES_ORDER).answer.headers["etag"]
    assert new == first.answer.headers["etag"] != old
    assert bench.ask("sap.SalesOrder.update_quantity", {**change, "etag": new}).status == 200


def test_a_number_range_ends() -> None:
    bench = sap(number_range_size=2)
    statuses = [bench.ask("sap.CreditMemo.create", _MEMO).status for _ in range(3)]
    assert statuses == [201, 201, 500]
    assert bench.service.gauge("documents.credit_memo") == 2.0
    assert bench.ask("sap.SalesOrder.create", {**PARTNER, "material": "MAT-1001", "quantity": 1}).status == 201
    assert bench.ask("sap.SalesOrder.cancel", SALES_ORDER).status == 200


def test_the_quota_is_a_fixed_window() -> None:
    bench = sap(quota_calls=2, quota_window="60s")
    bench.clock.run(until_s=30.0)
    asked = [bench.submit("sap.SalesOrder.get", SALES_ORDER) for _ in range(3)]
    assert bench.service.gauge("quota.used") == 2.0
    bench.clock.run()
    assert [each.status for each in asked] == [200, 200, 429]
    assert asked[2].answer.headers["retry-after"] == "30"
    bench.clock.run(until_s=60.0)
    assert bench.service.gauge("quota.used") == 0.0
    assert bench.ask("sap.SalesOrder.get", SALES_ORDER).status == 200


def test_an_expired_session_is_refused_until_a_new_one_is_opened() -> None:
    bench = sap(enforce_session=True, session_lifetime="1h")
    bench.clock.run(until_s=3601.0)
    assert bench.service.gauge("session.age_s") == 3601.0
    refused = bench.ask("sap.SalesOrder.cancel", SALES_ORDER)
    assert (refused.status, refused.answer.headers["x-csrf-token"]) == (403, "Required")
    assert refused.answer.body == b"CSRF token validation failed"
    opened = bench.ask("sap.Session.open", {})
    assert re.fullmatch(r"[0-9a-f]{24}", opened.answer.headers["x-csrf-token"])
    assert bench.service.gauge("session.age_s") < 10.0
    assert bench.ask("sap.SalesOrder.cancel", SALES_ORDER).status == 200


def test_a_fault_expires_the_session_for_one_call() -> None:
    bench = sap()
    assert bench.ask("sap.CreditMemo.create", _MEMO, disturb={"expire_session": True}).status == 403
    assert bench.ask("sap.CreditMemo.create", _MEMO).status == 201
    assert len(bench.case.effects) == 1


# -- the wire ---------------------------------------------------------------------------------------------------------


def test_a_business_error_has_the_recorded_shape() -> None:
    answer = sap_wire.lock_held(1, 24.9771670, "4711")
    error = json.loads(answer.body)["error"]
    inner = error["innererror"]
    assert error["message"] == {
        "lang": "en", "value": "The sales order 4711 is currently being processed by user AGENT7.",
    }  # fmt: skip
    assert inner["application"]["component_id"] == "SD-SLS-API"
    assert re.fullmatch(r"[0-9A-F]{32}", inner["transactionid"])
    assert inner["timestamp"] == "20261123000024.9771670"
    assert inner["errordetails"][0]["code"] == "VL/045"
    assert inner["errordetails"][0]["severity"] == "error"


def test_a_framework_error_has_no_application_and_no_details() -> None:
    inner = json.loads(sap_wire.etag_stale(1, 0.0).body)["error"]["innererror"]
    assert set(inner) == {"transactionid", "timestamp", "Error_Resolution"}


def test_transaction_ids_are_keyed() -> None:
    assert sap_wire.lock_held(1, 0.0, "4711").body == sap_wire.lock_held(1, 0.0, "4711").body
    assert sap_wire.lock_held(1, 0.0, "4711").body != sap_wire.lock_held(2, 0.0, "4711").body


def test_what_the_icm_says_itself_is_no_json() -> None:
    for answer, status, text in (
        (sap_wire.processing_timeout(), 500, b"500 Connection timed out"),
        (sap_wire.partner_not_reached(), 404, b"Partner not reached"),
        (sap_wire.overloaded(), 503, b"503 Service Unavailable"),
    ):
        assert answer.status == status
        assert text in answer.body
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(answer.body)
