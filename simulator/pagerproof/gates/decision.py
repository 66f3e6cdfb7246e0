"""From gates, fault deliveries and the baseline to one word and one exit status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from pagerproof.gates.evaluation import show_value
from pagerproof.metrics.result import Baseline, FaultDelivery, GateResult, RunVerdict

GO, NO_GO, INCONCLUSIVE, NOT_REPRODUCIBLE = 0, 1, 3, 4
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


def decide(
    *,
    gates: Sequence[GateResult],
    faults: Sequence[FaultDelivery],
    with_faults: bool,
    baseline: Baseline | None = None,
    interrupted: bool = False,
    agent_stopped_run: str = "",
    reproducible: bool = True,
    calibrated: bool = False,
    unattributed: Mapping[str, int] = _NONE,
) -> RunVerdict:
    """Return the verdict; the gravest reason decides: not reproducible, then no-go, then inconclusive.

    An interrupted run is inconclusive whatever its gates say of the part that ran. A run without faults is a baseline,
    never a go, and a no-go where a gate fails; a gate without samples is only mentioned there. A go needs at least one
    gate that does not merely return the simulated model's own parameters, unless the policy was `calibrated`.
    `unattributed` calls, by operation, belong to no request, so that no gate knows of them: with any of them a run is
    inconclusive, a baseline too.
    `agent_stopped_run` is why the agent ended the whole run, which is a no-go. Internal errors (5) never get here.
    """
    if not reproducible:
        return RunVerdict(
            word="not reproducible",
            exit_status=NOT_REPRODUCIBLE,
            reasons=("the same inputs gave another digest",),
        )
    if agent_stopped_run:
        return RunVerdict(word="no-go", exit_status=NO_GO, reasons=(agent_stopped_run,))
    if interrupted:
        reasons = ("the run was interrupted: what it has is not the whole",)
        return RunVerdict(word="inconclusive", exit_status=INCONCLUSIVE, reasons=reasons)
    failed = tuple(_failed(gate) for gate in gates if gate.status == "fail")
    if failed:
        return RunVerdict(word="no-go", exit_status=NO_GO, reasons=failed)
    empty = tuple(f"gate {gate.expression} has no samples" for gate in gates if gate.status == "no_samples")
    if not with_faults and not unattributed:
        calm = "no faults were injected: this is the steady state, not a proof of survival"
        return RunVerdict(word="baseline", exit_status=GO, reasons=(calm, *empty))
    vacuous = (
        *empty,
        *_unattributed(unattributed),
        *(reason for fault in faults if fault.expect == "required" and (reason := _not_exercised(fault))),
        *_broken_steady_state(baseline),
        *_nothing_gated(gates, calibrated=calibrated),
    )
    if vacuous:
        return RunVerdict(word="inconclusive", exit_status=INCONCLUSIVE, reasons=vacuous)
    held = len(gates)
    reasons = (f"{held} gate{'s' * (held > 1)} held",)
    return RunVerdict(word="go", exit_status=GO, reasons=reasons)


def _failed(gate: GateResult) -> str:
    return (
        f"gate {gate.expression} failed: observed {show_value(gate.observed, gate.unit)} over {gate.n:,} "
        f"sample{'s' * (gate.n != 1)}"
    )


def _not_exercised(fault: FaultDelivery) -> str:
    """Return why a required fault proves nothing, or the empty text. A changed state cannot be seen, only delivered."""
    if not fault.eligible:
        return f"required fault {fault.id} matched no call"
    if not fault.drawn:
        return f"required fault {fault.id} never fired in {fault.eligible:,} eligible calls"
    if not fault.delivered:
        return f"required fault {fault.id} was drawn {fault.drawn:,} times and never delivered"
    if fault.observable != "state" and not fault.seen:
        return f"required fault {fault.id} was delivered {fault.delivered:,} times and never seen by the agent"
    return ""


def _unattributed(calls: Mapping[str, int]) -> tuple[str, ...]:
    if not calls:
        return ()
    total = sum(calls.values())
    named = ", ".join(f"{operation} {count:,}" for operation, count in calls.items())
    return (f"{total:,} call{'s' * (total != 1)} belonged to no request ({named}), so no gate knows what came of them",)


def _broken_steady_state(baseline: Baseline | None) -> tuple[str, ...]:
    if baseline is None:
        return ()
    return tuple(f"the steady state is broken: without faults, gate {gate} fails" for gate in baseline.broken_gates)


def _nothing_gated(gates: Sequence[GateResult], *, calibrated: bool) -> tuple[str, ...]:
    if not gates:
        return ("there are no gates: nothing was asked, so nothing was proved",)
    if not calibrated and all(gate.model_input for gate in gates):
        return ("every gate returns parameters of the simulated model (model input), which is not calibrated",)
    return ()
