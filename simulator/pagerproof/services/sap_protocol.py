"""What SAP's OData services can do beyond the tools of an agent: lists, items, headers, deletion and change sets."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any, Final

import orjson

from pagerproof import sap_wire
from pagerproof.model import RUN_BEGINS, Answer, Customer
from pagerproof.services.base import SimulatedService
from pagerproof.services.job import Job, Refused
from pagerproof.services.money import decimal_text, minor_units
from pagerproof.services.records import own_order

HEADER_FIELDS: Final = frozenset(
    {"SalesOrderType", "SalesOrganization", "DistributionChannel", "OrganizationDivision", "PurchaseOrderByCustomer",
     "RequestedDeliveryDate", "DeliveryBlockReason"}
)  # fmt: skip
"""The fields of a sales order's header that may be set."""

CHANGES_MAX: Final = 10
"""How many changes of one kind a change set may hold; assumed. It is how many document numbers a call has."""


class ProtocolOperations(SimulatedService):
    """Handlers of the operations that exist because the protocol has them; `SapService` completes it."""

    # -- what SapService supplies ------------------------------------------------------------------------------------

    def _partner(self, job: Job) -> Customer:
        raise NotImplementedError

    def _sales_order(self, job: Job) -> dict[str, Any]:
        raise NotImplementedError

    def _changeable(self, job: Job) -> dict[str, Any]:
        raise NotImplementedError

    def _sales_order_answer(self, job: Job, record: dict[str, Any], *, status: int = 200) -> Answer:
        raise NotImplementedError

    def _created(self, number: str) -> dict[str, Any] | None:
        raise NotImplementedError

    def _etag(self, job: Job, record: dict[str, Any]) -> str:
        raise NotImplementedError

    def _touch(self, job: Job, number: str) -> None:
        raise NotImplementedError

    def _take_number(self, job: Job, kind: str) -> None:
        raise NotImplementedError

    def _error(self, job: Job, status: int, code: str, text: str, application: tuple[str, str]) -> Answer:
        raise NotImplementedError

    # -- reading -----------------------------------------------------------------------------------------------------

    def salesorder_list(self, job: Job) -> Answer:
        """List the sales orders that the calling request may know: its customer's, and those it created itself.

        What other requests created is left out, so that nobody else in flight changes an answer. With
        `business_partner`, that partner's alone.
        """
        wanted = job.arguments.get("business_partner")
        index = job.call.case.index
        records = [own_order(self.directory, index), *(self._created(each) for each in self._made_by(job, index))]
        rows = []
        for record in records:
            if record is None or wanted not in (None, record["business_partner"]):
                continue
            if self.present(record["sales_order"], "deleted", False):
                continue
            rows.append(orjson.loads(self._sales_order_answer(job, record).body)["d"])
        return _listed(rows)

    def _made_by(self, job: Job, index: int) -> tuple[str, ...]:
        made: tuple[str, ...] = self.changed(job, ("made", index), "sales orders", ())
        return made

    def salesorder_items(self, job: Job) -> Answer:
        """Read the items of a sales order."""
        record = self._sales_order(job)
        return _listed(
            [_item_row(record["sales_order"], record["currency"], each) for each in self._items(job, record)]
        )

    def creditmemo_get(self, job: Job) -> Answer:
        """Read one credit memo request."""
        number = job.arguments["credit_memo"]
        made = self.changed(job, ("memo", number), "made", None)
        if made is None:
            text = f"Credit memo request {number}"
            raise Refused(sap_wire.not_found(job.call.key, self._now(), text, sap_wire.CREDIT_MEMOS))
        sales_order, amount, currency = made
        row = {
            "CreditMemoRequest": number,
            "SalesOrder": sales_order,
            "TotalNetAmount": amount,
            "TransactionCurrency": currency,
        }
        return Answer(200, _HEADERS.copy(), orjson.dumps({"d": row}))

    # -- writing -----------------------------------------------------------------------------------------------------

    def salesorder_create_with_items(self, job: Job) -> Answer:
        """Create a sales order with any number of items and header fields (deep insert)."""
        customer = self._partner(job)
        items = [self._wanted_item(job, each) for each in job.arguments["items"]]
        fields = self._header_fields(job)
        self._take_number(job, "sales_order")
        details: list[tuple[str, str]] = []
        for position, (material, quantity) in enumerate(items):
            mark = f" {position + 1}0" if position else ""
            details += [(f"material{mark}", material), (f"quantity{mark}", str(quantity))]
        details += list(fields.items())
        number = self.commit(job, customer.business_partner, customer.customer_id, details=tuple(details))
        self.change(job, number, "created", (customer.business_partner, *(items[0] if items else ("", 0))))
        self.remember_made(job, number)
        for material, quantity in items[1:]:
            self._append(job, number, material, quantity)
        if fields:
            self.change(job, number, "header", fields)
        record = self._created(number) or self._unwritten(customer, number, items)
        return self._sales_order_answer(job, record, status=201)

    def salesorder_add_item(self, job: Job) -> Answer:
        """Add an item to a sales order."""
        record = self._changeable(job)
        number = record["sales_order"]
        material, quantity = self._wanted_item(job, job.arguments)
        self._check_etag(job, record)
        self.commit(job, number, record["customer_id"], details=(("material", material), ("quantity", str(quantity))))
        known = len(self._items(job, record))
        self._append(job, number, material, quantity)
        self._touch(job, number)
        row = _item_row(number, record["currency"], (f"{known + 1}0", *self._priced(material), quantity, ""))
        return Answer(201, _HEADERS.copy(), orjson.dumps({"d": row}))

    def salesorder_reject_item(self, job: Job) -> Answer:
        """Reject one item: it stays in the order with its reason for rejection."""
        record = self._changeable(job)
        number, position = record["sales_order"], job.arguments["item"].lstrip("0")
        found = [each for each in self._items(job, record) if each[0] == position]
        if not found:
            text = f"Item {job.arguments['item'][:20]}"
            raise Refused(sap_wire.not_found(job.call.key, self._now(), text, sap_wire.SALES_ORDERS))
        self._check_etag(job, record)
        reason = job.arguments["reason"]
        self.commit(job, number, record["customer_id"], details=(("item", position), ("reason", reason)))
        self.change(job, number, f"rejected {position}", reason)
        self._touch(job, number)
        return Answer(200, _HEADERS.copy(), orjson.dumps({"d": _item_row(number, record["currency"],
                                                                         (*found[0][:4], reason))}))  # fmt: skip

    def salesorder_update_header(self, job: Job) -> Answer:
        """Change fields of a sales order's header."""
        record = self._changeable(job)
        number, fields = record["sales_order"], self._header_fields(job)
        self._check_etag(job, record)
        self.commit(job, number, record["customer_id"], details=tuple(fields.items()))
        block = fields.pop("DeliveryBlockReason", None)
        if block is not None:
            self.change(job, number, "block", block)
        self.change(job, number, "header", {**self.present(number, "header", {}), **fields})
        self._touch(job, number)
        return self._sales_order_answer(job, record)

    def salesorder_delete(self, job: Job) -> Answer:
        """Delete a sales order: from then on there is none of this number."""
        record = self._sales_order(job)
        self._check_etag(job, record)
        self.commit(job, record["sales_order"], record["customer_id"])
        self.change(job, record["sales_order"], "deleted", True)
        return Answer(200, _HEADERS.copy(), b'{"d":{}}')

    def changeset_apply(self, job: Job) -> Answer:
        """Carry out several writes in one instant, all of them or none: the first that is refused undoes the others.

        `changes` lists objects with `operation`, `arguments` and perhaps `etag`. The answer is one of
        `{"d": {"results": [{"status", "d"}, ...]}}`, or the refusal of the member that failed.
        """
        changes = job.arguments["changes"]
        if not changes or not all(type(each) is dict for each in changes):
            raise Refused(self.bad_argument(job, "changes", "argument 'changes' must list objects"))
        case = job.call.case
        changed, issued, effects, events = self._changed, dict(self._issued), len(case.effects), len(case.log)
        ours: dict[object, tuple[Any, ...]] = {}
        self._changed = ChainMap(ours, changed)
        results = []
        counts: dict[str, int] = {}
        for change in changes:
            answer = self._apply_one(job, change, counts)
            if answer.status >= 300:
                self._changed = changed
                self._issued.update(issued)  # the gauges hold this very dict
                del case.effects[effects:], case.log[events:]
                raise Refused(answer)
            results.append({"status": answer.status, **orjson.loads(answer.body)})
        changed.update(ours)
        self._changed = changed
        return _listed(results)

    def _apply_one(self, job: Job, change: Mapping[str, Any], counts: dict[str, int]) -> Answer:
        name = str(change.get("operation", "")).removeprefix("sap.")
        plan = self._plans.get(name)
        if plan is None or not plan.writes or name == "ChangeSet.apply":
            return self.bad_argument(job, "changes", f"argument 'changes': {name!r} is no write of this service")
        kind = plan.operation.effect_kind
        position = counts.get(kind, 0)
        counts[kind] = position + 1
        if position >= CHANGES_MAX:
            return self.bad_argument(job, "changes", f"argument 'changes': more than {CHANGES_MAX} of one kind")
        member = Job(job.call, plan, _nobody)
        member.arguments = change.get("arguments") or {}
        member.applies = job.applies
        member.disturbed = job.disturbed
        member.copy = job.copy * CHANGES_MAX + position
        entity = member.arguments.get(plan.lock) if plan.lock else None
        member.blocked = type(entity) is str and entity in self._locks
        try:
            etag = change.get("etag")
            if etag is not None and plan.lock == "sales_order":
                self._compare(member, self._sales_order(member), etag)
        except (Refused, KeyError) as refused:
            if isinstance(refused, Refused):
                return refused.answer
            # the member's own check of arguments names what is missing
        return self._perform_member(member)

    # -- pieces ------------------------------------------------------------------------------------------------------

    def remember_made(self, job: Job, number: str) -> None:
        """Remember that the calling request created this sales order."""
        scope = ("made", job.call.case.index)
        self.change(job, scope, "sales orders", (*self.present(scope, "sales orders", ()), number))

    def _items(self, job: Job, record: dict[str, Any]) -> list[tuple[str, str, str, int, str]]:
        """Position, material, price, quantity and reason of rejection of every item, as this call reads them."""
        number = record["sales_order"]
        lines = [(each["material"], each["quantity"]) for each in record["items"]]
        lines += self.changed(job, number, "added", ())
        rejected = "93" if self.changed(job, number, "cancelled", record["status"] == "cancelled") else ""
        items = []
        for place, (material, quantity) in enumerate(lines, 1):
            position = f"{place}0"
            items.append(
                (
                    position,
                    *self._priced(material),
                    self.changed(job, number, f"quantity {position}", quantity),
                    self.changed(job, number, f"rejected {position}", rejected),
                )
            )
        return items

    def _priced(self, material: str) -> tuple[str, str]:
        product = self.directory.product(material)
        return material, product["price"] if product is not None else "0.00"

    def _append(self, job: Job, number: str, material: str, quantity: int) -> None:
        self.change(job, number, "added", (*self.present(number, "added", ()), (material, quantity)))

    def _wanted_item(self, job: Job, item: Any) -> tuple[str, int]:
        material, quantity = (item.get("material"), item.get("quantity")) if isinstance(item, Mapping) else (None, None)
        if type(material) is not str or type(quantity) is not int or quantity < 1:
            text = "argument 'items' must list objects with a material and a quantity of at least 1"
            raise Refused(self.bad_argument(job, "items", text))
        product = self.directory.product(material)
        if product is None or product["material"] != material:
            text = f"Material {material} is not defined"
            raise Refused(self._error(job, 400, "ZSD/001", text, sap_wire.SALES_ORDERS))
        return material, quantity

    def _header_fields(self, job: Job) -> dict[str, str]:
        fields = job.arguments.get("fields") or {}
        for name, value in fields.items():
            if name not in HEADER_FIELDS or type(value) is not str:
                raise Refused(self.bad_argument(job, "fields", f"argument 'fields': {name!r} cannot be set"))
        return dict(fields)

    def _check_etag(self, job: Job, record: dict[str, Any]) -> None:
        etag = job.arguments.get("etag")
        if etag is not None:
            self._compare(job, record, etag)

    def _compare(self, job: Job, record: dict[str, Any], etag: str) -> None:
        if etag not in ("*", self._etag(job, record)):
            raise Refused(sap_wire.etag_stale(job.call.key, self._now()))

    def _perform_member(self, member: Job) -> Answer:
        """Do one write of a change set; its key, if any, is that of the whole set."""
        key, member.call.idempotency_key = member.call.idempotency_key, None
        try:
            return self._perform(member)
        finally:
            member.call.idempotency_key = key

    def _unwritten(self, customer: Customer, number: str, items: list[tuple[str, int]]) -> dict[str, Any]:
        """The order as it would have been, where a fault lost the write."""
        total = sum((minor_units(self._priced(material)[1]) or 0) * quantity for material, quantity in items)
        return {
            "sales_order": number,
            "business_partner": customer.business_partner,
            "customer_id": customer.customer_id,
            "status": "open",
            "currency": "EUR",
            "total": decimal_text(total),
            "items": [{"material": material, "quantity": quantity} for material, quantity in items],
            "delivery_block": "",
            "placed_on": RUN_BEGINS.date().isoformat(),
        }


_HEADERS = {"content-type": "application/json;charset=utf-8", "dataserviceversion": "2.0"}


def _listed(rows: list[dict[str, Any]]) -> Answer:
    return Answer(200, _HEADERS.copy(), orjson.dumps({"d": {"results": rows}}))


def _item_row(number: str, currency: str, item: tuple[str, str, str, int, str]) -> dict[str, Any]:
    position, material, price, quantity, reason = item
    return {
        "SalesOrder": number,
        "SalesOrderItem": position,
        "Material": material,
        "RequestedQuantity": str(quantity),
        "NetAmount": decimal_text((minor_units(price) or 0) * quantity),
        "TransactionCurrency": currency,
        "SalesDocumentRjcnReason": reason,
    }


def _nobody(answer: Answer | None) -> None:
    """A member of a change set answers to nobody but the set."""
