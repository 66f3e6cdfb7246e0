"""Turns a scenario's workload into requests: who writes when, what they write, and what is true about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pagerproof.errors import UsageError
from pagerproof.model import Customer, Operation, Request, Truth
from pagerproof.rng import beta, pick, sub_key, unit
from pagerproof.scenario.schema import RequestOverride, Workload
from pagerproof.scenario.words import nearest
from pagerproof.workload.abcd import load_abcd
from pagerproof.workload.arrivals import arrival_times, check_keys, read_timestamps
from pagerproof.workload.customers import build_pool
from pagerproof.workload.edge_cases import (
    EDGE_CASES,
    ORDER_EDGE_CASES,
    Draft,
    apply_edge_case,
    salted,
    use_unknown_order,
)
from pagerproof.workload.habits import Channels, patience_of
from pagerproof.workload.intent import Intent
from pagerproof.workload.intents import load_intents
from pagerproof.workload.roster import Roster
from pagerproof.workload.slots import slots_of
from pagerproof.workload.world import SyntheticWorld, order_id_of

_OTHERS_TRIED: Final = 64


class BuiltWorkload:
    """The workload of one run. Every case is a pure function of (scenario, seed, index).

    `offers` names the services whose tools it is about, None for all.
    """

    offers: frozenset[str] | None = None

    def __init__(
        self,
        spec: Workload,
        *,
        seed: int,
        requests: int,
        intents: Sequence[Intent],
        weighted: Sequence[Intent],
        arrivals_file: Path | None,
    ) -> None:
        self.spec = spec
        self.seed = seed
        self.requests = requests
        self.intents: Mapping[str, Intent] = {intent.id: intent for intent in intents}
        pool = build_pool(seed, spec.locales, spec.customers_per_locale)
        self._roster = Roster(seed, weighted, pool, spec.edge_cases, spec.requests, self.intents)
        self.directory = SyntheticWorld(seed, self._roster)
        self._arrivals_file = arrivals_file
        self._channels = {intent.id: Channels(spec.channels, intent.channels) for intent in intents}
        self._a, self._b = spec.difficulty.a, spec.difficulty.b
        self._deadline_s = spec.deadline
        self._overrides = spec.requests

    def arrivals(self) -> Iterator[float]:
        """Yield arrival times from the first request on; endless, or as long as the file of a replay."""
        return arrival_times(self.spec.arrivals, self.seed, self._arrivals_file)

    def case(self, index: int, arrival_s: float) -> tuple[Request, Truth]:
        """Return the request at `index` (from 1), and what is true about it."""
        key, intent, customer, edge_cases = self._roster.cast(index)
        world = self.directory
        override = self._overrides.get(index)
        slots_key = sub_key(key, b"slots")
        slots = slots_of(slots_key, world.order_at(index), customer, world, intent.slots)
        for name in edge_cases:
            if name in ORDER_EDGE_CASES:
                slots = self._other_slots(name, slots, index, slots_key)
        text = pick(sub_key(key, b"utterance"), intent.templates) % slots
        difficulty = 1.0 - beta(sub_key(key, b"difficulty"), self._a, self._b)
        path = intent.path
        expectation = intent.expectation(slots)
        if edge_cases:
            draft = Draft(text, slots, path, expectation, difficulty)
            for name in edge_cases:
                apply_edge_case(name, draft, salted(key, name))
            text, path, expectation, difficulty = draft.text, draft.path, draft.expectation, draft.difficulty
        channel = self._channels[intent.id].draw(unit(sub_key(key, b"channel")))
        patience_s = patience_of(self.spec.patience, sub_key(key, b"patience"))
        if override is not None:
            difficulty = difficulty if override.difficulty is None else override.difficulty
            patience_s = patience_s if override.patience is None else override.patience
            channel = override.channel or channel
        request = Request(
            index=index,
            arrival_s=arrival_s,
            channel=channel,
            locale=customer.locale,
            customer_name=customer.name,
            customer_email=customer.email,
            text=text,
        )
        truth = Truth(
            customer=customer,
            intents=intent.parts,
            slots=slots,
            path=path,
            expectation=expectation,
            difficulty=difficulty,
            patience_s=patience_s,
            deadline_s=self._deadline_s,
            edge_cases=edge_cases,
            scripted=override is not None,
        )
        return request, truth

    def check_edge_cases(self, index: int, override: RequestOverride) -> None:
        """Raise UsageError where the request at `index` cannot have an edge case that the scenario gives it."""
        _, intent, _, _ = self._roster.cast(index)
        for name in override.edge_cases:
            if name not in intent.edge_cases:
                raise UsageError(
                    f"workload.requests.{index}.edge_cases: '{intent.id}' is about no order, so it cannot have '{name}'"
                )

    def _other_slots(self, name: str, slots: dict[str, str], index: int, slots_key: int) -> dict[str, str]:
        """Return the slots with another customer's order, or with an order that nobody has."""
        _, intent, customer, _ = self._roster.cast(index)
        order = self._order_of_another(index, customer) if name == "other_peoples_data" else None
        if order is not None:
            return slots_of(slots_key, order, customer, self.directory, intent.slots)
        use_unknown_order(slots, salted(slots_key, name))
        return slots

    def _order_of_another(self, index: int, customer: Customer) -> dict[str, Any] | None:
        """Return the nearest later order that is not this customer's; None where the pool knows nobody else."""
        for other in range(index + 1, index + 1 + _OTHERS_TRIED):
            order = self.directory.order(order_id_of(other))
            if order is not None and order["customer_id"] != customer.customer_id:
                return order
        return None


def build_workload(
    spec: Workload,
    *,
    seed: int,
    requests: int,
    operations: Mapping[str, Operation],
    resolve: Callable[[str], Path],
) -> BuiltWorkload:
    """Return the workload of a run. Raises UsageError or InvalidFile for whatever the scenario got wrong.

    `resolve` finds a file or folder: as the scenario wrote it for `arrivals.file`, `abcd` and an `intents` with a
    suffix; `scenarios/intents/NAME.yaml` for an `intents` that is a bare name.
    """
    arrivals_file = arrivals_file_of(spec, requests, resolve)
    intents = _load(spec, operations, resolve)
    if not any(share > 0.0 for share in spec.channels.values()):
        raise UsageError("workload.channels: needs at least one channel with a share above 0")
    by_id = {intent.id: intent for intent in intents}
    for name in spec.only_intents:
        _must_know(name, by_id, "workload.only_intents", "intent")
    for index, override in spec.requests.items():
        _check_override(index, override, spec, by_id)
    weighted = [intent for intent in intents if not spec.only_intents or intent.id in spec.only_intents]
    built = BuiltWorkload(
        spec, seed=seed, requests=requests, intents=intents, weighted=weighted, arrivals_file=arrivals_file
    )
    for index, override in spec.requests.items():
        built.check_edge_cases(index, override)
    return built


def arrivals_file_of(spec: Workload, requests: int, resolve: Callable[[str], Path]) -> Path | None:
    """Return the file of a replay's arrivals, None for another process. Raises UsageError for unusable arrivals."""
    check_keys(spec.arrivals)
    if spec.arrivals.file is None:
        return None
    file = resolve(spec.arrivals.file)
    held = len(read_timestamps(file))
    if held < requests:
        raise UsageError(f"{spec.arrivals.file} holds {held} timestamps, the scenario asks for {requests} requests")
    return file


def _load(spec: Workload, operations: Mapping[str, Operation], resolve: Callable[[str], Path]) -> tuple[Intent, ...]:
    if spec.abcd is not None:
        return load_abcd(resolve(spec.abcd), operations)
    bare = not spec.intents.endswith((".yaml", ".yml"))
    return load_intents(resolve(f"scenarios/intents/{spec.intents}.yaml" if bare else spec.intents), operations)


def _check_override(index: int, override: RequestOverride, spec: Workload, by_id: Mapping[str, Intent]) -> None:
    where = f"workload.requests.{index}"
    if index < 1:
        raise UsageError(f"{where}: request indices start at 1")
    if override.intent is not None:
        _must_know(override.intent, by_id, f"{where}.intent", "intent")
    if override.locale is not None:
        _must_know(override.locale, spec.locales, f"{where}.locale", "locale among workload.locales")
    if override.channel is not None:
        _must_know(override.channel, spec.channels, f"{where}.channel", "channel among workload.channels")
    for name in override.edge_cases:
        _must_know(name, EDGE_CASES, f"{where}.edge_cases", "edge case")


def _must_know(name: str, known: Iterable[str], where: str, what: str) -> None:
    if name not in (names := tuple(known)):
        raise UsageError(f"{where}: there is no {what} '{name}'{nearest(name, names)}")
