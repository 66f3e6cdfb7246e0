"""Putting several valves around one toolbox."""

from __future__ import annotations

from collections.abc import Iterable

from pagerproof.tools import Desk, Toolbox, Valve


def stack(toolbox: Toolbox, desk: Desk, valves: Iterable[Valve]) -> Toolbox:
    """Return `toolbox` with `valves` around it; the first one named is the outermost."""
    for valve in reversed(tuple(valves)):
        toolbox = valve.around(toolbox, desk)
    return toolbox
