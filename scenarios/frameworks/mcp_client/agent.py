"""An agent whose tools are those of an MCP server, and whose model is OpenAI's chat API."""

import json

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from openai import AsyncOpenAI

TOOLS_SERVER = "https://tools.internal.example/mcp"
TURNS_MAX = 12
SYSTEM = "You are the support agent of a shop. Use the tools, then answer the customer in one short, friendly message."

model = AsyncOpenAI()


def definition(tool):
    parameters = {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema}
    return {"type": "function", "function": parameters}


async def use_tool(session, call):
    result = await session.call_tool(call.function.name, json.loads(call.function.arguments))
    text = "".join(part.text for part in result.content if part.type == "text")
    return f"error: {text}" if result.is_error else text


async def main(text: str, email: str) -> str:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{text}\n\nFrom: {email}"}]
    async with streamable_http_client(TOOLS_SERVER) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = [definition(tool) for tool in (await session.list_tools()).tools]
        for _ in range(TURNS_MAX):
            answer = await model.chat.completions.create(model="gpt-5-mini", messages=messages, tools=tools)
            message = answer.choices[0].message
            messages.append(message)
            if not message.tool_calls:
                return message.content
            for call in message.tool_calls:
                content = await use_tool(session, call)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
    return "HANDED OVER: a colleague will take care of this."
