"""The tools of a domain: plain functions over its records, described by their own signatures.

What a tools module must offer, under the attribute that was named or else `TOOLS`: a mapping from tool names to
functions. A function's first parameter is the database (`pagerproof.domains.records.Records`); the others are the
tool's arguments, annotated `str`, `int`, `float`, `bool`, `list` or `dict`. Those with a default are optional, and only
a text argument with a default may be empty. The first line of its docstring describes it. It returns what the tool
answers, as JSON values; it raises ValueError to refuse and LookupError for what is not there, with a message for the
caller. A function that changes records is marked with `@writes("ARGUMENT")`, which names the argument that says what is
changed. Nothing else may change records.

A module may also offer `before(db, name, arguments, done, text)`, which returns the reads, as (name, arguments), that
have to go before one gold action and that the data leaves out; `done` are the actions so far, `text` is what the
customer was told to say.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final, TypeVar

from pagerproof.domains.records import Records
from pagerproof.errors import UsageError
from pagerproof.model import Operation
from pagerproof.scenario.added import Find
from pagerproof.scenario.words import nearest

F = TypeVar("F", bound=Callable[..., Any])
Action = tuple[str, Mapping[str, Any]]
"""(a tool's name, its arguments)."""

_JSON_TYPES: Final[Mapping[object, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}
_MARK: Final = "writes"


def writes(argument: str) -> Callable[[F], F]:
    """Mark a tool that changes records; `argument` names what it changes: the entity of its ledger entry."""

    def mark(function: F) -> F:
        setattr(function, _MARK, argument)
        return function

    return mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool: its function, and the argument that names what it changes ("" where it only reads)."""

    name: str
    function: Callable[..., Any]
    entity: str
    arguments: Mapping[str, str]
    optional: frozenset[str]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolset:
    """All tools of a domain, and what goes before its gold actions."""

    tools: Mapping[str, Tool]
    before: Callable[[Records, str, Mapping[str, Any], Sequence[Action], str], Iterable[Action]] | None = None

    def operations(self, service: str) -> Mapping[str, Operation]:
        """Return the tools as operations of `service`, named `service.tool`; a write leaves an entry of its name."""
        return MappingProxyType(
            {
                f"{service}.{tool.name}": Operation(
                    service=service,
                    name=tool.name,
                    summary=tool.summary,
                    arguments=tool.arguments,
                    optional=tool.optional,
                    effect_kind=tool.name if tool.entity else "",
                )
                for tool in self.tools.values()
            }
        )


def toolset_of(module: ModuleType, attribute: str = "TOOLS") -> Toolset:
    """Return the tools that a module offers. Raises UsageError where it offers none or one cannot be used."""
    where = f"{module.__name__}:{attribute}"
    found = getattr(module, attribute, None)
    if not isinstance(found, Mapping) or not found:
        near = "" if hasattr(module, attribute) else nearest(attribute, [n for n in vars(module) if n[0] != "_"])
        raise UsageError(f"{where} is no mapping from tool names to functions{near}")
    tools = {str(name): _tool(str(name), function, where) for name, function in found.items()}
    return Toolset(tools=MappingProxyType(tools), before=getattr(module, "before", None))


def load_toolset(spec: str, find: Find) -> Toolset:
    """Return the tools named `module` or `module:attribute`. Raises UsageError.

    `find` is asked for `module.py` (`package/module.py`) first; what it does not know must be installed. A user's
    module is imported anew every time: its file may have changed since an earlier run of this process.
    """
    name, _, attribute = spec.partition(":")
    if not all(part.isidentifier() for part in (*name.split("."), attribute or "TOOLS")):
        raise UsageError(f"workload.tools: {spec!r} names no tools: write module or module:attribute")
    file = file_of(spec, find)
    with _import_path(file, name):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise _not_importable(spec, error) from error
            raise UsageError(
                f"workload.tools: there is no module {name!r} beside the scenario, in the working folder or installed"
            ) from None
        except Exception as error:  # whatever the user's module raises while it is imported is the user's to mend
            raise _not_importable(spec, error) from error
    return toolset_of(module, attribute or "TOOLS")


def file_of(spec: str, find: Find) -> Path | None:
    """Return the user's file that holds these tools, None where they are installed or nowhere."""
    try:
        return find(spec.partition(":")[0].replace(".", "/") + ".py")
    except UsageError:
        return None


def _not_importable(spec: str, error: Exception) -> UsageError:
    return UsageError(f"workload.tools: {spec!r} cannot be imported: {type(error).__name__}: {error}")


@contextmanager
def _import_path(file: Path | None, name: str) -> Iterator[None]:
    """Put the folder from which `file` is imported as `name` on the import path, and leave no bytecode there."""
    if file is None:
        yield
        return
    saved_path, saved_bytecode = list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, str(file.resolve().parents[name.count(".")]))
    sys.dont_write_bytecode = True
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = saved_path
        sys.dont_write_bytecode = saved_bytecode


def _tool(name: str, function: object, where: str) -> Tool:
    if not callable(function) or not name.isidentifier():
        raise UsageError(f"{where}: {name!r} is no function with a name that a tool can have")
    try:
        parameters = list(inspect.signature(function).parameters.values())
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: the signature of {name!r} cannot be read: {error}") from None
    if not parameters:
        raise UsageError(f"{where}: {name!r} must take the database as its first parameter")
    arguments: dict[str, str] = {}
    for parameter in parameters[1:]:
        hint = hints.get(parameter.name, str)
        kind = _JSON_TYPES.get(typing.get_origin(hint) or hint)
        if kind is None or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UsageError(
                f"{where}: annotate parameter {parameter.name!r} of {name!r} as str, int, float, bool, list or dict"
            )
        arguments[parameter.name] = kind
    entity = getattr(function, _MARK, "")
    if entity and arguments.get(entity) != "string":
        raise UsageError(f"{where}: {name!r} writes {entity!r}, which is none of its text arguments")
    return Tool(
        name=name,
        function=function,
        entity=entity,
        arguments=MappingProxyType(arguments),
        optional=frozenset(each.name for each in parameters[1:] if each.default is not each.empty),
        summary=(inspect.getdoc(function) or name.replace("_", " ")).partition("\n")[0],
    )
