"""One request's timeline on a terminal, from what the customer wrote to the proof that it is the same request."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pagerproof.events import CALL, KIND, TIME, Event
from pagerproof.model import Finding
from pagerproof.reporting.layout import print_command, print_hanging, print_lines, visible
from pagerproof.reporting.summary import STYLES, words
from pagerproof.reporting.timeline import Line, Replay, expected_lines, heading_lines, ledger_lines, timeline_lines

KIND_STYLES = {
    "request": "bold",
    "model": "blue",
    "tool": "cyan",
    "truth": "yellow",
    "fault": "bold red",
    "bad": "red",
    "ledger": "green",
    "valve": "magenta",
    "note": "dim",
    "reply": "bold green",
}
_ALIGNED_FROM_COLUMNS = 100
_LABEL_COLUMNS = 24
_DIGEST_SHOWN = 12
_EVENTS_SHOWN = 8
_HEADING_COLUMNS = 10


def print_replay(console: Console, replay: Replay, *, command: str) -> None:
    """Print the whole replay; `command` is what to type to see it again (nothing is said where it is empty)."""
    print_lines(console, Text(f"Request {replay.case.index:,}", style="bold"))
    for label, text in heading_lines(replay):
        print_hanging(console, Text(f"{label:<{_HEADING_COLUMNS}}"), text)
    _timeline(console, replay)
    _section(console, "What had to be true", expected_lines(replay.case))
    _section(console, "What the ledgers hold", ledger_lines(replay.case))
    _said(console, replay)
    _verdict(console, replay)
    _proof(console, replay)
    if command:
        print_command(console, "see again  ", command)


def _timeline(console: Console, replay: Replay) -> None:
    _title(console, "What happened")
    lines = timeline_lines(replay.case)
    if not lines:
        print_lines(console, Text("  nothing was recorded"))
        return
    columns = max(len(_offset(line.offset_s)) for line in lines)
    for line in lines:
        _print_line(console, line, columns)


def _print_line(console: Console, line: Line, offset_columns: int) -> None:
    style = KIND_STYLES.get(line.kind, "")
    offset = f"{_offset(line.offset_s):>{offset_columns}}  "
    label = visible(line.label)
    lead = Text.assemble((offset, "dim"), (label, style))
    indent = len(offset) + 2
    if console.width >= _ALIGNED_FROM_COLUMNS:
        indent = len(offset) + _LABEL_COLUMNS
    lead.append(" " * max(2, indent - cell_len(lead.plain)))
    if console.width < _ALIGNED_FROM_COLUMNS:
        _print_inline(console, lead, line.text, indent)
    else:
        print_hanging(console, lead, line.text, style=_text_style(line.kind))


def _print_inline(console: Console, lead: Text, text: str, indent: int) -> None:
    """Print the text behind its label where it fits on that line, else below the label."""
    if cell_len(lead.plain) + cell_len(visible(text)) <= console.width:
        print_hanging(console, lead, text)
    else:
        lead.rstrip()
        console.print(lead, soft_wrap=True)
        print_hanging(console, Text(" " * indent), text)


def _text_style(kind: str) -> str:
    return "dim" if kind == "note" else ""


def _offset(seconds: float) -> str:
    return f"{seconds:+,.3f} s"


def _title(console: Console, title: str) -> None:
    console.print()
    print_lines(console, Text(title, style="bold"))


def _section(console: Console, title: str, lines: Sequence[str]) -> None:
    _title(console, title)
    for line in lines:
        print_hanging(console, Text("  "), line)


def _said(console: Console, replay: Replay) -> None:
    reply = replay.case.reply
    if reply is None:
        ended = replay.case.crash or (f"stopped at {replay.case.stopped}" if replay.case.stopped else "")
        _section(console, "What the agent said", [f"nothing: {ended}" if ended else "nothing"])
        return
    reason = f" ({reply.reason})" if reply.reason else ""
    lines = [f"{words(reply.status.value)}{reason}:", *(reply.text.splitlines() or ["(an empty reply)"])]
    _section(console, "What the agent said", [line for line in lines if line.strip()])


def _verdict(console: Console, replay: Replay) -> None:
    verdict = replay.verdict
    _title(console, "Verdict")
    outcome = Text(f"  {words(verdict.outcome.value)}", style=STYLES[verdict.outcome])
    rest = f", {words(verdict.mode)}" if verdict.mode not in ("", verdict.outcome.value) else ""
    also = f" (also: {', '.join(words(tag) for tag in verdict.tags)})" if verdict.tags else ""
    if rest or also:
        print_hanging(console, outcome, rest + also, indent=4)
    else:
        print_lines(console, outcome)
    for finding in verdict.findings:
        print_hanging(console, Text("  - "), f"{words(finding.mode)}: {finding.message}")
        for label, text in _evidence(replay, finding):
            print_hanging(console, Text(f"    {label} ", style="dim"), text, indent=6)


def _evidence(replay: Replay, finding: Finding) -> list[tuple[str, str]]:
    found = [("found by", finding.oracle + (f", at {finding.tool}" if finding.tool else ""))]
    log, arrival_s = replay.case.log, replay.case.request.arrival_s
    places = [_place(position, log[position], arrival_s) for position in finding.events if 0 <= position < len(log)]
    if places:
        more = f" and {len(places) - _EVENTS_SHOWN} more" if len(places) > _EVENTS_SHOWN else ""
        found.append(("evidence", f"events {', '.join(places[:_EVENTS_SHOWN])}{more}"))
    if finding.faults:
        found.append(("caused by", ", ".join(finding.faults)))
    if finding.mast:
        found.append(("MAST", finding.mast))
    return found


def _place(position: int, event: Event, arrival_s: float) -> str:
    call = f"#{event[CALL]} " if event[CALL] else ""
    return f"{position + 1} {call}{words(event[KIND])} {_offset(event[TIME] - arrival_s)}"


def _proof(console: Console, replay: Replay) -> None:
    console.print()
    text, style = isolated_proof(replay) if replay.isolated else digest_proof(replay)
    print_hanging(console, Text(), text, style=style)


def digest_proof(replay: Replay) -> tuple[str, str]:
    """Return in words whether the replay is the recorded request, and the style of that sentence."""
    digest, recorded = _short(replay.digest), _short(replay.recorded_digest)
    if replay.same:
        return f"same request: digest {digest} equals the recorded one", "green"
    return f"NOT the same: digest {digest}, and {recorded} was recorded", "bold red"


def isolated_proof(replay: Replay) -> tuple[str, str]:
    """Return in words whether the request comes to the same without the others, and the style of that sentence."""
    if replay.same:
        return f"reproduces alone: digest {_short(replay.digest)} equals the recorded one", "green"
    if replay.reproduces:
        return "reproduces alone: the same outcome and failure mode, though not every byte", "green"
    here = _came_to(replay.verdict.outcome.value, replay.verdict.mode)
    there = _came_to(replay.recorded_outcome, replay.recorded_mode)
    return f"needs history: alone it ends as {here}, in its run as {there}", "yellow"


def _came_to(outcome: str, mode: str) -> str:
    return words(outcome) + (f" ({words(mode)})" if mode not in ("", outcome) else "")


def _short(digest: str) -> str:
    return f"{digest[:_DIGEST_SHOWN]}…" if len(digest) > _DIGEST_SHOWN else digest or "none"
