"""A support agent as LangChain's users write it: a LangGraph agent with tools over the company's own interfaces."""

import os

import httpx
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

CRM = os.environ.get("CRM_URL", "https://crm.internal.example")
ORDERS = os.environ.get("ORDERS_URL", "https://orders.internal.example")
INVENTORY = os.environ.get("INVENTORY_URL", "https://inventory.internal.example")
PAYMENTS = os.environ.get("PAYMENTS_URL", "https://payments.internal.example")
KNOWLEDGE = os.environ.get("KNOWLEDGE_URL", "https://kb.internal.example")

http = httpx.AsyncClient(timeout=30)


async def ask(method: str, url: str, **more: object) -> str:
    try:
        answer = await http.request(method, url, **more)
    except httpx.HTTPError as error:
        return f"error: {type(error).__name__} {error}"
    return answer.text if answer.is_success else f"error: HTTP {answer.status_code} {answer.text[:300]}"


@tool
async def find_customer(email: str) -> str:
    """Find a customer by e-mail address."""
    return await ask("GET", f"{CRM}/customers", params={"email": email})


@tool
async def write_note(customer_id: str, text: str) -> str:
    """Write a note on the customer."""
    return await ask("POST", f"{CRM}/customers/{customer_id}/notes", json={"text": text})


@tool
async def get_order(order_id: str) -> str:
    """Read an order."""
    return await ask("GET", f"{ORDERS}/orders/{order_id}")


@tool
async def track_shipment(order_id: str) -> str:
    """Track the shipment of an order."""
    return await ask("GET", f"{ORDERS}/orders/{order_id}/shipment")


@tool
async def open_return(order_id: str, sku: str) -> str:
    """Open a return."""
    return await ask("POST", f"{ORDERS}/orders/{order_id}/returns", json={"sku": sku})


@tool
async def check_stock(sku: str) -> str:
    """Read the stock of a product."""
    return await ask("GET", f"{INVENTORY}/products/{sku}/stock")


@tool
async def exchange_item(order_id: str, sku: str, new_sku: str) -> str:
    """Exchange a delivered item."""
    return await ask("POST", f"{ORDERS}/orders/{order_id}/exchanges", json={"sku": sku, "new_sku": new_sku})


@tool
async def list_payments(order_id: str) -> str:
    """List the payments of an order."""
    return await ask("GET", f"{PAYMENTS}/payments", params={"order_id": order_id})


@tool
async def get_payment(payment_id: str) -> str:
    """Read a payment."""
    return await ask("GET", f"{PAYMENTS}/payments/{payment_id}")


@tool
async def refund_payment(payment_id: str, amount: str, currency: str) -> str:
    """Pay money back."""
    more = {"amount": amount, "currency": currency}
    return await ask("POST", f"{PAYMENTS}/payments/{payment_id}/refunds", json=more)


@tool
async def read_policy(topic: str) -> str:
    """Read a policy by topic."""
    return await ask("GET", f"{KNOWLEDGE}/policies/{topic}")


TOOLS = [
    find_customer,
    write_note,
    get_order,
    track_shipment,
    open_return,
    check_stock,
    exchange_item,
    list_payments,
    get_payment,
    refund_payment,
    read_policy,
]
graph = create_agent(
    ChatOpenAI(model="gpt-5-mini", timeout=60),
    TOOLS,
    system_prompt="You are the support agent of a shop. Use the tools, then answer in one short, friendly message.",
)


async def main(text: str, email: str) -> dict:
    return await graph.ainvoke({"messages": [{"role": "user", "content": f"{text}\n\nFrom: {email}"}]})
