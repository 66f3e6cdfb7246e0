"""The demo runs both reference agents on one seed, says where they part, and what it tells to type works."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from pagerproof.cli.commands import demo_command
from tests.experiment.running import pagerproof, scenario_file
from tests.experiment.test_replay import STORM


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    home = tmp_path_factory.mktemp("demo")
    scenario_file(home, STORM, "storm.yaml")
    return home, pagerproof("demo", "storm.yaml", folder=home)


def test_demo_ends_with_0_whatever_the_verdicts_and_names_both_agents(demo):
    _, done = demo
    assert done.returncode == 0, done.stderr
    assert "vendor_demo and hardened: 60 requests each, seed 11" in done.stdout
    assert "NO-GO" in done.stdout
    assert "60 requests, seed 11: hardened here, vendor_demo in a process beside it" in done.stderr


def test_demo_shows_where_they_part_and_which_valve_acted(demo):
    _, done = demo
    assert "They differ at " in done.stdout
    assert "Which valve acted there" in done.stdout
    modes = done.stdout.partition("Failure modes")[2]
    assert "done twice" in modes


def test_both_runs_are_kept_and_the_replays_that_are_printed_work(demo):
    home, done = demo
    assert len(list((home / "runs").glob("0*"))) == 2
    commands = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith("pagerproof replay")]
    assert len(commands) == 2
    assert "vendor_demo" in commands[0]
    assert "hardened" in commands[1]
    replay = pagerproof(*shlex.split(commands[0])[1:], folder=home)
    assert replay.returncode == 0, replay.stderr
    assert "same request: digest" in replay.stdout


def test_quiet_demo_prints_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    scenario_file(tmp_path, STORM, "storm.yaml")
    status = demo_command(
        "storm.yaml", requests=3, seed=None, out=tmp_path / "runs", quiet=True, progress=False, color="auto"
    )
    assert status == 0
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
