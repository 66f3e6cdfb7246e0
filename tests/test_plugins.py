"""A distribution with entry points adds an agent, an oracle, a service and a valve, and its mistakes name it."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json
import os
import textwrap

import pytest

from tests.experiment.running import pagerproof, scenario_file

ENTRY_POINTS = {
    "agents": "labeller = acme.agent:handle",
    "oracles": "labels = acme.oracle:LabelOracle",
    "services": "carrier = acme.service:CarrierService",
    "valves": "stamp = acme.valve:Stamp",
}
MODULES = {
    "agent": '''
        """The labeller: prints a label for every order."""

        async def handle(request, desk):
            label = await desk.call("carrier.Label.create", order_id=f"45{request.index:08d}")
            return f"Your label is {label['label_id']}."
    ''',
    "oracle": '''
        from pagerproof.model import Finding


        class LabelOracle:
            """Finds labels: each one is noted."""

            name = "labels"
            summary = "labels that a carrier holds"
            modes = ("label_printed",)

            def judge(self, case):
                return [
                    Finding(index=case.index, mode="label_printed", oracle=self.name, outcome=None, message="printed")
                    for entry in case.effects
                    if entry.service == "carrier"
                ]
    ''',
    "service": '''
        from pydantic import Field

        from pagerproof.model import Operation
        from pagerproof.services.base import ServiceParameters, SimulatedService


        class CarrierParameters(ServiceParameters):
            prefix: str = Field(default="L", description="what label numbers begin with; assumed")


        class CarrierService(SimulatedService):
            """The carrier's label printer."""

            name = "carrier"
            Parameters = CarrierParameters
            own_operations = (
                Operation(
                    service="carrier",
                    name="Label.create",
                    summary="Print a label.",
                    arguments={"order_id": "string"},
                    effect_kind="label",
                ),
            )

            def label_create(self, job):
                """Print a label."""
                label = self.commit(job, job.arguments["order_id"], "")
                return self.answer({"label_id": self.parameters.prefix + label})
    ''',
    "valve": '''
        class Stamp:
            """Marks each call.

            And nothing else.
            """

            name = "stamp"

            def __init__(self, *, ink: str = "blue") -> None:
                self.ink = ink

            def around(self, toolbox, desk):
                return toolbox
    ''',
}
SCENARIO = """
schema: pagerproof/scenario/1
id: labels
title: A label for everyone
requests: 10
seed: 7
workload:
  arrivals: {process: poisson, rate: 2/s}
  customers_per_locale: 10
  edge_cases: 0%
agent: {use: labeller}
services:
  carrier: {workers: 3, prefix: ACME-}
faults:
  - {use: carrier-slow}
gates:
  - {gate: label_printed.count == 10}
"""
FAULT_MODEL = """
schema: pagerproof/fault-model/1
id: carrier-slow
title: The printer is slow
cites: [{supports: "nothing", evidence: assumed}]
target: {service: carrier, operation: Label.create, edge: response}
trigger: {probability: 50%}
effect: [{delay: {for: 1s}}]
limits: none
expect: {always: [no_runaway]}
"""


@pytest.fixture
def site(tmp_path):
    """A folder of installed things, with the distribution acme-pagerproof in it."""
    folder = tmp_path / "site"
    (folder / "acme").mkdir(parents=True)
    (folder / "acme" / "__init__.py").write_text("")
    for name, source in MODULES.items():
        (folder / "acme" / f"{name}.py").write_text(textwrap.dedent(source).lstrip())
    install(folder, "acme-pagerproof", ENTRY_POINTS)
    return folder


def install(folder, distribution, points):
    info = folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    text = "".join(f"[pagerproof.{kind}]\n{point}\n" for kind, point in points.items())
    (info / "entry_points.txt").write_text(text)


def run(site, *arguments):
    """Run the command line beside the installed things, in a working folder with the scenario and its fault model."""
    folder = site.parent / "work"
    (folder / "fault_models").mkdir(parents=True, exist_ok=True)
    (folder / "fault_models" / "carrier-slow.yaml").write_text(FAULT_MODEL)
    scenario_file(folder, SCENARIO, "labels.yaml")
    path = os.pathsep.join(part for part in (str(site), os.environ.get("PYTHONPATH", "")) if part)
    return pagerproof(*arguments, folder=folder, PYTHONPATH=path)


def test_a_run_uses_agent_oracle_and_service_of_a_plug_in(site):
    done = run(site, "run", "labels.yaml", "--format", "json")
    result = json.loads(done.stdout)
    assert result["agent"] == "labeller"
    assert result["tags"]["label_printed"] == 10
    assert [gate["status"] for gate in result["gates"]] == ["pass"]
    assert result["faults"][0]["eligible"] == 10
    assert result["faults"][0]["delivered"] > 0
    (folder,) = (each for each in (site.parent / "work" / "runs").iterdir() if each.name[:1].isdigit())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["versions"]["acme-pagerproof"] == "1.2"


def test_a_request_of_such_a_run_can_be_replayed(site):
    assert run(site, "run", "labels.yaml", "--quiet").returncode in (0, 1)
    done = run(site, "replay", "3")
    assert done.returncode == 0, done.stderr
    assert "ACME-" in done.stdout


def test_a_baseline_is_made_anew_when_the_file_of_an_oracle_has_changed(site):
    kept = []
    for source in ("", "# another version\n"):
        path = site / "acme" / "oracle.py"
        path.write_text(source + path.read_text())
        run(site, "run", "labels.yaml", "--quiet", "--agent", "hardened")  # an agent of another distribution
        kept.append(len(list((site.parent / "work" / "runs" / "baselines").iterdir())))
    assert kept[1] > kept[0] > 0


def test_what_a_service_takes_is_checked_by_its_own_parameters(site):
    folder = site.parent / "work"
    run(site, "list", "agents")
    scenario_file(folder, SCENARIO.replace("prefix:", "prefx:"), "wrong.yaml")
    path = os.pathsep.join((str(site), os.environ.get("PYTHONPATH", "")))
    done = pagerproof("validate", "wrong.yaml", folder=folder, PYTHONPATH=path)
    assert done.returncode == 2
    assert "wrong.yaml:13:25" in done.stderr
    assert "did you mean 'prefix'?" in done.stderr


@pytest.mark.parametrize(
    ("kind", "name"), [("agents", "labeller"), ("oracles", "labels"), ("services", "carrier"), ("valves", "stamp")]
)
def test_a_list_names_the_distribution_and_imports_nothing(site, kind, name):
    for module in (site / "acme").glob("*.py"):
        module.write_text("raise SystemExit('imported')")
    done = run(site, "list", kind)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
    assert "acme-pagerproof 1.2" in line


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("labeller", "pagerproof run --agent labeller"),
        ("labels", "label_printed"),
        ("carrier", "carrier.Label.create(order_id: string)"),
        ("carrier", "prefix = L what label numbers begin with"),
        ("stamp", "ink blue"),
        ("stamp", "from acme.valve import Stamp"),
    ],
)
def test_show_tells_of_a_plug_in_as_of_a_built_in_thing(site, name, shown):
    done = run(site, "show", name)
    assert done.returncode == 0, done.stderr
    assert shown in " ".join(done.stdout.split())
    assert "acme-pagerproof 1.2" in done.stdout


@pytest.mark.parametrize(("module", "status"), [("agent", 5), ("oracle", 2), ("service", 2)])
def test_one_that_cannot_be_imported_is_a_message_with_its_distribution(site, module, status):
    (site / "acme" / f"{module}.py").write_text("import not_there_at_all\n")
    done = run(site, "run", "labels.yaml")
    assert done.returncode == status
    assert "acme-pagerproof 1.2" in done.stderr
    assert "not_there_at_all" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("agents", "hardened = acme.agent:handle"),
        ("oracles", "ledger = acme.oracle:LabelOracle"),
        ("services", "sap = acme.service:CarrierService"),
        ("agents", "labeller = acme.agent:handle"),
        ("oracles", "labels = acme.oracle:LabelOracle"),
        ("services", "carrier = acme.service:CarrierService"),
    ],
)
def test_a_name_that_is_taken_is_a_message_with_the_distribution(site, kind, point):
    install(site, "second-plugin", {kind: point})
    done = run(site, "run", "labels.yaml")
    assert done.returncode == 2
    assert "second-plugin 1.2" in done.stderr
    assert "one of this name" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "old", "new", "message"),
    [
        ("oracle", "def judge", "def judges", "it has no method judge(case)"),
        ("oracle", 'name = "labels"', 'name = "other"', "it calls itself 'other'"),
        ("service", 'name = "carrier"', 'name = "courier"', "it calls itself 'courier'"),
        ("service", 'service="carrier"', 'service="crm"', "belongs to 'crm'"),
        ("service", "def label_create", "def label_made", "it has no method label_create(job)"),
    ],
)
def test_one_that_does_not_keep_to_its_door_is_refused_with_the_reason(site, module, old, new, message):
    path = site / "acme" / f"{module}.py"
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))
    done = run(site, "run", "labels.yaml")
    assert done.returncode == 2
    assert "acme-pagerproof 1.2" in done.stderr
    assert message in done.stderr
