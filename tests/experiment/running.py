"""What the tests of whole runs share: small scenarios, agents written to files, and runs in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from pagerproof.experiment.plan import Plan, make_plan
from pagerproof.experiment.run import Execution, execute

COMMAND = (sys.executable, "-m", "pagerproof")

CALM = """
schema: pagerproof/scenario/1
id: calm
title: A calm morning
requests: 40
seed: 7
workload:
  arrivals: {process: poisson, rate: 2/s}
  customers_per_locale: 20
  edge_cases: 0%
gates:
  - {gate: failure.rate < 20%}
"""


def scenario_file(folder: Path, text: str = CALM, name: str = "calm.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def agent_file(folder: Path, source: str, name: str = "my_agent.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(source), "utf-8")
    return path


def plan_for(folder: Path, source: str, scenario: str = CALM, **options: object) -> Plan:
    agent_file(folder, source)
    return make_plan(str(scenario_file(folder, scenario)), agent="my_agent.py", folder=folder, **options)  # type: ignore[arg-type]  # passed on as they are


def run_agent(folder: Path, source: str, scenario: str = CALM, **options: object) -> Execution:
    return execute(plan_for(folder, source, scenario, **options), out=folder / "runs")


def pagerproof(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as a user does."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
