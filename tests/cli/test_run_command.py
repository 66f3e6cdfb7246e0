"""run, report and list as a user types them: exit statuses, streams, formats, widths, and files of the user's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cli.typing_in import CALM, HANDS_OVER, Shell, shell, write
from tests.experiment.running import COMMAND, pagerproof

from pagerproof.scenario.find import shipped_folder

KEYS = {
    "scenario", "seed", "agent", "requests", "digest", "verdict", "outcomes", "failure_modes", "faults", "gates",
    "wall_s", "virtual_s",
}  # fmt: skip
FAULT_KEYS = {
    "id", "eligible", "drawn", "limited", "preempted", "cancelled", "delivered", "seen", "unread", "scripted",
    "evidence",
}  # fmt: skip
OWN_FAULT = (
    (shipped_folder("fault_models") / "delayed-api-tail.yaml").read_text().replace("id: delayed-api-tail", "id: ours")
)
STORMY = CALM + "faults:\n  - {use: ours, probability: 30%}\n"
GATED = STORMY + "gates:\n  - {gate: crashed.rate < 1%}\n"


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    write(tmp_path, my_agent_py=HANDS_OVER, calm_yaml=CALM, stormy_yaml=GATED, fault_models__ours_yaml=OWN_FAULT)
    return shell(tmp_path, monkeypatch, capfd)


# --- exit statuses


def test_go_is_0(typed: Shell):
    done = typed("run", "stormy.yaml", "--no-progress")
    assert "GO  one replication, not launch evidence" in done.out
    assert (done.status, done.err) == (0, "")


def test_a_baseline_is_0_and_never_called_go(typed: Shell):
    done = typed("run", "stormy.yaml", "--no-faults", "--no-progress")
    assert done.status == 0
    assert "BASELINE" in done.out
    assert "\nGO" not in done.out


def test_a_failed_gate_is_1(typed: Shell, tmp_path: Path):
    write(tmp_path, strict_yaml=GATED.replace("crashed.rate < 1%", "escalated.rate < 1%"))
    done = typed("run", "strict.yaml", "--no-progress")
    assert done.status == 1
    assert "NO-GO" in done.out or "INCONCLUSIVE" in done.out


def test_a_file_with_a_mistake_is_2(typed: Shell, tmp_path: Path):
    write(tmp_path, bad_yaml=CALM + "sede: 3\n")
    assert typed("run", "bad.yaml").status == 2


def test_a_required_fault_that_never_fires_is_3(typed: Shell, tmp_path: Path):
    write(tmp_path, idle_yaml=GATED.replace("probability: 30%", "probability: 0"))
    done = typed("run", "idle.yaml", "--no-progress")
    assert done.status == 3
    assert "INCONCLUSIVE" in done.out
    assert "required fault ours never fired" in done.out


def test_an_agent_that_cannot_be_loaded_is_5(typed: Shell):
    assert typed("run", "calm.yaml", "--agent", "none.py").status == 5


def test_an_error_of_our_own_is_5_and_says_how_to_see_where(typed: Shell, monkeypatch: pytest.MonkeyPatch):
    from pagerproof.cli.main import cli

    def broken(*_: object) -> int:
        raise RuntimeError("a bug of ours")

    monkeypatch.setitem(cli.commands, "list", type(cli.commands["list"])("list", callback=broken))
    done = typed("list")
    assert done.status == 5
    assert done.err == "internal error: RuntimeError: a bug of ours\nrun again with --debug to see where\n"


# --- what is printed


def test_json_is_one_document_with_the_keys_that_are_promised(typed: Shell):
    done = typed("run", "stormy.yaml", "--format", "json")
    document = json.loads(done.out)
    assert document["schema"] == "pagerproof/result/1"
    assert document.keys() >= KEYS
    assert document["scenario"] == "calm"
    assert document["requests"] == 12
    assert len(document["digest"]) == 64
    assert sum(document["outcomes"].values()) == 12
    (fault,) = document["faults"]
    assert fault.keys() >= FAULT_KEYS
    assert fault["drawn"] == sum(fault[name] for name in ("limited", "preempted", "cancelled", "delivered")) > 0
    assert "making the fault-free baseline" in done.err, "progress is not data"


def test_json_lists_failure_modes_with_their_indices(typed: Shell, tmp_path: Path):
    write(tmp_path, claims_py="async def handle(request, desk):\n    return 'done'\n")
    done = typed("run", "calm.yaml", "--agent", "claims.py", "--format", "json", "--no-progress")
    modes = json.loads(done.out)["failure_modes"]
    assert modes
    for mode in modes:
        assert {"mode", "count", "first_index", "indices"} <= mode.keys()
        assert mode["first_index"] == min(mode["indices"])
        assert mode["count"] == len(mode["indices"])


def test_json_of_report_is_that_of_the_run(typed: Shell, tmp_path: Path):
    run = json.loads(typed("run", "calm.yaml", "--format", "json", "--no-progress").out)
    (folder,) = (tmp_path / "runs").glob("0*")
    report = json.loads(typed("report", str(folder), "--format", "json").out)
    assert report == run
    assert run["run"] == f"runs/{folder.name}"


def test_quiet_prints_nothing_at_all(typed: Shell):
    done = typed("run", "stormy.yaml", "--quiet")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_no_progress_leaves_stderr_empty(typed: Shell):
    assert typed("run", "stormy.yaml", "--no-progress").err == ""


def test_seed_and_requests_override_the_scenario_and_decide_the_digest(typed: Shell):
    def digest(*options: str) -> str:
        document = json.loads(typed("run", "calm.yaml", "--format", "json", "--no-progress", *options).out)
        return f"{document['requests']} {document['seed']} {document['digest']}"

    plain, again, other = digest(), digest("--seed", "7"), digest("--seed", "8")
    assert plain == again
    assert plain.split()[2] != other.split()[2]
    assert digest("--requests", "3").startswith("3 7 ")


def test_out_is_where_the_run_goes(typed: Shell, tmp_path: Path):
    done = typed("run", "calm.yaml", "--out", "kept/here", "--no-progress")
    assert "kept/here/0001-calm-" in done.out
    assert not (tmp_path / "runs").exists()
    assert typed("replay", "2", "--out", "kept/here", "--no-progress").status == 0


@pytest.mark.parametrize(("color", "colored"), [("always", True), ("never", False), ("auto", False)])
def test_colours_are_there_only_where_wanted(typed: Shell, color: str, colored: bool):
    out = typed("run", "calm.yaml", "--color", color, "--no-progress").out
    assert ("\x1b[" in out) is colored


@pytest.mark.parametrize("columns", ["60", "80", "140"])
def test_no_line_is_wider_than_the_terminal_but_for_what_is_copied(
    typed: Shell, monkeypatch: pytest.MonkeyPatch, columns: str
):
    monkeypatch.setenv("COLUMNS", columns)
    out = typed("run", "stormy.yaml", "--no-progress").out
    too_wide = [line for line in out.splitlines() if len(line) > int(columns)]
    assert all("runs/0001" in line or line.startswith("digest ") for line in too_wide), too_wide


# --- files of the user's own


def test_scenario_fault_model_intents_and_agent_with_a_helper_of_the_users_own(typed: Shell, tmp_path: Path):
    write(
        tmp_path,
        scenarios__ours_yaml=GATED.replace("my_agent.py:handle", "team/agent.py:handle").replace(
            "  edge_cases", "  intents: ours\n  edge_cases"
        ),
        team__agent_py="from words import GOODBYE\n" + HANDS_OVER.replace('"A colleague takes over."', "GOODBYE"),
        team__words_py="GOODBYE = 'Somebody of ours calls you.'\n",
    )
    (tmp_path / "scenarios" / "intents").mkdir()
    shutil.copy(
        shipped_folder("scenarios") / "intents" / "contact_center.yaml",
        tmp_path / "scenarios" / "intents" / "ours.yaml",
    )
    done = typed("run", "ours", "--no-progress")
    assert done.status == 0, done
    assert "ours" in done.out
    assert "Somebody of ours calls you." in typed("replay", "2", "--no-progress").out
    manifest = json.loads(next((tmp_path / "runs").glob("0*/manifest.json")).read_bytes())
    names = {Path(path).name for path in manifest["inputs"]}
    assert names == {"ours.yaml", "agent.py"}
    assert len(manifest["inputs"]) == 4, "scenario, fault model, intents and agent"
    listed = typed("list", "scenarios").out
    assert "ours" in listed


# --- processes


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path, my_agent_py=HANDS_OVER, calm_yaml=CALM)
    return tmp_path


def test_a_locale_without_unicode_gets_plain_characters(home: Path):
    done = pagerproof("run", "calm.yaml", folder=home, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "BASELINE" in done.stdout


@pytest.mark.parametrize("arguments", ["run calm.yaml --no-progress", "list faults"])
def test_a_reader_that_goes_away_is_no_traceback_and_no_verdict(home: Path, arguments: str):
    process = subprocess.Popen(
        [*COMMAND, *arguments.split()], cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141, "as the shells say it; 1 would be a failed gate"
    assert err == ""


@pytest.mark.slow  # ten seconds have to pass
def test_a_heartbeat_every_ten_seconds_where_there_is_no_terminal(home: Path):
    write(home, slow_py="async def handle(request, desk):\n    sum(range(40_000_000))\n    return 'done'\n")
    done = pagerproof("run", "calm.yaml", "--agent", "slow.py", "-n", "20", folder=home)
    lines = [line for line in done.stderr.splitlines() if "virtual" in line]
    assert lines
    assert lines[0].startswith("slow: ")
    assert "/20 " in lines[0]
    assert "failures: " in lines[0] or "no failure" in lines[0]


def test_completion_in_every_shell_offers_scenarios(home: Path):
    for shell_name, environment in {
        "bash": {"COMP_WORDS": "pagerproof run ten", "COMP_CWORD": "2"},
        "zsh": {"COMP_WORDS": "pagerproof run ten", "COMP_CWORD": "2"},
        "fish": {"COMP_WORDS": "pagerproof run ten", "COMP_CWORD": "ten"},
    }.items():
        done = subprocess.run(
            [*COMMAND],
            cwd=home,
            env={**os.environ, **environment, "_PAGERPROOF_COMPLETE": f"{shell_name}_complete"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "ten_thousand_and_first" in done.stdout, (shell_name, done)
