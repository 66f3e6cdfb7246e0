"""A contact-center agent on nothing but httpx: one loop around the chat API and the company's own HTTP interfaces."""

import json
import os

import httpx

CRM = os.environ.get("CRM_URL", "https://crm.internal.example")
ORDERS = os.environ.get("ORDERS_URL", "https://orders.internal.example")
INVENTORY = os.environ.get("INVENTORY_URL", "https://inventory.internal.example")
PAYMENTS = os.environ.get("PAYMENTS_URL", "https://payments.internal.example")
KNOWLEDGE = os.environ.get("KNOWLEDGE_URL", "https://kb.internal.example")
OPENAI = "https://api.openai.com/v1"

TURNS_MAX = 12
SYSTEM = "You are the support agent of a shop. Use the tools, then answer the customer in one short, friendly message."

# name: (method, URL, what it is for, arguments)
TOOLS = {
    "find_customer": ("GET", f"{CRM}/customers", "Find a customer by e-mail address.", ["email"]),
    "write_note": (
        "POST",
        f"{CRM}/customers/{{customer_id}}/notes",
        "Write a note on the customer.",
        ["customer_id", "text"],
    ),
    "get_order": ("GET", f"{ORDERS}/orders/{{order_id}}", "Read an order.", ["order_id"]),
    "track_shipment": (
        "GET",
        f"{ORDERS}/orders/{{order_id}}/shipment",
        "Track the shipment of an order.",
        ["order_id"],
    ),
    "open_return": ("POST", f"{ORDERS}/orders/{{order_id}}/returns", "Open a return.", ["order_id", "sku"]),
    "check_stock": ("GET", f"{INVENTORY}/products/{{sku}}/stock", "Read the stock of a product.", ["sku"]),
    "exchange_item": (
        "POST",
        f"{ORDERS}/orders/{{order_id}}/exchanges",
        "Exchange a delivered item.",
        ["order_id", "sku", "new_sku"],
    ),
    "list_payments": ("GET", f"{PAYMENTS}/payments", "List the payments of an order.", ["order_id"]),
    "get_payment": ("GET", f"{PAYMENTS}/payments/{{payment_id}}", "Read a payment.", ["payment_id"]),
    "refund_payment": (
        "POST",
        f"{PAYMENTS}/payments/{{payment_id}}/refunds",
        "Pay money back.",
        ["payment_id", "amount", "currency"],
    ),
    "read_policy": ("GET", f"{KNOWLEDGE}/policies/{{topic}}", "Read a policy by topic.", ["topic"]),
}

http = httpx.AsyncClient(timeout=30)


def definition(name):
    _, _, description, arguments = TOOLS[name]
    properties = {argument: {"type": "string"} for argument in arguments}
    schema = {"type": "object", "properties": properties, "required": arguments}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


async def ask_model(messages):
    body = {"model": "gpt-5-mini", "messages": messages, "tools": [definition(name) for name in TOOLS]}
    headers = {"authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
    answer = await http.post(f"{OPENAI}/chat/completions", json=body, headers=headers)
    answer.raise_for_status()
    return answer.json()["choices"][0]["message"]


async def use_tool(name, arguments):
    if name not in TOOLS:
        return f"error: there is no tool {name}"
    method, url, _, _ = TOOLS[name]
    in_path = {key: value for key, value in arguments.items() if "{" + key + "}" in url}
    rest = {key: value for key, value in arguments.items() if key not in in_path}
    try:
        url = url.format(**in_path)
        answer = await (http.get(url, params=rest) if method == "GET" else http.request(method, url, json=rest))
    except (httpx.HTTPError, KeyError) as error:
        return f"error: {type(error).__name__} {error}"
    return answer.text if answer.is_success else f"error: HTTP {answer.status_code} {answer.text[:300]}"


async def main(text: str, email: str) -> str:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{text}\n\nFrom: {email}"}]
    for _ in range(TURNS_MAX):
        message = await ask_model(messages)
        messages.append(message)
        if not message.get("tool_calls"):
            return message["content"]
        for call in message["tool_calls"]:
            arguments = json.loads(call["function"]["arguments"])
            content = await use_tool(call["function"]["name"], arguments)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
    return "HANDED OVER: a colleague will take care of this."
