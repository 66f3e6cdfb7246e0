"""The agents of scenarios/frameworks, each run by the command line in processes of its own, as their users would."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "scenarios" / "frameworks"
NEEDS = {
    "plain_httpx": ("httpx",),
    "mcp_client": ("mcp", "openai"),
    "pydantic_ai": ("pydantic_ai",),
    "openai_agents": ("agents",),
    "langgraph": ("langgraph", "langchain_openai"),
}
# Enough requests that every example meets faults, few enough for two cores.
REQUESTS = 100
RATE = "rate: 1/s"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
every_example = pytest.mark.parametrize("name", list(NEEDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one process left: its exit status, its result and where its run stands."""

    status: int
    result: dict[str, Any]
    folder: Path


def installed(name: str) -> None:
    for module in NEEDS[name]:
        pytest.importorskip(module, reason=f"{name} needs scenarios/frameworks/{name}/requirements.txt")


def command(*arguments: object, hash_seed: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pagerproof", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=False,
    )


def run(scenario: Path, out: Path, *, requests: int, hash_seed: int, faults: bool = True) -> Ran:
    switches = [] if faults else ["--no-faults"]
    done = command(
        "run", scenario, "--requests", requests, "--out", out, "--format", "json", "--no-progress", *switches,
        hash_seed=hash_seed,
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    result = json.loads(done.stdout)
    return Ran(status=done.returncode, result=result, folder=ROOT / result["run"])


def at_once(name: str, folder: Path) -> Path:
    """Return the example's scenario with all arrivals inside a few milliseconds."""
    text = (EXAMPLES / name / "scenario.yaml").read_text()
    assert RATE in text
    place = folder / "scenario.yaml"
    place.write_text(text.replace(RATE, "rate: 1000000/s"))
    (folder / "agent.py").write_text((EXAMPLES / name / "agent.py").read_text())
    return place


def test_no_agent_imports_pagerproof():
    for agent in EXAMPLES.glob("*/agent.py"):
        assert "pagerproof" not in agent.read_text().lower()


def test_every_example_is_tested_and_pins_what_it_needs():
    assert {folder.name for folder in EXAMPLES.iterdir() if folder.is_dir() and folder.name != "__pycache__"} == set(
        NEEDS
    )
    for name in NEEDS:
        lines = (EXAMPLES / name / "requirements.txt").read_text().split()
        assert lines
        assert all("==" in line for line in lines)


@every_example
def test_a_run_is_the_same_in_two_processes_and_its_faults_reach_the_agent(name, tmp_path):
    installed(name)
    scenario = EXAMPLES / name / "scenario.yaml"
    first, second = (run(scenario, tmp_path / f"{seed}", requests=REQUESTS, hash_seed=seed) for seed in (1, 20_260))
    assert first.result["digest"] == second.result["digest"]
    assert first.status == second.status == first.result["verdict_detail"]["exit_status"]

    assert first.result["outcomes"]["resolved"] > REQUESTS / 2
    assert sum(fault["delivered"] for fault in first.result["faults"]) > 0
    assert sum(fault["seen"] for fault in first.result["faults"]) > 0

    modes = first.result["failure_modes"]
    assert modes, "the production mix leaves none of these agents unharmed"
    index = modes[0]["first_index"]
    again = command("replay", index, "--run", first.folder, "--no-progress", hash_seed=3)
    assert again.returncode == 0, again.stdout + again.stderr


@every_example
@pytest.mark.parametrize("requests", [20, 200])
def test_simultaneous_requests_leave_one_trace_in_three_processes(name, requests, tmp_path):
    installed(name)
    assert len(digests_at_once(name, requests, tmp_path)) == 1


@pytest.mark.parametrize("name", ["plain_httpx", "mcp_client"])
def test_two_thousand_simultaneous_requests_leave_one_trace_in_three_processes(name, tmp_path):
    installed(name)
    assert len(digests_at_once(name, 2000, tmp_path)) == 1


def digests_at_once(name: str, requests: int, folder: Path) -> set[str]:
    scenario = at_once(name, folder)
    # Without faults no baseline is made beside the run: three processes, not six.
    return {
        run(scenario, folder / f"{seed}", requests=requests, hash_seed=seed, faults=False).result["digest"]
        for seed in (1, 2, 20_260)
    }


TWICE = """
import sys
from pathlib import Path
from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import execute
for _ in range(2):
    print(execute(make_plan(sys.argv[1], requests=20), out=None).result.digest)
"""


@every_example
def test_a_run_leaves_nothing_to_the_next_run_of_the_process(name):
    installed(name)
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(EXAMPLES / name / "scenario.yaml")],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split()
    assert first == second
