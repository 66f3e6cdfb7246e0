"""CRM, orders, inventory, payments and knowledge base: what each operation answers and writes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.service import ADDRESS, CUSTOMER, ORDER, Bench, make_case

from pagerproof.services.base import SimulatedService
from pagerproof.services.crm import CustomerService
from pagerproof.services.inventory import InventoryParameters, InventoryService
from pagerproof.services.kb import KnowledgeService
from pagerproof.services.orders import OrderService
from pagerproof.services.payments import PaymentParameters, PaymentService

_REFUND = {"payment_id": "pay_00000005", "amount": "129.80", "currency": "EUR"}
_ADA = {
    "customer_id": "C000006",
    "business_partner": "1000000006",
    "name": "Ada 000006",
    "email": "ada6@example.com",
    "phone": "+1 555 0100",
    "tier": "gold",
    "address": {"street": "6 Mill Lane", "city": "Springfield", "postcode": "00006", "country": "US"},
}


def details(bench: Bench) -> list[tuple[str, str, dict[str, str]]]:
    return [(effect.kind, effect.entity, dict(effect.details)) for effect in bench.case.effects]


# -- crm --------------------------------------------------------------------------------------------------------------


def test_a_customer_is_found_by_id_and_by_e_mail() -> None:
    bench = Bench(CustomerService())
    assert bench.ask("crm.Customer.get", CUSTOMER).data == _ADA
    assert bench.ask("crm.Customer.find", {"email": "ada6@example.com"}).data == _ADA
    assert bench.ask("crm.Customer.find", {"email": "nobody@example.com"}).status == 404


def test_identity_is_proved_by_the_postcode_however_it_is_spaced() -> None:
    bench = Bench(CustomerService())
    for postcode, verified in (("00006", True), (" 000-06 ", True), ("00007", False)):
        assert bench.ask("crm.Customer.verify", {**CUSTOMER, "postcode": postcode}).data == {
            "customer_id": "C000006", "verified": verified,
        }  # fmt: skip


def test_a_changed_address_is_read_back_and_both_postcodes_prove_identity() -> None:
    bench = Bench(CustomerService())
    changed = bench.ask("crm.Customer.update_address", {**CUSTOMER, **ADDRESS})
    assert changed.data == {"customer_id": "C000006", "updated": True, **ADDRESS}
    assert bench.ask("crm.Customer.get", CUSTOMER).data["address"] == ADDRESS
    for postcode in ("00006", "99999"):
        assert bench.ask("crm.Customer.verify", {**CUSTOMER, "postcode": postcode}).data["verified"]
    assert details(bench) == [("address", "C000006", ADDRESS)]


def test_what_one_request_changes_about_a_customer_no_other_request_sees() -> None:
    bench = Bench(CustomerService())
    bench.ask("crm.Customer.update_address", {**CUSTOMER, **ADDRESS})
    other = make_case(15)
    assert bench.ask("crm.Customer.get", CUSTOMER, case=other).data == _ADA


def test_a_changed_e_mail_address_finds_the_customer_and_the_old_one_does_not() -> None:
    bench = Bench(CustomerService())
    bench.ask("crm.Customer.update_contact", {**CUSTOMER, "field": "email", "value": "new@example.org"})
    assert bench.ask("crm.Customer.find", {"email": "new@example.org"}).data["customer_id"] == "C000006"
    assert bench.ask("crm.Customer.find", {"email": "ada6@example.com"}).status == 404
    assert details(bench) == [("contact", "C000006", {"field": "email", "value": "new@example.org"})]


def test_plans_change_and_end_once() -> None:
    bench = Bench(CustomerService())
    assert bench.ask("crm.Subscription.get", CUSTOMER).data == {
        "customer_id": "C000006", "plan": "plus", "renews_on": "2026-12-01", "price": "19.90", "currency": "EUR",
    }  # fmt: skip
    assert bench.ask("crm.Subscription.change", {**CUSTOMER, "plan": "gold"}).status == 422
    changed = bench.ask("crm.Subscription.change", {**CUSTOMER, "plan": "premium"}).data
    assert changed == {"customer_id": "C000006", "plan": "premium", "effective_on": "2026-12-01"}
    assert bench.ask("crm.Subscription.get", CUSTOMER).data["plan"] == "premium"
    assert bench.ask("crm.Subscription.cancel", CUSTOMER).data == {"customer_id": "C000006", "cancelled": True}
    assert bench.ask("crm.Subscription.cancel", CUSTOMER).status == 409
    assert [kind for kind, _, _ in details(bench)] == ["plan", "plan_cancelled"]


def test_a_booked_slot_is_no_longer_offered() -> None:
    bench = Bench(CustomerService())
    slot = bench.ask("crm.Appointment.slots", CUSTOMER).data["slots"][0]
    booked = bench.ask("crm.Appointment.book", {**CUSTOMER, "slot": slot}).data
    assert booked == {"appointment_id": bench.case.effects[0].document, "slot": slot}
    assert slot not in bench.ask("crm.Appointment.slots", CUSTOMER).data["slots"]
    assert bench.ask("crm.Appointment.book", {**CUSTOMER, "slot": "tomorrow"}).status == 422


def test_the_other_customer_operations_answer_with_the_agreed_fields() -> None:
    bench = Bench(CustomerService())
    assert bench.ask("crm.Loyalty.get", CUSTOMER).data == {"customer_id": "C000006", "points": 1200, "tier": "gold"}
    reset = bench.ask("crm.Password.reset", CUSTOMER).data
    ticket = bench.ask("crm.Ticket.create", {**CUSTOMER, "topic": "late"}).data
    note = bench.ask("crm.Note.create", {**CUSTOMER, "text": "hi"}).data
    documents = [effect.document for effect in bench.case.effects]
    assert reset == {"customer_id": "C000006", "reset_id": documents[0], "sent_to": "ada6@example.com"}
    assert ticket == {"ticket_id": documents[1], "topic": "late"}
    assert note == {"note_id": documents[2]}


# -- orders -----------------------------------------------------------------------------------------------------------


def test_an_order_is_read_with_the_agreed_fields() -> None:
    data = Bench(OrderService()).ask("orders.Order.get", ORDER).data
    assert data == {
        "order_id": "4500000005",
        "customer_id": "C000006",
        "email": "ada6@example.com",
        "status": "open",
        "currency": "EUR",
        "total": "129.80",
        "items": [{"sku": "SKU-1001", "name": "Lamp 1001", "quantity": 2, "price": "64.90"}],
        "payment_id": "pay_00000005",
        "billing_document": "9000000005",
        "sales_order": "1000000005",
        "placed_on": "2026-10-03",
        "eta": "2026-11-25",
        "address": {"street": "6 Mill Lane", "city": "Springfield", "postcode": "00006", "country": "US"},
    }


def test_the_callers_own_order_is_listed() -> None:
    bench = Bench(OrderService())
    order = {"order_id": "4500000005", "status": "open", "total": "129.80", "currency": "EUR"}
    assert bench.ask("orders.Order.list", CUSTOMER).data == {"customer_id": "C000006", "orders": [order]}
    assert bench.ask("orders.Order.list", {"customer_id": "C000001"}).data["orders"] == []
    assert bench.ask("orders.Order.list", {"customer_id": "C999999"}).status == 404


def test_an_open_order_can_be_cancelled_once() -> None:
    bench = Bench(OrderService())
    assert bench.ask("orders.Order.cancel", ORDER).data == {"order_id": "4500000005", "status": "cancelled"}
    assert bench.ask("orders.Order.cancel", ORDER).status == 409
    assert bench.ask("orders.Order.get", ORDER).data["status"] == "cancelled"
    assert bench.ask("orders.Order.list", CUSTOMER).data["orders"][0]["status"] == "cancelled"
    assert details(bench) == [("order_cancelled", "4500000005", {})]


@pytest.mark.parametrize("operation", ["cancel", "change_address", "change_item"])
@pytest.mark.parametrize("index", [7, 8, 9])  # shipped, delivered, cancelled
def test_a_shipped_order_is_not_changed(operation: str, index: int) -> None:
    bench = Bench(OrderService())
    more: dict[str, Any] = {
        "cancel": {},
        "change_address": ADDRESS,
        "change_item": {"sku": "SKU-1001", "new_sku": "SKU-1002"},
    }[operation]
    asked = bench.ask(f"orders.Order.{operation}", {"order_id": f"45{index:08d}", **more}, case=make_case(index))
    assert asked.status == 409
    assert bench.case.effects == []


def test_an_order_is_redirected_and_its_item_swapped() -> None:
    bench = Bench(OrderService())
    moved = bench.ask("orders.Order.change_address", {**ORDER, **ADDRESS}).data
    swapped = bench.ask("orders.Order.change_item", {**ORDER, "sku": "SKU-1001", "new_sku": "SKU-1002"}).data
    assert moved == {"order_id": "4500000005", "address": ADDRESS}
    assert swapped == {"order_id": "4500000005", "sku": "SKU-1002"}
    order = bench.ask("orders.Order.get", ORDER).data
    assert (order["address"], order["items"][0]["sku"], order["items"][0]["name"]) == (ADDRESS, "SKU-1002", "Lamp 1002")
    again = bench.ask("orders.Order.change_item", {**ORDER, "sku": "SKU-1001", "new_sku": "SKU-1002"})
    assert again.status == 422
    assert details(bench) == [
        ("order_address", "4500000005", ADDRESS),
        ("order_item", "4500000005", {"sku": "SKU-1001", "new_sku": "SKU-1002"}),
    ]


def test_returns_are_found_and_exchanges_made() -> None:
    bench = Bench(OrderService())
    back = bench.ask("orders.Return.create", {**ORDER, "sku": "SKU-1001"}).data
    other = bench.ask("orders.Exchange.create", {**ORDER, "sku": "SKU-1001", "new_sku": "SKU-1003"}).data
    assert (back["order_id"], back["sku"]) == ("4500000005", "SKU-1001")
    assert back["return_id"] in back["label"]
    assert bench.ask("orders.Return.find", ORDER).data == {
        "order_id": "4500000005", "returns": [{"return_id": back["return_id"], "sku": "SKU-1001"}],
    }  # fmt: skip
    assert (other["order_id"], other["sku"], other["new_sku"]) == ("4500000005", "SKU-1001", "SKU-1003")
    assert bench.ask("orders.Return.create", {**ORDER, "sku": "SKU-1002"}).status == 422
    assert bench.ask("orders.Exchange.create", {**ORDER, "sku": "SKU-1001", "new_sku": "SKU-9"}).status == 422
    assert details(bench) == [
        ("return", "4500000005", {"sku": "SKU-1001"}),
        ("exchange", "4500000005", {"sku": "SKU-1001", "new_sku": "SKU-1003"}),
    ]


def test_a_shipment_is_tracked() -> None:
    assert Bench(OrderService()).ask("orders.Shipment.track", ORDER).data == {
        "order_id": "4500000005", "status": "open", "carrier": "DHL", "tracking": "1Z0000000001", "eta": "2026-11-25",
    }  # fmt: skip


@pytest.mark.parametrize("wrong", ["1000000005", "pay_00000005", "4500000000", "5", "45000000051", "Ünïcode"])
def test_only_an_order_id_names_an_order(wrong: str) -> None:
    asked = Bench(OrderService()).ask("orders.Order.get", {"order_id": wrong})
    assert asked.status == 404
    assert asked.data["error"]["code"] == "order_not_found"


# -- inventory --------------------------------------------------------------------------------------------------------


def test_products_and_stock_are_read_by_sku() -> None:
    bench = Bench(InventoryService())
    sku = {"sku": "SKU-1001"}
    assert bench.ask("inventory.Product.get", sku).data == {
        "sku": "SKU-1001", "name": "Lamp 1001", "material": "MAT-1001", "price": "64.90", "currency": "EUR",
    }  # fmt: skip
    assert bench.ask("inventory.Stock.get", sku).data == {"sku": "SKU-1001", "available": 120, "plant": "1010"}
    assert bench.ask("inventory.Product.get", {"sku": "MAT-1001"}).status == 404


@pytest.mark.parametrize(("deplete", "left"), [(False, 120), (True, 20)])
def test_reservations_use_stock_up_only_where_asked(deplete: bool, left: int) -> None:
    bench = Bench(InventoryService(InventoryParameters(deplete=deplete)))
    reserved = bench.ask("inventory.Stock.reserve", {"sku": "SKU-1001", "quantity": 100, **ORDER}).data
    assert reserved == {"reservation_id": bench.case.effects[0].document, "sku": "SKU-1001", "quantity": 100}
    assert bench.ask("inventory.Stock.get", {"sku": "SKU-1001"}).data["available"] == left
    assert details(bench) == [("reservation", "SKU-1001", {"quantity": "100", "order_id": "4500000005"})]


@pytest.mark.parametrize(("quantity", "status"), [(0, 422), (-1, 422), (121, 409), (True, 422), ("2", 422)])
def test_an_impossible_quantity_is_refused(quantity: object, status: int) -> None:
    bench = Bench(InventoryService())
    arguments = {"sku": "SKU-1001", "quantity": quantity, **ORDER}
    assert bench.ask("inventory.Stock.reserve", arguments).status == status


# -- payments ---------------------------------------------------------------------------------------------------------


def test_payments_are_listed_twice_where_charged_twice() -> None:
    bench = Bench(PaymentService())
    twice = bench.ask("payments.Payment.list", {"order_id": "4500000006"}).data
    assert [each["payment_id"] for each in twice["payments"]] == ["pay_00000006", "pay_00000006b"]
    assert twice["payments"][0] == {"payment_id": "pay_00000006", "amount": "129.80", "status": "captured"}
    assert bench.ask("payments.Payment.get", {"payment_id": "pay_00000006b"}).status == 200
    assert bench.ask("payments.Payment.get", {"payment_id": "pay_00000005b"}).status == 404
    assert bench.ask("payments.Payment.get", {"payment_id": "4500000005"}).status == 404


def test_a_refund_shows_in_the_payment() -> None:
    bench = Bench(PaymentService())
    refund = bench.ask("payments.Refund.create", {**_REFUND, "amount": "29.8"}).data
    assert refund == {
        "refund_id": "re_0000000501",
        "payment_id": "pay_00000005",
        "amount": "29.80",
        "currency": "EUR",
        "status": "succeeded",
    }
    assert bench.ask("payments.Payment.get", {"payment_id": "pay_00000005"}).data == {
        "payment_id": "pay_00000005",
        "order_id": "4500000005",
        "amount": "129.80",
        "currency": "EUR",
        "status": "partially_refunded",
        "refunded": "29.80",
    }
    assert bench.ask("payments.Refund.find", {"payment_id": "pay_00000005"}).data == {
        "payment_id": "pay_00000005", "refunds": [{"refund_id": "re_0000000501", "amount": "29.80"}],
    }  # fmt: skip
    [effect] = bench.case.effects
    assert (effect.entity, effect.amount_minor, effect.currency, effect.customer_id) == (
        "pay_00000005", 2980, "EUR", "C000006",
    )  # fmt: skip


def test_nothing_but_the_idempotency_key_protects_from_paying_twice() -> None:
    for key, paid in ((None, 2), ("k1", 1)):
        bench = Bench(PaymentService())
        assert [bench.ask("payments.Refund.create", _REFUND, key=key).status for _ in range(2)] == [200, 200]
        assert len(bench.case.effects) == paid


def test_a_gateway_may_refuse_to_refund_more_than_was_captured_in_all() -> None:
    bench = Bench(PaymentService(PaymentParameters(refuse_over_refund=True)))
    assert [bench.ask("payments.Refund.create", _REFUND).status for _ in range(2)] == [200, 409]
    assert len(bench.case.effects) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "129.81"},
        {"amount": "0.00"},
        {"amount": "-1.00"},
        {"amount": "1.005"},
        {"amount": "NaN"},
        {"amount": "Infinity"},
        {"amount": "1e999999"},
        {"amount": "a lot"},
        {"amount": 129.8},
        {"currency": "USD"},
    ],
)
def test_an_impossible_refund_is_refused(wrong: dict[str, object]) -> None:
    bench = Bench(PaymentService())
    asked = bench.ask("payments.Refund.create", {**_REFUND, **wrong})
    assert asked.status == 422
    assert next(iter(wrong)) in asked.data["error"]["message"]
    assert bench.case.effects == []


# -- knowledge base ---------------------------------------------------------------------------------------------------


def test_policies_are_read_by_topic() -> None:
    bench = Bench(KnowledgeService())
    policy = bench.ask("kb.Policy.get", {"topic": "return"}).data
    assert policy == {
        "topic": "return", "rule": "Items may be returned within 30 days of delivery.", "days": 30,
    }  # fmt: skip
    assert bench.ask("kb.Policy.get", {"topic": "warranty and repair"}).data["topic"] == "warranty"
    assert bench.ask("kb.Policy.get", {"topic": "the weather"}).status == 404


def test_articles_are_found_by_their_words_best_first() -> None:
    bench = Bench(KnowledgeService())
    found = bench.ask("kb.Article.search", {"query": "Refund money for a late delivery"}).data
    assert [each["id"] for each in found["articles"]] == ["KB-refund", "KB-shipping"]
    assert set(found["articles"][0]) == {"id", "title", "text"}
    assert bench.ask("kb.Article.search", {"query": "xyzzy"}).data["articles"] == []


def test_the_copy_in_front_of_the_knowledge_base_ages_until_it_is_renewed() -> None:
    bench = Bench(KnowledgeService())
    bench.clock.run(until_s=3000.0)
    assert bench.service.gauge("cache.age_s") == 3000.0
    bench.clock.run(until_s=3700.0)
    assert bench.service.gauge("cache.age_s") == 100.0


# -- what all have in common ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [CustomerService, OrderService, InventoryService, PaymentService, KnowledgeService])
def test_an_unknown_argument_is_named(made: type[SimulatedService]) -> None:
    bench = Bench(made())
    name = next(iter(bench.service.operations))
    operation = bench.service.operations[name]
    arguments = {argument: "x" if kind == "string" else 1 for argument, kind in operation.arguments.items()}
    asked = bench.ask(name, {**arguments, "colour": "red"})
    assert asked.status == 400
    assert asked.data["error"] == {"code": "invalid_argument", "message": "unknown argument 'colour'"}
