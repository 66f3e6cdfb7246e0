"""What customers ask for: reads a file of intents and checks it against the operations that the services offer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from pagerproof.errors import InvalidFile
from pagerproof.model import Operation, Step
from pagerproof.scenario.load import KeyPath, load_file
from pagerproof.scenario.schema import Strict
from pagerproof.scenario.words import nearest
from pagerproof.workload.intent import EffectTemplate, Intent, Needs, make_intent, slots_in
from pagerproof.workload.slot_names import SLOT_NAMES

OrderStatus = Literal["open", "processing", "shipped", "delivered", "cancelled"]


class EffectEntry(Strict):
    """One ledger entry that must be there afterwards; values are `$slot` or literal."""

    service: str
    kind: str
    entity: str
    amount: str | None = None
    details: dict[str, str] = Field(default_factory=dict)


class ExpectsEntry(Strict):
    """What must hold afterwards, as in `model.Expectation`."""

    effects: tuple[EffectEntry, ...] = ()
    told: tuple[str, ...] = ()
    decline: bool = False


class NeedsEntry(Strict):
    """What the request's order must be like so that the request makes sense."""

    status: tuple[OrderStatus, ...] = ()
    delivery_block: bool = False
    charged_twice: bool = False
    billed_too_much: bool = False


class IntentEntry(Strict):
    """One intent. `combines` names two or more others that are asked for in one message, instead of a path."""

    id: str
    title: str
    weight: float = Field(gt=0)
    channels: tuple[str, ...] = ()
    utterances: tuple[str, ...] = ()
    path: tuple[dict[str, dict[str, str | int]], ...] = ()
    needs: NeedsEntry = NeedsEntry()
    expects: ExpectsEntry = ExpectsEntry()
    combines: tuple[str, ...] = ()


class IntentFile(Strict):
    """A file of intents. Weights are relative; `weights_evidence` says how they are known."""

    schema_: Literal["pagerproof/intents/1"] = Field(alias="schema")
    id: str
    title: str
    description: str = ""
    weights_evidence: Literal["documented", "incident", "measured", "assumed"] = "assumed"
    intents: tuple[IntentEntry, ...] = Field(min_length=1)


def load_intents(path: Path, operations: Mapping[str, Operation]) -> tuple[Intent, ...]:
    """Return the intents of a file in its order. Raises InvalidFile with every mistake and its position."""
    loaded = load_file(path, IntentFile)
    found = list(check_intents(loaded.value, operations))
    if found:
        raise InvalidFile([loaded.problem(where, message) for where, message in found])
    return compile_intents(loaded.value)


_REFERENCE: Final = re.compile(r"@([^.]+\.[^.]+\.[^.]+)\.(.+)")

Mistake = tuple[KeyPath, str]


def check_intents(file: IntentFile, operations: Mapping[str, Operation]) -> Iterator[Mistake]:
    """Yield every mistake that the shape of the file does not rule out, with its key path."""
    by_id = {entry.id: entry for entry in file.intents}
    seen: set[str] = set()
    for position, entry in enumerate(file.intents):
        here = ("intents", position)
        if entry.id in seen:
            yield (*here, "id"), f"the intent '{entry.id}' is here twice"
        seen.add(entry.id)
        if entry.combines:
            yield from _check_combination(entry, by_id, here)
        else:
            yield from _check_intent(entry, operations, here)


def _check_combination(
    entry: IntentEntry, by_id: Mapping[str, IntentEntry], here: tuple[str | int, ...]
) -> Iterator[Mistake]:
    if entry.path or entry.utterances or entry.expects != ExpectsEntry() or entry.needs != NeedsEntry():
        yield (*here, "combines"), "'combines' stands in place of utterances, path, needs and expects"
    if len(entry.combines) < 2:
        yield (*here, "combines"), "'combines' names at least two intents"
    suitable: set[str] | None = None
    for number, part in enumerate(entry.combines):
        if part not in by_id:
            yield (*here, "combines", number), f"there is no intent '{part}'{nearest(part, by_id)}"
        elif by_id[part].combines:
            yield (*here, "combines", number), f"'{part}' combines others itself"
        elif by_id[part].needs.status:
            mine: set[str] = set(by_id[part].needs.status)
            suitable = mine if suitable is None else suitable & mine
    if suitable is not None and not suitable:
        yield (*here, "combines"), "no order status suits all of these intents"


def _check_intent(
    entry: IntentEntry, operations: Mapping[str, Operation], here: tuple[str | int, ...]
) -> Iterator[Mistake]:
    if not entry.utterances:
        yield (*here, "id"), f"the intent '{entry.id}' has no utterances"
    if not entry.path:
        yield (*here, "id"), f"the intent '{entry.id}' has no path"
    for number, utterance in enumerate(entry.utterances):
        where = (*here, "utterances", number)
        try:
            for name in slots_in(utterance):
                yield from _check_slot(name, where)
        except ValueError as error:
            yield where, str(error)
    earlier: set[str] = set()
    for number, step in enumerate(entry.path):
        yield from _check_step(step, earlier, operations, (*here, "path", number))
        earlier.update(step)
    yield from _check_expects(entry, operations, (*here, "expects"))


def _check_slot(name: str, where: KeyPath) -> Iterator[Mistake]:
    if name not in SLOT_NAMES:
        yield where, f"there is no slot '{name}'{nearest(name, SLOT_NAMES)}"


def _check_step(
    step: Mapping[str, Mapping[str, str | int]],
    earlier: set[str],
    operations: Mapping[str, Operation],
    here: tuple[str | int, ...],
) -> Iterator[Mistake]:
    if len(step) != 1:
        yield here, "a step names exactly one operation"
    for name, arguments in step.items():
        operation = operations.get(name)
        if operation is None:
            yield (*here, name), f"there is no operation '{name}'{nearest(name, operations)}"
            continue
        for argument in operation.arguments:
            if argument not in arguments and argument not in operation.optional:
                yield (*here, name), f"'{name}' needs the argument '{argument}'"
        for argument, source in arguments.items():
            where = (*here, name, argument)
            kind = operation.arguments.get(argument)
            if kind is None:
                hint = nearest(argument, operation.arguments)
                yield where, f"'{name}' has no argument '{argument}'{hint}"
            elif not str(source).startswith(("$", "@")) and (kind == "integer") != isinstance(source, int):
                yield where, f"'{argument}' must be {'a whole number' if kind == 'integer' else 'text'}"
            yield from _check_source(str(source), earlier, where)


def _check_source(source: str, earlier: set[str], where: KeyPath) -> Iterator[Mistake]:
    if source.startswith("$"):
        yield from _check_slot(source[1:], where)
    elif source.startswith("@"):
        match = _REFERENCE.fullmatch(source)
        if match is None:
            yield where, f"{source!r} should read @service.Entity.verb.field"
        elif match[1] not in earlier:
            yield where, f"'{match[1]}' is not called before this step{nearest(match[1], earlier)}"


def _check_expects(
    entry: IntentEntry, operations: Mapping[str, Operation], here: tuple[str | int, ...]
) -> Iterator[Mistake]:
    writes = [operations[name] for step in entry.path for name in step if name in operations]
    for number, effect in enumerate(entry.expects.effects):
        where = (*here, "effects", number)
        match = next(
            (each for each in writes if (each.service, each.effect_kind) == (effect.service, effect.kind)), None
        )
        if match is None:
            yield (*where, "kind"), f"no step of the path leaves a '{effect.kind}' in '{effect.service}'"
        for name in effect.details:
            if match is not None and name not in match.arguments:
                yield (*where, "details", name), f"'{match.full_name}' has no argument '{name}'"
        sources = {("entity",): effect.entity} | {("details", name): value for name, value in effect.details.items()}
        if effect.amount is not None:
            sources[("amount",)] = effect.amount
        for key, source in sources.items():
            yield from _check_truth(source, (*where, *key))
    for number, source in enumerate(entry.expects.told):
        yield from _check_truth(source, (*here, "told", number))


def _check_truth(source: str, where: KeyPath) -> Iterator[Mistake]:
    if source.startswith("@"):
        yield where, "an expectation is a fact of the request ($slot), never what a service answered"
    elif source.startswith("$"):
        yield from _check_slot(source[1:], where)


def compile_intents(file: IntentFile) -> tuple[Intent, ...]:
    """Return the intents of a file that has been checked."""
    by_id = {entry.id: entry for entry in file.intents}
    return tuple(_combined(entry, by_id) if entry.combines else _compiled(entry) for entry in file.intents)


def _compiled(entry: IntentEntry) -> Intent:
    return make_intent(
        id=entry.id,
        title=entry.title,
        weight=entry.weight,
        channels=entry.channels,
        utterances=entry.utterances,
        path=_steps(entry),
        needs=Needs(**entry.needs.model_dump()),
        effects=_effects(entry),
        told=entry.expects.told,
        decline=entry.expects.decline,
    )


def _combined(entry: IntentEntry, by_id: Mapping[str, IntentEntry]) -> Intent:
    """Return the intent that asks for all its parts at once; a step that two parts share is taken once."""
    parts = [by_id[part] for part in entry.combines]
    statuses: list[set[str]] = [set(part.needs.status) for part in parts if part.needs.status]
    return make_intent(
        id=entry.id,
        title=entry.title,
        weight=entry.weight,
        channels=entry.channels,
        parts=entry.combines,
        utterances=[
            " And one more thing: ".join(part.utterances[number % len(part.utterances)] for part in parts)
            for number in range(max(len(part.utterances) for part in parts))
        ],
        path=list(dict.fromkeys(step for part in parts for step in _steps(part))),
        needs=Needs(
            status=tuple(sorted(set.intersection(*statuses))) if statuses else (),
            delivery_block=any(part.needs.delivery_block for part in parts),
            charged_twice=any(part.needs.charged_twice for part in parts),
            billed_too_much=any(part.needs.billed_too_much for part in parts),
        ),
        effects=[effect for part in parts for effect in _effects(part)],
        told=list(dict.fromkeys(source for part in parts for source in part.expects.told)),
        decline=any(part.expects.decline for part in parts),
    )


def _steps(entry: IntentEntry) -> tuple[Step, ...]:
    return tuple(
        Step(operation=name, arguments=tuple((argument, str(source)) for argument, source in arguments.items()))
        for step in entry.path
        for name, arguments in step.items()
    )


def _effects(entry: IntentEntry) -> tuple[EffectTemplate, ...]:
    return tuple(
        EffectTemplate(
            service=effect.service,
            kind=effect.kind,
            entity=effect.entity,
            amount=effect.amount,
            details=effect.details,
        )
        for effect in entry.expects.effects
    )
