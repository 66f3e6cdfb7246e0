"""What a run leaves behind: a numbered folder whose tables pandas reads; an `--out` that cannot be had is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pagerproof.cli.commands import report_command
from pagerproof.errors import UsageError
from pagerproof.experiment.interruption import Interruption
from pagerproof.experiment.run import Execution, execute
from pagerproof.experiment.steady_state import baseline_of
from pagerproof.trace.journal import DigestChain
from pagerproof.trace.store import RunFolder
from tests.experiment.running import CALM, agent_file, pagerproof, plan_for, run_agent, scenario_file

LOOKS_UP = """
async def handle(request, desk):
    await desk.call("crm.Customer.find", email=request.customer_email)
    desk.note("looked")
    return "done"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Execution, RunFolder]:
    execution = run_agent(tmp_path_factory.mktemp("made"), LOOKS_UP)
    assert execution.folder is not None
    return execution, execution.folder


def test_folder_is_numbered_and_named_after_scenario_agent_and_seed(made):
    _, folder = made
    assert folder.path.name == "0001-calm-my_agent-s7-no-faults"
    assert {path.name for path in folder.path.iterdir()} == {
        "manifest.json", "requests.parquet", "events", "result.json",
    }  # fmt: skip


def test_manifest_says_what_is_needed_to_run_it_again(made):
    execution, folder = made
    manifest = folder.manifest()
    home = folder.path.parents[1]
    assert manifest["status"] == "complete"
    assert manifest["seed"] == 7
    assert manifest["requests"] == manifest["settled"] == 40
    assert manifest["digest"] == execution.result.digest
    assert {str(home / "calm.yaml"), str(home / "my_agent.py")} <= manifest["inputs"].keys()
    assert manifest["versions"]["python"]
    assert manifest["scenario"]["path"] == str(home / "calm.yaml")


def test_requests_and_events_are_readable_with_pandas_and_agree(made):
    _, folder = made
    rows = pd.read_parquet(folder.path / "requests.parquet")
    assert rows["index"].tolist() == list(range(1, 41))
    events = pd.read_parquet(folder.events)
    assert events.columns.tolist() == ["index", "seq", "time_us", "kind", "name", "call", "status", "detail"]
    assert set(events["index"]) == set(rows["index"])
    arrived = events[events["kind"] == "arrived"].set_index("index").sort_index()["time_us"]
    assert (arrived.to_numpy() == (rows["arrival_s"] * 1e6).round().astype("int64").to_numpy()).all()
    of_seven = folder.events_of(7)
    assert of_seven["kind"].tolist()[0] == "arrived"
    assert of_seven["kind"].tolist()[-1] == "settled"
    assert of_seven["seq"].tolist() == list(range(len(of_seven)))
    assert "looked" in of_seven["detail"].tolist()


def test_digests_of_the_table_chain_to_the_digest_of_the_run(made):
    execution, folder = made
    chain = DigestChain(40)
    for index, digest in folder.requests()[["index", "digest"]].to_numpy():
        chain.put(int(index), bytes.fromhex(digest))
    assert chain.run_digest() == execution.result.digest


def test_result_is_the_document_of_the_result(made):
    execution, folder = made
    assert json.loads((folder.path / "result.json").read_bytes()) == json.loads(json.dumps(execution.result.to_json()))


def test_each_run_gets_a_folder_of_its_own_numbered_after_the_newest(tmp_path):
    (tmp_path / "runs" / "0041-older").mkdir(parents=True)
    (tmp_path / "runs" / "notes").mkdir()
    first, second = run_agent(tmp_path, LOOKS_UP, requests=2), run_agent(tmp_path, LOOKS_UP, requests=2)
    assert first.folder is not None
    assert second.folder is not None
    assert first.folder.path.name.startswith("0042-")
    assert second.folder.path.name.startswith("0043-")
    assert first.result.digest == second.result.digest


def test_baseline_is_kept_and_made_again_when_an_input_changes(tmp_path):
    faulty = CALM + "faults:\n  - {use: delayed-api-tail, expect: armed}\n"
    announced: list[str] = []

    def run(seed: int = 7, source: str = LOOKS_UP) -> None:
        plan = plan_for(tmp_path, source, faulty, requests=3, seed=seed)
        baseline_of(plan, tmp_path / "runs", interruption=Interruption(), announce=lambda: announced.append("made"))()

    run()
    run()
    assert announced == ["made"]
    run(seed=8)
    assert announced == ["made"] * 2
    run(source=LOOKS_UP + "\n# other bytes\n")
    assert announced == ["made"] * 3
    for kept in (tmp_path / "runs" / "baselines").glob("*.json"):
        kept.write_text("{")
    run()
    assert announced == ["made"] * 4, "a broken cache is no error"


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("file", "'file' is a file"),
        ("file/below", "cannot write file/below: Not a directory; choose another folder with --out DIR"),
        ("/proc/none", "cannot write /proc/none: "),
    ],
)
def test_an_out_that_cannot_be_written_is_one_message_and_status_2(tmp_path, out, told):
    (tmp_path / "file").write_text("")
    agent_file(tmp_path, LOOKS_UP)
    scenario_file(tmp_path)
    done = pagerproof("run", "calm.yaml", "--agent", "my_agent.py", "--out", out, folder=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_without_out_nothing_is_written(tmp_path):
    execution = execute(plan_for(tmp_path, LOOKS_UP, requests=2), out=None)
    assert execution.folder is None
    assert {path.name for path in tmp_path.iterdir()} == {"my_agent.py", "calm.yaml"}


def test_a_result_of_another_version_or_half_written_is_told_so(made, tmp_path):
    _, folder = made
    copy = tmp_path / "copy"
    shutil.copytree(folder.path, copy)
    for content, told in [
        ("{", "result.json cannot be read"),
        ("[]", "is not the result of a run"),
        ('{"schema": "pagerproof/result/9"}', "cannot be read by this version"),
    ]:
        (copy / "result.json").write_text(content)
        with pytest.raises(UsageError, match=told):
            report_command(copy, format_="text", color="never")


def test_report_prints_what_the_run_printed(tmp_path):
    agent_file(tmp_path, LOOKS_UP)
    scenario_file(tmp_path)
    run = pagerproof("run", "calm.yaml", "--agent", "my_agent.py", folder=tmp_path)
    (folder,) = (tmp_path / "runs").glob("0*")
    report = pagerproof("report", str(Path("runs") / folder.name), folder=tmp_path)
    assert report.returncode == 0
    assert report.stdout == run.stdout
