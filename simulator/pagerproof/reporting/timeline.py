"""One request as a readable timeline: what was asked, what truly happened, what the agent saw, said and did."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pagerproof import events
from pagerproof.model import LedgerEntry, Verdict
from pagerproof.protocols import Case
from pagerproof.units import show_duration

_TEXT_SHOWN = 600
_BODY_SHOWN = 320
_CHAT = "llm.Chat.create"
_WITHOUT_ANSWER = frozenset({events.TIMED_OUT, events.BROKE, events.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A request that was executed again, and the proof that it is the same one."""

    case: Case
    verdict: Verdict
    scenario: str
    seed: int
    agent: str
    digest: str
    recorded_digest: str
    recorded_outcome: str
    recorded_mode: str
    isolated: bool

    @property
    def same(self) -> bool:
        """Whether every byte of the request's trace is the recorded one."""
        return self.digest == self.recorded_digest

    @property
    def reproduces(self) -> bool:
        """Whether outcome and failure mode are the recorded ones."""
        return (self.verdict.outcome.value, self.verdict.mode) == (self.recorded_outcome, self.recorded_mode)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the timeline: seconds since arrival, a kind for its style, a label and its text."""

    offset_s: float
    kind: str
    label: str
    text: str


def timeline_lines(case: Case) -> list[Line]:
    """Return the request's events as lines, each answer with what the service really sent where that differs."""
    asked, real, seen = _payloads(case)
    arrival_s = case.request.arrival_s
    scripted = {(decision.fault, decision.call) for decision in case.decisions if decision.scripted}
    lines: list[Line] = []
    for event in case.log:
        time_s, kind, name, call, status, detail = event
        at = time_s - arrival_s
        if kind == events.CALLED:
            attempt = f" (attempt {status})" if status > 1 else ""
            if name == _CHAT:
                lines.append(Line(at, "model", f"#{call} ask model{attempt}", _asked_of_model(asked.get(call, b""))))
            else:
                lines.append(Line(at, "tool", f"#{call} call{attempt}", f"{name} {detail}"))
        elif kind == events.ANSWERED:
            lines.extend(_answer_lines(at, name, call, status, real, seen))
        elif kind == events.FAULT:
            mark = " (scripted)" if (name, call) in scripted else ""
            lines.append(Line(at, "fault", f"#{call} fault", f"{name}: {detail}{mark}"))
        else:
            lines.append(Line(at, *_plain(kind, name, call, detail)))
            if kind in _WITHOUT_ANSWER:
                lines.extend(_unheard(at, call, real))
    return lines


def _unheard(at: float, call: int, real: Mapping[int, list[bytes]]) -> Iterator[Line]:
    """What the service really answered to a call whose caller never heard it, now or later."""
    for truth in real.get(call, []):
        yield Line(at, "truth", f"#{call} service sent", f"{_readable(truth)} (unheard)")


def _plain(kind: str, name: str, call: int, detail: str) -> tuple[str, str, str]:
    number = f"#{call} " if call else ""
    match kind:
        case events.ARRIVED:
            return "request", "arrives", f"by {name}"
        case events.STARTED:
            return "request", "starts", "an agent worker takes the request"
        case events.TIMED_OUT:
            return "bad", f"{number}timed out", f"{name} after {detail}" if detail else name
        case events.BROKE:
            return "bad", f"{number}broke", f"{name}: {detail}"
        case events.CANCELLED:
            return "bad", f"{number}given up", f"{name}: the agent cancelled the call"
        case events.LEDGER:
            return "ledger", f"{number}ledger", f"{name} {_ledger_detail(detail)}"
        case events.VALVE:
            return "valve", "valve", f"{name}: {detail}" if detail else name
        case events.AGENT:
            return "note", "agent", f"{name}: {detail}" if detail else name
        case events.NOTE:
            return "note", "reasons", detail
        case events.REPLIED:
            return "reply", f"replies {name}", _shortened(detail, _TEXT_SHOWN)
        case events.CRASHED:
            return "bad", "crashes", detail
        case events.STOPPED:
            return "bad", "stopped", f"by the simulator's limit {name}"
        case events.LEFT:
            return "bad", "customer leaves", "patience ended before an answer came"
        case events.SETTLED:
            return "request", "settles", "answered, and the last effect is done"
    return "note", kind, f"{name} {detail}"


def _answer_lines(
    at: float, name: str, call: int, status: int, real: Mapping[int, list[bytes]], seen: Mapping[int, bytes]
) -> Iterator[Line]:
    body = seen.get(call, b"")
    if name == _CHAT:
        yield Line(at, "model", f"#{call} model says", _said_by_model(status, body))
    else:
        yield Line(at, "tool", f"#{call} agent sees {status}", _readable(body))
    for truth in real.get(call, []):
        if truth != body:
            yield Line(at, "truth", f"#{call} service sent", _readable(truth))


def _payloads(case: Case) -> tuple[dict[int, bytes], dict[int, list[bytes]], dict[int, bytes]]:
    asked: dict[int, bytes] = {}
    real: dict[int, list[bytes]] = {}
    seen: dict[int, bytes] = {}
    for call, side, body in case.payloads or ():
        if side == "asked":
            asked[call] = body
        elif side == "agent":
            seen[call] = body
        else:
            real.setdefault(call, []).append(body)
    return asked, real, seen


def _asked_of_model(request: bytes) -> str:
    try:
        document = json.loads(request)
        messages = document["messages"]
        last = messages[-1]
    except (ValueError, KeyError, IndexError, TypeError):
        return "(no conversation)"
    tools = f", {len(document.get('tools') or ())} tools" if document.get("tools") else ""
    who = f"{last.get('role')} {last.get('name', '')}".strip()
    system = _shortened(str(messages[0].get("content", "")), 80)
    return f"“{system}” ({len(messages)} messages{tools}); last, {who}: {_shortened(str(last.get('content')), 200)}"


def _said_by_model(status: int, body: bytes) -> str:
    try:
        message = json.loads(body)["choices"][0]["message"]
    except (ValueError, KeyError, IndexError, TypeError):
        return f"HTTP {status}: {_readable(body)}"
    calls = [
        f"{call['function']['name']} {call['function']['arguments']}"
        for call in message.get("tool_calls") or ()
        if isinstance(call, dict) and isinstance(call.get("function"), dict)
    ]
    text = _shortened(str(message.get("content") or ""), _BODY_SHOWN)
    return "; ".join([f"use {call}" for call in calls] + ([text] if text else [])) or "(nothing)"


def _readable(body: bytes) -> str:
    if not body:
        return "(empty body)"
    return _shortened(body.decode("utf-8", "replace"), _BODY_SHOWN)


def _shortened(text: str, limit: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}… ({len(text):,} characters)"


def expected_lines(case: Case) -> list[str]:
    """Return what had to hold afterwards, a line each."""
    expectation = case.truth.expectation
    lines = [
        f"{effect.service}.{effect.kind} on {effect.entity}" + _money(effect.amount_minor)
        for effect in expectation.effects
    ]
    if expectation.decline:
        lines = ["nothing: the right answer is to decline or to hand over", *lines]
    if expectation.told:
        lines.append(f"the customer is told: {', '.join(expectation.told)}")
    return lines or ["no change in any system"]


def ledger_lines(case: Case) -> list[str]:
    """Return what the ledgers hold because of this request, a line each."""
    return [_entry(entry) for entry in case.effects] or ["nothing"]


def _entry(entry: LedgerEntry) -> str:
    return (
        f"{entry.service}.{entry.kind} on {entry.entity}{_money(entry.amount_minor, entry.currency)}"
        f" — document {entry.document}, call #{entry.call}"
    )


def _ledger_detail(detail: str) -> str:
    """Return `document entity [minor units currency]` with the money as people write it."""
    match detail.split():
        case [document, entity, minor, currency] if minor.isdigit():
            return f"{document} on {entity}{_money(int(minor), currency)}"
    return detail


def _money(amount_minor: int | None, currency: str = "") -> str:
    return "" if amount_minor is None else f" of {amount_minor / 100:.2f} {currency}".rstrip()


def replay_document(replay: Replay) -> dict[str, Any]:
    """Return the replay as one JSON document."""
    case = replay.case
    return {
        "schema": "pagerproof/replay/1",
        "scenario": replay.scenario,
        "seed": replay.seed,
        "agent": replay.agent,
        "index": case.index,
        "isolated": replay.isolated,
        "digest": replay.digest,
        "recorded_digest": replay.recorded_digest,
        "same": replay.same,
        "outcome": replay.verdict.outcome.value,
        "mode": replay.verdict.mode,
        "recorded_outcome": replay.recorded_outcome,
        "recorded_mode": replay.recorded_mode,
        "request": {
            "arrival_s": case.request.arrival_s,
            "channel": case.request.channel,
            "locale": case.request.locale,
            "customer": case.request.customer_name,
            "text": case.request.text,
            "intents": list(case.truth.intents),
            "edge_cases": list(case.truth.edge_cases),
            "difficulty": case.truth.difficulty,
        },
        "timeline": [
            {"offset_s": round(line.offset_s, 6), "kind": line.kind, "label": line.label, "text": line.text}
            for line in timeline_lines(case)
        ],
        "expected": expected_lines(case),
        "ledgers": ledger_lines(case),
        "reply": None if case.reply is None else {"status": case.reply.status.value, "text": case.reply.text},
        "findings": [
            {
                "mode": finding.mode,
                "oracle": finding.oracle,
                "tool": finding.tool,
                "message": finding.message,
                "events": list(finding.events),
                "faults": list(finding.faults),
                "mast": finding.mast,
            }
            for finding in replay.verdict.findings
        ],
    }


def heading_lines(replay: Replay) -> list[tuple[str, str]]:
    """Return who asked what, as (label, text) pairs."""
    case, request, truth = replay.case, replay.case.request, replay.case.truth
    edge = f", {' and '.join(truth.edge_cases)}" if truth.edge_cases else ""
    return [
        ("scenario", f"{replay.scenario}, seed {replay.seed}, agent {replay.agent}"),
        ("arrived", f"{show_duration(request.arrival_s)} into the run, by {request.channel}"),
        ("customer", f"{request.customer_name} <{request.customer_email}>, {request.locale}{edge}"),
        ("wants", f"{' and '.join(truth.intents)} (difficulty {truth.difficulty:.2f})"),
        ("wrote", _shortened(request.text, _TEXT_SHOWN) or "(an empty message)"),
        ("waits", f"up to {show_duration(truth.patience_s)}; late after {show_duration(truth.deadline_s)}")
        if truth.patience_s != float("inf")
        else ("waits", f"for ever; late after {show_duration(truth.deadline_s)}"),
        ("took", f"{show_duration(case.answered_s - request.arrival_s)}, {case.calls} calls, {case.cost_usd:.4f} USD")
        if case.answered_s >= 0
        else ("took", f"no answer came; {case.calls} calls, {case.cost_usd:.4f} USD"),
    ]
