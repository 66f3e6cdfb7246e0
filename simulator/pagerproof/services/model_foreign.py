"""The simulated model for agents that were never written for us: their tools, their words, the same stated policy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from xxhash import xxh3_64_intdigest

from pagerproof.model import Operation, Step, Truth
from pagerproof.protocols import Case
from pagerproof.rng import key_of, pick, sub_key
from pagerproof.services import model_words as words
from pagerproof.services.model_act import Move
from pagerproof.services.model_conversation import Conversation
from pagerproof.services.model_handoffs import how_fitting
from pagerproof.services.model_policy import ModelPolicy, task_of, went_astray
from pagerproof.services.model_results import FIELD_FACTS, Wanted, read_result
from pagerproof.services.model_schema import Knowledge, asked_schema, filled, fitted, made_up, placed
from pagerproof.services.model_tools import Declared, ToolMatching, ToolUse, match_tools
from pagerproof.services.model_walk import ROUTE, Turn, Walk
from pagerproof.services.tool_words import snake

_MATCHINGS_MAX: Final = 256
_TRUTHS_MAX: Final = 4096
_RESULTS_MAX: Final = 4096
_NOTHING_OFFERED: Final = ("tool:",)
_WRITER: Final = {"role": "system", "content": "Write the reply to the customer."}
_STRANGER: Final = "I am sorry, I do not know which customer this is about, so I cannot help with it."
_ENDS: Final = frozenset({"finishes", "lacks_tools", "skips_step"})


class ForeignModel:
    """Answers the requests of foreign agents: reads their conversation, lets the policy decide, says it their way."""

    def __init__(self, policy: ModelPolicy, operations: Mapping[str, Operation], declared: Declared) -> None:
        self._policy = policy
        self._operations = operations
        self._declared = declared
        self._matchings: dict[int, ToolMatching] = {}
        self._truths: dict[tuple[int, int], tuple[Truth, Truth]] = {}
        self._wanted: dict[int, tuple[Truth, Wanted]] = {}
        self._results: dict[tuple[str, int], str] = {}

    @property
    def matchings(self) -> Sequence[ToolMatching]:
        """Every set of tools that was offered in this run, matched, in the order in which they came."""
        return tuple(self._matchings.values())

    def matching(self, definitions: Sequence[Any]) -> ToolMatching:
        """Return these tools' matching, made once."""
        key = xxh3_64_intdigest(orjson.dumps(definitions))
        found = self._matchings.get(key)
        if found is None:
            if len(self._matchings) >= _MATCHINGS_MAX:
                self._matchings.clear()
            found = self._matchings[key] = match_tools(definitions, self._operations, self._declared, key)
        return found

    def next_move(
        self,
        case: Case,
        arguments: Mapping[str, Any],
        *,
        temperature: float = 0.0,
        streams: int = 1,
        forced: str = "",
    ) -> tuple[Move, int]:
        """Return the model's next message in the agent's own terms, and the key of this answer's other draws.

        `arguments` are those of the provider's chat request. Raises TypeError for messages that are none.
        """
        messages: Sequence[Mapping[str, Any]] = arguments["messages"]
        if not case.index:
            return Move("knows_nothing", text=_STRANGER), key_of(self._policy.seed, "nobody", len(messages))
        choice = arguments.get("tool_choice")
        offered: Sequence[Any] = arguments.get("tools") or ()
        if choice is not None and choice.get("type") == "none":
            offered = ()
        matching = self.matching(offered)
        asked = Asked(self, case, messages, matching, arguments, (temperature, streams, forced))
        move, key = asked.act() if offered else asked.talk()
        return move, key

    def truth_for(self, truth: Truth, matching: ToolMatching) -> Truth:
        """Return the truth with a path whose arguments are those that these tools take."""
        known = self._truths.get((id(truth.path), matching.key))
        if known is None or known[0].path is not truth.path:
            if len(self._truths) >= _TRUTHS_MAX:
                self._truths.clear()
            known = truth, replace(truth, path=_path_for(truth.path, matching))
            self._truths[id(truth.path), matching.key] = known
        if known[0] is truth:
            return known[1]
        return replace(truth, path=known[1].path)

    def wanted_of(self, truth: Truth) -> Wanted:
        """Return what a reader of this request's tool results looks for, made once for each request."""
        known = self._wanted.get(id(truth))
        if known is None or known[0] is not truth:
            if len(self._wanted) >= _TRUTHS_MAX:
                self._wanted.clear()
            known = self._wanted[id(truth)] = truth, Wanted(_fields_of(truth), truth.slots, truth.expectation.told)
        return known[1]

    def read(self, text: str, truth: Truth) -> str:
        """Return a tool's text in words that the policy reads, made once for each text and request."""
        place = text, id(truth)
        known = self._results.get(place)
        if known is None:
            if len(self._results) >= _RESULTS_MAX:
                self._results.clear()
            known = self._results[place] = read_result(text, self.wanted_of(truth))
        return known

    def operation(self, name: str) -> Operation | None:
        """Return the operation of this name, if somebody offers it."""
        return self._operations.get(name)

    @property
    def policy(self) -> ModelPolicy:
        """The stated policy behind it."""
        return self._policy


def _fields_of(truth: Truth) -> frozenset[str]:
    fields: set[str] = set()
    for step in truth.path:
        for _, source in step.arguments:
            if source.startswith("@"):
                fields.update(part for part in source.split(".")[3:] if not part.isdigit())
            elif source.startswith("$"):
                fields.add(source[1:])
    fields -= {"d", "results", "items"}
    for told in truth.expectation.told:
        fields.update(name for name, value in truth.slots.items() if value == told)
    return frozenset(fields)


def _path_for(path: tuple[Step, ...], matching: ToolMatching) -> tuple[Step, ...]:
    """The same steps, each with the arguments that its tool takes, from where such an agent can know them."""
    covered = {step.operation for step in path if step.operation in matching.callers}
    steps = []
    for step in path:
        caller = matching.callers.get(step.operation)
        taken = None if caller is None else {ours for ours, _ in caller.arguments}
        arguments = tuple(
            (name, _source_for(source, covered)) for name, source in step.arguments if taken is None or name in taken
        )
        steps.append(Step(operation=step.operation, arguments=arguments))
    return tuple(steps)


def _source_for(source: str, covered: set[str]) -> str:
    """Where a value comes from: what another step would have said is looked for wherever it may stand."""
    if not source.startswith("@"):
        return source
    parts = source[1:].split(".")
    if ".".join(parts[:3]) in covered:
        return source
    name = next((part for part in reversed(parts) if not part.isdigit()), parts[-1])
    return f"${FIELD_FACTS.get(name, name)}"


class Asked:
    """One request of a foreign agent, read."""

    def __init__(
        self,
        model: ForeignModel,
        case: Case,
        messages: Sequence[Mapping[str, Any]],
        matching: ToolMatching,
        arguments: Mapping[str, Any],
        circumstances: tuple[float, int, str],
    ) -> None:
        self._model = model
        self._matching = matching
        self._arguments = arguments
        self._temperature, self._streams, self._forced = circumstances
        self._truth = case.truth
        self._handed: set[str] = set()
        self._answered: set[str] = set()
        self._messages = self._translated(messages)
        self._case = Case(case.request, model.truth_for(case.truth, matching))
        self._case.occurrences = case.occurrences

    # -- reading -----------------------------------------------------------------------------------------------------

    def _translated(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The conversation with our operations in place of the agent's tools."""
        names: dict[str, str] = {}
        said: list[dict[str, Any]] = []
        for message in messages:
            role = message.get("role")
            content = message.get("content") or ""
            if role == "assistant":
                calls = message.get("tool_calls") or ()
                for call in calls:
                    names[str(call.get("id", ""))] = str(call["function"]["name"])
                said.append({"role": "assistant", "content": content, "tool_calls": list(calls)})
            elif role == "tool":
                name = message.get("name") or names.get(str(message.get("tool_call_id", "")), "")
                said.extend(self._heard_from(str(name), str(content)))
            else:
                said.append({"role": role, "content": content})
        return said

    def _heard_from(self, name: str, content: str) -> list[dict[str, Any]]:
        use = self._matching.by_name.get(name) or self._use_elsewhere(name)
        if use is None or not use.operations:
            if use is not None and use.role == "handoff":
                self._handed.add(name)
            return [{"role": "tool", "name": f"tool:{name}", "content": content}]
        content = self._model.read(content, self._truth)
        self._answered.update(use.operations)
        return [{"role": "tool", "name": operation, "content": content} for operation in use.operations]

    def _use_elsewhere(self, name: str) -> ToolUse | None:
        """What a tool was taken for that another agent of the same system was offered."""
        for matching in self._model.matchings:
            use = matching.by_name.get(name)
            if use is not None:
                return use
        return None

    # -- acting ------------------------------------------------------------------------------------------------------

    def act(self) -> tuple[Move, int]:
        """The next message where tools were offered."""
        move, key = self._next(self._messages, self._matching.offered or _NOTHING_OFFERED)
        if move.tool:
            return self._call(move, key), key
        if move.behaviour in _ENDS and not self._forced:
            handoff = self._handoff(key)
            if handoff is not None:
                return handoff, key
        return self._last_word(move, key)

    def _next(self, messages: list[dict[str, Any]], tools: Sequence[str]) -> tuple[Move, int]:
        return self._model.policy.next_move(
            self._case,
            Conversation(messages),
            tools=tools,
            temperature=self._temperature,
            streams=self._streams,
            forced=self._forced,
        )

    def _call(self, move: Move, key: int) -> Move:
        """The policy's call in the names of the agent's tools."""
        use = self._matching.callers.get(move.tool)
        if use is None and move.tool.startswith("tool:"):
            use = self._matching.by_name.get(move.tool[5:])
            if use is None:  # there is no tool at all to take by mistake
                return Move("prose", text=words.prose("it", sub_key(key, b"words")))
        if use is None:
            return Move(move.behaviour, tool=self._invented_name(move.tool), arguments=move.arguments)
        arguments = self._arguments_for(use, move.arguments, key)
        return Move(move.behaviour, move.text, use.tool.name, arguments, move.finish_reason)

    def _invented_name(self, operation: str) -> str:
        """A name in the style of the agent's own tools for an operation that does not exist."""
        _, entity, verb = operation.split(".")
        first = next(iter(self._matching.by_name), "")
        if "_" in first or first.islower():
            return f"{verb}_{snake(entity)}"
        return "".join(part.capitalize() for part in verb.split("_")) + entity

    def _arguments_for(self, use: ToolUse, written: str, key: int) -> str:
        given, tail = _parsed(written)
        if given is None:  # cut: the names are changed in the text as it is
            for name, parameter in use.arguments:
                written = written.replace(f'"{name}":', f'"{parameter.name}":')
            return written
        values: list[tuple[tuple[str, ...], Any]] = []
        meant: dict[tuple[str, ...], str | None] = {parameter.path: ours for ours, parameter in use.arguments}
        for parameter in use.tool.parameters:
            ours = meant.get(parameter.path)
            value = given.get(parameter.name if ours is None else ours)
            if value is None and not parameter.required:
                continue
            if value is None:
                value = self._known(snake(parameter.name))
            if value is None:
                values.append((parameter.path, made_up(parameter, key)))
            else:
                values.append((parameter.path, fitted(value, parameter.schema)))
        text = orjson.dumps(placed(values)).decode()
        return f"{text[:-1]}{tail}" if tail else text

    def _known(self, name: str) -> str | None:
        """A fact of the request by name, if a reader of this conversation could know it."""
        turn = self._turn()
        found = turn.slot(name)
        if found is None:
            for reading in reversed(Walk(turn).last.values()):
                values = reading.flat.get(name)
                if values:
                    return values[0]
        return found

    def _turn(self) -> Turn:
        return Turn(
            self._case,
            Conversation(self._messages),
            frozenset(self._matching.offered),
            self._model.policy.rates,
            0.0,
            0.0,
            key_of(key_of(self._model.policy.seed, "model"), self._case.index),
            "",
        )

    # -- handing over ------------------------------------------------------------------------------------------------

    def _handoff(self, key: int) -> Move | None:
        """The handoff to whoever can do what is left, if there is one that was not taken yet."""
        ways = [use for use in self._matching.handoffs if use.tool.name not in self._handed]
        left = [
            step.operation
            for step in self._truth.path
            if step.operation not in self._matching.callers and step.operation not in self._answered
        ]
        if not ways or not left:
            return None
        ranked = sorted(ways, key=lambda use: -how_fitting(use, self._truth.intents, left))
        if how_fitting(ranked[0], self._truth.intents, left) <= 0.0 and self._matching.callers:
            return None
        turn = self._turn()
        turn.at(ROUTE, len(self._handed))
        budget = self._model.policy.budget("route", self._truth.difficulty, self._temperature, self._streams)
        errs = len(ranked) > 1 and turn.draw(b"errs") < -math.expm1(-budget)
        use = pick(sub_key(turn.key, b"handoff"), ranked[1:]) if errs else ranked[0]
        knows = self._knowledge("; ".join(self._truth.intents), ok=True, key=key)
        values = [(each.path, filled(each.schema, knows, name=each.name)) for each in use.tool.parameters]
        arguments = orjson.dumps(placed(values)).decode()
        return Move("misroutes" if errs else "routes", tool=use.tool.name, arguments=arguments)

    # -- speaking ----------------------------------------------------------------------------------------------------

    def _last_word(self, move: Move, key: int) -> tuple[Move, int]:
        """What the agent's framework takes for the end: the reply to the customer, in words or in an output tool."""
        ends = move.text.startswith((words.DONE, words.CANNOT, words.DECLINE))
        done = ends and move.text.startswith(words.DONE)
        if ends:
            if done and self._undone():
                move = Move("lacks_tools", text=f"{words.CANNOT} I have no tool for all of this.")
                done = False
            spoken = {"role": "assistant", "content": move.text}
            letter, key = self._next([_WRITER, *self._messages, spoken], ())
            slip = went_astray(letter.behaviour) and not went_astray(move.behaviour)
            move = Move(letter.behaviour if slip else move.behaviour, text=letter.text)
        elif move.text:
            move = Move(move.behaviour, text=self._in_their_names(move.text), finish_reason=move.finish_reason)
        if not move.text:
            return move, key
        return self._structured(move, key, ok=done), key

    def _undone(self) -> bool:
        """Whether something that the customer asked for could not be done for want of a tool."""
        kinds = {(effect.service, effect.kind) for effect in self._truth.expectation.effects}
        for step in self._truth.path:
            operation = self._model.operation(step.operation)
            if (
                operation is not None
                and step.operation not in self._matching.callers
                and step.operation not in self._answered
                and (operation.service, operation.effect_kind) in kinds
            ):
                return True
        return False

    def _in_their_names(self, text: str) -> str:
        for operation, use in self._matching.callers.items():
            text = text.replace(operation, use.tool.name)
        return text

    def _structured(self, move: Move, key: int, *, ok: bool) -> Move:
        """The same in the output tool or the JSON schema that the framework asked for, if it did."""
        knows = self._knowledge(move.text, ok=ok, key=key)
        outputs = self._matching.outputs or self._forced_outputs()
        if outputs:
            wanted = outputs[0].tool.schema
            arguments = orjson.dumps(filled(wanted, knows) if wanted else {}).decode()
            return Move(move.behaviour, tool=outputs[0].tool.name, arguments=arguments)
        schema = asked_schema(self._arguments.get("response_format"))
        if schema is None:
            return move
        return Move(move.behaviour, text=orjson.dumps(filled(schema, knows)).decode())

    def _forced_outputs(self) -> tuple[ToolUse, ...]:
        """Tools that can only be meant for the answer, where the request demands a call and the work is over."""
        choice = self._arguments.get("tool_choice") or {}
        if choice.get("type") == "function":
            use = self._matching.by_name.get(str(choice.get("name")))
            return () if use is None else (use,)
        if choice.get("type") != "required":
            return ()
        return tuple(use for use in self._matching.uses if use.role == "unmatched")

    def _knowledge(self, text: str, *, ok: bool, key: int) -> Knowledge:
        turn = self._turn()
        facts = {
            "email": self._case.request.customer_email,
            "customer_name": self._case.request.customer_name,
            "status": "done" if ok else "failed",
        }
        for name in ("order_id", "customer_id", "sales_order", "sku"):
            value = turn.slot(name)
            if value is not None:
                facts[name] = value
        confidence = 0.98 - 0.3 * self._truth.difficulty
        return Knowledge(text=text, facts=facts, labels=self._truth.intents, ok=ok, confidence=confidence, key=key)

    def talk(self) -> tuple[Move, int]:
        """The next message where no tools were offered: a routing, a review or a reply, by the system text."""
        said = Conversation(self._messages)
        schema = asked_schema(self._arguments.get("response_format"))
        move, key = self._next(self._messages, ())
        if schema is None:
            return move, key
        task = task_of(said, ())
        ok = True
        if task == "verify":
            ok = '"approved":true' in move.text
        labels = self._truth.intents
        if task == "route":
            try:
                labels = tuple(orjson.loads(move.text)["intents"])
            except (ValueError, KeyError, TypeError):
                return move, key  # forced into words
        knows = replace(self._knowledge(move.text, ok=ok, key=key), labels=labels)
        return Move(move.behaviour, text=orjson.dumps(filled(schema, knows)).decode()), key


def _parsed(written: str) -> tuple[dict[str, Any] | None, str]:
    """Return (the arguments, what follows in place of the closing brace) of arguments as the policy wrote them."""
    try:
        return orjson.loads(written or "{}"), ""
    except orjson.JSONDecodeError:
        head, comment, tail = written.partition(" /*")
        if comment:
            try:
                return orjson.loads(head + "}"), comment + tail
            except orjson.JSONDecodeError:
                pass
        return None, ""


__all__ = ["Asked", "ForeignModel"]
