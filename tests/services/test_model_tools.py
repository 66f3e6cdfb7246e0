"""Tools of anybody's matched with our operations, and the report of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateways.llm_stage import function
from tests.services.llm_stage import FakeWorld

from pagerproof.errors import UsageError
from pagerproof.model import Operation
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.llm import LlmParameters, LlmService
from pagerproof.services.model_tools import DeclaredTool, match_tools


def use_of(tool: dict[str, Any], **declared: Any) -> Any:
    return match_tools([tool], OPERATIONS, declared).uses[0]


@pytest.mark.parametrize(
    ("tool", "operation", "arguments"),
    [
        (function("lookup_order", "", id="string"), "orders.Order.get", {"id": "order_id"}),
        (function("getUserDetails", "Look a user up.", emailAddress="string"), "crm.Customer.find",
         {"emailAddress": "email"}),
        (function("get_user", "", user_id="string"), "crm.Customer.get", {"user_id": "customer_id"}),
        (function("issue_refund", "Refund a payment", charge_id="string", amount="number", currency="string"),
         "payments.Refund.create", {"charge_id": "payment_id", "amount": "amount", "currency": "currency"}),
        (function("track_package", "", order_number="string"), "orders.Shipment.track", {"order_number": "order_id"}),
        (function("cancelOrder", "", orderId="string"), "orders.Order.cancel", {"orderId": "order_id"}),
        (function("check_inventory", "", product_id="string"), "inventory.Stock.get", {"product_id": "sku"}),
        (function("search_faq", "Search the help center", question="string"), "kb.Article.search",
         {"question": "query"}),
        (function("get_sap_sales_order", "", sales_order="string"), "sap.SalesOrder.get",
         {"sales_order": "sales_order"}),
        (function("reset_password", "", customer_id="string"), "crm.Password.reset", {"customer_id": "customer_id"}),
    ],
)  # fmt: skip
def test_a_tool_is_recognised_by_its_name_description_and_schema(
    tool: dict[str, Any], operation: str, arguments: dict[str, str]
) -> None:
    use = use_of(tool)
    assert use.operations == (operation,), use.line()
    assert {".".join(given.path): ours for ours, given in use.arguments} == arguments


@pytest.mark.parametrize(
    "tool",
    [
        function("get_weather", "The weather in a city.", city="string"),
        function("calculate", "Evaluate an expression.", expression="string"),
        function("think", "Write down a thought.", thought="string"),
        function("run_sql", "", statement="string"),
    ],
)
def test_a_tool_that_resembles_nothing_is_left_alone(tool: dict[str, Any]) -> None:
    use = use_of(tool)
    assert (use.role, use.operations) == ("unmatched", ())
    assert "resembles nothing" in use.why or "ambiguous" in use.why


def test_what_is_declared_holds_against_every_likeness() -> None:
    declared = DeclaredTool(operation="crm.Ticket.create", arguments={"who": "customer_id", "about": "topic"})
    use = use_of(function("get_order", "", who="string", about="string"), get_order=declared)
    assert use.operations == ("crm.Ticket.create",)
    assert {given.name: ours for ours, given in use.arguments} == {"who": "customer_id", "about": "topic"}
    assert use.why == "declared"
    assert use_of(function("ask_bob", "", text="string"), ask_bob="handoff").role == "handoff"


def test_one_call_may_be_declared_to_carry_out_several_operations() -> None:
    declared = DeclaredTool(operation=("orders.Return.create", "payments.Refund.create"))
    matching = match_tools([function("process_return", "", order_id="string", sku="string")], OPERATIONS,
                           {"process_return": declared})  # fmt: skip
    assert {name: use.tool.name for name, use in matching.callers.items()} == {
        "orders.Return.create": "process_return",
        "payments.Refund.create": "process_return",
    }


def test_a_declared_operation_that_nobody_offers_is_an_error_with_the_nearest_name() -> None:
    service = LlmService(LlmParameters.model_validate({"tools": {"x": {"operation": "orders.Order.gett"}}}))
    with pytest.raises(UsageError, match=r"did you mean orders\.Order\.get\?"):
        service.open(FakeWorld())


def test_the_report_says_for_each_tool_what_it_was_taken_for_and_how_sure_that_is() -> None:
    tools = [function("lookup_order", "", id="string"), function("think", "", thought="string")]
    matching = match_tools(tools, OPERATIONS)
    matched, left = matching.uses
    assert (matched.tool.name, matched.operations) == ("lookup_order", ("orders.Order.get",))
    assert [(ours, given.path) for ours, given in matched.arguments] == [("order_id", ("id",))]
    assert matched.why.startswith("matched, ")
    assert matched.sure > 0.5
    assert (left.tool.name, left.role) == ("think", "unmatched")


def test_the_same_tools_are_matched_the_same_way_in_any_order() -> None:
    tools = [function(name, "", order_id="string") for name in ("get_order", "cancel_order", "track_order")]
    one = {use.tool.name: use.operations for use in match_tools(tools, OPERATIONS).uses}
    other = {use.tool.name: use.operations for use in match_tools(tools[::-1], OPERATIONS).uses}
    assert one == other


@pytest.mark.parametrize(
    "name", ["transfer_to_billing", "transfer_back_to_triage_agent", "handoff_to_sales", "delegate_to_x"]
)
def test_a_handoff_is_known_by_its_name(name: str) -> None:
    assert use_of(function(name)).role == "handoff"


def test_a_transfer_to_a_human_is_no_handoff_to_another_agent() -> None:
    assert use_of(function("transfer_to_human_agents", "", summary="string")).role != "handoff"


def test_a_tool_may_mean_an_operation_of_a_users_own_service() -> None:
    own = Operation(service="billing", name="Invoice.resend", summary="Send it again.", arguments={"invoice": "string"})
    service = LlmService(LlmParameters.model_validate({"tools": {"again": {"operation": own.full_name}}}))
    service.known_operations = {**OPERATIONS, own.full_name: own}
    service.open(FakeWorld())
    assert match_tools([function("resend_invoice", "", invoice="string")], service.known_operations).callers.keys() == {
        own.full_name
    }
