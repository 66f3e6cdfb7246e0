"""The knowledge base: policies and the articles that explain them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from pagerproof.model import Answer
from pagerproof.scenario.schema import Seconds
from pagerproof.services.base import ServiceParameters, SimulatedService
from pagerproof.services.job import Job, Refused

_WORD = re.compile(r"\w+")


class KnowledgeParameters(ServiceParameters):
    """What a scenario may set about the knowledge base."""

    refresh_every: Seconds = Field(default=3600.0, gt=0, description="how often the copy in front is renewed; assumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy; `days_before` is what its earlier version said."""

    topic: str
    title: str
    rule: str
    days: int
    days_before: int
    words: frozenset[str]

    def text(self, stale: bool) -> str:
        """Return the rule as this version words it."""
        return self.rule.format(days=self.days_before if stale else self.days)


def _policy(topic: str, title: str, rule: str, days: int, days_before: int, words: str) -> Policy:
    return Policy(
        topic=topic,
        title=title,
        rule=rule,
        days=days,
        days_before=days_before,
        words=frozenset(f"{topic} {words}".replace("_", " ").split()),
    )


POLICIES = (
    _policy("return", "Returning an item", "Items may be returned within {days} days of delivery.", 30, 14,
            "returns back send unwanted fit"),
    _policy("refund", "Refunds", "Money goes back to the payment used within {days} days.", 5, 10,
            "refunds money paid reimburse"),
    _policy("exchange", "Exchanging an item", "Items may be exchanged once within {days} days of delivery.", 30, 14,
            "exchanges swap size other"),
    _policy("cancellation", "Cancelling an order", "Orders may be cancelled until shipped, at most {days} days.", 7, 3,
            "cancel cancelling order stop"),
    _policy("shipping", "Shipping times", "Orders arrive within {days} working days.", 5, 8,
            "ship delivery deliver arrive late tracking parcel"),
    _policy("warranty", "Warranty", "Defects are repaired or replaced within {days} days of purchase.", 730, 365,
            "defect broken repair long guarantee damaged"),
    _policy("invoice", "Disputed invoices", "An invoice may be disputed within {days} days.", 60, 30,
            "bill billing dispute wrong charged credit memo"),
    _policy("duplicate_charge", "Charged twice", "A duplicate charge is paid back within {days} days.", 3, 7,
            "double twice charge duplicate"),
    _policy("subscription", "Plans", "A plan may be changed or cancelled {days} days before it renews.", 1, 14,
            "plan plans upgrade downgrade premium plus basic renew"),
    _policy("loyalty", "Loyalty points", "Points expire after {days} days.", 365, 180, "points tier bonus expire"),
    _policy("privacy", "Identity and privacy", "Data is given to the verified customer only; kept {days} days.", 90, 90,
            "identity verify data personal password account"),
    _policy("appointment", "Appointments", "Appointments may be moved until {days} days before.", 1, 2,
            "appointments book slot visit technician"),
    _policy("complaint", "Complaints", "A complaint is answered within {days} days.", 2, 5,
            "complaints unhappy rude escalate ticket human"),
    _policy("care", "Care and use", "Clean with a damp cloth; spare parts are sent within {days} days.", 10, 10,
            "clean parts spare weigh outdoors manual product question use"),
)  # fmt: skip


class KnowledgeService(SimulatedService):
    """Articles and policies, read through a copy that is renewed from time to time."""

    name = "kb"
    Parameters = KnowledgeParameters

    def article_search(self, job: Job) -> Answer:
        """Search the knowledge base; at most three articles, best first, none where no word fits."""
        query: str = job.arguments["query"]
        words = _words(query)
        ranked = sorted(
            ((-len(words & each.words), number) for number, each in enumerate(POLICIES) if words & each.words)
        )
        articles = [self._article(job, POLICIES[number]) for _, number in ranked[:3]]
        return self.answer({"query": query, "articles": articles})

    def policy_get(self, job: Job) -> Answer:
        """Read a policy by topic, or by a word that names one."""
        topic: str = job.arguments["topic"]
        policy = _find(topic)
        if policy is None:
            raise Refused(self.problem(404, "policy_not_found", f"No policy on {topic}."))
        stale = job.disturbed.stale
        days = policy.days_before if stale else policy.days
        return self.answer({"topic": policy.topic, "rule": policy.text(stale), "days": days})

    def extra_gauges(self) -> Mapping[str, Callable[[], float]]:
        """How old the copy is that answers now."""
        every = self.parameters.refresh_every
        return {"cache.age_s": lambda: float(self._now() % every)}

    def _article(self, job: Job, policy: Policy) -> dict[str, Any]:
        return {"id": f"KB-{policy.topic}", "title": policy.title, "text": policy.text(job.disturbed.stale)}


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text[:500].lower().replace("_", " ")))


def _find(topic: str) -> Policy | None:
    for policy in POLICIES:
        if policy.topic == topic:
            return policy
    words = _words(topic)
    best = max(POLICIES, key=lambda each: len(words & each.words))
    return best if words & best.words else None
