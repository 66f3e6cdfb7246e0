"""A support agent on Pydantic AI, with tools over the company's own HTTP interfaces."""

import os

import httpx2
from pydantic_ai import Agent, ModelRetry

CRM = os.environ.get("CRM_URL", "https://crm.internal.example")
ORDERS = os.environ.get("ORDERS_URL", "https://orders.internal.example")
INVENTORY = os.environ.get("INVENTORY_URL", "https://inventory.internal.example")
PAYMENTS = os.environ.get("PAYMENTS_URL", "https://payments.internal.example")
KNOWLEDGE = os.environ.get("KNOWLEDGE_URL", "https://kb.internal.example")

http = httpx2.AsyncClient(timeout=30)
agent = Agent(
    "openai-chat:gpt-5-mini",
    instructions="You are the support agent of a shop. Use the tools, then answer in one short, friendly message.",
    retries=2,
)


async def ask(method: str, url: str, **more: object) -> str:
    try:
        answer = await http.request(method, url, **more)
    except httpx2.HTTPError as error:
        raise ModelRetry(f"error: {type(error).__name__}, try again") from error
    if answer.status_code == 404:
        return f"error: HTTP 404 {answer.text[:200]}"
    if not answer.is_success:
        raise ModelRetry(f"error: HTTP {answer.status_code} {answer.text[:200]}")
    return answer.text


@agent.tool_plain
async def find_customer(email: str) -> str:
    """Find a customer by e-mail address."""
    return await ask("GET", f"{CRM}/customers", params={"email": email})


@agent.tool_plain
async def write_note(customer_id: str, text: str) -> str:
    """Write a note on the customer."""
    return await ask("POST", f"{CRM}/customers/{customer_id}/notes", json={"text": text})


@agent.tool_plain
async def get_order(order_id: str) -> str:
    """Read an order."""
    return await ask("GET", f"{ORDERS}/orders/{order_id}")


@agent.tool_plain
async def track_shipment(order_id: str) -> str:
    """Track the shipment of an order."""
    return await ask("GET", f"{ORDERS}/orders/{order_id}/shipment")


@agent.tool_plain
async def open_return(order_id: str, sku: str) -> str:
    """Open a return."""
    return await ask("POST", f"{ORDERS}/orders/{order_id}/returns", json={"sku": sku})


@agent.tool_plain
async def check_stock(sku: str) -> str:
    """Read the stock of a product."""
    return await ask("GET", f"{INVENTORY}/products/{sku}/stock")


@agent.tool_plain
async def exchange_item(order_id: str, sku: str, new_sku: str) -> str:
    """Exchange a delivered item."""
    return await ask("POST", f"{ORDERS}/orders/{order_id}/exchanges", json={"sku": sku, "new_sku": new_sku})


@agent.tool_plain
async def list_payments(order_id: str) -> str:
    """List the payments of an order."""
    return await ask("GET", f"{PAYMENTS}/payments", params={"order_id": order_id})


@agent.tool_plain
async def get_payment(payment_id: str) -> str:
    """Read a payment."""
    return await ask("GET", f"{PAYMENTS}/payments/{payment_id}")


@agent.tool_plain
async def refund_payment(payment_id: str, amount: str, currency: str) -> str:
    """Pay money back."""
    more = {"amount": amount, "currency": currency}
    return await ask("POST", f"{PAYMENTS}/payments/{payment_id}/refunds", json=more)


@agent.tool_plain
async def read_policy(topic: str) -> str:
    """Read a policy by topic."""
    return await ask("GET", f"{KNOWLEDGE}/policies/{topic}")


async def main(text: str, email: str) -> str:
    result = await agent.run(f"{text}\n\nFrom: {email}")
    return result.output
