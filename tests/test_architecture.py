"""The rooms may only know what lies below them; siblings never know each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "simulator" / "pagerproof"

# From the bottom up; rooms in one set are siblings.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "model", "events"}),
    frozenset({"tools", "sap_wire", "replies"}),
    frozenset({"units", "rng", "protocols", "plugins"}),
    frozenset({"scenario", "resources"}),
    frozenset({"domains"}),
    frozenset({"kernel", "trace"}),
    frozenset({"network"}),
    frozenset({"oracles", "agents", "valves", "faults", "services", "workload"}),
    frozenset({"gateways"}),
    frozenset({"metrics"}),
    frozenset({"reporting", "gates"}),
    frozenset({"experiment"}),
    frozenset({"cli"}),
)
# Who may know a sibling, and why.
ALLOWED = {
    ("agents", "valves"): "the hardened reference agent puts valves around its tools, as a user's agent would",
}
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_rooms(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "pagerproof":
                names.update(f"pagerproof.{alias.name}" for alias in node.names)
            else:
                names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("pagerproof.")} & LEVEL_OF.keys()


def violations(path: Path, source: str) -> list[str]:
    room = room_of(path)
    if room in {"__init__", "__main__"}:
        return []
    assert room in LEVEL_OF, f"{path} is in no room: add it to LEVELS"
    found = []
    for other in sorted(imported_rooms(ast.parse(source)) - {room}):
        down = LEVEL_OF[other] < LEVEL_OF[room]
        if not down and (room, other) not in ALLOWED:
            found.append(f"{path.relative_to(PACKAGE)} imports {other}, which is not below {room}")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    assert violations(path, path.read_text("utf-8")) == []


def test_an_import_upwards_or_sideways_is_found() -> None:
    path = PACKAGE / "faults" / "injector.py"
    assert violations(path, "from pagerproof.services.base import SimulatedService")
    assert violations(path, "from pagerproof import experiment")
    assert violations(path, "from pagerproof.rng import key_of") == []


def test_a_module_opens_with_one_sentence_that_says_what_it_is() -> None:
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text("utf-8")
        if source.strip():
            opening = ast.get_docstring(ast.parse(source))
            assert opening, f"{path.relative_to(PACKAGE)} has no docstring"
            assert opening.split("\n\n")[0].rstrip().endswith((".", ":")), f"{path.relative_to(PACKAGE)}"
