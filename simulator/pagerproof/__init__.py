"""Pagerproof simulates the 10,001st request of an agent system before production does."""

__version__ = "0.1.0"

from pagerproof.model import Reply, ReplyStatus, Request
from pagerproof.tools import BadAnswer, ConnectionLost, Desk, Message, ToolError, ToolResult, ToolTimeout

__all__ = [
    "BadAnswer",
    "ConnectionLost",
    "Desk",
    "Message",
    "Reply",
    "ReplyStatus",
    "Request",
    "ToolError",
    "ToolResult",
    "ToolTimeout",
]
