"""Payments: what was captured, and money paid back."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from pagerproof.model import Answer
from pagerproof.services.base import ServiceParameters, SimulatedService
from pagerproof.services.job import Job, Refused
from pagerproof.services.money import decimal_text, minor_units
from pagerproof.services.records import order_by


class PaymentParameters(ServiceParameters):
    """What a scenario may set about the payment gateway."""

    refuse_over_refund: bool = Field(
        default=False,
        description="refuse refunds that together exceed what was captured. Off: refunds that leave by an independent "
        "payout leg (bank transfer, wallet credit, another acquirer) are not held against the capture, and whoever "
        "refunds twice has paid twice; assumed",
    )


class PaymentService(SimulatedService):
    """The payment gateway. It remembers idempotency keys, and nothing else protects from paying twice."""

    name = "payments"
    Parameters = PaymentParameters
    remembers_keys = True
    document_prefixes: ClassVar = {"refund": "re_"}

    def payment_get(self, job: Job) -> Answer:
        """Read a payment."""
        record, payment = self._payment(job)
        currency = record["currency"]
        refunded = self._refunded(self.changed(job, payment["payment_id"], "refunds", ()))
        captured = minor_units(payment["amount"]) or 0
        status = payment["status"]
        if refunded:
            status = "refunded" if refunded >= captured else "partially_refunded"
        return self.answer(
            {
                "payment_id": payment["payment_id"],
                "order_id": record["order_id"],
                "amount": payment["amount"],
                "currency": currency,
                "status": status,
                "refunded": decimal_text(refunded),
            }
        )

    def payment_list(self, job: Job) -> Answer:
        """List the payments of an order."""
        order_id = job.arguments["order_id"]
        record = order_by(self.directory, "order_id", order_id)
        if record is None:
            raise Refused(self.problem(404, "order_not_found", f"No order {order_id}."))
        payments = [
            {"payment_id": each["payment_id"], "amount": each["amount"], "status": each["status"]}
            for each in record["payments"]
        ]
        return self.answer({"order_id": order_id, "currency": record["currency"], "payments": payments})

    def refund_create(self, job: Job) -> Answer:
        """Pay money back."""
        record, payment = self._payment(job)
        payment_id = payment["payment_id"]
        currency = record["currency"]
        amount = self._amount(job, currency)
        captured = minor_units(payment["amount"]) or 0
        if amount > captured:
            message = f"argument 'amount': {payment['amount']} {currency} were captured, no more can be refunded"
            raise Refused(self.problem(422, "amount_too_large", message))
        earlier = self.present(payment_id, "refunds", ())
        if self.parameters.refuse_over_refund and amount + self._refunded(earlier) > captured:
            raise Refused(self.problem(409, "charge_already_refunded", f"Payment {payment_id} is already refunded."))
        refund_id = self.commit(job, payment_id, record["customer_id"], amount_minor=amount, currency=currency)
        self.change(job, payment_id, "refunds", (*earlier, refund_id, amount))
        return self.answer(
            {
                "refund_id": refund_id,
                "payment_id": payment_id,
                "amount": decimal_text(amount),
                "currency": currency,
                "status": "succeeded",
            }
        )

    def refund_find(self, job: Job) -> Answer:
        """Find the refunds of a payment."""
        _, payment = self._payment(job)
        flat = self.changed(job, payment["payment_id"], "refunds", ())
        refunds = [{"refund_id": flat[i], "amount": decimal_text(flat[i + 1])} for i in range(0, len(flat), 2)]
        return self.answer({"payment_id": payment["payment_id"], "refunds": refunds})

    def _payment(self, job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
        payment_id = job.arguments["payment_id"]
        record = self.directory.order(payment_id)
        for payment in () if record is None else record["payments"]:
            if payment["payment_id"] == payment_id:
                assert record is not None
                return record, payment
        raise Refused(self.problem(404, "payment_not_found", f"No payment {payment_id}."))

    def _amount(self, job: Job, currency: str) -> int:
        if job.arguments["currency"] != currency:
            raise Refused(self.problem(422, "currency_mismatch", f"argument 'currency': the payment is in {currency}"))
        amount = minor_units(job.arguments["amount"])
        if amount is None or amount <= 0:
            message = f"argument 'amount': {job.arguments['amount']} is not an amount of {currency} above zero"
            raise Refused(self.problem(422, "invalid_amount", message))
        return amount

    @staticmethod
    def _refunded(flat: tuple[Any, ...]) -> int:
        return sum(flat[1::2])
