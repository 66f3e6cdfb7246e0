"""CPU time of one call through each service, from submit to answer: run it with operations to measure only those."""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.conformance.service import _ARGUMENTS, SmallWorld, make_case

from pagerproof.model import Answer, Customer
from pagerproof.protocols import Call
from pagerproof.services.base import SimulatedService
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.crm import CustomerService
from pagerproof.services.inventory import InventoryService
from pagerproof.services.kb import KnowledgeService
from pagerproof.services.orders import OrderService
from pagerproof.services.payments import PaymentService
from pagerproof.services.sap import SapService

CALLS = 20_000
ROUNDS = 5


class Fifo:
    """The cheapest thing that can be a scheduler: what it takes is not the services' cost."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()

    def time(self) -> float:
        return self.now

    def schedule(self, _delay_s: float, callback: Callable[..., object], /, *args: object) -> Fifo:
        self.queue.append((callback, args))
        return self

    def cancel(self) -> None:
        raise AssertionError("nothing is cancelled on the happy path")


class Remembering(SmallWorld):
    """Records from memory, as the real world has them."""

    def __init__(self) -> None:
        super().__init__()
        self.fifo = Fifo()
        self.scheduler = self.fifo
        self.orders: dict[str, dict[str, Any] | None] = {}
        self.customers: dict[str, Customer | None] = {}
        self.emails: dict[str, Customer | None] = {}

    def order(self, order_id: str) -> dict[str, Any] | None:
        if order_id not in self.orders:
            self.orders[order_id] = super().order(order_id)
        return self.orders[order_id]

    def customer(self, customer_id: str) -> Customer | None:
        if customer_id not in self.customers:
            self.customers[customer_id] = super().customer(customer_id)
        return self.customers[customer_id]

    def customer_by_email(self, email: str) -> Customer | None:
        if email not in self.emails:
            self.emails[email] = super().customer_by_email(email)
        return self.emails[email]


def microseconds(made: type[SimulatedService], name: str) -> float:
    service = made()
    world = Remembering()
    operation = OPERATIONS[name]
    arguments = _ARGUMENTS[name]
    answers: list[Answer | None] = []
    best = float("inf")
    for _ in range(ROUNDS):
        service.open(world)
        cases = [make_case(5) for _ in range(CALLS)]
        calls = [
            Call(case, operation, arguments, 1, 1, key * 0x9E3779B97F4A7C15 % 2**64, 0.0, None, None)
            for key, case in enumerate(cases)
        ]
        queue = world.fifo.queue
        answers.clear()
        gc.collect()
        gc.disable()
        began = process_time()
        for call in calls:
            # A fresh system of record per call: what one order accumulates is another matter.
            service._changed = {}
            service.submit(call, answers.append)
            callback, args = queue.popleft()
            callback(*args)
        best = min(best, process_time() - began)
        gc.enable()
        assert not queue
    return best / CALLS * 1e6


def main() -> None:
    classes = (CustomerService, OrderService, InventoryService, PaymentService, KnowledgeService, SapService)
    wanted = sys.argv[1:]
    for made in classes:
        for name, operation in OPERATIONS.items():
            if operation.service == made.name and (not wanted or name in wanted):
                print(f"{name:36} {'write' if operation.writes else 'read':6} {microseconds(made, name):6.1f} µs")


if __name__ == "__main__":
    main()
