"""At the desk's boundary a broken delivery is an error that names it, and slow bytes are a wait."""

from __future__ import annotations

import pytest

from pagerproof.experiment.boundary import Boundary
from pagerproof.scenario.schema import FaultUse, Limits
from pagerproof.tools import ConnectionLost, ToolResult, ToolTimeout
from tests.faults.stage import SERVICE_S, Stage, case, model


def called(effect: object, timeout_s: float | None = None) -> tuple[ToolResult, float]:
    struck = model(effect=[effect])
    with Stage([FaultUse(use=struck.id)], {struck.id: struck}) as stage:
        boundary = Boundary(loop=stage.loop, seed=1, services=stage.services, injector=stage.injector, limits=Limits())
        toolbox = boundary.toolbox(case(1))
        result = stage.run(toolbox.call("orders.Order.get", {"order_id": "1"}, timeout_s=timeout_s))
        return result, stage.loop.time()


@pytest.mark.parametrize("effect", ["half_headers", {"reset_body": {"keep": 0.5}}, {"bad_chunk": {"keep": 0.5}}])
def test_an_answer_that_breaks_on_its_way_is_a_lost_connection(effect: object) -> None:
    with pytest.raises(ConnectionLost):
        called(effect)


def test_slow_bytes_take_their_time_and_run_into_a_time_out() -> None:
    result, took_s = called({"slow_bytes": {"bytes_per_s": 10}})
    assert took_s == pytest.approx(SERVICE_S + len(result.body) / 10)
    with pytest.raises(ToolTimeout):
        called({"slow_bytes": {"bytes_per_s": 1}}, timeout_s=3.0)
