"""A tau2-bench folder is read whole, its gold actions are carried out, and what is wrong is named with its task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.domains.folders import CANCEL, action, retail_folder, task, tiny_db, write_folder

from pagerproof.domains.tau2 import Domain, domain_name, find_folder, load_domain
from pagerproof.errors import InvalidFile, UsageError


def nothing(name: str) -> Path:
    raise UsageError(f"there is no file or folder '{name}'")


def load(folder: Path, tasks: object, db: object = None) -> Domain:
    return load_domain(write_folder(folder, tasks, db), None, nothing)


@pytest.fixture(scope="module")
def retail() -> Domain:
    return load_domain(retail_folder(), None, nothing)


def test_the_retail_folder_is_read_whole(retail: Domain) -> None:
    assert retail.name == "retail"
    assert {name: len(rows) for name, rows in retail.tables.items()} == {"products": 50, "users": 500, "orders": 1000}
    assert len(retail.tasks) == 114
    assert sum(bool(each.criteria) for each in retail.tasks) == 112
    assert all(each.user is not None for each in retail.tasks)


def test_the_policy_refuses_two_gold_writes_of_the_retail_tasks_and_no_other(retail: Domain) -> None:
    tools = retail.toolset.tools
    refused = [(each.id, text) for each in retail.tasks for text in each.refused if tools[text.split(":")[0]].entity]
    assert refused == [
        (
            "64",
            "exchange_delivered_order_items: order #W7464385 is pending: only a delivered one can be exchanged",
        ),
        ("105", "exchange_delivered_order_items: the gift card's balance of 17.0 does not cover 21.1"),
    ]


def test_every_retail_task_that_writes_looks_at_the_customer_and_the_order_first(retail: Domain) -> None:
    for each in retail.tasks:
        seen: set[str] = set()
        for done in each.path:
            if done.writes:
                assert any(name.startswith("find_user_id") for name in seen), each.id
                assert done.arguments.get("order_id", "user") in {*seen, "user"}, each.id
            seen.add(done.arguments.get("order_id", done.name) if not done.writes else done.name)


def test_gold_actions_leave_effects_and_an_end_state(tmp_path: Path) -> None:
    (read,) = load(tmp_path, [task(CANCEL)]).tasks
    assert [done.name for done in read.path] == [
        "find_user_id_by_name_zip",
        "get_order_details",
        "cancel_pending_order",
    ]
    (effect,) = read.effects
    assert (effect.service, effect.kind, effect.entity) == ("retail", "cancel_pending_order", "#W1")
    assert read.end_state["orders/#W1/status"] == '"cancelled"'
    assert read.end_state["users/ann_smith_1/payment_methods/gift_card_1/balance"] == "66.0"
    assert dict(effect.details) == read.end_state
    assert read.criteria == ("natural-language criteria",)


def test_a_change_that_is_taken_back_is_no_part_of_the_end_state(tmp_path: Path) -> None:
    there = {"address1": "2 Oak", "address2": "", "city": "Rye", "country": "USA", "state": "NY", "zip": "10580"}
    back = tiny_db()["users"]["ann_smith_1"]["address"]
    moves = [action("modify_user_address", user_id="ann_smith_1", **each) for each in (there, back)]
    (read,) = load(tmp_path, [task(*moves)]).tasks
    assert len(read.effects) == 2
    assert read.end_state == {}


def test_a_refused_gold_action_is_left_out_and_kept_in_mind(tmp_path: Path) -> None:
    (read,) = load(tmp_path, [task(CANCEL, CANCEL)]).tasks
    assert len(read.effects) == 1
    assert read.refused == ("cancel_pending_order: order #W1 is cancelled: only a pending one can be cancelled",)


UNKNOWN = {"action_id": "7_0", "name": "cancel_pending_ordr", "arguments": {}}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([task(UNKNOWN, id="7")], "task 7: action 7_0: there is no tool 'cancel_pending_ordr': did you mean"),
        ([task(action("think", thougt="x"))], "task 0: action 0_0 think: no argument 'thougt': did you mean 'thought'"),
        ([task(action("think"))], "task 0: action 0_0 think: the argument 'thought' is missing"),
        ([task({**CANCEL, "requestor": "user"})], "is the customer's own (requestor)"),
        ([task({**CANCEL, "arguments": [1]})], "arguments should be a mapping"),
        ([task({"arguments": {}})], "task 0: an action should be a mapping with a name"),
        ([task(), task()], "task 0: there is an earlier task with this id"),
        ([task(initial_state={"x": 1})], "task 0: has an initial_state"),
        ([task(evaluation_criteria={"actions": 5})], "task 0: evaluation_criteria.actions should be a list"),
        ([task(), {"id": "9"}], "task 9: user_scenario.instructions should say"),
        ([task(), 5], "the task at place 2: should be a mapping with an id"),
        (
            [task(domain="retail"), task(id="1", domain="airline")],
            "must name the same domain; they name retail, airline",
        ),
        ([{"id": "0"}], "none of them does"),
        ([], "should hold a list of tasks"),
        ('[{"id": 5,]', "tasks.json:1:11: not JSON"),
    ],
)
def test_what_is_wrong_in_the_tasks_is_named_with_file_and_task(tmp_path: Path, tasks: Any, message: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        load(tmp_path, tasks)
    assert message in str(caught.value)
    assert str(tmp_path / "tasks.json") in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile) as caught:
        load(tmp_path, [task(UNKNOWN), task(id="1"), task(UNKNOWN, id="2")])
    assert [problem.message.partition(":")[0] for problem in caught.value.problems] == ["task 0", "task 2"]


@pytest.mark.parametrize("db", ["{", {}, [], {"users": []}, {"users": {"a": 1}}])
def test_a_database_that_is_none_is_named(tmp_path: Path, db: object) -> None:
    with pytest.raises(InvalidFile, match=r"db\.json"):
        load(tmp_path, [task()], db)


def test_a_missing_file_or_folder_is_named_with_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidFile, match=r"tasks\.json: there is no such file; a domain folder of tau2-bench holds it"
    ):
        domain_name(tmp_path)
    with pytest.raises(
        UsageError, match=r"no file or folder 'data': workload\.tau2 names a domain folder of tau2-bench"
    ):
        find_folder("data", nothing)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="'file' is not a folder"):
        find_folder("file", lambda name: tmp_path / name)


def test_another_domain_needs_tools_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no tools of ours for the domain 'airline', only for retail"):
        load(tmp_path, [task(domain="airline")])
