"""The simulated systems of record, and how to make the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from pagerproof.errors import UsageError
from pagerproof.plugins import Plugin, plugins
from pagerproof.protocols import Service

if TYPE_CHECKING:
    from pydantic import BaseModel

NAMES = ("crm", "orders", "inventory", "payments", "kb", "sap", "llm")
"""The built-in services, in a fixed order."""


def service_names() -> tuple[str, ...]:
    """Return the names of the built-in services, and after them those of plug-ins, none of which is imported."""
    return (*NAMES, *plugins("services", NAMES))


def make_services(parameters: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Service]:
    """Return every service by name, plug-ins' last, made with what the scenario says about it.

    Raises UsageError for the name of no service, pydantic.ValidationError for parameters that it does not take.
    """
    said = parameters or {}
    names = service_names()
    for name in said:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            raise UsageError(f"no service {name!r}{f'; did you mean {near[0]}?' if near else ''}")
    return {name: made(made.Parameters.model_validate(dict(said.get(name, {})))) for name, made in _classes().items()}


def parameter_models() -> dict[str, type[BaseModel]]:
    """Return what a scenario may say about each service, by the service's name."""
    return {name: made.Parameters for name, made in _classes().items()}


@cache
def plugin_services() -> Mapping[str, Any]:
    """Return the classes of plug-ins' services by name; from then on the catalogue knows their operations.

    Raises UsageError, which names the plug-in.
    """
    return {name: _checked(plugin) for name, plugin in plugins("services", NAMES).items()}


def _checked(plugin: Plugin) -> Any:
    from pagerproof.services.base import SimulatedService
    from pagerproof.services.catalogue import add_operations

    made = plugin.load()
    if not (isinstance(made, type) and issubclass(made, SimulatedService)):
        raise plugin.refused("it is no subclass of pagerproof.services.base.SimulatedService")
    if made.name != plugin.name:
        raise plugin.refused(f"it calls itself {made.name!r}: the two names must be one")
    if not made.own_operations:
        raise plugin.refused("own_operations names no operation")
    for operation in made.own_operations:
        if operation.service != made.name:
            raise plugin.refused(f"its operation {operation.full_name} belongs to {operation.service!r}")
        method = operation.name.replace(".", "_").lower()
        if not hasattr(made, method):
            raise plugin.refused(f"it has no method {method}(job) for {operation.full_name}")
    add_operations(made.own_operations)
    return made


def _classes() -> dict[str, Any]:
    # Plug-ins first: when the simulated model is imported, it looks up once which operations write.
    added = plugin_services()
    return builtin_classes() | dict(added)


def builtin_classes() -> dict[str, Any]:
    """Return the classes of the built-in services by name."""
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
