"""A small contact center agent as somebody else would write it: its own tools, under its own names."""

from __future__ import annotations

from typing import Any

from tests.gateways.llm_stage import FakeExchange, Stage, function

from pagerproof.protocols import Case

TOOLS = [
    function("lookup_customer", "Find a customer by e-mail address.", email="string"),
    function("lookup_order", "Get the details of an order.", order_id="string"),
    function("track_parcel", "Track the shipment of an order.", order_id="string"),
    function("add_note", "Write a note on the customer's file.", customer_id="string", text="string"),
    function("issue_refund", "Refund a payment.", payment_id="string", amount="number", currency="string"),
]
OPERATION_OF = {
    "lookup_customer": "crm.Customer.find",
    "lookup_order": "orders.Order.get",
    "track_parcel": "orders.Shipment.track",
    "add_note": "crm.Note.create",
    "issue_refund": "payments.Refund.create",
}


def opening(case: Case) -> list[dict[str, Any]]:
    """What the agent tells the model first."""
    sender = f"{case.request.customer_name} <{case.request.customer_email}>"
    return [
        {"role": "system", "content": "You are the support agent of a shop. Use the tools."},
        {"role": "user", "content": f"{case.request.text}\n\nFrom: {sender}"},
    ]


async def carried_out(stage: Stage, case: Case, name: str, arguments: dict[str, Any]) -> str:
    """What the agent's tool does: one call to the service behind it."""
    if "amount" in arguments:
        arguments["amount"] = f"{arguments['amount']:.2f}"
    answer = await FakeExchange(stage, case).call(OPERATION_OF[name], arguments)
    return answer.body.decode() if answer.status < 400 else f"Error code: {answer.status} - {answer.body.decode()}"
