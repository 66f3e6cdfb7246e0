"""Faults: what goes wrong with a call, when, and the books on what of it reached the agent."""

from pagerproof.faults.injector import FaultInjector
from pagerproof.faults.ledger import DeliveryRow

__all__ = ["DeliveryRow", "FaultInjector"]
