"""Every operation of every simulated service: names, arguments, and the kind of ledger entry a write leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from pagerproof.model import Operation

_TEXT = "string"
_MONEY = "string"  # decimal text, as SAP and most payment APIs send it
_COUNT = "integer"


def _operation(
    service: str,
    name: str,
    summary: str,
    effect: str = "",
    optional: str = "",
    **arguments: str,
) -> Operation:
    return Operation(
        service=service,
        name=name,
        summary=summary,
        arguments=MappingProxyType(arguments),
        optional=frozenset(optional.split()),
        effect_kind=effect,
    )


def _protocol_operation(name: str, summary: str, effect: str = "", optional: str = "", **arguments: str) -> Operation:
    return replace(_operation("sap", name, summary, effect, optional, **arguments), protocol_only=True)


_ADDRESS = {"street": _TEXT, "city": _TEXT, "postcode": _TEXT, "country": _TEXT}

_ALL = (
    # Customer relationship management
    _operation("crm", "Customer.find", "Find a customer by e-mail address.", email=_TEXT),
    _operation("crm", "Customer.get", "Read a customer.", customer_id=_TEXT),
    _operation("crm", "Customer.verify", "Check a customer's identity.", customer_id=_TEXT, postcode=_TEXT),
    _operation("crm", "Customer.update_address", "Change the address.", "address", customer_id=_TEXT, **_ADDRESS),
    _operation(
        "crm",
        "Customer.update_contact",
        "Change phone or e-mail.",
        "contact",
        customer_id=_TEXT,
        field=_TEXT,
        value=_TEXT,
    ),
    _operation("crm", "Password.reset", "Send a password reset.", "password_reset", customer_id=_TEXT),
    _operation("crm", "Subscription.get", "Read the subscription.", customer_id=_TEXT),
    _operation("crm", "Subscription.change", "Change the plan.", "plan", customer_id=_TEXT, plan=_TEXT),
    _operation("crm", "Subscription.cancel", "Cancel the subscription.", "plan_cancelled", customer_id=_TEXT),
    _operation("crm", "Appointment.slots", "List free appointment slots.", customer_id=_TEXT),
    _operation("crm", "Appointment.book", "Book an appointment.", "appointment", customer_id=_TEXT, slot=_TEXT),
    _operation("crm", "Loyalty.get", "Read the loyalty points.", customer_id=_TEXT),
    _operation("crm", "Ticket.create", "Open a ticket for a human.", "ticket", customer_id=_TEXT, topic=_TEXT),
    _operation("crm", "Note.create", "Write a note on the customer.", "note", customer_id=_TEXT, text=_TEXT),
    # Order management
    _operation("orders", "Order.get", "Read an order.", order_id=_TEXT),
    _operation("orders", "Order.list", "List a customer's orders.", customer_id=_TEXT),
    _operation("orders", "Order.cancel", "Cancel an order.", "order_cancelled", order_id=_TEXT),
    _operation(
        "orders",
        "Order.change_address",
        "Redirect an order.",
        "order_address",
        order_id=_TEXT,
        **_ADDRESS,
    ),
    _operation(
        "orders",
        "Order.change_item",
        "Swap an item of an open order.",
        "order_item",
        order_id=_TEXT,
        sku=_TEXT,
        new_sku=_TEXT,
    ),
    _operation("orders", "Shipment.track", "Track the shipment of an order.", order_id=_TEXT),
    _operation(
        "orders",
        "Return.create",
        "Open a return.",
        "return",
        order_id=_TEXT,
        sku=_TEXT,
        reason=_TEXT,
        optional="reason",
    ),
    _operation("orders", "Return.find", "Find the returns of an order.", order_id=_TEXT),
    _operation(
        "orders",
        "Exchange.create",
        "Exchange a delivered item.",
        "exchange",
        order_id=_TEXT,
        sku=_TEXT,
        new_sku=_TEXT,
    ),
    # Inventory
    _operation("inventory", "Product.get", "Read a product.", sku=_TEXT),
    _operation("inventory", "Stock.get", "Read the stock of a product.", sku=_TEXT),
    _operation(
        "inventory",
        "Stock.reserve",
        "Reserve stock for an order.",
        "reservation",
        sku=_TEXT,
        quantity=_COUNT,
        order_id=_TEXT,
    ),
    # Payments
    _operation("payments", "Payment.get", "Read a payment.", payment_id=_TEXT),
    _operation("payments", "Payment.list", "List the payments of an order.", order_id=_TEXT),
    _operation(
        "payments",
        "Refund.create",
        "Pay money back.",
        "refund",
        payment_id=_TEXT,
        amount=_MONEY,
        currency=_TEXT,
    ),
    _operation("payments", "Refund.find", "Find the refunds of a payment.", payment_id=_TEXT),
    # Knowledge base
    _operation("kb", "Article.search", "Search the knowledge base.", query=_TEXT),
    _operation("kb", "Policy.get", "Read a policy by topic.", topic=_TEXT),
    # SAP
    _operation("sap", "Session.open", "Fetch a CSRF token and open a session."),
    _operation("sap", "BusinessPartner.get", "Read a business partner.", business_partner=_TEXT),
    _operation(
        "sap",
        "BusinessPartner.update_address",
        "Change a business partner's address.",
        "partner_address",
        business_partner=_TEXT,
        **_ADDRESS,
    ),
    _operation("sap", "SalesOrder.get", "Read a sales order.", sales_order=_TEXT),
    _operation(
        "sap",
        "SalesOrder.create",
        "Create a sales order.",
        "sales_order",
        business_partner=_TEXT,
        material=_TEXT,
        quantity=_COUNT,
    ),
    _operation(
        "sap",
        "SalesOrder.update_quantity",
        "Change the quantity of an item.",
        "sales_order_changed",
        sales_order=_TEXT,
        item=_TEXT,
        quantity=_COUNT,
        etag=_TEXT,
        optional="etag",
    ),
    _operation("sap", "SalesOrder.cancel", "Cancel a sales order.", "sales_order_cancelled", sales_order=_TEXT),
    _operation(
        "sap",
        "SalesOrder.release_block",
        "Release the delivery block.",
        "block_released",
        sales_order=_TEXT,
    ),
    _operation("sap", "MaterialStock.get", "Read the stock of a material.", material=_TEXT),
    _operation("sap", "BillingDocument.get", "Read a billing document.", billing_document=_TEXT),
    _operation(
        "sap",
        "CreditMemo.create",
        "Create a credit memo for an order.",
        "credit_memo",
        sales_order=_TEXT,
        amount=_MONEY,
        currency=_TEXT,
        reason=_TEXT,
        optional="reason",
    ),
    _operation("sap", "CreditMemo.find", "Find the credit memos of a sales order.", sales_order=_TEXT),
    # SAP: what its OData services can do beyond an agent's tools
    _protocol_operation("SalesOrder.list", "List sales orders.", business_partner=_TEXT, optional="business_partner"),
    _protocol_operation("SalesOrder.items", "Read the items of a sales order.", sales_order=_TEXT),
    _protocol_operation(
        "SalesOrder.create_with_items",
        "Create a sales order with items and header fields.",
        "sales_order",
        business_partner=_TEXT,
        items="array",
        fields="object",
        optional="fields",
    ),
    _protocol_operation(
        "SalesOrder.add_item",
        "Add an item to a sales order.",
        "sales_order_item",
        sales_order=_TEXT,
        material=_TEXT,
        quantity=_COUNT,
        etag=_TEXT,
        optional="etag",
    ),
    _protocol_operation(
        "SalesOrder.reject_item",
        "Reject an item of a sales order.",
        "sales_order_item_rejected",
        sales_order=_TEXT,
        item=_TEXT,
        reason=_TEXT,
        etag=_TEXT,
        optional="etag",
    ),
    _protocol_operation(
        "SalesOrder.update_header",
        "Change header fields of a sales order.",
        "sales_order_changed",
        sales_order=_TEXT,
        fields="object",
        etag=_TEXT,
        optional="etag",
    ),
    _protocol_operation(
        "SalesOrder.delete",
        "Delete a sales order.",
        "sales_order_deleted",
        sales_order=_TEXT,
        etag=_TEXT,
        optional="etag",
    ),
    _protocol_operation("CreditMemo.get", "Read a credit memo request.", credit_memo=_TEXT),
    _protocol_operation("ChangeSet.apply", "Carry out several writes, all or none.", "change_set", changes="array"),
    # Language model provider
    _operation(
        "llm",
        "Chat.create",
        "Ask the language model for the next message.",
        messages="array",
        tools="array",
        temperature="number",
        max_tokens="integer",
        model="string",
        stream="boolean",
        tool_choice="object",
        response_format="object",
        optional="tools temperature max_tokens model stream tool_choice response_format",
    ),
)

_by_name = {operation.full_name: operation for operation in _ALL}
OPERATIONS: Mapping[str, Operation] = MappingProxyType(_by_name)
"""Every operation by its full name, in a fixed order; those of plug-ins come after our own."""

TOOLS: Mapping[str, Operation] = MappingProxyType(
    {name: each for name, each in _by_name.items() if not each.protocol_only}
)
"""Our own operations that agents are offered as tools."""


def add_operations(operations: Iterable[Operation]) -> None:
    """Let the operations of a plug-in's service be known."""
    _by_name.update((operation.full_name, operation) for operation in operations)


def operations_of(service: str) -> Mapping[str, Operation]:
    """Return the operations of one service by full name."""
    return MappingProxyType({name: each for name, each in OPERATIONS.items() if each.service == service})
