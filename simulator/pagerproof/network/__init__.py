"""Simulated network: connections in memory below the HTTP client, and the server at their other end."""

from pagerproof.network.hosts import Handler, Hosts
from pagerproof.network.simulated import Connecting, SimulatedNetwork

__all__ = ["Connecting", "Handler", "Hosts", "SimulatedNetwork"]
