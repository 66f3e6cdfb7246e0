"""A task is named below the task that made it, in the order of making, whatever else runs and whichever is first."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import asyncio

import pytest

from pagerproof.kernel import SimulationLoop
from pagerproof.kernel.handles import OrderedTask


def own_name():
    task = asyncio.current_task()
    assert isinstance(task, OrderedTask)
    return task.lineage


def lineages(delays_s):
    """What a root task's two children, and a child of the second, find as their own names."""
    found = {}

    async def child(name, delay_s):
        await asyncio.sleep(delay_s)
        found[name] = own_name()
        if name == "second":
            await asyncio.create_task(child("grandchild", 0.0))

    async def root():
        found["root"] = own_name()
        await asyncio.gather(child("first", delays_s[0]), child("second", delays_s[1]))

    loop = SimulationLoop()
    try:
        loop.run_until_complete(loop.create_task(root()))
    finally:
        loop.close()
    return found


@pytest.mark.parametrize("delays_s", [(0.0, 1.0), (1.0, 0.0)])
def test_names_follow_the_order_of_making_not_of_running(delays_s):
    assert lineages(delays_s) == {"root": "", "first": ".1", "second": ".2", "grandchild": ".2.1"}
