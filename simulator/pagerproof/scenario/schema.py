"""What a scenario file may say, as pydantic models; every quantity carries its unit in the file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from pagerproof import units

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")


def _identifier(text: str) -> str:
    # Ids become names of folders and columns.
    if _ID.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not an id: use letters, digits, '_', '-' and '.', at most 80 of them")
    return text


def _amount(text: str) -> str:
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not an amount of money: write it in quotes, such as '129.80'")
    return text


def _quantity(units_pattern: str) -> WithJsonSchema:
    """What an editor should accept where a file has a number with its unit."""
    number = r"^[+]?[0-9][0-9_]*(\.[0-9]+)?([eE][+-]?[0-9]+)?"
    return WithJsonSchema({"type": "string", "pattern": rf"{number}\s*{units_pattern}$"})


Seconds = Annotated[float, Field(ge=0), BeforeValidator(units.duration_s), _quantity("(us|ms|s|min|m|h|d)")]
PerSecond = Annotated[float, Field(ge=0), BeforeValidator(units.rate_per_s), _quantity("/\\s*(s|min|m|h|d)")]
Bytes = Annotated[int, Field(ge=0), BeforeValidator(units.size_bytes), _quantity("(B|kB|KiB|MB|MiB)")]
Share = Annotated[
    float,
    BeforeValidator(units.share),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"^[0-9.]+\s*%$"}]}
    ),
]
Identifier = Annotated[
    str, AfterValidator(_identifier), WithJsonSchema({"type": "string", "pattern": f"^{_ID.pattern}$"})
]
Amount = Annotated[
    str, AfterValidator(_amount), WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,2})?$"})
]


class Strict(BaseModel):
    """A mapping in a file: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=False)


class Arrivals(Strict):
    """When requests come. `process` decides which of the other keys are used; others must be absent.

    contact_center: intraday profile x Gamma day factor at mean `rate`, beginning at `starts_at` after midnight
    poisson, constant: at `rate`
    ramp: from `rate` to `to` over `over`, then `to`
    spike: `rate`, and `to` within [`at`, `at` + `over`)
    replay: the column `timestamp` (seconds, or ISO 8601) of the CSV file `file`, relative to its first row
    """

    process: Literal["contact_center", "poisson", "constant", "ramp", "spike", "replay"] = "contact_center"
    rate: PerSecond | None = Field(default=None, gt=0)
    to: PerSecond | None = Field(default=None, gt=0)
    at: Seconds | None = None
    over: Seconds | None = None
    starts_at: Seconds | None = None
    day_factor_shape: float | None = Field(default=None, gt=0)
    file: str | None = None


class Beta(Strict):
    """A Beta distribution of success probability; a request's difficulty is one minus its draw."""

    a: float = Field(gt=0)
    b: float = Field(gt=0)


class Patience(Strict):
    """How long a customer waits: for the answer, or only in the queue before an agent worker starts."""

    dist: Literal["exponential", "lognormal", "constant", "infinite"] = "lognormal"
    median: Seconds | None = Field(default=None, gt=0)
    mean: Seconds | None = Field(default=None, gt=0)
    sigma: float = Field(default=0.6, gt=0, le=5)
    applies_to: Literal["answer", "queue"] = "answer"


class RequestOverride(Strict):
    """What a scenario fixes about one request by its index; such a request is marked scripted."""

    intent: str | None = None
    edge_cases: tuple[str, ...] = ()
    channel: str | None = None
    locale: str | None = None
    difficulty: Share | None = None
    patience: Seconds | None = None
    amount: Amount | None = None


class Workload(Strict):
    """Who asks for what, when, and how hard it is.

    `tau2` names a domain folder of tau2-bench, whose tasks are then the requests and whose database is a service;
    `tools` names the module with that domain's tools (none: ours, for retail). `state` says whether each request finds
    the database as the folder has it (isolated) or as the requests before it have left it (shared).
    """

    arrivals: Arrivals = Arrivals()
    intents: str = "contact_center"
    only_intents: tuple[str, ...] = ()
    abcd: str | None = None
    tau2: str | None = None
    tools: str | None = None
    state: Literal["isolated", "shared"] = "isolated"
    locales: tuple[str, ...] = ("en_US", "de_DE", "fr_FR", "es_ES", "pl_PL", "ja_JP")
    customers_per_locale: int = Field(default=250, ge=1, le=100_000)
    channels: dict[str, Share] = {"chat": 0.62, "voice": 0.19, "email": 0.19}
    difficulty: Beta = Beta(a=5.8, b=1.265)
    patience: Patience = Patience.model_validate({"median": "240s"})
    deadline: Seconds = Field(default=180.0, gt=0)
    edge_cases: Share = 0.04
    requests: dict[int, RequestOverride] = {}


class FaultUse(Strict):
    """One fault model used by a scenario.

    `intensity` multiplies the trigger's probability; `at` makes it strike at exactly these indices instead of by its
    own trigger (scripted); `armed` faults may stay silent, `required` ones must fire. `services` aims it at all
    operations of these services, such as the scenario's own, in place of the target that the fault model names;
    `operations` narrows the target.
    """

    use: str
    id: Identifier | None = None
    intensity: float = Field(default=1.0, ge=0)
    probability: Share | None = None
    at: tuple[int, ...] = ()
    only: Literal["first", "every"] = "every"
    expect: Literal["required", "armed"] = "required"
    services: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}


class AgentUse(Strict):
    """Which agent runs by default, and how many requests it works on at once (none: without limit).

    `clock`: whether agent code that reads the wall clock is refused (`strict`) or gets virtual time (`virtual`); by
    default strict for agents that speak through the desk, virtual for others. `env` are environment variables for the
    time of its import and of the run, such as the API keys that a client asks for when it is made.
    """

    use: str = "hardened"
    concurrency: int | None = Field(default=None, ge=1)
    clock: Literal["strict", "virtual"] | None = None
    env: dict[str, str] = {}


class Network(Strict):
    """The simulated network: which service answers at a host name, beside the usual ones, and its latency.

    Every service answers at `NAME.sim`, the model also at the providers' own names; `hosts` maps further names, such
    as `my-sap.example: sap`. `latency` is one way, for each piece of data.
    """

    hosts: dict[str, str] = {}
    latency: Seconds = 0.0005


class Limits(Strict):
    """Where the simulator itself ends a request that does not end: the outcome is then `runaway`.

    `horizon` ends the run at that virtual time; `spin_after` is wall-clock time, after which a callback that never
    awaits is taken to spin.
    """

    calls_per_request: int = Field(default=60, ge=1)
    cost_per_request_usd: float = Field(default=5.0, gt=0)
    horizon: Seconds | None = Field(default=None, gt=0)
    spin_after: Seconds = Field(default=10.0, gt=0)


class Gate(Strict):
    """One threshold, such as `silent_failure.rate < 0.1%`, with the reason for its limit."""

    gate: str
    source: str = ""
    evidence: Literal["documented", "incident", "measured", "assumed"] = "assumed"
    model_input: bool = False


class Scenario(Strict):
    """A scenario file."""

    schema_: Literal["pagerproof/scenario/1"] = Field(alias="schema")
    id: Identifier
    title: str
    description: str = ""
    requests: int = Field(default=1000, ge=1, le=10_000_000)
    seed: int = Field(default=1, ge=0, lt=2**63)
    agent: AgentUse = AgentUse()
    network: Network = Network()
    workload: Workload = Workload()
    services: dict[str, dict[str, Any]] = {}
    faults: tuple[FaultUse, ...] = ()
    gates: tuple[Gate, ...] = ()
    limits: Limits = Limits()
