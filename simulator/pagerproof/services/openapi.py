"""A service made out of an OpenAPI document and a state: collections are kept, the rest is answered as described."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import Field

from pagerproof.errors import UsageError
from pagerproof.model import Answer
from pagerproof.protocols import World
from pagerproof.rng import key_of
from pagerproof.services.base import ServiceParameters
from pagerproof.services.collections import NotThere, Target, key_fields, target_of
from pagerproof.services.documents import Document
from pagerproof.services.job import Job, Refused
from pagerproof.services.json_schema import Schema
from pagerproof.services.openapi_document import NOTHING, Endpoint, OpenApi
from pagerproof.services.own import OwnService
from pagerproof.services.routes import Route

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:[.][0-9]{1,18})?")


class OpenApiParameters(ServiceParameters):
    """What a scenario says about a service that an OpenAPI document describes."""

    openapi: str = Field(description="the document, OpenAPI 3 in YAML or JSON")
    state: str | dict[str, Any] | None = Field(
        default=None, description="collections of records by name, or the file that has them; none: nothing is kept"
    )


class OpenApiService(OwnService):
    """Answers from its state where a path leads to a collection or a record, else from the document.

    What the document gives is its example, or a value drawn from the schema, the same for the same arguments in every
    run; fields with the names of arguments get their values. The state belongs to the run: every request sees what
    earlier ones have changed.
    """

    def __init__(self, name: str, described: OpenApi, state: Mapping[str, Any], parameters: ServiceParameters) -> None:
        self._described = described
        self._state_bytes = orjson.dumps(state)
        self._endpoints = {each.route.operation.name: each for each in described.endpoints}
        self._key_names = {
            each.route.path.rpartition("/")[0]: each.route.segments[-1][1:-1]
            for each in described.endpoints
            if each.route.segments[-1].startswith("{")
        }
        super().__init__(name, (each.route for each in described.endpoints), parameters)

    def document_of(self) -> Mapping[str, Any]:
        """Return the document."""
        return self._described.document

    def open(self, world: World) -> None:
        """Begin a run with the state as the scenario gives it."""
        super().open(world)
        self.state: dict[str, Any] = orjson.loads(self._state_bytes)
        self._first_state: dict[str, Any] = orjson.loads(self._state_bytes)

    def unusable(self, job: Job) -> Answer | None:
        """Return a 400 that names the first field which does not fit its schema, or None."""
        endpoint = self._endpoints[job.plan.operation.name]
        route, arguments = endpoint.route, job.arguments
        schemas = self._described.schemas
        for name, schema in endpoint.schemas.items():
            value = arguments.get(name)
            if value is None and name not in arguments:
                if name not in route.operation.optional:
                    return self.complaint(route, name, "is missing")
                continue
            mistake = next(schemas.mistakes(schema, value), None)
            if mistake is not None and not self._spells_a_number(route, name, schema, value):
                return self.complaint(route, name, mistake[1], mistake[0])
        body = endpoint.body
        open_ended = route.body == "fields" and isinstance(body, dict) and body.get("additionalProperties", True)
        for name in arguments:
            if name not in endpoint.schemas and not open_ended:
                return self.complaint(route, str(name), "is not known here")
        return None

    def _spells_a_number(self, route: Route, name: str, schema: Schema, value: object) -> bool:
        """Whether text in path, query or header is a number that fits: on the wire all of them are text."""
        if route.places[name] == "body" or not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
            return False
        return next(self._described.schemas.mistakes(schema, orjson.loads(value)), None) is None

    def answered(self, job: Job, route: Route) -> Answer:
        """Return the answer from the state, or from the document. Raises Refused."""
        endpoint = self._endpoints[route.operation.name]
        state = self._first_state if job.disturbed.stale and not job.plan.writes else self.state
        try:
            target = target_of(state, route, job.arguments)
        except NotThere as missing:
            raise Refused(self.problem(404, "not_found", str(missing))) from None
        answer = None if target is None else self._kept(job, endpoint, target)
        return self._as_described(job, endpoint) if answer is None else answer

    # -- the state ---------------------------------------------------------------------------------------------------

    def _kept(self, job: Job, endpoint: Endpoint, target: Target) -> Answer | None:
        method = endpoint.route.method
        if method == "GET":
            return self._good(endpoint, self._listed(job, endpoint, target) if target.is_collection else target.value)
        if target.is_collection:
            return self._created(job, endpoint, target) if method == "POST" else None
        if method == "DELETE":
            if job.applies:
                target.delete()
            return self._good(endpoint, target.value)
        fields = _sent(endpoint.route, job.arguments)
        if method not in ("PUT", "PATCH") or not isinstance(fields, dict) or not isinstance(target.value, dict):
            return None
        keys = {name: value for name, value in target.value.items() if name in self._keys(endpoint.route)}
        changed = {**(target.value if method == "PATCH" else keys), **fields, **keys}
        if job.applies:
            target.put(changed)
        return self._good(endpoint, changed)

    def _keys(self, route: Route) -> tuple[str, ...]:
        last = route.segments[-1]
        return key_fields(last[1:-1]) if last.startswith("{") else ()

    def _listed(self, job: Job, endpoint: Endpoint, target: Target) -> Any:
        records = target.records()
        asked = {name: job.arguments[name] for name, place in endpoint.route.places.items()
                 if place == "query" and name in job.arguments}  # fmt: skip
        known = {name for record in records if isinstance(record, dict) for name in record}
        found = [
            each for each in records
            if all(name not in known or _equal(each.get(name), value) for name, value in asked.items())
        ]  # fmt: skip
        count = len(found)
        offset, limit = asked.get("offset"), asked.get("limit")
        found = found[offset if type(offset) is int and offset > 0 else 0 :]
        found = found[: limit if type(limit) is int and limit >= 0 else None]
        return self._wrapped(endpoint, found, count)

    def _wrapped(self, endpoint: Endpoint, found: list[Any], count: int) -> Any:
        """Put a list into the object that the document has around it: its only array, and counts of what there is."""
        schema = self._described.schemas.followed(endpoint.answer)
        properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
        kinds = {name: self._described.schemas.followed(each).get("type") for name, each in properties.items()}
        arrays = [name for name, kind in kinds.items() if kind == "array"]
        if len(arrays) != 1:
            return found
        counts = {name: count for name, kind in kinds.items() if kind == "integer" and name in ("total", "count")}
        return {arrays[0]: found, **counts}

    def _created(self, job: Job, endpoint: Endpoint, target: Target) -> Answer | None:
        fields = _sent(endpoint.route, job.arguments)
        if not isinstance(fields, dict):
            return None
        every = list(target.value.values()) if isinstance(target.value, dict) else target.value
        field = self._key_field(endpoint.route, every)
        taken = {str(each.get(field)) for each in every if isinstance(each, dict)}
        if field in fields and str(fields[field]) in taken:
            raise Refused(
                self.problem(409, "already_there", f"There is a record with {field} {fields[field]} already.")
            )
        record = {**self._owner(target, every), **fields}
        if field not in record:
            record[field] = self._new_key(job, every, field)
        record = {**self._required_rest(job, endpoint, record), **record}
        if job.applies:
            target.add(str(record[field]), record)
        return self._good(endpoint, record)

    def _owner(self, target: Target, every: list[Any]) -> dict[str, Any]:
        """Return the fields that a new record gets from its path, under the names that its neighbours have."""
        there = {name for each in every if isinstance(each, dict) for name in each}
        return {
            next((each for each in key_fields(name)[:2] if each in there), name): value
            for name, value in target.owner.items()
        }

    def _key_field(self, route: Route, every: list[Any]) -> str:
        names = key_fields(self._key_names.get(route.path, "id"))
        there = every[0] if every and isinstance(every[0], dict) else {}
        return next((name for name in names if name in there), names[0])

    def _new_key(self, job: Job, every: list[Any], field: str) -> Any:
        # A key names its request and call, so that one record less renames no other.
        if every and all(isinstance(each, dict) and type(each.get(field)) is int for each in every):
            return (job.call.case.index * 100 + job.call.number) * 10 + job.copy
        return self.document(job)

    def _required_rest(self, job: Job, endpoint: Endpoint, record: Mapping[str, Any]) -> dict[str, Any]:
        schema = self._described.schemas.followed(endpoint.answer) if endpoint.answer is not None else None
        if not isinstance(schema, dict) or not schema.get("required"):
            return {}
        drawn = self._described.schemas.drawn(schema, self._key(job), record)
        return {name: drawn[name] for name in schema["required"] if name not in record and name in drawn}

    # -- the document ------------------------------------------------------------------------------------------------

    def _as_described(self, job: Job, endpoint: Endpoint) -> Answer:
        if not endpoint.answers:
            return Answer(endpoint.status, {}, b"")
        if endpoint.example is not NOTHING:
            return self._good(endpoint, endpoint.example)
        return self._good(endpoint, self._described.schemas.drawn(endpoint.answer, self._key(job), job.arguments))

    def _key(self, job: Job) -> int:
        arguments = orjson.dumps(job.arguments, option=orjson.OPT_SORT_KEYS)
        return key_of(self.seed, "described", job.plan.operation.full_name, arguments.hex())

    def _good(self, endpoint: Endpoint, data: Any) -> Answer:
        if endpoint.status == 204 or (not endpoint.answers and endpoint.route.method != "GET"):
            return Answer(endpoint.status, {}, b"")
        return Answer(endpoint.status, {"content-type": "application/json"}, orjson.dumps(data))


def _sent(route: Route, arguments: Mapping[str, Any]) -> Any:
    """Return the body that a call sent."""
    if route.body == "whole":
        return arguments.get("body")
    return {name: value for name, value in arguments.items() if route.places.get(name, "body") == "body"}


def _equal(there: object, asked: object) -> bool:
    return there == asked or str(there) == str(asked)


def collections_in(path: Path | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the state: collections of records by name, from a file or as given. Raises InvalidFile, UsageError."""
    if path is None:
        mistakes = list(_state_mistakes(given or {}))
        if mistakes:
            raise UsageError(f"state: {mistakes[0][1]}")
        return dict(given or {})
    document = Document(path)
    if not isinstance(document.value, dict):
        document.mistake((), "the state must be a mapping: the collections by name")
    else:
        for name, message in _state_mistakes(document.value):
            document.mistake((name,), message)
    document.finish()
    value: dict[str, Any] = document.value
    return value


def _state_mistakes(state: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in state.items():
        if not isinstance(value, list | dict):
            yield name, f"{name}: must be a list of records, or a mapping of them by key"
        elif isinstance(value, list) and not all(isinstance(each, dict) for each in value):
            yield name, f"{name}: every record must be a mapping"
