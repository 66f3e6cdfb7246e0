"""How one OData request wants its answers: JSON or XML, under which address, with which error body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pagerproof import sap_wire
from pagerproof.gateways import odata_json, odata_xml
from pagerproof.gateways.odata_json import Row
from pagerproof.gateways.odata_problem import ODataProblem, bad
from pagerproof.gateways.sap_model import EntitySet, ODataService
from pagerproof.model import Answer
from pagerproof.protocols import Exchange
from pagerproof.rng import key_of

_BATCH_NOTE = "See SAP Note 1869434 for details about working with $batch."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """`base` is the service's root as the client addressed it, with a slash at the end; `path` names the request."""

    service: ODataService
    base: str
    json: bool
    exchange: Exchange
    path: str
    in_batch: bool = False

    def entity(
        self,
        status: int,
        entity_set: EntitySet,
        row: Row,
        *,
        select: Sequence[str] = (),
        expanded: Mapping[str, Sequence[Row]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return one entity."""
        found = odata_json.entity(self.service, self.base, entity_set, row, select=select, expanded=expanded)
        more = dict(headers or {})
        if "etag" in found["__metadata"]:
            more["etag"] = found["__metadata"]["etag"]
        if status == 201:
            more["location"] = found["__metadata"]["uri"]
        if self.json:
            return odata_json.answer(status, found, more)
        return odata_xml.entry(status, found, entity_set, self.exchange.now_s(), **more)

    def collection(
        self,
        entity_set: EntitySet,
        rows: Sequence[tuple[Row, Mapping[str, Sequence[Row]]]],
        *,
        select: Sequence[str],
        count: int | None,
        after: str,
    ) -> Answer:
        """Return a collection of rows with what is expanded in each; `after` is the next page's address or ""."""
        found = [
            odata_json.entity(self.service, self.base, entity_set, row, select=select, expanded=expanded)
            for row, expanded in rows
        ]
        if not self.json:
            return odata_xml.feed(found, entity_set, self.base, self.exchange.now_s(), count=count, after=after)
        data: dict[str, Any] = {} if count is None else {"__count": str(count)}
        data["results"] = found
        if after:
            data["__next"] = after
        return odata_json.answer(200, data)

    def property(self, entity_set: EntitySet, name: str, row: Row, *, bare: bool) -> Answer:
        """Return one property; `bare` as `$value` does. A value that a fault took away is a 404."""
        if name not in row:
            raise ODataProblem(404, f"Resource not found for the segment '{name}'.")
        if bare:
            return odata_json.text("" if row[name] is None else odata_xml.plain(row[name], entity_set.types[name]))
        if self.json:
            return odata_json.answer(200, {name: row[name]})
        return odata_xml.single_property(name, row[name], entity_set)

    def problem(self, problem: ODataProblem) -> Answer:
        """Return what the framework refuses by itself: no application, no details."""
        key = key_of(self.exchange.seed, self.exchange.case.index, self.path, problem.text)
        answer = sap_wire.error(
            problem.status, problem.code, problem.text, key=key, now_s=self.exchange.now_s(), headers=problem.headers
        )
        return self.refusal(answer)

    def refusal(self, answer: Answer) -> Answer:
        """Return a service's error in the wanted format; what is no OData error (a page, a text) stays as it is."""
        error = error_of(answer)
        if error is None:
            return passed(answer)
        if self.in_batch and isinstance(error.get("innererror"), dict):
            resolution = error["innererror"].get("Error_Resolution")
            if isinstance(resolution, dict):
                resolution["Batch_SAP_Note"] = _BATCH_NOTE
        if not self.json:
            headers = {name: value for name, value in answer.headers.items() if name != "content-type"}
            return odata_xml.error(answer.status, error, headers)
        return Answer(answer.status, dict(answer.headers), orjson.dumps({"error": error}), rendered=True)


def error_of(answer: Answer) -> dict[str, Any] | None:
    """Return what stands under `error` in a JSON body, or None."""
    try:
        error = orjson.loads(answer.body).get("error")
    except (ValueError, AttributeError):
        return None
    return error if isinstance(error, dict) else None


def data_of(answer: Answer) -> dict[str, Any] | None:
    """Return what stands under `d` in a service's answer where it is an object, or None: a fault has struck it."""
    try:
        data = orjson.loads(answer.body).get("d")
    except (ValueError, AttributeError):
        return None
    return data if isinstance(data, dict) else None


def passed(answer: Answer) -> Answer:
    """Return the answer as it is, marked as rendered."""
    answer.rendered = True
    return answer


def json_wanted(accept: str, options: Mapping[str, str]) -> bool:
    """Whether JSON was asked for; `$format` wins over Accept, and who asks for nothing gets XML. 400 for others."""
    wanted = options.get("$format")
    if wanted is not None:
        if wanted not in ("json", "atom", "xml"):
            raise bad(f"Invalid value '{wanted[:40]}' for system query option '$format'")
        return wanted == "json"
    return "json" in accept.lower()
