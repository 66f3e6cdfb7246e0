"""The shipped intents make sense: paths work on the real services, and what they leave is what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.workload.stage import one_of_each, shipped, walk

from pagerproof.errors import InvalidFile
from pagerproof.model import Expectation, LedgerEntry
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.workload.intents import load_intents

HOUSEKEEPING = "note"


def met(expectation: Expectation, entries: list[LedgerEntry]) -> bool:
    """Whether the ledgers show every expected effect once, and nothing else but notes."""
    left = [entry for entry in entries if entry.kind != HOUSEKEEPING]
    for effect in expectation.effects:
        for entry in left:
            same = (entry.service, entry.kind, entry.entity) == (effect.service, effect.kind, effect.entity)
            if same and entry.amount_minor == effect.amount_minor and set(effect.details) <= set(entry.details):
                left.remove(entry)
                break
        else:
            return False
    return not left


def test_whoever_follows_the_path_meets_the_expectation() -> None:
    workload = shipped()
    for intent, request, truth in one_of_each(workload, times=4):
        entries, answers = walk(workload, request, truth)
        assert met(truth.expectation, entries), f"{intent}: {truth.expectation} but {entries}"
        for value in truth.expectation.told:
            assert value in str(answers), f"{intent}: no answer says {value}"


def test_the_shipped_intents_are_many_and_of_realistic_length() -> None:
    intents = shipped().intents.values()
    weight = sum(intent.weight for intent in intents)
    calls = sum(intent.weight * len(intent.path) for intent in intents) / weight
    assert len(intents) >= 26
    assert 4.0 <= calls <= 5.0
    assert all(len(intent.templates) >= 4 for intent in intents)
    assert sum(len(intent.parts) > 1 for intent in intents) >= 2
    services = {step.operation.split(".")[0] for intent in intents for step in intent.path}
    assert services == {"crm", "orders", "inventory", "payments", "kb", "sap"}


def test_an_intent_about_an_order_says_in_which_state_it_makes_sense() -> None:
    for intent in shipped().intents.values():
        assert bool(intent.needs.status) == intent.about_order, intent.id


def test_customers_say_everything_that_the_path_needs() -> None:
    for intent, request, truth in one_of_each(shipped(), times=6):
        for step in truth.path:
            for _, source in step.arguments:
                if source.startswith("$") and source != "$email":
                    assert truth.slots[source[1:]] in request.text, f"{intent}: {source} is not in {request.text!r}"


def test_every_effect_has_a_write_that_leaves_it() -> None:
    for intent in shipped().intents.values():
        left = {(OPERATIONS[step.operation].service, OPERATIONS[step.operation].effect_kind) for step in intent.path}
        assert {(effect.service, effect.kind) for effect in intent.effects} <= left
        written = {kind for _, kind in left} - {"", HOUSEKEEPING}
        assert written == {effect.kind for effect in intent.effects}, intent.id


def test_two_wishes_share_steps_and_both_must_come_true() -> None:
    intents = shipped().intents
    both = intents["refund_and_password"]
    assert both.parts == ("refund", "password_reset")
    assert [step.operation for step in both.path].count("crm.Customer.find") == 1
    assert len(both.effects) == len(intents["refund"].effects) + len(intents["password_reset"].effects)


GOOD = """\
schema: pagerproof/intents/1
id: mine
title: Mine
intents:
  - id: where
    title: Where is it
    weight: 1
    utterances: ["Where is {order_id}?"]
    path:
      - crm.Customer.find: {email: $email}
      - orders.Order.get: {order_id: $order_id}
    needs: {status: [open]}
    expects: {told: [$status]}
"""


def problems_of(tmp_path: Path, text: str) -> str:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFile) as caught:
        load_intents(file, OPERATIONS)
    return str(caught.value)


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD, encoding="utf-8")
    assert [intent.id for intent in load_intents(file, OPERATIONS)] == ["where"]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "orders.Order.get:",
            "orders.Order.gte:",
            11,
            "no operation 'orders.Order.gte': did you mean 'orders.Order.get'",
        ),
        ("order_id: $order_id", "order_ids: $order_id", 11, "has no argument 'order_ids': did you mean 'order_id'"),
        ("order_id: $order_id", "order_ids: $order_id", 11, "needs the argument 'order_id'"),
        ("order_id: $order_id", "order_id: $ordre_id", 11, "no slot 'ordre_id': did you mean 'order_id'"),
        ("order_id: $order_id", 'order_id: "@kb.Policy.get.rule"', 11, "'kb.Policy.get' is not called before"),
        ("order_id: $order_id", 'order_id: "@orders.get"', 11, "should read @service.Entity.verb.field"),
        ("order_id: $order_id", "order_id: 7", 11, "'order_id' must be text"),
        ("Where is {order_id}?", "Where is {order}?", 8, "no slot 'order'"),
        ("Where is {order_id}?", "Where is {order_id?", 8, ""),
        ("status: [open]", "status: [opened]", 12, "'opened' is not one of"),
        ("told: [$status]", 'told: ["@orders.Order.get.status"]', 13, "never what a service answered"),
        ("told: [$status]", "told: [$state]", 13, "no slot 'state'"),
        ("{told: [$status]}", "{effects: [{service: sap, kind: credit_memo, entity: $sales_order}]}", 13, "no step"),
        ("title: Where is it", "titel: Where is it", 6, "titel"),
        ("weight: 1", "weight: 0", 7, "greater than 0"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in GOOD
    found = problems_of(tmp_path, GOOD.replace(old, new))
    assert f"mine.yaml:{line}:" in found
    assert message in found


def test_a_combination_must_be_possible(tmp_path: Path) -> None:
    other = GOOD.partition("intents:\n")[2].replace("id: where", "id: why").replace("[open]", "[delivered]")
    both = "  - {id: both, title: Both, weight: 1, combines: [where, why]}\n"
    assert "no order status suits all" in problems_of(tmp_path, GOOD + other + both)
    unknown = "  - {id: both, title: Both, weight: 1, combines: [where, whither]}\n"
    assert "there is no intent 'whither'" in problems_of(tmp_path, GOOD + unknown)
