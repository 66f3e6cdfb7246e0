"""Anybody's tools matched with our operations: as the scenario declares, else by names, descriptions and schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from pagerproof.errors import UsageError
from pagerproof.model import Operation
from pagerproof.services.model_schema import Parameter, parameters_of
from pagerproof.services.tool_words import (
    WRITING,
    is_bare_identifier,
    likeness_of_arguments,
    snake,
    tokens,
)

SURE_MIN: Final = 0.5
"""A tool that resembles no operation as much as this is left unmatched."""
MARGIN_MIN: Final = 0.03
"""Two operations that resemble a tool this closely alike leave it unmatched: it is ambiguous."""

_HANDOFF_NAME = re.compile(r"(?:transfer|hand_?off|hand_over|delegate|route|forward)_?(?:back_)?_?to_?|^handoff")
_OUTPUT_NAME = re.compile(r"^(?:final_(?:result|answer|response|output)|submit_(?:result|answer|response))")

Role = Literal["operation", "handoff", "output", "unmatched"]


class DeclaredTool(BaseModel):
    """What a scenario says about a tool of the agent's: the operations it carries out, and what its arguments mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: str | tuple[str, ...] = Field(description="the operation, or those that one call carries out in turn")
    arguments: dict[str, str] = Field(
        default_factory=dict, description="the tool's argument -> ours; what is not named is matched by its name"
    )

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations, one or more."""
        return (self.operation,) if isinstance(self.operation, str) else self.operation


Declared = Mapping[str, DeclaredTool | Literal["handoff", "output"]]
"""What a scenario declares about the agent's tools, by the tool's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool as the provider's request offers it."""

    name: str
    description: str
    schema: Mapping[str, Any]
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """What the simulated model takes a tool for.

    `operations` are carried out by one call, `arguments` are pairs of our argument and the tool's parameter; `sure` is
    from 0 to 1, `why` says how it was found.
    """

    tool: Tool
    role: Role
    operations: tuple[str, ...] = ()
    arguments: tuple[tuple[str, Parameter], ...] = ()
    sure: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolMatching:
    """One set of offered tools, matched: what was taken for what, how sure that is, and what is left.

    `callers` names the tool that the model calls for an operation, by operation; `offered` are the operations that
    these tools cover, and `tool:NAME` for each tool that was taken for nothing.
    """

    uses: tuple[ToolUse, ...]
    callers: Mapping[str, ToolUse]
    by_name: Mapping[str, ToolUse]
    offered: tuple[str, ...]
    key: int
    handoffs: tuple[ToolUse, ...] = field(default=())
    outputs: tuple[ToolUse, ...] = field(default=())


def check_declared(declared: Declared, operations: Iterable[str]) -> None:
    """Raise UsageError where a declared tool names an operation that nobody offers."""
    known = list(operations)
    for name, use in declared.items():
        if isinstance(use, DeclaredTool):
            for operation in use.operations:
                if operation not in known:
                    near = get_close_matches(operation, known, n=1)
                    hint = f"; did you mean {near[0]}?" if near else ""
                    raise UsageError(f"tools: {name}: there is no operation {operation!r}{hint}")


def tool_of(definition: Mapping[str, Any]) -> Tool:
    """Return the tool of an OpenAI definition, {"type": "function", "function": {...}}."""
    function = definition.get("function")
    given: Mapping[str, Any] = function if isinstance(function, Mapping) else definition
    schema = given.get("parameters")
    schema = schema if isinstance(schema, Mapping) else {}
    return Tool(
        name=str(given.get("name", "")),
        description=str(given.get("description") or ""),
        schema=schema,
        parameters=parameters_of(schema),
    )


def match_tools(
    definitions: Sequence[Mapping[str, Any]],
    operations: Mapping[str, Operation],
    declared: Declared | None = None,
    key: int = 0,
) -> ToolMatching:
    """Match each offered tool: what is declared holds; else the operation that it resembles most, if clearly so."""
    known = [each for each in operations.values() if each.service != "llm"]
    uses = tuple(_use(tool_of(each), known, operations, declared or {}) for each in definitions)
    callers: dict[str, ToolUse] = {}
    for use in uses:
        for operation in use.operations:
            if operation not in callers or use.sure > callers[operation].sure:
                callers[operation] = use
    left = tuple(f"tool:{use.tool.name}" for use in uses if use.role == "unmatched")
    return ToolMatching(
        uses=uses,
        callers=callers,
        by_name={use.tool.name: use for use in uses},
        offered=(*callers, *left),
        key=key,
        handoffs=tuple(use for use in uses if use.role == "handoff"),
        outputs=tuple(use for use in uses if use.role == "output"),
    )


def _use(tool: Tool, known: Sequence[Operation], operations: Mapping[str, Operation], declared: Declared) -> ToolUse:
    said = declared.get(tool.name)
    if isinstance(said, DeclaredTool):
        return ToolUse(
            tool=tool,
            role="operation",
            operations=said.operations,
            arguments=_declared_arguments(tool, said, operations),
            sure=1.0,
            why="declared",
        )
    if said is not None:
        return ToolUse(tool=tool, role=said, sure=1.0, why="declared")
    if _OUTPUT_NAME.search(snake(tool.name)):
        return ToolUse(tool=tool, role="output", sure=1.0, why="by its name")
    if _is_handoff(tool):
        return ToolUse(tool=tool, role="handoff", sure=1.0, why="by its name or description")
    return _best(tool, known)


def _declared_arguments(
    tool: Tool, said: DeclaredTool, operations: Mapping[str, Operation]
) -> tuple[tuple[str, Parameter], ...]:
    pairs = {}
    for operation in said.operations:
        known = operations.get(operation)
        matched = dict(matched_arguments(tool, known)) if known is not None else {}
        for parameter in tool.parameters:
            ours = said.arguments.get(".".join(parameter.path)) or said.arguments.get(parameter.name)
            if ours is not None:
                pairs[ours] = parameter
        taken = {parameter.path for parameter in pairs.values()}
        for ours, parameter in matched.items():
            if parameter.path not in taken:
                pairs.setdefault(ours, parameter)
    return tuple(pairs.items())


def _is_handoff(tool: Tool) -> bool:
    name = snake(tool.name)
    if "human" in name:
        return False
    return bool(_HANDOFF_NAME.search(name)) or tool.description.lower().startswith(("handoff to", "hand off to"))


def _best(tool: Tool, known: Sequence[Operation]) -> ToolUse:
    ranked = sorted(((_likeness(tool, each), each) for each in known), key=lambda pair: (-pair[0], pair[1].full_name))
    if not ranked:
        return ToolUse(tool=tool, role="unmatched", why="there are no operations")
    (best, operation), (second, other) = ranked[0], ranked[1] if len(ranked) > 1 else (0.0, ranked[0][1])
    if best < SURE_MIN:
        why = f"resembles nothing (most of all {operation.full_name}, {best:.2f})"
        return ToolUse(tool=tool, role="unmatched", sure=best, why=why)
    if best - second < MARGIN_MIN:
        why = f"ambiguous between {operation.full_name} ({best:.2f}) and {other.full_name} ({second:.2f})"
        return ToolUse(tool=tool, role="unmatched", sure=best, why=why)
    return ToolUse(
        tool=tool,
        role="operation",
        operations=(operation.full_name,),
        arguments=tuple(matched_arguments(tool, operation)),
        sure=best,
        why=f"matched, {best:.2f} (next {other.full_name}, {second:.2f})",
    )


def _likeness(tool: Tool, operation: Operation) -> float:
    if snake(tool.name) == snake(operation.full_name):
        return 1.0
    ours = tokens(operation.name)
    theirs = tokens(tool.name)
    if not ours or not theirs:
        return 0.0
    plain = ours - {"get"} if len(ours) > 1 else ours
    name = 2.0 * len(ours & theirs) / (len(ours) + len(theirs))
    if not plain & theirs:
        name *= 0.5
    if bool(theirs & WRITING) != operation.writes:
        name *= 0.6
    if theirs & tokens(operation.service):
        name = min(1.0, name + 0.05)
    arguments = _likeness_of_signatures(tool, operation)
    if not tool.description:
        return 0.6 * name + 0.4 * arguments
    said = tokens(operation.summary) | ours
    described = len(said & tokens(tool.description)) / len(said)
    return 0.5 * name + 0.33 * arguments + 0.17 * described


def _likeness_of_signatures(tool: Tool, operation: Operation) -> float:
    needed = [name for name in operation.arguments if name not in operation.optional]
    required = [each for each in tool.parameters if each.required] or list(tool.parameters)
    if not needed:
        return 1.0 if not required else 0.4
    pairs = matched_arguments(tool, operation)
    sure = sum(likeness for name, _, likeness in _pairs(tool, operation) if name in needed)
    taken = {parameter.path for _, parameter in pairs}
    extra = sum(each.path not in taken for each in required) / len(required) if required else 0.0
    return 0.75 * sure / len(needed) + 0.25 * (1.0 - extra)


def matched_arguments(tool: Tool, operation: Operation) -> list[tuple[str, Parameter]]:
    """Return pairs of the operation's argument and the tool's parameter that means it, each used once."""
    return [(name, parameter) for name, parameter, _ in _pairs(tool, operation)]


def _pairs(tool: Tool, operation: Operation) -> list[tuple[str, Parameter, float]]:
    candidates = sorted(
        (
            (-_likeness_here(name, parameter, tool, operation), at, position)
            for at, name in enumerate(operation.arguments)
            for position, parameter in enumerate(tool.parameters)
        )
    )
    names = list(operation.arguments)
    pairs: list[tuple[str, Parameter, float]] = []
    used_names: set[int] = set()
    used_parameters: set[int] = set()
    for unlikeness, at, position in candidates:
        if unlikeness > -0.6:
            break
        if at not in used_names and position not in used_parameters:
            used_names.add(at)
            used_parameters.add(position)
            pairs.append((names[at], tool.parameters[position], -unlikeness))
    pairs.sort(key=lambda pair: names.index(pair[0]))
    return pairs


def _likeness_here(argument: str, parameter: Parameter, tool: Tool, operation: Operation) -> float:
    likeness = likeness_of_arguments(argument, parameter.name)
    if likeness == 0.0 and is_bare_identifier(parameter.name):
        of_what = argument.removesuffix("_id")
        if tokens(of_what) & tokens(tool.name) or next(iter(operation.arguments)) == argument:
            return 0.8
    return likeness
