"""Inventory: products, stock and reservations."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from pagerproof.model import Answer
from pagerproof.services.base import ServiceParameters, SimulatedService
from pagerproof.services.job import Job, Refused


class InventoryParameters(ServiceParameters):
    """What a scenario may set about the inventory."""

    deplete: bool = Field(
        default=False,
        description="whether reservations use stock up for everybody; off, so that one request's reservation does not "
        "change another request's answer; assumed",
    )


class InventoryService(SimulatedService):
    """The warehouse's view of products."""

    name = "inventory"
    Parameters = InventoryParameters
    document_prefixes: ClassVar = {"reservation": "RS"}

    def product_get(self, job: Job) -> Answer:
        """Read a product."""
        product = self._product(job)
        return self.answer({name: product[name] for name in ("sku", "name", "material", "price", "currency")})

    def stock_get(self, job: Job) -> Answer:
        """Read the stock of a product."""
        product = self._product(job)
        return self.answer(
            {"sku": product["sku"], "available": self._available(job, product), "plant": product["plant"]}
        )

    def stock_reserve(self, job: Job) -> Answer:
        """Reserve stock for an order."""
        product = self._product(job)
        sku, quantity, order_id = product["sku"], job.arguments["quantity"], job.arguments["order_id"]
        if quantity < 1:
            raise Refused(self.problem(422, "invalid_argument", "argument 'quantity' must be at least 1"))
        record = self.directory.order(order_id)
        if record is None:
            raise Refused(self.problem(422, "order_not_found", f"argument 'order_id': no order {order_id}"))
        available = self._available(job, product)
        if quantity > available:
            raise Refused(self.problem(409, "out_of_stock", f"Only {available} of {sku} are available."))
        details = (("quantity", str(quantity)), ("order_id", order_id))
        reservation_id = self.commit(job, sku, record["customer_id"], details=details)
        if self.parameters.deplete:
            self.change(job, sku, "reserved", self.present(sku, "reserved", 0) + quantity)
        return self.answer({"reservation_id": reservation_id, "sku": sku, "quantity": quantity})

    def _available(self, job: Job, product: dict[str, Any]) -> int:
        return max(0, int(product["stock"]) - int(self.changed(job, product["sku"], "reserved", 0)))

    def _product(self, job: Job) -> dict[str, Any]:
        sku = job.arguments["sku"]
        product = self.directory.product(sku)
        if product is None or product["sku"] != sku:
            raise Refused(self.problem(404, "product_not_found", f"No product {sku}."))
        return product
