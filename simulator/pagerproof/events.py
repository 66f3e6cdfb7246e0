"""The vocabulary of the trace: one event is one tuple, and these are its kinds and its columns."""

from __future__ import annotations

from typing import Final

Event = tuple[float, str, str, int, int, str]
"""(time in seconds, kind, name, call number or 0, status or 0, detail)."""

TIME: Final = 0
KIND: Final = 1
NAME: Final = 2
CALL: Final = 3
STATUS: Final = 4
DETAIL: Final = 5

ARRIVED: Final = "arrived"  # name: channel, detail: intent
STARTED: Final = "started"  # an agent worker took the request
CALLED: Final = "called"  # name: operation, detail: canonical arguments (for the model: role, messages, tools)
ANSWERED: Final = "answered"  # name: operation, status, detail: xxh3 of the body as the agent got it
TIMED_OUT: Final = "timed_out"  # name: operation, detail: the call's time-out
BROKE: Final = "broke"  # name: operation, detail: what happened to the connection
CANCELLED: Final = "cancelled"  # name: operation: the agent gave the call up
FAULT: Final = "fault"  # name: fault id, detail: drawn, limited:..., preempted:..., cancelled:..., delivered, seen
LEDGER: Final = "ledger"  # name: service.kind, detail: document entity amount
VALVE: Final = "valve"  # name: valve, detail: what it did
AGENT: Final = "agent"  # name: what the agent did (hand_over, role)
NOTE: Final = "note"  # detail: a line of reasoning
REPLIED: Final = "replied"  # name: reply status, detail: the text
CRASHED: Final = "crashed"  # name: exception class, detail: message and place
STOPPED: Final = "stopped"  # name: the limit that stopped the request
LEFT: Final = "left"  # the customer's patience ended
SETTLED: Final = "settled"  # answered, and the last ledger effect done
