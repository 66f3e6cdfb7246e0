"""Where a conversation stands on its happy path: which steps look done, and what their answers said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

from xxhash import xxh3_64_intdigest

from pagerproof.model import Request, Step, Truth
from pagerproof.protocols import Case
from pagerproof.rng import key_of, unit
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.model_conversation import Conversation
from pagerproof.services.model_rates import ModelRates
from pagerproof.services.model_reading import BROKEN, EMPTY, ERROR, GOOD, Reading

WRITES: Final = frozenset(name for name, operation in OPERATIONS.items() if operation.writes)
ROUTE, ACT, VERIFY, WRITE, SKIPPED, SKIPS, KEY = range(7)
"""What the model remembers of a request: its visits to the steps of a task, the steps it has skipped, and its key."""

_SALTS_MAX = 1024
_UNIT: Final = 2.0**-53
_SHORT = 4
_INVISIBLE: Final = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff")
READABLE: Final = frozenset({GOOD, BROKEN})
_NONE: Final[Set[int]] = frozenset()

_PLANS_MAX = 1024
SLOT, SEEN, LITERAL, JSON = 0, 1, 2, 3


class PathPlan:
    """A happy path made ready: its operations, and each step's arguments as (name, kind, place, path, is integer).

    `place` is the slot, the operation whose answer has it, the literal, or the text of a JSON value.
    """

    __slots__ = ("_lacking", "arguments", "operations", "path")

    def __init__(self, path: tuple[Step, ...]) -> None:
        self.path = path
        self.operations = tuple(step.operation for step in path)
        self.arguments = tuple(_made_ready(step, self.operations) for step in path)
        self._lacking: dict[Set[str], frozenset[int]] = {}

    def lacking(self, offered: Set[str]) -> frozenset[int]:
        """The steps whose tool is not among those offered."""
        steps = self._lacking.get(offered)
        if steps is None:
            if len(self._lacking) >= _PLANS_MAX:
                self._lacking.clear()
            steps = frozenset(at for at, operation in enumerate(self.operations) if operation not in offered)
            self._lacking[offered] = steps
        return steps


Argument = tuple[str, int, str, tuple[str, ...], bool]


def _made_ready(step: Step, operations: Sequence[str]) -> tuple[Argument, ...]:
    known = OPERATIONS.get(step.operation)
    types: Mapping[str, str] = known.arguments if known is not None else {}
    return tuple((name, *_source(source, operations), types.get(name) == "integer") for name, source in step.arguments)


def _source(source: str, operations: Sequence[str]) -> tuple[int, str, tuple[str, ...]]:
    if source.startswith("$"):
        return SLOT, source[1:], ()
    if source.startswith("="):
        return JSON, source[1:], ()
    if source.startswith("@"):
        parts = source[1:].split(".")
        # service.Entity.verb, or the service.tool of a domain
        length = 2 if ".".join(parts[:2]) in operations else 3
        return SEEN, ".".join(parts[:length]), tuple(parts[length:])
    return LITERAL, source, ()


def plan_of(path: tuple[Step, ...]) -> PathPlan:
    """Return the plan of `path`, made once."""
    plan = _plans.get(id(path))
    if plan is None:
        if len(_plans) >= _PLANS_MAX:
            _plans.clear()
        plan = _plans[id(path)] = PathPlan(path)
    return plan


# By the identity of a path, which requests of one intent share; the plan keeps its path, so that no id comes back.
_plans: dict[int, PathPlan] = {}
_salts: dict[tuple[int, int], bytes] = {}


def remembered(what: int, step: int) -> int:
    """Return the key of a fact about `step` in `Case.occurrences`; below 0, where no hashed key can be."""
    return -1 - (what << 16) - step


_SKIPS_ANY: Final = remembered(SKIPS, 0)
REQUEST_KEY: Final = remembered(KEY, 0)
"""Where `Case.occurrences` holds the key of the request's own draws."""


class Turn:
    """One call to the model: what it was given, the chances that hold, and the keyed draws that belong to it.

    `budget` is the error budget of the task, `looseness` what bends the reactions.
    """

    __slots__ = (
        "_heard", "budget", "case", "conversation", "forced", "key", "looseness", "offered", "plan", "rates",
        "request_key", "truth",
    )  # fmt: skip

    def __init__(
        self,
        case: Case,
        conversation: Conversation,
        offered: frozenset[str],
        rates: ModelRates,
        budget: float,
        looseness: float,
        request_key: int,
        forced: str,
    ) -> None:
        self.case = case
        self.truth: Truth = case.truth
        self.plan = _plans.get(id(self.truth.path)) or plan_of(self.truth.path)
        self.conversation = conversation
        self.offered = offered
        self.rates = rates
        self.budget = budget
        self.looseness = looseness
        self.request_key = request_key
        self.key = request_key
        self.forced = forced
        self._heard: str | None = None

    def at(self, task: int, step: int) -> None:
        """Enter `step` of `task`: from now on draws are keyed by it and by how often the model has been there.

        Keyed by place instead of by a running number, so that one more call at one step (a retry after a fault)
        changes no draw of a later step.
        """
        place = remembered(task, step)
        occurrences = self.case.occurrences
        occurrence = occurrences.get(place, 0)
        occurrences[place] = occurrence + 1
        salt = _salts.get((place, occurrence))
        if salt is None:
            salt = b"%d %d %d" % (task, step, occurrence)
            if len(_salts) < _SALTS_MAX:
                _salts[place, occurrence] = salt
        self.key = xxh3_64_intdigest(salt, self.request_key)

    def draw(self, salt: bytes) -> float:
        """The uniform draw named `salt` at this place: `unit(sub_key(key, salt))`, written out for its speed."""
        return (xxh3_64_intdigest(salt, self.key) >> 11) * _UNIT

    def lasting_draw(self, *parts: object) -> float:
        """The uniform draw of this request named by `parts`, the same at every call of the request."""
        return unit(key_of(self.request_key, *parts))

    def skip(self, step: int) -> None:
        """Leave `step` out for the rest of the request."""
        self.case.occurrences[_SKIPS_ANY] = 1
        self.case.occurrences[remembered(SKIPPED, step)] = 1

    @property
    def request(self) -> Request:
        """The request as the agent sees it."""
        return self.case.request

    @property
    def heard(self) -> str:
        """Everything the user and the system said in this conversation."""
        if self._heard is None:
            parts = self.conversation.heard
            self._heard = "\n".join(parts) if parts else self.request.text
        return self._heard

    def slot(self, name: str) -> str | None:
        """The fact `name` of the request if a reader could know it, else None.

        Known are the sender's name and e-mail address, what stands in the text, and whatever has no long number in it
        (a reader understands a paraphrase, and cannot guess an id).
        """
        value = self.truth.slots.get(name)
        if value is None:
            return None
        request = self.case.request
        if value in (request.customer_email, request.customer_name):
            return value
        for part in self.conversation.heard:
            if value in part:
                return value
        if value in self.heard:  # across two messages, or in the request of a conversation without any
            return value
        if len(value) < _SHORT or not any(character.isdigit() for character in value):
            return value
        heard = self.heard
        for character in _INVISIBLE:  # five searches that find nothing, where translate() would ask at each letter
            heard = heard.replace(character, "")
        heard = heard.casefold()
        if all(word in heard for word in value.casefold().replace(",", " ").split()):
            return value
        return value if "".join(value.casefold().split()) in "".join(heard.split()) else None


class Walk:
    """How far a conversation has come on the request's path.

    `position` is the first step not done (the path's length when all are); `tries` how many errors that step has had
    since the last progress, and `error` the last of them; `last` the last answer of each operation that looks
    successful; `answers` how many each operation had; `said` the model's own last text.
    """

    __slots__ = ("answers", "error", "last", "left", "position", "said", "tries")

    def __init__(self, turn: Turn, *, every_step: bool = False) -> None:
        last: dict[str, Reading] = {}
        answers: dict[str, int] = {}
        error: Reading | None = None
        tries = 0
        conversation = turn.conversation
        operations = turn.plan.operations
        passed = _NONE if every_step else _passed_over(turn)
        length = len(operations)
        position = 0
        for operation, reading in conversation.tools:
            count = answers[operation] = answers.get(operation, 0) + 1
            while position in passed:
                position += 1
            here = position < length and operations[position] == operation
            if reading.kind in READABLE:
                last[operation] = reading
            elif _taken_for_success(turn, operation, reading, count):
                last.setdefault(operation, reading)
            else:
                if here:
                    tries += 1
                    error = reading
                continue
            if here:
                position += 1
                tries = 0
                error = None
        while position in passed:
            position += 1
        self.last = last
        self.answers = answers
        self.error = error
        self.said = conversation.said
        self.tries = tries
        self.position = position
        self.left: list[int] = sorted(passed) if passed and position == length else []


def _passed_over(turn: Turn) -> Set[int]:
    """The steps that this model does not do: those whose tool it was not given, and those it decided to skip."""
    passed = turn.plan.lacking(turn.offered)
    occurrences = turn.case.occurrences
    if _SKIPS_ANY in occurrences:
        return passed | {at for at in range(len(turn.truth.path)) if remembered(SKIPPED, at) in occurrences}
    return passed


def _taken_for_success(turn: Turn, operation: str, reading: Reading, count: int) -> bool:
    """Whether the model takes this unusable answer for success; the same at every later look at it."""
    rates = turn.rates
    if reading.kind == ERROR:
        if "already" not in reading.text.lower():
            return False
        chance = rates.takes_already_as_done
    else:
        base = rates.believes_empty if reading.kind == EMPTY else rates.believes_noise
        chance = base + rates.believes_slope * turn.looseness
    return turn.lasting_draw("belief", operation, count) < chance
