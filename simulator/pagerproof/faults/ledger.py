"""The delivery table: what became of every decision of a fault model, and the law that nothing gets lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pagerproof.errors import BrokenInvariant
from pagerproof.protocols import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """The account of one fault: drawn = limited + preempted + cancelled + delivered.

    `eligible` counts the calls that match the target. Where the effect is observable (`result` or `timing`),
    delivered = seen + unread. `scripted` counts the decisions that an exact index made. The `*_by` tables name the
    limits, the faults and the timers, most frequent first.
    """

    fault: str
    model: str
    title: str
    eligible: int
    drawn: int
    limited: int
    preempted: int
    cancelled: int
    delivered: int
    seen: int
    unread: int
    scripted: int
    evidence: str
    expect: str
    observable: str
    limited_by: tuple[tuple[str, int], ...] = ()
    preempted_by: tuple[tuple[str, int], ...] = ()
    cancelled_by: tuple[tuple[str, int], ...] = ()

    def check(self, seed: int) -> None:
        """Raise BrokenInvariant where the account does not balance."""
        if self.drawn != self.limited + self.preempted + self.cancelled + self.delivered:
            raise BrokenInvariant(f"seed {seed}: the account of fault {self.fault} does not balance: {self}")
        if self.observable != "state" and self.delivered != self.seen + self.unread:
            raise BrokenInvariant(f"seed {seed}: seen and unread of fault {self.fault} do not add up: {self}")


def account(
    decisions: Iterable[Decision],
    *,
    fault: str,
    model: str,
    title: str,
    eligible: int,
    evidence: str,
    expect: str,
    observable: str,
) -> DeliveryRow:
    """Return the row that these decisions of one fault add up to."""
    drawn = seen = scripted = 0
    fates: Counter[str] = Counter()
    by: dict[str, Counter[str]] = {"limited": Counter(), "preempted": Counter(), "cancelled": Counter()}
    for decision in decisions:
        drawn += 1
        fates[decision.fate] += 1
        scripted += decision.scripted
        seen += decision.seen
        if decision.fate in by:
            by[decision.fate][decision.by] += 1
    return DeliveryRow(
        fault=fault,
        model=model,
        title=title,
        eligible=eligible,
        drawn=drawn,
        limited=fates["limited"],
        preempted=fates["preempted"],
        cancelled=fates["cancelled"],
        delivered=fates["delivered"],
        seen=seen,
        unread=0 if observable == "state" else fates["delivered"] - seen,
        scripted=scripted,
        evidence=evidence,
        expect=expect,
        observable=observable,
        limited_by=_ranked(by["limited"]),
        preempted_by=_ranked(by["preempted"]),
        cancelled_by=_ranked(by["cancelled"]),
    )


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
