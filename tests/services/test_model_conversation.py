"""Reading on in a conversation must come to the same as reading it from the start, whatever was done to it between."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from pagerproof.rng import key_of, pick, uniform
from pagerproof.services.model_conversation import Conversation

SYSTEM: Any = {"role": "system", "content": "You act."}
USER: Any = {"role": "user", "content": "Where is order 4711?"}
TOOL: Any = {"role": "tool", "name": "orders.Order.get", "content": '{"status": "shipped"}'}


def asking() -> Any:
    call = {"type": "function", "function": {"name": "orders.Order.get", "arguments": "{}"}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def read(conversation):
    known = {name: getattr(conversation, name) for name in Conversation.__slots__ if not name.startswith("_")}
    known["tools"] = [(name, reading.text) for name, reading in conversation.tools]
    return known


def test_a_longer_conversation_is_read_on():
    messages = [SYSTEM, USER]
    conversation = Conversation(messages)
    messages += [asking(), TOOL]
    assert conversation.goes_on(messages)
    assert read(conversation) == read(Conversation(messages))


def test_another_role_goes_on_from_the_same_messages():
    conversation = Conversation([SYSTEM, dict(USER), asking(), TOOL])
    reviewed = [{"role": "system", "content": "Review what was done."}, dict(USER), asking(), TOOL]
    assert conversation.goes_on(reviewed)
    assert read(conversation) == read(Conversation(reviewed))


@pytest.mark.parametrize(
    "edit",
    [
        lambda messages: messages[1].update(content="Cancel it."),
        lambda messages: messages[2].update(content="Well."),
        lambda messages: messages[2]["tool_calls"].append("another"),
        lambda messages: messages[3].update(name="orders.Order.list"),
        lambda messages: messages[3].update(role="user"),
        lambda messages: messages.pop(),
        lambda messages: messages.pop(0),
        lambda messages: messages.insert(1, USER),
        lambda messages: messages.clear(),
    ],
)
def test_what_was_edited_in_place_is_read_anew(edit):
    messages = [dict(SYSTEM), dict(USER), asking(), dict(TOOL)]
    conversation = Conversation(messages)
    edit(messages)
    assert not conversation.goes_on(messages)


def test_a_list_of_calls_that_was_empty_may_grow():
    answer: Any = {"role": "assistant", "content": "", "tool_calls": []}
    conversation = Conversation([SYSTEM, USER, answer])
    answer["tool_calls"].append("one")
    assert not conversation.goes_on([SYSTEM, USER, answer])


@pytest.mark.parametrize(
    "message",
    [
        OrderedDict(USER),
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "tool", "content": "", "name": 1},
    ],
)
def test_nobody_goes_on_from_a_message_that_cannot_be_compared(message):
    messages = [SYSTEM, message]
    assert not Conversation(messages).goes_on(messages)


def test_after_an_unusable_message_nobody_goes_on():
    messages = [SYSTEM, USER]
    conversation = Conversation(messages)
    with pytest.raises(TypeError):
        conversation.goes_on([*messages, 7])
    assert not conversation.goes_on(messages)


def test_any_sequence_of_edits_reads_as_anew():
    parts = [SYSTEM, USER, TOOL, asking(), {"role": "developer", "content": "Short."}, {"role": "user", "content": ""}]
    went_on = 0
    for conversed in range(300):
        messages = [dict(SYSTEM), dict(USER)]
        conversation = Conversation(messages)
        for step in range(8):
            chance = uniform(7, conversed, step)
            key = key_of(8, conversed, step)
            if chance < 0.7:
                messages.append(dict(pick(key, parts)))
            elif chance < 0.8:
                messages = [{"role": "system", "content": pick(key, ["", "Review.", "Write."])}, *messages[1:]]
            elif chance < 0.9 and messages:
                pick(key, messages)["content"] = f"edited {step}"
            elif messages:
                messages.remove(pick(key, messages))
            if conversation.goes_on(messages):
                went_on += 1
                assert read(conversation) == read(Conversation(messages))
            else:
                conversation = Conversation(messages)
    assert went_on > 1000
