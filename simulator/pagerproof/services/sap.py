"""SAP over OData V2: business partners, sales orders, stock, billing documents and credit memos."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, ClassVar

import orjson
from pydantic import Field

from pagerproof import sap_wire
from pagerproof.model import RUN_BEGINS, Answer, Customer
from pagerproof.rng import hex_id, key_of
from pagerproof.scenario.schema import Seconds
from pagerproof.services.base import ServiceParameters
from pagerproof.services.job import Job, Refused
from pagerproof.services.money import decimal_text, minor_units
from pagerproof.services.records import order_by, partner
from pagerproof.services.sap_protocol import CHANGES_MAX, ProtocolOperations

_ROOT = "https://sap.example/sap/opu/odata/sap/"
_ADDRESS = ("street", "city", "postcode", "country")
_STATUS = {"open": "A", "processing": "B", "shipped": "B", "delivered": "C", "cancelled": "C"}
_TODAY = RUN_BEGINS.date().isoformat()
_UNIX_DAY = date(1970, 1, 1).toordinal()


class SapParameters(ServiceParameters):
    """What a scenario may set about SAP. The evidence of each default stands in its description."""

    work_processes: int = Field(default=40, ge=2, description="dialog work processes, rdisp/wp_no_dia; assumed")
    http_min_wait: int = Field(
        default=1, ge=0, description="work processes kept free from HTTP, rdisp/http_min_wait_dia_wp = 1; documented"
    )
    queue_limit: int | None = Field(
        default=2000, ge=0, description="dispatcher queue, rdisp/elem_per_queue = 2000; documented"
    )
    run_limit: Seconds = Field(
        default=600.0, gt=0, description="longest run of a work process, rdisp/max_wprun_time = 600 s; documented"
    )
    processing_timeout: Seconds = Field(
        default=60.0,
        gt=0,
        description="PROCTIMEOUT, after which the ICM answers 500 and the work goes on; documented behaviour, the "
        "default is assumed after a third party (deployed: 120, 600, 3600 s)",
    )
    read_median: Seconds = Field(default=0.6, gt=0, description="median time of a read; assumed, none is published")
    read_sigma: float = Field(default=0.6, ge=0, description="sigma of the lognormal time of a read; assumed")
    write_median: Seconds = Field(default=1.5, gt=0, description="median time of a write; assumed, none is published")
    write_sigma: float = Field(default=0.6, ge=0, description="sigma of the lognormal time of a write; assumed")
    session_lifetime: Seconds = Field(
        default=3600.0, gt=0, description="life of a session and its CSRF token, where enforced; assumed"
    )
    enforce_session: bool = Field(default=False, description="refuse writes once the session is older; assumed")
    number_range_size: int | None = Field(
        default=None, ge=1, description="numbers left for sales orders and for credit memos each; none: no end; assumed"
    )
    quota_calls: int | None = Field(default=None, ge=1, description="calls admitted per quota window; none: no quota")
    quota_window: Seconds = Field(
        default=60.0, gt=0, description="length of the fixed quota window; that windows are fixed is documented"
    )


class SapService(ProtocolOperations):
    """An S/4 system behind its gateway.

    Credit memos are not deduplicated unless the call carries a RequestID, which is what its idempotency key is.

    The back end is a pool of dialog work processes with the dispatcher's queue before it. The client is answered at
    PROCTIMEOUT whatever becomes of the work: a 500 does not undo it, and it may still commit.
    """

    name = "sap"
    Parameters = SapParameters
    remembers_keys = True
    locks_by: ClassVar = {
        "BusinessPartner.update_address": "business_partner",
        "SalesOrder.update_quantity": "sales_order",
        "SalesOrder.cancel": "sales_order",
        "SalesOrder.release_block": "sales_order",
        "CreditMemo.create": "sales_order",
        "SalesOrder.add_item": "sales_order",
        "SalesOrder.reject_item": "sales_order",
        "SalesOrder.update_header": "sales_order",
        "SalesOrder.delete": "sales_order",
    }
    document_prefixes: ClassVar = {
        "credit_memo": "6",
        "sales_order": "2",
        "partner_address": "3",
        "sales_order_changed": "4",
        "sales_order_cancelled": "5",
        "block_released": "7",
        "sales_order_item": "8",
        "sales_order_item_rejected": "8",
        "sales_order_deleted": "0",
    }

    def open(self, world: Any) -> None:
        """Begin a run: fresh state, empty ledger, a new session."""
        self.answer_limit_s = self.parameters.processing_timeout
        self.run_limit_s = self.parameters.run_limit
        self._session_since = 0.0
        self._sessions = 0
        self._window = -1
        self._quota_used = 0
        super().open(world)

    def capacity(self) -> int:
        """Return the work processes that HTTP requests may use."""
        return max(1, int(self.parameters.work_processes) - int(self.parameters.http_min_wait))

    def extra_gauges(self) -> Mapping[str, Callable[[], float]]:
        """The session's age, the quota used in the present window, the numbers left."""
        return {
            "session.age_s": lambda: self._now() - self._session_since,
            "quota.used": lambda: float(self._quota_used if self._window == self._window_now() else 0),
        }

    # -- the gateway -------------------------------------------------------------------------------------------------

    def admit(self, job: Job) -> Answer | None:
        """Refuse at the gateway what its quota, its connections or the session do not allow."""
        parameters = self.parameters
        if parameters.quota_calls is not None:
            window = self._window_now()
            if window != self._window:
                self._window, self._quota_used = window, 0
            if self._quota_used >= parameters.quota_calls:
                left_s = (window + 1) * parameters.quota_window - self._now()
                return sap_wire.quota_exceeded(max(1, math.ceil(left_s)))
            self._quota_used += 1
        if job.plan.operation.name != "Session.open" and self._session_is_over(job):
            return sap_wire.csrf_required()
        return super().admit(job)

    def _session_is_over(self, job: Job) -> bool:
        if job.disturbed.expire_session:
            return True
        parameters = self.parameters
        if not (parameters.enforce_session and job.plan.writes):
            return False
        return bool(self._now() - self._session_since > parameters.session_lifetime)

    def _window_now(self) -> int:
        return int(self._now() // self.parameters.quota_window)

    def overloaded(self, job: Job) -> Answer:  # noqa: ARG002  # the base class's signature
        """The dispatcher's queue is full."""
        return sap_wire.overloaded()

    def locked(self, job: Job, entity: str) -> Answer:
        """Another user has the document: a 400 with VL/045."""
        if job.plan.lock == "business_partner":
            return self._error(job, 400, "ZBP/001", f"Business partner {entity} is locked by user AGENT7.",
                               sap_wire.PARTNERS)  # fmt: skip
        return sap_wire.lock_held(job.call.key, self._now(), entity)

    def early_answer(self, job: Job) -> Answer:  # noqa: ARG002  # the base class's signature
        """The ICM's page at PROCTIMEOUT."""
        return sap_wire.processing_timeout()

    def cut_answer(self, job: Job) -> Answer:
        """The dump TIME_OUT."""
        return sap_wire.run_limit_dump(job.call.key, self._now())

    def problem(self, status: int, code: str, message: str, **headers: str) -> Answer:
        """Return an error in the framework's shape."""
        return sap_wire.error(status, sap_wire.framework_code(code), message, key=0, now_s=self._now(), headers=headers)

    def bad_argument(self, job: Job, argument: str, message: str) -> Answer:
        """Return the 400 of a malformed request."""
        return sap_wire.error(
            400, sap_wire.framework_code("malformed"), message, key=job.call.key, now_s=self._now(), target=argument
        )

    def document(self, job: Job) -> str:
        """Return a ten-digit number: kind, execution, request and call; real ranges count, see the base class."""
        prefix = self.document_prefixes[job.plan.operation.effect_kind]
        # A change set has ten numbers of each kind; its duplicate delivery takes those of the calls fifty on.
        call = (job.call.number + 50 * (job.copy // CHANGES_MAX)) % 100
        return f"{prefix}{job.copy % 10}{job.call.case.index % 1_000_000:06d}{call:02d}"

    # -- operations --------------------------------------------------------------------------------------------------

    def session_open(self, job: Job) -> Answer:  # noqa: ARG002  # a handler's signature
        """Fetch a CSRF token; the session begins anew."""
        self._session_since = self._now()
        self._sessions += 1
        token = hex_id(key_of(self.seed, "csrf token", self._sessions), 24)
        return Answer(200, {**_headers(), "x-csrf-token": token}, b'{"d":{}}')

    def businesspartner_get(self, job: Job) -> Answer:
        """Read a business partner with its address."""
        customer = self._partner(job)
        street, city, postcode, country = self.changed(
            job,
            (job.call.case.index, customer.business_partner),
            "address",
            (customer.street, customer.city, customer.postcode, customer.country),
        )
        return self._entity(
            "API_BUSINESS_PARTNER/A_BusinessPartner",
            customer.business_partner,
            {
                "BusinessPartner": customer.business_partner,
                "BusinessPartnerFullName": customer.name,
                "BusinessPartnerIsBlocked": False,
                "StreetName": street,
                "CityName": city,
                "PostalCode": postcode,
                "Country": country,
            },
        )

    def businesspartner_update_address(self, job: Job) -> Answer:
        """Change a business partner's address; as in the CRM, the calling request alone sees it."""
        customer = self._partner(job)
        address = tuple((name, job.arguments[name]) for name in _ADDRESS)
        self.commit(job, customer.business_partner, customer.customer_id, details=address)
        scope = (job.call.case.index, customer.business_partner)
        self.change(job, scope, "address", tuple(text for _, text in address))
        return self.businesspartner_get(job)

    def salesorder_get(self, job: Job) -> Answer:
        """Read a sales order."""
        return self._sales_order_answer(job, self._sales_order(job))

    def salesorder_create(self, job: Job) -> Answer:
        """Create a sales order; the number range must have a number left."""
        customer = self._partner(job)
        material, quantity = job.arguments["material"], self._quantity(job)
        product = self.directory.product(material)
        if product is None or product["material"] != material:
            text = f"Material {material} is not defined"
            raise Refused(self._error(job, 400, "ZSD/001", text, sap_wire.SALES_ORDERS))
        self._take_number(job, "sales_order")
        number = self.commit(
            job,
            customer.business_partner,
            customer.customer_id,
            details=(("material", material), ("quantity", str(quantity))),
        )
        self.change(job, number, "created", (customer.business_partner, material, quantity))
        self.remember_made(job, number)
        return self._sales_order_answer(job, _made(number, customer, product, quantity), status=201)

    def salesorder_update_quantity(self, job: Job) -> Answer:
        """Change the quantity of an item. A stale If-Match (argument etag) is refused with 412."""
        record = self._changeable(job)
        number, item, quantity = record["sales_order"], job.arguments["item"], self._quantity(job)
        position = item.lstrip("0")
        if position not in [each[0] for each in self._items(job, record)]:
            raise Refused(sap_wire.not_found(job.call.key, self._now(), f"Item {item[:20]}", sap_wire.SALES_ORDERS))
        etag = job.arguments.get("etag")
        if etag is not None and etag != self._etag(job, record):
            raise Refused(sap_wire.etag_stale(job.call.key, self._now()))
        details = (("item", item), ("quantity", str(quantity)))
        self.commit(job, number, record["customer_id"], details=details)
        self.change(job, number, f"quantity {position}", quantity)
        self._touch(job, number)
        return self._sales_order_answer(job, record)

    def salesorder_cancel(self, job: Job) -> Answer:
        """Cancel a sales order: every item is rejected."""
        record = self._changeable(job)
        self.commit(job, record["sales_order"], record["customer_id"])
        self.change(job, record["sales_order"], "cancelled", True)
        self._touch(job, record["sales_order"])
        return self._sales_order_answer(job, record)

    def salesorder_release_block(self, job: Job) -> Answer:
        """Release the delivery block."""
        record = self._changeable(job)
        number = record["sales_order"]
        if not self.changed(job, number, "block", record["delivery_block"]):
            text = f"Sales order {number} has no delivery block"
            raise Refused(self._error(job, 400, "ZSD/002", text, sap_wire.SALES_ORDERS))
        self.commit(job, number, record["customer_id"])
        self.change(job, number, "block", "")
        self._touch(job, number)
        return self._sales_order_answer(job, record)

    def materialstock_get(self, job: Job) -> Answer:
        """Read the stock of a material."""
        material = job.arguments["material"]
        product = self.directory.product(material)
        if product is None or product["material"] != material:
            raise Refused(sap_wire.not_found(job.call.key, self._now(), f"Material {material}", sap_wire.STOCK))
        return self._entity(
            "API_MATERIAL_STOCK_SRV/A_MaterialStock",
            material,
            {
                "Material": material,
                "Plant": product["plant"],
                "MatlWrhsStkQtyInMatlBaseUnit": f"{product['stock']}.000",
            },
        )

    def billingdocument_get(self, job: Job) -> Answer:
        """Read a billing document."""
        number = job.arguments["billing_document"]
        record = order_by(self.directory, "billing_document", number)
        if record is None:
            raise Refused(sap_wire.not_found(job.call.key, self._now(), f"Billing document {number}", sap_wire.BILLING))
        return self._entity(
            "API_BILLING_DOCUMENT_SRV/A_BillingDocument",
            number,
            {
                "BillingDocument": number,
                "SalesOrder": record["sales_order"],
                "TotalNetAmount": record["billed_amount"],
                "TransactionCurrency": record["currency"],
            },
        )

    def creditmemo_create(self, job: Job) -> Answer:
        """Create a credit memo request. Asked twice it creates two: only a RequestID protects."""
        record = self._sales_order(job)
        number, currency = record["sales_order"], record["currency"]
        amount = minor_units(job.arguments["amount"])
        if amount is None or amount <= 0:
            raise Refused(self.bad_argument(job, "amount", f"Invalid value for property 'TotalNetAmount': "
                                                           f"{job.arguments['amount']}"))  # fmt: skip
        if job.arguments["currency"] != currency:
            text = f"Currency {job.arguments['currency']} differs from document currency {currency}"
            raise Refused(self._error(job, 400, "ZSD/004", text, sap_wire.CREDIT_MEMOS))
        self._take_number(job, "credit_memo")
        memo = self.commit(job, number, record["customer_id"], amount_minor=amount, currency=currency)
        text = job.arguments["amount"]
        self.change(job, number, "memos", (*self.present(number, "memos", ()), memo, text))
        self.change(job, ("memo", memo), "made", (number, text, currency))
        return self._entity(
            "API_CREDIT_MEMO_REQUEST_SRV/A_CreditMemoRequest",
            memo,
            {
                "CreditMemoRequest": memo,
                "SalesOrder": number,
                "TotalNetAmount": text,
                "TransactionCurrency": currency,
            },
            status=201,
        )

    def creditmemo_find(self, job: Job) -> Answer:
        """Find the credit memos of a sales order."""
        record = self._sales_order(job)
        flat = self.changed(job, record["sales_order"], "memos", ())
        results = [
            {
                "__metadata": _metadata("API_CREDIT_MEMO_REQUEST_SRV/A_CreditMemoRequest", flat[i]),
                "CreditMemoRequest": flat[i],
                "TotalNetAmount": flat[i + 1],
                "TransactionCurrency": record["currency"],
            }
            for i in range(0, len(flat), 2)
        ]
        return Answer(200, _headers(), orjson.dumps({"d": {"results": results}}))

    # -- records -----------------------------------------------------------------------------------------------------

    def _partner(self, job: Job) -> Customer:
        number = job.arguments["business_partner"]
        customer = partner(self.directory, number)
        if customer is None:
            raise Refused(
                sap_wire.not_found(job.call.key, self._now(), f"Business partner {number}", sap_wire.PARTNERS)
            )
        return customer

    def _sales_order(self, job: Job) -> dict[str, Any]:
        number = job.arguments["sales_order"]
        record = order_by(self.directory, "sales_order", number) or self._created(number)
        if record is None or self.changed(job, number, "deleted", False):
            raise Refused(sap_wire.not_found(job.call.key, self._now(), f"Sales order {number}", sap_wire.SALES_ORDERS))
        return record

    def _changeable(self, job: Job) -> dict[str, Any]:
        record = self._sales_order(job)
        number = record["sales_order"]
        if self.changed(job, number, "cancelled", record["status"] == "cancelled"):
            raise Refused(
                self._error(job, 400, "ZSD/003", f"Sales order {number} is rejected completely", sap_wire.SALES_ORDERS)
            )
        return record

    def _created(self, number: str) -> dict[str, Any] | None:
        """The order of this number if it was created in this run."""
        made = self.present(number, "created", None)
        if made is None:
            return None
        business_partner, material, quantity = made
        customer = partner(self.directory, business_partner)
        assert customer is not None
        if not material:
            return self._unwritten(customer, number, [])
        product = self.directory.product(material)
        assert product is not None
        return _made(number, customer, product, quantity)

    def _sales_order_answer(self, job: Job, record: dict[str, Any], *, status: int = 200) -> Answer:
        number = record["sales_order"]
        pairs = self.changes(job, number)
        first = record["items"][0] if record["items"] else {"material": "", "quantity": 0}
        quantity, total, header = first["quantity"], record["total"], {}
        block, progress, rejected = record["delivery_block"], _STATUS[record["status"]], record["status"] == "cancelled"
        if pairs:
            quantity = self.changed(job, number, "quantity 10", quantity)
            block = self.changed(job, number, "block", block)
            rejected = self.changed(job, number, "cancelled", rejected)
            total = self._total(job, record)
            header = self.changed(job, number, "header", {})
        etag = self._etag(job, record)
        version = self.changed(job, number, "version", 0) if pairs else 0
        return self._entity(
            "API_SALES_ORDER_SRV/A_SalesOrder",
            number,
            {
                "SalesOrder": number,
                "SalesOrderType": "OR",
                "SoldToParty": record["business_partner"],
                "TransactionCurrency": record["currency"],
                "TotalNetAmount": total,
                "OverallSDProcessStatus": "C" if rejected else progress,
                "OverallSDDocumentRejectionSts": "C" if rejected else "A",
                "DeliveryBlockReason": block,
                "LastChangeDateTime": f"/Date({_eight_o_clock(record['placed_on']) + version * 1000}+0000)/",
                "Material": first["material"],
                "RequestedQuantity": str(quantity),
                **header,
            },
            status=status,
            etag=etag,
        )

    def _total(self, job: Job, record: dict[str, Any]) -> str:
        """The net amount with the items that were added since; a changed quantity is not priced again."""
        added = self.changed(job, record["sales_order"], "added", ())
        extra = sum((minor_units(self._priced(material)[1]) or 0) * quantity for material, quantity in added)
        return decimal_text((minor_units(record["total"]) or 0) + extra) if added else str(record["total"])

    def _etag(self, job: Job, record: dict[str, Any]) -> str:
        """The weak ETag of LastChangeDateTime: the day of the order at eight, one second on per change."""
        seconds = self.changed(job, record["sales_order"], "version", 0)
        minute, second = divmod(seconds, 60)
        return f"W/\"datetimeoffset'{record['placed_on']}T08%3A{minute:02d}%3A{second:02d}.0000000Z'\""

    def _touch(self, job: Job, number: str) -> None:
        self.change(job, number, "version", self.present(number, "version", 0) + 1)

    def _quantity(self, job: Job) -> int:
        quantity: int = job.arguments["quantity"]
        if quantity < 1:
            raise Refused(self.bad_argument(job, "quantity", "argument 'quantity' must be at least 1"))
        return quantity

    def _take_number(self, job: Job, kind: str) -> None:
        size = self.parameters.number_range_size
        if size is not None and self._issued[kind] >= size:
            raise Refused(sap_wire.number_range_exhausted(job.call.key, self._now(), kind.replace("_", " ")))

    # -- the wire ----------------------------------------------------------------------------------------------------

    def _entity(
        self, entity_set: str, number: str, fields: dict[str, Any], *, status: int = 200, etag: str = ""
    ) -> Answer:
        headers = _headers()
        if etag:
            headers["etag"] = etag
        data = {"__metadata": _metadata(entity_set, number, etag), **fields}
        return Answer(status, headers, orjson.dumps({"d": data}))

    def _error(self, job: Job, status: int, code: str, text: str, application: tuple[str, str]) -> Answer:
        # Where no recorded answer was found, the code comes from a customer's own message class (Z...): assumed.
        return sap_wire.error(status, code, text, key=job.call.key, now_s=self._now(), application=application)


def _made(number: str, customer: Customer, product: dict[str, Any], quantity: int) -> dict[str, Any]:
    """A sales order that was created in this run, in the shape of the directory's records."""
    return {
        "sales_order": number,
        "business_partner": customer.business_partner,
        "customer_id": customer.customer_id,
        "status": "open",
        "currency": product["currency"],
        "total": decimal_text((minor_units(product["price"]) or 0) * quantity),
        "items": [{"material": product["material"], "quantity": quantity}],
        "delivery_block": "",
        "placed_on": _TODAY,
    }


def _headers() -> dict[str, str]:
    return {"content-type": "application/json;charset=utf-8", "dataserviceversion": "2.0"}


def _metadata(entity_set: str, number: str, etag: str = "") -> dict[str, str]:
    uri = f"{_ROOT}{entity_set}('{number}')"
    service, _, name = entity_set.partition("/")
    metadata = {"id": uri, "uri": uri, "type": f"{service}.{name}Type"}
    if etag:
        metadata["etag"] = etag
    return metadata


@lru_cache(maxsize=512)
def _eight_o_clock(day: str) -> int:
    """Milliseconds from 1970 to eight in the morning of `day`."""
    return ((date.fromisoformat(day).toordinal() - _UNIX_DAY) * 86_400 + 8 * 3600) * 1000
