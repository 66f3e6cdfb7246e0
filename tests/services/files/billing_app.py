"""A user's ASGI application without a framework: a counter, invoices, and ways to misbehave."""

import asyncio
import json

HITS = {"count": 0}
INVOICES = {"I-1": {"id": "I-1", "memo": ""}}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    HITS["count"] += 1
    message = await receive()
    path, method = scope["path"], scope["method"]
    if path == "/slow":
        await asyncio.sleep(30)
    if path == "/broken":
        raise ValueError("no such luck")
    if path == "/silent":
        return
    status, data = 200, {"hits": HITS["count"], "query": scope["query_string"].decode()}
    if path.startswith("/invoices/"):
        invoice = INVOICES.get(path.removeprefix("/invoices/"))
        if invoice is None:
            status, data = 404, {"error": "no invoice"}
        else:
            if method == "PATCH":
                invoice.update(json.loads(message["body"]))
            data = invoice
    headers = [(b"content-type", b"application/json"), (b"X-Host", dict(scope["headers"])[b"host"])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    half = json.dumps(data).encode()
    await send({"type": "http.response.body", "body": half[:3], "more_body": True})
    await send({"type": "http.response.body", "body": half[3:]})


def make():
    return app


async def broken_start(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


NUMBER = 4
