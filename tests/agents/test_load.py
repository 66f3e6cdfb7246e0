"""Loading agents: what is accepted, and what each mistake is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.valve import FakeDesk, ScriptedToolbox, answer, run

from pagerproof.agents.load import BUILTIN_AGENTS, Agent, WrongReply, checked_reply, load_agent
from pagerproof.errors import AgentCannotLoad
from pagerproof.model import Reply, ReplyStatus

ASYNC = "async def handle(request, desk):\n    return 'ok'\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def reply_of(agent: Agent) -> Reply:
    desk = FakeDesk(ScriptedToolbox({"orders.Order.get": [answer({})]}))

    async def replied() -> Reply:
        return checked_reply(await agent.handle(desk.request, desk))

    return run(replied())


@pytest.mark.parametrize("name", BUILTIN_AGENTS)
def test_shipped_agents_load_by_name(name: str, tmp_path: Path) -> None:
    loaded = load_agent(name, folder=tmp_path)
    assert loaded.name == name
    assert loaded.path is not None
    assert loaded.path.name == f"{name}.py"
    assert len(loaded.digest) == 64


@pytest.mark.parametrize(
    ("source", "attribute"),
    [
        (ASYNC, ""),
        (ASYNC, ":handle"),
        (ASYNC.replace("handle", "work"), ":work"),
        ("class Mine:\n    async def handle(self, request, desk):\n        return 'ok'\nagent = Mine()\n", ""),
        ("class Mine:\n    async def handle(self, request, desk):\n        return 'ok'\n", ":Mine"),
        ("class Mine:\n    async def __call__(self, request, desk):\n        return 'ok'\nagent = Mine()\n", ":agent"),
        (ASYNC.replace("handle", "work") + "def make_agent():\n    return work\n", ""),
        ("class N:\n    async def handle(self, r, d, more=1):\n        return 'ok'\nclass A:\n    n = N()\n", ":A.n"),
        ("import functools\nasync def w(x, request, desk):\n    return 'ok'\nagent = functools.partial(w, 1)\n", ""),
    ],
)  # fmt: skip
def test_each_kind_of_agent_loads_from_a_file(source: str, attribute: str, tmp_path: Path) -> None:
    write(tmp_path, "mine.py", source)
    assert reply_of(load_agent(f"mine.py{attribute}", folder=tmp_path).make()).text == "ok"
    assert reply_of(load_agent(f"mine{attribute}", folder=tmp_path).make()).text == "ok"


def test_a_class_is_made_anew_for_each_run_and_an_object_is_not(tmp_path: Path) -> None:
    source = (
        "class Mine:\n    def __init__(self):\n        self.n = 0\n"
        "    async def handle(self, request, desk):\n        self.n += 1\n        return str(self.n)\n"
    )
    write(tmp_path, "mine.py", source + "agent = Mine()\n")
    by_class, by_object = load_agent("mine.py:Mine", folder=tmp_path), load_agent("mine.py:agent", folder=tmp_path)
    assert [reply_of(by_class.make()).text for _ in range(2)] == ["1", "1"]
    assert [reply_of(by_object.make()).text for _ in range(2)] == ["1", "2"]


def test_an_agents_valves_are_put_around_its_tools(tmp_path: Path) -> None:
    source = (
        "from pagerproof.valves import Deadline\n"
        "class Mine:\n    valves = (Deadline(read_timeout_s=3.0),)\n"
        "    async def handle(self, request, desk):\n"
        "        await desk.call('orders.Order.get', order_id='1')\n        desk.note('n')\n        return 'ok'\n"
    )
    write(tmp_path, "mine.py", source)
    inner = ScriptedToolbox({"orders.Order.get": [answer({})]})
    desk = FakeDesk(inner)

    async def handled() -> Any:
        return await load_agent("mine.py:Mine", folder=tmp_path).make().handle(desk.request, desk)

    assert run(handled()) == "ok"
    assert inner.calls[0]["timeout_s"] == 3.0
    assert desk.notes == ["n"]


def test_an_edited_file_is_read_anew_and_its_helpers_too(tmp_path: Path) -> None:
    write(tmp_path, "helper_of_mine.py", "WORD = 'one'\n")
    write(tmp_path, "mine.py", "from helper_of_mine import WORD\n" + ASYNC.replace("'ok'", "WORD"))
    first = load_agent("mine.py", folder=tmp_path)
    assert reply_of(first.make()).text == "one"
    write(tmp_path, "helper_of_mine.py", "WORD = 'two'\n")
    second = load_agent("mine.py", folder=tmp_path)
    assert reply_of(second.make()).text == "two"
    assert first.digest != second.digest
    assert load_agent("mine.py", folder=tmp_path).digest == second.digest


def test_loading_leaves_no_trace_in_the_import_path_or_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "agents/mine.py", ASYNC)
    before = list(sys.path)
    loaded = load_agent("agents/mine.py:handle", folder=tmp_path)
    assert sys.path == before
    assert not list(tmp_path.rglob("__pycache__"))
    assert loaded.name == "mine"


def failure(spec: str, folder: Path) -> str:
    before = list(sys.path)
    with pytest.raises(AgentCannotLoad) as raised:
        load_agent(spec, folder=folder)
    assert sys.path == before
    return str(raised.value)


def test_a_syntax_error_is_shown_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, "mine.py", "async def handle(request, desk):\n    return (1,\n    x = = 2\n")
    message = failure("mine.py", tmp_path)
    assert message.startswith(f"{path}:")
    assert "SyntaxError" in message
    assert "|" in message
    place = message.splitlines()[0].removeprefix(f"{path}:").split(":")
    assert place[0].isdigit()
    assert place[1].isdigit()


def test_a_syntax_error_in_a_helper_names_the_helper(tmp_path: Path) -> None:
    helper = write(tmp_path, "broken_helper.py", "x = = 2\n")
    write(tmp_path, "mine.py", "import broken_helper\n" + ASYNC)
    assert failure("mine.py", tmp_path).startswith(f"{helper}:1:5: SyntaxError")


@pytest.mark.parametrize(
    ("spec", "source", "parts"),
    [
        ("mein.py", ASYNC, ["mein.py: there is no such file", "did you mean mine.py?"]),
        ("mein", ASYNC, ["no agent or module 'mein'", "mine"]),
        ("hardend", ASYNC, ["hardend", "did you mean hardened?"]),
        ("mine.py:handel", ASYNC, ["there is no 'handel' here", "did you mean handle?"]),
        ("mine.py", "x = 1\n", ["there is no handle, agent, make_agent or main here"]),
        ("mine.py", "import not_there_at_all\n", ["mine.py:1", "'not_there_at_all' is not installed"]),
        ("mine", "import not_there_at_all\n", ["mine.py:1", "'not_there_at_all' is not installed"]),
        ("mine.py", "from json import nope\n", ["mine.py:1", "cannot import name 'nope'"]),
        ("mine.py", "\n1 / 0\n", ["mine.py:2", "ZeroDivisionError: division by zero"]),
        ("mine.py", "raise SystemExit(3)\n", ["mine.py:1", "SystemExit: 3"]),
        ("mine.py", "def handle(request, desk):\n    return 'ok'\n", ["is not async", "async def"]),
        ("mine.py", "async def handle(a, b, c):\n    return 'ok'\n", ["cannot be called with (request, desk)"]),
        ("mine.py", "async def handle(request, desk):\n    yield 'ok'\n", ["yields"]),
        ("mine.py", "agent = 7\n", ["int is no agent"]),
        ("mine.py:Mine", "class Mine:\n    def handle(self, request, desk):\n        return 1\n", ["is not async"]),
        ("mine.py:M", "class M:\n    def __init__(self, url):\n        pass\n", ["making the agent raised TypeError"]),
        ("mine.py", "def make_agent():\n    raise OSError('no key')\n", ["raised OSError: no key", "mine.py:2"]),
        ("mine.py:A", "class A:\n    valves = 1,\n    async def handle(self, r, d):\n        ...\n", ["1 is no valve"]),
        ("mine.py:a b", ASYNC, ["names no agent"]),
        ("not/a-module", ASYNC, ["names no agent"]),
    ],
)  # fmt: skip
def test_each_mistake_gets_one_clear_message(spec: str, source: str, parts: list[str], tmp_path: Path) -> None:
    write(tmp_path, "mine.py", source)
    message = failure(spec, tmp_path)
    for part in parts:
        assert part in message, message
    assert "Traceback" not in message


def test_text_and_replies_are_taken_as_last_words() -> None:
    assert checked_reply("hi") == Reply(text="hi")
    declined = Reply(text="no", status=ReplyStatus.DECLINED)
    assert checked_reply(declined) is declined
    as_text = Reply(text="no", status="handed_over")  # type: ignore[arg-type]  # a user's plain string
    assert checked_reply(as_text).status is ReplyStatus.HANDED_OVER


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (None, "None (is a return missing?)"),
        ({"text": "hi"}, "dict"),
        (7, "int 7"),
        (b"hi", "bytes"),
        (Reply(text=None), "text of a Reply must be a str"),  # type: ignore[arg-type]  # wrong on purpose
        (Reply(text="hi", status="finished"), "done, declined"),  # type: ignore[arg-type]  # wrong on purpose
    ],
)
def test_anything_else_is_refused_with_what_it_was(value: object, part: str) -> None:
    with pytest.raises(WrongReply) as raised:
        checked_reply(value)
    assert part in str(raised.value)
