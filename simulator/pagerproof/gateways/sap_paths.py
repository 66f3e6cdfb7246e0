"""Paths below an OData service: from segments to the set, the entity, the navigation or the property they name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pagerproof.gateways.odata_literal import literal
from pagerproof.gateways.odata_problem import bad, no_segment, unsupported
from pagerproof.gateways.sap_model import EntitySet, Navigation, ODataService, set_of

_SEGMENT: Final = re.compile(r"([A-Za-z_]\w*)(?:\((.*)\))?", re.DOTALL)
_KEY_PAIR: Final = re.compile(r"\s*(?:([A-Za-z_]\w*)\s*=\s*)?((?:[A-Za-z]+)?'(?:[^']|'')*'|[^,'\s]+)\s*(?:,|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a path names: a set, perhaps one entity of it, perhaps what a navigation leads to, perhaps a property."""

    entity_set: EntitySet
    key: Mapping[str, str] | None = None
    navigation: Navigation | None = None
    field: str = ""
    ending: str = ""  # $count, $value

    @property
    def reached(self) -> EntitySet:
        """The set that the entities named belong to."""
        return self.entity_set if self.navigation is None else set_of(self.navigation.target)


def target_of(service: ODataService, segments: list[str]) -> Target:
    """Return what a path below the service names. Raises ODataProblem: 404, 400 or 501."""
    name, key = _segment(segments[0])
    entity_set = service.sets.get(name)
    if entity_set is None:
        raise no_segment(name)
    own = None if key is None else _key(entity_set, key)
    if own is None and len(segments) > 1:
        if segments[1:] == ["$count"]:
            return Target(entity_set=entity_set, ending="$count")
        raise no_segment(segments[1])
    target = Target(entity_set=entity_set, key=own)
    return target if len(segments) == 1 else _further(target, segments[1:])


def _further(target: Target, segments: list[str]) -> Target:
    entity_set, key = target.entity_set, target.key
    name, inner = _segment(segments[0])
    if name == "$links":
        raise unsupported("Addressing links is not supported")
    if name == "$value" and len(segments) == 1:
        return Target(entity_set=entity_set, key=key, ending="$value")
    if name in entity_set.properties and inner is None and segments[1:] in ([], ["$value"]):
        return Target(entity_set=entity_set, key=key, field=name, ending="".join(segments[1:]))
    navigation = entity_set.navigations.get(name)
    if navigation is None:
        raise no_segment(segments[0])
    reached = set_of(navigation.target)
    if inner is not None:
        found = Target(entity_set=reached, key=_key(reached, inner))
        return found if len(segments) == 1 else _further(found, segments[1:])
    if len(segments) == 1:
        return Target(entity_set=entity_set, key=key, navigation=navigation)
    if segments[1:] == ["$count"] and navigation.many:
        return Target(entity_set=entity_set, key=key, navigation=navigation, ending="$count")
    if not navigation.many and segments[1] in reached.properties and segments[2:] in ([], ["$value"]):
        return Target(entity_set=entity_set, key=key, navigation=navigation, field=segments[1],
                      ending="".join(segments[2:]))  # fmt: skip
    raise no_segment(segments[1])


def _segment(text: str) -> tuple[str, str | None]:
    if text.startswith("$"):
        return text, None
    match = _SEGMENT.fullmatch(text)
    if match is None:
        raise no_segment(text)
    return match[1], match[2]


def _key(entity_set: EntitySet, text: str) -> dict[str, str]:
    """Return the key's values by property. Raises ODataProblem (400) where the predicate does not fit the set."""
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = _KEY_PAIR.match(text, position)
        if match is None or match.end() == position:
            raise bad(f"Invalid key predicate '({text[:60]})'")
        pairs.append((match[1] or "", match[2]))
        position = match.end()
    names = entity_set.keys
    if len(names) == 1 and len(pairs) == 1 and pairs[0][0] == "":
        pairs = [(names[0], pairs[0][1])]
    if sorted(name for name, _ in pairs) != sorted(names):
        raise bad(f"Invalid key predicate '({text[:60]})' for type '{entity_set.type_name}'")
    found = {}
    for name, written in pairs:
        value = literal(written).value
        if not isinstance(value, str):
            raise bad(f"Invalid key predicate '({text[:60]})': property '{name}' is a text")
        found[name] = value
    return found
