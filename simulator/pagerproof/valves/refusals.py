"""What a valve raises instead of an answer; every one is a ToolError, so an agent that handles those handles these."""

from __future__ import annotations

from pagerproof.tools import ToolError


class ValveRefusal(ToolError):
    """A valve did not let the call through, or cannot vouch for what became of it."""


class BudgetExceeded(ValveRefusal):
    """The request has used up its tool calls, or asks the same thing again and again."""


class BreakerOpen(ValveRefusal):
    """The circuit of this operation is open and nothing remembered may stand in for an answer."""


class DeadlineExceeded(ValveRefusal, TimeoutError):
    """Too little of the request's time is left for this call."""


class OffPath(ValveRefusal):
    """The golden policy knows no such write for this kind of request."""


class Uncertain(ValveRefusal):
    """A write may or may not have happened, and looking it up could not settle it."""
