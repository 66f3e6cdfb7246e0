"""Changed fields are changed, and the model's faults are faults of a model."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from tests.faults.stage import ACT, FINISHED, VERIFY, Seen, case, model, stage_for

from pagerproof.faults import fields
from pagerproof.model import Answer

ORDER = Answer(200, {}, orjson.dumps({"order_id": "45", "total": "1.50", "items": [{"price": "1.50"}]}))
SAP = Answer(200, {}, orjson.dumps({"d": {"__metadata": {"uri": "x"}, "TotalNetAmount": "1.50"}}))


def changed(answer: Answer, names: tuple[str, ...], change: fields.Change, key: int = 0) -> Any:
    result = fields.changed_fields(answer, names, key, change)
    return None if result is None else json.loads(result.body)


def test_a_field_is_dropped_wherever_it_stands() -> None:
    assert changed(ORDER, ("price",), fields.drop) == {"order_id": "45", "total": "1.50", "items": [{}]}


def test_any_drops_one_field_that_the_key_chooses() -> None:
    chosen = {tuple(changed(ORDER, ("any",), fields.drop, key << 61)) for key in range(8)}
    assert len(chosen) > 1


def test_odata_envelopes_and_metadata_are_left_alone() -> None:
    assert changed(SAP, ("any",), fields.null) == {"d": {"__metadata": {"uri": "x"}, "TotalNetAmount": None}}


def test_a_field_takes_its_other_style_and_its_place() -> None:
    assert list(changed(ORDER, ("order_id",), fields.renamed(None))) == ["orderId", "total", "items"]
    assert list(changed(SAP, ("TotalNetAmount",), fields.renamed(None))["d"]) == ["__metadata", "total_net_amount"]


@pytest.mark.parametrize(
    ("to", "expected"),
    [("number", 1.5), ("string", "1.50 "), ("object", {"value": "1.50"}), ("list", ["1.50"]), ("boolean", True)],
)
def test_a_field_takes_another_type(to: str, expected: object) -> None:
    assert changed(ORDER, ("total",), fields.retyped(to))["total"] == expected


def test_an_answer_without_the_field_or_without_json_is_left_alone() -> None:
    assert changed(ORDER, ("nowhere",), fields.drop) is None
    assert changed(Answer(200, {}, b"<html>"), ("any",), fields.drop) is None
    assert changed(Answer(404, {}, ORDER.body), ("total",), fields.drop) is None


def test_a_drifted_policy_says_other_days_in_words_and_in_numbers() -> None:
    answer = fields.drifted(Answer(200, {}, b'{"rule":"within 30 days","days":30}'), 0.5)
    assert answer is not None
    assert json.loads(answer.body) == {"rule": "within 15 days", "days": 15}


def chat(effect: object, arguments: Any = ACT) -> Seen:
    with stage_for(model(service="llm", effect=[effect])) as stage:
        return stage.run(stage.call(case(1), "llm.Chat.create", arguments=arguments))


def choice(seen: Seen) -> Any:
    return json.loads(seen.body)["choices"][0]


def test_an_invented_tool_does_not_exist() -> None:
    from pagerproof.services.catalogue import OPERATIONS

    assert choice(chat("invented_tool"))["message"]["tool_calls"][0]["function"]["name"] not in OPERATIONS
    named = chat({"invented_tool": {"name": "orders.Order.teleport"}})
    assert choice(named)["message"]["tool_calls"][0]["function"]["name"] == "orders.Order.teleport"


def test_truncated_arguments_do_not_parse() -> None:
    cut = choice(chat({"truncated_arguments": {"keep": 0.6}}))
    assert cut["finish_reason"] == "length"
    with pytest.raises(ValueError, match=r".+"):
        json.loads(cut["message"]["tool_calls"][0]["function"]["arguments"])


def test_prose_calls_no_tool() -> None:
    said = choice(chat("prose"))
    assert "tool_calls" not in said["message"]
    assert said["finish_reason"] == "stop"


def test_a_refusal_is_marked_as_one() -> None:
    assert choice(chat("refusal"))["message"]["refusal"]


def test_in_a_polite_loop_the_verifier_never_approves_and_the_worker_never_finishes() -> None:
    verdict = json.loads(choice(chat("polite_loop", VERIFY))["message"]["content"])
    assert verdict["approved"] is False
    assert not choice(chat("polite_loop", FINISHED))["message"]["content"].startswith("DONE")


def test_a_polite_loop_leaves_other_calls_alone() -> None:
    assert choice(chat("polite_loop", ACT))["message"]["tool_calls"]
    writing = {"messages": [{"role": "system", "content": "Write to the customer."}]}
    assert json.loads(choice(chat("polite_loop", writing))["message"]["content"])["approved"] is True


def test_a_cut_stream_has_no_finish_reason() -> None:
    assert choice(chat("cut_stream"))["finish_reason"] is None
