"""The sections of a scenario that make a service out of a user's own files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pagerproof.errors import UsageError
from pagerproof.protocols import Service
from pagerproof.scenario.added import Added, Find
from pagerproof.scenario.schema import Scenario
from pagerproof.services.app_load import app_source, declared_routes
from pagerproof.services.base import ServiceParameters

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_FILES: Final = ("openapi", "state", "har", "app")


def own_services(scenario: Scenario, find: Find) -> Iterator[Added]:
    """Yield a definition for every section that has one of the keys of `OWN_KINDS`."""
    for name, section in scenario.services.items():
        kind = next((each for each in OWN_KINDS if each in section), None)
        if kind is None:
            continue
        parameters, maker, title = OWN_KINDS[kind]()
        yield Added(
            name=name,
            parameters=parameters,
            make=_maker(name, maker, find),
            place=("services", name, kind),
            title=f"{title} {section[kind]}",
            files=tuple(_files(section, find)),
            runs_code=kind == "app",
        )


def _maker(name: str, maker: Callable[[str, Any, Find], Service], find: Find) -> Callable[[Any], Service]:
    def make(parameters: Any) -> Service:
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"{name!r} cannot be a service's name: use lower-case letters, digits, '_' and '-'")
        return maker(name, parameters, find)

    return make


def _files(section: Mapping[str, Any], find: Find) -> Iterator[Path]:
    for key in _FILES:
        value = section.get(key)
        if not isinstance(value, str):
            continue
        try:
            path = app_source(value, find).path if key == "app" else find(value)
        except UsageError:
            continue  # making the service says what is missing
        if path.is_file():
            yield path


Kind = tuple[type[ServiceParameters], Callable[[str, Any, Find], Service], str]


def _openapi() -> Kind:
    from pagerproof.services.openapi import OpenApiParameters, OpenApiService, collections_in
    from pagerproof.services.openapi_document import read_openapi

    def make(name: str, parameters: OpenApiParameters, find: Find) -> Service:
        described = read_openapi(find(parameters.openapi), name)
        given = parameters.state
        state = collections_in(find(given), None) if isinstance(given, str) else collections_in(None, given)
        return OpenApiService(name, described, state, parameters)

    return OpenApiParameters, make, "Your own service, described by"


def _har() -> Kind:
    from pagerproof.services.har import HarParameters, HarService
    from pagerproof.services.har_file import read_har

    def make(name: str, parameters: HarParameters, find: Find) -> Service:
        return HarService(name, read_har(find(parameters.har)), parameters)

    return HarParameters, make, "Your own service, recorded in"


def _app() -> Kind:
    from pagerproof.services.app import AppParameters, AppService

    def make(name: str, parameters: AppParameters, find: Find) -> Service:
        routes = None if parameters.routes is None else list(declared_routes(parameters.routes))
        return AppService(name, app_source(parameters.app, find), routes, parameters)

    return AppParameters, make, "Your own service, the application"


OWN_KINDS: Final[Mapping[str, Callable[[], Kind]]] = {"openapi": _openapi, "har": _har, "app": _app}
"""What a section of a user's own service is told by, and what is made of it."""
