"""Idempotency keys and reading back: a write is done once, and what is not known is looked up."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.valve import (
    READ,
    READ_ARGUMENTS,
    WRITE,
    WRITE_ARGUMENTS,
    FakeDesk,
    Scripted,
    ScriptedToolbox,
    answer,
    order,
    refund,
    run,
)

from pagerproof.services.catalogue import OPERATIONS
from pagerproof.tools import BadAnswer, ConnectionLost, ToolTimeout
from pagerproof.valves import LOOKUPS, WRITES, Fate, IdempotencyKeys, ReadBack, Retry, Uncertain, look, stack
from pagerproof.valves.read_back import READ_BACK_HEADER

FIND = "payments.Refund.find"
FOUND = answer({"payment_id": "pay_00000001", "refunds": [{"refund_id": "re_7", "amount": "129.8"}]})
NONE = answer({"payment_id": "pay_00000001", "refunds": []})
MEMO = "sap.CreditMemo.create"
MEMO_ARGUMENTS = {"sales_order": "1000000001", "amount": "129.80", "currency": "EUR", "reason": "Refund"}


def test_the_writes_are_those_of_the_catalogue() -> None:
    assert {name for name, operation in OPERATIONS.items() if operation.writes} == WRITES


def test_lookups_are_reads_that_take_what_the_write_was_given() -> None:
    for write, lookup in LOOKUPS.items():
        assert write in WRITES
        assert lookup.operation not in WRITES
        assert set(lookup.arguments) <= OPERATIONS[write].arguments.keys()
        assert set(lookup.arguments) == OPERATIONS[lookup.operation].arguments.keys()


def keys_of(*asked: dict[str, Any], index: int = 1, operation: str = WRITE) -> list[str]:
    inner = ScriptedToolbox({operation: [answer(refund(), 500)]})
    toolbox = IdempotencyKeys().around(inner, FakeDesk(inner, index=index))
    for arguments in asked:
        run(toolbox.call(operation, arguments))
    return [call["idempotency_key"] for call in inner.calls]


def test_one_wish_has_one_key_however_it_is_worded() -> None:
    shuffled = {"currency": "EUR", "amount": "129.8", "payment_id": "pay_00000001", "reason": "again"}
    first, second = keys_of(WRITE_ARGUMENTS, shuffled)
    assert first == second
    assert len(first) == 32
    assert set(first) <= set("0123456789abcdef")


def test_other_wishes_have_other_keys() -> None:
    other = {**WRITE_ARGUMENTS, "amount": "12.98"}
    here, there = keys_of(WRITE_ARGUMENTS, other)
    (elsewhere,) = keys_of(WRITE_ARGUMENTS, index=2)
    (otherwise,) = keys_of(WRITE_ARGUMENTS, operation=MEMO)
    assert len({here, there, elsewhere, otherwise}) == 4


def test_reads_get_no_key() -> None:
    inner = ScriptedToolbox({READ: [answer(order())]})
    run(IdempotencyKeys().around(inner, FakeDesk(inner)).call(READ, READ_ARGUMENTS))
    assert inner.calls[0]["idempotency_key"] is None


def test_a_write_that_succeeded_is_not_sent_again_in_the_same_request() -> None:
    inner = ScriptedToolbox({WRITE: [answer(refund()), answer(refund(refund_id="re_2"))]})
    valve = IdempotencyKeys()
    desk = FakeDesk(inner)
    toolbox = valve.around(inner, desk)
    first = run(toolbox.call(WRITE, WRITE_ARGUMENTS))
    assert desk.marks == []
    again = run(toolbox.call(WRITE, {**WRITE_ARGUMENTS, "amount": "129.800"}))
    assert again.json() == first.json()
    assert len(inner.calls) == 1
    assert desk.marked("idempotency_keys")
    run(valve.around(inner, FakeDesk(inner, index=2)).call(WRITE, WRITE_ARGUMENTS))
    assert len(inner.calls) == 2


def test_a_service_that_knew_the_key_already_is_the_keys_doing() -> None:
    inner = ScriptedToolbox({WRITE: [answer(refund(), idempotent_replayed="true")]})
    desk = FakeDesk(inner)
    run(IdempotencyKeys().around(inner, desk).call(WRITE, WRITE_ARGUMENTS))
    assert desk.marked("idempotency_keys") == ["payments.Refund.create: the service knew the key, done once only"]


def test_a_write_that_failed_is_sent_again_when_asked_for_again() -> None:
    inner = ScriptedToolbox({WRITE: [answer({}, 422), answer(refund())]})
    toolbox = IdempotencyKeys().around(inner, FakeDesk(inner))
    assert [run(toolbox.call(WRITE, WRITE_ARGUMENTS)).status for _ in range(2)] == [422, 200]


UNCERTAIN = [
    ToolTimeout(WRITE, "late"),
    ConnectionLost(WRITE, "gone"),
    BadAnswer(WRITE, "cut"),
    answer({}, 500),
    answer({}, 504),
]


@pytest.mark.parametrize("failure", UNCERTAIN, ids=str)
def test_an_unacknowledged_write_that_shows_is_answered_with_its_document(failure: Scripted) -> None:
    inner = ScriptedToolbox({WRITE: [failure], FIND: [NONE, FOUND]})
    desk = FakeDesk(inner)
    result = run(ReadBack(waits_s=(1.0, 2.0, 4.0)).around(inner, desk).call(WRITE, WRITE_ARGUMENTS))
    assert result.ok
    assert result.headers[READ_BACK_HEADER] == "found"
    assert result.json()["refund_id"] == "re_7"
    assert len(inner.sent(WRITE)) == 1
    assert desk.virtual.slept == [1.0, 2.0]
    assert [mark.rpartition(" ")[2] for mark in desk.marked("read_back")] == ["absent", "done"]


@pytest.mark.parametrize("failure", [answer({}, 429), answer({}, 503), answer({}, 422), answer(refund())], ids=str)
def test_a_write_whose_fate_is_known_is_not_looked_up(failure: Scripted) -> None:
    inner = ScriptedToolbox({WRITE: [failure], FIND: [FOUND]})
    desk = FakeDesk(inner)
    run(ReadBack().around(inner, desk).call(WRITE, WRITE_ARGUMENTS))
    assert inner.sent(FIND) == []
    assert desk.marks == []


def test_an_absent_write_may_be_tried_again_where_the_service_honours_keys() -> None:
    inner = ScriptedToolbox({WRITE: [ToolTimeout(WRITE, "late"), answer(refund())], FIND: [NONE]})
    desk = FakeDesk(inner)
    toolbox = stack(inner, desk, [IdempotencyKeys(), Retry(), ReadBack(waits_s=(1.0,))])
    assert run(toolbox.call(WRITE, WRITE_ARGUMENTS)).ok
    assert [call["operation"] for call in inner.calls] == [WRITE, FIND, WRITE]
    assert len({call["idempotency_key"] for call in inner.sent(WRITE)}) == 1


def test_an_absent_write_is_never_tried_again_where_the_work_may_still_be_going_on() -> None:
    none = answer({"d": {"results": []}})
    inner = ScriptedToolbox({MEMO: [ToolTimeout(MEMO, "late")], "sap.CreditMemo.find": [none]})
    desk = FakeDesk(inner)
    toolbox = stack(inner, desk, [IdempotencyKeys(), Retry(), ReadBack(waits_s=(1.0, 1.0))])
    with pytest.raises(Uncertain):
        run(toolbox.call(MEMO, MEMO_ARGUMENTS))
    assert len(inner.sent(MEMO)) == 1
    assert len(inner.sent("sap.CreditMemo.find")) == 2


def test_an_sap_time_out_after_the_commit_ends_with_the_one_credit_memo() -> None:
    memos = answer({"d": {"results": [{"CreditMemoRequest": "60000001", "TotalNetAmount": "129.800"}]}})
    inner = ScriptedToolbox({MEMO: [answer(b"500 Connection timed out", 500)], "sap.CreditMemo.find": [memos]})
    toolbox = stack(inner, FakeDesk(inner), [IdempotencyKeys(), Retry(), ReadBack()])
    assert run(toolbox.call(MEMO, MEMO_ARGUMENTS)).json()["d"]["CreditMemoRequest"] == "60000001"
    assert len(inner.sent(MEMO)) == 1


@pytest.mark.parametrize(
    "seen",
    [
        answer({}, 503),
        ToolTimeout(FIND, "late"),
        answer(b"<html>"),
        answer({"nothing": 1}),
        answer({"payment_id": "pay_00000001", "refunds": []}, x_pagerproof_cached_age_s="3.0"),
    ],
    ids=str,
)
def test_a_look_that_failed_or_came_from_memory_proves_nothing(seen: Scripted) -> None:
    inner = ScriptedToolbox({FIND: [seen]})
    assert run(look(inner, WRITE, WRITE_ARGUMENTS)) == (Fate.UNKNOWN, None)


def test_a_write_that_no_read_shows_is_unknown() -> None:
    assert run(look(ScriptedToolbox({}), "crm.Password.reset", {"customer_id": "C000001"})) == (Fate.UNKNOWN, None)


_ADDRESS = {"street": "A 1", "city": "B", "postcode": "12345", "country": "DE"}


def _quantity(text: str) -> dict[str, Any]:
    return {"d": {"RequestedQuantity": text}}


_PARTNER = {"StreetName": "A 1", "CityName": "B", "PostalCode": "12345", "Country": "DE"}


@pytest.mark.parametrize(
    ("write", "asked", "shown", "not_shown"),
    [
        ("orders.Order.cancel", {}, order(status="cancelled"), order()),
        ("orders.Order.change_address", _ADDRESS, order(), order(address={**_ADDRESS, "street": "C"})),
        ("orders.Order.change_item", {"new_sku": "SKU-1042"}, order(), order(items=[{"sku": "SKU-1"}])),
        ("orders.Return.create", {"sku": "S"}, {"returns": [{"return_id": "R", "sku": "S"}]}, {"returns": []}),
        ("crm.Customer.update_address", _ADDRESS, {"address": _ADDRESS}, {"address": {**_ADDRESS, "city": "C"}}),
        ("crm.Customer.update_contact", {"field": "phone", "value": "1"}, {"phone": "1"}, {"phone": "2"}),
        ("crm.Subscription.change", {"plan": "plus"}, {"plan": "plus"}, {"plan": "basic"}),
        ("sap.BusinessPartner.update_address", _ADDRESS, {"d": _PARTNER}, {"d": {**_PARTNER, "Country": "AT"}}),
        ("sap.SalesOrder.update_quantity", {"quantity": 3}, _quantity("3"), _quantity("2")),
        ("sap.SalesOrder.release_block", {}, {"d": {"DeliveryBlockReason": ""}}, {"d": {"DeliveryBlockReason": "01"}}),
        (WRITE, {"amount": "5"}, {"refunds": [{"refund_id": "r", "amount": "5.00"}]}, {"refunds": [{"amount": "6"}]}),
    ],
)  # fmt: skip
def test_each_lookup_tells_done_from_absent(
    write: str, asked: dict[str, object], shown: object, not_shown: object
) -> None:
    arguments = dict.fromkeys(OPERATIONS[write].arguments, "x") | asked
    lookup = LOOKUPS[write].operation
    assert run(look(ScriptedToolbox({lookup: [answer(shown)]}), write, arguments))[0] is Fate.DONE
    assert run(look(ScriptedToolbox({lookup: [answer(not_shown)]}), write, arguments))[0] is Fate.ABSENT
