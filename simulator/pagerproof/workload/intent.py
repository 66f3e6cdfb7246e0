"""What customers ask for, ready for use: words, happy path and expectation of one intent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from types import MappingProxyType
from typing import Final

from pagerproof.model import Expectation, ExpectedEffect, Step
from pagerproof.workload.edge_cases import EDGE_CASES, ORDER_EDGE_CASES
from pagerproof.workload.money import cents_of
from pagerproof.workload.slot_names import ORDER_SLOTS

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What an order must be like; an empty `status` means any."""

    status: tuple[str, ...] = ()
    delivery_block: bool = False
    charged_twice: bool = False
    billed_too_much: bool = False


Source = tuple[bool, str]
"""(whether it is a slot, the slot's name or the literal)."""


def source_of(text: str) -> Source:
    """Return the source written as `$slot` or as literal."""
    return (True, text[1:]) if text.startswith("$") else (False, text)


class EffectTemplate:
    """An expected effect before the slots are known; entity, amount and details are `$slot` or literal."""

    __slots__ = ("_amount", "_details", "_entity", "kind", "service")

    def __init__(
        self, *, service: str, kind: str, entity: str, amount: str | None = None, details: Mapping[str, str] = _NOTHING
    ) -> None:
        self.service = service
        self.kind = kind
        self._entity = source_of(entity)
        self._amount = None if amount is None else source_of(amount)
        self._details = tuple((name, *source_of(text)) for name, text in details.items())

    def slots(self) -> Iterator[str]:
        """Yield the names of the slots that it takes."""
        sources = [self._entity, *((is_slot, text) for _, is_slot, text in self._details)]
        if self._amount is not None:
            sources.append(self._amount)
        yield from (text for is_slot, text in sources if is_slot)

    def fill(self, slots: Mapping[str, str]) -> ExpectedEffect:
        """Return the effect with the slots' values."""
        is_slot, text = self._entity
        amount_minor = None
        if self._amount is not None:
            money_is_slot, money_text = self._amount
            amount_minor = cents_of(slots[money_text] if money_is_slot else money_text)
        return ExpectedEffect(
            service=self.service,
            kind=self.kind,
            entity=slots[text] if is_slot else text,
            amount_minor=amount_minor,
            details=tuple([(name, slots[text] if is_slot else text) for name, is_slot, text in self._details])
            if self._details
            else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Something customers ask for, ready for use: `templates` are filled with `%` and a mapping of slots."""

    id: str
    title: str
    weight: float
    channels: tuple[str, ...]
    parts: tuple[str, ...]  # the ids of what is asked for: its own, or those it combines
    templates: tuple[str, ...]
    path: tuple[Step, ...]
    needs: Needs
    effects: tuple[EffectTemplate, ...]
    told: tuple[Source, ...]
    decline: bool
    about_order: bool
    edge_cases: tuple[str, ...]
    slots: frozenset[str]  # every slot that words, path or expectation use

    def expectation(self, slots: Mapping[str, str]) -> Expectation:
        """Return what must hold afterwards, given the slots' values."""
        return Expectation(
            effects=tuple([effect.fill(slots) for effect in self.effects]),
            told=tuple([slots[text] if is_slot else text for is_slot, text in self.told]),
            decline=self.decline,
        )


def make_intent(
    *,
    id: str,
    title: str,
    weight: float,
    utterances: Sequence[str],
    path: Sequence[Step],
    needs: Needs,
    effects: Sequence[EffectTemplate],
    told: Sequence[str] = (),
    decline: bool = False,
    channels: Sequence[str] = (),
    parts: Sequence[str] = (),
) -> Intent:
    """Return an intent of checked pieces; utterances name slots in braces.

    A slot that the path needs and an utterance leaves out is appended in a sentence of its own, so that nobody has to
    guess. The e-mail address is known from the channel.
    """
    used = [source[1:] for step in path for _, source in step.arguments if source.startswith("$")]
    about_order = not ORDER_SLOTS.isdisjoint(used)
    told_sources = tuple(source_of(text) for text in told)
    named = {name for utterance in utterances for name in slots_in(utterance)}
    named.update(name for effect in effects for name in effect.slots())
    named.update(text for is_slot, text in told_sources if is_slot)
    return Intent(
        id=id,
        title=title,
        weight=weight,
        channels=tuple(channels),
        parts=tuple(parts) or (id,),
        templates=tuple(_template(utterance, used) for utterance in utterances),
        path=tuple(path),
        needs=needs,
        effects=tuple(effects),
        told=told_sources,
        decline=decline,
        about_order=about_order,
        edge_cases=tuple(name for name in EDGE_CASES if about_order or name not in ORDER_EDGE_CASES),
        slots=frozenset(named | set(used)),
    )


_ADDITIONS: Final = {
    "postcode": " My postcode is {postcode}.",
    "order_id": " The order is {order_id}.",
}


def _template(utterance: str, used: Sequence[str]) -> str:
    named = set(slots_in(utterance))
    for slot in dict.fromkeys(used):
        if slot not in named and slot != "email":
            utterance += _ADDITIONS.get(slot, f" ({slot.replace('_', ' ')}: {{{slot}}})")
    return "".join(
        text.replace("%", "%%") + ("" if slot is None else f"%({slot})s")
        for text, slot, _, _ in Formatter().parse(utterance)
    )


def slots_in(utterance: str) -> list[str]:
    """Return the names in braces, in order. Raises ValueError for braces that do not match or are empty."""
    names = []
    for _, name, format_spec, conversion in Formatter().parse(utterance):
        if name is None:
            continue
        if not name or format_spec or conversion:
            raise ValueError("write a slot as {order_id}, and a brace as {{ or }}")
        names.append(name)
    return names
