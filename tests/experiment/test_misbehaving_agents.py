"""What an agent does wrong gets one clear message and the right exit status, and nothing that settled is lost."""

from __future__ import annotations

import pytest

from tests.experiment.running import CALM, agent_file, pagerproof, run_agent, scenario_file

GOOD = """
async def handle(request, desk):
    await desk.call("crm.Customer.find", email=request.customer_email)
    {line}
    return "done"
"""


def outcome_counts(execution):
    return {name: count for name, count in execution.result.outcomes.items() if count}


def test_an_agent_that_raises_crashes_its_own_requests_and_the_place_is_told(tmp_path):
    execution = run_agent(
        tmp_path,
        """
        async def handle(request, desk):
            if request.index == 3:
                raise ValueError("no such order")
            return "done"
        """,
    )
    assert execution.result.outcomes["crashed"] == 1
    crashed = next(each for each in execution.result.examples if each.outcome == "crashed")
    assert crashed.index == 3
    assert "ValueError: no such order (my_agent.py:4)" in crashed.message


@pytest.mark.parametrize(
    ("returned", "told"),
    [("None", "None (is a return missing?)"), ("{'text': 'done'}", "dict"), ("42", "int 42")],
)
def test_a_wrong_return_type_is_a_crash_that_names_the_type(tmp_path, returned, told):
    execution = run_agent(tmp_path, f"async def handle(request, desk):\n    return {returned}\n")
    assert execution.result.outcomes["crashed"] == 40
    assert any(told in each.message for each in execution.result.examples)


def test_an_agent_that_never_returns_ends_the_run_as_a_deadlock_with_the_place_where_it_waits(tmp_path):
    execution = run_agent(
        tmp_path,
        """
        import asyncio
        async def handle(request, desk):
            if request.index == 5:
                await asyncio.Event().wait()
            return "done"
        """,
    )
    assert execution.exit_status == 1
    assert execution.end.unsettled == (5,)
    assert "request 5" in str(execution.end.stopped_by)
    assert "my_agent.py:5" in str(execution.end.stopped_by)
    assert len(execution.table) == 40, "what had settled is kept"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import threading; threading.Thread(target=print).start()", "Thread.start"),
        ("import socket; socket.socket()", "socket.socket()"),
        ("import time; time.sleep(1)", "time.sleep"),
        ("import time; time.time()", "time.time"),
        ("import subprocess; subprocess.run(['true'])", "subprocess"),
        ("import datetime; datetime.datetime.now()", "datetime"),
    ],
)
def test_what_virtual_time_cannot_have_is_refused_by_name_with_the_place(tmp_path, line, told):
    imported, _, used = line.partition("; ")
    execution = run_agent(tmp_path, imported + GOOD.format(line=used))
    assert execution.exit_status == 1
    assert told in str(execution.end.stopped_by)
    assert "my_agent.py:4" in str(execution.end.stopped_by)


def test_a_refusal_cannot_be_swallowed(tmp_path):
    execution = run_agent(
        tmp_path,
        """
        import socket
        async def handle(request, desk):
            try:
                socket.socket()
            except BaseException:
                pass
            return "done"
        """,
    )
    assert "socket.socket()" in str(execution.end.stopped_by)


def test_an_instant_that_never_ends_is_a_livelock(tmp_path):
    execution = run_agent(
        tmp_path,
        """
        import asyncio
        async def handle(request, desk):
            while request.index == 4:
                await asyncio.sleep(0)
            return "done"
        """,
    )
    assert execution.exit_status == 1
    assert "livelock" in str(execution.end.stopped_by)
    assert "request 4" in str(execution.end.stopped_by)


def test_code_that_spins_without_awaiting_is_stopped_with_its_line(tmp_path):
    agent_file(tmp_path, "async def handle(request, desk):\n    while True:\n        pass\n")
    scenario_file(tmp_path, CALM + "limits: {spin_after: 500ms}\n")
    done = pagerproof("run", "calm.yaml", "--agent", "my_agent.py", folder=tmp_path)
    assert done.returncode == 1
    assert "my_agent.py:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_loop_of_calls_is_stopped_at_the_limit_and_called_runaway(tmp_path):
    execution = run_agent(
        tmp_path,
        """
        async def handle(request, desk):
            while True:
                try:
                    await desk.call("crm.Customer.find", email=request.customer_email)
                except Exception:
                    pass
        """,
    )
    assert outcome_counts(execution) == {"runaway": 40}


def test_a_tool_that_does_not_exist_is_answered_and_the_run_goes_on(tmp_path):
    execution = run_agent(
        tmp_path,
        """
        async def handle(request, desk):
            result = await desk.tools.call("crm.Customer.fnid", {"email": request.customer_email})
            assert result.status == 404 and b"crm.Customer.find" in result.body
            return "done"
        """,
    )
    assert execution.end.stopped_by is None
    assert execution.result.outcomes["crashed"] == 0


def test_arguments_that_are_no_json_are_an_error_of_that_call(tmp_path):
    execution = run_agent(tmp_path, GOOD.format(line='await desk.call("crm.Customer.get", customer_id=object())'))
    assert execution.result.outcomes["crashed"] == 40
    assert "cannot be sent as JSON" in execution.result.examples[0].message


@pytest.mark.parametrize(
    ("source", "status", "told"),
    [
        ("async def handle(request, desk)\n    return 1\n", 5, "my_agent.py:1:"),
        ("import no_such_library\nasync def handle(request, desk): return ''\n", 5, "no_such_library"),
        ("async def handel(request, desk): return ''\n", 5, "handle"),
        ("def handle(request, desk): return ''\n", 5, "not async"),
    ],
)
def test_an_agent_that_cannot_be_loaded_gets_one_message_and_status_5(tmp_path, source, status, told):
    agent_file(tmp_path, source)
    scenario_file(tmp_path)
    done = pagerproof("run", "calm.yaml", "--agent", "my_agent.py", folder=tmp_path)
    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "runs").exists()


def test_debug_shows_the_traceback(tmp_path):
    scenario_file(tmp_path)
    done = pagerproof("--debug", "run", "calm.yaml", "--agent", "missing.py", folder=tmp_path)
    assert "Traceback" in done.stderr
