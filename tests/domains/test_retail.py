"""The retail tools do what the policy allows, refuse what it forbids, and leave nothing behind when they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from tests.domains.folders import tiny_db

from pagerproof.domains import retail
from pagerproof.domains.records import Kept, Records
from pagerproof.domains.toolset import toolset_of

TOOLS = toolset_of(retail).tools
ADDRESS = {"address1": "2 Oak", "address2": "", "city": "Rye", "state": "NY", "country": "USA", "zip": "10580"}


class Shop:
    """A database that keeps what succeeds."""

    def __init__(self) -> None:
        self.tables = tiny_db()
        self.kept: Kept = {}

    def call(self, name: str, **arguments: Any) -> Any:
        records = Records(self.tables, self.kept)
        answer = TOOLS[name].function(records, **arguments)
        records.keep()
        return answer

    def refuses(self, message: str, name: str, **arguments: Any) -> None:
        before = dict(self.kept)
        with pytest.raises((ValueError, LookupError), match=message):
            self.call(name, **arguments)
        assert self.kept == before

    def order(self, order_id: str) -> dict[str, Any]:
        found = Records(self.tables, self.kept).get("orders", order_id)
        assert found is not None
        return found

    def card(self, card: str) -> Any:
        found = Records(self.tables, self.kept).get("users", "ann_smith_1")
        assert found is not None
        return found["payment_methods"][card]["balance"]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_users_are_found_by_email_or_by_name_and_zip_whatever_the_case(shop: Shop) -> None:
    assert shop.call("find_user_id_by_email", email="ANN@example.com") == {"user_id": "ann_smith_1"}
    names = {"first_name": "bob", "last_name": "JONES"}
    assert shop.call("find_user_id_by_name_zip", **names, zip="54321") == {"user_id": "bob_jones_2"}
    shop.refuses("user not found", "find_user_id_by_name_zip", **names, zip="54322")
    shop.refuses("user not found", "find_user_id_by_email", email="ann")


def test_records_are_read_and_the_missing_ones_said(shop: Shop) -> None:
    assert shop.call("get_item_details", item_id="202")["options"] == {"color": "grey"}
    assert shop.call("list_all_product_types") == {"Lamp": "100", "Mug": "200"}
    for name, argument in (("get_user_details", "user_id"), ("get_order_details", "order_id")):
        shop.refuses("not found", name, **{argument: "nothing"})
    shop.refuses("item not found", "get_item_details", item_id="100")


@pytest.mark.parametrize(
    ("expression", "result"),
    [("0.1 + 0.2", "0.30"), ("-(2 - 5) * 4 / 3", "4.00"), ("3131.1 + 4777.75", "7908.85"), ("1/3", "0.33")],
)
def test_sums_are_exact_to_the_cent(shop: Shop, expression: str, result: str) -> None:
    assert shop.call("calculate", expression=expression) == {"result": result}


@pytest.mark.parametrize(
    "expression", ["2 ** 9", "1 / 0", "x + 1", "__import__('os')", "(" * 150, "1 +", "True", "'a'"]
)
def test_whatever_is_no_sum_is_refused(shop: Shop, expression: str) -> None:
    shop.refuses("expression", "calculate", expression=expression)


def test_a_cancelled_order_pays_the_gift_card_back_at_once_and_only_once(shop: Shop) -> None:
    shop.call("cancel_pending_order", order_id="#W1", reason="ordered by mistake")
    assert shop.order("#W1")["status"] == "cancelled"
    assert shop.order("#W1")["cancel_reason"] == "ordered by mistake"
    assert shop.order("#W1")["payment_history"][1] == {
        "transaction_type": "refund",
        "amount": 46.0,
        "payment_method_id": "gift_card_1",
    }
    assert shop.card("gift_card_1") == 66.0
    shop.refuses("is cancelled", "cancel_pending_order", order_id="#W1", reason="ordered by mistake")


def test_only_pending_orders_are_cancelled_and_for_two_reasons(shop: Shop) -> None:
    shop.refuses("is delivered", "cancel_pending_order", order_id="#W2", reason="no longer needed")
    shop.refuses("is processed", "cancel_pending_order", order_id="#W3", reason="no longer needed")
    shop.refuses("the reason must be one of", "cancel_pending_order", order_id="#W1", reason="too expensive")


def test_addresses_of_pending_orders_and_users_are_changed(shop: Shop) -> None:
    shop.call("modify_pending_order_address", order_id="#W1", **ADDRESS)
    assert shop.order("#W1")["address"] == ADDRESS
    shop.refuses("is delivered", "modify_pending_order_address", order_id="#W2", **ADDRESS)
    assert shop.call("modify_user_address", user_id="bob_jones_2", **ADDRESS)["address"] == ADDRESS


def test_items_are_changed_once_and_the_difference_is_booked(shop: Shop) -> None:
    change = {"order_id": "#W1", "item_ids": ["101"], "new_item_ids": ["102"]}
    shop.call("modify_pending_order_items", **change, payment_method_id="gift_card_1")
    order = shop.order("#W1")
    assert order["items"][0]["item_id"] == "102"
    assert order["items"][0]["price"] == 45.5
    assert order["items"][0]["options"] == {"color": "black"}
    assert order["payment_history"][-1]["amount"] == 15.5
    assert order["payment_history"][-1]["transaction_type"] == "payment"
    assert shop.card("gift_card_1") == 4.5
    back = {"order_id": "#W1", "item_ids": ["102"], "new_item_ids": ["101"], "payment_method_id": "gift_card_1"}
    shop.refuses("items modified", "modify_pending_order_items", **back)
    shop.refuses("items modified", "cancel_pending_order", order_id="#W1", reason="no longer needed")
    shop.refuses("items modified", "modify_pending_order_address", order_id="#W1", **ADDRESS)


def test_a_cheaper_item_is_refunded(shop: Shop) -> None:
    change = {"order_id": "#W1", "item_ids": ["101"], "new_item_ids": ["103"], "payment_method_id": "gift_card_1"}
    shop.call("modify_pending_order_items", **change)
    assert shop.order("#W1")["payment_history"][-1]["transaction_type"] == "refund"
    assert shop.card("gift_card_1") == 24.75


@pytest.mark.parametrize(
    ("items", "new_items", "method", "message"),
    [
        (["101"], ["201"], "paypal_4", "no variant of Lamp"),
        (["101"], ["104"], "paypal_4", "not available"),
        (["101"], ["101"], "paypal_4", "another one"),
        (["101"], ["105"], "gift_card_1", "does not cover 270.0"),
        (["101"], ["102"], "paypal_9", "payment method not found"),
        (["101", "201"], ["102"], "paypal_4", "as many new items"),
        (["101", "101"], ["102", "103"], "paypal_4", "no 2 of item 101"),
        ([], [], "paypal_4", "must be named"),
        ([101], [102], "paypal_4", "must be named"),
    ],
)
def test_swaps_that_the_policy_forbids_are_refused(
    shop: Shop, items: list[Any], new_items: list[Any], method: str, message: str
) -> None:
    arguments = {"item_ids": items, "new_item_ids": new_items, "payment_method_id": method}
    shop.refuses(message, "modify_pending_order_items", order_id="#W1", **arguments)
    shop.refuses(message, "exchange_delivered_order_items", order_id="#W2", **arguments)


def test_the_payment_method_is_changed_to_another_that_covers_the_order(shop: Shop) -> None:
    pay = "modify_pending_order_payment"
    shop.refuses("another one", pay, order_id="#W1", payment_method_id="gift_card_1")
    shop.call(pay, order_id="#W1", payment_method_id="gift_card_3")
    history = shop.order("#W1")["payment_history"]
    assert [each["transaction_type"] for each in history] == ["payment", "payment", "refund"]
    assert (shop.card("gift_card_1"), shop.card("gift_card_3")) == (66.0, 454.0)
    shop.refuses("exactly one payment", pay, order_id="#W1", payment_method_id="paypal_4")


def test_a_gift_card_that_does_not_cover_the_order_is_refused(shop: Shop) -> None:
    shop.call("modify_pending_order_payment", order_id="#W1", payment_method_id="credit_card_2")
    other = Shop()
    other.tables["orders"]["#W1"]["payment_history"][0]["payment_method_id"] = "credit_card_2"
    other.refuses("does not cover", "modify_pending_order_payment", order_id="#W1", payment_method_id="gift_card_1")


def test_a_return_goes_back_to_the_first_payment_method_or_a_gift_card_once(shop: Shop) -> None:
    back = {"order_id": "#W2", "item_ids": ["201", "201"]}
    shop.refuses("original payment method", "return_delivered_order_items", **back, payment_method_id="paypal_4")
    shop.call("return_delivered_order_items", **back, payment_method_id="gift_card_1")
    assert shop.order("#W2")["status"] == "return requested"
    assert shop.order("#W2")["return_items"] == ["201", "201"]
    assert shop.card("gift_card_1") == 20.0
    again = {**back, "payment_method_id": "gift_card_1"}
    shop.refuses("return requested", "return_delivered_order_items", **again)
    shop.refuses("is pending", "return_delivered_order_items", **{**again, "order_id": "#W1"})


def test_an_exchange_is_requested_once_and_nothing_is_booked_yet(shop: Shop) -> None:
    swap = {"order_id": "#W2", "item_ids": ["201", "101"], "new_item_ids": ["202", "103"]}
    shop.call("exchange_delivered_order_items", **swap, payment_method_id="paypal_4")
    order = shop.order("#W2")
    assert order["status"] == "exchange requested"
    assert (order["exchange_items"], order["exchange_new_items"]) == (["101", "201"], ["103", "202"])
    assert order["exchange_price_difference"] == -3.75
    assert len(order["payment_history"]) == 1
    shop.refuses("exchange requested", "exchange_delivered_order_items", **swap, payment_method_id="paypal_4")


def test_a_write_wants_the_customer_known_and_the_order_looked_at_first() -> None:
    records = Records(tiny_db(), {})
    arguments = {"order_id": "#W1", "reason": "no longer needed"}
    by_name = retail.before(records, "cancel_pending_order", arguments, [], "")
    assert [name for name, _ in by_name] == ["find_user_id_by_name_zip", "get_order_details"]
    by_email = retail.before(records, "cancel_pending_order", arguments, [], "my e-mail is ann@example.com")
    assert by_email[0] == ("find_user_id_by_email", {"email": "ann@example.com"})
    assert retail.before(records, "cancel_pending_order", arguments, by_name, "") == []
    assert retail.before(records, "get_order_details", {"order_id": "#W1"}, [], "") == []
