"""What a fault model file may say under `effect`, as pydantic models: one for each effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, model_validator

from pagerproof.scenario.fault_values import Names, OrText, exactly_one
from pagerproof.scenario.schema import Bytes, Seconds, Share, Strict


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


_DURATION = r"^[0-9][0-9._]*\s*(us|ms|s|min|m|h|d)$"
Drawn = Annotated[Duration, BeforeValidator(_duration), OrText(pattern=_DURATION)]


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
        return exactly_one(self, "keep", "bytes")


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
        return exactly_one(self, "preset", "status")


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
        return exactly_one(self, *type(self).model_fields)

    @property
    def kind(self) -> str:
        """The one key that was written."""
        return next(iter(self.model_fields_set))

    @property
    def spec(self) -> Strict:
        """What was written under it."""
        spec: Strict = getattr(self, self.kind)
        return spec
