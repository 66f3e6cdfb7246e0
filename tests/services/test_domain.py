"""A domain's database as a service: every promise of a service, isolation by request, and faults inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conformance.service import Bench, Sample, check_service, make_case
from tests.domains.folders import tiny_db

from pagerproof.domains import retail
from pagerproof.domains.tau2 import Domain
from pagerproof.domains.toolset import Toolset, toolset_of
from pagerproof.errors import UsageError
from pagerproof.model import end_state_of
from pagerproof.services.domain import DomainService

ADDRESS = {"address1": "2 Oak", "address2": "", "city": "Rye", "state": "NY", "country": "USA", "zip": "10580"}
CANCEL = {"order_id": "#W1", "reason": "no longer needed"}
SWAP = {"item_ids": ["101"], "new_item_ids": ["102"], "payment_method_id": "paypal_4"}
SAMPLES: dict[str, dict[str, Any]] = {
    "find_user_id_by_email": {"email": "ann@example.com"},
    "find_user_id_by_name_zip": {"first_name": "Ann", "last_name": "Smith", "zip": "12345"},
    "get_user_details": {"user_id": "ann_smith_1"},
    "get_order_details": {"order_id": "#W1"},
    "get_product_details": {"product_id": "100"},
    "get_item_details": {"item_id": "101"},
    "list_all_product_types": {},
    "calculate": {"expression": "1 + 1"},
    "think": {"thought": "hm"},
    "cancel_pending_order": CANCEL,
    "modify_pending_order_address": {"order_id": "#W1", **ADDRESS},
    "modify_pending_order_items": {"order_id": "#W1", **SWAP},
    "modify_pending_order_payment": {"order_id": "#W1", "payment_method_id": "paypal_4"},
    "modify_user_address": {"user_id": "ann_smith_1", **ADDRESS},
    "exchange_delivered_order_items": {"order_id": "#W2", **SWAP},
    "return_delivered_order_items": {"order_id": "#W2", "item_ids": ["101"], "payment_method_id": "gift_card_1"},
    "transfer_to_human_agents": {"summary": "x"},
}


def service(*, shared: bool = False, toolset: Toolset | None = None) -> DomainService:
    domain = Domain(name="retail", tables=tiny_db(), toolset=toolset or toolset_of(retail), tasks=())
    return DomainService(domain, shared=shared)


@pytest.mark.parametrize("shared", [False, True])
def test_the_retail_service_keeps_every_promise_of_a_service(*, shared: bool) -> None:
    samples = [Sample(operation=f"retail.{name}", arguments=arguments) for name, arguments in SAMPLES.items()]
    # With shared state a second cancellation is refused, which the suite's repeats allow.
    check_service(lambda: service(shared=shared), samples)


def test_a_change_is_one_ledger_entry_with_every_place_before_and_after() -> None:
    bench = Bench(service())
    bench.ask("retail.cancel_pending_order", CANCEL)
    (entry,) = bench.case.effects
    assert (entry.kind, entry.entity, entry.customer_id) == ("cancel_pending_order", "#W1", "ann_smith_1")
    details = dict(entry.details)
    assert details["orders/#W1/status"] == '"cancelled"'
    assert details["was orders/#W1/status"] == '"pending"'
    assert end_state_of(bench.case.effects)["users/ann_smith_1/payment_methods/gift_card_1/balance"] == "66.0"


@pytest.mark.parametrize(("shared", "status"), [(False, 200), (True, 409)])
def test_another_request_meets_the_change_only_where_the_state_is_shared(status: int, *, shared: bool) -> None:
    bench = Bench(service(shared=shared))
    bench.ask("retail.cancel_pending_order", CANCEL)
    assert bench.ask("retail.cancel_pending_order", CANCEL).status == 409
    assert bench.ask("retail.cancel_pending_order", CANCEL, case=make_case(6)).status == status


def test_a_new_run_begins_with_the_database_of_the_folder() -> None:
    made = service(shared=True)
    for _ in range(2):
        assert Bench(made).ask("retail.cancel_pending_order", CANCEL).status == 200


def test_a_refusal_and_a_missing_record_are_told_and_leave_nothing() -> None:
    bench = Bench(service())
    refused = bench.ask("retail.cancel_pending_order", {**CANCEL, "reason": "too dear"})
    assert (refused.status, refused.data["error"]["code"]) == (409, "refused")
    assert "no longer needed" in refused.data["error"]["message"]
    missing = bench.ask("retail.get_order_details", {"order_id": "#W9"})
    assert (missing.status, missing.data["error"]["message"]) == (404, "order not found")
    assert bench.case.effects == []


def test_a_lost_write_answers_success_and_changes_nothing() -> None:
    bench = Bench(service())
    asked = bench.ask("retail.cancel_pending_order", CANCEL, disturb={"commit": False})
    assert asked.data["status"] == "cancelled"
    assert bench.ask("retail.get_order_details", {"order_id": "#W1"}).data["status"] == "pending"
    assert bench.case.effects == []


def test_a_stale_read_sees_nothing_of_the_changes() -> None:
    bench = Bench(service())
    bench.ask("retail.cancel_pending_order", CANCEL)
    stale = bench.ask("retail.get_order_details", {"order_id": "#W1"}, disturb={"stale": True})
    assert stale.data["status"] == "pending"
    assert bench.ask("retail.get_order_details", {"order_id": "#W1"}).data["status"] == "cancelled"


def test_a_mixed_up_record_is_the_next_one_of_its_table_round_the_end() -> None:
    bench = Bench(service())
    for asked, got in (("#W1", "#W2"), ("#W3", "#W1")):
        answer = bench.ask("retail.get_order_details", {"order_id": asked}, disturb={"record_of": True})
        assert answer.data["order_id"] == got
    assert (
        bench.ask("retail.get_order_details", {"order_id": "#W1"}, disturb={"record_of": 2}).data["order_id"] == "#W3"
    )


def test_a_write_delivered_twice_is_refused_the_second_time_by_the_records_themselves() -> None:
    bench = Bench(service())
    assert bench.ask("retail.cancel_pending_order", CANCEL, disturb={"twice": True}).status == 200
    assert len(bench.case.effects) == 1


def tools(**functions: Any) -> Toolset:
    module = type(retail)("mine")
    module.TOOLS = functions  # type: ignore[attr-defined]  # what a tools module offers
    return toolset_of(module)


def test_a_tool_that_fails_is_a_server_error_and_the_run_goes_on() -> None:
    bench = Bench(service(toolset=tools(look=lambda db, key: db.get("orders", key)["nothing"]["here"])))
    missing = bench.ask("retail.look", {"key": "#W1"})
    assert missing.status == 404
    failed = bench.ask("retail.look", {"key": "#W9"})
    assert (failed.status, failed.data["error"]["code"]) == (500, "tool_failed")


def test_a_read_that_changes_records_stops_the_run_with_its_name() -> None:
    bench = Bench(service(toolset=tools(look=lambda db, key: db.change("orders", key))))
    with pytest.raises(UsageError, match="'look' of 'retail' changes records and is not marked"):
        bench.ask("retail.look", {"key": "#W1"})


def test_the_shared_data_is_never_changed(tmp_path: Path) -> None:
    made = service()
    bench = Bench(made)
    for name, arguments in SAMPLES.items():
        bench.ask(f"retail.{name}", arguments)
    assert made._tables == tiny_db()
