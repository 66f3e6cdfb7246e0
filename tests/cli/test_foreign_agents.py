"""A command with a foreign agent runs under a fixed hash seed, and keeps its exit status and its digest."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json

from tests.experiment.running import CALM, agent_file, pagerproof, scenario_file

AGENT = """
    import os

    async def main(text):
        os.environ["LEFT_BEHIND"] = "yes"
        return f"done {os.environ.get('PYTHONHASHSEED')} {hash(text)}"
"""


def test_a_foreign_agent_s_hashes_are_the_same_in_every_run_whatever_the_shell_says(tmp_path):
    scenario_file(tmp_path, CALM)
    agent_file(tmp_path, AGENT)
    options = ("run", "calm.yaml", "--agent", "my_agent.py", "-n", "5", "--no-progress", "--format", "json")
    runs = [pagerproof(*options, folder=tmp_path, PYTHONHASHSEED="random") for _ in range(2)]
    assert [run.returncode for run in runs] == [runs[0].returncode] * 2, runs[0].stderr
    digests = {json.loads(run.stdout)["digest"] for run in runs}
    assert len(digests) == 1
    replayed = pagerproof("replay", "3", "--no-progress", folder=tmp_path, PYTHONHASHSEED="random")
    assert replayed.returncode == 0, replayed.stdout
    assert "done 0 " in replayed.stdout
