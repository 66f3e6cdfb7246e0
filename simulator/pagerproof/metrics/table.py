"""One row per request, packed as it settles; in the order of the index, and as a DataFrame, once the run is over."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pagerproof.events import ANSWERED, BROKE, CALLED, TIMED_OUT, VALVE
from pagerproof.metrics.result import Example
from pagerproof.model import Outcome, Verdict
from pagerproof.oracles.reading import MODEL_OPERATION, damages, is_read
from pagerproof.protocols import Case, Decision

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES: tuple[Outcome, ...] = tuple(Outcome)
_OUTCOME_CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}

# One row: what is text is the code of a word kept once.
_ROW = struct.Struct("<I5d4IHH7IHHBBdf32s")
_ROW_TYPE = np.dtype(
    [
        ("index", "<u4"),
        ("arrival_s", "<f8"),
        ("started_s", "<f8"),
        ("answered_s", "<f8"),
        ("settled_s", "<f8"),
        ("cost_usd", "<f8"),
        ("intent", "<u4"),
        ("mode", "<u4"),
        ("tool", "<u4"),
        ("oracle", "<u4"),
        ("channel", "<u2"),
        ("locale", "<u2"),
        ("tags", "<u4"),
        ("faults", "<u4"),
        ("valves", "<u4"),
        ("edge_cases", "<u4"),
        ("tokens_in", "<u4"),
        ("tokens_out", "<u4"),
        ("calls", "<u4"),
        ("model_calls", "<u2"),
        ("retries", "<u2"),
        ("outcome", "u1"),
        ("scripted", "u1"),
        ("difficulty", "<f8"),
        ("amplification", "<f4"),
        ("digest", "S32"),
    ]
)
BYTES_PER_REQUEST = _ROW.size

_COUNT_MAX = 0xFFFF


class _Words:
    """Codes for values that come again and again; code 0 is the empty one."""

    __slots__ = ("codes", "values")

    def __init__(self, empty: Hashable) -> None:
        self.codes: dict[Any, int] = {empty: 0}
        self.values: list[Any] = [empty]

    def code(self, value: Any) -> int:
        code = self.codes.get(value)
        if code is None:
            code = self.codes[value] = len(self.values)
            self.values.append(value)
        return code


@dataclass(slots=True)
class CallCounts:
    """Calls of one operation over all requests that are not scripted."""

    logical: int = 0
    physical: int = 0
    retries: int = 0
    worst: float = 0.0


@dataclass(slots=True)
class CellCounts:
    """Deliveries of one fault to one tool; `by_outcome` counts each request once, by outcome code."""

    calls: int = 0
    seen: int = 0
    scripted: int = 0
    by_outcome: array[int] | None = None


class RequestTable:
    """Takes settled requests in any order of their indices; `finish()` gives the readable table."""

    def __init__(self) -> None:
        self._rows = bytearray()
        self._texts = _Words("")
        self._sets = _Words(())
        self._calls: dict[str, CallCounts] = {}
        self._cells: dict[tuple[str, str], CellCounts] = {}
        self._examples: dict[tuple[str, str, str], Example] = {}
        self._recovery_service = array("I")
        self._recovery_s = array("d")  # negative: the request ended first
        self._failures: dict[str, int] = {}
        self._not_judged: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def failures(self) -> dict[str, int]:
        """Failed requests so far by mode, for a progress line."""
        return self._failures

    def add(self, case: Case, verdict: Verdict, digest: bytes) -> None:
        """Take one judged request. `digest` are the 32 bytes of its trace's SHA-256."""
        truth, request = case.truth, case.request
        decisions = case.decisions
        outcome = verdict.outcome
        scripted = truth.scripted
        faults: tuple[str, ...] = ()
        if decisions:
            delivered = [decision for decision in decisions if decision.fate == "delivered"]
            if delivered:
                faults = tuple(dict.fromkeys([decision.fault for decision in delivered]))
                scripted = scripted or any(decision.scripted for decision in delivered)
                self._add_deliveries(delivered, _OUTCOME_CODES[outcome])
        valves, amplification = self._read_log(case, scripted)
        tool = oracle = mode = ""
        if verdict.findings:
            mode = verdict.mode
            if mode:
                deciding = verdict.findings[0]
                tool, oracle = deciding.tool, deciding.oracle
                self._keep_example(verdict, scripted)
        if outcome.is_failure:
            self._failures[mode] = self._failures.get(mode, 0) + 1
        for criterion in truth.expectation.not_judged:
            self._not_judged[criterion] = self._not_judged.get(criterion, 0) + 1
        text, group = self._texts.code, self._sets.code
        self._rows += _ROW.pack(
            case.index,
            request.arrival_s,
            case.started_s,
            case.answered_s,
            case.settled_s,
            case.cost_usd,
            group(truth.intents),
            text(mode),
            text(tool),
            text(oracle),
            text(request.channel),
            text(request.locale),
            group(verdict.tags),
            group(faults),
            group(valves),
            group(truth.edge_cases),
            case.tokens_in,
            case.tokens_out,
            case.calls,
            min(case.model_calls, _COUNT_MAX),
            min(case.retries, _COUNT_MAX),
            _OUTCOME_CODES[outcome],
            scripted,
            truth.difficulty,
            amplification,
            digest,
        )
        self._count += 1

    def finish(self) -> Requests:
        """Return the table sorted by index. Raises ValueError where an index came twice."""
        rows = np.frombuffer(bytes(self._rows), dtype=_ROW_TYPE)
        rows = rows[np.argsort(rows["index"], kind="stable")]
        if len(rows) > 1 and bool((np.diff(rows["index"].astype(np.int64)) == 0).any()):
            raise ValueError("a request settled twice")
        return Requests(self, rows)

    def _read_log(self, case: Case, scripted: bool) -> tuple[tuple[str, ...], float]:
        """Count calls and note bad answers; return the valves that acted and the worst amplification."""
        purposes: dict[tuple[str, str, int], int] = {}
        model_calls = model_retries = tool_calls = writes = 0
        valves: dict[str, None] | None = None
        bad = False
        for event in case.log:
            kind = event[1]
            if kind == CALLED:
                if event[2] == MODEL_OPERATION:
                    model_calls += 1
                    if event[4] > 1:
                        model_retries += 1
                else:
                    tool_calls += 1
                    if is_read(event[2]):
                        purpose = (event[2], event[5], writes)
                    else:
                        writes += 1
                        purpose = (event[2], event[5], 0)
                    purposes[purpose] = purposes.get(purpose, 0) + 1
            elif kind == ANSWERED:
                if event[4] >= 429 and (event[4] == 429 or event[4] >= 500):
                    bad = True
            elif kind == VALVE:
                if valves is None:
                    valves = {}
                valves[event[2]] = None
            elif kind in (TIMED_OUT, BROKE):
                bad = True
        worst = 1.0
        if not scripted:
            if bad or case.decisions:
                self._read_recovery(case)
            if model_calls:
                worst = self._count_model(model_calls, model_retries)
            if len(purposes) == tool_calls:
                counts = self._calls
                for operation, _, _ in purposes:
                    count = counts.get(operation)
                    if count is None:
                        count = counts[operation] = CallCounts(worst=1.0)
                    count.logical += 1
                    count.physical += 1
            else:
                worst = max(worst, self._count_tools(case, purposes))
        return (tuple(valves) if valves else ()), worst

    def _count_model(self, physical: int, retries: int) -> float:
        count = self._calls.setdefault(MODEL_OPERATION, CallCounts())
        logical = max(physical - retries, 1)
        count.logical += logical
        count.physical += physical
        count.retries += retries
        ratio = physical / logical
        count.worst = max(count.worst, ratio)
        return ratio

    def _count_tools(self, case: Case, purposes: dict[tuple[str, str, int], int]) -> float:
        here: dict[str, list[int]] = {}
        for (operation, _, _), physical in purposes.items():
            counted = here.setdefault(operation, [0, 0, 0])
            counted[0] += 1
            counted[1] += physical
        for event in case.log:
            if event[1] == CALLED and event[4] > 1 and event[2] in here:
                here[event[2]][2] += 1
        worst = 1.0
        for operation, (logical, physical, retries) in here.items():
            count = self._calls.setdefault(operation, CallCounts())
            count.logical += logical
            count.physical += physical
            count.retries += retries
            count.worst = max(count.worst, physical / logical)
            worst = max(worst, physical / logical)
        return worst

    def _read_recovery(self, case: Case) -> None:
        changed = {decision.call for decision in case.decisions if damages(decision)}
        bad_since: dict[str, float] = {}
        for event in case.log:
            kind = event[1]
            if kind == ANSWERED:
                status = event[4]
                is_bad = event[3] in changed or status == 429 or status >= 500
            elif kind in (TIMED_OUT, BROKE):
                is_bad = True
            else:
                continue
            service = event[2].partition(".")[0]
            if is_bad:
                bad_since.setdefault(service, event[0])
            elif service in bad_since:
                self._recovery_service.append(self._texts.code(service))
                self._recovery_s.append(event[0] - bad_since.pop(service))
        for service in bad_since:
            self._recovery_service.append(self._texts.code(service))
            self._recovery_s.append(-1.0)

    def _add_deliveries(self, delivered: Sequence[Decision], outcome_code: int) -> None:
        touched: set[tuple[str, str]] = set()
        for decision in delivered:
            place = (decision.fault, decision.operation)
            cell = self._cells.get(place)
            if cell is None:
                cell = self._cells[place] = CellCounts(by_outcome=array("I", [0] * len(OUTCOMES)))
            if decision.scripted:
                cell.scripted += 1
                continue
            cell.calls += 1
            cell.seen += decision.seen
            if place not in touched and cell.by_outcome is not None:
                touched.add(place)
                cell.by_outcome[outcome_code] += 1

    def _keep_example(self, verdict: Verdict, scripted: bool) -> None:
        deciding = verdict.findings[0]
        identity = (deciding.mode, deciding.oracle, deciding.tool)
        known = self._examples.get(identity)
        if known is None or verdict.index < known.index:
            self._examples[identity] = Example(
                index=verdict.index,
                mode=deciding.mode,
                oracle=deciding.oracle,
                tool=deciding.tool,
                outcome=verdict.outcome.value,
                message=deciding.message,
                faults=deciding.faults,
                mast=deciding.mast,
                tags=verdict.tags,
                scripted=scripted,
            )


class Requests:
    """The finished table: `rows` is a structured array sorted by index, codes resolved by the methods here."""

    def __init__(self, table: RequestTable, rows: NDArray[Any]) -> None:
        self.rows = rows
        self._texts: list[str] = table._texts.values
        self._sets: list[tuple[str, ...]] = table._sets.values
        self.calls = dict(sorted(table._calls.items()))
        self.cells = dict(sorted(table._cells.items()))
        self.examples = tuple(sorted(table._examples.values(), key=lambda each: (each.index, each.mode)))
        self.recovery_s: NDArray[np.float64] = np.array(table._recovery_s, dtype=np.float64)
        self.not_judged = dict(sorted(table._not_judged.items()))
        self.recovery_services = [self._texts[code] for code in table._recovery_service]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def latency_s(self) -> NDArray[np.float64]:
        """Seconds from the intended arrival to the answer; NaN where none came."""
        answered: NDArray[np.float64] = self.rows["answered_s"]
        return np.where(answered >= 0.0, answered - self.rows["arrival_s"], np.nan)

    @cached_property
    def failed(self) -> NDArray[np.bool_]:
        """Whether each request's outcome is a failure."""
        is_failure = np.array([outcome.is_failure for outcome in OUTCOMES])
        result: NDArray[np.bool_] = is_failure[self.rows["outcome"]]
        return result

    @cached_property
    def settled(self) -> NDArray[np.bool_]:
        """Whether each request settled."""
        return self.is_outcome(Outcome.UNSETTLED, negate=True)

    @cached_property
    def scripted(self) -> NDArray[np.bool_]:
        """Whether each request was scripted, by itself or by a fault at its exact index."""
        return np.asarray(self.rows["scripted"], dtype=np.bool_)

    def is_outcome(self, outcome: Outcome, *, negate: bool = False) -> NDArray[np.bool_]:
        """Whether each request has this outcome (or, negated, another)."""
        code = _OUTCOME_CODES[outcome]
        same: NDArray[np.bool_] = self.rows["outcome"] == code
        return ~same if negate else same

    def has(self, column: str, value: str) -> NDArray[np.bool_]:
        """Whether each request's `column` (intent, channel, locale, mode, tool, tags, ...) is or holds `value`."""
        codes = self.rows[column]
        if column in _SET_COLUMNS:
            wanted = [code for code, values in enumerate(self._sets) if value in values]
        else:
            wanted = [code for code, word in enumerate(self._texts) if word == value]
        result: NDArray[np.bool_] = np.isin(codes, wanted)
        return result

    def text(self, column: str) -> list[str]:
        """Return a text column's values; the members of a set are joined by `+`."""
        if column in _SET_COLUMNS:
            joined = ["+".join(values) for values in self._sets]
            return [joined[code] for code in self.rows[column]]
        return [self._texts[code] for code in self.rows[column]]

    def sets(self, column: str) -> list[tuple[str, ...]]:
        """Return a set column's values."""
        return [self._sets[code] for code in self.rows[column]]

    def outcome_of(self, row: int) -> Outcome:
        """Return the outcome in this row."""
        return OUTCOMES[int(self.rows["outcome"][row])]

    def frame(self) -> pd.DataFrame:
        """Return the table as a DataFrame in the order of the index; times without a value are NaN."""
        import pandas as pd

        rows = self.rows
        columns: dict[str, Any] = {"index": rows["index"].astype(np.int64)}
        columns["arrival_s"] = rows["arrival_s"].astype(np.float64)
        for name in ("started_s", "answered_s", "settled_s"):
            columns[name] = np.where(rows[name] < 0.0, np.nan, rows[name])
        columns["latency_s"] = self.latency_s
        for name in ("intent", "channel", "locale"):
            columns[name] = self._categorical(name)
        columns["outcome"] = pd.Categorical.from_codes(
            rows["outcome"].astype(np.int64), categories=pd.Index([outcome.value for outcome in OUTCOMES])
        )
        for name in ("mode", "tool", "oracle", "tags", "faults"):
            columns[name] = self._categorical(name)
        columns["scripted"] = self.scripted
        for name in ("calls", "model_calls", "retries", "tokens_in", "tokens_out"):
            columns[name] = rows[name].astype(np.int64)
        columns["cost_usd"] = rows["cost_usd"].astype(np.float64)
        for name in ("valves", "edge_cases"):
            columns[name] = self._categorical(name)
        columns["difficulty"] = rows["difficulty"].astype(np.float64)
        columns["digest"] = [value.hex() for value in self._digests()]
        return pd.DataFrame(columns)

    def _digests(self) -> list[bytes]:
        # numpy strips trailing zero bytes from byte strings, so they are put back.
        return [bytes(value).ljust(32, b"\0") for value in self.rows["digest"]]

    def _categorical(self, column: str) -> Any:
        import pandas as pd

        values = ["+".join(each) for each in self._sets] if column in _SET_COLUMNS else self._texts
        used, codes = np.unique(self.rows[column], return_inverse=True)
        words = [values[code] for code in used]
        order = sorted(range(len(words)), key=words.__getitem__)
        rank = np.empty(len(words), dtype=np.int64)
        rank[order] = np.arange(len(words))
        return pd.Categorical.from_codes(rank[codes], categories=pd.Index([words[at] for at in order], dtype=str))


_SET_COLUMNS = frozenset({"intent", "tags", "faults", "valves", "edge_cases"})
