"""Response validation: good answers of the real services pass, and every way of spoiling them is caught."""

from __future__ import annotations

from collections.abc import Callable

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

from pagerproof.model import Answer
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.tools import BadAnswer
from pagerproof.valves import ResponseValidation
from pagerproof.valves.answers import SHAPES

GOOD = answer(order())


def test_every_operation_but_the_models_has_a_shape() -> None:
    offered = {name for name, operation in OPERATIONS.items() if not operation.protocol_only}
    assert set(SHAPES) == {name for name in offered if not name.startswith("llm.")}


def test_echoes_name_arguments_that_the_operation_takes() -> None:
    for name, shape in SHAPES.items():
        assert {argument for argument, _, _ in shape.echoes} <= OPERATIONS[name].arguments.keys()


def checked(entry: Scripted, operation: str = READ, arguments: dict[str, str] | None = None) -> str:
    """Return the fault that was found, or "" where the answer passed unchanged."""
    inner = ScriptedToolbox({operation: [entry]})
    desk = FakeDesk(inner)
    try:
        run(ResponseValidation().around(inner, desk).call(operation, arguments or READ_ARGUMENTS))
    except BadAnswer as error:
        assert desk.marked("response_validation")
        return str(error)
    assert desk.marks == []
    return ""


def test_a_good_answer_passes() -> None:
    assert checked(GOOD) == ""
    assert checked(answer(refund(amount="129.8")), WRITE, WRITE_ARGUMENTS) == ""


@pytest.mark.parametrize(
    ("spoiled", "fault"),
    [
        (Answer(200, {}, GOOD.body[:40], len(GOOD.body)), "40 of"),
        (answer(GOOD.body[:40]), "not JSON"),
        (answer(b""), "not JSON"),
        (answer(b"<html>Bad gateway</html>"), "not JSON"),
        (answer(GOOD.body[:-1] + b",}"), "not JSON"),
        (answer(GOOD.body.replace(b'"129.80"', b"NaN")), "not JSON"),
        (answer(b"\xff\xfe" + GOOD.body), "not JSON"),
        (answer(b"```json\n" + GOOD.body + b"\n```"), "not JSON"),
        (answer([order()]), "list where an object belongs"),
        (answer({}), "order_id is missing"),
        (answer({"Order": order()}), "order_id is missing"),
        (answer({key: value for key, value in order().items() if key != "total"}), "total is missing"),
        (answer(order(total=None)), "total must be decimal text above 0, not None"),
        (answer(order(total=129.8)), "total must be"),
        (answer(order(total="0.00")), "total must be"),
        (answer(order(total="-129.80")), "total must be"),
        (answer(order(total="129,80")), "total must be"),
        (answer(order(total="0.0M")), "total must be"),
        (answer(order(currency="")), "currency must be"),
        (answer(order(status=None)), "status must be"),
        (answer(order(items=[])), "items must be"),
        (answer(order(items=[{"sku": "S", "quantity": True, "price": "1.00"}])), "items must be"),
        (answer(order(items=[{"sku": "S", "quantity": 1, "price": None}])), "items must be"),
        (answer(order(2)), "asked for order_id"),
    ],
)
def test_a_spoiled_answer_is_caught(spoiled: Answer, fault: str) -> None:
    assert fault in checked(spoiled)


def test_a_checked_answer_has_been_decoded_for_whoever_reads_it_next() -> None:
    inner = ScriptedToolbox({READ: [GOOD]})
    result = run(ResponseValidation().around(inner, FakeDesk(inner)).call(READ, READ_ARGUMENTS))
    checked_data = result.strict_json()
    assert checked_data == order()
    assert result.json() is result.data() is checked_data


def test_a_refund_of_another_amount_or_payment_is_caught() -> None:
    assert "amount" in checked(answer(refund(amount="12.98")), WRITE, WRITE_ARGUMENTS)
    assert "payment_id" in checked(answer(refund(payment_id="pay_00000002")), WRITE, WRITE_ARGUMENTS)


@pytest.mark.parametrize("status", [204, 400, 404, 500])
def test_an_answer_that_claims_nothing_passes_as_it_is(status: int) -> None:
    assert checked(answer(b"", status)) == ""


def test_sap_answers_are_looked_into_below_d() -> None:
    partner = {"BusinessPartner": "1000000001", "BusinessPartnerFullName": "Ann"}
    asked = {"business_partner": "1000000001"}
    operation = "sap.BusinessPartner.get"
    assert checked(answer({"d": partner}), operation, asked) == ""
    assert "no d" in checked(answer(partner), operation, asked)
    assert "asked for" in checked(answer({"d": {**partner, "BusinessPartner": "1000000002"}}), operation, asked)


def test_an_unknown_operation_needs_only_whole_json() -> None:
    assert checked(answer({"any": 1}), "my.Thing.get", {}) == ""
    assert "not JSON" in checked(answer(b"{"), "my.Thing.get", {})


@pytest.mark.parametrize(
    ("operation", "asked", "body"),
    [
        ("crm.Customer.find", {"email": "Ann@Example.org "}, {"email": "ann@example.org"}),
        ("inventory.Stock.get", {"sku": "MAT-1042"}, {"sku": "SKU-1042"}),
    ],
)
def test_what_means_the_same_is_no_mismatch(operation: str, asked: dict[str, str], body: dict[str, str]) -> None:
    argument, field, same = SHAPES[operation].echoes[0]
    compare: Callable[[object, object], bool] = same
    assert compare(asked[argument], body[field])
    assert not compare("other@example.org-1", body[field])
