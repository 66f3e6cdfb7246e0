"""The journal: canonical digests, their chain, and parts that are whole or not there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pagerproof.errors import UsageError
from pagerproof.trace.journal import DIGEST_BYTES, DigestChain, EventSpill, request_digest

LOG = [(0.5, "arrived", "chat", 0, 0, "refund"), (1.25, "called", "sap.Order.get", 1, 1, '{"a":"ü"}')]
LONE_SURROGATE = [(0.5, "note", "", 0, 0, "half \ud83d of a pair")]


def test_digest_is_that_of_the_compact_json_anybody_can_write():
    text = json.dumps([7, LOG], ensure_ascii=False, separators=(",", ":"))
    assert request_digest(7, LOG) == hashlib.sha256(text.encode()).digest()


def test_digest_depends_on_index_order_and_every_field():
    digests = {request_digest(7, LOG), request_digest(8, LOG), request_digest(7, LOG[::-1]), request_digest(7, LOG[:1])}
    for position in range(6):
        event = list(LOG[0])
        event[position] = "other" if isinstance(event[position], str) else 9
        other: Any = tuple(event)
        digests.add(request_digest(7, [other, LOG[1]]))
    assert len(digests) == 10


def test_text_that_utf8_cannot_carry_has_a_digest_and_can_be_spilled(tmp_path):
    assert request_digest(1, LONE_SURROGATE) == request_digest(1, LONE_SURROGATE)
    spill = EventSpill(tmp_path)
    spill.add(1, LONE_SURROGATE)
    spill.flush()
    assert pd.read_parquet(tmp_path)["detail"].tolist() == ["half ? of a pair"]


def test_chain_depends_on_index_not_on_the_order_of_settling():
    first, second, third = DigestChain(3), DigestChain(3), DigestChain(3)
    for index in (1, 2, 3):
        first.put(index, bytes([index]) * DIGEST_BYTES)
    for index in (3, 1, 2):
        second.put(index, bytes([index]) * DIGEST_BYTES)
    for index, value in ((1, 2), (2, 1), (3, 3)):
        third.put(index, bytes([value]) * DIGEST_BYTES)
    assert first.run_digest() == second.run_digest() != third.run_digest()
    assert first.get(2) == bytes([2]) * DIGEST_BYTES


def test_request_that_never_settled_is_a_link_of_zeros():
    chain = DigestChain(2)
    chain.put(1, b"x" * DIGEST_BYTES)
    assert chain.get(2) == bytes(DIGEST_BYTES)
    longer = DigestChain(1)
    longer.put(1, b"x" * DIGEST_BYTES)
    assert chain.run_digest() != longer.run_digest()


def test_spilled_events_come_back_with_whole_microseconds_and_their_place(tmp_path):
    spill = EventSpill(tmp_path / "events")
    spill.add(2, LOG)
    spill.add(1, LOG[:1])
    spill.flush()
    frame = pd.read_parquet(tmp_path / "events")
    assert frame["index"].tolist() == [2, 2, 1]
    assert frame["seq"].tolist() == [0, 1, 0]
    assert frame["time_us"].tolist() == [500_000, 1_250_000, 500_000]
    assert frame["detail"].tolist() == ["refund", '{"a":"ü"}', "refund"]


def test_parts_are_numbered_and_nothing_is_written_for_nothing(tmp_path):
    spill = EventSpill(tmp_path)
    spill.flush()
    for index in (1, 2):
        spill.add(index, LOG)
        spill.flush()
    spill.flush()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-00001.parquet", "part-00002.parquet"]


def test_two_spills_of_the_same_events_are_the_same_bytes(tmp_path):
    contents = []
    for name in ("a", "b"):
        spill = EventSpill(tmp_path / name)
        spill.add(1, LOG)
        spill.flush()
        contents.append((tmp_path / name / "part-00001.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write .*file/events: Not a directory"):
        EventSpill(tmp_path / "file" / "events")


def test_a_part_that_cannot_be_written_is_named_by_its_number_however_often_it_is_tried(tmp_path: Path):
    folder = tmp_path / "events"
    spill = EventSpill(folder)
    spill.add(1, LOG)
    spill.flush()
    (folder / "part-00001.parquet").unlink()
    folder.rmdir()
    spill.add(2, LOG)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"cannot write .*part-00002\.parquet"):
            spill.flush()
    folder.mkdir()
    spill.flush()
    assert [path.name for path in folder.iterdir()] == ["part-00002.parquet"], "and nothing was lost"
