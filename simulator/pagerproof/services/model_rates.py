"""The rates of the simulated model's policy: stated parameters, and how difficulty, temperature and load bend them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0.0, le=1.0)]

STEP_ERRORS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "wrong_argument": 0.26,
        "wrong_tool": 0.15,
        "skips_step": 0.10,
        "repeats_step": 0.10,
        "invented_entity": 0.09,
        "claims_success": 0.08,
        "prose": 0.075,
        "gives_up": 0.06,
        "polite_loop": 0.06,
        "broken_json": 0.013,
        "invented_tool": 0.012,
    }
)
"""What goes wrong where a tool should be called, as shares of all such errors (they sum to 1)."""

FINISH_ERRORS: Final[Mapping[str, float]] = MappingProxyType(
    {"polite_loop": 0.40, "repeats_step": 0.30, "prose": 0.15, "gives_up": 0.15}
)
"""What goes wrong where the model should say that it is done, as shares (they sum to 1)."""

TASK_SHARES: Final[Mapping[str, float]] = MappingProxyType({"route": 0.08, "act": 0.80, "verify": 0.04, "write": 0.08})
"""How a request's error budget is divided among the tasks of a pipeline (assumed)."""

TYPICAL_TOKENS: Final[Mapping[str, float]] = MappingProxyType(
    {"route": 30.0, "act": 40.0, "verify": 25.0, "write": 130.0}
)
"""Output tokens of one answer, by task (assumed from this policy's own phrases)."""

_DIFFICULTY_MAX = 0.999
_TEMPERATURE_MAX = 2.0


class ModelRates(BaseModel):
    """Parameters of the stated policy; every rate is a probability per decision unless said otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    residual: Rate = Field(
        default=0.5,
        description="Share of the error budget left at temperature 0 for a hard request, one stream and an answer of "
        "102 tokens. Evidence: that it is above 0 is measured (Thinking Machines 2025: 80 of 1,000 at T=0 distinct, "
        "tau-bench runs at T=0 repeat their tool sequence in 16.7 % of pairs); the figure is assumed.",
    )
    residual_full_difficulty: float = Field(
        default=0.2,
        gt=0.0,
        description="Difficulty from which the residual counts in full; below, it shrinks in proportion, because "
        "near ties between tokens are rare where the next step is obvious. Evidence: assumed.",
    )
    load_reference: float = Field(
        default=8.0,
        gt=0.0,
        description="Streams in flight at which the residual has grown by `load_slope`. Evidence: that output depends "
        "on batch size is measured (Thinking Machines 2025, batch-dependent kernels); the figure is assumed.",
    )
    load_slope: float = Field(
        default=0.25, ge=0.0, description="Growth of the residual per doubling of 1 + streams / load_reference; assumed"
    )
    fork_tokens: float = Field(
        default=102.0,
        gt=0.0,
        description="Output length at which the residual counts once (tokens). Evidence: first fork after about 102 "
        "tokens, measured (Thinking Machines 2025).",
    )
    polite_persistence: Rate = Field(
        default=0.75,
        description="Chance that a model which just asked for another round asks again. Evidence: assumed; incident: "
        "two agents thanking each other for eleven days (an anecdote).",
    )
    gives_up_after_error: tuple[float, ...] = Field(
        default=(0.04, 0.12, 0.25, 0.30),
        min_length=1,
        description="Chance of giving up after the first, second, ... error of one step in a row; the last one holds "
        "from there on. Evidence: assumed.",
    )
    gives_up_after_refusal: Rate = Field(
        default=0.25, description="Added to it where the error reads as final (HTTP 4xx other than 429). Assumed."
    )
    claims_after_error: Rate = Field(
        default=0.002,
        description="Chance of claiming success over an error, at no difficulty. Evidence: assumed; premature "
        "termination is 6.2 % and unawareness of termination 12.4 % of failures in MAST (arXiv 2503.13657).",
    )
    claims_after_error_slope: Rate = Field(default=0.10, description="Growth of it per unit of looseness. Assumed.")
    yields_to_pressure: Rate = Field(
        default=0.25,
        description="Chance of claiming success when told to go on after having given up. Evidence: assumed.",
    )
    takes_already_as_done: Rate = Field(
        default=0.70, description="Chance of reading an error that says 'already' as done. Assumed."
    )
    believes_noise: Rate = Field(default=0.03, description="Chance of taking HTML or garble for success. Assumed.")
    believes_empty: Rate = Field(default=0.40, description="Chance of taking an empty answer for success. Assumed.")
    believes_slope: Rate = Field(default=0.40, description="Growth of both per unit of looseness. Assumed.")
    notices_cut: Rate = Field(
        default=0.20,
        description="Chance of noticing that the value needed is the one a broken answer was cut in, and asking again. "
        "Evidence: assumed; SDKs pass cut JSON on without an error (measured, openai 3.54.0).",
    )
    asks_again: Rate = Field(
        default=0.80, description="Chance, to the power of the answers had, of fetching a missing value again. Assumed."
    )
    invents_missing: Rate = Field(
        default=0.05, description="Chance of making up a value that cannot be had, at no difficulty. Assumed."
    )
    invents_missing_slope: Rate = Field(default=0.60, description="Growth of it per unit of looseness. Assumed.")
    false_approve: Rate = Field(
        default=0.09,
        description="Chance that a verifier lets a visible problem pass, at no difficulty. Evidence: 9.1 % of failures "
        "are incorrect verification (MAST, arXiv 2503.13657: another denominator, so assumed).",
    )
    false_approve_slope: Rate = Field(default=0.30, description="Growth of it per unit of looseness. Assumed.")


class Chances:
    """What one set of rates makes of a call's difficulty, temperature and load; what can be is known beforehand."""

    __slots__ = ("_full_difficulty", "_loads", "_rates", "_tasks")

    def __init__(self, rates: ModelRates) -> None:
        self._rates = rates
        self._full_difficulty = rates.residual_full_difficulty
        self._loads: dict[int, float] = {}  # growth of the residual, by streams in flight
        self._tasks = {
            task: (share, rates.residual * min(4.0, max(0.25, TYPICAL_TOKENS[task] / rates.fork_tokens)))
            for task, share in TASK_SHARES.items()
        }

    def of(self, task: str, difficulty: float, temperature: float, streams: int) -> tuple[float, float]:
        """Return (error budget of the task, looseness)."""
        if difficulty <= 0.0:
            return 0.0, 0.0
        if difficulty > _DIFFICULTY_MAX:  # noqa: PLR1730  # min() costs a call for every answer of the model
            difficulty = _DIFFICULTY_MAX
        if temperature < 0.0:
            temperature = 0.0
        elif temperature > _TEMPERATURE_MAX:
            temperature = _TEMPERATURE_MAX
        return self.budget(task, difficulty, temperature, streams), difficulty * (0.3 + 0.7 * temperature)

    def budget(self, task: str, difficulty: float, temperature: float, streams: int) -> float:
        """Return what `error_budget` promises, for a difficulty above 0."""
        task_share, residual = self._tasks[task]
        share = temperature
        if temperature < 1.0:
            if difficulty < self._full_difficulty:
                residual *= difficulty / self._full_difficulty
            if streams > 1:
                residual *= self._loads.get(streams) or self._load(streams)
            share += (residual if residual < 1.0 else 1.0) * (1.0 - temperature)
        return -math.log1p(-difficulty) * task_share * share

    def _load(self, streams: int) -> float:
        rates = self._rates
        load = 1.0 + rates.load_slope * math.log2(1.0 + (streams - 1) / rates.load_reference)
        self._loads[streams] = load
        return load


def error_budget(rates: ModelRates, task: str, difficulty: float, temperature: float, streams: int = 1) -> float:
    """Return -ln of the chance that the model does `task` of a whole request without an error, on clean data.

    At temperature 1 the tasks' budgets sum to -ln(1 - difficulty); they are linear in temperature from there down
    to the residual at 0, which rises with difficulty, with the streams in flight and with the answers' length.
    """
    return Chances(rates).budget(task, difficulty, temperature, streams) if difficulty > 0.0 else 0.0


class Mix:
    """Behaviours by their shares; one uniform draw that fell below the error chance also picks which."""

    __slots__ = ("_edges", "_names")

    def __init__(self, shares: Mapping[str, float]) -> None:
        self._names = tuple(shares)
        self._edges = tuple(accumulate(shares.values()))[:-1]

    def pick(self, share: float) -> str:
        """Return the behaviour at `share` in [0, 1)."""
        return self._names[bisect_right(self._edges, share)]
