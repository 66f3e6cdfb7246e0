"""Run folders: files appear whole or not at all, and a folder that is no run of ours says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from pagerproof.errors import UsageError
from pagerproof.trace.store import RunFolder, latest_run, new_run_folder

MANIFEST = dict.fromkeys(
    ("status", "scenario", "agent", "folder", "seed", "requests", "faults", "inputs", "versions"), 1
)


def test_manifest_comes_back_with_schema_and_version(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write_manifest(MANIFEST)
    manifest = folder.manifest()
    assert manifest["schema"] == "pagerproof/run/1"
    assert manifest["pagerproof"]
    assert manifest.items() >= MANIFEST.items()


def test_manifest_is_replaced_as_a_whole(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write_manifest(MANIFEST)
    folder.write_manifest({**MANIFEST, "status": "complete"})
    assert folder.manifest()["status"] == "complete"
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_what_cannot_be_written_is_named_and_leaves_no_half_file(tmp_path: Path):
    folder = RunFolder(tmp_path)
    for name in ("manifest.json", "requests.parquet", "result.json"):
        (tmp_path / name).mkdir()  # a folder cannot be replaced by a file
    frame = pd.DataFrame({"index": [1]})
    told = r"cannot write .*{}: .*choose another folder with --out DIR"
    with pytest.raises(UsageError, match=told.format("manifest.json")):
        folder.write_manifest(MANIFEST)
    with pytest.raises(UsageError, match=told.format("requests.parquet")):
        folder.write_requests(frame)
    with pytest.raises(UsageError, match=told.format("result.json")):
        folder.write_result({})
    assert not list(tmp_path.glob("*.unfinished"))


def test_new_folders_count_on_from_the_newest_and_ignore_what_is_not_a_run(tmp_path: Path):
    for name in ("0009-x", "0010-y", "notes", "baselines", "12-short"):
        (tmp_path / name).mkdir()
    (tmp_path / "0099-file").write_text("")
    assert new_run_folder(tmp_path, "z").path.name == "0011-z"


def test_latest_run_is_the_one_with_the_highest_number_not_the_last_in_the_alphabet(tmp_path: Path):
    for name in ("9999-a", "10000-a", "0500-z"):
        (tmp_path / name).mkdir()
    assert latest_run(tmp_path).path.name == "10000-a"


@pytest.mark.parametrize("made", [False, True])
def test_no_run_at_all_says_how_to_make_one(tmp_path: Path, made: bool):
    out = tmp_path / "runs"
    if made:
        out.mkdir()
    with pytest.raises(UsageError, match=r"there is no run in .*make one with 'pagerproof run'"):
        latest_run(out)


def test_result_of_a_run_under_way_is_told_apart_from_one_that_was_removed(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write_manifest({**MANIFEST, "status": "running"})
    with pytest.raises(UsageError, match="the run goes on, or it was killed, or its disk was full"):
        folder.result()
    folder.write_manifest({**MANIFEST, "status": "complete"})
    with pytest.raises(UsageError, match="somebody has removed it"):
        folder.result()


def test_result_comes_back(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write_result({"a": [1, None]})
    assert folder.result() == json.loads((tmp_path / "result.json").read_bytes()) == {"a": [1, None]}
