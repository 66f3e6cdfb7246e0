"""From the finished table to the finished result: every figure that a report shows is made here, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np

from pagerproof.metrics.result import (
    Amplification,
    Baseline,
    ChangePoint,
    FailureMode,
    FaultDelivery,
    GateResult,
    MatrixCell,
    Recovery,
    RunResult,
    RunVerdict,
    Spread,
    StripBin,
)
from pagerproof.metrics.statistics import change_points, quantile, spread
from pagerproof.metrics.table import OUTCOMES, CallCounts, Requests
from pagerproof.model import Outcome

STRIP_BINS = 100
COVERS = (
    "The model's answers and the systems of record are simulated: this covers the agent's plumbing (retries, "
    "time-outs, parsing, loops, hand-offs, state) under the scenario's stated model policy."
)

_GRAVITY = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}


def outcomes(requests: Requests) -> dict[str, int]:
    """Return how many requests had each outcome, in the order of precedence, zeros included."""
    counts = np.bincount(requests.rows["outcome"], minlength=len(OUTCOMES))
    return {outcome.value: int(counts[code]) for code, outcome in enumerate(OUTCOMES)}


def failure_modes(requests: Requests) -> tuple[FailureMode, ...]:
    """Return the modes of failed requests, the most frequent first."""
    rows = requests.rows
    modes, tools = requests.text("mode"), requests.text("tool")
    grouped: dict[tuple[str, str], list[int]] = {}
    for row in np.flatnonzero(requests.failed).tolist():
        grouped.setdefault((modes[row], requests.outcome_of(row).value), []).append(row)
    found = []
    for (mode, outcome), members in grouped.items():
        indices = tuple(int(rows["index"][row]) for row in members)
        own = [int(rows["index"][row]) for row in members if not requests.scripted[row]]
        found.append(
            FailureMode(
                mode=mode,
                outcome=outcome,
                count=len(members),
                first_index=indices[0],
                first_unscripted=own[0] if own else None,
                scripted=len(members) - len(own),
                indices=indices,
                tools=dict(Counter(tools[row] for row in members).most_common()),
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.count, each.first_index, each.mode)))


def tag_counts(requests: Requests) -> dict[str, int]:
    """Return how many requests carry each tag, the most frequent first."""
    counts = Counter(tag for tags in requests.sets("tags") for tag in tags)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def latency(requests: Requests) -> tuple[Spread, ...]:
    """Return the latency from intended arrival over all answered requests (first) and by intent, none scripted."""
    counted = ~requests.scripted & ~np.isnan(requests.latency_s)
    intents = np.array(requests.text("intent"), dtype=object)
    spreads = [spread("all", requests.latency_s[counted])]
    for intent in sorted(set(intents)):
        spreads.append(spread(intent or "none", requests.latency_s[counted & (intents == intent)]))
    return tuple(each for each in spreads if each is not None)


def cost(requests: Requests) -> tuple[Spread, ...]:
    """Return the cost in USD of a request over all (first) and by outcome; scripted ones stay out."""
    counted = ~requests.scripted
    spent = requests.rows["cost_usd"]
    spreads = [spread("all", spent[counted])]
    spreads += [spread(outcome.value, spent[counted & requests.is_outcome(outcome)]) for outcome in OUTCOMES]
    return tuple(each for each in spreads if each is not None)


def cost_per_resolved_usd(requests: Requests) -> float | None:
    """Return what all unscripted requests cost, divided by those that were resolved; None if none was."""
    counted = ~requests.scripted
    resolved = int((counted & requests.is_outcome(Outcome.RESOLVED)).sum())
    return float(requests.rows["cost_usd"][counted].sum()) / resolved if resolved else None


def amplification(requests: Requests) -> tuple[Amplification, ...]:
    """Return the amplification over all operations (first) and of each; scripted requests stay out."""
    total = CallCounts()
    for each in requests.calls.values():
        total.logical += each.logical
        total.physical += each.physical
        total.retries += each.retries
        total.worst = max(total.worst, each.worst)
    rows = [("all", total), *requests.calls.items()]
    return tuple(_amplified(operation, counts) for operation, counts in rows if counts.logical)


def _amplified(operation: str, counts: CallCounts) -> Amplification:
    first_tries = max(counts.physical - counts.retries, 1)
    return Amplification(
        operation=operation,
        logical=counts.logical,
        physical=counts.physical,
        ratio=counts.physical / counts.logical,
        by_agent=first_tries / counts.logical,
        by_retries=counts.physical / first_tries,
        worst=counts.worst,
    )


def recovery(requests: Requests) -> tuple[Recovery, ...]:
    """Return the recovery times over all services (first) and of each."""
    services = np.array(requests.recovery_services, dtype=object)
    rows = [("all", requests.recovery_s)]
    rows += [(service, requests.recovery_s[services == service]) for service in sorted(set(services))]
    return tuple(_recovered(service, times) for service, times in rows if len(times))


def _recovered(service: str, times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Recovery:
    recovered = times[times >= 0.0]
    return Recovery(
        service=service,
        n=len(recovered),
        censored=len(times) - len(recovered),
        p50_s=quantile(recovered, 0.5) if len(recovered) else None,
        p95_s=quantile(recovered, 0.95) if len(recovered) else None,
        max_s=float(recovered.max()) if len(recovered) else None,
    )


def changes(requests: Requests) -> tuple[ChangePoint, ...]:
    """Return where the failure rate changes along the index, over requests that settled and are not scripted."""
    counted = requests.settled & ~requests.scripted
    failed = requests.failed[counted]
    indices = requests.rows["index"][counted]
    places = change_points(failed)
    edges = [0, *places, len(failed)]
    rates = [float(failed[start:stop].mean()) for start, stop in pairwise(edges) if stop > start]
    return tuple(
        ChangePoint(index=int(indices[place]), before=rates[at], after=rates[at + 1]) for at, place in enumerate(places)
    )


def strip(requests: Requests, bins: int = STRIP_BINS) -> tuple[StripBin, ...]:
    """Return the range of indices in at most `bins` stretches of equal length, each with the worst that happened."""
    rows = requests.rows
    if not len(rows):
        return ()
    last_index = int(rows["index"][-1])
    bins = min(bins, last_index)
    edges = [last_index * at // bins for at in range(bins + 1)]
    stops = np.searchsorted(rows["index"], edges, side="right")
    modes = requests.text("mode")
    found = []
    for at in range(bins):
        start, stop = int(stops[at]), int(stops[at + 1])
        counts = np.bincount(rows["outcome"][start:stop], minlength=len(OUTCOMES))
        worst = min((OUTCOMES[code] for code in np.flatnonzero(counts)), key=_GRAVITY.__getitem__, default=None)
        of_worst = [] if worst is None else [row for row in range(start, stop) if requests.outcome_of(row) is worst]
        found.append(
            StripBin(
                first=edges[at] + 1,
                last=edges[at + 1],
                worst="" if worst is None else worst.value,
                mode=modes[of_worst[0]] if of_worst else "",
                requests=stop - start,
                failures=int(requests.failed[start:stop].sum()),
                scripted=int(requests.scripted[start:stop].sum()),
                outcomes={OUTCOMES[code].value: int(counts[code]) for code in np.flatnonzero(counts)},
            )
        )
    return tuple(found)


def matrix(requests: Requests) -> tuple[MatrixCell, ...]:
    """Return what became of requests by fault and tool, sorted by both."""
    cells = []
    for (fault, tool), cell in requests.cells.items():
        counts = dict(zip(OUTCOMES, cell.by_outcome or (), strict=False))
        cells.append(
            MatrixCell(
                fault=fault,
                tool=tool,
                calls=cell.calls,
                seen=cell.seen,
                requests=sum(counts.values()),
                resolved=counts.get(Outcome.RESOLVED, 0),
                escalated=counts.get(Outcome.ESCALATED, 0),
                failed=sum(count for outcome, count in counts.items() if outcome.is_failure),
                scripted=cell.scripted,
            )
        )
    return tuple(cells)


def not_exercised(faults: Iterable[FaultDelivery]) -> tuple[str, ...]:
    """Return the fault models that were delivered to no call, required or armed."""
    return tuple(fault.id for fault in faults if not fault.delivered)


def baseline(requests: Requests, *, digest: str, gates: Iterable[GateResult] = (), wall_s: float = 0.0) -> Baseline:
    """Return what the fault-free run of the same seed comes to; the gates it failed make the steady state broken."""
    spread_of_latency, spread_of_cost = latency(requests), cost(requests)
    return Baseline(
        requests=len(requests),
        digest=digest,
        outcomes=outcomes(requests),
        broken_gates=tuple(gate.expression for gate in gates if gate.status == "fail"),
        latency_p95_s=spread_of_latency[0].p95 if spread_of_latency else None,
        cost_mean_usd=spread_of_cost[0].mean if spread_of_cost else None,
        wall_s=wall_s,
    )


def summarise(
    requests: Requests,
    *,
    scenario: str,
    title: str,
    seed: int,
    agent: str,
    digest: str,
    faults: Iterable[FaultDelivery],
    gates: Iterable[GateResult],
    verdict: RunVerdict,
    virtual_s: float,
    wall_s: float,
    baseline: Baseline | None = None,
    interrupted: bool = False,
    strip_bins: int = STRIP_BINS,
) -> RunResult:
    """Return the finished result of a run."""
    delivery = tuple(faults)
    counted: Mapping[str, int] = outcomes(requests)
    return RunResult(
        scenario=scenario,
        title=title,
        seed=seed,
        agent=agent,
        requests=len(requests),
        digest=digest,
        outcomes=counted,
        failure_modes=failure_modes(requests),
        faults=delivery,
        gates=tuple(gates),
        verdict=verdict,
        latency=latency(requests),
        cost=cost(requests),
        cost_per_resolved_usd=cost_per_resolved_usd(requests),
        amplification=amplification(requests),
        recovery=recovery(requests),
        change_points=changes(requests),
        strip=strip(requests, strip_bins),
        matrix=matrix(requests),
        examples=tuple(each for each in requests.examples if Outcome(each.outcome).is_failure),
        tags=tag_counts(requests),
        scripted=tuple(int(index) for index in requests.rows["index"][requests.scripted]),
        not_exercised=not_exercised(delivery),
        virtual_s=virtual_s,
        wall_s=wall_s,
        baseline=baseline,
        interrupted=interrupted,
        covers=COVERS,
        not_judged=requests.not_judged,
    )
