"""The synthetic world answers the same question alike, by every number that names an order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workload.stage import shipped

from pagerproof.workload.customers import UNUSUAL_NAMES, build_pool
from pagerproof.workload.money import cents_of, money
from pagerproof.workload.world import OrderRecord, index_of


@given(index=st.integers(min_value=1, max_value=99_999_999))
def test_every_document_of_an_order_leads_to_its_index(index: int) -> None:
    for document in (f"45{index:08d}", f"1{index:09d}", f"pay_{index:08d}", f"pay_{index:08d}b", f"90{index:08d}"):
        assert index_of(document) == index


@given(text=st.text(max_size=14) | st.from_regex(r"(45|90|1|pay_)\w{0,12}", fullmatch=True))
def test_nothing_else_is_taken_for_a_document(text: str) -> None:
    index = index_of(text)
    documents = (f"45{index:08d}", f"1{index:09d}", f"pay_{index:08d}", f"pay_{index:08d}b", f"90{index:08d}")
    assert index == 0 or text in documents


def test_orders_are_complete_and_add_up() -> None:
    world = shipped().directory
    for index in range(1, 400):
        order = world.order_at(index)
        assert set(order) == set(OrderRecord.__annotations__)
        total = sum(item["quantity"] * cents_of(item["price"]) for item in order["items"])
        assert cents_of(order["total"]) == total > 0
        assert len({item["sku"] for item in order["items"]}) == len(order["items"])
        assert all(payment["amount"] == order["total"] for payment in order["payments"])
        assert world.customer(order["customer_id"]) is not None
        needs = world.roster.cast(index)[1].needs
        assert not needs.status or order["status"] in needs.status
        assert (len(order["payments"]) == 2) == needs.charged_twice
        assert (order["billed_amount"] != order["total"]) == needs.billed_too_much
        assert (order["delivery_block"] == "01") == needs.delivery_block


def test_unknown_things_are_unknown() -> None:
    world = shipped().directory
    for unknown in ("", "45", "4500000000", "450000001", "45000000011", "４５00000001", "pay_1", "hello"):
        assert world.order(unknown) is None
    assert world.order("4599999999") is not None
    assert world.customer("C999999") is None
    assert world.customer_by_email("nobody@example.com") is None
    assert world.product("SKU-9999") is None
    assert world.product("SKU-1042") is world.product("MAT-1042")


def test_a_second_payment_exists_only_where_it_was_charged_twice() -> None:
    world = shipped().directory
    twice = [index for index in range(1, 600) if len(world.order_at(index)["payments"]) == 2]
    assert twice
    for index in range(1, 600):
        assert (world.order(f"pay_{index:08d}b") is not None) == (index in twice)


def test_plan_and_points_belong_to_the_customer() -> None:
    world = shipped().directory
    seen: dict[str, tuple[str, int]] = {}
    for index in range(1, 2000):
        order = world.order_at(index)
        assert seen.setdefault(order["customer_id"], (order["plan"], order["points"])) == (
            order["plan"],
            order["points"],
        )


def test_customers_are_unique_reachable_and_fictional() -> None:
    pool = build_pool(3, ("en_US", "ja_JP"), 30)
    assert len(pool.by_id) == len(pool.by_email) == 60 + sum(len(names) for names in UNUSUAL_NAMES.values())
    for customer in pool.by_id.values():
        assert customer.email.isascii()
        assert customer.email.rpartition("@")[2] in {"example.com", "example.org", "example.net"}
        assert " 555 01" in customer.phone
        assert customer.customer_id[1:] == customer.business_partner[-6:]
        assert all((customer.name, customer.street, customer.city, customer.postcode, customer.country))
    assert {customer.country for customer in pool.by_locale["ja_JP"]} == {"JP"}
    assert build_pool(3, ("en_US", "ja_JP"), 30) == pool
    assert build_pool(4, ("en_US", "ja_JP"), 30) != pool


@given(cents=st.integers(min_value=0, max_value=10**12))
def test_money_survives_being_written(cents: int) -> None:
    assert cents_of(money(cents)) == cents


@pytest.mark.parametrize(("text", "cents"), [("12", 1200), ("12.5", 1250), ("0.05", 5), ("129.80", 12980)])
def test_amounts_are_read_with_up_to_two_decimals(text: str, cents: int) -> None:
    assert cents_of(text) == cents
