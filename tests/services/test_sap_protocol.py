"""SAP: the operations that its OData services need beyond an agent's tools, and all ways in which change sets fail."""

from __future__ import annotations

from typing import Any

from tests.conformance.service import PARTNER, SALES_ORDER, Bench

from pagerproof.services.sap import SapParameters, SapService

CREATE = {"operation": "sap.SalesOrder.create", "arguments": {**PARTNER, "material": "MAT-1001", "quantity": 1}}
RELEASE = {"operation": "sap.SalesOrder.release_block", "arguments": SALES_ORDER}


def sap(**parameters: Any) -> Bench:
    return Bench(SapService(SapParameters.model_validate(parameters)))


def apply(bench: Bench, *changes: dict[str, Any], **more: Any) -> Any:
    return bench.ask("sap.ChangeSet.apply", {"changes": list(changes)}, **more)


def test_the_members_of_a_change_set_leave_an_entry_each() -> None:
    bench = sap()
    asked = apply(bench, CREATE, RELEASE, CREATE)
    assert [each["status"] for each in asked.data["d"]["results"]] == [201, 200, 201]
    assert [each.kind for each in bench.case.effects] == ["sales_order", "block_released", "sales_order"]
    assert len({each.document for each in bench.case.effects}) == 3
    for effect in bench.case.effects[::2]:
        assert bench.ask("sap.SalesOrder.get", {"sales_order": effect.document}).status == 200


def test_a_member_that_is_refused_undoes_those_before_it() -> None:
    bench = sap(number_range_size=1)
    asked = apply(bench, RELEASE, CREATE, CREATE)
    assert asked.status == 500
    assert bench.case.effects == []
    assert [event for event in bench.case.log if event[1] == "ledger"] == []
    assert bench.service.gauge("documents.issued") == 0.0
    assert bench.ask("sap.SalesOrder.get", SALES_ORDER).data["d"]["DeliveryBlockReason"] == "01"
    assert bench.ask("sap.SalesOrder.list", {}).data["d"]["results"][1:] == []
    assert apply(bench, RELEASE, CREATE).status == 200


def test_an_old_etag_or_a_lock_refuses_the_whole_set() -> None:
    bench = sap()
    old = bench.ask("sap.SalesOrder.get", SALES_ORDER).answer.headers["etag"]
    assert apply(bench, CREATE, {**RELEASE, "etag": old}).status == 200
    assert apply(bench, CREATE, {"operation": "SalesOrder.cancel", "arguments": SALES_ORDER, "etag": old}).status == 412
    bench.ask("sap.SalesOrder.get", SALES_ORDER, disturb={"lock_s": 0.0})
    writer = bench.submit("sap.SalesOrder.cancel", SALES_ORDER, disturb={"extra_service_s": 30.0})
    blocked = bench.submit(
        "sap.ChangeSet.apply", {"changes": [CREATE, {"operation": "SalesOrder.delete", "arguments": SALES_ORDER}]}
    )
    bench.clock.run()
    assert (writer.status, blocked.status) == (200, 400)
    assert blocked.data["error"]["code"] == "VL/045"
    assert [each.kind for each in bench.case.effects] == ["sales_order", "block_released", "sales_order_cancelled"]


def test_a_change_set_delivered_twice_or_lost_is_so_as_a_whole() -> None:
    bench = sap()
    apply(bench, CREATE, CREATE, disturb={"twice": True})
    assert len({each.document for each in bench.case.effects}) == 4
    lost = sap()
    assert apply(lost, CREATE, RELEASE, disturb={"commit": False}).status == 200
    assert lost.case.effects == []
    assert lost.ask("sap.SalesOrder.get", SALES_ORDER).data["d"]["DeliveryBlockReason"] == "01"


def test_a_request_id_makes_a_change_set_once() -> None:
    bench = sap()
    first, again = (apply(bench, CREATE, key="k") for _ in range(2))
    assert first.data == again.data
    assert len(bench.case.effects) == 1


def test_what_is_no_write_or_too_many_of_one_kind_is_refused() -> None:
    for changes in ([{"operation": "sap.SalesOrder.get", "arguments": SALES_ORDER}], [{"operation": "x"}],
                    [CREATE] * 11, [{"operation": "sap.ChangeSet.apply", "arguments": {"changes": [CREATE]}}],
                    [{"operation": "sap.SalesOrder.cancel"}]):  # fmt: skip
        bench = sap()
        assert apply(bench, *changes).status == 400
        assert bench.case.effects == []


def test_items_are_added_rejected_and_priced() -> None:
    bench = sap()
    bench.ask("sap.SalesOrder.add_item", {**SALES_ORDER, "material": "MAT-1002", "quantity": 3})
    rejected = bench.ask("sap.SalesOrder.reject_item", {**SALES_ORDER, "item": "10", "reason": "93"})
    assert rejected.data["d"]["SalesDocumentRjcnReason"] == "93"
    items = bench.ask("sap.SalesOrder.items", SALES_ORDER).data["d"]["results"]
    assert [(each["SalesOrderItem"], each["NetAmount"], each["SalesDocumentRjcnReason"]) for each in items] == [
        ("10", "129.80", "93"), ("20", "194.70", ""),
    ]  # fmt: skip
    assert bench.ask("sap.SalesOrder.get", SALES_ORDER).data["d"]["TotalNetAmount"] == "324.50"
    unknown = bench.ask("sap.SalesOrder.reject_item", {**SALES_ORDER, "item": "70", "reason": "93"})
    assert unknown.status == 404


def test_a_credit_memo_is_read_by_its_number() -> None:
    bench = sap()
    memo = {**SALES_ORDER, "amount": "20.00", "currency": "EUR"}
    number = bench.ask("sap.CreditMemo.create", memo).data["d"]["CreditMemoRequest"]
    found = bench.ask("sap.CreditMemo.get", {"credit_memo": number}).data["d"]
    assert (found["SalesOrder"], found["TotalNetAmount"]) == ("1000000005", "20.00")
    assert bench.ask("sap.CreditMemo.get", {"credit_memo": "6999999999"}).status == 404
