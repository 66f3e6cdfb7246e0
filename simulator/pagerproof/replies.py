"""What a reply in plain words claims: the status of agents that return text instead of a Reply."""

from __future__ import annotations

import re
from typing import Final

from pagerproof.model import ReplyStatus

_MARKED: Final = (
    ("DONE:", ReplyStatus.DONE),
    ("CANNOT:", ReplyStatus.FAILED),
    ("DECLINE:", ReplyStatus.DECLINED),
)
_DECLINED: Final = re.compile(
    r"\b(?:we|i) (?:may|must|can) ?not (?:do (?:this|that|it) )?for (?:you|this customer)\b"
    r"|\bsomething (?:that )?(?:we|i) (?:may|can) ?not (?:do|help)"
    r"|\b(?:not|n't) (?:be )?(?:allowed|permitted|authori[sz]ed|eligible)\b"
    r"|\bagainst (?:our|the|company) (?:policy|policies|rules)\b"
    r"|\bcan(?:no|')t help (?:you )?with (?:that|this) request\b|\bnot able to assist with requests\b"
    r"|\b(?:have to|must) decline\b",
    re.IGNORECASE,
)
_HANDED_OVER: Final = re.compile(
    r"\b(?:hand(?:ed|ing)? (?:you |this |it |your \w+ )?over|transfer(?:red|ring)?|forward(?:ed|ing)?|escalat(?:ed|ing)"
    r"|connect(?:ed|ing)?|pass(?:ed|ing)?)\b.{0,60}"
    r"\b(?:colleague|human|agent|specialist|supervisor|team|representative|department)\b",
    re.IGNORECASE | re.DOTALL,
)
_FAILED: Final = re.compile(
    r"\b(?:could|can|was|were|am|are) ?(?:not|n't) (?:be )?(?:able to )?"
    r"(?:finish|complete|find|do|process|access|retrieve|look|reach|help|resolve|change|update|cancel|refund)"
    r"|\b(?:couldn't|can't|cannot|unable to|not able to|failed to)\b"
    r"|\bsomething went wrong\b|\ban error (?:occurred|prevented)\b|\btry again (?:later|in a)\b|\bdoes not work\b"
    r"|\bdo not know which customer\b",
    re.IGNORECASE,
)
_NOT_AN_END: Final = re.compile(
    r"^(?:i will now|i'll now|i will use|next, i am going|let me (?:check|refine|double|think|go over|look)"
    r"|sure - let me|almost there)"
    r"|\b(?:one more (?:round|look|time)|refine this once more|an even better version)\b",
    re.IGNORECASE,
)

_FACTS: Final = " The details: "


def status_of(text: str) -> ReplyStatus:
    """Return what a reply in words says about the work; the first rule that applies decides.

    1. A mark in front: `DONE:`, `CANNOT:` (failed) or `DECLINE:` (declined).
    2. Nothing said at all, the announcement of something still to be done ("I will now ...", "Let me check ..."), or
       the wish for another round: failed, for the customer has been given nothing.
    3. Words of refusal on grounds of rules ("something that we may not do for you", "against our policy", "not
       eligible", "can't help with that request"): declined.
    4. Words of handing over to a colleague, a team or a person: handed over.
    5. Words of failing ("we could not finish this", "unable to", "something went wrong", "try again later"): failed.
    6. Anything else is a claim that everything was done.

    What follows after "The details:" is quoted from the systems and is not read.
    """
    said = text.strip()
    for mark, status in _MARKED:
        if said.startswith(mark):
            return status
    if not said or _NOT_AN_END.search(said):
        return ReplyStatus.FAILED
    plain = said.partition(_FACTS)[0].replace("’", "'")
    if _DECLINED.search(plain):
        return ReplyStatus.DECLINED
    if _HANDED_OVER.search(plain):
        return ReplyStatus.HANDED_OVER
    return ReplyStatus.FAILED if _FAILED.search(plain) else ReplyStatus.DONE


__all__ = ["status_of"]
