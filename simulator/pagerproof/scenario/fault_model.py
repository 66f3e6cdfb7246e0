"""What a fault model file may say: target x trigger x effect x expectation x citation, as pydantic models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    PrivateAttr,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pagerproof import units
from pagerproof.scenario.schema import Bytes, Seconds, Share, Strict

M = TypeVar("M", bound=BaseModel)

Evidence = Literal["documented", "incident", "measured", "assumed"]
EVIDENCE: tuple[Evidence, ...] = ("documented", "incident", "measured", "assumed")
"""Grades of evidence, best first."""


def _tupled(value: object) -> object:
    # A strict validator takes no list for a tuple once a model-level validator has seen the data.
    return tuple(value) if isinstance(value, list) else value


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str | int) else _tupled(value)


class _OrText:
    """What an editor should accept besides the mapping that a validator makes of it."""

    def __init__(self, **schema: Any) -> None:
        self._schema = {"type": "string", **schema}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [self._schema, handler(core)]}


def _count_or_seconds(value: object) -> object:
    """Gauges of time are written with their unit, counts without."""
    return units.duration_s(value) if isinstance(value, str) else value


_DURATION = r"^[0-9][0-9._]*\s*(us|ms|s|min|m|h|d)$"
_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_NUMBERS = {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}]}
GaugeValue = Annotated[float, BeforeValidator(_count_or_seconds), WithJsonSchema({"type": ["number", "string"]})]
Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed), WithJsonSchema(_NAMES)]
Numbers = Annotated[tuple[int, ...], Field(min_length=1), BeforeValidator(_listed), WithJsonSchema(_NUMBERS)]
Facts = Annotated[tuple[str, ...], BeforeValidator(_tupled)]


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
    range: Annotated[tuple[int, int] | None, BeforeValidator(_tupled)] = None
    every: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        return _exactly_one(self, "exact", "range", "every")


class Window(Strict):
    """A span of virtual time: from its first instant to just before its last."""

    virtual: Annotated[tuple[Seconds, Seconds], BeforeValidator(_tupled)]

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


# --- effects


class Duration(Strict):
    """A time that is drawn: constant (`for`), exponential (`mean`), or lognormal (`p50` and `p99`)."""

    dist: Literal["constant", "exponential", "lognormal"] = "constant"
    for_: Seconds | None = Field(default=None, alias="for")
    mean: Seconds | None = None
    p50: Seconds | None = None
    p99: Seconds | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"constant": ("for_",), "exponential": ("mean",), "lognormal": ("p50", "p99")}[self.dist]
        for name in ("for_", "mean", "p50", "p99"):
            if (getattr(self, name) is not None) != (name in needed):
                keys = " and ".join(each.rstrip("_") for each in needed)
                raise ValueError(f"dist: {self.dist} takes {keys}, and nothing else of for, mean, p50, p99")
        if self.p50 is not None and self.p99 is not None and not 0 < self.p50 < self.p99:
            raise ValueError("p50 must be above zero and below p99")
        return self


def _duration(value: object) -> object:
    return value if isinstance(value, Mapping | BaseModel) else {"dist": "constant", "for": value}


Drawn = Annotated[Duration, BeforeValidator(_duration), _OrText(pattern=_DURATION)]


class Delay(Duration):
    """The answer comes later: the wait is before the service sees the call or after it has answered.

    Without `where`, the target's edge says which: request is before, response after.
    """

    where: Literal["before", "after"] | None = None


class Truncate(Strict):
    """The body ends early: after a share of its bytes or at a size, at a byte, a token or inside a UTF-8 character.

    `content_length: original` announces the full length (a cut on the wire); `actual` hides the cut.
    """

    keep: Share | None = None
    bytes: Bytes | None = None
    at: Literal["byte", "token", "mid_utf8"] = "byte"
    content_length: Literal["original", "actual"] = "original"

    @model_validator(mode="after")
    def _one(self) -> Self:
        return _exactly_one(self, "keep", "bytes")


Malformed = Literal[
    "html",
    "empty",
    "trailing_comma",
    "single_quotes",
    "unquoted_keys",
    "nan",
    "comment",
    "fenced",
    "concatenated",
    "unescaped",
    "bom",
    "double_encoded",
]


class Malform(Strict):
    """The body is not the JSON it should be, under a good status."""

    how: Malformed


Preset = Literal[
    "sap.lock_held",
    "sap.processing_timeout",
    "sap.run_limit_dump",
    "sap.csrf_required",
    "sap.partner_not_reached",
    "sap.number_range_end",
    "sap.service_unavailable",
    "sap.quota_exceeded",
    "http.rate_limited",
    "http.spike_arrest",
    "http.quota_exhausted",
    "http.unavailable",
    "http.gateway_timeout",
    "http.pool_exhausted",
    "llm.rate_limited",
    "llm.overloaded",
]


class AnswerWith(Strict):
    """Another answer than the service's: a preset of the wire registry, or a status with headers and a body.

    With `edge: request` the service does no work: a gateway before it answers `after` a while, or, `by: service`,
    the service itself refuses. With `edge: response` it has done the work, and its own answer is lost.
    """

    preset: Preset | None = None
    status: int | None = Field(default=None, ge=200, le=599)
    headers: dict[str, str] = Field(default_factory=dict)
    body: JsonValue = None
    retry_after: Seconds | None = None
    by: Literal["gateway", "service"] = "gateway"
    after: Drawn = Duration.model_validate({"for": "20ms"})

    @model_validator(mode="after")
    def _one(self) -> Self:
        return _exactly_one(self, "preset", "status")


class Hold(Strict):
    """A foreign job (a slow report) stands in the line before this call and keeps a worker for so long."""

    resource: str
    for_: Drawn = Field(alias="for")


class SlowWork(Strict):
    """The service's own work on this call takes so much longer and keeps its worker, also after the caller gave up."""

    for_: Drawn = Field(alias="for")


class Outcome(Strict):
    """Whether the write is committed, whatever the caller is told."""

    committed: Share


class Timeout(Strict):
    """No answer until `after`; the write is committed with this probability.

    Then a preset answer arrives, or, without one, ToolTimeout is raised.
    """

    committed: Share
    after: Drawn
    answer: Preset | None = None


class DropConnection(Strict):
    """The connection breaks without an answer; the write is committed with this probability."""

    committed: Share


class Fields(Strict):
    """Fields of the JSON answer: every one of the `field` names, wherever it stands, or `any` one field."""

    field: Names


class RenameField(Strict):
    """A field comes under another name (given, or its own in another style)."""

    field: Names
    to: str | None = None


class WrongType(Strict):
    """A field comes as another JSON type."""

    field: Names
    to: Literal["string", "number", "object", "list", "boolean"] = "object"


class Stale(Strict):
    """Reads answer as the record stood before this run's changes."""


class WrongRecord(Strict):
    """Reads answer with the record of somebody else."""


class Duplicate(Strict):
    """The service receives the call twice and carries out both."""


class IgnoreWrite(Strict):
    """The service says that it is done and has not done it."""


class ForgetIdempotency(Strict):
    """The service has evicted the idempotency key: a repeat counts as new."""


class ExpireSession(Strict):
    """The session and its CSRF token are gone: the service refuses as it does without a token."""


class LeakLock(Strict):
    """The record stays locked for this long after the call."""

    for_: Drawn = Field(alias="for")


class LeakConnection(Strict):
    """If the caller gives up, the service never gets the connection back."""


class PolicyDrift(Strict):
    """The policy in the knowledge base reads otherwise than the one the company stands by: its days times `factor`."""

    factor: float = Field(gt=0)


class InventedTool(Strict):
    """The model calls a tool that does not exist."""

    name: str | None = None


class TruncatedArguments(Strict):
    """The model's tool arguments end early, and `finish_reason` says length or, silently, tool_calls."""

    keep: Share = 0.6
    finish_reason: Literal["length", "tool_calls"] = "length"


class Prose(Strict):
    """The model says what it would do instead of calling the tool."""


class Refusal(Strict):
    """The model declines on grounds of policy where nothing is wrong."""


class PoliteLoop(Strict):
    """A verifier never approves and a worker never says that it is finished: each asks for one more round."""


class CutStream(Strict):
    """The stream ends early: part of the text or arguments, no finish_reason."""

    keep: Share = 0.5


class Behave(Strict):
    """The simulated model behaves in this way on this call; the names are those of its policy."""

    name: str


class TemperatureShift(Strict):
    """The simulated model answers as if its temperature were so much higher or lower."""

    by: float


class Connect(Strict):
    """No connection comes about: the name is not found, the connection refused, or nobody answers.

    `after` says when that is clear: at once, or, for `timeout`, when the operating system gives up (127 s).
    """

    how: Literal["dns", "refused", "timeout"]
    after: Drawn | None = None


class ResetBody(Strict):
    """The connection is reset in the middle of the body, after a share of it."""

    keep: Share = 0.5


class HalfHeaders(Strict):
    """The connection closes in the middle of the answer's headers."""


class BadChunk(Strict):
    """The body comes in chunks, and after a share of it a chunk's size is no number."""

    keep: Share = 0.5


class SlowBytes(Strict):
    """The body trickles at so many bytes a second."""

    bytes_per_s: float = Field(gt=0)


class Effect(Strict):
    """One effect: a mapping with exactly one key; an effect without settings may stand as a bare word."""

    delay: Delay | None = None
    truncate: Truncate | None = None
    malform: Malform | None = None
    answer: AnswerWith | None = None
    hold: Hold | None = None
    slow_work: SlowWork | None = None
    outcome: Outcome | None = None
    timeout: Timeout | None = None
    drop_connection: DropConnection | None = None
    drop_field: Fields | None = None
    rename_field: RenameField | None = None
    wrong_type: WrongType | None = None
    null_field: Fields | None = None
    stale: Stale | None = None
    wrong_record: WrongRecord | None = None
    duplicate: Duplicate | None = None
    ignore_write: IgnoreWrite | None = None
    forget_idempotency: ForgetIdempotency | None = None
    expire_session: ExpireSession | None = None
    leak_lock: LeakLock | None = None
    leak_connection: LeakConnection | None = None
    policy_drift: PolicyDrift | None = None
    invented_tool: InventedTool | None = None
    truncated_arguments: TruncatedArguments | None = None
    prose: Prose | None = None
    refusal: Refusal | None = None
    polite_loop: PoliteLoop | None = None
    cut_stream: CutStream | None = None
    behaviour: Behave | None = None
    temperature_shift: TemperatureShift | None = None
    connect: Connect | None = None
    reset_body: ResetBody | None = None
    half_headers: HalfHeaders | None = None
    bad_chunk: BadChunk | None = None
    slow_bytes: SlowBytes | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_word(cls, data: Any) -> Any:
        return {data: {}} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one(self) -> Self:
        return _exactly_one(self, *type(self).model_fields)

    @property
    def kind(self) -> str:
        """The one key that was written."""
        return next(iter(self.model_fields_set))

    @property
    def spec(self) -> Strict:
        """What was written under it."""
        spec: Strict = getattr(self, self.kind)
        return spec


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
    stop_when: Annotated[StopWhen | None, BeforeValidator(_none_is_null), _OrText(const="none")] = None


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
    cites: Annotated[tuple[Cite, ...], Field(min_length=1), BeforeValidator(_tupled)]
    target: Target
    trigger: Trigger
    effect: Annotated[
        tuple[Annotated[Effect, _OrText(pattern="^[a-z_]+$")], ...], Field(min_length=1), BeforeValidator(_tupled)
    ]
    limits: Annotated[FaultLimits, BeforeValidator(_none_is_empty), _OrText(const="none")]
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


def _exactly_one(model: M, *names: str) -> M:
    given = [name for name in names if getattr(model, name) is not None]
    if len(given) != 1:
        choice = ", ".join(names)
        raise ValueError(f"write exactly one of {choice}" + (f" (here: {', '.join(given)})" if given else ""))
    return model
