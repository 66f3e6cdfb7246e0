"""Customer relationship management: people, identity, subscriptions, appointments, tickets and notes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, ClassVar

from pagerproof.model import Answer, Customer
from pagerproof.rng import key_of, pick, sub_key
from pagerproof.services.base import SimulatedService
from pagerproof.services.job import Job, Refused
from pagerproof.services.records import own_order

_ADDRESS = ("street", "city", "postcode", "country")
_PRICES = {"basic": "9.90", "plus": "19.90", "premium": "39.90"}
_NEXT_MONTH = "2026-12-01"
_SLOTS = tuple(
    f"{(date(2026, 11, 25) + timedelta(days=day)).isoformat()}T{hour:02d}:00"
    for day in range(10)
    for hour in (9, 10, 11, 13, 14, 15, 16)
)


class CustomerService(SimulatedService):
    """The CRM. What a request changes about a customer is seen by that request alone.

    Thousands of requests share a few hundred customers, and each is judged by the customer as they stood when it
    arrived; one request's change of address must not fail another one's check of identity.
    """

    name = "crm"
    locks_by: ClassVar = {
        "Customer.update_address": "customer_id",
        "Customer.update_contact": "customer_id",
        "Subscription.change": "customer_id",
        "Subscription.cancel": "customer_id",
    }
    document_prefixes: ClassVar = {
        "address": "AD",
        "contact": "CC",
        "password_reset": "PW",
        "plan": "PL",
        "plan_cancelled": "PC",
        "appointment": "AP",
        "ticket": "T",
        "note": "N",
    }

    def customer_find(self, job: Job) -> Answer:
        """Find a customer by e-mail address."""
        email = job.arguments["email"]
        customer_id = self.changed(job, (job.call.case.index, email), "customer_id", None)
        if customer_id is None:
            customer = self.directory.customer_by_email(email)
        else:
            customer = self.directory.customer(customer_id)
        if customer is None or self._email(job, customer) != email:
            raise Refused(self.problem(404, "customer_not_found", f"No customer with the e-mail address {email}."))
        return self.answer(self._record(job, customer))

    def customer_get(self, job: Job) -> Answer:
        """Read a customer."""
        return self.answer(self._record(job, self._customer(job)))

    def customer_verify(self, job: Job) -> Answer:
        """Check a customer's identity by the postcode."""
        customer = self._customer(job)
        known = {_plain(customer.postcode), _plain(self._address(job, customer)["postcode"])}
        verified = _plain(job.arguments["postcode"]) in known
        return self.answer({"customer_id": customer.customer_id, "verified": verified})

    def customer_update_address(self, job: Job) -> Answer:
        """Change the address."""
        customer = self._customer(job)
        address = tuple((name, job.arguments[name]) for name in _ADDRESS)
        self.commit(job, customer.customer_id, customer.customer_id, details=address)
        self.change(job, self._scope(job, customer), "address", tuple(text for _, text in address))
        return self.answer({"customer_id": customer.customer_id, "updated": True, **dict(address)})

    def customer_update_contact(self, job: Job) -> Answer:
        """Change phone or e-mail."""
        customer = self._customer(job)
        field, value = job.arguments["field"], job.arguments["value"]
        if field not in ("phone", "email"):
            raise Refused(self.problem(422, "invalid_argument", "argument 'field' must be 'phone' or 'email'"))
        if field == "email" and "@" not in value:
            raise Refused(self.problem(422, "invalid_argument", f"argument 'value': {value} is no e-mail address"))
        self.commit(job, customer.customer_id, customer.customer_id, details=(("field", field), ("value", value)))
        self.change(job, self._scope(job, customer), field, value)
        if field == "email":
            self.change(job, (job.call.case.index, value), "customer_id", customer.customer_id)
        return self.answer({"customer_id": customer.customer_id, "updated": True, field: value})

    def password_reset(self, job: Job) -> Answer:
        """Send a password reset."""
        customer = self._customer(job)
        reset_id = self.commit(job, customer.customer_id, customer.customer_id)
        sent_to = self._email(job, customer)
        return self.answer({"customer_id": customer.customer_id, "reset_id": reset_id, "sent_to": sent_to})

    def subscription_get(self, job: Job) -> Answer:
        """Read the subscription."""
        customer = self._customer(job)
        plan, currency = self._plan_of(job, customer)
        return self.answer(
            {
                "customer_id": customer.customer_id,
                "plan": plan,
                "renews_on": _NEXT_MONTH,
                "price": _PRICES.get(plan, "0.00"),
                "currency": currency,
            }
        )

    def subscription_change(self, job: Job) -> Answer:
        """Change the plan."""
        customer = self._subscriber(job)
        plan = job.arguments["plan"]
        if plan not in _PRICES:
            raise Refused(self.problem(422, "invalid_argument", f"argument 'plan' must be one of {', '.join(_PRICES)}"))
        self.commit(job, customer.customer_id, customer.customer_id, details=(("plan", plan),))
        self.change(job, self._scope(job, customer), "plan", plan)
        return self.answer({"customer_id": customer.customer_id, "plan": plan, "effective_on": _NEXT_MONTH})

    def subscription_cancel(self, job: Job) -> Answer:
        """Cancel the subscription."""
        customer = self._subscriber(job)
        self.commit(job, customer.customer_id, customer.customer_id)
        self.change(job, self._scope(job, customer), "plan", "cancelled")
        return self.answer({"customer_id": customer.customer_id, "cancelled": True})

    def appointment_slots(self, job: Job) -> Answer:
        """List free appointment slots."""
        customer = self._customer(job)
        booked = self.changed(job, self._scope(job, customer), "slots", ())
        slots = [slot for slot in _SLOTS if slot not in booked] if booked else _SLOTS
        return self.answer({"customer_id": customer.customer_id, "slots": slots})

    def appointment_book(self, job: Job) -> Answer:
        """Book an appointment. The calendar does not mind two in one slot: it has many rooms."""
        customer = self._customer(job)
        slot = job.arguments["slot"]
        if slot not in _SLOTS:
            raise Refused(self.problem(422, "slot_not_offered", f"argument 'slot': {slot} is not offered"))
        appointment_id = self.commit(job, customer.customer_id, customer.customer_id, details=(("slot", slot),))
        scope = self._scope(job, customer)
        self.change(job, scope, "slots", (*self.present(scope, "slots", ()), slot))
        return self.answer({"appointment_id": appointment_id, "slot": slot})

    def loyalty_get(self, job: Job) -> Answer:
        """Read the loyalty points."""
        customer = self._customer(job)
        record = self._own_order(job, customer)
        points = record["points"] if record is not None else self._draw(customer, b"points", range(5000))
        return self.answer({"customer_id": customer.customer_id, "points": points, "tier": customer.tier})

    def ticket_create(self, job: Job) -> Answer:
        """Open a ticket for a human."""
        customer = self._customer(job)
        topic = job.arguments["topic"]
        ticket_id = self.commit(job, customer.customer_id, customer.customer_id, details=(("topic", topic),))
        return self.answer({"ticket_id": ticket_id, "topic": topic})

    def note_create(self, job: Job) -> Answer:
        """Write a note on the customer."""
        customer = self._customer(job)
        return self.answer({"note_id": self.commit(job, customer.customer_id, customer.customer_id)})

    def _customer(self, job: Job) -> Customer:
        customer_id = job.arguments["customer_id"]
        customer = self.directory.customer(customer_id)
        if customer is None:
            raise Refused(self.problem(404, "customer_not_found", f"No customer {customer_id}."))
        return customer

    def _subscriber(self, job: Job) -> Customer:
        customer = self._customer(job)
        if self._plan_of(job, customer)[0] == "cancelled":
            raise Refused(self.problem(409, "subscription_cancelled", "The subscription is cancelled."))
        return customer

    def _scope(self, job: Job, customer: Customer) -> tuple[int, str]:
        return job.call.case.index, customer.customer_id

    def _record(self, job: Job, customer: Customer) -> dict[str, Any]:
        scope = self._scope(job, customer)
        return {
            "customer_id": customer.customer_id,
            "business_partner": customer.business_partner,
            "name": customer.name,
            "email": self._email(job, customer),
            "phone": self.changed(job, scope, "phone", customer.phone),
            "tier": customer.tier,
            "address": self._address(job, customer),
        }

    def _email(self, job: Job, customer: Customer) -> str:
        return str(self.changed(job, self._scope(job, customer), "email", customer.email))

    def _address(self, job: Job, customer: Customer) -> dict[str, str]:
        changed = self.changed(job, self._scope(job, customer), "address", None)
        if changed is not None:
            return dict(zip(_ADDRESS, changed, strict=True))
        return {
            "street": customer.street,
            "city": customer.city,
            "postcode": customer.postcode,
            "country": customer.country,
        }

    def _own_order(self, job: Job, customer: Customer) -> dict[str, Any] | None:
        """The order of the calling request, where it is this customer's: plan and points stand in it."""
        record = own_order(self.directory, job.call.case.index)
        return record if record is not None and record["customer_id"] == customer.customer_id else None

    def _plan_of(self, job: Job, customer: Customer) -> tuple[str, str]:
        record = self._own_order(job, customer)
        plan = record["plan"] if record is not None else self._draw(customer, b"plan", tuple(_PRICES))
        currency = "EUR" if record is None else record["currency"]
        return str(self.changed(job, self._scope(job, customer), "plan", plan)), currency

    def _draw(self, customer: Customer, salt: bytes, values: Any) -> Any:
        # The world gives plan and points only with an order; for anybody else's customer any fixed value will do.
        return pick(sub_key(key_of(self.seed, "subscriber", customer.customer_id), salt), values)


def _plain(postcode: str) -> str:
    return "".join(postcode.split()).replace("-", "").upper()
