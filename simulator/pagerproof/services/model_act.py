"""How the simulated model acts: the next tool call of the happy path, a slip from it, or a last word."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

from pagerproof.rng import key_of, pick, sub_key
from pagerproof.services import model_words as words
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.model_rates import FINISH_ERRORS, STEP_ERRORS, Mix
from pagerproof.services.model_reading import BROKEN
from pagerproof.services.model_walk import ACT, JSON, LITERAL, READABLE, SLOT, WRITES, Turn, Walk

_STEP_MIX = Mix(STEP_ERRORS)
_FINISH_MIX = Mix(FINISH_ERRORS)
_FETCH_DEPTH_MAX = 3


class Move:
    """The model's next message: text, or a tool call with its arguments as JSON text; and the behaviour it shows."""

    __slots__ = ("arguments", "behaviour", "finish_reason", "text", "tool")

    def __init__(
        self, behaviour: str, text: str = "", tool: str = "", arguments: str = "", finish_reason: str = ""
    ) -> None:
        self.behaviour = behaviour
        self.text = text
        self.tool = tool
        self.arguments = arguments
        self.finish_reason = finish_reason or ("tool_calls" if tool else "stop")


class _Missing(Exception):
    """A value that the model needs and has not got; `operation` is the tool that should have said it, or empty."""

    def __init__(self, name: str, operation: str = "", *, believed: bool = False) -> None:
        super().__init__(name)
        self.name = name
        self.operation = operation
        self.believed = believed


def act(turn: Turn) -> Move:
    """Return the model's next message where it was given tools."""
    walk = Walk(turn)
    turn.at(ACT, walk.position)
    if turn.forced:
        return _FORCED[turn.forced](turn, walk)
    said = walk.said
    if said:
        if words.is_polite(said) and turn.draw(b"polite") < turn.rates.polite_persistence:
            return _polite_loop(turn, walk)
        if said.startswith(words.CANNOT) and turn.draw(b"pressed") < turn.rates.yields_to_pressure:
            return _claims_success(turn, walk)
    operations = turn.plan.operations
    ending = walk.position >= len(operations)
    must_decline = turn.truth.expectation.decline
    if must_decline and (ending or operations[walk.position] in WRITES):
        return _face_decline(turn, walk)
    # One decision's part of the acting budget: even over the steps and the finish; half of it over all of them where
    # declining is the point, the other half being the recognition of that.
    parts = len(operations) + 1
    chance = -math.expm1(-(turn.budget / (2 * parts if must_decline else parts)))
    drawn = turn.draw(b"errs")
    if ending:
        if drawn < chance:
            return _BEHAVIOURS[_FINISH_MIX.pick(drawn / chance)](turn, walk)
        return _finish(turn, walk, "finishes")
    if walk.error is not None:
        if must_decline and _reads_as_final(walk.error.text) and not _overlooks_decline(turn):
            return _decline()
        reaction = _react_to_error(turn, walk)
        if reaction is not None:
            return reaction
    if drawn < chance:
        return _BEHAVIOURS[_STEP_MIX.pick(drawn / chance)](turn, walk)
    return _call_step(turn, walk, walk.position, "right_tool", 0)


def _face_decline(turn: Turn, walk: Walk) -> Move:
    if not _overlooks_decline(turn):
        return _decline()
    if walk.position >= len(turn.truth.path):
        return _finish(turn, walk, "overlooks_decline")
    move = _right_tool(turn, walk)
    return Move("overlooks_decline", text=move.text, tool=move.tool, arguments=move.arguments)


def _overlooks_decline(turn: Turn) -> bool:
    return turn.lasting_draw("declines") < -math.expm1(-turn.budget / 2)


def _decline() -> Move:
    return Move("declines", text=f"{words.DECLINE} this is not something I may do for this customer.")


def _react_to_error(turn: Turn, walk: Walk) -> Move | None:
    """Give up or claim success over the error of this step; None is to try again."""
    rates = turn.rates
    gives_up = rates.gives_up_after_error[min(walk.tries, len(rates.gives_up_after_error)) - 1]
    if walk.error is not None and _reads_as_final(walk.error.text):
        gives_up += rates.gives_up_after_refusal
    drawn = turn.draw(b"error")
    if drawn < gives_up:
        return _gives_up(turn, walk)
    if drawn < gives_up + rates.claims_after_error + rates.claims_after_error_slope * turn.looseness:
        return _claims_success(turn, walk)
    return None


def _reads_as_final(text: str) -> bool:
    head = text[:80]
    return any(f" {status}" in head for status in ("400", "403", "404", "409", "412", "422"))


# The right call, and what it takes


def _right_tool(turn: Turn, walk: Walk) -> Move:
    return _call_step(turn, walk, walk.position, "right_tool", 0)


def _call_step(turn: Turn, walk: Walk, step: int, behaviour: str, depth: int) -> Move:
    plan = turn.plan
    arguments: dict[str, Any] = {}
    try:
        for name, kind, place, path, is_integer in plan.arguments[step]:
            if kind == JSON:
                arguments[name] = orjson.loads(place)
                continue
            value = place if kind == LITERAL else _resolve(turn, walk, name, kind, place, path)
            arguments[name] = int(value) if is_integer and value.isdecimal() else value
    except _Missing as missing:
        return _do_without(turn, walk, step, missing, depth)
    return Move(behaviour, "", plan.operations[step], orjson.dumps(arguments).decode(), "tool_calls")


def _typed(value: str, is_integer: bool) -> str | int:
    return int(value) if is_integer and value.isdecimal() else value


def _call(behaviour: str, operation: str, arguments: Mapping[str, Any]) -> Move:
    types = OPERATIONS[operation].arguments if operation in OPERATIONS else {}
    typed = {
        name: _typed(value, types.get(name) == "integer") if isinstance(value, str) else value
        for name, value in arguments.items()
    }
    return Move(behaviour, tool=operation, arguments=orjson.dumps(typed).decode())


def _resolve(turn: Turn, walk: Walk, name: str, kind: int, place: str, path: tuple[str, ...]) -> str:
    """Return the value of one argument as a reader of this conversation knows it. Raises _Missing."""
    if kind >= LITERAL:  # written out, as text or as JSON
        return place
    if kind == SLOT:
        value = turn.slot(place) or _seen_anywhere(walk, place)
        if value is None:
            raise _Missing(name)
        return value
    reading = walk.last.get(place)
    if reading is None:
        raise _Missing(name, place)
    if reading.kind == BROKEN and path and reading.cut_key == path[-1] and _notices_cut(turn, walk, place):
        raise _Missing(name, place)
    value = reading.value(path)
    if value is None:
        raise _Missing(name, place, believed=reading.kind not in READABLE)
    return value


def _notices_cut(turn: Turn, walk: Walk, operation: str) -> bool:
    return turn.lasting_draw("cut", operation, walk.answers[operation]) < turn.rates.notices_cut


def _seen_anywhere(walk: Walk, name: str) -> str | None:
    for reading in reversed(walk.last.values()):
        values = reading.flat.get(name)
        if values:
            return values[0]
    return None


def _do_without(turn: Turn, walk: Walk, step: int, missing: _Missing, depth: int) -> Move:
    """Fetch the missing value again, make one up, or give up."""
    rates = turn.rates
    operation = missing.operation
    if turn.truth.expectation.decline and not operation and not _overlooks_decline(turn):
        return _decline()
    if operation in turn.offered and operation not in WRITES and not missing.believed and depth < _FETCH_DEPTH_MAX:
        giver = turn.plan.operations.index(operation) if operation in turn.plan.operations else -1
        if giver >= 0 and turn.draw(b"again") < rates.asks_again ** walk.answers.get(operation, 0):
            return _call_step(turn, walk, giver, "asks_again", depth + 1)
    invents = missing.believed or (
        turn.draw(b"invents") < rates.invents_missing + rates.invents_missing_slope * turn.looseness
    )
    if not invents:
        why = f"I could not find out the {missing.name} that {turn.plan.operations[step]} needs."
        return Move("gives_up", text=f"{words.CANNOT} {why}")
    return _call("invents_value", turn.plan.operations[step], _written_out(turn, walk, step))


def _arguments_made_up(turn: Turn, walk: Walk, step: int) -> dict[str, str]:
    """The arguments of a step, whatever is missing made up; the same at every call of the request."""
    made: dict[str, str] = {}
    for name, kind, place, path, _ in turn.plan.arguments[step] if turn.plan.path else ():
        try:
            made[name] = _resolve(turn, walk, name, kind, place, path)
        except _Missing:
            made[name] = words.invented(name, key_of(turn.request_key, "made up", place, *path))
    return made


def _written_out(turn: Turn, walk: Walk, step: int) -> dict[str, Any]:
    """The arguments of a step as JSON values, whatever is missing made up."""
    return _decoded(turn, step, _arguments_made_up(turn, walk, step))


def _decoded(turn: Turn, step: int, arguments: Mapping[str, str]) -> dict[str, Any]:
    """The arguments with those that the step has as JSON values decoded, where a slip has left them JSON."""
    decoded: dict[str, Any] = dict(arguments)
    for name, kind, _, _, _ in turn.plan.arguments[step] if turn.plan.path else ():
        if kind == JSON:
            with suppress(orjson.JSONDecodeError):
                decoded[name] = orjson.loads(arguments[name])
    return decoded


# The slips


def _wrong_argument(turn: Turn, walk: Walk) -> Move:
    return _changed_argument(turn, walk, "wrong_argument", words.slipped)


def _invented_entity(turn: Turn, walk: Walk) -> Move:
    return _changed_argument(turn, walk, "invented_entity", words.other_value)


def _changed_argument(turn: Turn, walk: Walk, behaviour: str, change: Callable[[str, str, int], str]) -> Move:
    arguments = _arguments_made_up(turn, walk, _step_at(turn, walk))
    if not arguments:
        return _prose(turn, walk)
    key = sub_key(turn.key, b"argument")
    with_digits = [name for name, value in arguments.items() if any(c.isdigit() for c in value)]
    name = pick(key, with_digits or list(arguments))
    arguments[name] = change(name, arguments[name], sub_key(key, b"value"))
    return _call(behaviour, _tool_at(turn, walk), _decoded(turn, _step_at(turn, walk), arguments))


def _step_at(turn: Turn, walk: Walk) -> int:
    return min(walk.position, len(turn.plan.operations) - 1)


def _tool_at(turn: Turn, walk: Walk) -> str:
    operations = turn.plan.operations
    return operations[_step_at(turn, walk)] if operations else "kb.Article.search"


def _wrong_tool(turn: Turn, walk: Walk) -> Move:
    on_path = {step.operation for step in turn.truth.path}
    others = sorted(name for name in turn.offered if name not in on_path)
    if not others:
        others = sorted(name for name in turn.offered if name != _tool_at(turn, walk))
    if not others:
        return _prose(turn, walk)
    return _call_by_names(turn, walk, "wrong_tool", pick(sub_key(turn.key, b"tool"), others))


def _call_by_names(turn: Turn, walk: Walk, behaviour: str, operation: str) -> Move:
    """Call `operation` with whatever the model knows by its arguments' names, the rest made up."""
    known = OPERATIONS.get(operation)
    arguments = {}
    for name in known.arguments if known else ():
        if known is not None and name in known.optional:
            continue
        value = turn.slot(name) or _seen_anywhere(walk, name)
        arguments[name] = value or words.invented(name, key_of(turn.key, "made up", name))
    return _call(behaviour, operation, arguments)


def _skips_step(turn: Turn, walk: Walk) -> Move:
    """Leave the step out for good; one whose answer is needed later cannot be left out, so that is a wrong argument."""
    path = turn.truth.path
    if walk.position >= len(path):
        return _finish(turn, walk, "finishes")
    needed = f"@{path[walk.position].operation}."
    for later in path[walk.position + 1 :]:
        if any(source.startswith(needed) for _, source in later.arguments):
            return _wrong_argument(turn, walk)
    turn.skip(walk.position)
    after = Walk(turn)
    if after.position >= len(path):
        return _finish(turn, after, "skips_step")
    move = _right_tool(turn, after)
    return Move("skips_step", text=move.text, tool=move.tool, arguments=move.arguments)


def _repeats_step(turn: Turn, walk: Walk) -> Move:
    """Do the last write again, or else the step before; at the first step there is only a wrong tool to take."""
    path = turn.truth.path
    done = [at for at in range(min(walk.position, len(path))) if path[at].operation in turn.offered]
    if not done:
        return _wrong_tool(turn, walk)
    writes = [at for at in done if path[at].operation in WRITES]
    step = (writes or done)[-1]
    return _call("repeats_step", path[step].operation, _written_out(turn, walk, step))


def _prose(turn: Turn, walk: Walk) -> Move:
    return Move("prose", text=words.prose(_tool_at(turn, walk), sub_key(turn.key, b"words")))


def _polite_loop(turn: Turn, _walk: Walk) -> Move:
    return Move("polite_loop", text=pick(sub_key(turn.key, b"words"), words.POLITE))


def _gives_up(turn: Turn, walk: Walk) -> Move:
    why = f"{_tool_at(turn, walk)} does not work, so I have to stop here."
    return Move("gives_up", text=f"{words.CANNOT} {why}")


def _claims_success(turn: Turn, walk: Walk) -> Move:
    return _finish(turn, walk, "claims_success")


def _broken_json(turn: Turn, walk: Walk) -> Move:
    """A comment inside the arguments, the one broken shape seen in native mode (BFCL, 2024-08-11)."""
    written = orjson.dumps(_written_out(turn, walk, _step_at(turn, walk))).decode()
    return Move("broken_json", tool=_tool_at(turn, walk), arguments=f"{written[:-1]} /* as the customer wrote */}}")


def _truncated_arguments(turn: Turn, walk: Walk) -> Move:
    written = orjson.dumps(_written_out(turn, walk, _step_at(turn, walk))).decode()
    return Move(
        "truncated_arguments",
        tool=_tool_at(turn, walk),
        arguments=written[: max(1, len(written) * 2 // 3)],
        finish_reason="length",
    )


def _invented_tool(turn: Turn, walk: Walk) -> Move:
    place, _, _ = _tool_at(turn, walk).rpartition(".")
    verb = pick(sub_key(turn.key, b"verb"), ("resolve_all", "process", "lookup_by_name", "execute"))
    return _call("invented_tool", f"{place}.{verb}", _written_out(turn, walk, _step_at(turn, walk)))


def _refusal(_turn: Turn, _walk: Walk) -> Move:
    return Move("refusal", text=words.REFUSAL)


def _says_nothing(_turn: Turn, _walk: Walk) -> Move:
    return Move("empty")


def _forced_right(turn: Turn, walk: Walk) -> Move:
    if walk.position >= len(turn.truth.path):
        return _finish(turn, walk, "finishes")
    return _right_tool(turn, walk)


def _finish(turn: Turn, walk: Walk, behaviour: str) -> Move:
    facts = words.told_facts(walk.last.values())
    text = f"{words.DONE} everything the customer asked for has been taken care of."
    if facts:
        text += f" What I saw: {facts}."
    if walk.left and behaviour == "finishes":
        left = [turn.truth.path[at].operation for at in walk.left if turn.truth.path[at].operation not in turn.offered]
        if len(left) == len(turn.truth.path):
            return Move("lacks_tools", text=f"{words.CANNOT} I have no tool for this request.")
        if left:
            text = f"{words.DONE} my part is finished. What I saw: {facts}. Left to others: {', '.join(left)}."
    return Move(behaviour, text=text)


_BEHAVIOURS: Final[Mapping[str, Callable[[Turn, Walk], Move]]] = {
    "wrong_argument": _wrong_argument,
    "wrong_tool": _wrong_tool,
    "skips_step": _skips_step,
    "repeats_step": _repeats_step,
    "invented_entity": _invented_entity,
    "claims_success": _claims_success,
    "prose": _prose,
    "gives_up": _gives_up,
    "polite_loop": _polite_loop,
    "broken_json": _broken_json,
    "invented_tool": _invented_tool,
}
_FORCED: Final[Mapping[str, Callable[[Turn, Walk], Move]]] = {
    **_BEHAVIOURS,
    "right_tool": _forced_right,
    "truncated_arguments": _truncated_arguments,
    "refusal": _refusal,
    "empty": _says_nothing,
}

BEHAVIOURS: Final = tuple(_FORCED)
"""The behaviours that a disturbance may force upon a call, in a fixed order."""
