"""What a fault's hand inside a service does to one call, name by name."""

from __future__ import annotations

import pytest
from tests.conformance.service import ADDRESS, CUSTOMER, ORDER, SALES_ORDER, Bench

from pagerproof.model import Answer
from pagerproof.services.base import ServiceParameters, SimulatedService
from pagerproof.services.crm import CustomerService
from pagerproof.services.job import Disturbance
from pagerproof.services.kb import KnowledgeService
from pagerproof.services.orders import OrderService
from pagerproof.services.payments import PaymentParameters, PaymentService
from pagerproof.services.sap import SapService

_REFUND = {"payment_id": "pay_00000005", "amount": "129.80", "currency": "EUR"}
_FIND = {"payment_id": "pay_00000005"}
_ODD = Answer(502, {"content-type": "text/html"}, b"<html>bad gateway</html>")


def payments(**parameters: object) -> Bench:
    return Bench(PaymentService(PaymentParameters.model_validate(parameters)))


def refunds(bench: Bench) -> int:
    found = len(bench.ask("payments.Refund.find", _FIND).data["refunds"])
    assert found == len(bench.case.effects), "ledger and record of the gateway must agree"
    return found


def test_every_name_is_explained_and_known_to_every_service() -> None:
    names = OrderService().disturbances()
    assert names
    assert Disturbance.__doc__ is not None
    for name in names:
        assert f"\n    {name} " in Disturbance.__doc__, f"{name} is not explained"
        assert name in SapService().disturbances()


def test_commit_false_answers_success_and_writes_nothing() -> None:
    bench = payments()
    asked = bench.ask("payments.Refund.create", _REFUND, disturb={"commit": False})
    assert asked.data["status"] == "succeeded"
    assert refunds(bench) == 0
    assert bench.service.gauge("documents.refund") == 0.0


def test_a_write_that_was_lost_is_not_remembered_under_its_key() -> None:
    bench = payments()
    bench.ask("payments.Refund.create", _REFUND, key="k", disturb={"commit": False})
    bench.ask("payments.Refund.create", _REFUND, key="k")
    assert refunds(bench) == 1


@pytest.mark.parametrize(
    ("made", "operation", "arguments"),
    [
        (CustomerService, "crm.Customer.update_address", {**CUSTOMER, **ADDRESS}),
        (CustomerService, "crm.Subscription.cancel", CUSTOMER),
        (OrderService, "orders.Order.cancel", ORDER),
        (OrderService, "orders.Return.create", {**ORDER, "sku": "SKU-1001"}),
        (SapService, "sap.SalesOrder.cancel", SALES_ORDER),
        (SapService, "sap.CreditMemo.create", {**SALES_ORDER, "amount": "5.00", "currency": "EUR"}),
    ],
)
def test_a_write_that_was_accepted_and_not_applied_leaves_no_trace(
    made: type[SimulatedService], operation: str, arguments: dict[str, str]
) -> None:
    bench = Bench(made())
    assert bench.ask(operation, arguments, disturb={"commit": False}).status < 300
    assert bench.case.effects == []
    assert bench.case.log == []
    assert bench.service._changed == {}  # type: ignore[attr-defined]  # a SimulatedService
    assert bench.ask(operation, arguments).status < 300


def test_fail_before_answers_without_any_work() -> None:
    bench = payments()
    asked = bench.submit("payments.Refund.create", _REFUND, disturb={"fail_before": _ODD})
    assert bench.service.gauge("pool.in_use") == 0.0
    bench.clock.run()
    assert asked.answer is _ODD
    assert refunds(bench) == 0


def test_answer_after_commit_replaces_the_answer_and_not_the_work() -> None:
    bench = payments()
    assert bench.ask("payments.Refund.create", _REFUND, disturb={"answer_after_commit": _ODD}).answer is _ODD
    assert refunds(bench) == 1


def test_break_after_commit_breaks_the_connection_with_the_work_done() -> None:
    bench = payments()
    asked = bench.ask("payments.Refund.create", _REFUND, key="k", disturb={"break_after_commit": True})
    assert asked.answers == [None]
    again = bench.ask("payments.Refund.create", _REFUND, key="k")
    assert again.answer.headers["idempotent-replayed"] == "true"
    assert refunds(bench) == 1


def test_extra_service_time_keeps_the_worker() -> None:
    bench = payments(workers=1)
    slow = bench.submit("payments.Refund.find", _FIND, disturb={"extra_service_s": 10.0})
    behind = bench.submit("payments.Refund.find", _FIND)
    bench.clock.run()
    assert slow.at_s[0] > 10.0
    assert behind.at_s[0] > slow.at_s[0]


def test_a_foreign_job_holds_a_worker() -> None:
    bench = payments(workers=2)
    first = bench.submit("payments.Refund.find", _FIND, disturb={"hold_worker_s": 10.0})
    second = bench.submit("payments.Refund.find", _FIND)
    bench.clock.run()
    assert first.at_s[0] < second.at_s[0] < 10.0
    assert bench.clock.now == 10.0
    assert bench.service.gauge("pool.in_use") == 0.0


def test_twice_writes_two_documents_unless_the_key_is_the_same() -> None:
    for key, written in ((None, 2), ("k", 1)):
        bench = payments()
        asked = bench.ask("payments.Refund.create", _REFUND, key=key, disturb={"twice": True})
        assert refunds(bench) == written
        assert asked.data["refund_id"] == bench.case.effects[0].document
        assert len({effect.document for effect in bench.case.effects}) == written


def test_twice_does_nothing_the_second_time_where_the_record_forbids_it() -> None:
    bench = Bench(OrderService())
    assert bench.ask("orders.Order.cancel", ORDER, disturb={"twice": True}).status == 200
    assert len(bench.case.effects) == 1


def test_a_forgotten_key_lets_the_work_be_done_again() -> None:
    bench = payments()
    bench.ask("payments.Refund.create", _REFUND, key="k")
    bench.ask("payments.Refund.create", _REFUND, key="k", disturb={"forget_idempotency": True})
    assert refunds(bench) == 2


def test_a_stale_read_does_not_see_what_was_changed() -> None:
    bench = payments()
    bench.ask("payments.Refund.create", _REFUND)
    assert bench.ask("payments.Refund.find", _FIND, disturb={"stale": True}).data["refunds"] == []
    assert len(bench.ask("payments.Refund.find", _FIND).data["refunds"]) == 1


def test_a_stale_write_loses_nothing_that_was_written_before() -> None:
    bench = payments()
    bench.ask("payments.Refund.create", _REFUND)
    bench.ask("payments.Refund.create", _REFUND, disturb={"stale": True})
    assert refunds(bench) == 2


def test_a_stale_order_has_its_earlier_status() -> None:
    bench = Bench(OrderService())
    delivered = {"order_id": "4500000008"}
    assert bench.ask("orders.Shipment.track", delivered).data["status"] == "delivered"
    assert bench.ask("orders.Shipment.track", delivered, disturb={"stale": True}).data["status"] == "shipped"
    bench.ask("orders.Order.cancel", ORDER)
    assert bench.ask("orders.Order.get", ORDER, disturb={"stale": True}).data["status"] == "open"


def test_a_stale_policy_is_the_earlier_version() -> None:
    bench = Bench(KnowledgeService())
    assert bench.ask("kb.Policy.get", {"topic": "return"}, disturb={"stale": True}).data["days"] == 14


@pytest.mark.parametrize(
    ("made", "operation", "arguments", "field", "other"),
    [
        (OrderService, "orders.Order.get", ORDER, "order_id", "4500000006"),
        (OrderService, "orders.Order.list", CUSTOMER, "customer_id", "C000007"),
        (CustomerService, "crm.Customer.get", CUSTOMER, "customer_id", "C000007"),
        (CustomerService, "crm.Customer.get", {"customer_id": "C000010"}, "customer_id", "C000009"),
        (CustomerService, "crm.Customer.find", {"email": "ada6@example.com"}, "customer_id", "C000007"),
        (PaymentService, "payments.Payment.get", _FIND, "payment_id", "pay_00000006"),
        (SapService, "sap.SalesOrder.get", SALES_ORDER, "d", "1000000006"),
        (SapService, "sap.BusinessPartner.get", {"business_partner": "1000000006"}, "d", "1000000007"),
    ],
)
def test_record_of_answers_with_the_neighbours_record(
    made: type[SimulatedService], operation: str, arguments: dict[str, str], field: str, other: str
) -> None:
    asked = Bench(made()).ask(operation, arguments, disturb={"record_of": True})
    assert asked.status == 200
    assert other in str(asked.data[field])


def test_record_of_a_write_hits_the_neighbours_record() -> None:
    bench = Bench(OrderService())
    bench.ask("orders.Order.cancel", ORDER, disturb={"record_of": 5})
    assert [effect.entity for effect in bench.case.effects] == ["4500000010"]


def test_a_lock_left_behind_refuses_writers_until_it_ends() -> None:
    bench = Bench(OrderService())
    bench.submit("orders.Order.get", ORDER, disturb={"lock_s": 60.0})
    bench.clock.run(until_s=10.0)
    assert bench.service.gauge("locks.held") == 1.0
    refused = bench.submit("orders.Order.cancel", ORDER)
    bench.clock.run()
    assert refused.status == 409
    assert bench.service.gauge("locks.held") == 0.0
    assert bench.ask("orders.Order.cancel", ORDER).status == 200


def test_a_leaked_connection_takes_a_place_for_ever() -> None:
    bench = payments(connections=2)
    left = bench.submit("payments.Refund.find", _FIND, disturb={"leak_connection": True})
    bench.service.abandon(left.call)
    bench.service.abandon(left.call)
    bench.clock.run()
    assert bench.service.gauge("connections.leaked") == 1.0
    asked = [bench.submit("payments.Refund.find", _FIND) for _ in range(2)]
    bench.clock.run()
    assert [each.status for each in asked] == [200, 503]


def test_a_service_may_leak_every_abandoned_connection() -> None:
    bench = payments(connections=2, leak_connections=True)
    for _ in range(2):
        bench.service.abandon(bench.submit("payments.Refund.find", _FIND).call)
        bench.clock.run()
    assert bench.service.gauge("connections.leaked") == 2.0
    assert bench.ask("payments.Refund.find", _FIND).status == 503


def test_a_disturbance_of_a_call_that_never_comes_is_dropped_when_it_is_abandoned() -> None:
    bench = payments()
    asked = bench.submit("payments.Refund.find", _FIND)
    bench.clock.run()
    bench.service.disturb(asked.call, "twice", True)
    bench.service.abandon(asked.call)
    assert bench.service._disturbed == {}  # type: ignore[attr-defined]  # a SimulatedService


# -- idempotency keys -------------------------------------------------------------------------------------------------


def test_the_key_unused_for_longest_is_evicted_first() -> None:
    bench = payments(idempotency_entries=2)
    amount = {**_REFUND, "amount": "1.00"}
    for key in ("a", "b", "a", "c"):  # using a again leaves b as the oldest
        bench.ask("payments.Refund.create", amount, key=key)
    assert (refunds(bench), bench.service.gauge("idempotency.entries")) == (3, 2.0)
    bench.ask("payments.Refund.create", amount, key="a")
    assert refunds(bench) == 3
    bench.ask("payments.Refund.create", amount, key="b")
    assert refunds(bench) == 4


def test_the_gateway_remembers_ten_thousand_keys_by_default() -> None:
    assert PaymentService().parameters.idempotency_entries == 10_000


def test_a_key_used_with_other_arguments_is_refused() -> None:
    bench = payments()
    bench.ask("payments.Refund.create", _REFUND, key="k")
    assert bench.ask("payments.Refund.create", {**_REFUND, "amount": "1.00"}, key="k").status == 409
    assert refunds(bench) == 1


def test_what_was_refused_is_not_remembered() -> None:
    bench = payments()
    assert bench.ask("payments.Refund.create", {**_REFUND, "amount": "999.00"}, key="k").status == 422
    assert bench.ask("payments.Refund.create", _REFUND, key="k").status == 200


def test_two_calls_with_one_key_at_the_same_time_do_the_work_once() -> None:
    bench = payments()
    asked = [bench.submit("payments.Refund.create", _REFUND, key="k") for _ in range(2)]
    bench.clock.run()
    assert asked[0].answer.body == asked[1].answer.body
    assert refunds(bench) == 1


def test_other_services_ignore_the_key() -> None:
    bench = Bench(CustomerService(ServiceParameters()))
    for _ in range(2):
        bench.ask("crm.Ticket.create", {**CUSTOMER, "topic": "late"}, key="k")
    assert len(bench.case.effects) == 2


# -- latency ----------------------------------------------------------------------------------------------------------


def test_latency_is_lognormal_and_keyed() -> None:
    bench = payments(workers=5000, read_median="100ms", read_sigma=0.5)
    asked = [bench.submit("payments.Refund.find", _FIND) for _ in range(2001)]
    bench.clock.run()
    times = sorted(each.at_s[0] for each in asked)
    assert times[1000] == pytest.approx(0.1, rel=0.06)
    assert times[1682] / times[1000] == pytest.approx(1.6487, rel=0.1)  # one sigma above the median
    again = payments(workers=5000, read_median="100ms", read_sigma=0.5)
    assert again.ask("payments.Refund.find", _FIND).at_s == asked[0].at_s
