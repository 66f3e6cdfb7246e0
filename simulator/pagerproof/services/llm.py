"""The language model provider: time to first token, speed, limits, context window and prices around the policy."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar, Final, Literal, Self

import orjson
from pydantic import Field, model_validator
from xxhash import xxh3_64_intdigest

from pagerproof.events import NOTE
from pagerproof.model import Answer, Operation
from pagerproof.protocols import Call, World
from pagerproof.services.base import ServiceParameters, SimulatedService
from pagerproof.services.catalogue import TOOLS
from pagerproof.services.job import UNDISTURBED, Job, Refused
from pagerproof.services.llm_script import Script, script_of
from pagerproof.services.llm_stream import first_token_s
from pagerproof.services.model_foreign import ForeignModel
from pagerproof.services.model_policy import BEHAVIOURS, Conversation, ModelPolicy, Move, went_astray
from pagerproof.services.model_rates import ModelRates
from pagerproof.services.model_tools import DeclaredTool, ToolMatching, check_declared
from pagerproof.services.operation import complaint

_WITHOUT_LIMIT = 10**9
_CHARACTERS_PER_TOKEN = 4  # assumed: English and JSON, OpenAI's rule of thumb
_MESSAGE_TOKENS = 4  # role and separators
_TOOL_TOKENS = 45  # a function definition with two or three arguments, assumed
_TOOL_CALL_CHARACTERS = 24 + 31  # an operation's name; arguments: median 31 (measured, tau-bench)
_LISTS: Final = (list, tuple)
_NUMBERS: Final = (int, float)
_UNIT_52: Final = 2.0**-52
_UNIT_53: Final = 2.0**-53
_normal_at: Final = NormalDist().inv_cdf
_BODY: Final = (
    b'%b%b%b%b},"finish_reason":"%b"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}'
)
_HEADERS: Final = {"content-type": "application/json"}
_UNUSED: Final = ("workers", "read_median", "read_sigma", "write_median", "write_sigma", "idempotency_entries")

ProfileName = Literal[
    "default",
    "azure-bench openai gpt-5.5 high effort",
    "azure-bench azure gpt-5.5 high effort",
    "azure-bench azure priority gpt-5.5 high effort",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyProfile:
    """Lognormal time to first token with a slow mixture, and lognormal speed."""

    ttft_median_s: float
    ttft_sigma: float
    tokens_per_s_median: float
    tokens_per_s_sigma: float
    slow_share: float = 0.0075  # KS rejects the single lognormal; a 0.5-1 % slow mixture fits (azure-bench)
    slow_factor: float = 4.0  # assumed; puts the slowest of 1,550 near the measured 21.8 s


PROFILES: Final[Mapping[str, LatencyProfile]] = {
    # assumed, as the good providers of llmperf's leaderboard of 2023 (p50 0.20-1.1 s); a model without hidden reasoning
    "default": LatencyProfile(ttft_median_s=0.7, ttft_sigma=0.35, tokens_per_s_median=80.0, tokens_per_s_sigma=0.20),
    # measured: t3dotgg/azure-bench @bf7aa0a, n=1,550; hidden reasoning is part of the time to first token
    "azure-bench openai gpt-5.5 high effort": LatencyProfile(
        ttft_median_s=math.exp(1.272), ttft_sigma=0.386, tokens_per_s_median=73.0, tokens_per_s_sigma=0.20
    ),
    # measured: the same, a provider in gray failure
    "azure-bench azure gpt-5.5 high effort": LatencyProfile(
        ttft_median_s=math.exp(2.408), ttft_sigma=1.097, tokens_per_s_median=21.5, tokens_per_s_sigma=1.28
    ),
    # measured: the same, n=100
    "azure-bench azure priority gpt-5.5 high effort": LatencyProfile(
        ttft_median_s=math.exp(0.931), ttft_sigma=0.317, tokens_per_s_median=99.0, tokens_per_s_sigma=0.17
    ),
}


class LlmParameters(ServiceParameters):
    """What a scenario may set about the provider."""

    model: str = Field(default="gpt-5-mini", description="name in the answers")
    latency_profile: ProfileName = Field(
        default="default",
        description="time to first token and speed; 'default' is assumed (p50 0.7 s, 80 tokens/s), the azure-bench "
        "ones are measured (t3dotgg/azure-bench @bf7aa0a)",
    )
    streams: int | None = Field(default=None, ge=1, description="answers generated at once; none: no limit; assumed")
    requests_per_minute: int | None = Field(default=None, ge=1, description="token bucket; none: no limit; assumed")
    tokens_per_minute: int | None = Field(
        default=None,
        ge=1,
        description="token bucket, charged max(max_tokens, estimate) a request (documented by OpenAI); none: no limit",
    )
    context_window: int = Field(
        default=272_000, ge=1, description="tokens of prompt and max_tokens together, beyond is a 400; assumed"
    )
    usd_per_token_in: float = Field(
        default=2.5e-7, ge=0, description="USD per prompt token; documented: gpt-5-mini in LiteLLM 1.109.1's list"
    )
    usd_per_token_out: float = Field(
        default=2e-6, ge=0, description="USD per completion token; documented: gpt-5-mini in LiteLLM 1.109.1's list"
    )
    reasoning_tokens: int = Field(
        default=0, ge=0, description="hidden tokens per answer, generated and billed before the visible ones; assumed"
    )
    policy: ModelRates = Field(default=ModelRates(), description="the stated model policy's rates")
    model_function: str | None = Field(
        default=None,
        description="module:function(messages, tools) that answers in place of the simulated model, with text or tool "
        "calls; none (assumed): the stated policy answers",
    )
    cassette: str | None = Field(
        default=None,
        description="JSONL file of recorded answers by the content of their requests, in place of the simulated model; "
        "a request that is not in it is an error; none (assumed): the stated policy answers",
    )
    tools: dict[str, DeclaredTool | Literal["handoff", "output"]] = Field(
        default_factory=dict,
        description="what a foreign agent's tools mean, by their names; what is not declared is matched by names, "
        "descriptions and schemas, by assumed weights",
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_has_no_effect(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            for name in _UNUSED:
                if name in given:
                    raise ValueError(f"the model provider has no {name!r}: set latency_profile, streams or the limits")
        return given

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if self.model_function is not None and self.cassette is not None:
            raise ValueError("model_function and cassette both answer in place of the model: set one of them")
        return self


class Bucket:
    """A token bucket that holds one minute's allowance and fills continuously."""

    __slots__ = ("_at_s", "_left", "per_minute")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._left = float(per_minute)
        self._at_s = 0.0

    def left(self, now_s: float) -> float:
        """What may be taken now."""
        self._left = min(self.per_minute, self._left + (now_s - self._at_s) * self.per_minute / 60.0)
        self._at_s = now_s
        return self._left

    def take(self, amount: float) -> None:
        """Take what `left` has just shown to be there."""
        self._left -= amount

    def wait_s(self, amount: float) -> float:
        """How long until `amount`, or a whole minute's allowance, is there."""
        return max(0.0, (min(amount, self.per_minute) - self._left) * 60.0 / self.per_minute)


class _Spoken:
    """An answer being generated."""

    __slots__ = ("answer", "key", "sound", "tokens_in", "tokens_out")

    def __init__(self, answer: Answer, key: int, tokens_in: int = 0, tokens_out: int = 0, sound: bool = False) -> None:
        self.answer = answer
        self.key = key  # of the draws about its time
        self.tokens_in = tokens_in
        self.tokens_out = tokens_out
        self.sound = sound  # the call's arguments have been looked at, and need no second look when it is handed over


class LlmService(SimulatedService):
    """The provider's chat endpoint; what it says is decided by `ModelPolicy` when generation starts.

    Answers and errors have OpenAI's chat-completions shape. Tokens and cost are charged to the case when generation
    ends, whether or not anybody still waits: the provider bills what it generated.
    """

    name = "llm"
    Parameters: ClassVar[type[ServiceParameters]] = LlmParameters

    known_operations: Mapping[str, Operation] = TOOLS
    """What tools may mean; whoever adds services of a user's own sets this before a run."""

    def open(self, world: World) -> None:
        """Begin a run: full buckets, nothing in flight."""
        parameters: LlmParameters = self.parameters
        self._policy = ModelPolicy(world.seed, parameters.policy)
        self._foreign = ForeignModel(self._policy, self.known_operations, parameters.tools)
        check_declared(parameters.tools, self.known_operations)
        self._script = script_of(parameters.model_function, parameters.cassette)
        self._profile = PROFILES[parameters.latency_profile]
        self._in_flight: dict[Job, _Spoken] = {}
        self._tokens_used = 0
        self._cost_usd = 0.0
        self._minute: deque[tuple[float, int]] = deque()
        self._minute_tokens = 0
        self._rejected = 0
        self._requests = Bucket(parameters.requests_per_minute) if parameters.requests_per_minute else None
        self._tokens = Bucket(parameters.tokens_per_minute) if parameters.tokens_per_minute else None
        # Plain attributes, asked at every call: what a pydantic model holds costs several times as much to read.
        self._context_window = parameters.context_window
        self._reasoning_tokens = parameters.reasoning_tokens
        self._usd_per_token_in = parameters.usd_per_token_in
        self._usd_per_token_out = parameters.usd_per_token_out
        self._has_limits = self._requests is not None or self._tokens is not None
        self._before_id = b'{"id":"chatcmpl-'
        self._before_message = (
            b'","object":"chat.completion","model":%b,"choices":[{"index":0,"message":{"role":"assistant","content":'
            % orjson.dumps(parameters.model)
        )
        super().open(world)

    def admits_all(self) -> bool:
        """Nothing is refused without a limit on connections, requests or tokens."""
        return self.parameters.connections is None and not self._has_limits and type(self).admit is LlmService.admit

    def capacity(self) -> int:
        """Return how many answers are generated at once."""
        return self.parameters.streams or _WITHOUT_LIMIT

    def disturbances(self) -> Sequence[str]:
        """The names every service knows, `behaviour` (one of BEHAVIOURS) and `temperature_shift` (added)."""
        return (*super().disturbances(), "behaviour", "temperature_shift")

    def disturb(self, call: Call, name: str, value: object) -> None:
        """As every service does; a behaviour that the policy does not know raises KeyError as well."""
        if name == "behaviour" and value not in BEHAVIOURS:
            raise KeyError(value)
        super().disturb(call, name, value)

    def admit(self, job: Job) -> Answer | None:
        """Refuse what exceeds the requests or the tokens of this minute."""
        refusal = super().admit(job)
        if refusal is not None or not self._has_limits:
            return refusal
        now = self._now()
        wanted = 0.0
        if self._tokens is not None:
            wanted = float(_estimate(job.arguments))
            if self._tokens.left(now) < wanted:
                return self._limited("tokens", self._tokens, wanted)
        if self._requests is not None:
            if self._requests.left(now) < 1.0:
                return self._limited("requests", self._requests, 1.0)
            self._requests.take(1.0)
        if self._tokens is not None:
            self._tokens.take(wanted)
        return None

    def service_s(self, job: Job) -> float:
        """Let the policy speak, and return the time to first token plus that of the tokens."""
        spoken = self._speak(job)
        self._in_flight[job] = spoken
        if spoken.answer.status != 200:
            return float(self.parameters.refusal)
        seconds = _generation_s(self._profile, spoken.key, spoken.tokens_out)
        if job.arguments.get("stream"):
            self._stream(job, spoken, seconds)
        return seconds

    def early_answer(self, job: Job) -> Answer:
        """A stream's answer, which begins at the first token; its job goes on until the last one."""
        answer = self._in_flight[job].answer
        if self._has_limits:
            answer.headers = {**answer.headers, **self._limit_headers()}
        return answer

    def chat_create(self, job: Job) -> Answer:
        """Bill what was generated and hand it over."""
        spoken = self._in_flight.pop(job, None)
        if spoken is None:  # delivered twice: generated again, billed again
            spoken = self._speak(job)
        if spoken.answer.status == 200:
            self._bill(job, spoken)
        if self._has_limits:
            spoken.answer.headers = {**spoken.answer.headers, **self._limit_headers()}
        return spoken.answer

    def bad_argument(self, job: Job, argument: str, message: str) -> Answer:
        """OpenAI's 400."""
        self._in_flight.pop(job, None)
        return _error(400, message, "invalid_request_error", None, argument)

    def overloaded(self, job: Job) -> Answer:  # noqa: ARG002  # the door's signature
        """OpenAI's 503."""
        return _error(503, "The engine is currently overloaded, please try again later", "service_unavailable", None)

    def problem(self, status: int, code: str, message: str, **headers: str) -> Answer:
        """Return an error answer in OpenAI's shape."""
        answer = _error(status, message, "server_error" if status >= 500 else "invalid_request_error", code)
        answer.headers.update(headers)
        return answer

    def extra_gauges(self) -> Mapping[str, Callable[[], float]]:
        """Streams, tokens, cost and refusals."""
        return {
            "calls.in_flight": lambda: float(len(self._in_flight)),
            "calls.rate_limited": lambda: float(self._rejected),
            "tokens.used": lambda: float(self._tokens_used),
            "tokens.last_minute": self._tokens_last_minute,
            "cost.usd": lambda: self._cost_usd,
            **(self._script.gauges() if self._script is not None else {}),
        }

    # -- speaking ----------------------------------------------------------------------------------------------------

    def tool_matchings(self) -> Sequence[ToolMatching]:
        """What the tools of foreign agents were taken for in this run."""
        return self._foreign.matchings

    def _stream(self, job: Job, spoken: _Spoken, seconds: float) -> None:
        """Answer at the first token, and spread the rest over the time that its generation takes."""
        wanted = job.disturbed
        if job.early is not None or wanted.break_after_commit or wanted.answer_after_commit is not None:
            return
        first_s = first_token_s(self._profile, spoken.key, seconds, spoken.tokens_out, self.parameters.reasoning_tokens)
        spoken.answer.pace_s = seconds - first_s
        job.early = self._schedule(first_s + wanted.extra_service_s, self._answer_early, job)

    def _start(self, job: Job) -> None:
        if self._script is None or self._script.ready(job, super()._start):
            super()._start(job)

    def _answered_by_script(self, job: Job, script: Script, tokens_in: int) -> _Spoken:
        key = job.call.key
        answer, tokens_out, note = script.answer(job, self.parameters.model, key, tokens_in)
        if note:
            job.call.case.log.append((self._now(), NOTE, "llm.model", job.call.number, answer.status, note))
        return _Spoken(answer, key, tokens_in, tokens_out)

    def _perform(self, job: Job) -> Answer:
        spoken = self._in_flight.get(job)
        if spoken is None or not spoken.sound or job.cut:
            return super()._perform(job)
        try:
            return job.plan.handler(job)
        except Refused as refused:
            return refused.answer

    def _speak(self, job: Job) -> _Spoken:
        arguments = job.arguments
        call = job.call
        try:
            messages = arguments.get("messages")
            conversation = call.case.conversation
            if conversation is None or not conversation.goes_on(messages):
                conversation = call.case.conversation = Conversation(messages)
        except TypeError as error:
            return _Spoken(_error(400, str(error), "invalid_request_error", None, "messages"), call.key)
        tools: Any = arguments.get("tools")
        max_tokens: Any = arguments.get("max_tokens")
        temperature: Any = arguments.get("temperature")
        sound = type(tools) in _LISTS and type(max_tokens) is int and type(temperature) in _NUMBERS
        if not sound:
            tools = tools or ()
            max_tokens = max_tokens or 0
            temperature = temperature or 0.0
            if type(tools) not in _LISTS or type(max_tokens) is not int or type(temperature) not in _NUMBERS:
                argument, message = complaint(job.plan.operation, arguments)
                return _Spoken(_error(400, message, "invalid_request_error", None, argument), call.key)
        tokens_in = _prompt_tokens(conversation, tools)
        if tokens_in + max_tokens > self._context_window:
            return _Spoken(_too_long(self._context_window, tokens_in, max_tokens), call.key)
        if self._script is not None:
            return self._answered_by_script(job, self._script, tokens_in)
        forced = ""
        if job.disturbed is not UNDISTURBED:
            extra = job.disturbed.extra
            temperature = max(0.0, temperature + float(str(extra.get("temperature_shift", 0.0))))
            forced = str(extra.get("behaviour", ""))
        streams = len(self._in_flight) + 1
        if "model" in arguments:  # it came over the wire, in the words of somebody else's agent
            move, key = self._foreign.next_move(
                call.case, arguments, temperature=temperature, streams=streams, forced=forced
            )
        else:
            move, key = self._policy.next_move(
                call.case, conversation, tools=tools, temperature=temperature, streams=streams, forced=forced
            )
        if went_astray(move.behaviour):
            call.case.log.append((self._now(), NOTE, "llm.policy", call.number, 0, move.behaviour))
        length = len(move.text) + len(move.tool) + len(move.arguments)
        visible = length // _CHARACTERS_PER_TOKEN + (12 if move.tool else 1)
        if 0 < max_tokens < visible:
            _cut(move, max_tokens * _CHARACTERS_PER_TOKEN)
            visible = max_tokens
        tokens_out = visible + self._reasoning_tokens
        answer = Answer(200, dict(_HEADERS), self._body(move, key, tokens_in, tokens_out))
        # Four arguments that are all of their types: the messages and these three, and no unknown one.
        return _Spoken(answer, key, tokens_in, tokens_out, sound and len(arguments) == 4)

    def _body(self, move: Move, key: int, tokens_in: int, tokens_out: int) -> bytes:
        """The body as `orjson.dumps` would write it, put together from its parts."""
        name = b"%016x" % key
        if move.tool:
            message = b'%b,"tool_calls":[{"id":"call_%b","type":"function","function":{"name":%b,"arguments":%b}}]' % (
                orjson.dumps(move.text) if move.text else b"null",
                name,
                orjson.dumps(move.tool),
                orjson.dumps(move.arguments),
            )
        else:
            message = orjson.dumps(move.text)
        return _BODY % (
            self._before_id,
            name,
            self._before_message,
            message,
            move.finish_reason.encode(),
            tokens_in,
            tokens_out,
            tokens_in + tokens_out,
        )

    # -- accounts ----------------------------------------------------------------------------------------------------

    def _bill(self, job: Job, spoken: _Spoken) -> None:
        case = job.call.case
        tokens_in = spoken.tokens_in
        tokens_out = spoken.tokens_out
        cost = tokens_in * self._usd_per_token_in + tokens_out * self._usd_per_token_out
        case.tokens_in += tokens_in
        case.tokens_out += tokens_out
        case.cost_usd += cost
        self._tokens_used += tokens_in + tokens_out
        self._cost_usd += cost
        now = self._now()
        minute = self._minute
        minute.append((now, tokens_in + tokens_out))
        self._minute_tokens += tokens_in + tokens_out
        if minute[0][0] <= now - 60.0:
            self._forget_older()

    def _forget_older(self) -> None:
        minute = self._minute
        oldest_s = self._now() - 60.0
        while minute and minute[0][0] <= oldest_s:
            self._minute_tokens -= minute.popleft()[1]

    def _tokens_last_minute(self) -> float:
        self._forget_older()
        return float(self._minute_tokens)

    # -- limits ------------------------------------------------------------------------------------------------------

    def _limited(self, kind: str, bucket: Bucket, wanted: float) -> Answer:
        self._rejected += 1
        wait_s = bucket.wait_s(wanted)
        answer = _error(
            429,
            f"Rate limit reached for {self.parameters.model} on {kind} per min. Limit: {bucket.per_minute}. "
            f"Please try again in {_shown(wait_s)}.",
            kind,
            "rate_limit_exceeded",
        )
        answer.headers["retry-after"] = str(max(1, math.ceil(wait_s)))
        answer.headers.update(self._limit_headers())
        return answer

    def _limit_headers(self) -> dict[str, str]:
        now = self._now()
        headers: dict[str, str] = {}
        for kind, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            if bucket is not None:
                headers[f"x-ratelimit-limit-{kind}"] = str(bucket.per_minute)
                headers[f"x-ratelimit-remaining-{kind}"] = str(max(0, int(bucket.left(now))))
                headers[f"x-ratelimit-reset-{kind}"] = _shown(bucket.wait_s(bucket.per_minute))
        return headers


def _generation_s(profile: LatencyProfile, key: int, tokens_out: int) -> float:
    """The draws of `rng.lognormal` and `rng.unit` below `key`, written out because every call waits for them."""
    first = ((xxh3_64_intdigest(b"first token", key) >> 12) + 0.5) * _UNIT_52
    speed = ((xxh3_64_intdigest(b"speed", key) >> 12) + 0.5) * _UNIT_52
    first_s = profile.ttft_median_s * math.exp(profile.ttft_sigma * _normal_at(first))
    if (xxh3_64_intdigest(b"slow", key) >> 11) * _UNIT_53 < profile.slow_share:
        first_s *= profile.slow_factor
    tokens_per_s = profile.tokens_per_s_median * math.exp(profile.tokens_per_s_sigma * _normal_at(speed))
    return first_s + tokens_out / tokens_per_s


def _prompt_tokens(conversation: Conversation, tools: Sequence[Any]) -> int:
    characters = conversation.characters + _TOOL_CALL_CHARACTERS * conversation.calls
    return characters // _CHARACTERS_PER_TOKEN + _MESSAGE_TOKENS * conversation.count + _TOOL_TOKENS * len(tools)


def _estimate(arguments: Mapping[str, Any]) -> int:
    """What a request is charged in advance: max(max_tokens, prompt); 0 for what will be refused as unusable."""
    try:
        prompt = _prompt_tokens(Conversation(arguments.get("messages")), arguments.get("tools") or ())
        return max(prompt, int(arguments.get("max_tokens") or 0))
    except (TypeError, ValueError):
        return 0


def _cut(move: Move, characters: int) -> None:
    """End the move where max_tokens ends it: the text, or the arguments' JSON."""
    move.finish_reason = "length"
    if move.tool:
        move.arguments = move.arguments[: max(0, characters - len(move.tool))]
    else:
        move.text = move.text[:characters]


def _too_long(window: int, tokens_in: int, max_tokens: int) -> Answer:
    message = (
        f"This model's maximum context length is {window} tokens. However, you requested {tokens_in + max_tokens} "
        f"tokens ({tokens_in} in the messages, {max_tokens} in the completion)."
    )
    return _error(400, message, "invalid_request_error", "context_length_exceeded", "messages")


def _error(status: int, message: str, kind: str, code: str | None, argument: str | None = None) -> Answer:
    body = orjson.dumps({"error": {"message": message, "type": kind, "param": argument, "code": code}})
    return Answer(status, dict(_HEADERS), body)


def _shown(seconds: float) -> str:
    """A duration as OpenAI writes it: 12ms, 1.5s, 1m2s."""
    if seconds < 1.0:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60.0:
        return f"{seconds:.3g}s"
    return f"{int(seconds // 60)}m{int(seconds % 60)}s"


__all__ = ["BEHAVIOURS", "LlmParameters", "LlmService"]
