"""The garbage collector keeps still during a run, except where the run asks for it."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import gc
import weakref

from pagerproof.kernel import frozen_gc


class Knot:
    def __init__(self) -> None:
        self.me = self


def test_cycles_are_collected_only_when_asked_for():
    with frozen_gc() as collect_now:
        assert not gc.isenabled()
        watched = weakref.ref(Knot())
        knots = [Knot() for _ in range(20_000)]
        del knots
        assert watched() is not None
        collect_now(2)
        assert watched() is None
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with frozen_gc():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
