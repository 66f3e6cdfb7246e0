"""The quick reader reads what the full parser reads, and leaves everything else to it."""

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pagerproof.scenario.positions import read_with_positions, resolve
from pagerproof.scenario.quick import NotQuick, read_quickly

REPOSITORY = Path(__file__).resolve().parents[2]

EVERYDAY = """\
# a comment
schema: pagerproof/scenario/1   # a comment behind a value
title: "quoted: with # both"
other: 'it''s'
plain: it's a http://address#part, with [brackets] and {braces}
share: 10%
truth: [true, no, ~, null, , 1_000, 1e3, -2.5, 0x1F, 0o17, 12:30:00, 2026-11-22, .5, -1.]
nested:
  deeper: {a: 1, b: [x y, "q, r", {c: d}], c: }
  list:
    - one
    -   two: 2
        three: [a,
          b, # comment
          c]
    -
      - inner
    - {use: x, at: [10001]}
  same_column:
  - a
  - b: 1
    c:
    - d
empty:
text: >-
  folded over
  two lines

  and a paragraph
literal: |
  a: b
  # no comment

  end
last: 5
"""


def test_everyday_text_is_read_as_the_full_parser_reads_it() -> None:
    text = EVERYDAY.replace(" , 1_000", " 1_000").replace("c: }", "c: 3}")
    read = read_with_positions(text)
    assert read.mistakes == []
    assert read_quickly(text) == read.value
    assert read.value["truth"][:3] == [True, "no", None]
    assert read.value["truth"][4:6] == [1000, 1000.0]
    assert read.value["text"] == "folded over two lines\nand a paragraph"
    assert read.value["literal"] == "a: b\n# no comment\n\nend\n"
    assert read.value["nested"]["same_column"] == ["a", {"b": 1, "c": ["d"]}]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",  # a duplicate key
        "a: {b: 1, b: 2}\n",
        "a: &x 1\nb: *x\n",
        "a: !!str 5\n",
        'a: "\\u0041"\n',
        "a: one\n  two\n",  # plain text over two lines
        "a: b: c\n",
        "a:\tb\n",
        "a:\n\tb: 1\n",
        "- a\n",
        "just text\n",
        "",
        "\n# nothing\n",
        "---\na: 1\n",
        "a: 1\n...\n",
        "a: 1\n---\nb: 2\n",
        "%YAML 1.2\n---\na: 1\n",
        "? a\n: b\n",
        "a: @b\n",
        "a: [1, 2\nb: 3\n",
        "a: [1, 2]]\n",
        "a: [1, , 2]\n",
        "a: {b}\n",
        "a: [b: c]\n",
        "a: 'open\n",
        " a: 1\nb: 2\n",
        "a: 1\n  b: 2\n",
        "a:\n    b: 1\n  c: 2\n",
        "a: |+\n  text\n\n",
        "a: |2\n    text\n",
        "a: >\n  folded\n   more\n",
        "a: |\n  no line end",
        "a: \x01\n",
        "a: \x85b\n",
        "\ufeffa: 1\n",
        "[" * 1000,
        "a: " + "[" * 1000,
        "\n".join(" " * n + "a:" for n in range(1000)),
    ],
)
def test_unusual_or_wrong_text_is_left_to_the_full_parser(text: str) -> None:
    with pytest.raises(NotQuick):
        read_quickly(text)


PIECES = [
    "a: ", "b: ", "c:", "k1: ", "\n", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", "- ", "-", "[", "]", "{", "}", ", ",
    ",", ": ", ":", " #x", "#", " ", "'", "''", '"', "x", "y z", "1", "10%", "-1", "1.5e3", "no", "12:30:00",
    "~", "null", "|", "|-", ">", ">-", "\n  t", "http://u", "é", "日", "true", "\n\n", "\n  # c", "it's",
    "--", "---", "...", "%", "@", "*a", "&a", "!t", "?", "? ", "<<: ", "=", "0x1F", "0o17", "1_000", "(a)", "\\", "$x",
    "\t", "\r", "{p: 1, q: [a, b c]}\n", "\n  - m: 1\n    n: 2\n", "t: >-\n  one\n  two\n\n  three\n",
]  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map(lambda pieces: "a: " + "".join(pieces) + "\n"))
def test_whatever_the_quick_reader_accepts_the_full_parser_reads_alike(text: str) -> None:
    try:
        quick = read_quickly(text)
    except NotQuick:
        return
    read = read_with_positions(text)
    assert read.mistakes == []
    assert repr(read.value) == repr(quick)


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("abc xyz:#-'\"[]{},%10.", max_size=12).filter(
        lambda text: not text.startswith(":")
    ),  # ruamel writes `{a: :}` and cannot read it
)
TREES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcz_-", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text("abcz_", min_size=1, max_size=6), TREES, min_size=1, max_size=4), st.booleans())
def test_what_ruamel_writes_is_read_back_by_both_readers(value: dict[str, Any], flow: bool) -> None:
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = flow
    stream = io.StringIO()
    writer.dump(value, stream)
    text = stream.getvalue()
    read = read_with_positions(text)
    assert read.mistakes == []
    assert read.value == value
    with contextlib.suppress(NotQuick):
        assert read_quickly(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30:00", "12:30:00"),
        ("2026-11-22", "2026-11-22"),
        ("1e3", 1000.0),
        ("1.", 1.0),
        ("010", 10),
        ("10_001", 10001),
        ("1__0", "1__0"),
        ("0x1F", 31),
        ("0b1", "0b1"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("9" * 31, "9" * 31),
        ("-", "-"),
        ("True", True),
        ("~", None),
        ("", None),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("scenarios/**/*.yaml")), ids=lambda path: path.stem)
def test_shipped_scenarios_are_read_quickly_and_as_the_full_parser_reads_them(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert read_quickly(text) == read_with_positions(text).value
