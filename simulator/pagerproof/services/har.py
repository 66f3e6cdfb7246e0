"""A service that answers with what was recorded: request and response pairs of a HAR file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import orjson
from pydantic import Field

from pagerproof.model import Answer
from pagerproof.protocols import World
from pagerproof.services.base import ServiceParameters
from pagerproof.services.har_file import Recorded, body_print
from pagerproof.services.job import Job, Refused
from pagerproof.services.own import OwnService, concrete_path, operation_name, own_operation
from pagerproof.services.routes import Place, Route

_MISS = "Recording.get"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")  # HEAD is answered as GET is, and OPTIONS by the routes


class HarParameters(ServiceParameters):
    """What a scenario says about a service that was recorded."""

    har: str = Field(description="the recording, a HAR file as browsers and proxies export it")


class HarService(OwnService):
    """Answers each request with the recording that fits it best.

    Method and path must be the same, then the query counts, then the body; among equals the first. A request that asks
    again gets the later ones one by one, the last of them for good. What was not recorded is 404 `not_recorded`,
    counted in the gauge `misses`.
    """

    def __init__(self, name: str, recorded: Sequence[Recorded], parameters: ServiceParameters) -> None:
        recorded = [each for each in recorded if each.method in _METHODS]
        self._by_path: dict[tuple[str, str], list[Recorded]] = {}
        for each in recorded:
            self._by_path.setdefault((each.method, each.path), []).append(each)
        super().__init__(name, _routes(name, recorded), parameters)

    def open(self, world: World) -> None:
        """Begin a run: nobody has asked yet."""
        self._misses = 0
        self._asked: dict[tuple[int, int, str], int] = {}
        super().open(world)

    def unusable(self, job: Job) -> Answer | None:
        """Return a 400 where a part of the path is missing; anything else may have been recorded."""
        route = self._route_of[job.plan.operation.name]
        for name, place in route.places.items():
            value = job.arguments.get(name)
            if place == "path" and not isinstance(value, str):
                return self.complaint(route, name, "is missing" if value is None else "must be a string")
        return None

    def extra_gauges(self) -> Mapping[str, Callable[[], float]]:
        """How many requests had no recording."""
        return {"misses": lambda: float(self._misses)}

    def answered(self, job: Job, route: Route) -> Answer:
        """Return the recording that fits best. Raises Refused where there is none."""
        arguments = job.arguments
        path = concrete_path(route, arguments, safe="~:@!$&'()*+,;=")
        query = tuple(sorted(
            (name, _text(value)) for name, value in arguments.items()
            if route.places.get(name, "query") == "query"
        ))  # fmt: skip
        body = arguments.get("body", "")
        asked_print = body_print(body if isinstance(body, str) else orjson.dumps(body))
        known = self._by_path.get((route.method, path))
        if not known:
            self._misses += 1
            raise Refused(self.problem(404, "not_recorded", f"{route.method} {path} was not recorded."))
        fits = [(_shared(each.query, query), each.body_print == asked_print) for each in known]
        best = max(fits)
        equal = [each for each, fit in zip(known, fits, strict=True) if fit == best]
        place = (job.call.case.index, asked_print, f"{route.method} {path} {query}")
        turn = self._asked[place] = self._asked.get(place, -1) + 1
        chosen = equal[min(turn, len(equal) - 1)]
        return Answer(chosen.status, dict(chosen.headers), chosen.body)


def _shared(recorded: tuple[tuple[str, str], ...], asked: tuple[tuple[str, str], ...]) -> tuple[bool, int]:
    return recorded == asked, len(set(recorded) & set(asked)) - len(set(recorded) ^ set(asked))


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _routes(service: str, recorded: Sequence[Recorded]) -> Iterable[Route]:
    """Yield a route per recorded method and template, in the order of the file, then one for everything else."""
    seen: dict[tuple[str, str], list[Recorded]] = {}
    for each in recorded:
        seen.setdefault((each.method, each.template), []).append(each)
    for (method, template), every in seen.items():
        in_path = [part[1:-1] for part in template.split("/") if part.startswith("{id")]
        in_query = list(dict.fromkeys(name for each in every for name, _ in each.query if name not in in_path))
        places: dict[str, Place] = dict.fromkeys(in_path, "path")
        places.update(dict.fromkeys((name for name in in_query if name != "body"), "query"))
        has_body = method not in ("GET", "DELETE")
        if has_body:
            places["body"] = "body"
        kinds = {name: "any" if name == "body" else "string" for name in places}
        operation = own_operation(
            service, operation_name(method, template), f"{method} {template}, as recorded.",
            arguments=kinds, optional=[name for name in kinds if name not in in_path], writes=method != "GET",
        )  # fmt: skip
        yield Route(
            method=method, path=template, operation=operation, places=places, body="raw" if has_body else "none"
        )
    anything = own_operation(
        service, _MISS, "Anything that was not recorded: 404.", arguments={"path": "string"}, optional=(), writes=False
    )
    yield Route(method="*", path="/{path...}", operation=anything, places={"path": "path"}, body="raw")
