"""A finished run on the terminal: details first, and on the last screen where it broke, how, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.text import Text

from pagerproof.metrics.result import GateResult, NetworkUse, Replications, RunResult, Spread, StripBin
from pagerproof.model import Outcome
from pagerproof.reporting.layout import (
    SEPARATOR,
    Column,
    print_command,
    print_hanging,
    print_lines,
    print_table,
    visible,
)
from pagerproof.units import show_duration

STYLES = {
    Outcome.FAILED_SILENT: "bold red",
    Outcome.CRASHED: "red",
    Outcome.RUNAWAY: "magenta",
    Outcome.FAILED_LOUD: "yellow",
    Outcome.ABANDONED: "cyan",
    Outcome.LATE: "blue",
    Outcome.ESCALATED: "white",
    Outcome.UNSETTLED: "dim",
    Outcome.RESOLVED: "green",
}
VERDICT_STYLES = {"go": "bold green", "no-go": "bold red", "inconclusive": "bold yellow", "baseline": "bold cyan"}
GATE_MARKS = {"pass": ("pass", "green"), "fail": ("FAIL", "bold red"), "no_samples": ("none", "yellow")}
_SHADES = " ░▒▓█"
_ASCII_SHADES = " .:*#"
_LABEL_COLUMNS = 22
_INDICES_SHOWN = 6
_INTENTS_SHOWN = 3
_CELLS_SHOWN = 8
_EXAMPLES_SHOWN = 5


def print_summary(console: Console, result: RunResult, *, run_folder: str = "") -> None:
    """Print everything that the result holds, the most needed last."""
    _heading(console, result)
    _delivery(console, result)
    _expectations(console, result)
    _matrix(console, result)
    if result.network is not None:
        _network(console, result.network)
    _figures(console, result)
    _strip(console, result)
    _modes(console, result)
    if result.replications is not None:
        print_replications(console, result.replications)
    _examples(console, result, run_folder)
    _gates(console, result.gates)
    _verdict(console, result)
    _next(console, result, run_folder)


def words(name: str) -> str:
    """Return an outcome or mode as words."""
    return name.replace("_", " ")


def _heading(console: Console, result: RunResult) -> None:
    print_lines(console, Text(visible(result.title), style="bold"))
    print_lines(
        console,
        Text(
            f"{visible(result.scenario)}: {result.requests:,} requests through {visible(result.agent)}, "
            f"seed {result.seed}, {show_duration(result.virtual_s)} of virtual time in {show_duration(result.wall_s)}"
        ),
    )
    print_lines(console, Text(f"digest {visible(result.digest)}\n", style="dim"))


_DELIVERY = ("eligible", "drawn", "limited", "preempted", "cancelled", "delivered", "seen", "unread", "scripted")


def _delivery(console: Console, result: RunResult) -> None:
    if not result.faults:
        return
    numbers = [name for name in _DELIVERY if any(getattr(row, name) for row in result.faults)]
    print_table(
        console,
        "Delivery of faults (drawn = limited + preempted + cancelled + delivered)",
        [Column(name="fault model"), *(Column(name=name, right=True) for name in numbers), Column(name="evidence")],
        [
            [
                row.id,
                *(f"{getattr(row, name):,}" if getattr(row, name) else SEPARATOR for name in numbers),
                row.evidence,
            ]
            for row in result.faults
        ],
    )
    never = [name for name in _DELIVERY if name not in numbers]
    if never:
        print_lines(console, Text(f"of all of them: none {', none '.join(never)}\n", style="dim"))
    if result.not_exercised:
        print_hanging(console, Text("not exercised: "), ", ".join(result.not_exercised), style="yellow", indent=2)
        console.print()


def _expectations(console: Console, result: RunResult) -> None:
    """Print which invariants of fault models broke, and which facts were never reached."""
    stated = [(row.id, each) for row in result.faults for each in row.expectations]
    broken = [(fault, each) for fault, each in stated if each.status == "violated"]
    if broken:
        print_table(
            console,
            "What fault models expect always, and what struck requests broke",
            [
                Column(name="fault model"),
                Column(name="always"),
                Column(name="broken by", right=True),
                Column(name="blamed", right=True),
                Column(name="scripted", right=True),
                Column(name="first", right=True),
                Column(name="unscripted", right=True),
            ],
            [
                [
                    fault,
                    Text(visible(each.name), style="red"),
                    f"{each.count:,} of {each.struck:,}",
                    f"{each.blamed:,}" if each.blamed else SEPARATOR,
                    f"{each.scripted:,}" if each.scripted else SEPARATOR,
                    str(each.first_index),
                    SEPARATOR if each.first_unscripted is None else str(each.first_unscripted),
                ]
                for fault, each in broken
            ],
        )
    elif any(each.status == "held" for _, each in stated):
        print_lines(console, Text("what fault models expect always held for every struck request"))
    unreached = [f"{each.name} ({fault})" for fault, each in stated if each.status == "not reached"]
    if unreached:
        print_hanging(
            console, Text("expected sometimes, and never reached: "), ", ".join(unreached), style="yellow", indent=2
        )
    if stated:
        console.print()


def _matrix(console: Console, result: RunResult) -> None:
    if not result.matrix:
        return
    ranked = sorted(result.matrix, key=lambda cell: (-cell.failed, -cell.requests, cell.fault, cell.tool))
    shown = [cell for cell in ranked if cell.requests][:_CELLS_SHOWN]
    names = ("requests", "resolved", "escalated", "failed")
    print_table(
        console,
        "Faults by tool: requests that met them, and what became of those (scripted ones apart)",
        [Column(name="fault"), Column(name="tool"), *(Column(name=name, right=True) for name in names)],
        [
            [
                cell.fault,
                cell.tool,
                f"{cell.requests:,}",
                f"{cell.resolved:,}",
                f"{cell.escalated:,}",
                Text(f"{cell.failed:,}", style="red" if cell.failed else "dim"),
            ]
            for cell in shown
        ],
    )
    if len(ranked) > len(shown):
        print_lines(console, Text(f"… and {len(ranked) - len(shown):,} more cells in the JSON document\n", style="dim"))


def _figures(console: Console, result: RunResult) -> None:
    rows: list[list[Text | str]] = []
    whole, *by_intent = result.latency or [None]
    slowest = sorted(by_intent, key=lambda spread: -spread.p95)[:_INTENTS_SHOWN]
    for spread in [each for each in (whole, *slowest) if each is not None]:
        rows.append([f"latency, {words(spread.label)}", f"{spread.n:,}", *_quantiles(spread, show_duration)])
    for spread in result.cost:
        rows.append([f"cost, {words(spread.label)}", f"{spread.n:,}", *_quantiles(spread, "{:.4f} $".format)])
    for recovery in result.recovery:
        if recovery.service == "all":
            times = (recovery.p50_s, recovery.p95_s, None, recovery.max_s)
            shown = [SEPARATOR if value is None else show_duration(value) for value in times]
            rows.append([f"recovery ({recovery.censored:,} never)", f"{recovery.n:,}", *shown])
    if rows:
        quantiles = (Column(name=name, right=True) for name in ("n", "p50", "p95", "p99", "max"))
        print_table(console, "Figures", [Column(name=""), *quantiles], rows)
    if result.cost_per_resolved_usd is not None:
        print_lines(console, Text(f"cost per resolved request: {result.cost_per_resolved_usd:.4f} USD"))
    worst = sorted(result.amplification, key=lambda each: -each.ratio)[:3]
    if worst:
        text = ", ".join(f"{each.operation} ×{each.ratio:.2f} (worst request ×{each.worst:.0f})" for each in worst)
        print_hanging(console, Text("retry amplification: "), text, indent=2)
    if result.baseline is not None:
        base = result.baseline
        good = base.outcomes.get("resolved", 0) / max(base.requests, 1)
        text = f"{good:.1%} resolved (made in {show_duration(base.wall_s)}, cached)"
        print_hanging(console, Text("without faults, same seed: "), text, indent=2)
    console.print()


def _quantiles(spread: Spread, show: Callable[[float], str]) -> list[str]:
    return [show(value) for value in (spread.p50, spread.p95, spread.p99, spread.max)]


def _strip(console: Console, result: RunResult) -> None:
    """One lane per outcome over the whole index range; a column's shade is the share of its requests."""
    if not result.strip:
        return
    columns = max(8, min(len(result.strip), console.width - _LABEL_COLUMNS - 1))
    bins = _merged(result.strip, columns)
    unicode = console.encoding.lower().startswith("utf")
    shades = _SHADES if unicode else _ASCII_SHADES
    console.print(Text("Outcomes by request index", style="bold"))
    for outcome in Outcome:
        count = result.outcomes.get(outcome.value, 0)
        if not count:
            continue
        cells = "".join(_shade(shades, each.outcomes.get(outcome.value, 0), each.requests) for each in bins)
        label = f"{words(outcome.value):<14}{count:>7,} "
        console.print(Text.assemble(label, (cells, STYLES[outcome])), soft_wrap=True)
    marks = [" "] * len(bins)
    for change in result.change_points:
        marks[_column_of(bins, change.index)] = "^"
    for index in result.scripted:
        marks[_column_of(bins, index)] = "s"
    if "".join(marks).strip():
        console.print(f"{'':<{_LABEL_COLUMNS}}{''.join(marks)}".rstrip(), soft_wrap=True)
    last = f"{result.strip[-1].last:,}"
    first = f"{result.strip[0].first:,}"
    axis = f"{first}{last:>{max(len(bins) - len(first), len(last) + 1)}}"
    console.print(f"{'index':<{_LABEL_COLUMNS}}{axis}", soft_wrap=True)
    for change in result.change_points:
        text = f"at {change.index:,} the failure rate goes from {change.before:.2%} to {change.after:.2%}"
        print_hanging(console, Text("  ^ "), text)
    if result.scripted:
        listed = ", ".join(f"{index:,}" for index in result.scripted)
        print_hanging(console, Text("  s "), f"scripted, outside of rates and change points: {listed}")
    console.print()


def _merged(bins: Sequence[StripBin], columns: int) -> list[StripBin]:
    """Return at most `columns` bins by joining neighbours: a matter of width, not of meaning."""
    if len(bins) <= columns:
        return list(bins)
    joined = []
    for column in range(columns):
        group = bins[column * len(bins) // columns : (column + 1) * len(bins) // columns]
        outcomes: dict[str, int] = {}
        for each in group:
            for name, count in each.outcomes.items():
                outcomes[name] = outcomes.get(name, 0) + count
        joined.append(
            StripBin(
                first=group[0].first,
                last=group[-1].last,
                worst=group[0].worst,
                mode=group[0].mode,
                requests=sum(each.requests for each in group),
                failures=sum(each.failures for each in group),
                scripted=sum(each.scripted for each in group),
                outcomes=outcomes,
            )
        )
    return joined


def _shade(shades: str, count: int, requests: int) -> str:
    if not count:
        return shades[0]
    share = count / max(requests, 1)
    return shades[1 + sum(share > limit for limit in (0.05, 0.20, 0.60))]


def _column_of(bins: Sequence[StripBin], index: int) -> int:
    for column, each in enumerate(bins):
        if index <= each.last:
            return column
    return len(bins) - 1


def _modes(console: Console, result: RunResult) -> None:
    if not result.failure_modes:
        console.print("no failure\n")
        return
    print_table(
        console,
        "Failure modes by request index",
        [
            Column(name="failure mode"),
            Column(name="outcome"),
            Column(name="requests", right=True),
            Column(name="first", right=True),
            Column(name="unscripted", right=True),
            Column(name="indices", flexible=True),
        ],
        [
            [
                Text(visible(words(each.mode)), style=STYLES[Outcome(each.outcome)]),
                words(each.outcome),
                f"{each.count:,}",
                str(each.first_index),
                SEPARATOR if each.first_unscripted is None else str(each.first_unscripted),
                _few(each.indices),
            ]
            for each in result.failure_modes
        ],
    )


def print_replications(console: Console, replications: Replications) -> None:
    """Print where each mode first appears on its own, over other seeds and without what is scripted."""
    seeds = len(replications.seeds)
    if not replications.appearances:
        text = f"no failure on its own, over {seeds} seeds of {replications.requests:,} requests without the script\n"
        print_lines(console, Text(text))
        return
    print_table(
        console,
        f"First appearance on its own, over {seeds} seeds of {replications.requests:,} requests without the script",
        [
            Column(name="failure mode"),
            Column(name="seeds", right=True),
            Column(name="earliest", right=True),
            Column(name="median", right=True),
            Column(name="latest", right=True),
        ],
        [
            [
                Text(words(each.mode), style=STYLES[Outcome(each.outcome)]),
                f"{each.seeds} of {seeds}",
                f"{each.first_min:,}",
                f"{each.first_median:,}",
                f"{each.first_max:,}",
            ]
            for each in replications.appearances
        ],
    )
    if not replications.current:
        text = "measured with other versions of the inputs; 'pagerproof campaign' measures again\n"
        print_lines(console, Text(text, style="yellow"))


def _few(indices: Iterable[int]) -> str:
    listed = list(indices)
    text = " ".join(str(index) for index in listed[:_INDICES_SHOWN])
    return text + (" …" if len(listed) > _INDICES_SHOWN else "")


def _examples(console: Console, result: RunResult, run_folder: str) -> None:
    if not result.examples:
        return
    console.print(Text("Look at these first", style="bold"))
    for each in result.examples[:_EXAMPLES_SHOWN]:
        because = f" [after {', '.join(each.faults)}]" if each.faults else ""
        scripted = " (scripted)" if each.scripted else ""
        print_hanging(console, Text(f"  {each.index}{scripted}: "), f"{each.message}{because}", indent=4)
        print_command(console, "    ", replay_command(each.index, run_folder))
    console.print()


def replay_command(index: int, run_folder: str) -> str:
    """Return what to type to see a request of a run again."""
    return f"pagerproof replay {index}" + (f" --run {shlex.quote(run_folder)}" if run_folder else "")


def _gates(console: Console, gates: Sequence[GateResult]) -> None:
    for gate in gates:
        mark, style = GATE_MARKS[gate.status]
        notes = ", ".join(
            note for note in (gate.source, gate.evidence, "model input" if gate.model_input else "") if note
        )
        lead = Text.assemble((f"  {mark} ", style))
        print_hanging(console, lead, f"{gate.expression}   observed {show_observed(gate)}   ({notes})")
    if gates:
        console.print()


def show_observed(gate: GateResult) -> str:
    """Return the observed value in the unit of its gate."""
    if gate.observed is None:
        return "no samples"
    shown = {
        "%": f"{gate.observed:.3%}",
        "s": show_duration(gate.observed),
        "USD": f"{gate.observed:.4f} USD",
    }.get(gate.unit, f"{gate.observed:g}")
    return f"{shown} of {gate.n:,}"


def _network(console: Console, network: NetworkUse) -> None:
    """Print what the agent's tools were taken for, and what went over the network beside answered requests."""
    if network.tools:
        rows = [
            [Text(visible(use.tool)), Text(", ".join(use.operations) or use.role), f"{use.sure:.0%}", Text(use.why)]
            for use in network.tools
        ]
        columns = [
            Column(name="the agent's tool"),
            Column(name="was taken for", flexible=True),
            Column(name="sure", right=True),
            Column(name="by", flexible=True),
        ]
        print_table(console, "Tools, as the simulated model understood them", columns, rows)
    for host, count in network.strangers.items():
        text = f"{visible(host)} was asked for {count:,} time{'s' * (count != 1)}, and nobody serves it"
        print_hanging(console, Text("  unknown host  ", style="yellow"), text)
    for operation, count in network.unattributed.items():
        text = f"{operation} was called {count:,} time{'s' * (count != 1)} by code that works for no request (index 0)"
        print_hanging(console, Text("  unattributed  ", style="yellow"), text)


def _verdict(console: Console, result: RunResult) -> None:
    word = result.verdict.word
    lead = Text.assemble((word.upper(), VERDICT_STYLES.get(word, "bold")), "  ")
    print_hanging(console, lead, result.verdict.heading)
    for reason in result.verdict.reasons:
        print_hanging(console, Text("  - "), reason)
    if result.covers:
        print_hanging(console, Text(), result.covers, style="dim")
    for criterion, count in result.not_judged.items():
        text = f"not judged: {criterion}, which {count:,} of the {result.requests:,} requests carry"
        print_hanging(console, Text("  "), text, style="yellow")
    if result.interrupted:
        text = "this run was cut short: its figures cover what had settled"
        print_hanging(console, Text("  "), text, style="yellow")


def _next(console: Console, result: RunResult, run_folder: str) -> None:
    if not run_folder:
        return
    console.print()
    print_command(console, "run        ", run_folder)
    print_command(console, "see again  ", f"pagerproof report {shlex.quote(run_folder)}")
    index = _index_to_see(result)
    if index is not None:
        print_command(console, "replay     ", replay_command(index, run_folder))


def _index_to_see(result: RunResult) -> int | None:
    """Return a request worth a replay; None where a run that was cut short offers none that is sure to have settled."""
    failed = result.examples[0].index if result.examples else None
    if result.interrupted:
        return failed
    return result.scripted[-1] if result.scripted else failed or result.requests
