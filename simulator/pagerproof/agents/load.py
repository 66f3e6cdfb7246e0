"""Finds an agent by its name, module or file, and checks that it is one before a run begins.

What counts as an agent, under the attribute that was named (or else `handle`, `agent`, `make_agent` or `main`):

- an async function `handle(request, desk)`;
- an object with such a method: it serves every run of this process, so its state outlives them;
- a class whose instances have such a method: one instance is made for each run, so that state such as circuits and
  retry budgets begins afresh;
- a function without arguments that returns one of the first two: called for each run;
- an async function of the customer's words alone, `main(text)`, that knows nothing of Pagerproof and reaches the
  services over the simulated network: a *foreign* agent (`agents/foreign.py`).

An agent object may carry `valves`, a sequence of valves: they are put around the tools of each request, first one
outermost.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final, Protocol

from pagerproof.agents.foreign import ForeignAgent, facts_wanted
from pagerproof.errors import AgentCannotLoad, Problem
from pagerproof.model import Operation, Reply, ReplyStatus, Request
from pagerproof.plugins import Plugin, plugins
from pagerproof.tools import Clock, Desk, Model, Toolbox, Valve
from pagerproof.valves import stack

BUILTIN_AGENTS: Final = MappingProxyType(
    {
        "hardened": "pagerproof.agents.hardened:Hardened",
        "vendor_demo": "pagerproof.agents.vendor_demo:handle",
        "tool_caller": "pagerproof.agents.tool_caller:handle",
    }
)
"""The shipped reference agents by name."""

_STDLIB = Path(sysconfig.get_paths()["stdlib"])
_DEFAULT_ATTRIBUTES = ("handle", "agent", "make_agent", "main")
_NEED = "an agent is an async function handle(request, desk) or main(text), or something with such a method"


class Agent(Protocol):
    """What a run needs of an agent."""

    def handle(self, request: Request, desk: Desk) -> Coroutine[Any, Any, Reply | str]:
        """Work on one request and return the last word to the customer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedAgent:
    """An agent that was found and looks like one.

    `make` returns it for one run; `foreign`: it knows nothing of Pagerproof. `digest` is the SHA-256 of its source: its
    file, and the modules of the user's folder that it imported.
    """

    name: str
    make: Callable[[], Agent]
    path: Path | None
    digest: str
    foreign: bool = False


class WrongReply(TypeError):
    """The agent returned something that is neither a Reply nor text."""


def checked_reply(value: object) -> Reply:
    """Return the agent's last word as a Reply; text counts as done. Raises WrongReply."""
    if type(value) is Reply and type(value.status) is ReplyStatus and type(value.text) is str:
        return value
    if isinstance(value, str):
        return Reply(text=str(value))
    if not isinstance(value, Reply):
        shown = "None (is a return missing?)" if value is None else f"{type(value).__name__} {value!r:.60}"
        raise WrongReply(f"handle must return a Reply or a str, and returned {shown}")
    if not isinstance(value.text, str):
        raise WrongReply(f"the text of a Reply must be a str, not {type(value.text).__name__}")
    try:
        status = ReplyStatus(value.status)
    except ValueError:
        known = ", ".join(status.value for status in ReplyStatus)
        raise WrongReply(f"the status of a Reply must be one of {known}, not {value.status!r:.60}") from None
    return Reply(text=value.text, status=status, reason=str(value.reason))


def load_agent(spec: str, *, folder: Path) -> LoadedAgent:
    """Return the agent named by `spec`: a shipped name, `module:attribute` or `path/to/file.py:attribute`.

    Files and modules are looked for in `folder` first, which is on the import path while the agent is imported.
    The name of a plug-in's agent counts as a shipped name. Raises AgentCannotLoad, and UsageError where two plug-ins
    have the same name.
    """
    from pagerproof.kernel import governed_imports, process_restored

    plugin = plugins("agents", BUILTIN_AGENTS).get(spec)
    if plugin is not None:
        return _load_plugin(plugin)
    target = BUILTIN_AGENTS.get(spec, spec)
    place, attribute = _split(target)
    name = Path(place).stem if place.endswith(".py") else spec if spec in BUILTIN_AGENTS else place
    with ExitStack() as undo:
        undo.enter_context(process_restored())
        module, digest = _imported_anew(place, folder, spec)
        found, found_name = _attribute(module, attribute, spec)
        make = _maker(found, f"{place}:{found_name}")
        with governed_imports():
            made = make()  # A class or a factory that does not work should say so now.
        if not isinstance(made, ForeignAgent):
            undo.pop_all()  # it is imported once, and what its import did to the process has to last
    if name not in BUILTIN_AGENTS and found_name not in _DEFAULT_ATTRIBUTES:
        name = f"{name}.{found_name}"
    path = getattr(module, "__file__", None)
    foreign = isinstance(made, ForeignAgent)
    if foreign:
        # A client that its module made holds connections of the run before: each run imports it anew.
        def make() -> Agent:
            module, _ = _imported_anew(place, folder, spec)
            return _maker(_attribute(module, attribute, spec)[0], f"{place}:{found_name}")()

    return LoadedAgent(name=name, make=make, path=Path(path) if path else None, digest=digest, foreign=foreign)


def agent_names() -> tuple[str, ...]:
    """Return the names of the shipped agents, and after them those of plug-ins."""
    return (*BUILTIN_AGENTS, *plugins("agents", BUILTIN_AGENTS))


def _load_plugin(plugin: Plugin) -> LoadedAgent:
    _, attribute = _split(plugin.target)
    try:
        with _imports_explained(plugin.target):
            module = importlib.import_module(plugin.module)
        found, found_name = _attribute(module, attribute, plugin.target)
        make = _maker(found, f"{plugin.module}:{found_name}")
        make()
    except AgentCannotLoad as error:
        raise AgentCannotLoad(f"the {plugin} cannot be loaded: {error}") from error
    path = Path(str(module.__file__))
    digest = hashlib.sha256(f"{plugin}\x1f".encode())
    # All of its package: an agent is seldom one file.
    for file in sorted(path.parent.rglob("*.py")) if "." in plugin.module else [path]:
        digest.update(f"{file.relative_to(path.parent)}\x1f".encode())
        digest.update(file.read_bytes())
    return LoadedAgent(name=plugin.name, make=make, path=path, digest=digest.hexdigest())


def _split(spec: str) -> tuple[str, str]:
    place, colon, attribute = spec.rpartition(":")
    if not colon or "/" in attribute or "\\" in attribute or attribute.endswith(".py"):
        return spec, ""
    if not place or not all(part.isidentifier() for part in attribute.split(".")):
        raise AgentCannotLoad(f"{spec!r} names no agent: write a name, module:attribute or path/to/file.py:attribute")
    return place, attribute


# --- importing


def _imported_anew(place: str, folder: Path, spec: str) -> tuple[ModuleType, str]:
    from pagerproof.kernel import governed_imports

    with governed_imports():
        if place.endswith(".py"):
            return _import_file((folder / place).resolve(), folder)
        return _import_module(place, folder, spec)


def _import_file(path: Path, folder: Path) -> tuple[ModuleType, str]:
    if not path.is_file():
        raise AgentCannotLoad(f"{path}: there is no such file{_near(path.name, _python_files(path.parent))}")
    name = f"_pagerproof_agent_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AgentCannotLoad(f"{path}: this cannot be imported as a Python file")
    with _fresh_imports((path.parent, folder.resolve()), name):
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        with _imports_explained(str(path)):
            spec.loader.exec_module(module)
    return module, _digest(path)


def _import_module(name: str, folder: Path, spec: str) -> tuple[ModuleType, str]:
    if not all(part.isidentifier() for part in name.split(".")):
        raise AgentCannotLoad(f"{spec!r} names no agent{_near(spec, BUILTIN_AGENTS)}; {_forms()}")
    if name.partition(".")[0] == "pagerproof":
        with _imports_explained(name):
            module = importlib.import_module(name)
        return module, hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
    root = folder.resolve()
    with _fresh_imports((root,), name), _imports_explained(name):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            near = _near(name, (*BUILTIN_AGENTS, *(Path(file).stem for file in _python_files(root))))
            raise AgentCannotLoad(f"there is no agent or module {name!r} in {root}{near}; {_forms()}") from None
    file = getattr(module, "__file__", None)
    return module, _digest(Path(file) if file else None)


_imported: set[str] = set()  # the users' modules that earlier loads brought in


@contextmanager
def _fresh_imports(folders: Sequence[Path], target: str) -> Iterator[None]:
    """Put the folders on the import path, forget what earlier loads imported, and leave no bytecode there."""
    for name in (target, *_imported):
        sys.modules.pop(name, None)
    _imported.clear()
    importlib.invalidate_caches()
    before = set(sys.modules)
    saved_path, saved_bytecode = list(sys.path), sys.dont_write_bytecode
    sys.path[:0] = list(dict.fromkeys(map(str, folders)))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:] = saved_path
        sys.dont_write_bytecode = saved_bytecode
        _imported.update(name for name in sys.modules.keys() - before if _lies_in(sys.modules[name], folders))


def _lies_in(module: ModuleType, folders: Iterable[Path]) -> bool:
    """Whether a module is the user's own: under one of the folders, and no installed package."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or "site-packages" in file or "dist-packages" in file:
        return False
    path = Path(file)
    return any(path.is_relative_to(folder) for folder in folders) and not path.is_relative_to(_STDLIB)


@contextmanager
def _imports_explained(what: str) -> Iterator[None]:
    try:
        yield
    except AgentCannotLoad:
        raise
    except SyntaxError as error:
        raise AgentCannotLoad(str(_syntax_problem(error, what))) from error
    except ModuleNotFoundError as error:
        raise AgentCannotLoad(f"{_place(error, what)}: the module {error.name!r} is not installed here") from error
    except ImportError as error:
        raise AgentCannotLoad(f"{_place(error, what)}: {error}") from error
    except (Exception, SystemExit) as error:
        raise AgentCannotLoad(f"{_place(error, what)}: importing it raised {type(error).__name__}: {error}") from error


def _syntax_problem(error: SyntaxError, what: str) -> Problem:
    return Problem(
        path=error.filename or what,
        line=error.lineno or 0,
        column=error.offset or 0,
        message=f"{type(error).__name__}: {error.msg}",
        source_line=(error.text or "").rstrip("\n"),
    )


def _place(error: BaseException, what: str) -> str:
    """Return `file:line` of the last frame that is neither ours nor the import system's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and "importlib" not in frame.filename and frame.filename != __file__
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else what


def _digest(file: Path | None) -> str:
    """Return the SHA-256 over the agent's file and the user's modules that it imported, by name and content."""
    files = {Path(str(sys.modules[name].__file__)) for name in _imported if name in sys.modules}
    if file is not None:
        files.add(file)
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.name}\x1f{len(content)}\x1f".encode())
        digest.update(content)
    return digest.hexdigest()


# --- what was found


def _attribute(module: ModuleType, attribute: str, spec: str) -> tuple[Any, str]:
    if not attribute:
        for name in _DEFAULT_ATTRIBUTES:
            if hasattr(module, name):
                return getattr(module, name), name
        raise AgentCannotLoad(
            f"{_file_of(module)}: there is no {', '.join(_DEFAULT_ATTRIBUTES[:-1])} or {_DEFAULT_ATTRIBUTES[-1]} here; "
            f"name what is the agent, as in {spec}:my_agent"
        )
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [name for name in dir(found) if not name.startswith("_")]
            raise AgentCannotLoad(f"{_file_of(module)}: there is no {attribute!r} here{_near(part, names)}")
        found = getattr(found, part)
    return found, attribute


def _maker(found: Any, where: str) -> Callable[[], Agent]:
    if inspect.isclass(found):
        return lambda: _agent_from(_called(found, where), where)
    if inspect.isfunction(found) and not _is_async(found) and _accepts(found, 0):
        return lambda: _agent_from(_called(found, where), where)
    agent = _agent_from(found, where)
    return lambda: agent


def _called(factory: Callable[[], Any], where: str) -> Any:
    try:
        return factory()
    except Exception as error:
        raise AgentCannotLoad(
            f"{where}: making the agent raised {type(error).__name__}: {error} ({_place(error, where)})"
        ) from error


def _agent_from(found: Any, where: str) -> Agent:
    handle = getattr(found, "handle", None)
    if handle is None:
        if not callable(found):
            raise AgentCannotLoad(f"{where}: {type(found).__name__} is no agent: {_NEED}")
        facts = facts_wanted(found) if _is_async(found) else None
        if facts is not None:
            return ForeignAgent(found, facts)
        return _AgentOf(_checked_handle(found, where), ())
    _checked_handle(handle, f"{where}.handle")
    valves = tuple(getattr(found, "valves", ()))
    for valve in valves:
        if not callable(getattr(valve, "around", None)):
            raise AgentCannotLoad(f"{where}.valves: {valve!r:.60} is no valve: it has no method around(toolbox, desk)")
    return _AgentOf(handle, valves)


def _checked_handle(handle: Any, where: str) -> Callable[[Request, Desk], Coroutine[Any, Any, Reply | str]]:
    if inspect.isasyncgenfunction(handle):
        raise AgentCannotLoad(f"{where} yields: an agent returns its reply, once")
    if not callable(handle) or not _is_async(handle):
        raise AgentCannotLoad(f"{where} is not async: write `async def`; {_NEED}")
    if not _accepts(handle, 2):
        raise AgentCannotLoad(f"{where}{inspect.signature(handle)} cannot be called with (request, desk)")
    checked: Callable[[Request, Desk], Coroutine[Any, Any, Reply | str]] = handle
    return checked


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - the type of __call__ is what matters


def _accepts(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


class _AgentOf:
    """An agent with its valves put around the tools of every request."""

    __slots__ = ("_handle", "_valves")

    def __init__(
        self, handle: Callable[[Request, Desk], Coroutine[Any, Any, Reply | str]], valves: Sequence[Valve]
    ) -> None:
        self._handle = handle
        self._valves = valves

    def handle(self, request: Request, desk: Desk) -> Coroutine[Any, Any, Reply | str]:
        if self._valves:
            desk = _ValvedDesk(desk, self._valves)
        return self._handle(request, desk)


class _ValvedDesk:
    """A desk whose tools stand behind valves."""

    __slots__ = ("_desk", "clock", "mark", "model", "note", "operations", "request", "tools")

    def __init__(self, desk: Desk, valves: Sequence[Valve]) -> None:
        self._desk = desk
        self.request: Request = desk.request
        self.model: Model = desk.model
        self.clock: Clock = desk.clock
        self.operations: Mapping[str, Operation] = desk.operations
        self.note = desk.note
        self.mark = desk.mark
        self.tools: Toolbox = stack(desk.tools, desk, valves)

    async def call(self, operation: str, /, **arguments: object) -> Any:
        return (await self.tools.call(operation, arguments)).data()


# --- words


def _file_of(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or module.__name__)


def _python_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.py")) if folder.is_dir() else []


def _near(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _forms() -> str:
    return f"agents are {', '.join(agent_names())}, module:attribute or path/to/file.py:attribute"
