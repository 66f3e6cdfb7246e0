"""Routes: which HTTP method and path stands for which operation, and where on the wire each argument is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Literal
from urllib.parse import unquote

from pagerproof.model import Operation

Place = Literal["path", "query", "header", "body"]
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation behind a method and a path template such as `/orders/{order_id}`.

    `places` says where each argument is on the wire. `body`: `none`, `fields` (a JSON object whose fields are the
    arguments placed there), `whole` (any JSON, the argument `body`) or `raw` (bytes of any kind, as text in `body`).
    `status` is what a success is answered with where the service itself says 200.
    """

    method: str
    path: str
    operation: Operation
    places: Mapping[str, Place]
    body: Literal["none", "fields", "whole", "raw"] = "none"
    status: int = 200
    segments: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.path.split("/")[1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The route of a request and the values in its path; or, where `route` is None, the methods that the path has."""

    route: Route | None
    parameters: Mapping[str, str]
    allowed: tuple[str, ...] = ()


class RouteTable:
    """Routes by method and path; literal segments win over parameters."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=_generality))

    def find(self, method: str, raw_path: str) -> Match:
        """Return the match of an undecoded path; HEAD is found where GET is."""
        parts = raw_path.split("/")[1:]
        wanted = "GET" if method == "HEAD" else method
        allowed: list[str] = []
        for route in self.routes:
            parameters = matched(route.segments, parts)
            if parameters is None:
                continue
            if route.method in (wanted, "*"):
                return Match(route=route, parameters=parameters)
            allowed.append(route.method)
        return Match(route=None, parameters={}, allowed=_with_implied(allowed))

    def methods_at(self, raw_path: str) -> tuple[str, ...]:
        """Return the methods that the path has, none where nothing is there."""
        parts = raw_path.split("/")[1:]
        here = [route.method for route in self.routes if matched(route.segments, parts) is not None]
        return METHODS if "*" in here else _with_implied(here)

    def nearest(self, path: str) -> str:
        """Return the path template that this path misses by a letter or two, or nothing."""
        parts = path.split("/")[1:]
        filled: dict[str, str] = {}
        for route in self.routes:
            if len(route.segments) == len(parts):
                words = (b if a.startswith("{") else a for a, b in zip(route.segments, parts, strict=True))
                filled.setdefault("/" + "/".join(words), route.path)
        found = get_close_matches(path, filled, n=1, cutoff=0.7)
        return filled[found[0]] if found else ""


def _generality(route: Route) -> tuple[bool, list[bool]]:
    return "...}" in route.path, [part.startswith("{") for part in route.segments]


def matched(segments: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    """Return the decoded values of a template's parameters, or None where the path is another one.

    A last segment `{name...}` takes the whole rest of the path.
    """
    found: dict[str, str] = {}
    for position, segment in enumerate(segments):
        if segment.endswith("...}"):
            found[segment[1:-4]] = unquote("/".join(parts[position:]))
            return found
        if position >= len(parts):
            return None
        if segment.startswith("{") and segment.endswith("}"):
            if not parts[position]:
                return None
            found[segment[1:-1]] = unquote(parts[position])
        elif segment != unquote(parts[position]):
            return None
    return found if len(parts) == len(segments) else None


def _with_implied(methods: Iterable[str]) -> tuple[str, ...]:
    """Sort methods in the usual order; where there is GET there is HEAD, and OPTIONS is anywhere."""
    here = set(methods)
    if not here:
        return ()
    if "GET" in here:
        here.add("HEAD")
    here.add("OPTIONS")
    return tuple(method for method in METHODS if method in here)
