"""The stated model policy: what the simulated language model does next, given the truth and what it was told.

A verdict of Pagerproof covers the plumbing *under this policy*. The model is a reader of the conversation that knows
the request's happy path and follows it, with errors at stated rates. Evidence grades: documented, incident, measured,
assumed; [n] is a source below the table.

===================  =====================================================================  =========================
what                 how                                                                    evidence
===================  =====================================================================  =========================
difficulty d         chance that the model errs anywhere in a pipeline of router, actor,    definition; its Beta is
                     verifier and writer at temperature 1, one stream, clean data           fitted to pass^k [1]
error budget         B = -ln(1 - d) x task share x (r + (1 - r) T), linear in T up to 2     shape assumed
task shares          route 0.08, act 0.80, verify 0.04, write 0.08                          assumed
one decision         errs at 1 - exp(-B / n), n = steps of the path + the finish            arithmetic: n clean
                                                                                            decisions give 1-exp(-B)
residual r (T = 0)   0.5 x min(1, d / 0.2) x load x length, at most 1                       > 0 measured [1, 2], the
                                                                                            figure assumed
  load               1 + 0.25 log2(1 + (streams in flight - 1) / 8)                         batch dependence measured
                                                                                            [2], figure assumed
  length             typical tokens of the task / 102, within 0.25 and 4                    first fork: measured [2]
which error          wrong argument .26, wrong tool .15, skipped step .10, repeated step    prose: 1.5 % of native
(at a step)          .10, invented entity .09, false claim of success .08, prose .075,      calls against 9-45 % wrong
                     gives up .06, polite loop .06, comment in the JSON .013, invented      ones (measured [3]); JSON
                     tool .012                                                              3 in 1,150 [3]; repeats,
                                                                                            early ends: MAST [4]; the
                                                                                            rest assumed
which error          polite loop .40, repeats the last write .30, prose .15, gives up .15   assumed
(at the finish)
polite loop          asks again with .75 after each time                                    incident [5], assumed
looseness            l = d (0.3 + 0.7 T); bends the reactions below, which are not          assumed
                     errors on clean data and are outside of the budget
tool error           gives up .04, .12, .25, .30, ... by errors in a row, + .25 where       assumed
                     final (4xx); claims success .002 + .10 l; else the same call again
told to go on        claims success after having given up with .25                          assumed
"already ..."        read as done with .70                                                  assumed
unreadable answer    HTML taken for success .03 + .40 l, an empty one .40 + .40 l           assumed
broken answer        read as far as it goes, the cut value included; the cut noticed        assumed; SDKs pass it on
                     with .20 where the needed value is the one that was cut                (measured [6])
missing value        fetched again with .80^(answers had), else made up with .05 + .60 l,   assumed
                     else gives up
must decline         overlooked with half the acting budget                                 assumed
verifier             rejects what is undone, unreadable or about somebody else, lets it     9.1 % incorrect
                     pass with .09 + .30 l                                                  verification in MAST [4]
writer               repeats the facts it saw as it saw them; without any, makes the        assumed
                     told ones up with .05 + .60 l, else says it could not find out
===================  =====================================================================  =========================

Sources: [1] tau-bench's recorded trajectories and tau2-bench's leaderboard. [2] Thinking Machines, September 2025, read
in a summary. [3] BFCL's raw scores, run of 2024-08-11, 18 models in native mode. [4] MAST, arXiv 2503.13657. [5] A
post-mortem of two agents in a loop for eleven days, told by several who differ. [6] openai 3.54.0 against cut bodies.

Every draw is keyed by (seed, request index, task, step of the path, how often the model answered there): a fault
that costs one more call at one step moves no draw of another step, and a call that failed before the model answered
moves none at all. Only the residual's load factor depends on the state of the run.

A model that was given the tools of some steps only does those and says "DONE: my part is finished", naming the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from pagerproof.protocols import Case
from pagerproof.rng import key_of
from pagerproof.services.model_act import BEHAVIOURS, Move, act
from pagerproof.services.model_conversation import Conversation
from pagerproof.services.model_rates import Chances, ModelRates
from pagerproof.services.model_talk import route, verify, write
from pagerproof.services.model_walk import REQUEST_KEY, Turn

_ROUTE_WORDS = ("route", "classify", "triage")
_VERIFY_WORDS = ("verify", "review", "check")
_TASKS: Final = {"route": route, "act": act, "verify": verify, "write": write}
_TOOLSETS_MAX = 256
_TASKS_MAX = 256
_NO_TOOLS: Final[frozenset[str]] = frozenset()
_ON_COURSE: Final = frozenset(
    {"right_tool", "asks_again", "finishes", "lacks_tools", "declines", "routes", "approves", "rejects", "writes"}
)

_toolsets: dict[tuple[str, ...], frozenset[str]] = {}
# By the identity of a tuple of names, which most agents make once; kept with it, so that no id comes back.
_known_toolsets: dict[int, tuple[Sequence[Any], frozenset[str]]] = {}
_tasks: dict[str, str] = {}


class ModelPolicy:
    """Decides the next message of any conversation, under one seed and one set of rates."""

    __slots__ = ("_chances", "_key", "rates", "seed")

    def __init__(self, seed: int, rates: ModelRates) -> None:
        self.seed = seed
        self.rates = rates
        self._key = key_of(seed, "model")
        self._chances = Chances(rates)

    def next_move(
        self,
        case: Case,
        conversation: Conversation,
        *,
        tools: Sequence[Any] = (),
        temperature: float = 0.0,
        streams: int = 1,
        forced: str = "",
    ) -> tuple[Move, int]:
        """Return the model's next message and the key that this answer's other draws (such as its time) belong to.

        `streams` counts the answers being generated, this one included; `forced` is one of BEHAVIOURS or empty.
        """
        task = task_of(conversation, tools)
        budget, looseness = self._chances.of(task, case.truth.difficulty, temperature, streams)
        turn = Turn(
            case,
            conversation,
            _offered(tools) if tools else _NO_TOOLS,
            self.rates,
            budget,
            looseness,
            case.occurrences.get(REQUEST_KEY) or self._request_key(case),
            forced,
        )
        move = _TASKS[task](turn)
        return move, turn.key

    def budget(self, task: str, difficulty: float, temperature: float, streams: int) -> float:
        """Return the error budget of `task`, as the table above says."""
        return self._chances.of(task, difficulty, temperature, streams)[0]

    def _request_key(self, case: Case) -> int:
        key = case.occurrences[REQUEST_KEY] = xxh3_64_intdigest(b"%d" % case.index, self._key)
        return key


def task_of(conversation: Conversation, tools: Sequence[Any]) -> str:
    """Return what the model is asked to do: act (it was given tools), route, verify or write (by the system text)."""
    if tools:
        return "act"
    task = _tasks.get(conversation.system)
    if task is None:
        if len(_tasks) >= _TASKS_MAX:
            _tasks.clear()
        task = _tasks[conversation.system] = _task_told(conversation.system.lower())
    return task


def _task_told(text: str) -> str:
    if any(word in text for word in _ROUTE_WORDS):
        return "route"
    if any(word in text for word in _VERIFY_WORDS):
        return "verify"
    return "write"


def went_astray(behaviour: str) -> bool:
    """Whether `behaviour` is anything but the right thing to do."""
    return behaviour not in _ON_COURSE


def _offered(tools: Sequence[Any]) -> frozenset[str]:
    known = _known_toolsets.get(id(tools))
    if known is not None:
        return known[1]
    offered = _offered_by_names(tools)
    if type(tools) is tuple and all(type(tool) is str for tool in tools):
        if len(_known_toolsets) >= _TOOLSETS_MAX:
            _known_toolsets.clear()
        _known_toolsets[id(tools)] = tools, offered
    return offered


def _offered_by_names(tools: Sequence[Any]) -> frozenset[str]:
    names = tuple(tools)
    try:
        offered = _toolsets.get(names)
    except TypeError:  # definitions as mappings cannot be hashed
        names = tuple(_tool_name(tool) for tool in tools)
        offered = _toolsets.get(names)
    if offered is None:
        if len(_toolsets) >= _TOOLSETS_MAX:
            _toolsets.clear()
        offered = _toolsets[names] = frozenset(map(_tool_name, names))
    return offered


def _tool_name(tool: Any) -> str:
    """The name in an OpenAI tool definition, {"type": "function", "function": {"name": ...}}, or the tool as text."""
    if isinstance(tool, Mapping):
        function = tool.get("function")
        return str(function.get("name", "")) if isinstance(function, Mapping) else str(tool.get("name", ""))
    return str(tool)


__all__ = ["BEHAVIOURS", "Conversation", "ModelPolicy", "Move", "task_of", "went_astray"]
