"""A user's tools are described by their signatures, and what is wrong with them is said before a run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pagerproof.domains.toolset import load_toolset, toolset_of, writes
from pagerproof.errors import UsageError


def module(**tools: Any) -> ModuleType:
    made = ModuleType("mine")
    made.TOOLS = tools  # type: ignore[attr-defined]  # what a tools module offers
    return made


@writes("seat")
def book(db: Any, seat: str, passengers: list[str], paid: float, window: bool = False) -> None:
    """Book a seat.

    For passengers.
    """


def test_a_tool_becomes_an_operation_of_its_service() -> None:
    toolset = toolset_of(module(book=book, look=lambda db, seat: seat))
    booked, looked = toolset.operations("airline").values()
    assert booked.full_name == "airline.book"
    assert booked.summary == "Book a seat."
    assert booked.arguments == {"seat": "string", "passengers": "array", "paid": "number", "window": "boolean"}
    assert booked.optional == {"window"}
    assert (booked.effect_kind, booked.writes) == ("book", True)
    assert (looked.arguments, looked.writes) == ({"seat": "string"}, False)


@writes("seats")
def wrong_mark(db: Any, seat: str) -> None: ...


@writes("seat")
def no_text(db: Any, seat: int) -> None: ...


def odd(db: Any, seat: complex) -> None: ...


def many(db: Any, *seats: str) -> None: ...


def lost(db: Any, seat: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # the mistake to be found


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ({}, "no mapping from tool names to functions"),
        ({"book": 5}, "'book' is no function"),
        ({"book it": book}, "'book it' is no function with a name that a tool can have"),
        ({"book": lambda: 0}, "must take the database as its first parameter"),
        ({"odd": odd}, "annotate parameter 'seat' of 'odd'"),
        ({"many": many}, "annotate parameter 'seats' of 'many'"),
        ({"lost": lost}, "the signature of 'lost' cannot be read"),
        ({"wrong": wrong_mark}, "writes 'seats', which is none of its text arguments"),
        ({"wrong": no_text}, "writes 'seat', which is none of its text arguments"),
    ],
)
def test_a_module_that_cannot_be_used_is_refused_with_the_reason(tools: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match="mine:TOOLS") as caught:
        toolset_of(module(**tools))
    assert message in str(caught.value)


def test_a_misspelt_attribute_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"mine:TOLS is no mapping.*did you mean 'TOOLS'"):
        toolset_of(module(book=book), "TOLS")


def load(folder: Path, spec: str) -> Any:
    def find(name: str) -> Path:
        if not (folder / name).is_file():
            raise UsageError(f"no {name}")
        return folder / name

    return load_toolset(spec, find)


def test_a_module_is_read_anew_each_time_and_leaves_the_import_path_alone(tmp_path: Path) -> None:
    path = list(sys.path)
    (tmp_path / "shop_tools.py").write_text("def look(db, seat: str): return 1\nTOOLS = {'look': look}\n")
    assert list(load(tmp_path, "shop_tools").tools) == ["look"]
    (tmp_path / "shop_tools.py").write_text("def look(db, seat: str): return 1\nMINE = {'see': look, 'look': look}\n")
    assert list(load(tmp_path, "shop_tools:MINE").tools) == ["see", "look"]
    assert sys.path == path
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.parametrize(
    ("spec", "text", "message"),
    [
        ("nowhere_tools", "", "there is no module 'nowhere_tools' beside the scenario"),
        ("a b", "", "'a b' names no tools: write module or module:attribute"),
        ("broken_tools", "1 +", "'broken_tools' cannot be imported: SyntaxError"),
        ("broken_tools", "import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
        ("broken_tools", "raise RuntimeError('no')", "cannot be imported: RuntimeError: no"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, spec: str, text: str, message: str) -> None:
    if text:
        (tmp_path / f"{spec}.py").write_text(text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path, spec)
    assert message in str(caught.value)
