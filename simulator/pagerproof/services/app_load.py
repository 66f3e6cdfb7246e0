"""Loads a user's ASGI application afresh, and reads which routes it has."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pagerproof.errors import UsageError
from pagerproof.scenario.added import Find

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Scope]], Callable[[Scope], Awaitable[None]]], Awaitable[None]]

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ROUTE: Final = re.compile(rf"({'|'.join(METHODS)}) (/\S*)")
_CONVERTER: Final = re.compile(r"{(\w+):\w+}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSource:
    """Where an application comes from: the file of its module, and the attribute in it."""

    spec: str
    path: Path
    attribute: str

    def load(self) -> App:
        """Run the module again and return its application: what an earlier run left in the module is gone.

        The module alone is run again, not what it imports. A function without parameters is called and returns the
        application. Raises UsageError where this fails.
        """
        name = f"_pagerproof_app_{self.path.stem}"
        found = importlib.util.spec_from_file_location(name, self.path)
        if found is None or found.loader is None:
            raise UsageError(f"app: {self.path} is no Python module")
        module = importlib.util.module_from_spec(found)
        folder = str(self.path.parent)
        sys.path.insert(0, folder)
        sys.modules[name] = module
        try:
            found.loader.exec_module(module)
            app = getattr(module, self.attribute)
            if inspect.isfunction(app) and not inspect.signature(app).parameters:
                app = app()
        except AttributeError as error:
            if getattr(module, self.attribute, None) is not None:
                raise UsageError(f"app: {self.spec}: {type(error).__name__}: {error}") from error
            raise UsageError(f"app: {self.path.name} has no {self.attribute!r}") from error
        except (Exception, SystemExit) as error:
            raise UsageError(f"app: {self.spec} cannot be imported: {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove(folder)
            sys.modules.pop(name, None)
        if not callable(app):
            raise UsageError(f"app: {self.spec} is {type(app).__name__}, not an ASGI application")
        return app  # type: ignore[no-any-return]  # whatever can be called


def app_source(spec: str, find: Find) -> AppSource:
    """Return where `module:attribute` or `file.py:attribute` is. Raises UsageError."""
    place, colon, attribute = spec.rpartition(":")
    if not colon or not place or not attribute.isidentifier():
        raise UsageError(f"app: {spec!r} should be MODULE:ATTRIBUTE or FILE.py:ATTRIBUTE")
    if place.endswith(".py"):
        return AppSource(spec=spec, path=find(place), attribute=attribute)
    try:
        return AppSource(spec=spec, path=find(place.replace(".", "/") + ".py"), attribute=attribute)
    except UsageError:
        try:
            found = importlib.util.find_spec(place)
        except (ImportError, ValueError) as error:
            raise UsageError(f"app: there is no module {place!r}: {error}") from error
        if found is None or not found.origin or not found.origin.endswith(".py"):
            raise UsageError(f"app: there is no module {place!r}") from None
        return AppSource(spec=spec, path=Path(found.origin), attribute=attribute)


def declared_routes(lines: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield (method, path) of lines such as `GET /invoices/{id}`. Raises UsageError."""
    for line in lines:
        match = _ROUTE.fullmatch(line)
        if match is None:
            raise UsageError(f"routes: {line!r} should be a method and a path, such as 'GET /invoices/{{id}}'")
        yield match[1], match[2]


def routes_of(app: object) -> Iterator[tuple[str, str]]:
    """Yield (method, path) of the routes that an application shows as Starlette and FastAPI do; else nothing."""
    for route in getattr(app, "routes", None) or ():
        path, methods = getattr(route, "path", None), getattr(route, "methods", None)
        if not isinstance(path, str) or not methods or getattr(route, "include_in_schema", True) is False:
            continue
        if ":path}" in path:
            continue  # the rest of a path is what the catch-all operations are for
        for method in METHODS:
            if method in methods:
                yield method, _CONVERTER.sub(r"{\1}", path)
