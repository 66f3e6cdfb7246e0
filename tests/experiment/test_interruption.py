"""Ctrl-C, a kill and a full disk: what had settled stays readable, the message is one, and the exit status is right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pagerproof.errors import Interrupted
from pagerproof.experiment.interruption import Interruption, on_ctrl_c
from pagerproof.experiment.run import execute
from pagerproof.kernel import SimulationLoop
from pagerproof.metrics import Baseline
from pagerproof.reporting.progress import Snapshot
from pagerproof.trace.store import RunFolder
from tests.experiment.running import CALM, COMMAND, agent_file, pagerproof, plan_for, scenario_file

ONE_AT_A_TIME = CALM.replace("requests: 40", "requests: 4000\nagent: {use: my_agent.py, concurrency: 1}").replace(
    "  edge_cases", "  patience: {dist: infinite}\n  edge_cases"
)
# Each request costs some milliseconds of processor time, so that a person has the time to press Ctrl-C.
SLOW = """
async def handle(request, desk):
    for _ in range(500):
        await desk.clock.sleep(0.001)
    return "done"
"""
# 200,000 events fill a part.
TALKATIVE = """
async def handle(request, desk):
    for number in range(5000):
        desk.note(f"thought {number * request.index}")
    return "done"
"""


# Python ignores the signal of the limit, so that a write fails as it does on a full disk.
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv[1:] = sys.argv[2:]
runpy.run_module("pagerproof", run_name="__main__", alter_sys=True)
"""


def started(folder: Path, *arguments: str, file_bytes_max: int | None = None) -> subprocess.Popen[str]:
    limited = [sys.executable, "-c", LIMITED, str(file_bytes_max)]
    return subprocess.Popen(
        [*(COMMAND if file_bytes_max is None else limited), *arguments],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened within a minute"
        time.sleep(0.02)


def runs_in(folder: Path) -> list[RunFolder]:
    return [RunFolder(path) for path in sorted((folder / "runs").glob("0*"))]


def has_begun(folder: Path) -> bool:
    """Whether the agent is at work: the folder of events is made just before the first arrival."""
    return any(run.events.is_dir() for run in runs_in(folder))


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run that Ctrl-C ended in the middle: its folder, and what the process printed."""
    home = tmp_path_factory.mktemp("cut")
    agent_file(home, SLOW)
    scenario_file(home, ONE_AT_A_TIME)
    process = started(home, "run", "calm.yaml")
    wait_until(lambda: has_begun(home), process)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return home, subprocess.CompletedProcess((), process.returncode, out, err)


def test_ctrl_c_ends_with_130_the_summary_of_what_there_is_and_no_traceback(cut):
    _, done = cut
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "interrupted after " in done.stderr
    assert " of 4,000 requests" in done.stderr
    assert "INCONCLUSIVE" in done.stdout
    assert "this run was cut short" in done.stdout


def test_partial_run_is_readable_and_says_how_much_has_settled(cut):
    home, done = cut
    (run,) = runs_in(home)
    manifest = run.manifest()
    assert manifest["status"] == "interrupted"
    settled = manifest["settled"]
    assert 0 < settled < 4000
    assert f"interrupted after {settled:,} of 4,000" in done.stderr
    rows = pd.read_parquet(run.path / "requests.parquet")
    assert (rows["outcome"] != "unsettled").sum() == settled
    events = pd.read_parquet(run.events)
    assert set(events["index"]) == set(rows["index"])
    assert (events["kind"] == "settled").sum() == settled
    result = json.loads((run.path / "result.json").read_bytes())
    assert result["interrupted"] is True
    assert result["verdict"] == "inconclusive"
    assert not list(run.path.rglob("*.unfinished"))


def test_report_prints_the_partial_run_and_says_that_it_was_cut_short(cut):
    home, _ = cut
    (run,) = runs_in(home)
    done = pagerproof("report", str(run.path), folder=home)
    assert done.returncode == 0, done.stderr
    assert "this run was cut short" in done.stdout
    assert f"interrupted after {run.manifest()['settled']:,} settled requests" in done.stdout


def test_settled_request_of_a_partial_run_can_be_replayed_and_an_unsettled_one_is_refused(cut):
    home, _ = cut
    (run,) = runs_in(home)
    settled = run.manifest()["settled"]
    done = pagerproof("replay", str(settled), folder=home)
    assert done.returncode == 0, done.stderr
    assert "same request: digest" in done.stdout
    rows = run.requests()
    left = int(rows.loc[rows["outcome"] == "unsettled", "index"].iloc[0])
    done = pagerproof("replay", str(left), folder=home)
    assert done.returncode == 2
    assert f"request {left} had not settled when the run" in done.stderr
    done = pagerproof("replay", "4000", folder=home)
    assert done.returncode == 2
    assert "request 4000 never arrived" in done.stderr
    assert "the run is interrupted" in done.stderr


def test_what_is_suggested_after_ctrl_c_can_be_typed(cut):
    home, done = cut
    said = [line for line in done.stdout.splitlines() if "pagerproof replay" in line]
    for line in said[:1]:
        arguments = line[line.index("pagerproof") :].split()[1:]
        assert pagerproof(*arguments, folder=home).returncode == 0


def test_second_ctrl_c_ends_at_once(tmp_path):
    agent_file(tmp_path, SLOW)
    scenario_file(tmp_path, ONE_AT_A_TIME)
    process = started(tmp_path, "run", "calm.yaml")
    wait_until(lambda: has_begun(tmp_path), process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err


def test_ctrl_c_before_the_run_has_begun_leaves_no_run(tmp_path):
    agent_file(tmp_path, "import pathlib, time\npathlib.Path('loading').touch()\ntime.sleep(5)\n" + SLOW)
    scenario_file(tmp_path, ONE_AT_A_TIME)
    process = started(tmp_path, "run", "calm.yaml")
    wait_until((tmp_path / "loading").exists, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert err.split() == ["interrupted"]
    assert runs_in(tmp_path) == []


def test_ctrl_c_while_only_the_baseline_is_missing_keeps_the_whole_run(tmp_path):
    def impatient() -> Baseline:
        raise Interrupted("interrupted by the user")

    execution = execute(plan_for(tmp_path, SLOW, requests=3), out=tmp_path / "runs", baseline=impatient)
    assert execution.exit_status == 130
    assert execution.folder is not None
    assert execution.folder.manifest()["status"] == "interrupted"
    assert execution.folder.manifest()["settled"] == len(execution.folder.requests()) == 3


def test_ctrl_c_with_a_baseline_beside_leaves_a_partial_run_and_no_tracebacks(tmp_path):
    agent_file(tmp_path, SLOW)
    scenario_file(tmp_path, ONE_AT_A_TIME + "faults:\n  - {use: delayed-api-tail}\n")
    process = started(tmp_path, "run", "calm.yaml")
    wait_until(lambda: has_begun(tmp_path), process)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everybody
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "this run was cut short" in out
    assert "Traceback" not in err
    (run,) = runs_in(tmp_path)
    assert run.manifest()["status"] == "interrupted"
    assert not (tmp_path / "runs" / "baselines").exists()


def test_ctrl_c_during_a_campaign_ends_its_workers_without_tracebacks(tmp_path):
    agent_file(tmp_path, SLOW)
    scenario_file(tmp_path, ONE_AT_A_TIME)
    process = subprocess.Popen(
        [*COMMAND, "campaign", "calm.yaml", "--seeds", "2", "--workers", "2"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(2.5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everybody
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.split() == ["interrupted"]


def test_a_killed_run_keeps_its_complete_parts_and_is_told_as_unfinished(tmp_path):
    agent_file(tmp_path, TALKATIVE)
    scenario_file(tmp_path, ONE_AT_A_TIME)
    process = started(tmp_path, "run", "calm.yaml", "--no-progress")
    wait_until(lambda: any(list(run.events.glob("part-*.parquet")) for run in runs_in(tmp_path)), process)
    process.kill()
    process.communicate(timeout=30)
    (run,) = runs_in(tmp_path)
    assert run.manifest()["status"] == "running"
    events = pd.read_parquet(sorted(run.events.glob("part-*.parquet"))[0])
    assert events["kind"].eq("settled").sum() == events["index"].nunique() > 30
    done = pagerproof("report", str(run.path), folder=tmp_path)
    assert done.returncode == 2
    assert "holds no result.json: the run goes on, or it was killed, or its disk was full" in done.stderr
    assert str(run.events) in done.stderr
    done = pagerproof("replay", "1", "--run", str(run.path), folder=tmp_path)
    assert done.returncode == 2
    assert "holds no requests.parquet" in done.stderr


def test_a_full_disk_is_one_message_that_names_the_file_and_earlier_parts_stay(tmp_path):
    agent_file(tmp_path, TALKATIVE)
    scenario_file(tmp_path, ONE_AT_A_TIME)
    plain = execute(plan_for(tmp_path, TALKATIVE, ONE_AT_A_TIME, requests=45), out=tmp_path / "plain")
    assert plain.folder is not None
    size = (plain.folder.events / "part-00001.parquet").stat().st_size
    # The first part fits; numbers grow longer, and so do later parts.
    process = started(tmp_path, "run", "calm.yaml", "--no-progress", "-n", "400", file_bytes_max=size + 2_000)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert out == ""
    (line,) = err.splitlines()
    (run,) = runs_in(tmp_path)
    parts = sorted(run.events.iterdir())
    assert f"error: cannot write runs/{run.path.name}/events/part-{len(parts) + 1:05d}.parquet: " in line
    assert "File too large" in line
    assert "--out DIR" in line
    assert parts[0].name == "part-00001.parquet"
    assert [path.name for path in run.path.iterdir() if path.is_file()] == ["manifest.json"]
    for part in parts:
        assert len(pd.read_parquet(part)) >= 200_000


def test_an_error_of_our_own_at_a_settled_request_ends_the_run_and_is_never_swallowed(tmp_path):
    def report(snapshot: Snapshot) -> None:
        if snapshot.done < snapshot.total:
            raise RuntimeError("a bug of ours")

    with pytest.raises(RuntimeError, match="a bug of ours"):
        execute(plan_for(tmp_path, SLOW), out=None, report=report)


# --- the handler itself


def test_pressing_before_a_loop_is_there_stops_what_attaches_later():
    interruption, loop = Interruption(), SimulationLoop()
    interruption.press()
    with pytest.raises(Interrupted):
        interruption.attach(loop)
    loop.close()


def test_first_ctrl_c_presses_the_second_one_is_the_usual_one_and_all_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    loop = SimulationLoop()
    with on_ctrl_c() as interruption:
        interruption.attach(loop)
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(Interrupted):
        loop.run_until_complete(loop.create_future())
    loop.close()
