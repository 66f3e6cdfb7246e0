"""The pool of workers: who waits, who is served next, who is turned away."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.service import ManualClock

from pagerproof.resources import SERVED, Pool, Ticket


def pool(capacity: int = 1, queue_limit: int | None = None) -> Pool:
    return Pool(ManualClock(), capacity, queue_limit)


def test_a_free_worker_is_given_at_once_without_an_event() -> None:
    clock = ManualClock()
    served: list[str] = []
    assert Pool(clock, 1).acquire(served.append, "a") is SERVED
    assert (served, clock.queue) == (["a"], [])


def test_the_line_is_served_in_order_of_arrival_within_each_priority() -> None:
    workers = pool()
    served: list[str] = []
    for name, priority in (("a", 0), ("b", 1), ("c", 0), ("d", -1), ("e", 1)):
        workers.acquire(served.append, name, priority=priority)
    for _ in range(5):
        workers.release()
    assert served == ["a", "d", "c", "b", "e"]
    assert (workers.in_use, workers.queued, workers.peak) == (0, 0, 1)


def test_workers_can_be_taken_only_while_one_is_free_and_the_peak_remembers_them() -> None:
    workers = pool(capacity=2)
    assert [workers.take() for _ in range(3)] == [True, True, False]
    workers.release()
    assert (workers.in_use, workers.peak) == (1, 2)


def test_a_full_line_refuses() -> None:
    workers = pool(queue_limit=1)
    workers.acquire(str)
    assert isinstance(workers.acquire(str), Ticket)
    assert workers.acquire(str) is None
    assert workers.queued == 1


def test_leaving_the_line_makes_room_and_is_possible_once() -> None:
    workers = pool(queue_limit=1)
    served: list[str] = []
    workers.acquire(served.append, "a")
    ticket = workers.acquire(served.append, "b")
    assert ticket is not None
    assert ticket.waiting
    assert ticket.cancel()
    assert not ticket.cancel()
    assert workers.queued == 0
    workers.acquire(served.append, "c")
    workers.release()
    assert served == ["a", "c"]


def test_a_ticket_that_was_served_cannot_be_cancelled() -> None:
    workers = pool()
    served: list[str] = []
    workers.acquire(served.append, "a")
    ticket = workers.acquire(served.append, "b")
    assert ticket is not None
    workers.release()
    assert not ticket.cancel()
    assert not SERVED.cancel()
    assert (workers.in_use, workers.queued) == (1, 0)


def test_many_who_leave_a_line_that_stands_still_are_forgotten() -> None:
    workers = pool()
    workers.acquire(int)
    last = workers.acquire(int)
    for _ in range(10_000):
        ticket = workers.acquire(int)
        assert ticket is not None
        ticket.cancel()
    assert workers.queued == 1
    assert len(workers._lines[0]) < 200
    assert last is not None
    workers.release()
    assert not last.waiting


def test_a_foreign_job_holds_a_worker_for_its_time() -> None:
    clock = ManualClock()
    workers = Pool(clock, 1)
    served: list[float] = []
    assert workers.hold(5.0)
    workers.acquire(lambda: served.append(clock.now))
    clock.run()
    assert served == [5.0]


def test_a_worker_cannot_be_given_back_twice() -> None:
    workers = pool()
    workers.acquire(int)
    workers.release()
    with pytest.raises(RuntimeError, match="nobody had"):
        workers.release()


def test_a_pool_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        pool(0)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 3),
    st.lists(
        st.one_of(
            st.tuples(st.just("acquire"), st.integers(-1, 1)),
            st.tuples(st.just("cancel"), st.integers(0, 30)),
            st.tuples(st.just("release"), st.just(0)),
        ),
        max_size=80,
    ),
)
def test_the_pool_serves_as_a_sorted_list_would(capacity: int, steps: list[tuple[str, int]]) -> None:
    workers = pool(capacity, queue_limit=8)
    served: list[int] = []
    expected: list[int] = []
    waiting: list[tuple[int, int]] = []
    tickets: dict[int, Ticket] = {}
    busy = 0
    for number, (step, value) in enumerate(steps):
        if step == "acquire":
            ticket = workers.acquire(served.append, number, priority=value)
            if busy < capacity:
                busy += 1
                expected.append(number)
            elif len(waiting) < 8:
                waiting.append((value, number))
            else:
                assert ticket is None
            if ticket is not None:
                tickets[number] = ticket
        elif step == "cancel" and value in tickets:
            left = [each for each in waiting if each[1] != value]
            assert tickets[value].cancel() == (len(left) < len(waiting))
            waiting = left
        elif step == "release" and busy:
            workers.release()
            if waiting:
                waiting.sort()
                expected.append(waiting.pop(0)[1])
            else:
                busy -= 1
        assert served == expected
        assert (workers.in_use, workers.queued) == (busy, len(waiting))
