"""What the tests of foreign agents' whole runs share: small scenarios with a network, and agents on httpx."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from pagerproof.experiment.run import Execution
from pagerproof.metrics.result import NetworkUse
from tests.experiment.running import run_agent

CALM = """
schema: pagerproof/scenario/1
id: wired
title: A calm morning of an agent that knows nothing of the desk
requests: 20
seed: 7
workload:
  arrivals: {process: poisson, rate: 2/s}
  customers_per_locale: 20
  edge_cases: 0%
gates:
  - {gate: crashed.rate < 20%}
"""

_CLIENT = """
import httpx

async def main(text: str, email: str) -> str:
    told = []
    async with httpx.AsyncClient(timeout=30) as http:
"""


def with_client(body: str, before: str = "") -> str:
    """Return an agent that runs `body` with an `http` client of its own, hands over, and says what stands in `told`."""
    inside = textwrap.indent(textwrap.dedent(body), " " * 8)
    end = "    return ' '.join(['HANDED OVER to a colleague:', *map(str, told)])"
    return f"{textwrap.dedent(before)}{_CLIENT}{inside}\n{end}\n"


def run_wired(folder: Path, source: str, more: str = "", *, base: str = CALM, **options: object) -> Execution:
    """Run an agent under `base` with `more` keys of the scenario; the run's folder is under `folder`."""
    return run_agent(folder, source, base + textwrap.dedent(more), **options)


def network_use(execution: Execution) -> NetworkUse:
    """Return what went over the run's network beside answered requests."""
    assert execution.result.network is not None
    return execution.result.network


def events(execution: Execution, kind: str, index: int | None = None) -> list[tuple[Any, ...]]:
    """Return (index, name, call, status, detail) of the run's events of this kind, in the journal's order."""
    assert execution.folder is not None
    frames = [execution.folder.events_of(each) for each in ([index] if index else range(1, execution.requests + 1))]
    return [
        (row.index_, row.name_, row.call, row.status, row.detail)
        for number, frame in enumerate(frames, index or 1)
        for row in frame[frame["kind"] == kind].assign(index_=number).rename(columns={"name": "name_"}).itertuples()
    ]
