"""Progress: what it prints, how often, and that it keeps no thread and reads no clock."""

from __future__ import annotations

import threading

import pytest
from tests.reporting.stage import Screen

from pagerproof.reporting.progress import Heartbeat, LiveProgress, NoProgress, Snapshot, progress_for


def _at(wall_s: float, done: int, **failures: int) -> Snapshot:
    return Snapshot(done=done, total=10_001, failures=failures, virtual_s=5520.0, wall_s=wall_s)


def _terminal() -> Screen:
    return Screen(80, terminal=True)


def test_heartbeat_is_one_plain_line_each_ten_seconds_of_wall_time() -> None:
    screen = Screen(60)
    with Heartbeat(screen.console) as progress:
        for tenth in range(260):
            progress.update(_at(tenth / 10, tenth * 20, crashed=12, failed_silent=3))
    lines = screen.text.splitlines()
    assert lines == [
        "2000/10001 19% 200/s virtual 1 h 32 min, failures: crashed 12, failed silent 3, about 40 s left",
        "4000/10001 39% 200/s virtual 1 h 32 min, failures: crashed 12, failed silent 3, about 30 s left",
    ]


def test_heartbeat_speaks_at_once_after_a_long_silence_and_then_keeps_its_rhythm() -> None:
    screen = Screen(100)
    progress = Heartbeat(screen.console, label="baseline")
    for wall_s in (34.0, 35.0, 39.0, 41.0):
        progress.update(_at(wall_s, 100))
    lines = screen.text.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("baseline: 100/10001 0% 3/s virtual")
    assert "no failure" in lines[0]


def test_live_display_shows_everything_and_leaves_the_terminal_clean() -> None:
    screen = _terminal()
    threads = threading.active_count()
    with LiveProgress(screen.console) as progress:
        progress.update(_at(1.0, 2312, crashed=12, failed_silent=3, late=9, gave_up=2, no_reply=1))
        assert threading.active_count() == threads
    assert "2,312/10,001 23%  2,312/s  virtual 1 h 32 min  about 3 s left" in screen.text
    assert "failures: crashed 12, late 9, failed silent 3, gave up 2, others 1" in screen.text
    assert "\x1b[?25h" in screen.text  # the cursor is back


def test_live_display_is_redrawn_at_most_ten_times_a_second_and_once_at_the_end() -> None:
    screen = _terminal()
    with LiveProgress(screen.console) as progress:
        for hundredth in range(100):
            progress.update(_at(hundredth / 100, hundredth))
        drawn = screen.text.count("failures:")
        progress.update(_at(0.991, 10_001))
        progress.update(_at(0.992, 10_001))
    assert 9 <= drawn <= 10
    assert "100%" in screen.text
    assert "settling the last ones" in screen.text


def test_live_display_ends_also_when_the_run_is_interrupted() -> None:
    screen = _terminal()
    with pytest.raises(KeyboardInterrupt):
        _interrupted(LiveProgress(screen.console))
    assert "\x1b[?25h" in screen.text


def _interrupted(progress: LiveProgress) -> None:
    with progress:
        progress.update(_at(1.0, 10))
        raise KeyboardInterrupt


def test_no_time_left_is_guessed_before_anything_is_done() -> None:
    screen = _terminal()
    with LiveProgress(screen.console) as progress:
        progress.update(Snapshot(done=0, total=0))
        progress.update(_at(0.2, 0))
    assert "left" not in screen.text


def test_progress_suits_the_console() -> None:
    assert isinstance(progress_for(_terminal().console, enabled=True), LiveProgress)
    assert isinstance(progress_for(Screen(80).console, enabled=True), Heartbeat)
    silent = progress_for(_terminal().console, enabled=False)
    assert isinstance(silent, NoProgress)
    with silent as shown:
        shown.update(_at(100.0, 5))
