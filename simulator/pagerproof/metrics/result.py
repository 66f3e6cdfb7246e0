"""The one finished result of a run: every renderer shows this and computes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

SCHEMA = "pagerproof/result/1"
HEADING = "one replication, not launch evidence"

Word = Literal["go", "no-go", "inconclusive", "baseline", "not reproducible"]
GateStatus = Literal["pass", "fail", "no_samples"]
ExpectationStatus = Literal["held", "violated", "reached", "not reached", "not exercised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureMode:
    """One failure mode and the requests it decided; `first_unscripted` is None where it never came on its own."""

    mode: str
    outcome: str
    count: int
    first_index: int
    first_unscripted: int | None
    scripted: int
    indices: tuple[int, ...]
    tools: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """The first request of one failure identity (mode, oracle, tool), with its evidence in words."""

    index: int
    mode: str
    oracle: str
    tool: str
    outcome: str
    message: str
    faults: tuple[str, ...] = ()
    mast: str = ""
    tags: tuple[str, ...] = ()
    scripted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationResult:
    """What became of one expectation of a fault model, over the settled requests that the fault struck.

    `count` is how many of the `struck` requests broke an `always`, or reached a `sometimes` (of which a fact of the
    whole world may be reached by requests that were not struck). `blamed`: of those that broke it, how many have this
    fault on the causal path; the others met it, and something else went wrong. `scripted` are counted in `count`, and
    `first_unscripted` is None where it never came about on its own. `indices` are the lowest.
    """

    name: str
    kind: Literal["always", "sometimes"]
    status: ExpectationStatus
    struck: int = 0
    count: int = 0
    blamed: int = 0
    scripted: int = 0
    first_index: int | None = None
    first_unscripted: int | None = None
    indices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultDelivery:
    """The books of one fault model: drawn = limited + preempted + cancelled + delivered, always.

    `seen` and `unread` split what was delivered with a result or a delay to observe; a changed state has neither.
    `expectations` is empty in a result that was stored before expectations were evaluated.
    """

    id: str
    title: str = ""
    expect: str = "required"
    evidence: str = "assumed"
    observable: str = "result"
    eligible: int = 0
    drawn: int = 0
    limited: int = 0
    preempted: int = 0
    cancelled: int = 0
    delivered: int = 0
    seen: int = 0
    unread: int = 0
    scripted: int = 0
    expectations: tuple[ExpectationResult, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether the books add up."""
        return self.drawn == self.limited + self.preempted + self.cancelled + self.delivered


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate after the run. `low` and `high` are the 95 % Wilson interval where the observed value is a rate.

    Requests of a run share queues and faults, so the interval is narrower than the truth.
    """

    expression: str
    status: GateStatus
    observed: float | None
    limit: float
    unit: str
    n: int
    low: float | None = None
    high: float | None = None
    source: str = ""
    evidence: str = "assumed"
    model_input: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunVerdict:
    """What the run comes to, and the exit status it leads to."""

    word: Word
    exit_status: int
    reasons: tuple[str, ...] = ()
    heading: str = HEADING


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The distribution of one quantity over a group; quantiles are values that occurred."""

    label: str
    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    sum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Amplification:
    """Physical calls per logical call of one operation.

    A logical call is one operation with one set of arguments in one request; a read after a write is another one, and
    for the model every call that is not a retry. `by_retries` is what retries multiply, `by_agent` what asking the same
    again multiplies; their product is `ratio`. `worst` is the highest number of physical calls for an average logical
    call in one request.
    """

    operation: str
    logical: int
    physical: int
    ratio: float
    by_agent: float
    by_retries: float
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How long requests waited for good answers after bad ones from one service ("all" for all).

    Measured within a request: from the first bad answer (time-out, broken connection, 429, 5xx, or an answer that a
    fault had changed) to the service's next good one. Quantiles are over those that recovered; `censored` counts those
    whose request ended first.
    """

    service: str
    n: int
    censored: int
    p50_s: float | None
    p95_s: float | None
    max_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """Where the failure rate changed: from `index` on it is `after`, until the next change point."""

    index: int
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StripBin:
    """A stretch of request indices and the worst that happened there."""

    first: int
    last: int
    worst: str
    mode: str
    requests: int
    failures: int
    scripted: int
    outcomes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One fault at one tool: calls that it was delivered to, and what became of their requests.

    Scripted deliveries are counted beside, in `scripted`, and nowhere else.
    """

    fault: str
    tool: str
    calls: int
    seen: int
    requests: int
    resolved: int
    escalated: int
    failed: int
    scripted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The fault-free run of the same seed, made once and timed apart."""

    requests: int
    digest: str
    outcomes: Mapping[str, int]
    broken_gates: tuple[str, ...] = ()
    latency_p95_s: float | None = None
    cost_mean_usd: float | None = None
    wall_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAppearance:
    """Where one failure mode first appears on its own, over replications: `seeds` of them showed it at all."""

    mode: str
    outcome: str
    seeds: int
    first_min: int
    first_median: int
    first_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replications:
    """The same scenario under other seeds, without its scripted faults and requests."""

    seeds: tuple[int, ...]
    requests: int
    appearances: tuple[FirstAppearance, ...]
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolMatch:
    """One tool that a foreign agent offered to the model, and what it was taken for: operations, or nothing.

    `sure` is from 0 to 1 (declared tools: 1), `why` says in words what it was taken by.
    """

    tool: str
    role: str
    operations: tuple[str, ...]
    sure: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkUse:
    """What went over the simulated network beside answered requests.

    `unattributed` counts calls that belonged to no request (index 0), by operation; `strangers` the hosts that were
    asked for and that nobody serves; `tools` are the agent's tools as the simulated model understood them.
    """

    unattributed: Mapping[str, int]
    strangers: Mapping[str, int]
    tools: tuple[ToolMatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Everything that a run found out.

    `not_judged` counts the requests that carry criteria of a kind that no oracle here judges, by kind; `network` is
    None for a run without one.
    """

    scenario: str
    title: str
    seed: int
    agent: str
    requests: int
    digest: str
    outcomes: Mapping[str, int]
    failure_modes: tuple[FailureMode, ...]
    faults: tuple[FaultDelivery, ...]
    gates: tuple[GateResult, ...]
    verdict: RunVerdict
    latency: tuple[Spread, ...]
    cost: tuple[Spread, ...]
    cost_per_resolved_usd: float | None
    amplification: tuple[Amplification, ...]
    recovery: tuple[Recovery, ...]
    change_points: tuple[ChangePoint, ...]
    strip: tuple[StripBin, ...]
    matrix: tuple[MatrixCell, ...]
    examples: tuple[Example, ...]
    tags: Mapping[str, int]
    scripted: tuple[int, ...]
    not_exercised: tuple[str, ...]
    virtual_s: float
    wall_s: float
    baseline: Baseline | None = None
    replications: Replications | None = None
    interrupted: bool = False
    covers: str = ""
    not_judged: Mapping[str, int] = field(default_factory=dict)
    network: NetworkUse | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document `pagerproof/result/1`: plain JSON types, numbers that JSON lacks as null."""
        document: dict[str, Any] = {"schema": SCHEMA}
        for each in fields(self):
            document[each.name] = _plain(getattr(self, each.name))
        document["verdict"] = self.verdict.word
        document["verdict_detail"] = _plain(self.verdict)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RunResult:
        """Return the result that `to_json` wrote. Raises ValueError for another schema or a missing key."""
        if document.get("schema") != SCHEMA:
            raise ValueError(f"not a result of schema {SCHEMA}: {document.get('schema')!r}")
        try:
            result: RunResult = _typed(cls, {**document, "verdict": document["verdict_detail"]})
        except (KeyError, TypeError) as error:
            raise ValueError(f"a result document without a usable {error}") from error
        return result


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _typed(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin is Union or origin is UnionType:
        kinds = [each for each in get_args(kind) if each is not NoneType]
        return None if value is None else _typed(kinds[0], value)
    if origin is tuple:
        return tuple(_typed(get_args(kind)[0], each) for each in value)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        known = {each.name for each in fields(kind)}
        return kind(**{name: _typed(hints[name], each) for name, each in value.items() if name in known})
    return float(value) if kind is float else value
