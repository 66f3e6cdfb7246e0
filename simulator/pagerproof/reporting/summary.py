"""A finished run on the terminal: details first, and on the last screen where it broke, how, and what to type next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pagerproof.metrics.result import GateResult, RunResult, Spread, StripBin
from pagerproof.model import Outcome
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
_SHADES = " ░▒▓█"
_ASCII_SHADES = " .:*#"
_LABEL_COLUMNS = 22
_INDICES_SHOWN = 6


def print_summary(console: Console, result: RunResult, *, run_folder: str = "") -> None:
    """Print everything that the result holds, the most needed last."""
    _heading(console, result)
    _delivery(console, result)
    _matrix(console, result)
    _figures(console, result)
    _strip(console, result)
    _modes(console, result)
    _examples(console, result, run_folder)
    _gates(console, result.gates)
    _verdict(console, result)
    _next(console, result, run_folder)


def words(name: str) -> str:
    """Return an outcome or mode as words."""
    return name.replace("_", " ")


def _heading(console: Console, result: RunResult) -> None:
    console.print(Text(result.title, style="bold"))
    console.print(
        f"{result.scenario}: {result.requests:,} requests through {result.agent}, seed {result.seed}, "
        f"{show_duration(result.virtual_s)} of virtual time in {show_duration(result.wall_s)}",
    )
    console.print(f"digest {result.digest}", style="dim")


def _table(title: str, *columns: tuple[str, str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in columns:
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    return table


def _delivery(console: Console, result: RunResult) -> None:
    if not result.faults:
        return
    numbers = ("eligible", "drawn", "limited", "preempted", "cancelled", "delivered", "seen", "unread", "scripted")
    table = _table(
        "Delivery of faults (drawn = limited + preempted + cancelled + delivered)",
        ("fault model", "left"),
        *((name, "right") for name in numbers),
        ("evidence", "left"),
    )
    for row in result.faults:
        figures = [f"{getattr(row, name):,}" if getattr(row, name) else "·" for name in numbers]
        table.add_row(row.id, *figures, row.evidence)
    console.print(table)
    if result.not_exercised:
        console.print(f"not exercised: {', '.join(result.not_exercised)}\n", style="yellow")


def _matrix(console: Console, result: RunResult) -> None:
    if not result.matrix:
        return
    table = _table(
        "Faults by tool: requests that met them, and what became of those (scripted ones apart)",
        ("fault", "left"),
        ("tool", "left"),
        ("calls", "right"),
        ("requests", "right"),
        ("resolved", "right"),
        ("escalated", "right"),
        ("failed", "right"),
    )
    ranked = sorted(result.matrix, key=lambda cell: (-cell.failed, -cell.requests, cell.fault, cell.tool))
    shown = [cell for cell in ranked if cell.requests][:15]
    for cell in shown:
        failed = Text(str(cell.failed), style="red" if cell.failed else "dim")
        table.add_row(
            cell.fault,
            cell.tool,
            f"{cell.calls:,}",
            f"{cell.requests:,}",
            f"{cell.resolved:,}",
            f"{cell.escalated:,}",
            failed,
        )
    console.print(table)
    if len(ranked) > len(shown):
        console.print(f"… and {len(ranked) - len(shown)} more cells in the JSON document\n", style="dim")


def _figures(console: Console, result: RunResult) -> None:
    table = _table(
        "Figures",
        ("", "left"),
        ("n", "right"),
        ("p50", "right"),
        ("p95", "right"),
        ("p99", "right"),
        ("max", "right"),
    )
    for spread in result.latency:
        table.add_row(f"latency, {words(spread.label)}", f"{spread.n:,}", *_quantiles(spread, show_duration))
    for spread in result.cost:
        table.add_row(f"cost, {words(spread.label)}", f"{spread.n:,}", *_quantiles(spread, lambda usd: f"{usd:.4f} $"))
    for recovery in result.recovery:
        if recovery.service == "all":
            table.add_row(
                f"recovery ({recovery.censored:,} never)",
                f"{recovery.n:,}",
                *(
                    "·" if value is None else show_duration(value)
                    for value in (recovery.p50_s, recovery.p95_s, None, recovery.max_s)
                ),
            )
    console.print(table)
    if result.cost_per_resolved_usd is not None:
        console.print(f"cost per resolved request: {result.cost_per_resolved_usd:.4f} USD")
    worst = sorted(result.amplification, key=lambda each: -each.ratio)[:3]
    if worst:
        text = ", ".join(f"{each.operation} ×{each.ratio:.2f} (worst request ×{each.worst:.0f})" for each in worst)
        console.print(f"retry amplification: {text}")
    if result.baseline is not None:
        base = result.baseline
        good = base.outcomes.get("resolved", 0) / max(base.requests, 1)
        console.print(f"without faults, same seed: {good:.1%} resolved (made in {show_duration(base.wall_s)}, cached)")
    console.print()


def _quantiles(spread: Spread, show: object) -> list[str]:
    assert callable(show)
    return [show(value) for value in (spread.p50, spread.p95, spread.p99, spread.max)]


def _strip(console: Console, result: RunResult) -> None:
    """One lane per outcome over the whole index range; a column's shade is the share of its requests."""
    if not result.strip:
        return
    columns = max(10, min(len(result.strip), console.width - _LABEL_COLUMNS - 1))
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
        console.print(Text.assemble(label, (cells, STYLES[outcome])), no_wrap=True, overflow="crop")
    marks = [" "] * len(bins)
    for change in result.change_points:
        marks[_column_of(bins, change.index)] = "^"
    for index in result.scripted:
        marks[_column_of(bins, index)] = "s"
    console.print(f"{'':<{_LABEL_COLUMNS}}{''.join(marks)}".rstrip(), no_wrap=True, overflow="crop")
    last = f"{result.strip[-1].last:,}"
    console.print(f"{'index':<{_LABEL_COLUMNS}}1{last:>{max(len(bins) - 1, len(last) + 1)}}", no_wrap=True)
    for change in result.change_points:
        console.print(f"  ^ at {change.index:,} the failure rate goes from {change.before:.2%} to {change.after:.2%}")
    if result.scripted:
        listed = ", ".join(f"{index:,}" for index in result.scripted)
        console.print(f"  s scripted, outside of rates and change points: {listed}")
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
    table = _table(
        "Failure modes by request index",
        ("failure mode", "left"),
        ("outcome", "left"),
        ("requests", "right"),
        ("first", "right"),
        ("first unscripted", "right"),
        ("indices", "left"),
    )
    for each in result.failure_modes:
        table.add_row(
            Text(words(each.mode), style=STYLES[Outcome(each.outcome)]),
            words(each.outcome),
            f"{each.count:,}",
            str(each.first_index),
            "·" if each.first_unscripted is None else str(each.first_unscripted),
            _few(each.indices),
        )
    console.print(table)


def _few(indices: Iterable[int]) -> str:
    listed = list(indices)
    text = " ".join(str(index) for index in listed[:_INDICES_SHOWN])
    return text + (" …" if len(listed) > _INDICES_SHOWN else "")


def _examples(console: Console, result: RunResult, run_folder: str) -> None:
    if not result.examples:
        return
    console.print(Text("Look at these first", style="bold"))
    for each in result.examples[:5]:
        because = f" [after {', '.join(each.faults)}]" if each.faults else ""
        scripted = " (scripted)" if each.scripted else ""
        console.print(Text(f"  {each.index}{scripted}: {each.message}{because}"))
        console.print(f"    pagerproof replay {each.index}{_run_option(run_folder)}", style="cyan", soft_wrap=True)
    console.print()


def _run_option(run_folder: str) -> str:
    return f" --run {run_folder}" if run_folder else ""


def _gates(console: Console, gates: Sequence[GateResult]) -> None:
    for gate in gates:
        mark, style = {"pass": ("pass", "green"), "fail": ("FAIL", "bold red")}.get(gate.status, ("none", "yellow"))
        notes = ", ".join(
            note for note in (gate.source, gate.evidence, "model input" if gate.model_input else "") if note
        )
        console.print(
            Text.assemble(
                (f"  {mark} ", style), gate.expression, f"   observed {show_observed(gate)}", (f"   ({notes})", "dim")
            )
        )
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


def _verdict(console: Console, result: RunResult) -> None:
    word = result.verdict.word
    console.print(Text.assemble((word.upper(), VERDICT_STYLES.get(word, "bold")), f"  {result.verdict.heading}"))
    for reason in result.verdict.reasons:
        console.print(Text(f"  - {reason}"))
    if result.covers:
        console.print(Text(result.covers, style="dim"))
    if result.interrupted:
        console.print(Text("  this run was cut short: its figures cover what had settled", style="yellow"))


def _next(console: Console, result: RunResult, run_folder: str) -> None:
    if not run_folder:
        return
    last = result.examples[0].index if result.examples else result.requests
    index = result.scripted[-1] if result.scripted else last
    console.print(f"\nrun        {run_folder}", soft_wrap=True)
    console.print(f"see again  pagerproof report {run_folder}", soft_wrap=True)
    console.print(f"replay     pagerproof replay {index}{_run_option(run_folder)}", soft_wrap=True)
