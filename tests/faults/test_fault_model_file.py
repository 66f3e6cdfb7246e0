"""A fault model file is read strictly, and its mistakes are named where they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.faults.stage import MODELS_FOLDER, model

from pagerproof.errors import InvalidFile
from pagerproof.scenario.fault_model import FaultModel, json_schema
from pagerproof.scenario.load import load_file

# The example of the design, word for word.
EXAMPLE = """\
schema: pagerproof/fault-model/1
id: sap-dia-wp-exhaustion
title: SAP dialog work processes held by slow reports
cites:
  - {supports: "600 s limit", ref: "rdisp/max_wprun_time", url: "…", evidence: documented}
  - {supports: "pool size", evidence: assumed}
target:  {service: sap, operation: [SalesOrder.get, SalesOrder.create], edge: request, on_no_match: fail}
trigger: {probability: 0.03, window: {virtual: [10m, 25m]},
          burst: {model: gilbert-elliott, enter: 0.01, leave: 0.2}, limit: {concurrent: 12}}
effect:
  - hold: {resource: sap.dialog_work_process, for: {dist: lognormal, p50: 60s, p99: 600s}}
  - outcome: {committed: 0.5}
limits:  {max_requests: 10%, stop_when: none}
expect:
  always:    [no_duplicate_document, no_success_claim_without_document]
  sometimes: [sap.queue_wait_exceeded_30s]
"""


def loaded(folder: Path, text: str) -> FaultModel:
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return load_file(path, FaultModel).value


def test_the_designs_example_is_a_fault_model(tmp_path: Path) -> None:
    example = loaded(tmp_path, EXAMPLE)
    assert example.trigger.window is not None
    assert example.trigger.window.virtual == (600.0, 1500.0)
    assert [each.kind for each in example.effect] == ["hold", "outcome"]
    assert example.limits.max_requests == 0.1
    assert example.evidence == "assumed"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("probability: 0.03", "probability: 1.5", r":8:\d+: .*1.5"),
        ("probability: 0.03", "probabilty: 0.03", r":8:\d+: .*probabilty"),
        ("p50: 60s", "p50: 60", r":11:\d+: .*not a duration"),
        ("p50: 60s", "p50: 700s", r":11:\d+: .*below p99"),
        ("[10m, 25m]", "[25m, 10m]", r":8:\d+: .*must end after it begins"),
        ("evidence: documented", "evidence: proven", r":5:\d+: .*proven"),
        ("limits:  {max_requests: 10%, stop_when: none}\n", "", "limits"),
        ("outcome: {committed: 0.5}", "outcme: {committed: 0.5}", r":12:\d+: .*outcme"),
        ("outcome: {committed: 0.5}", "{outcome: {committed: 0.5}, stale: {}}", r"exactly one of"),
        ("id: sap-dia-wp-exhaustion", "id: SAP exhaustion", r":2:\d+: "),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(InvalidFile, match=message):
        loaded(tmp_path, EXAMPLE.replace(old, new))


@pytest.mark.parametrize(
    "parts",
    [
        {"trigger": {}},
        {"trigger": {"limit": {"concurrent": 3}}},
        {"trigger": {"wear": {"gauge": "orders.calls.total", "at_least": 10, "full_at": 5}, "probability": 0.1}},
        {"trigger": {"wear": {"gauge": "orders.calls.total", "at_least": 10, "full_at": 20}}},
        {"trigger": {"state": {"gauge": "orders.calls.total"}}},
        {"trigger": {"index": {"exact": [1], "every": 2}}},
        {"effect": []},
        {"effect": [{"truncate": {"keep": 0.5, "bytes": "10B"}}]},
        {"effect": [{"answer": {"status": 500, "preset": "http.unavailable"}}]},
        {"effect": [{"delay": {"dist": "exponential", "p50": "1s"}}]},
        {"effect": [{"delay": {"for": "1s", "mean": "1s"}}]},
        {"cites": []},
        {"cites": [{"supports": "x", "evidence": "documented"}]},
        {"parameters": {"wait": "delay.nowhere"}},
        {"limits": None},
    ],
)
def test_what_makes_no_sense_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model(**parts)


def test_an_effect_without_settings_may_be_a_bare_word() -> None:
    assert model(effect=["stale"]).effect == model(effect=[{"stale": {}}]).effect


def test_limits_must_be_written_even_if_there_are_none() -> None:
    assert model(limits="none").limits == model(limits={}).limits


def test_the_committed_json_schema_is_current() -> None:
    committed = (MODELS_FOLDER / "schema.json").read_text(encoding="utf-8")
    assert committed == json_schema(), "write pagerproof.scenario.fault_model.json_schema() to fault_models/schema.json"
