"""Foreign agents reach SAP by SAP's own client, and a user's own services at their names, under faults."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.experiment.test_own_services import FAULT, FILES
from tests.experiment.wire_stage import events, run_wired, with_client

SAP_AGENT = """
import aiohttp, pyodata

URL = "https://sap.sim/sap/opu/odata/sap/API_SALES_ORDER_SRV"

async def main(text: str, email: str) -> str:
    async with aiohttp.ClientSession() as session:
        async with session.get(URL + "/", headers={"X-CSRF-Token": "Fetch"}) as answer:
            session.headers["X-CSRF-Token"] = answer.headers["X-CSRF-Token"]
        client = await pyodata.Client.build_async_client(URL, session)
        orders = client.entity_sets.A_SalesOrder
        some = (await orders.get_entities().top(1).async_execute())[0]
        order = await orders.get_entity(some.SalesOrder).async_execute()
        partner = await order.async_getattr("SoldToParty")
        create = orders.create_entity()
        create.set(SoldToParty=partner, to_Item=[{"Material": "MAT-1001", "RequestedQuantity": "2"}])
        made = await create.async_execute()
        return f"HANDED OVER to a colleague: {made.SalesOrder}"
"""


def test_pyodata_reads_and_creates_inside_a_run_and_the_ledger_has_it(tmp_path):
    pytest.importorskip("pyodata")
    pytest.importorskip("aiohttp")
    execution = run_wired(tmp_path, SAP_AGENT, requests=3)
    assert execution.end.stopped_by is None, execution.end.stopped_by
    assert execution.result.outcomes["crashed"] == 0, execution.result.examples
    made = events(execution, "ledger")
    assert [(event[0], event[1]) for event in made] == [(index, "sap.sales_order") for index in (1, 2, 3)]
    for index, _, _, _, detail in made:
        assert events(execution, "replied", index)[0][4].split()[-1] in detail


OWN = """
services:
  billing: {openapi: billing.yaml, state: billing_state.yaml, read_median: 40ms}
  shop: {app: "billing_app:app", routes: ["GET /invoices/{id}", "PATCH /invoices/{id}"]}
network: {hosts: {billing.internal.example: billing}}
faults: [{use: billing-slow}]
"""


def test_services_of_ones_own_are_reached_at_their_names_and_struck_there(tmp_path):
    pytest.importorskip("httpx")
    for name in ("billing.yaml", "billing_state.yaml", "billing_app.py"):
        shutil.copy(Path(FILES) / name, tmp_path / name)
    (tmp_path / "billing-slow.yaml").write_text(FAULT)
    agent = with_client(
        """
        wanted = {"customer_id": "C1", "amount": "12.00"}
        made = await http.post("https://billing.internal.example/invoices", json=wanted)
        read = await http.get(f"https://billing.sim/invoices/{made.json()['id']}")
        shop = await http.get("http://shop.sim/invoices/I-1")
        told += [made.status_code, read.json()["amount"], shop.status_code]
        """
    )
    first, again = (run_wired(tmp_path, agent, OWN) for _ in range(2))
    assert first.result.digest == again.result.digest
    assert {event[4].partition(": ")[2] for event in events(first, "replied")} == {"201 12.00 200"}
    (fault,) = first.result.faults
    assert (fault.id, fault.eligible) == ("billing-slow", 40)
    assert fault.seen == fault.delivered > 5
    assert len([event for event in events(first, "ledger") if event[1].startswith("billing.")]) == 20
