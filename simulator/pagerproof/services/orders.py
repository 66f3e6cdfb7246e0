"""Order management: orders, shipments, returns and exchanges."""

from __future__ import annotations

from typing import Any, ClassVar

from pagerproof.model import Answer
from pagerproof.services.base import SimulatedService
from pagerproof.services.job import Job, Refused
from pagerproof.services.records import order_by, own_order

_BEFORE = {"delivered": "shipped", "shipped": "processing", "processing": "open"}  # what a lagging copy still says
_ADDRESS = ("street", "city", "postcode", "country")


class OrderService(SimulatedService):
    """The web shop's order management. An order can be changed until it is shipped."""

    name = "orders"
    locks_by: ClassVar = {
        "Order.cancel": "order_id",
        "Order.change_address": "order_id",
        "Order.change_item": "order_id",
        "Return.create": "order_id",
        "Exchange.create": "order_id",
    }
    document_prefixes: ClassVar = {
        "order_cancelled": "CN",
        "order_address": "AC",
        "order_item": "IC",
        "return": "RT",
        "exchange": "EX",
    }

    def order_get(self, job: Job) -> Answer:
        """Read an order."""
        record = self._order(job)
        order_id = record["order_id"]
        customer = self.directory.customer(record["customer_id"])
        return self.answer(
            {
                "order_id": order_id,
                "customer_id": record["customer_id"],
                "email": "" if customer is None else customer.email,
                "status": self._status(job, record),
                "currency": record["currency"],
                "total": record["total"],
                "items": self._items(job, record),
                "payment_id": record["payment_id"],
                "billing_document": record["billing_document"],
                "sales_order": record["sales_order"],
                "placed_on": record["placed_on"],
                "eta": record["eta"],
                "address": self._address(job, record),
            }
        )

    def order_list(self, job: Job) -> Answer:
        """List the customer's orders: the one of this request, where it is theirs."""
        customer_id = job.arguments["customer_id"]
        if self.directory.customer(customer_id) is None:
            raise Refused(self.problem(404, "customer_not_found", f"No customer {customer_id}."))
        index = job.call.case.index + (1 if job.disturbed.record_of else 0)
        record = own_order(self.directory, index)
        orders: list[dict[str, Any]] = []
        if record is not None and (record["customer_id"] == customer_id or job.disturbed.record_of):
            orders.append(
                {
                    "order_id": record["order_id"],
                    "status": self._status(job, record),
                    "total": record["total"],
                    "currency": record["currency"],
                }
            )
        return self.answer({"customer_id": customer_id, "orders": orders})

    def order_cancel(self, job: Job) -> Answer:
        """Cancel an order that has not been shipped."""
        record = self._changeable(job)
        self.commit(job, record["order_id"], record["customer_id"])
        self.change(job, record["order_id"], "status", "cancelled")
        return self.answer({"order_id": record["order_id"], "status": "cancelled"})

    def order_change_address(self, job: Job) -> Answer:
        """Redirect an order that has not been shipped."""
        record = self._changeable(job)
        arguments = job.arguments
        address = tuple((name, arguments[name]) for name in _ADDRESS)
        self.commit(job, record["order_id"], record["customer_id"], details=address)
        self.change(job, record["order_id"], "address", tuple(text for _, text in address))
        return self.answer({"order_id": record["order_id"], "address": dict(address)})

    def order_change_item(self, job: Job) -> Answer:
        """Swap an item of an order that has not been shipped."""
        record = self._changeable(job)
        sku, new_sku = self._swap(job, record)
        self.commit(job, record["order_id"], record["customer_id"], details=(("sku", sku), ("new_sku", new_sku)))
        self.change(job, record["order_id"], f"item {sku}", new_sku)
        return self.answer({"order_id": record["order_id"], "sku": new_sku})

    def shipment_track(self, job: Job) -> Answer:
        """Track the shipment of an order."""
        record = self._order(job)
        return self.answer(
            {
                "order_id": record["order_id"],
                "status": self._status(job, record),
                "carrier": record["carrier"],
                "tracking": record["tracking"],
                "eta": record["eta"],
            }
        )

    def return_create(self, job: Job) -> Answer:
        """Open a return for one item."""
        record = self._not_cancelled(job)
        order_id, sku = record["order_id"], self._item(job, record)
        return_id = self.commit(job, order_id, record["customer_id"], details=(("sku", sku),))
        self.change(job, order_id, "returns", (*self.present(order_id, "returns", ()), return_id, sku))
        label = f"https://returns.example/{return_id}.pdf"
        return self.answer({"return_id": return_id, "order_id": order_id, "sku": sku, "label": label})

    def return_find(self, job: Job) -> Answer:
        """Find the returns of an order."""
        order_id = self._order(job)["order_id"]
        flat = self.changed(job, order_id, "returns", ())
        returns = [{"return_id": flat[i], "sku": flat[i + 1]} for i in range(0, len(flat), 2)]
        return self.answer({"order_id": order_id, "returns": returns})

    def exchange_create(self, job: Job) -> Answer:
        """Exchange an item for another product."""
        record = self._not_cancelled(job)
        sku, new_sku = self._swap(job, record)
        details = (("sku", sku), ("new_sku", new_sku))
        exchange_id = self.commit(job, record["order_id"], record["customer_id"], details=details)
        return self.answer({"exchange_id": exchange_id, "order_id": record["order_id"], "sku": sku, "new_sku": new_sku})

    def _order(self, job: Job) -> dict[str, Any]:
        order_id = job.arguments["order_id"]
        record = order_by(self.directory, "order_id", order_id)
        if record is None:
            raise Refused(self.problem(404, "order_not_found", f"No order {order_id}."))
        return record

    def _changeable(self, job: Job) -> dict[str, Any]:
        record = self._order(job)
        status = self._status(job, record)
        if status not in ("open", "processing"):
            raise Refused(self.problem(409, "order_" + status, f"Order {record['order_id']} is {status}."))
        return record

    def _not_cancelled(self, job: Job) -> dict[str, Any]:
        record = self._order(job)
        if self._status(job, record) == "cancelled":
            raise Refused(self.problem(409, "order_cancelled", f"Order {record['order_id']} is cancelled."))
        return record

    def _status(self, job: Job, record: dict[str, Any]) -> str:
        status: str = record["status"]
        if job.disturbed.stale:
            return status if record["order_id"] in self._changed else _BEFORE.get(status, status)
        return str(self.changed(job, record["order_id"], "status", status))

    def _address(self, job: Job, record: dict[str, Any]) -> dict[str, str]:
        changed = self.changed(job, record["order_id"], "address", None)
        if changed is not None:
            return dict(zip(_ADDRESS, changed, strict=True))
        return {name: record[name] for name in _ADDRESS}

    def _items(self, job: Job, record: dict[str, Any]) -> list[dict[str, Any]]:
        pairs = self.changes(job, record["order_id"])
        if not pairs:
            return [
                {"sku": item["sku"], "name": item["name"], "quantity": item["quantity"], "price": item["price"]}
                for item in record["items"]
            ]
        items = []
        for item in record["items"]:
            sku = self.changed(job, record["order_id"], f"item {item['sku']}", item["sku"])
            product = item if sku == item["sku"] else self.directory.product(sku) or item
            items.append({"sku": sku, "name": product["name"], "quantity": item["quantity"], "price": item["price"]})
        return items

    def _item(self, job: Job, record: dict[str, Any]) -> str:
        sku: str = job.arguments["sku"]
        if all(item["sku"] != sku for item in self._items(job, record)):
            message = f"argument 'sku': order {record['order_id']} has no item {sku}"
            raise Refused(self.problem(422, "item_not_in_order", message))
        return sku

    def _swap(self, job: Job, record: dict[str, Any]) -> tuple[str, str]:
        new_sku: str = job.arguments["new_sku"]
        if self.directory.product(new_sku) is None:
            raise Refused(self.problem(422, "product_not_found", f"argument 'new_sku': no product {new_sku}"))
        return self._item(job, record), new_sku
