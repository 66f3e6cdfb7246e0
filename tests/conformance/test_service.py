"""The built-in services, and some that break a promise each, against the suite that every service must pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.service import check_service, samples_of

from pagerproof.protocols import Call, Respond
from pagerproof.services.base import SimulatedService
from pagerproof.services.crm import CustomerService
from pagerproof.services.inventory import InventoryService
from pagerproof.services.job import Job
from pagerproof.services.kb import KnowledgeService
from pagerproof.services.orders import OrderService
from pagerproof.services.payments import PaymentService
from pagerproof.services.sap import SapService

_BUILT_IN = (CustomerService, OrderService, InventoryService, PaymentService, KnowledgeService, SapService)


@pytest.mark.parametrize("made", _BUILT_IN, ids=lambda made: made.name)
def test_a_built_in_service_keeps_every_promise(made: type[SimulatedService]) -> None:
    check_service(made, samples_of(made.name))


class AnswersTwice(InventoryService):
    def submit(self, call: Call, respond: Respond) -> None:
        super().submit(call, lambda answer: (respond(answer), respond(answer)))


class AnswersAtOnce(InventoryService):
    def submit(self, call: Call, respond: Respond) -> None:
        super().submit(call, lambda answer: None)
        respond(self.answer({}))


class NeverEndsItsWork(InventoryService):
    def _refuse(self, job: Job, answer: object) -> None:
        job.call.case.work_began()
        super()._refuse(job, answer)  # type: ignore[arg-type]  # as the base class


class ForgetsItsLedger(InventoryService):
    def commit(self, job: Job, *args: object, **more: object) -> str:
        job.applies = False
        return super().commit(job, *args, **more)  # type: ignore[arg-type]  # as the base class


class NeverTheSame(InventoryService):
    made = 0

    def service_s(self, job: Job) -> float:
        NeverTheSame.made += 1
        return super().service_s(job) + NeverTheSame.made


class DropsAbandonedCalls(InventoryService):
    def abandon(self, call: Call) -> None:
        job = self._jobs.get(call)
        if job is not None:
            job.respond = None


@pytest.mark.parametrize(
    "made",
    [AnswersTwice, AnswersAtOnce, NeverEndsItsWork, ForgetsItsLedger, NeverTheSame, DropsAbandonedCalls],
    ids=lambda made: made.__name__,
)
def test_a_service_that_breaks_a_promise_is_found(made: Callable[[], InventoryService]) -> None:
    with pytest.raises(AssertionError):
        check_service(made, samples_of("inventory"))
