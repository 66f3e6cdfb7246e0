"""Records are shared and unspoiled: what one call changes is a copy, kept only when it says so."""

from __future__ import annotations

import pytest

from pagerproof.domains.records import ABSENT, Kept, Records


def tables() -> dict[str, dict[str, dict[str, object]]]:
    return {"users": {"a": {"name": "Ann", "tags": ["x"], "card": {"balance": 1.0}}, "b": {"name": "Bob"}}}


def test_a_change_is_seen_by_its_own_call_only_until_it_is_kept() -> None:
    data, kept = tables(), Kept()
    here, there = Records(data, kept), Records(data, kept)
    here.change("users", "a")["name"] = "Ada"
    assert [row["name"] for row in here.rows("users")] == ["Ada", "Bob"]
    assert there.get("users", "a") == tables()["users"]["a"]
    here.keep()
    assert [row["name"] for row in there.rows("users")] == ["Ada", "Bob"]
    assert data == tables()


def test_added_records_come_after_those_of_the_file_and_once() -> None:
    data, kept = tables(), Kept()
    first = Records(data, kept)
    first.add("users", "c", {"name": "Cyd"})
    first.keep()
    second = Records(data, kept)
    second.change("users", "c")["name"] = "Cy"
    assert [row["name"] for row in second.rows("users")] == ["Ann", "Bob", "Cy"]
    with pytest.raises(KeyError):
        second.add("users", "c", {})
    with pytest.raises(KeyError):
        second.change("users", "nobody")


def test_differences_name_each_place_that_reads_otherwise() -> None:
    records = Records(tables(), {})
    user = records.change("users", "a")
    user["card"]["balance"] = 2.5
    user["tags"].append("y")
    del user["name"]
    user["new"] = {"deep": [1]}
    records.change("users", "b")
    assert records.differences() == [
        ("users/a/name", '"Ann"', ABSENT),
        ("users/a/tags/1", ABSENT, '"y"'),
        ("users/a/card/balance", "1.0", "2.5"),
        ("users/a/new", ABSENT, '{"deep":[1]}'),
    ]


def test_a_value_of_another_type_is_another_value() -> None:
    records = Records(tables(), {})
    records.change("users", "a")["card"]["balance"] = True
    assert records.differences() == [("users/a/card/balance", "1.0", "true")]
