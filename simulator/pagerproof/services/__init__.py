"""The simulated systems of record, and how to make the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pagerproof.errors import UsageError
from pagerproof.protocols import Service

if TYPE_CHECKING:
    from pydantic import BaseModel

NAMES = ("crm", "orders", "inventory", "payments", "kb", "sap", "llm")
"""The built-in services, in a fixed order."""


def builtin_services(parameters: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Service]:
    """Return every built-in service by name, made with what the scenario says about it.

    Raises UsageError for the name of no service, pydantic.ValidationError for parameters that it does not take.
    """
    said = parameters or {}
    for name in said:
        if name not in NAMES:
            near = get_close_matches(name, NAMES, n=1)
            raise UsageError(f"no service {name!r}{f'; did you mean {near[0]}?' if near else ''}")
    return {name: made(made.Parameters.model_validate(dict(said.get(name, {})))) for name, made in _classes().items()}


def parameter_models() -> dict[str, type[BaseModel]]:
    """Return what a scenario may say about each service, by the service's name."""
    return {name: made.Parameters for name, made in _classes().items()}


def _classes() -> dict[str, Any]:
    # Imported here, so that whoever only needs the catalogue does not pay for every service.
    from pagerproof.services.crm import CustomerService
    from pagerproof.services.inventory import InventoryService
    from pagerproof.services.kb import KnowledgeService
    from pagerproof.services.llm import LlmService
    from pagerproof.services.orders import OrderService
    from pagerproof.services.payments import PaymentService
    from pagerproof.services.sap import SapService

    classes = (
        CustomerService, OrderService, InventoryService, PaymentService, KnowledgeService, SapService, LlmService,
    )  # fmt: skip
    return {each.name: each for each in classes}
