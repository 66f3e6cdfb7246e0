"""Files become models, or every mistake in them is named with its place."""

# ruff: noqa: E501  (a table of one mistake and its message per line)

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field, model_validator

from pagerproof.errors import InvalidFile
from pagerproof.scenario.load import Loaded, load_file
from pagerproof.scenario.schema import Scenario, Seconds, Strict

HERE = Path(__file__).parent
GOOD = """\
schema: pagerproof/scenario/1
id: good
title: no
requests: 10_001
workload:
  arrivals: {process: poisson, rate: 4/s}
  requests:
    10001: {intent: refund, patience: 30s}
faults:
  - {use: some-fault, at: [10001]}
services:
  sap: {run_limit: 600s, when: 12:30:00, share: 1e3}
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def messages(folder: Path, text: str | bytes, model: type[Strict] = Scenario) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        load_file(written(folder, text), model, shown_as="f.yaml")
    return [f"{problem.line}:{problem.column}: {problem.message}" for problem in caught.value.problems]


@pytest.fixture
def good(tmp_path: Path) -> Loaded[Scenario]:
    return load_file(written(tmp_path, GOOD), Scenario, shown_as="f.yaml")


def test_a_good_file_becomes_its_model(good: Loaded[Scenario]) -> None:
    assert good.value.title == "no"
    assert good.value.requests == 10_001
    assert good.value.workload.requests[10_001].patience == 30.0
    assert good.value.services == {"sap": {"run_limit": "600s", "when": "12:30:00", "share": 1000.0}}


def test_an_unusual_file_gives_the_same_model(tmp_path: Path, good: Loaded[Scenario]) -> None:
    unusual = "--- # forces the full parser\n" + GOOD.replace("title: no", 'title: "n\\x6F"')
    assert load_file(written(tmp_path, unusual), Scenario).value == good.value


def test_line_ends_of_windows_and_a_byte_order_mark_change_nothing(tmp_path: Path, good: Loaded[Scenario]) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    loaded = load_file(path, Scenario)
    assert loaded.value == good.value
    assert loaded.locate(("faults", 0, "at")) == (10, 23)


@pytest.mark.parametrize(
    ("key_path", "key", "value"),
    [
        (("title",), (3, 1), (3, 8)),
        (("workload", "requests", 10001, "intent"), (8, 13), (8, 21)),
        (("workload", "requests", "10001"), (8, 5), (8, 12)),
        (("faults", 0), (10, 5), (10, 5)),
        (("faults", 0, "at"), (10, 23), (10, 27)),
        (("faults", 0, "at", 0), (10, 28), (10, 28)),
        (("faults", 0, "absent", "deeper"), (10, 5), (10, 5)),
        ((), (1, 1), (1, 1)),
    ],
)
def test_keys_and_values_are_located(
    good: Loaded[Scenario], key_path: tuple[str | int, ...], key: tuple[int, int], value: tuple[int, int]
) -> None:
    assert good.locate(key_path) == key
    assert good.locate(key_path, at="value") == value


def test_a_problem_shows_the_line_and_points_at_the_place(good: Loaded[Scenario]) -> None:
    assert str(good.problem(("faults", 0, "at"), "too late", at="key")) == (
        "f.yaml:10:23: too late\n     10 |   - {use: some-fault, at: [10001]}\n        |                       ^"
    )


def test_messages_of_bad_files_stay_as_they_are(golden: Callable[[str, str], None]) -> None:
    text = ""
    for path in sorted((HERE / "files").glob("*.yaml")):
        with pytest.raises(InvalidFile) as caught:
            load_file(path, Scenario, shown_as=path.name)
        text += f"{caught.value}\n\n"
    golden("bad_files.txt", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "1:1: the file is empty: it should begin with 'schema:'"),
        (b"# only a comment\n", "1:1: the file is empty: it should begin with 'schema:'"),
        (b"- a\n- b\n", "1:1: the file holds a list, not a mapping: it should begin with 'schema:'"),
        (b"hello", "1:1: the file holds a single value, not a mapping: it should begin with 'schema:'"),
        (b"a: 1\nb: x\xff\n", "2:5: not UTF-8: the byte 0xff is no character; save the file as UTF-8"),
        ("a: ü\n".encode("utf-16"), "1:1: not UTF-8: the byte 0xff is no character; save the file as UTF-8"),
        (b"a: b\x00c\n", "1:5: the character U+0000 is not allowed in a YAML file"),
        (b"a: 1\n---\nb: 2\n", "2:1: a second document begins here: one file holds one document"),
        (b"a: " + b"[" * 5000, "1:64: nested deeper than 60 levels, or too many values for one file"),
    ],
)
def test_what_cannot_be_a_scenario_file_is_told_in_one_message(tmp_path: Path, text: bytes, message: str) -> None:
    assert messages(tmp_path, text)[-1:] == [message]


def test_aliases_that_multiply_without_end_are_stopped(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "too many values" in messages(tmp_path, "\n".join(lines) + "\n")[-1]


def test_files_that_cannot_be_opened_are_told_without_a_place(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "absent.yaml", "f.yaml: there is no such file"),
        (tmp_path, "f.yaml: this is a folder, not a file"),
        (tmp_path / ("x" * 300), "f.yaml: the file cannot be read: File name too long"),
        (tmp_path / "a\0b", "f.yaml: the file cannot be read: embedded null byte"),
    ]:
        with pytest.raises(InvalidFile) as caught:
            load_file(path, Scenario, shown_as="f.yaml")
        assert str(caught.value) == message


def test_a_file_of_many_megabytes_is_refused_unread(tmp_path: Path) -> None:
    assert messages(tmp_path, b"#" * 4_000_001) == ["0:0: the file is larger than 4 MB"]


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/zero")
def test_a_device_without_end_is_refused() -> None:
    with pytest.raises(InvalidFile, match="larger than 4 MB"):
        load_file(Path("/dev/zero"), Scenario)


def test_characters_that_move_the_cursor_never_reach_the_message(tmp_path: Path) -> None:
    text = 'id: "\\e[2J\u202e"\n"\\e[31mkey": 1\nb: \u202eworse\n'
    with pytest.raises(InvalidFile) as caught:
        load_file(written(tmp_path, text), Scenario)
    assert all(line.isprintable() for line in str(caught.value).split("\n"))


def test_messages_name_the_file_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidFile, match=r"\Afile.yaml:1:1: "):
        load_file(written(tmp_path, "a: 1\n"), Scenario)


class Inner(Strict):
    wait: Seconds
    many: tuple[int, ...] = Field(default=(), max_length=2)


class Either(Strict):
    one: Inner | str
    name: str | list[str] = ""
    ratio: float = Field(default=1.0, gt=0, lt=10)

    @model_validator(mode="after")
    def _named(self) -> "Either":
        if self.name == "forbidden":
            raise ValueError("name and one do not go together")
        return self


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one: {wait: 3}\n", ["1:13: wait: 3 is not a duration: write a number and a unit (us, ms, s, m, h, d), such as 30s"]),
        ("one: x\nname: 5\n", ["2:7: name: must be text or a list ([a, b]), not the number 5"]),
        ("one: x\nratio: 10\n", ["2:8: ratio: must be less than 10, not 10"]),
        ("one: {wait: 1s, many: [1, 2, 3]}\n", ["1:23: many: must have at most 2 items"]),
        ("one: {wait: 1s, many: [1, x]}\n", ["1:27: many[1]: must be a whole number, not 'x'"]),
        ("one: x\nname: forbidden\n", ["1:1: name and one do not go together"]),
        ("one:\n", ["1:1: one: must be a mapping (key: value) or text, not nothing"]),
    ],
)  # fmt: skip
def test_unions_and_nested_models_are_told_at_the_place_in_the_file(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    assert sorted(messages(tmp_path, text, Either)) == sorted(expected)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
@example(b'a: "\\ud800"')
@example(b'a: "\\UFFFFFFFF"')
@example(b"a: !!python/object:os.system x")
@example(b"? {a: b}\n: c")
@example(b"<<: *a")
def test_no_bytes_at_all_lead_to_anything_but_one_readable_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidFile) as caught:
        load_file(path, Scenario)
    assert caught.value.problems
