"""The command `doctor`: whether this installation, or an agent, does the same twice."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from pagerproof.agents.load import BUILTIN_AGENTS
from pagerproof.cli.console import stderr_console
from pagerproof.experiment.doctor import diagnose, in_words
from pagerproof.experiment.interruption import on_ctrl_c
from pagerproof.experiment.plan import make_plan

_SAME, _DIFFERENT = 0, 4


def doctor_command(
    scenario: str, *, agent: str | None, requests: int, seed: int | None, runs: int, format_: str, progress: bool
) -> int:
    """Diagnose the agent, or both reference agents; print what was found and return 0, or 4 where runs differ."""
    stderr = stderr_console("auto")
    found = []
    with tempfile.TemporaryDirectory(prefix="pagerproof-doctor-") as scratch, on_ctrl_c() as interruption:
        for number, name in enumerate([agent] if agent is not None else BUILTIN_AGENTS):
            plan = make_plan(scenario, requests=requests, seed=seed, agent=name)

            def say(run: int, name: str = name) -> None:
                if progress:
                    stderr.print(f"{name}: run {run} of {runs}", soft_wrap=True, highlight=False)

            folder = Path(scratch) / str(number)
            found.append(diagnose(plan.spec(), folder, runs=runs, interruption=interruption, done=say))
    if format_ == "json":
        print(json.dumps([asdict(each) for each in found], indent=2))
    else:
        for each in found:
            print("\n".join(in_words(each)))
    return _DIFFERENT if any(each.difference for each in found) else _SAME
