"""Pagerproof simulates the 10,001st request of an agent system before production does."""

__version__ = "0.1.0"
