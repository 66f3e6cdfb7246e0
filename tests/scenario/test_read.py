"""Scenario files are checked against what the rest of the program offers, each mistake at its place."""

# ruff: noqa: E501  (a table of one mistake and its message per line)

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field

from pagerproof.errors import InvalidFile
from pagerproof.model import Operation
from pagerproof.scenario.read import Known, read_scenario
from pagerproof.scenario.schema import Scenario, Seconds, Strict


class SapParameters(Strict):
    workers: int = Field(default=8, ge=1)
    run_limit: Seconds = Field(default=600.0, gt=0)


def operation(service: str, name: str) -> Operation:
    return Operation(service=service, name=name, summary="", arguments={})


def check_metric(expression: str) -> None:
    if "rate" not in expression:
        raise ValueError(f"{expression!r} names no metric")


KNOWN = Known(
    operations={each.full_name: each for each in (operation("sap", "SalesOrder.get"), operation("crm", "Note.create"))},
    service_parameters={"sap": SapParameters},
    fault_models={"slow", "cut"},
    agents=("hardened", "vendor_demo"),
    metric_check=check_metric,
    intents={"refund", "order_status"},
    edge_cases={"emoji", "changed_mind"},
    fault_parameters={"slow": ["p50", "p99"]},
)
HEAD = "schema: pagerproof/scenario/1\nid: x\ntitle: X\nrequests: 100\n"


def read(folder: Path, text: str, known: Known = KNOWN) -> Scenario:
    path = folder / "f.yaml"
    path.write_text(HEAD + text)
    return read_scenario(path, known, shown_as="f.yaml")


def problems(folder: Path, text: str, known: Known = KNOWN) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        read(folder, text, known)
    return [f"{each.line - 4}:{each.column}: {each.message}" for each in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "agent: {use: my_agents.py:refunder}\n",
        "workload: {arrivals: {process: spike, rate: 1/s, to: 6/s, at: 1m, over: 1m}}\n",
        "workload: {arrivals: {process: contact_center}}\n",
        "workload: {patience: {dist: infinite}}\n",
        "workload: {patience: {dist: exponential, mean: 2m, applies_to: queue}}\n",
        "workload: {channels: {chat: 33.3333%, voice: 33.3333%, email: 33.3334%}}\n",
        "workload: {requests: {100: {intent: refund, edge_cases: [emoji], channel: chat, locale: de_DE}}}\n",
        "services: {sap: {workers: 2, run_limit: 1m}}\n",
        "faults: [{use: slow}, {use: slow, id: slow-2, at: [1, 100], operations: ['sap.*']}, {use: cut, parameters: {any: 1}}]\n",
        "gates: [{gate: crashed.rate < 1%}, {gate: silent_failure.rate < 1%, source: x, evidence: measured}]\n",
    ],
)
def test_a_good_scenario_is_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).requests == 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agent: {use: hardned}", "1:14: unknown agent 'hardned': did you mean 'hardened'?"),
        ("agent: {use: zzz}", "1:14: unknown agent 'zzz': write hardened, vendor_demo, or MODULE_OR_FILE:ATTRIBUTE for your own"),
        ("workload: {arrivals: {process: poisson}}", "1:32: the arrival process 'poisson' needs 'rate'"),
        ("workload: {arrivals: {process: ramp, rate: 1/s}}", "1:32: the arrival process 'ramp' needs 'to' and 'over'"),
        ("workload: {arrivals: {process: poisson, rate: 1/s, over: 1m}}", "1:52: the arrival process 'poisson' has no use for 'over': it takes 'rate'"),
        ("workload: {arrivals: {process: replay, file: calls.csv}}", "1:46: there is no file or folder 'calls.csv' in"),
        ("workload: {patience: {dist: exponential}}", "1:29: the distribution 'exponential' needs one of 'median' and 'mean'"),
        ("workload: {patience: {dist: constant, mean: 1s, median: 1s}}", "1:29: the distribution 'constant' needs one of 'median' and 'mean'"),
        ("workload: {patience: {dist: infinite, mean: 1s}}", "1:39: the distribution 'infinite' has no use for 'mean'"),
        ("workload: {patience: {dist: constant, mean: 1s, sigma: 1}}", "1:49: the distribution 'constant' has no use for 'sigma'"),
        ("workload: {channels: {chat: 50%, voice: 40%}}", "1:22: channels: the shares sum to 0.9, not to 1"),
        ("workload: {locales: [de_DE, deutsch]}", "1:29: 'deutsch' is not a locale: write language and country, such as de_DE"),
        ("workload: {locales: []}", "1:21: locales: at least one is needed"),
        ("workload: {only_intents: [refnd]}", "1:27: unknown intent 'refnd': did you mean 'refund'?"),
        ("workload: {abcd: ., intents: contact_center}", "1:21: 'abcd' replaces the intents: give one of the two"),
        ("workload: {abcd: nowhere/abcd}", "1:18: there is no file or folder 'nowhere/abcd' in"),
        ("workload: {intents: contact_centre}", "1:21: no set of intents 'contact_centre': did you mean 'contact_center'?"),
        ("workload: {requests: {101: {}}}", "1:23: there is no request 101: this scenario has the requests 1 to 100"),
        ("workload: {requests: {0: {}}}", "1:23: there is no request 0: this scenario has the requests 1 to 100"),
        ("workload: {requests: {5: {intent: refnd}}}", "1:35: unknown intent 'refnd': did you mean 'refund'?"),
        ("workload: {requests: {5: {edge_cases: [emoji, emojy]}}}", "1:47: unknown edge case 'emojy': did you mean 'emoji'?"),
        ("workload: {requests: {5: {channel: fax}}}", "1:36: unknown channel 'fax': known are chat, email, voice"),
        ("workload: {requests: {5: {locale: xx_XX}}}", "1:35: unknown locale 'xx_XX'"),
        ("services: {spa: {}}", "1:12: unknown service 'spa': did you mean 'sap'?"),
        ("services: {sap: {wokers: 1}}", "1:18: unknown key 'wokers': did you mean 'workers'?"),
        ("services:\n  sap:\n    workers: 0", "3:14: workers: must be at least 1, not 0"),
        ("services: {sap: {run_limit: 600}}", "1:29: run_limit: 600 is not a duration"),
        ("faults: [{use: slo}]", "1:16: unknown fault model 'slo': did you mean 'slow'?"),
        ("faults: [{use: slow}, {use: slow}]", "1:29: the fault id 'slow' is here twice (first as fault 1): give this one an 'id'"),
        ("faults: [{use: slow}, {use: cut, id: slow}]", "1:38: the fault id 'slow' is here twice (first as fault 1): give this one an 'id'"),
        ("faults: [{use: slow, at: [1, 101]}]", "1:30: there is no request 101: this scenario has the requests 1 to 100"),
        ("faults: [{use: slow, at: [0]}]", "1:27: there is no request 0: this scenario has the requests 1 to 100"),
        ("faults: [{use: slow, at: [1], probability: 3%}]", "1:31: 'at' names the requests to strike: 'probability' has no use beside it"),
        ("faults: [{use: slow, operations: ['sap.*', SalesOrder.get]}]", "1:44: 'SalesOrder.get' names no operation: did you mean 'sap.SalesOrder.get'?"),
        ("faults: [{use: slow, parameters: {p50: 1s, p95: 2s}}]", "1:44: 'slow' has no parameter 'p95': did you mean 'p99'?"),
        ("gates: [{gate: crashed < 1%}]", "1:16: gate: 'crashed < 1%' names no metric"),
        ("gates: [{gate: a.rate < 1%}, {gate: a.rate  < 1%}]", "1:37: this gate is here twice"),
        ("gates: [{gate: a.rate < 1%, evidence: measured}]", "1:39: evidence: 'measured' needs a 'source'; without one, it is assumed"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_once_at_its_place(tmp_path: Path, text: str, expected: str) -> None:
    (told,) = problems(tmp_path, text + "\n")
    assert told.startswith(expected)


def test_all_mistakes_of_a_scenario_are_told_at_once_in_the_order_of_the_file(
    tmp_path: Path, golden: Callable[[str, str], None]
) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(
        HEAD
        + """\
agent: {use: hardend}
workload:
  arrivals: {process: poisson, rate: 1/s, to: 2/s}
  channels: {chat: 50%}
  requests:
    10001: {intent: refund}
services:
  sap: {run_limit: 600, workers: many}
faults:
  - {use: slow}
  - use: slow
    at: [10001]
    operations: [sap.Salesorder.get]
gates:
  - {gate: nothing < 1}
"""
    )
    with pytest.raises(InvalidFile) as caught:
        read_scenario(path, KNOWN, shown_as="f.yaml")
    places = [(each.line, each.column) for each in caught.value.problems]
    assert places == sorted(places)
    golden("cross_checks.txt", f"{caught.value}\n")


def test_names_of_intents_are_not_checked_where_the_scenario_brings_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("intents: []\n")
    assert read(tmp_path, "workload: {intents: mine.yaml, only_intents: [my_own]}\n").workload.only_intents == (
        "my_own",
    )


def test_without_known_names_intents_edge_cases_and_agents_are_not_checked(tmp_path: Path) -> None:
    known = Known(operations={}, service_parameters={}, fault_models=(), agents=(), metric_check=check_metric)
    text = "agent: {use: any}\nworkload: {only_intents: [any], requests: {1: {intent: any, edge_cases: [any]}}}\n"
    assert read(tmp_path, text, known).agent.use == "any"
