"""The verdict's word and exit status: nothing vacuous passes, and the gravest reason decides."""

from __future__ import annotations

from typing import Any

import pytest

from pagerproof.gates import decide
from pagerproof.metrics import Baseline, FaultDelivery, GateResult


def gate(status: Any = "pass", *, model_input: bool = False) -> GateResult:
    observed = None if status == "no_samples" else 0.02
    return GateResult(
        expression="failure.rate < 1%",
        status=status,
        observed=observed,
        limit=0.01,
        unit="%",
        n=0 if observed is None else 900,
        model_input=model_input,
    )


def fault(**changes: Any) -> FaultDelivery:
    books: dict[str, Any] = {"eligible": 50, "drawn": 5, "delivered": 5, "seen": 5} | changes
    return FaultDelivery(id="cut", **books)


def baseline(*broken: str) -> Baseline:
    return Baseline(requests=10, digest="", outcomes={}, broken_gates=broken)


SOUND: dict[str, Any] = {
    "gates": [gate()],
    "faults": [fault()],
    "with_faults": True,
    "baseline": baseline(),
}


def test_everything_exercised_and_every_gate_held_is_a_go() -> None:
    verdict = decide(**SOUND)
    assert (verdict.word, verdict.exit_status, verdict.reasons) == ("go", 0, ("1 gate held",))
    assert verdict.heading == "one replication, not launch evidence"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gates": []}, "there are no gates: nothing was asked, so nothing was proved"),
        ({"gates": [gate(), gate("no_samples")]}, "gate failure.rate < 1% has no samples"),
        ({"faults": [fault(eligible=0, drawn=0, delivered=0, seen=0)]}, "required fault cut matched no call"),
        ({"faults": [fault(drawn=0, delivered=0)]}, "required fault cut never fired in 50 eligible calls"),
        ({"faults": [fault(delivered=0, limited=5)]}, "required fault cut was drawn 5 times and never delivered"),
        ({"faults": [fault(seen=0)]}, "required fault cut was delivered 5 times and never seen by the agent"),
        (
            {"baseline": baseline("late.rate < 1%")},
            "the steady state is broken: without faults, gate late.rate < 1% fails",
        ),
        (
            {"gates": [gate(model_input=True)]},
            "every gate returns parameters of the simulated model (model input), which is not calibrated",
        ),
        ({"interrupted": True}, "the run was interrupted: what it has is not the whole"),
    ],
)
def test_what_proves_nothing_is_inconclusive(changes: dict[str, Any], reason: str) -> None:
    verdict = decide(**SOUND | changes)
    assert (verdict.word, verdict.exit_status, verdict.reasons) == ("inconclusive", 3, (reason,))


@pytest.mark.parametrize(
    "changes",
    [
        {"faults": [fault(expect="armed", eligible=0, drawn=0, delivered=0, seen=0)]},
        {"faults": [fault(observable="state", seen=0)]},
        {"gates": [gate(model_input=True), gate()]},
        {"gates": [gate(model_input=True)], "calibrated": True},
        {"baseline": None},
    ],
    ids=["armed and silent", "a state cannot be seen", "one gate is ours", "calibrated", "no baseline was made"],
)
def test_what_is_no_gap_does_not_stop_a_go(changes: dict[str, Any]) -> None:
    assert decide(**SOUND | changes).word == "go"


@pytest.mark.parametrize(
    ("changes", "word", "status"),
    [
        ({"gates": [gate("fail")]}, "no-go", 1),
        ({"gates": [gate("fail"), gate("no_samples")], "faults": [fault(seen=0)]}, "no-go", 1),
        ({"gates": [gate("fail")], "baseline": baseline("x")}, "no-go", 1),
        ({"gates": [gate("fail")], "with_faults": False, "faults": []}, "no-go", 1),
        ({"gates": [gate("fail")], "interrupted": True}, "inconclusive", 3),
        ({"gates": [gate("fail")], "reproducible": False}, "not reproducible", 4),
        ({"agent_stopped_run": "the agent opened a socket"}, "no-go", 1),
        ({"agent_stopped_run": "the agent opened a socket", "reproducible": False}, "not reproducible", 4),
        ({"with_faults": False, "faults": [], "baseline": None}, "baseline", 0),
        ({"with_faults": False, "faults": [], "gates": []}, "baseline", 0),
        ({"with_faults": False, "faults": [], "gates": [gate("no_samples")]}, "baseline", 0),
    ],
)
def test_gravest_reason_decides(changes: dict[str, Any], word: str, status: int) -> None:
    verdict = decide(**SOUND | changes)
    assert (verdict.word, verdict.exit_status) == (word, status)


def test_no_go_names_gate_value_and_samples() -> None:
    reasons = decide(**SOUND | {"gates": [gate("fail")]}).reasons
    assert reasons == ("gate failure.rate < 1% failed: observed 2% over 900 samples",)


def test_every_reason_is_told_not_only_the_first() -> None:
    verdict = decide(**SOUND | {"gates": [gate("no_samples")], "faults": [fault(seen=0)], "baseline": baseline("x")})
    assert len(verdict.reasons) == 3
