"""Two agents on the same requests and draws: what became of each, where they part, which valve made the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from pagerproof.metrics.expectations import BROKEN
from pagerproof.metrics.result import FailureMode, GateResult, RunResult
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
from pagerproof.reporting.summary import GATE_MARKS, STYLES, VERDICT_STYLES, replay_command, show_observed, words

_STYLES = {outcome.value: style for outcome, style in STYLES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one request ended for one agent."""

    outcome: str
    mode: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spotlight:
    """One request as both agents left it."""

    index: int
    left: Ended
    right: Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Where two runs of the same requests part.

    `pairs`: (left outcome, right outcome, count, first indices) of the requests whose outcomes differ. `by_valve`:
    (valve, count, first indices) of those among them where the valve acted.
    """

    pairs: tuple[tuple[str, str, int, tuple[int, ...]], ...] = ()
    by_valve: tuple[tuple[str, int, tuple[int, ...]], ...] = ()
    spotlight: Spotlight | None = None

    @property
    def count(self) -> int:
        """Requests whose outcomes differ."""
        return sum(count for _, _, count, _ in self.pairs)


def print_side_by_side(
    console: Console,
    left: RunResult,
    right: RunResult,
    differences: Differences,
    *,
    left_run: str = "",
    right_run: str = "",
) -> None:
    """Print both results in two columns, then where they part; `left_run` and `right_run` are the runs' folders."""
    _heading(console, left, right)
    _outcomes(console, left, right)
    _modes(console, left, right)
    _gates(console, left, right)
    _pairs(console, left, right, differences)
    _valves(console, differences)
    if differences.spotlight is not None:
        _spotlight(console, left, right, differences.spotlight)
    _next(console, left, right, differences, left_run, right_run)


def _heading(console: Console, left: RunResult, right: RunResult) -> None:
    print_lines(console, Text(visible(left.title), style="bold"))
    same = "the same customers, words and draws" if left.seed == right.seed else "NOT the same draws: two seeds"
    text = f"{left.agent} and {right.agent}: {left.requests:,} requests each, seed {left.seed}, {same}\n"
    print_lines(console, Text(visible(text.rstrip()) + "\n"))


def _columns(first: str, left: RunResult, right: RunResult) -> list[Column]:
    return [
        Column(name=first, flexible=True),
        Column(name=visible(left.agent), right=True, flexible=len(left.agent) > 20),
        Column(name=visible(right.agent), right=True, flexible=len(right.agent) > 20),
    ]


def _outcomes(console: Console, left: RunResult, right: RunResult) -> None:
    rows: list[list[Text | str]] = []
    for outcome in Outcome:
        counts = [result.outcomes.get(outcome.value, 0) for result in (left, right)]
        if any(counts):
            rows.append(
                [
                    Text(words(outcome.value), style=STYLES[outcome]),
                    *(_share(count, result.requests) for count, result in zip(counts, (left, right), strict=True)),
                ]
            )
    verdicts = [
        Text(each.verdict.word.upper(), style=VERDICT_STYLES.get(each.verdict.word, "bold")) for each in (left, right)
    ]
    broke = [result.tags.get(BROKEN, 0) for result in (left, right)]
    if any(broke):
        shares = (_share(count, result.requests) for count, result in zip(broke, (left, right), strict=True))
        rows.append(["broke what a fault model expects", *shares])
    rows.append([Text("verdict", style="bold"), *verdicts])
    print_table(console, "What became of the requests", _columns("outcome", left, right), rows)


def _share(count: int, requests: int) -> str:
    return f"{count:,} ({count / max(requests, 1):.2%})" if count else SEPARATOR


def _modes(console: Console, left: RunResult, right: RunResult) -> None:
    tables = [{(each.mode, each.outcome): each for each in result.failure_modes} for result in (left, right)]
    keys = list(dict.fromkeys(key for table in tables for key in table))
    if not keys:
        return
    order = {outcome.value: rank for rank, outcome in enumerate(Outcome)}
    keys.sort(key=lambda key: order[key[1]])  # stable: within an outcome, as the results rank them
    rows: list[list[Text | str]] = [
        [Text(visible(words(mode)), style=_STYLES[outcome]), *(_first(table.get((mode, outcome))) for table in tables)]
        for mode, outcome in keys
    ]
    print_table(console, "Failure modes: requests, and the first index", _columns("failure mode", left, right), rows)


def _first(mode: FailureMode | None) -> str:
    return SEPARATOR if mode is None else f"{mode.count:,}, first {mode.first_index}"


def _gates(console: Console, left: RunResult, right: RunResult) -> None:
    tables = [{gate.expression: gate for gate in result.gates} for result in (left, right)]
    expressions = list(dict.fromkeys(expression for table in tables for expression in table))
    if expressions:
        rows = [[each, *(_gate(table.get(each)) for table in tables)] for each in expressions]
        print_table(console, "Gates", _columns("gate", left, right), rows)


def _gate(gate: GateResult | None) -> Text | str:
    if gate is None:
        return SEPARATOR
    mark, style = GATE_MARKS[gate.status]
    if gate.observed is None:
        return Text("no samples", style=style)
    observed = show_observed(gate).partition(" of ")[0]
    return Text.assemble((mark, style), f" {observed}")


def _pairs(console: Console, left: RunResult, right: RunResult, differences: Differences) -> None:
    if not differences.pairs:
        print_lines(console, Text("They end alike at every index.\n", style="bold"))
        return
    requests = min(left.requests, right.requests)
    rows: list[list[Text | str]] = [
        [_named(before), _named(after), f"{count:,}", _listed(indices, count)]
        for before, after, count, indices in differences.pairs
    ]
    print_table(
        console,
        f"They differ at {differences.count:,} of {requests:,} indices",
        [
            Column(name=visible(left.agent)),
            Column(name=visible(right.agent)),
            Column(name="requests", right=True),
            Column(name="first at", flexible=True),
        ],
        rows,
    )


def _named(outcome: str) -> Text:
    return Text(words(outcome), style=_STYLES.get(outcome, ""))


def _listed(indices: Sequence[int], count: int) -> str:
    return " ".join(str(index) for index in indices) + (" …" if count > len(indices) else "")


def _valves(console: Console, differences: Differences) -> None:
    if not differences.pairs:
        return
    if not differences.by_valve:
        print_lines(console, Text("No valve acted where they differ.\n"))
        return
    print_table(
        console,
        "Which valve acted there",
        [Column(name="valve"), Column(name="requests", right=True), Column(name="first at", flexible=True)],
        [[words(valve), f"{count:,}", _listed(indices, count)] for valve, count, indices in differences.by_valve],
    )


def _spotlight(console: Console, left: RunResult, right: RunResult, spotlight: Spotlight) -> None:
    print_lines(console, Text(f"Request {spotlight.index:,}", style="bold"))
    lead_columns = max(len(visible(each.agent)) for each in (left, right)) + 4
    for result, ended in ((left, spotlight.left), (right, spotlight.right)):
        lead = Text(f"  {visible(result.agent)}".ljust(lead_columns))
        print_hanging(console, lead, _ended(ended), style=_STYLES.get(ended.outcome, ""), indent=min(lead_columns, 16))
    console.print()


def _ended(ended: Ended) -> str:
    named = ", ".join(words(each) for each in dict.fromkeys((ended.outcome, ended.mode)) if each)
    return f"{named}: {ended.message}" if ended.message else named


def _next(
    console: Console, left: RunResult, right: RunResult, differences: Differences, left_run: str, right_run: str
) -> None:
    index = _index_to_see(differences, left)
    for result, folder in ((left, left_run), (right, right_run)):
        print_lines(console, Text(f"see it again with {visible(result.agent)}"))
        print_command(console, "  ", replay_command(index, folder))


def _index_to_see(differences: Differences, left: RunResult) -> int:
    if differences.spotlight is not None:
        return differences.spotlight.index
    pairs = [each for each in differences.pairs if each[3]]
    failed = [each for each in pairs if Outcome(each[0]).is_failure]
    return (failed or pairs)[0][3][0] if pairs else left.requests
