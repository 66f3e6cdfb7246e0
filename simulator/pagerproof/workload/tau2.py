"""Turns the tasks of a tau2-bench domain into requests: each task in turn, over and over, with fresh fault decisions.

What the customer writes is the task's scenario put into the first person: what they know, why they write and how they
want it done; the fields were written as orders to a simulated user, so the language is stiff. What they do not know is
left out. The path is that of the gold actions; an argument that the text holds is a slot, one that an earlier answer
held is taken from there, so that a spoiled answer spoils what follows, and the rest is literal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from pagerproof.domains.tau2 import Domain, Done, Task, find_folder, load_domain
from pagerproof.errors import UsageError
from pagerproof.model import Customer, Expectation, Request, Step, Truth
from pagerproof.rng import beta, key_of, sub_key, unit
from pagerproof.scenario.schema import RequestOverride, Workload
from pagerproof.scenario.words import nearest
from pagerproof.workload.arrivals import arrival_times
from pagerproof.workload.build import arrivals_file_of
from pagerproof.workload.habits import Channels, patience_of

LOCALE: Final = "en_US"
_FIELDS: Final = ("known_info", "reason_for_call", "task_instructions")
_TELLING: Final = 3  # characters that a value needs before finding it in a text means anything

_VERBS: Final = "asks?|tells?|told|gives?|gave|offers?|provides?|lets?|allows?|wants"
_FIRST_PERSON: Final = (
    (r"\byou are\b", "I am"),
    (r"\byou're\b", "I'm"),
    (r"\byou were\b", "I was"),
    (r"\byou(?='(?:d|ll|ve)\b)", "I"),
    (r"\byourself\b", "myself"),
    (r"\byours\b", "mine"),
    (r"\byour\b", "my"),
    (rf"\b(to|for|with|from|of|at|about|{_VERBS}) you\b", r"\1 me"),
    (r"\byou (?=name\b)", "my "),
    (r"\byou\b", "I"),
)  # fmt: skip
_RULES: Final = tuple((re.compile(pattern, re.IGNORECASE), written) for pattern, written in _FIRST_PERSON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One task, made ready to be asked any number of times."""

    name: str
    text: str
    customer: Customer
    slots: Mapping[str, str]
    path: tuple[Step, ...]
    expectation: Expectation


class Users:
    """Master data: the domain's own users as customers; implements `pagerproof.protocols.Directory`.

    Orders and products stand in the domain's own service, so the other services know none.
    """

    def __init__(self, customers: Mapping[str, Customer]) -> None:
        self._by_id = customers
        self._by_email = {each.email: each for each in customers.values() if each.email}

    def order(self, order_id: str) -> dict[str, Any] | None:  # noqa: ARG002  # the door's signature
        """None: no order is known here."""
        return None

    def customer(self, customer_id: str) -> Customer | None:
        """The user with this id, or None."""
        return self._by_id.get(customer_id)

    def customer_by_email(self, email: str) -> Customer | None:
        """The user with this e-mail address, or None."""
        return self._by_email.get(email)

    def product(self, sku: str) -> dict[str, Any] | None:  # noqa: ARG002  # the door's signature
        """None: no product is known here."""
        return None


class Tau2Workload:
    """The workload of one run: request n is task (n - 1) modulo their number, as long as the run asks for one.

    `offers` names the services whose tools it is about.
    """

    def __init__(self, spec: Workload, domain: Domain, *, seed: int, requests: int, arrivals_file: Path | None) -> None:
        self.spec = spec
        self.seed = seed
        self.requests = requests
        self.offers = frozenset({domain.name})
        users = domain.tables.get("users", {})
        self.directory = Users({key: _customer(key, record) for key, record in users.items()})
        prepared = [prepared_task(domain, task) for task in domain.tasks]
        self.tasks: Mapping[str, Prepared] = {each.name: each for each in prepared}
        for name in spec.only_intents:
            self._must_know(name, "workload.only_intents")
        for index, override in spec.requests.items():
            _check_override(index, override, spec)
            if override.intent is not None:
                self._must_know(override.intent, f"workload.requests.{index}.intent")
        self._cycle = [each for each in prepared if not spec.only_intents or each.name in spec.only_intents]
        self._channels = Channels(spec.channels, ())
        self._arrivals_file = arrivals_file

    def arrivals(self) -> Iterator[float]:
        """Yield arrival times from the first request on; endless, or as long as the file of a replay."""
        return arrival_times(self.spec.arrivals, self.seed, self._arrivals_file)

    def case(self, index: int, arrival_s: float) -> tuple[Request, Truth]:
        """Return the request at `index` (from 1), and what is true about it."""
        spec = self.spec
        key = key_of(self.seed, index)
        override = spec.requests.get(index)
        task = self._cycle[(index - 1) % len(self._cycle)]
        difficulty = 1.0 - beta(sub_key(key, b"difficulty"), spec.difficulty.a, spec.difficulty.b)
        channel = self._channels.draw(unit(sub_key(key, b"channel")))
        patience_s = patience_of(spec.patience, sub_key(key, b"patience"))
        if override is not None:
            task = task if override.intent is None else self.tasks[override.intent]
            difficulty = difficulty if override.difficulty is None else override.difficulty
            patience_s = patience_s if override.patience is None else override.patience
            channel = override.channel or channel
        request = Request(
            index=index,
            arrival_s=arrival_s,
            channel=channel,
            locale=LOCALE,
            customer_name=task.customer.name,
            customer_email=task.slots.get("sender", ""),
            text=task.text,
        )
        truth = Truth(
            customer=task.customer,
            intents=(task.name,),
            slots=task.slots,
            path=task.path,
            expectation=task.expectation,
            difficulty=difficulty,
            patience_s=patience_s,
            deadline_s=spec.deadline,
            scripted=override is not None,
        )
        return request, truth

    def _must_know(self, name: str, where: str) -> None:
        if name not in self.tasks:
            raise UsageError(f"{where}: there is no task '{name}'{nearest(name, self.tasks)}")


def _check_override(index: int, override: RequestOverride, spec: Workload) -> None:
    where = f"workload.requests.{index}"
    if index < 1:
        raise UsageError(f"{where}: request indices start at 1")
    for name in ("edge_cases", "locale", "amount"):
        if name in override.model_fields_set:
            raise UsageError(f"{where}.{name}: a task of tau2-bench is asked as it is written")
    channel = override.channel
    if channel is not None and channel not in spec.channels:
        raise UsageError(f"{where}.channel: there is no channel '{channel}'{nearest(channel, spec.channels)}")


def build_tau2(spec: Workload, *, seed: int, requests: int, resolve: Callable[[str], Path]) -> Tau2Workload:
    """Return the workload of a run over `spec.tau2`. Raises UsageError or InvalidFile as `load_domain` does."""
    arrivals_file = arrivals_file_of(spec, requests, resolve)
    domain = load_domain(find_folder(str(spec.tau2), resolve), spec.tools, resolve)
    return Tau2Workload(spec, domain, seed=seed, requests=requests, arrivals_file=arrivals_file)


# --- one task


def prepared_task(domain: Domain, task: Task) -> Prepared:
    """Return what is the same of a task however often it is asked."""
    text = written_by_customer(task.instructions)
    customer = _customer(str(task.user.get("user_id", "")), task.user) if task.user is not None else _nobody()
    slots = {"sender": customer.email} if customer.email and customer.email in text else {}
    path = tuple(_steps(domain.name, task.path, text, slots))
    return Prepared(
        name=f"{domain.name}_{task.id}",
        text=text,
        customer=customer,
        slots=slots,
        path=path,
        expectation=Expectation(effects=task.effects, end_state=task.end_state, not_judged=task.criteria),
    )


def written_by_customer(instructions: Mapping[str, str]) -> str:
    """Return the scenario's fields in the first person, as one message."""
    parts = [instructions[name].strip() for name in _FIELDS if instructions.get(name, "").strip(" .\n")]
    text = " ".join(part if part[-1] in ".!?" else f"{part}." for part in parts)
    for pattern, written in _RULES:
        text = pattern.sub(written, text)
    return text[:1].upper() + text[1:]


def _steps(domain: str, path: tuple[Done, ...], text: str, slots: dict[str, str]) -> Iterator[Step]:
    answered: dict[str, dict[str, str]] = {}  # by operation, where each scalar of its last answer stands
    for done in path:
        operation = f"{domain}.{done.name}"
        arguments = []
        for name, value in done.arguments.items():
            arguments.append((name, _source(name, value, text, slots, answered)))
        yield Step(operation=operation, arguments=tuple(arguments))
        if not done.writes:
            answered[operation] = dict(_places(f"@{operation}", done.answer))


def _source(name: str, value: Any, text: str, slots: dict[str, str], answered: Mapping[str, Mapping[str, str]]) -> str:
    """Return where a reader finds this value: in the text, in the latest answer that holds it, or nowhere."""
    if not isinstance(value, str):
        return f"={orjson.dumps(value).decode()}"
    if len(value) >= _TELLING and value in text:
        return f"${_slot(name, value, slots)}"
    for places in reversed(tuple(answered.values())):
        if len(value) >= _TELLING and value in places:
            return places[value]
    return f"={orjson.dumps(value).decode()}" if value.startswith(("$", "@", "=")) else str(value)


def _slot(name: str, value: str, slots: dict[str, str]) -> str:
    """Return the name of the slot that holds this value, made where there is none yet."""
    number = 1
    slot = name
    while slots.setdefault(slot, value) != value:
        number += 1
        slot = f"{name}_{number}"
    return slot


def _places(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield (text, where it stands) of every text with a digit in it; what stands first comes last."""
    if isinstance(value, dict):
        for name in reversed(value):
            if "." not in str(name):
                yield from _places(f"{place}.{name}", value[name])
    elif isinstance(value, list):
        for number in reversed(range(len(value))):
            yield from _places(f"{place}.{number}", value[number])
    elif isinstance(value, str) and any(character.isdigit() for character in value):
        yield value, place


# --- whose it is


def _customer(user_id: str, record: Mapping[str, Any]) -> Customer:
    """Return a user's record as a customer; fields that this domain's users lack are empty."""
    address = record.get("address")
    address = address if isinstance(address, dict) else {}
    name = record.get("name")
    names = name.values() if isinstance(name, dict) else (name,)

    def said(value: object) -> str:
        return value if isinstance(value, str) else ""

    return Customer(
        customer_id=user_id,
        business_partner="",
        locale=LOCALE,
        name=" ".join(filter(None, map(said, names))),
        email=said(record.get("email")),
        phone=said(record.get("phone_number")),
        street=" ".join(filter(None, (said(address.get("address1")), said(address.get("address2"))))),
        city=said(address.get("city")),
        postcode=said(address.get("zip")),
        country=said(address.get("country")),
        tier="",
    )


def _nobody() -> Customer:
    return _customer("", {})
