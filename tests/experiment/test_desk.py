"""The desk writes what agents and valves did, and nothing that only services and faults may write."""

from __future__ import annotations

from tests.experiment.running import run_agent


def test_an_agent_cannot_write_ledger_or_fault_events(tmp_path):
    execution = run_agent(
        tmp_path,
        """
        async def handle(request, desk):
            desk.mark("ledger", "payments.refund", "forged")
            desk.mark("valve", "mine", "acted")
            return "done"
        """,
        requests=1,
    )
    assert execution.folder is not None
    events = execution.folder.events_of(1)
    assert "forged" not in set(events.loc[events["kind"] == "ledger", "detail"])
    assert list(events.loc[events["detail"] == "forged", "kind"]) == ["agent"]
    assert list(events.loc[events["detail"] == "acted", "kind"]) == ["valve"]
