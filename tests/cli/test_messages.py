"""Every mistake gets one clear message with its place, the right exit status, and no traceback unless --debug."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.typing_in import CALM, HANDS_OVER, Shell, shell, write

from pagerproof.scenario.find import shipped_folder

FAULT = (shipped_folder("fault_models") / "sap-timeout-after-commit.yaml").read_text()
MINE = FAULT.replace("id: sap-timeout-after-commit", "id: mine")
USES_MINE = CALM + "faults:\n  - {use: mine}\n"
HANDLE = "async def handle(request, desk):\n"

# title: (exit status, files, what is typed)
MISTAKES: dict[str, tuple[int, dict[str, str], tuple[str, ...]]] = {
    "unknown keys, all of them": (
        2,
        {"bad_yaml": CALM + "gates:\n  - {gte: failure.rate < 1%}\nsede: 5\n"},
        ("run", "bad.yaml"),
    ),
    "duplicate key": (2, {"bad_yaml": CALM + "seed: 8\n"}, ("run", "bad.yaml")),
    "missing unit": (2, {"bad_yaml": CALM.replace("rate: 2/s", "rate: 2")}, ("run", "bad.yaml")),
    "missing unit of a deadline": (
        2,
        {"bad_yaml": CALM.replace("  edge_cases", "  deadline: 60\n  edge_cases")},
        ("run", "bad.yaml"),
    ),
    "probability of 1.5": (
        2,
        {"bad_yaml": CALM + "faults:\n  - {use: delayed-api-tail, probability: 1.5}\n"},
        ("run", "bad.yaml"),
    ),
    "probability of 150% in a fault model": (
        2,
        {"fault_models__mine_yaml": MINE.replace("probability: 0.5%", "probability: 150%"), "uses_yaml": USES_MINE},
        ("run", "uses.yaml"),
    ),
    "fault target names no operation": (
        2,
        {
            "fault_models__mine_yaml": MINE.replace("only: writes", "operation: CreditMemo.creat"),
            "uses_yaml": USES_MINE,
        },
        ("run", "uses.yaml"),
    ),
    "unknown fault model": (2, {"bad_yaml": CALM + "faults:\n  - {use: delayed-api-tial}\n"}, ("run", "bad.yaml")),
    "bad gate expression": (2, {"bad_yaml": CALM + "gates:\n  - {gate: failure.rate << 1%}\n"}, ("run", "bad.yaml")),
    "gate without unit": (2, {"bad_yaml": CALM + "gates:\n  - {gate: latency.p(95) < 8}\n"}, ("run", "bad.yaml")),
    "unknown metric": (2, {"bad_yaml": CALM + "gates:\n  - {gate: silent_failures.rate < 1%}\n"}, ("run", "bad.yaml")),
    "not YAML": (2, {"bad_yaml": "schema: pagerproof/scenario/1\nid: [\n"}, ("run", "bad.yaml")),
    "another version's scenario": (2, {"bad_yaml": CALM.replace("scenario/1", "scenario/2")}, ("run", "bad.yaml")),
    "an intent that is not there": (
        2,
        {"bad_yaml": CALM + "  only_intents: [refnud]\n"},
        ("run", "bad.yaml"),
    ),
    "unknown scenario": (2, {}, ("run", "ten_thousand_and_frist")),
    "scenario file that is not there": (2, {"calm_yaml": CALM}, ("run", "clam.yaml")),
    "unknown agent": (5, {"calm_yaml": CALM}, ("run", "calm.yaml", "--agent", "hardend")),
    "agent file that is not there": (5, {"calm_yaml": CALM}, ("run", "calm.yaml", "--agent", "my_agnet.py")),
    "agent with a syntax error": (
        5,
        {"calm_yaml": CALM, "broken_py": "async def handle(request, desk:\n    pass\n"},
        ("run", "calm.yaml", "--agent", "broken.py:handle"),
    ),
    "agent file without that name": (5, {"calm_yaml": CALM}, ("run", "calm.yaml", "--agent", "my_agent.py:handel")),
    "agent whose import is not installed": (
        5,
        {"calm_yaml": CALM, "imports_py": "import no_such_library\n"},
        ("run", "calm.yaml", "--agent", "imports.py"),
    ),
    "agent that is not async": (
        5,
        {"calm_yaml": CALM, "sync_py": "def handle(request, desk):\n    return 'x'\n"},
        ("run", "calm.yaml", "--agent", "sync.py"),
    ),
    "agent that reads the clock": (
        1,
        {"calm_yaml": CALM, "clock_py": "import time\n" + HANDLE + "    return str(time.time())\n"},
        ("run", "calm.yaml", "--agent", "clock.py", "--no-progress", "--quiet"),
    ),
    "agent that never returns": (
        1,
        {"calm_yaml": CALM, "waits_py": "import asyncio\n" + HANDLE + "    await asyncio.Event().wait()\n"},
        ("run", "calm.yaml", "--agent", "waits.py", "--no-progress", "--quiet", "-n", "2"),
    ),
    "no requests": (2, {}, ("run", "--requests", "0")),
    "negative seed": (2, {}, ("run", "--seed", "-1")),
    "seed that is no number": (2, {}, ("run", "--seed", "abc")),
    "unknown format": (2, {}, ("run", "--format", "xml")),
    "unknown option": (2, {}, ("run", "--sead", "3")),
    "unknown command": (2, {}, ("rnu",)),
    "replay of index 0": (2, {}, ("replay", "0")),
    "replay without a run": (2, {}, ("replay", "3")),
    "report of nothing": (2, {}, ("report", "runs/0001-none")),
    "report of a folder that is no run": (2, {"empty__notes_txt": ""}, ("report", "empty")),
    "show of an unknown name": (2, {}, ("show", "hardned")),
    "list of an unknown kind": (2, {}, ("list", "scenario")),
    "validate of a file that is not there": (2, {}, ("validate", "missing.yaml")),
}


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    return shell(tmp_path, monkeypatch, capfd)


def test_every_mistake_has_its_status_no_traceback_and_an_empty_stdout(
    typed: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Callable[[str, str], None]
):
    told = []
    for number, (title, (status, files, arguments)) in enumerate(MISTAKES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, my_agent_py=HANDS_OVER, **files)
        monkeypatch.chdir(folder)
        done = typed(*arguments)
        assert done.status == status, (title, done)
        assert done.out == "", title
        assert "Traceback" not in done.err, title
        told.append(f"# {title}\n$ pagerproof {' '.join(arguments)}\n{done.err.replace(str(folder), '.')}=> {status}\n")
    golden("messages.txt", "\n".join(told))


@pytest.mark.parametrize("option", ["--debug"])
def test_debug_shows_where_in_our_code(typed: Shell, monkeypatch: pytest.MonkeyPatch, option: str):
    from pagerproof.cli.main import main
    from pagerproof.errors import UsageError

    with pytest.raises(UsageError):
        main([option, "run", "ten_thousand_and_frist"])
