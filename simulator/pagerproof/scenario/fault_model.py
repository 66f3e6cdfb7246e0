"""What a fault model file may say: target x trigger x effect x expectation x citation, as pydantic models.

The effects stand in `fault_effects`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from pagerproof.scenario.fault_effects import Effect
from pagerproof.scenario.fault_values import GaugeValue, Names, Numbers, OrText, exactly_one, tupled
from pagerproof.scenario.schema import Seconds, Share, Strict

Evidence = Literal["documented", "incident", "measured", "assumed"]
EVIDENCE: tuple[Evidence, ...] = ("documented", "incident", "measured", "assumed")
"""Grades of evidence, best first."""

Facts = Annotated[tuple[str, ...], BeforeValidator(tupled)]


class Cite(Strict):
    """Where a behaviour or a number comes from; only what is `assumed` may lack a reference."""

    supports: str
    ref: str = ""
    url: str = ""
    evidence: Evidence

    @model_validator(mode="after")
    def _referenced(self) -> Self:
        if self.evidence != "assumed" and not (self.ref or self.url):
            raise ValueError(f"evidence: {self.evidence} needs a ref or a url; without one, write evidence: assumed")
        return self


class Target(Strict):
    """Which calls may be struck.

    `operation` names are `Entity.verb` globs below `service` (also globs). `edge: request` strikes on the way to the
    service, `edge: response` once it has worked. `only` narrows to calls that write or that read.
    """

    service: Names
    operation: Names = ("*",)
    only: Literal["all", "writes", "reads"] = "all"
    edge: Literal["request", "response"] = "request"
    on_no_match: Literal["fail", "ignore"] = "fail"


# --- triggers


class Index(Strict):
    """Request indices: a list (scripted), a range with both ends, or every n-th."""

    exact: Numbers | None = None
    range: Annotated[tuple[int, int] | None, BeforeValidator(tupled)] = None
    every: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        return exactly_one(self, "exact", "range", "every")


class Window(Strict):
    """A span of virtual time: from its first instant to just before its last."""

    virtual: Annotated[tuple[Seconds, Seconds], BeforeValidator(tupled)]

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.virtual[0] >= self.virtual[1]:
            raise ValueError("a window must end after it begins")
        return self


class Burst(Strict):
    """Incidents that come and go (Gilbert-Elliott): per `slot` of virtual time, a fair weather turns bad with `enter`
    and a bad one fair with `leave`. The fault strikes in bad slots only.
    """

    model: Literal["gilbert-elliott"] = "gilbert-elliott"
    enter: Share
    leave: Annotated[Share, Field(gt=0)]
    slot: Seconds = 10.0

    @field_validator("slot")
    @classmethod
    def _positive(cls, slot: float) -> float:
        if slot <= 0:
            raise ValueError("a slot must be longer than zero")
        return slot


class Wear(Strict):
    """Use that has added up: from `at_least` on, or with a probability that rises from there to `full_at`."""

    gauge: str
    at_least: GaugeValue
    full_at: GaugeValue | None = None

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.full_at is not None and self.full_at <= self.at_least:
            raise ValueError("full_at must be above at_least")
        return self


class State(Strict):
    """A gauge of a service (`sap.pool.queued`) above or below a value, or between the two."""

    gauge: str
    above: GaugeValue | None = None
    below: GaugeValue | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("say above or below")
        return self


class Node(Strict):
    """Nodes of a backend: `slow` of `of` nodes are struck. A request keeps its node, or each call draws one."""

    of: int = Field(ge=1)
    slow: int = Field(default=1, ge=1)
    sticky: Literal["request", "call"] = "call"


class TriggerLimit(Strict):
    """How many calls may be under this fault at once."""

    concurrent: int = Field(ge=1)


class Trigger(Strict):
    """When the fault strikes a call that it matches: where all that is written here holds.

    `per: request` draws the probability once for a request instead of for each call. `nth_call` counts the request's
    calls that match the target, from 1. `spacing` holds for a call that comes sooner after the last one that passed.
    """

    probability: Share | None = None
    per: Literal["call", "request"] = "call"
    index: Index | None = None
    window: Window | None = None
    nth_call: Numbers | None = None
    burst: Burst | None = None
    wear: Wear | None = None
    state: State | None = None
    node: Node | None = None
    spacing: Seconds | None = None
    limit: TriggerLimit | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        said = self.model_fields_set - {"per", "limit"}
        if not said:
            raise ValueError("say when: probability, index, window, nth_call, burst, wear, state, node or spacing")
        if self.wear is not None and self.wear.full_at is not None and self.probability is None:
            raise ValueError("full_at raises the probability: write trigger.probability as its final value")
        return self


# --- the whole


class StopWhen(Strict):
    """A gauge at which the fault strikes no more, so that a run can go on."""

    gauge: str
    at_least: GaugeValue


def _none_is_empty(value: object) -> object:
    return {} if value == "none" else value


def _none_is_null(value: object) -> object:
    return None if value == "none" else value


class FaultLimits(Strict):
    """What stops the fault after its draw; what was stopped is counted as limited.

    `max_requests`: a number of requests, or a share of those of the run. `total`: strikes in the run.
    """

    concurrent: int | None = Field(default=None, ge=1)
    max_requests: Annotated[int, Field(ge=1, strict=True)] | Share | None = None
    total: int | None = Field(default=None, ge=1)
    stop_when: Annotated[StopWhen | None, BeforeValidator(_none_is_null), OrText(const="none")] = None


class Expect(Strict):
    """Facts of the world under this fault: what must always hold, and what must be seen at least once in a while."""

    always: Facts = ()
    sometimes: Facts = ()


class FaultModel(Strict):
    """A fault model file.

    `parameters` names the knobs that a scenario may turn, as paths: `{quota: trigger.wear.at_least}`; the first
    effect of a kind is reached by its kind (`delay.p50`).
    """

    schema_: Literal["pagerproof/fault-model/1"] = Field(alias="schema")
    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str = Field(min_length=1)
    description: str = ""
    cites: Annotated[tuple[Cite, ...], Field(min_length=1), BeforeValidator(tupled)]
    target: Target
    trigger: Trigger
    effect: Annotated[
        tuple[Annotated[Effect, OrText(pattern="^[a-z_]+$")], ...], Field(min_length=1), BeforeValidator(tupled)
    ]
    limits: Annotated[FaultLimits, BeforeValidator(_none_is_empty), OrText(const="none")]
    expect: Expect
    parameters: dict[str, str] = Field(default_factory=dict)

    _written: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_what_was_written(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        model = handler(data)
        if isinstance(data, Mapping):
            model._written = _plain(data)
            for name, path in model.parameters.items():
                try:
                    _place(model._written, path)
                except KeyError:
                    raise ValueError(f"parameters: {name}: {path!r} leads nowhere in this file") from None
        return model

    @property
    def evidence(self) -> Evidence:
        """The weakest grade among the citations: the model as a whole is no better founded."""
        return max((cite.evidence for cite in self.cites), key=EVIDENCE.index)

    def with_parameters(self, values: Mapping[str, Any]) -> FaultModel:
        """Return this model with its knobs turned. Raises KeyError for a name that is none, ValidationError."""
        if not values:
            return self
        written = _plain(self._written)
        for name, value in values.items():
            holder, key = _place(written, self.parameters[name])
            holder[key] = value
        return FaultModel.model_validate(written)


def json_schema() -> str:
    """Return the JSON schema of fault model files, as it is kept in `fault_models/schema.json`."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | FaultModel.model_json_schema(), indent=1) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _place(written: dict[str, Any], path: str) -> tuple[Any, str]:
    """Return the mapping and the key that a parameter's path names. Raises KeyError."""
    first, *rest = path.split(".")
    holder: Any = written
    keys = [first, *rest]
    if first not in ("trigger", "limits"):
        holder = next((effect for effect in written["effect"] if first in effect), None)
    for key in keys[:-1]:
        holder = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(holder, dict) or keys[-1] not in holder:
        raise KeyError(path)
    return holder, keys[-1]
