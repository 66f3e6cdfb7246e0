"""Told facts: whether a reply that says done tells the customer what is true, and nothing made up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

from pagerproof.model import Finding, Outcome, ReplyStatus
from pagerproof.oracles.reading import MODEL_OPERATION, faults_before, is_read, money, positions
from pagerproof.protocols import Case

_NUMBER = re.compile(r"(?<![^\W_])\d(?:[\d.,'’\u00a0\u202f]*\d)?")
_SPACED_NUMBER = re.compile(r"(?<![^\W_])\d{1,3}(?: \d{3})+(?:[.,]\d+)?")
_PLAIN_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_TRACKING = re.compile(r"\b1Z\d{10}\b")
_OWN = re.compile(r"(?<![\w+.,-])(?:45(\d{8})|pay_(\d{8})b?)(?![\w])")
_CUSTOMER = re.compile(r"(?<![\w+.,-])C\d{6}(?!\w)")
_MONEY_BACK = re.compile(
    r"(?:refund|credit|paid back|pay back|reimburs)[^!?\n]{0,60}?(?<![\w.,-])(\d[\d.,]*[.,]\d{2})(?!\d)"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WORDS_OF_A_KIND = (
    frozenset({"open", "processing", "shipped", "delivered", "cancelled"}),
    frozenset({"basic", "plus", "premium"}),
)


class ToldFacts:
    """Finds replies that say done and leave out, contradict or invent what the customer asked to know.

    Precision goes first: a value counts as told in any common notation of numbers and dates; an id counts as
    invented only if its shape says that it is another request's, and it stands neither in the request nor anywhere in
    the truth or the ledgers; an amount only if it is told as paid back while the true one is told nowhere.
    """

    name = "told"
    summary = "what a reply that says done tells the customer, against what is true"
    modes: Sequence[str] = ("wrong_fact_told", "claimed_and_not_told", "invented_fact")

    def judge(self, case: Case) -> Sequence[Finding]:
        """Return the values that are missing or contradicted, then those that were made up."""
        reply = case.reply
        if reply is None or reply.status is not ReplyStatus.DONE:
            return ()
        expectation = case.truth.expectation
        text = reply.text
        findings: list[Finding] = []
        for value in () if expectation.decline else expectation.told:
            if value.strip() and not (is_word_in(value, text) or tells(text, value)):
                other = _conflicting(case, value, text)
                if other:
                    message = f"told {other!r}, and the truth is {value!r}"
                    findings.append(self._finding(case, "wrong_fact_told", message))
                else:
                    message = f"said done without telling {value!r}, which was asked"
                    findings.append(self._finding(case, "claimed_and_not_told", message))
        if _may_name_others(case, text):
            for token in _invented_ids(case, text):
                message = f"told {token!r}, which stands neither in the request nor in any record of it"
                findings.append(self._finding(case, "invented_fact", message))
        for effect in expectation.effects:
            if effect.amount_minor is None or money(effect.amount_minor) in text:
                continue
            if wrong := _wrong_money_back(case, text):
                message = f"told that {wrong} goes back, and the true amount is told nowhere"
                findings.append(self._finding(case, "wrong_fact_told", message))
                break
        return findings

    def _finding(self, case: Case, mode: str, message: str) -> Finding:
        reads = [step.operation for step in case.truth.path if is_read(step.operation)]
        tool = reads[-1] if reads else MODEL_OPERATION
        return Finding(
            index=case.index,
            mode=mode,
            oracle=self.name,
            outcome=Outcome.FAILED_SILENT,
            message=message,
            tool=tool,
            events=positions(case, operation=tool),
            faults=faults_before(case, tool),
            mast="FM-3.1" if mode == "claimed_and_not_told" else "FM-3.2",
        )


def is_word_in(value: str, text: str) -> bool:
    """Whether `value` stands in `text` as it is and whole: no letter or digit goes on before or after it."""
    start = text.find(value)
    while start >= 0:
        end = start + len(value)
        before = text[start - 1] if start else " "
        after = text[end] if end < len(text) else " "
        cut_number = value[-1].isdigit() and after in ".,'" and end + 1 < len(text) and text[end + 1].isdigit()
        cut_front = value[0].isdigit() and before in ".,'" and start > 1 and text[start - 2].isdigit()
        if not (before.isalnum() or after.isalnum() or cut_number or cut_front):
            return True
        start = text.find(value, start + 1)
    return False


def tells(text: str, value: str) -> bool:
    """Whether `text` has `value` in another notation: case, spaces, 1.298,50 for 1298.50, 25 Nov for 2026-11-25."""
    folded = " ".join(text.casefold().split())
    wanted = " ".join(value.casefold().split())
    if is_word_in(wanted, folded):
        return True
    if _PLAIN_NUMBER.fullmatch(value):
        number = Decimal(value)
        return any(number in _readings(token) for token in _numbers(text))
    date = _DATE.match(value)
    if date is None:
        return False
    year, month, day = date.groups()
    clock = value[date.end() :].lstrip("T ")
    return _tells_date(folded, year, month, day) and (not clock or clock in folded or clock.lstrip("0") in folded)


def _tells_date(folded: str, year: str, month: str, day: str) -> bool:
    if is_word_in(f"{year}-{month}-{day}", folded.replace("t", " ")):
        return True
    short_day, short_month = str(int(day)), str(int(month))
    for separator in "./-":
        for first, second in ((day, month), (month, day), (short_day, short_month), (short_month, short_day)):
            if f"{first}{separator}{second}" in folded:
                return True
    name = _MONTHS[int(month) - 1] if 1 <= int(month) <= 12 else month
    pattern = rf"\b{short_day}(?:st|nd|rd|th|\.)? (?:of )?{name}|\b{name}[a-z]*\.? 0?{short_day}\b"
    return re.search(pattern, folded) is not None or f"{short_month}月{short_day}日" in folded


def _numbers(text: str) -> list[str]:
    return [*_NUMBER.findall(text), *_SPACED_NUMBER.findall(text)]


def _readings(token: str) -> set[Decimal]:
    """Every number that `token` may mean: a comma or point may group thousands or begin the decimals."""
    bare = re.sub(r"['’\u00a0\u202f ]", "", token)
    candidates = {bare.replace(",", ""), bare.replace(".", "").replace(",", ".")}
    found = set()
    for candidate in candidates:
        try:
            found.add(Decimal(candidate))
        except InvalidOperation:
            continue
    return found


def _conflicting(case: Case, value: str, text: str) -> str:
    """Return another value of the same kind that `text` tells in place of `value`, or the empty text."""
    if _TRACKING.fullmatch(value):
        return next((token for token in _TRACKING.findall(text) if token != value), "")
    known = _known(case)
    if re.fullmatch(r"\d+\.\d{2}", value):
        amounts = re.findall(r"(?<![\w.,])\d[\d.,]*[.,]\d{2}(?![\d.,]*\d)", text)
        return next((token for token in amounts if token not in known and not _is_known_amount(case, token)), "")
    if _DATE.match(value):
        return next((match[0] for match in _DATE.finditer(text) if match[0] not in known), "")
    folded = value.casefold()
    for words in _WORDS_OF_A_KIND:
        if folded in words:
            lower = text.casefold()
            return next((word for word in sorted(words) if word != folded and is_word_in(word, lower)), "")
    return ""


def _known(case: Case) -> str:
    """Return one text with everything that is true of the request or was said by the customer."""
    truth, request, customer = case.truth, case.request, case.truth.customer
    parts: list[str] = [request.text, request.customer_name, request.customer_email]
    parts += [customer.customer_id, customer.business_partner, customer.name, customer.email, customer.phone]
    parts += [customer.street, customer.city, customer.postcode]
    parts += truth.slots.values()
    parts += truth.expectation.told
    for effect in truth.expectation.effects:
        parts += _values(effect.entity, effect.details)
    for entry in case.effects:
        parts += _values(entry.entity, entry.details)
        parts.append(entry.document)
    return "\n".join(str(part) for part in parts)


def _values(entity: str, details: Iterable[tuple[str, str]]) -> list[str]:
    return [entity, *(value for _, value in details)]


def _may_name_others(case: Case, text: str) -> bool:
    """Whether a closer look for other requests' ids is worth its time: nearly always it is not."""
    truth = case.truth
    own = f"{case.index:08d}"
    for prefix, known, length in (
        ("45", own, 8),
        ("pay_", own, 8),
        ("C0", truth.customer.customer_id[2:], 5),
        ("1Z", truth.slots.get("tracking", "")[2:], 10),
    ):
        start = text.find(prefix)
        while start >= 0:
            start += len(prefix)
            number = text[start : start + length]
            if number != known and len(number) == length and number.isdigit():
                return True
            start = text.find(prefix, start)
    return False


def _invented_ids(case: Case, text: str) -> list[str]:
    """Return ids of another request or customer that appear out of nowhere.

    Every request owns the order and payment that carry its index; a list of the customer's orders may rightly show
    others, so after one no order counts as invented.
    """
    strange = [match[0] for match in _OWN.finditer(text) if int(match[1] or match[2]) != case.index]
    strange += _CUSTOMER.findall(text)
    if any(_TRACKING.search(value) for value in (*case.truth.slots.values(), *case.truth.expectation.told)):
        strange += _TRACKING.findall(text)
    if not strange:
        return []
    known = _known(case)
    listed = any(event[2] == "orders.Order.list" for event in case.log)
    told = set(case.truth.expectation.told)
    return [
        token
        for token in dict.fromkeys(strange)
        if token not in known
        and not (listed and (token.startswith(("45", "pay_"))))
        # A wrong tracking number in place of the asked one is `wrong_fact_told` already.
        and not (token.startswith("1Z") and any(_TRACKING.fullmatch(value) and value not in text for value in told))
    ]


def _wrong_money_back(case: Case, text: str) -> str:
    amounts = [effect.amount_minor for effect in case.truth.expectation.effects if effect.amount_minor is not None]
    if not amounts:
        return ""
    match = _MONEY_BACK.search(text.casefold())
    if match is None or _is_known_amount(case, match[1]) or match[1] in _known(case):
        return ""
    if any(_is_true_amount(amounts, token) for token in _numbers(text)):
        return ""
    return match[1]


def _is_true_amount(amounts: Iterable[int], token: str) -> bool:
    readings = _readings(token)
    return any(Decimal(money(amount)) in readings for amount in amounts)


def _is_known_amount(case: Case, token: str) -> bool:
    """Whether `token` is an amount of a ledger entry or expected effect, or a number among slots and told values."""
    held = [entry.amount_minor for entry in case.effects if entry.amount_minor is not None]
    held += [each.amount_minor for each in case.truth.expectation.effects if each.amount_minor is not None]
    if _is_true_amount(held, token):
        return True
    readings = _readings(token)
    values = (*case.truth.slots.values(), *case.truth.expectation.told)
    return any(Decimal(value) in readings for value in values if _PLAIN_NUMBER.fullmatch(value))
