"""The texts on a terminal: as people have agreed to read them, and with everything that the JSON document says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reporting.stage import RUN, Screen, differences, replay, result

from pagerproof.metrics.result import Example, FailureMode, GateResult, RunResult, RunVerdict, StripBin
from pagerproof.model import Outcome
from pagerproof.oracles import known_modes
from pagerproof.reporting.layout import isolated, visible
from pagerproof.reporting.side_by_side import Differences, print_side_by_side
from pagerproof.reporting.summary import print_summary, words
from pagerproof.reporting.timeline_text import print_replay

SIZES = [(60, "utf-8"), (80, "utf-8"), (120, "utf-8"), (80, "ascii")]
Golden = Callable[[str, str], None]
Draw = Callable[[Screen], None]

RENDERERS: dict[str, Draw] = {
    "summary": lambda screen: print_summary(screen.console, result(), run_folder=RUN),
    "side_by_side": lambda screen: print_side_by_side(
        screen.console,
        result(agent="vendor_demo", outcomes={"failed_silent": 220, "crashed": 9, "resolved": 9772}),
        result(failure_modes=result().failure_modes[:1], verdict=RunVerdict(word="go", exit_status=0)),
        differences(),
        left_run=RUN.replace("hardened", "vendor_demo"),
        right_run=RUN,
    ),
    "timeline": lambda screen: print_replay(screen.console, replay(), command=f"pagerproof replay 10001 --run {RUN}"),
}


@pytest.mark.parametrize(("columns", "encoding"), SIZES)
@pytest.mark.parametrize("name", list(RENDERERS))
def test_text_is_the_agreed_one_and_no_line_is_wider_than_the_console(
    name: str, columns: int, encoding: str, golden_text: Golden
) -> None:
    screen = Screen(columns, encoding=encoding)
    RENDERERS[name](screen)
    assert screen.widest <= columns
    golden_text(f"{name}_{columns}{'_ascii' if encoding == 'ascii' else ''}.txt", screen.text)


@pytest.mark.parametrize("columns", [*range(60, 130, 7), 160, 200])
@pytest.mark.parametrize("name", list(RENDERERS))
def test_no_line_is_wider_than_the_console_at_any_width(name: str, columns: int) -> None:
    screen = Screen(columns)
    RENDERERS[name](screen)
    assert screen.widest <= columns


@pytest.mark.parametrize("name", list(RENDERERS))
def test_colours_change_no_character(name: str) -> None:
    plain, colored = Screen(80), Screen(80, color="always")
    RENDERERS[name](plain)
    RENDERERS[name](colored)
    assert "\x1b[" not in plain.text
    assert _without_styles(colored.text) == plain.text


def _without_styles(text: str) -> str:
    pieces = text.split("\x1b[")
    return pieces[0] + "".join(piece.partition("m")[2] for piece in pieces[1:])


# --- laws of the summary

_index = st.integers(1, 10_000_000)
_word = st.sampled_from(sorted(known_modes()))


@st.composite
def _failure_modes(draw: st.DrawFn) -> tuple[FailureMode, ...]:
    modes = draw(st.lists(_word, unique=True, max_size=8))
    found = []
    for mode in modes:
        indices = tuple(sorted(draw(st.sets(_index, min_size=1, max_size=9))))
        found.append(
            FailureMode(
                mode=mode,
                outcome=draw(st.sampled_from([each.value for each in Outcome if each.is_failure])),
                count=len(indices) + draw(st.integers(0, 100_000)),
                first_index=indices[0],
                first_unscripted=draw(st.one_of(st.none(), st.sampled_from(indices))),
                scripted=0,
                indices=indices,
            )
        )
    return tuple(found)


@st.composite
def _results(draw: st.DrawFn) -> RunResult:
    outcomes = draw(st.dictionaries(st.sampled_from([each.value for each in Outcome]), st.integers(0, 10_000_000)))
    last = draw(_index)
    text = st.text(max_size=120)
    return replace(
        result(),
        requests=draw(_index),
        outcomes=outcomes,
        failure_modes=draw(_failure_modes()),
        title=draw(text),
        verdict=RunVerdict(
            word=draw(st.sampled_from(["go", "no-go", "inconclusive", "baseline", "not reproducible"])),
            exit_status=0,
            reasons=tuple(draw(st.lists(text, max_size=2))),
        ),
        strip=(
            StripBin(first=1, last=last, worst="", mode="", requests=last, failures=0, scripted=0, outcomes=outcomes),
        ),
        change_points=(),
        examples=tuple(
            Example(index=draw(_index), mode="late", oracle="x", tool="y", outcome="late", message=draw(text))
            for _ in range(draw(st.integers(0, 2)))
        ),
        gates=(
            GateResult(
                expression="latency.p(95) < 60s", status=draw(st.sampled_from(["pass", "fail"])), unit="s", limit=60.0,
                observed=draw(st.floats(0.0, 1e6)), n=draw(_index), source=draw(text),
            ),
        ),
    )  # fmt: skip


def _row_of(mode: dict[str, Any]) -> re.Pattern[str]:
    """How a failure mode may stand in the text: as a row of a table, or as a line of words."""
    name, outcome = words(mode["mode"]), words(mode["outcome"])
    count, first, own = f"{mode['count']:,}", mode["first_index"], mode["first_unscripted"]
    row = rf"{name}[ |]+{outcome}[ |]+{count}[ |]+{first}[ |]+{'[·-]' if own is None else own}[ |]"
    line = rf"{name} outcome {outcome}, requests {count}, first {first}," + (
        "" if own is None else rf" unscripted {own},"
    )
    return re.compile(f"{row}|{line}")


@settings(max_examples=60, deadline=None)
@given(made=_results(), columns=st.integers(60, 200), encoding=st.sampled_from(["utf-8", "ascii"]))
def test_text_says_every_count_first_index_and_the_verdict_of_the_document(
    made: RunResult, columns: int, encoding: str
) -> None:
    screen = Screen(columns, encoding=encoding)
    print_summary(screen.console, made)
    document, said = made.to_json(), " ".join(screen.text.split())
    for mode in document["failure_modes"]:
        assert _row_of(mode).search(said), f"{mode} is not told"
    for outcome, count in document["outcomes"].items():
        assert not count or (words(outcome) in said and f"{count:,}" in said)
    assert document["verdict"].upper() in said
    assert f"{document['requests']:,} requests" in said
    assert screen.widest <= columns


def test_side_by_side_says_so_where_nothing_differs_and_no_valve_acted() -> None:
    screen = Screen(80)
    print_side_by_side(screen.console, result(), result(), Differences())
    assert "They end alike at every index." in screen.text
    screen = Screen(80)
    print_side_by_side(screen.console, result(), result(), Differences(pairs=(("late", "resolved", 1, (5,)),)))
    assert "They differ at 1 of 10,001 indices" in screen.text
    assert "No valve acted where they differ." in screen.text
    assert "pagerproof replay 5" in screen.text


def test_side_by_side_names_a_failure_of_the_first_agent_to_see_again() -> None:
    screen = Screen(80)
    pairs = (("resolved", "escalated", 9, (1, 2, 3)), ("runaway", "resolved", 1, (93,)))
    print_side_by_side(screen.console, result(), result(), Differences(pairs=pairs))
    assert "pagerproof replay 93" in screen.text


# --- the replay


def _replayed(**changes: object) -> str:
    screen = Screen(100)
    print_replay(screen.console, replay(**changes), command="")
    return screen.text


def test_replay_proves_that_it_is_the_same_request_or_says_that_it_is_not() -> None:
    assert "same request: digest ab12cd34ef56… equals the recorded one" in _replayed()
    assert "NOT the same: digest 0000, and ab12cd34ef56… was recorded" in _replayed(digest="0000")


def test_isolated_replay_says_whether_the_request_needs_its_history() -> None:
    assert "reproduces alone: digest" in _replayed(isolated=True)
    assert "reproduces alone: the same outcome" in _replayed(isolated=True, digest="0000")
    needs = _replayed(isolated=True, digest="0000", recorded_outcome="late", recorded_mode="late")
    assert "needs history: alone it ends as failed silent (done twice), in its run as late\n" in needs


def test_answer_that_nobody_heard_is_shown_beside_what_the_agent_saw() -> None:
    said = " ".join(_replayed().replace("\u2068", "").split())
    assert "agent sees 200 <html><body>502 Bad Gateway</body></html>" in said
    assert '#2 service sent {"customer_id": "C000042"' in said
    assert '#3 service sent {"refund_id": "doc_1", "status": "done"} (unheard)' in said


def test_customers_text_cannot_disturb_the_terminal() -> None:
    said = _replayed()
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\\u202e" in said
    assert "\\x1b[31m" in said
    assert said.count("\u2068") == said.count("\u2069") > 0
    for line in said.split("\n"):
        assert line.count("\u2068") == line.count("\u2069")


def test_what_hides_or_moves_is_escaped_and_scripts_and_emoji_are_not() -> None:
    assert visible("a\x07\x9b\u2066\u200b\ud800\U000e0041\nb") == "a\\x07\\x9b\\u2066\\u200b\\ud800\\U000e0041 b"
    for text in ("日本語", "שלום", "👩‍👧", "ي‌خ", "naïve"):
        assert visible(text) == text
    assert isolated("plain") == "plain"
    assert isolated("x שלום") == "\u2068x שלום\u2069"
