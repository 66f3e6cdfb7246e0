"""The REST routes of the built-in services: one table, from which the routes and the OpenAPI documents are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pagerproof.model import Operation
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.services.routes import Place, Route

_CUSTOMER: Final = "/customers/{customer_id}"
_ORDER: Final = "/orders/{order_id}"

# (service, method, path, operation, status of a success)
_TABLE: Final = (
    ("crm", "GET", "/customers", "Customer.find", 200),
    ("crm", "GET", _CUSTOMER, "Customer.get", 200),
    ("crm", "POST", f"{_CUSTOMER}/verification", "Customer.verify", 200),
    ("crm", "PUT", f"{_CUSTOMER}/address", "Customer.update_address", 200),
    ("crm", "PATCH", f"{_CUSTOMER}/contact", "Customer.update_contact", 200),
    ("crm", "POST", f"{_CUSTOMER}/password-resets", "Password.reset", 201),
    ("crm", "GET", f"{_CUSTOMER}/subscription", "Subscription.get", 200),
    ("crm", "PATCH", f"{_CUSTOMER}/subscription", "Subscription.change", 200),
    ("crm", "DELETE", f"{_CUSTOMER}/subscription", "Subscription.cancel", 200),
    ("crm", "GET", f"{_CUSTOMER}/appointment-slots", "Appointment.slots", 200),
    ("crm", "POST", f"{_CUSTOMER}/appointments", "Appointment.book", 201),
    ("crm", "GET", f"{_CUSTOMER}/loyalty", "Loyalty.get", 200),
    ("crm", "POST", f"{_CUSTOMER}/tickets", "Ticket.create", 201),
    ("crm", "POST", f"{_CUSTOMER}/notes", "Note.create", 201),
    ("orders", "GET", "/orders", "Order.list", 200),
    ("orders", "GET", _ORDER, "Order.get", 200),
    ("orders", "POST", f"{_ORDER}/cancel", "Order.cancel", 200),
    ("orders", "PUT", f"{_ORDER}/address", "Order.change_address", 200),
    ("orders", "PATCH", f"{_ORDER}/items/{{sku}}", "Order.change_item", 200),
    ("orders", "GET", f"{_ORDER}/shipment", "Shipment.track", 200),
    ("orders", "POST", f"{_ORDER}/returns", "Return.create", 201),
    ("orders", "GET", f"{_ORDER}/returns", "Return.find", 200),
    ("orders", "POST", f"{_ORDER}/exchanges", "Exchange.create", 201),
    ("inventory", "GET", "/products/{sku}", "Product.get", 200),
    ("inventory", "GET", "/products/{sku}/stock", "Stock.get", 200),
    ("inventory", "POST", "/products/{sku}/reservations", "Stock.reserve", 201),
    ("payments", "GET", "/payments", "Payment.list", 200),
    ("payments", "GET", "/payments/{payment_id}", "Payment.get", 200),
    ("payments", "POST", "/payments/{payment_id}/refunds", "Refund.create", 201),
    ("payments", "GET", "/payments/{payment_id}/refunds", "Refund.find", 200),
    ("kb", "GET", "/articles", "Article.search", 200),
    ("kb", "GET", "/policies/{topic}", "Policy.get", 200),
)

REST_SERVICES: Final = tuple(dict.fromkeys(row[0] for row in _TABLE))
"""The services that have a REST interface; SAP and the model provider have protocols of their own."""


def route_of(operation: Operation, method: str, path: str, status: int = 200) -> Route:
    """Return a route whose arguments are in the path where it names them, else in the query or a JSON object."""
    elsewhere: Place = "query" if method in ("GET", "DELETE") else "body"
    places: dict[str, Place] = {
        name: "path" if f"{{{name}}}" in path.split("/") else elsewhere for name in operation.arguments
    }
    body: bool = "body" in places.values()
    return Route(
        method=method,
        path=path,
        operation=operation,
        places=places,
        body="fields" if body else "none",
        status=status,
    )


ROUTES: Final[Mapping[str, tuple[Route, ...]]] = {
    service: tuple(
        route_of(OPERATIONS[f"{service}.{operation}"], method, path, status)
        for owner, method, path, operation, status in _TABLE
        if owner == service
    )
    for service in REST_SERVICES
}
"""The routes of each service, in the order of its document."""
