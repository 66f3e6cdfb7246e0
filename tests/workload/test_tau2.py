"""tau2-bench's tasks as requests: in turn, in the customer's own words, with facts where a reader finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.domains.folders import CANCEL, action, retail_folder, task, write_folder

from pagerproof.errors import UsageError
from pagerproof.scenario.schema import Workload
from pagerproof.workload.tau2 import Tau2Workload, build_tau2, written_by_customer


def workload(folder: Path, *tasks: dict[str, Any], **spec: Any) -> Tau2Workload:
    write_folder(folder, list(tasks))
    return build_tau2(Workload.model_validate({"tau2": "x", **spec}), seed=1, requests=10, resolve=lambda name: folder)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("You are Ann and you're late", "I am Ann and I'm late."),
        ("Your name is Ann.", "My name is Ann."),
        ("You name is Ann.", "My name is Ann."),
        ("You'd like your order, which you've paid yourself.", "I'd like my order, which I've paid myself."),
        ("If the agent asks you, you want it sent to you.", "If the agent asks me, I want it sent to me."),
    ],
)
def test_orders_to_a_simulated_user_become_a_customers_words(written: str, said: str) -> None:
    assert written_by_customer({"reason_for_call": written}) == said


def test_the_message_holds_what_the_customer_knows_and_not_what_they_do_not(tmp_path: Path) -> None:
    request, truth = workload(tmp_path, task(CANCEL)).case(1, 0.0)
    assert request.text == ("I am Ann Smith in zip code 12345. I want to cancel my order #W1, which I no longer need.")
    assert (request.customer_name, request.customer_email) == ("Ann Smith", "")
    assert truth.customer.customer_id == "ann_smith_1"


def test_no_retail_message_speaks_of_you_without_need() -> None:
    folder = retail_folder()
    built = build_tau2(Workload(tau2="x"), seed=1, requests=114, resolve=lambda name: folder)
    texts = [each.text for each in built.tasks.values()]
    assert all(text[:1].isupper() for text in texts)
    assert sum(" you " in text.lower() or text.lower().startswith("you ") for text in texts) == 0


def test_requests_take_the_tasks_in_turn_and_draw_the_rest_anew(tmp_path: Path) -> None:
    built = workload(tmp_path, task(CANCEL), task(id="1"), task(id="2"))
    cases = [built.case(index, 0.0) for index in range(1, 8)]
    assert [truth.intents[0] for _, truth in cases] == [f"retail_{number}" for number in (0, 1, 2, 0, 1, 2, 0)]
    assert len({truth.patience_s for _, truth in cases}) == 7
    assert built.case(4, 0.0) == cases[3]


def test_one_task_alone_and_one_request_by_hand(tmp_path: Path) -> None:
    requests = {2: {"intent": "retail_0", "difficulty": 0}}
    built = workload(tmp_path, task(CANCEL), task(id="1"), only_intents=["retail_1"], requests=requests)
    truths = [built.case(index, 0.0)[1] for index in (1, 2, 3)]
    assert [(truth.intents[0], truth.scripted) for truth in truths] == [
        ("retail_1", False),
        ("retail_0", True),
        ("retail_1", False),
    ]
    assert truths[1].difficulty == 0.0


def test_arguments_come_from_the_text_or_from_the_latest_read_that_holds_them_or_are_written_out(
    tmp_path: Path,
) -> None:
    swap: dict[str, Any] = {"item_ids": ["101"], "new_item_ids": ["102"], "payment_method_id": "gift_card_1"}
    look = action("get_user_details", user_id="ann_smith_1")
    _, truth = workload(tmp_path, task(look, action("modify_pending_order_items", order_id="#W1", **swap))).case(1, 0.0)
    found = {step.operation: dict(step.arguments) for step in truth.path}
    assert found["retail.get_user_details"] == {"user_id": "ann_smith_1"}
    assert found["retail.find_user_id_by_name_zip"] == {
        "first_name": "$first_name",
        "last_name": "$last_name",
        "zip": "$zip",
    }
    assert found["retail.modify_pending_order_items"] == {
        "order_id": "$order_id",
        "item_ids": '=["101"]',
        "new_item_ids": '=["102"]',
        "payment_method_id": "@retail.get_order_details.payment_history.0.payment_method_id",
    }
    assert truth.slots == {"first_name": "Ann", "last_name": "Smith", "zip": "12345", "order_id": "#W1"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"only_intents": ["retail_9"]}, "only_intents: there is no task 'retail_9'"),
        ({"requests": {2: {"intent": "x"}}}, "requests.2.intent: there is no task 'x'"),
        ({"requests": {0: {"difficulty": 0}}}, "requests.0: request indices start at 1"),
        ({"requests": {2: {"amount": "1.00"}}}, "requests.2.amount: a task of tau2-bench is asked as it is written"),
        ({"requests": {2: {"channel": "fax"}}}, "requests.2.channel: there is no channel 'fax'"),
    ],
)
def test_what_names_no_task_is_refused(tmp_path: Path, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        workload(tmp_path, task(CANCEL), **spec)
    assert message in str(caught.value)


def test_the_users_are_the_directory(tmp_path: Path) -> None:
    directory = workload(tmp_path, task(CANCEL)).directory
    ann = directory.customer("ann_smith_1")
    assert ann is not None
    assert directory.customer_by_email("ann@example.com") == ann
    assert (directory.customer("nobody"), directory.order("#W1"), directory.product("100")) == (None, None, None)
