"""A triage agent with two specialists on the OpenAI Agents SDK, with tools over the company's own HTTP interfaces."""

import os

import httpx2
from agents import Agent, Runner, function_tool

CRM = os.environ.get("CRM_URL", "https://crm.internal.example")
ORDERS = os.environ.get("ORDERS_URL", "https://orders.internal.example")
INVENTORY = os.environ.get("INVENTORY_URL", "https://inventory.internal.example")
PAYMENTS = os.environ.get("PAYMENTS_URL", "https://payments.internal.example")
KNOWLEDGE = os.environ.get("KNOWLEDGE_URL", "https://kb.internal.example")

http = httpx2.AsyncClient(timeout=30)


async def ask(method: str, url: str, **more: object) -> str:
    answer = await http.request(method, url, **more)
    return answer.text if answer.is_success else f"error: HTTP {answer.status_code} {answer.text[:300]}"


@function_tool
async def find_customer(email: str) -> str:
    """Find a customer by e-mail address."""
    return await ask("GET", f"{CRM}/customers", params={"email": email})


@function_tool
async def write_note(customer_id: str, text: str) -> str:
    """Write a note on the customer."""
    return await ask("POST", f"{CRM}/customers/{customer_id}/notes", json={"text": text})


@function_tool
async def get_order(order_id: str) -> str:
    """Read an order."""
    return await ask("GET", f"{ORDERS}/orders/{order_id}")


@function_tool
async def track_shipment(order_id: str) -> str:
    """Track the shipment of an order."""
    return await ask("GET", f"{ORDERS}/orders/{order_id}/shipment")


@function_tool
async def open_return(order_id: str, sku: str) -> str:
    """Open a return."""
    return await ask("POST", f"{ORDERS}/orders/{order_id}/returns", json={"sku": sku})


@function_tool
async def check_stock(sku: str) -> str:
    """Read the stock of a product."""
    return await ask("GET", f"{INVENTORY}/products/{sku}/stock")


@function_tool
async def exchange_item(order_id: str, sku: str, new_sku: str) -> str:
    """Exchange a delivered item."""
    return await ask("POST", f"{ORDERS}/orders/{order_id}/exchanges", json={"sku": sku, "new_sku": new_sku})


@function_tool
async def list_payments(order_id: str) -> str:
    """List the payments of an order."""
    return await ask("GET", f"{PAYMENTS}/payments", params={"order_id": order_id})


@function_tool
async def get_payment(payment_id: str) -> str:
    """Read a payment."""
    return await ask("GET", f"{PAYMENTS}/payments/{payment_id}")


@function_tool
async def refund_payment(payment_id: str, amount: str, currency: str) -> str:
    """Pay money back."""
    more = {"amount": amount, "currency": currency}
    return await ask("POST", f"{PAYMENTS}/payments/{payment_id}/refunds", json=more)


@function_tool
async def read_policy(topic: str) -> str:
    """Read a policy by topic."""
    return await ask("GET", f"{KNOWLEDGE}/policies/{topic}")


READS = [find_customer, write_note, get_order]
ANSWER = "Use the tools, then answer the customer in one short, friendly message."

orders = Agent(
    name="Orders",
    handoff_description="Order status, delivery dates, tracking, returns and exchanges, the return policy.",
    instructions=f"You are the order specialist of a shop. {ANSWER}",
    tools=[*READS, track_shipment, open_return, check_stock, exchange_item, read_policy],
    model="gpt-5-mini",
)
billing = Agent(
    name="Billing",
    handoff_description="Payments, duplicate charges and money back.",
    instructions=f"You are the billing specialist of a shop. {ANSWER}",
    tools=[*READS, list_payments, get_payment, refund_payment],
    model="gpt-5-mini",
)
triage = Agent(
    name="Triage",
    instructions="Hand the customer over to the specialist who can help.",
    handoffs=[orders, billing],
    model="gpt-5-mini",
)


async def main(text: str, email: str) -> str:
    result = await Runner.run(triage, f"{text}\n\nFrom: {email}", max_turns=14)
    return result.final_output
