"""A replay is the same request by digest, shows what happened and why, and says clearly when it cannot be had."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pagerproof.cli.commands import replay_command
from pagerproof.errors import AgentCannotLoad, UsageError
from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.replay import replay_request
from pagerproof.experiment.run import execute
from pagerproof.trace.store import RunFolder
from tests.experiment.running import CALM, agent_file, pagerproof, scenario_file

STORM = """
schema: pagerproof/scenario/1
id: storm
title: A stormy hour
requests: 60
seed: 11
agent: {use: vendor_demo}
workload:
  arrivals: {process: poisson, rate: 1/s}
  customers_per_locale: 20
  only_intents: [refund, order_status, address_change]
faults:
  - {use: sap-timeout-after-commit, probability: 40%}
  - {use: truncated-tool-response-bytes, probability: 8%}
  - {use: malformed-json-html, probability: 5%, expect: armed}
gates:
  - {gate: silent_failure.rate < 0.1%}
"""
CROWD = """
schema: pagerproof/scenario/1
id: crowd
title: One worker for all
requests: 20
seed: 11
agent: {use: my_agent.py, concurrency: 1}
workload:
  arrivals: {process: constant, rate: 1/s}
  patience: {dist: infinite}
  deadline: 60s
  customers_per_locale: 20
  edge_cases: 0%
"""
TEN_SECONDS = """
from helper import SECONDS
from pagerproof.model import Reply, ReplyStatus

async def handle(request, desk):
    await desk.clock.sleep(SECONDS)
    return Reply(status=ReplyStatus.HANDED_OVER, text="A colleague takes over.", reason="too busy")
"""


def made(folder: Path, scenario: str, **options: object) -> RunFolder:
    scenario_file(folder, scenario, "mine.yaml")
    plan = make_plan(str(folder / "mine.yaml"), folder=folder, **options)  # type: ignore[arg-type]  # passed on as they are
    execution = execute(plan, out=folder / "runs")
    assert execution.folder is not None
    return execution.folder


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return made(tmp_path_factory.mktemp("storm"), STORM)


@pytest.fixture
def crowd(tmp_path: Path) -> RunFolder:
    agent_file(tmp_path, "SECONDS = 10.0\n", "helper.py")
    agent_file(tmp_path, TEN_SECONDS)
    return made(tmp_path, CROWD)


def struck_and_failed(storm: RunFolder) -> int:
    rows = storm.requests()
    return int(rows.loc[rows["mode"] == "done_twice", "index"].iloc[0])


def printed(capsys: pytest.CaptureFixture[str], folder: RunFolder, index: int, *, status: int = 0, **options) -> str:
    isolated, format_ = bool(options.get("isolated")), str(options.get("format_", "text"))
    done = replay_command(
        index,
        run_folder=folder.path,
        isolated=isolated,
        out=Path("runs"),
        format_=format_,
        progress=False,
        color="never",
    )
    assert done == status
    return capsys.readouterr().out


# --- the same request


def test_twenty_requests_come_up_again_with_every_byte_failed_ones_first(storm):
    rows = storm.requests()
    failed = rows.loc[rows["outcome"].isin(["failed_silent", "abandoned", "late"]), "index"].tolist()
    assert len(failed) >= 3
    indices = [*failed, *(index for index in range(1, 61, 3) if index not in failed)][:20]
    for index in indices:
        replay = replay_request(storm, index)
        assert replay.same, f"request {index} has another digest"
        assert replay.reproduces
        assert replay.digest == rows.loc[rows["index"] == index, "digest"].iloc[0]


def test_replay_shows_words_faults_both_answers_ledger_reply_and_evidence(storm, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    index = struck_and_failed(storm)
    replay = replay_request(storm, index)
    said = printed(capsys, storm, index)
    whole = " ".join(said.split())
    assert " ".join(replay.case.request.text.split())[:60] in whole
    assert replay.case.request.customer_name in whole
    assert "fault" in said
    assert "sap-timeout-after-commit" in said
    assert "service sent" in said, "what SAP really answered stands beside what the agent saw"
    assert "timed out" in said or "500" in said
    assert "What had to be true" in said
    assert "credit_memo" in said.partition("What the ledgers hold")[2]
    assert replay.case.reply is not None
    assert " ".join(replay.case.reply.text.split())[:40] in whole
    verdict = said.partition("\nVerdict\n")[2]
    assert "failed silent, done twice" in verdict
    assert "evidence" in verdict
    assert "caused by sap-timeout-after-commit" in verdict
    assert f"same request: digest {replay.digest[:12]}" in said
    assert f"pagerproof replay {index} --run" in said


def test_a_truncated_answer_is_shown_as_it_was_sent_and_as_it_was_seen(storm, capsys):
    rows = storm.requests()
    index = int(rows.loc[rows["faults"].astype(str).str.contains("truncated-tool-response-bytes"), "index"].iloc[0])
    said = printed(capsys, storm, index)
    assert "truncated-tool-response-bytes: delivered" in " ".join(said.split())
    assert "service sent {" in " ".join(said.split())


def test_json_holds_the_same_as_the_text_and_nothing_else_is_on_stdout(storm, capsys):
    index = struck_and_failed(storm)
    document = json.loads(printed(capsys, storm, index, format_="json"))
    assert document["index"] == index
    assert document["outcome"] == "failed_silent"
    assert document["mode"] == "done_twice"
    assert document["same"] is True
    assert document["digest"] == document["recorded_digest"]


def test_replay_works_from_another_working_folder(storm, tmp_path):
    done = pagerproof("replay", "3", "--run", str(storm.path), "--no-progress", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "same request: digest" in done.stdout
    assert list(tmp_path.iterdir()) == [], "a replay leaves nothing behind"


# --- alone


def test_a_failure_that_a_fault_caused_reproduces_alone(storm, capsys):
    said = printed(capsys, storm, struck_and_failed(storm), isolated=True)
    assert "reproduces alone" in said
    assert said.rstrip().endswith("--isolated")


def test_a_failure_that_waiting_for_others_caused_needs_history(crowd, capsys):
    assert crowd.requests()["outcome"].iloc[-1] == "late"
    said = printed(capsys, crowd, 20, isolated=True)
    assert "needs history: alone it ends as escalated, in its run as late\n" in said
    assert replay_request(crowd, 20).same, "with its history it is the same"


# --- what cannot be replayed


def refusal(folder: RunFolder, index: int = 1) -> str:
    with pytest.raises(UsageError) as caught:
        replay_request(folder, index)
    return str(caught.value)


def test_index_beyond_the_run_names_what_there_is(storm):
    assert "there is no request 61" in refusal(storm, 61)
    assert "the requests 1 to 60" in refusal(storm, 61)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is not a run folder: it holds no manifest.json"),
        ("{", "manifest.json cannot be read"),
        ("[]", "is not the manifest of a run"),
        ('{"schema": "other/1"}', "is not the manifest of a run"),
        (
            '{"schema": "pagerproof/run/9", "pagerproof": "9.1"}',
            "was made by version 9.1 in the format pagerproof/run/9",
        ),
        ('{"schema": "pagerproof/run/1"}', "it lacks status, scenario, agent"),
    ],
)
def test_a_folder_that_is_no_run_is_told_what_it_is(tmp_path, content, told):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    assert told in refusal(RunFolder(tmp_path))


def test_a_run_folder_that_is_missing_or_lost_its_tables_is_told_so(storm, tmp_path):
    assert "there is no run folder" in refusal(RunFolder(tmp_path / "none"))
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(storm.path, copy.path)
    (copy.path / "requests.parquet").write_bytes(b"PAR1 nonsense")
    assert "requests.parquet cannot be read" in refusal(copy)
    (copy.path / "requests.parquet").unlink()
    assert "holds no requests.parquet: somebody has removed it" in refusal(copy)


def test_isolated_replay_without_the_events_is_told_so(storm, tmp_path):
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(storm.path, copy.path)
    shutil.rmtree(copy.events)
    with pytest.raises(UsageError, match="events cannot be read"):
        replay_request(copy, 3, isolated=True)


def test_inputs_that_changed_or_went_are_named(crowd, tmp_path):
    home = crowd.path.parents[1]
    (home / "helper.py").write_text("SECONDS = 11.0\n")
    assert "my_agent.py has changed" in refusal(crowd)
    (home / "my_agent.py").write_text("async def handle(request, desk):\n    return 'done'\n")
    assert "my_agent.py has changed since the run" in refusal(crowd)
    (home / "my_agent.py").unlink()
    assert "my_agent.py, which the run" in refusal(crowd)
    scenario_file(home, CROWD.replace("60s", "61s"), "mine.yaml")
    agent_file(home, TEN_SECONDS)
    assert "mine.yaml has changed since the run" in refusal(crowd)


def test_a_helper_module_that_went_is_told_as_an_agent_that_cannot_load(crowd):
    (crowd.path.parents[1] / "helper.py").unlink()
    with pytest.raises(AgentCannotLoad, match="helper"):
        replay_request(crowd, 1)


def test_intents_of_the_users_own_are_an_input_too(tmp_path, monkeypatch):
    shipped = Path(__file__).resolve().parents[2] / "scenarios" / "intents" / "contact_center.yaml"
    (tmp_path / "scenarios" / "intents").mkdir(parents=True)
    intents = tmp_path / "scenarios" / "intents" / "ours.yaml"
    shutil.copy(shipped, intents)
    agent_file(tmp_path, "async def handle(request, desk):\n    return 'done'\n")
    text = CALM.replace("  edge_cases: 0%", "  edge_cases: 0%\n  intents: ours\nagent: {use: my_agent.py}")
    folder = made(tmp_path, text, requests=5)
    assert str(intents) in folder.manifest()["inputs"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert replay_request(folder, 5).same, "the run's own folder is searched, not the one we stand in"
    intents.write_text(intents.read_text() + "\n")
    assert "ours.yaml has changed" in refusal(folder)


# --- not the same


def test_another_digest_than_the_recorded_one_is_status_4_and_both_are_shown(storm, tmp_path, capsys):
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(storm.path, copy.path)
    rows = copy.requests()
    rows["digest"] = rows["digest"].where(rows["index"] != 3, "0" * 64)
    rows.to_parquet(copy.path / "requests.parquet")
    said = printed(capsys, copy, 3, status=4)
    assert "NOT the same" in said
    assert "000000000000" in said
    assert printed(capsys, copy, 4), "its neighbour is untouched"


def test_another_digest_under_another_version_says_which_version(storm, tmp_path, capsys):
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(storm.path, copy.path)
    rows = copy.requests()
    rows["digest"] = "0" * 64
    rows.to_parquet(copy.path / "requests.parquet")
    manifest = copy.manifest()
    manifest["versions"]["numpy"] = "1.0"
    copy.write_manifest(manifest)
    assert (
        replay_command(
            3, run_folder=copy.path, isolated=False, out=tmp_path, format_="text", progress=False, color="never"
        )
        == 4
    )
    assert "the run was made with other versions: numpy 1.0 (here " in capsys.readouterr().err


def test_requests_table_is_readable_with_pandas_and_complete(storm):
    rows = pd.read_parquet(storm.path / "requests.parquet")
    assert rows["index"].tolist() == list(range(1, 61))
    assert rows["digest"].str.fullmatch("[0-9a-f]{64}").all()
