"""Agents that know nothing of Pagerproof: what they are given, and what is made of what they return."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pagerproof.agents.foreign import facts_wanted, reply_of, text_of
from pagerproof.agents.load import load_agent
from pagerproof.model import ReplyStatus, Request

REQUEST = Request(
    index=3, arrival_s=1.0, channel="chat", locale="de_DE", customer_name="Ann", customer_email="a@b.c", text="hello"
)


async def one(words): ...
async def named(text, email, locale): ...
async def defaulted(text, history=None): ...
async def desk_agent(request, desk): ...
async def nothing(): ...
async def strange(text, price): ...


@pytest.mark.parametrize(
    ("function", "facts"),
    [
        (one, ("text",)),
        (named, ("text", "email", "locale")),
        (defaulted, ("text",)),
        (desk_agent, None),
        (nothing, None),
        (strange, None),
    ],
)
def test_a_foreign_agent_is_recognised_by_its_parameters(function, facts) -> None:
    assert facts_wanted(function) == facts


@pytest.mark.parametrize(
    "value",
    [
        "hi",
        SimpleNamespace(final_output="hi"),
        SimpleNamespace(output="hi"),
        {"messages": [SimpleNamespace(content="no"), SimpleNamespace(content="hi")]},
        {"messages": [{"role": "assistant", "content": "hi"}]},
    ],
)
def test_the_text_is_found_in_what_frameworks_return(value) -> None:
    assert text_of(value) == "hi"


@pytest.mark.parametrize("value", [None, 7, {"messages": []}, SimpleNamespace(answer="hi")])
def test_something_without_a_text_is_refused(value) -> None:
    with pytest.raises(TypeError, match="text of its reply"):
        text_of(value)


def test_a_text_claims_to_be_done_unless_it_says_otherwise() -> None:
    assert reply_of("All set.").status is ReplyStatus.DONE
    assert reply_of("DECLINE: not yours").status is ReplyStatus.DECLINED
    assert reply_of("CANNOT: the tool fails").status is ReplyStatus.FAILED


def test_two_facts_are_no_request_and_desk(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("async def main(text, email):\n    return email\n")
    assert load_agent("mine.py", folder=tmp_path).foreign
    (tmp_path / "mine.py").write_text("async def main(request, desk):\n    return 'x'\n")
    assert not load_agent("mine.py", folder=tmp_path).foreign


def test_each_run_imports_a_foreign_agent_anew(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "seen = []\n\nasync def main(text):\n    seen.append(text)\n    return str(seen)\n"
    )
    loaded = load_agent("mine.py", folder=tmp_path)
    assert loaded.foreign
    for _ in range(2):
        work = loaded.make().handle(REQUEST, None)  # type: ignore[arg-type]  # it never looks at the desk
        with pytest.raises(StopIteration) as end:
            work.send(None)
        assert end.value.value.text == "['hello']"
