"""From findings to one outcome: the registry of oracles and the order in which outcomes win."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from pagerproof.model import Finding, Outcome, ReplyStatus, Verdict
from pagerproof.oracles.damage import DamagedData
from pagerproof.oracles.end_state import EndState
from pagerproof.oracles.ending import Ending
from pagerproof.oracles.ledger import LedgerReconciliation
from pagerproof.oracles.repetition import Repetition
from pagerproof.oracles.told import ToldFacts
from pagerproof.plugins import Plugin, plugins
from pagerproof.protocols import Case, Oracle

PRECEDENCE: tuple[Outcome, ...] = tuple(outcome for outcome in Outcome if outcome is not Outcome.UNSETTLED)
"""Outcomes from the gravest on: the first that applies is the request's outcome."""

_RANK: dict[Outcome, int] = {outcome: rank for rank, outcome in enumerate(PRECEDENCE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleInfo:
    """What a list of oracles shows."""

    name: str
    modes: tuple[str, ...]
    summary: str


class Judge:
    """Judges settled requests by a fixed sequence of oracles; the order breaks ties between equal outcomes."""

    def __init__(self, oracles: Sequence[Oracle]) -> None:
        self.oracles = tuple(oracles)
        names = [oracle.name for oracle in self.oracles]
        if len(set(names)) != len(names):
            raise ValueError(f"two oracles have the same name: {', '.join(sorted(names))}")

    def judge(self, case: Case) -> Verdict:
        """Return the verdict on one request: the gravest outcome that any oracle found, everything else as tags."""
        findings: list[Finding] = []
        for oracle in self.oracles:
            found = oracle.judge(case)
            if found:
                findings.extend(found)
        if case.settled_s < 0.0:
            return Verdict(
                index=case.index,
                outcome=Outcome.UNSETTLED,
                tags=_tags(findings),
                findings=tuple(findings),
            )
        outcome = _unhindered(case)
        if not findings:
            return Verdict(index=case.index, outcome=outcome)
        deciding = min(findings, key=_gravity)
        if deciding.outcome is None or _RANK[deciding.outcome] >= _RANK[outcome]:
            return Verdict(index=case.index, outcome=outcome, tags=_tags(findings), findings=tuple(findings))
        others = [finding for finding in findings if finding is not deciding]
        return Verdict(
            index=case.index,
            outcome=deciding.outcome,
            mode=deciding.mode,
            tags=_tags(others, deciding.mode),
            findings=(deciding, *others),
        )


def _unhindered(case: Case) -> Outcome:
    reply = case.reply
    if reply is not None and reply.status is ReplyStatus.HANDED_OVER:
        return Outcome.ESCALATED
    return Outcome.RESOLVED


def _gravity(finding: Finding) -> int:
    return len(_RANK) if finding.outcome is None else _RANK[finding.outcome]


def _tags(findings: Iterable[Finding], besides: str = "") -> tuple[str, ...]:
    return tuple(dict.fromkeys(finding.mode for finding in findings if finding.mode != besides))


ORACLES: tuple[Oracle, ...] = (LedgerReconciliation(), EndState(), ToldFacts(), Repetition(), DamagedData(), Ending())
"""The built-in oracles, in the order in which they are asked."""


@cache
def installed_oracles() -> tuple[Oracle, ...]:
    """Return the built-in oracles, and after them those of plug-ins by name. Raises UsageError."""
    added = plugins("oracles", [each.name for each in ORACLES])
    return (*ORACLES, *(_made(plugin) for plugin in added.values()))


def _made(plugin: Plugin) -> Oracle:
    found = plugin.load()
    oracle = found() if isinstance(found, type) else found
    for name, what in (("modes", "sequence modes"), ("judge", "method judge(case)")):
        if not hasattr(oracle, name):
            raise plugin.refused(f"it has no {what}")
    if oracle.name != plugin.name:
        raise plugin.refused(f"it calls itself {oracle.name!r}: the two names must be one")
    made: Oracle = oracle
    return made


@cache
def _everyone() -> Judge:
    return Judge(installed_oracles())


def judge(case: Case) -> Verdict:
    """Return the verdict of all installed oracles on one settled request."""
    return _everyone().judge(case)


def describe(oracles: Sequence[Oracle] = ORACLES) -> tuple[OracleInfo, ...]:
    """Return name, modes and one line about each oracle, for people to read."""
    return tuple(
        OracleInfo(name=each.name, modes=tuple(each.modes), summary=getattr(each, "summary", "")) for each in oracles
    )


def known_modes(oracles: Sequence[Oracle] | None = None) -> frozenset[str]:
    """Return every failure mode and tag that these oracles, or else all that are installed, can find."""
    among = installed_oracles() if oracles is None else oracles
    return frozenset(mode for oracle in among for mode in oracle.modes)
