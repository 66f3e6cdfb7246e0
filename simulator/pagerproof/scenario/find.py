"""Finds scenarios, fault models and intents by name: in the working folder first, then among those shipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from pagerproof.errors import UsageError
from pagerproof.scenario.words import listed, nearest

Kind = Literal["scenarios", "fault_models", "reports"]

_KINDS: Final[tuple[Kind, ...]] = ("scenarios", "fault_models", "reports")
_PACKAGE: Final = Path(__file__).resolve().parents[1]
_SUFFIXES: Final = (".yaml", ".yml")
_SCENARIO_MARK: Final = b"pagerproof/scenario/"
_FAULT_MODEL_MARK: Final = b"pagerproof/fault-model/"


def shipped_folder(kind: Kind) -> Path:
    """Return the folder of what comes with Pagerproof: inside the installed package, or beside `simulator/`."""
    inside = _PACKAGE / "_shipped" / kind
    return inside if inside.is_dir() else _PACKAGE.parents[1] / kind


def find_scenario(name_or_path: str, *, folder: Path | None = None) -> Path:
    """Return the scenario's file. Raises UsageError with the nearest names.

    A name is looked for as `scenarios/NAME.yaml` and `NAME.yaml` in the working folder (or `folder`), then among the
    shipped ones; text with a separator or a suffix is a path.
    """
    return _find(name_or_path, "scenario", _scenario_folders(folder), scenario_ids(folder=folder), folder)


def find_fault_model(name: str, *, folder: Path | None = None) -> Path:
    """Return the fault model's file: `fault_models/NAME.yaml`, `NAME.yaml`, or a shipped one. Raises UsageError."""
    here = _working(folder)
    folders = (here / "fault_models", here, shipped_folder("fault_models"))
    return _find(name, "fault model", folders, fault_model_ids(folder=folder), folder)


def find_intents(name_or_path: str, *, folder: Path | None = None) -> Path:
    """Return the file with the intents: `scenarios/intents/`, `intents/`, the working folder, then shipped ones."""
    here = _working(folder)
    inside = (here / "scenarios" / "intents", here / "intents", shipped_folder("scenarios") / "intents")
    names = sorted({path.stem for each in inside for path in _yaml_files(each)})
    return _find(name_or_path, "set of intents", (*inside[:2], here, inside[2]), names, folder)


def scenario_ids(*, folder: Path | None = None) -> list[str]:
    """Return the names of all scenarios that `find_scenario` finds by name, sorted."""
    return _names(_scenario_folders(folder), _working(folder), _SCENARIO_MARK)


def fault_model_ids(*, folder: Path | None = None) -> list[str]:
    """Return the names of all fault models that `find_fault_model` finds, sorted."""
    here = _working(folder)
    return _names((here / "fault_models", here, shipped_folder("fault_models")), here, _FAULT_MODEL_MARK)


def resolve(scenario_path: Path, name: str, *, folder: Path | None = None) -> Path:
    """Return the file or folder that a scenario names: relative to its own folder first, then to the working folder.

    Names that begin with `scenarios/`, `fault_models/` or `reports/` are last looked for among what is shipped.
    Raises UsageError where there is none.
    """
    given = Path(name).expanduser()
    candidates = [scenario_path.parent / given, _working(folder) / given]
    for kind in _KINDS:
        if given.parts[:1] == (kind,):
            candidates.append(shipped_folder(kind).joinpath(*given.parts[1:]))
    for candidate in candidates:
        if name and _exists(candidate):
            return candidate
    where = "" if given.is_absolute() else f" in {_shown(scenario_path.parent)} or the working folder"
    raise UsageError(f"there is no file or folder '{name}'{where}")


def _working(folder: Path | None) -> Path:
    return folder if folder is not None else Path.cwd()


def _scenario_folders(folder: Path | None) -> tuple[Path, ...]:
    here = _working(folder)
    return here / "scenarios", here, shipped_folder("scenarios")


def _find(text: str, what: str, folders: Iterable[Path], names: Iterable[str], folder: Path | None) -> Path:
    here = _working(folder)
    is_bare = "/" not in text and "\\" not in text
    is_path = not is_bare or text.endswith(_SUFFIXES)
    if is_path and _is_file(given := here / Path(text).expanduser()):
        return given
    if is_bare and text:
        for each in folders:
            path = each / (text if is_path else f"{text}.yaml")
            if _is_file(path):
                return path
    known = list(names)
    if not is_path:
        hint = nearest(text, known) or (f": there are {listed(known)}" if known else "")
        raise UsageError(f"no {what} {text!r}{hint}")
    path = here / Path(text).expanduser()
    if _exists(path):
        raise UsageError(f"'{text}' is a folder, not the file of a {what}")
    raise UsageError(f"there is no file {text!r}{_near_path(path, known)}")


def _near_path(path: Path, names: Sequence[str]) -> str:
    """Return a hint at a file beside the one that is missing, or at a name that is known without a path."""
    hint = nearest(path.name, [each.name for each in _yaml_files(path.parent)])
    if hint:
        return hint
    stem = path.name.removesuffix(".yaml").removesuffix(".yml")
    found = nearest(stem, names)
    return found.removesuffix("?") + ", by its name alone?" if found else ""


def _names(folders: Iterable[Path], here: Path, mark: bytes) -> list[str]:
    found: set[str] = set()
    for each in folders:
        for path in _yaml_files(each):
            if each != here or _has_mark(path, mark):
                found.add(path.stem)
    return sorted(found)


def _yaml_files(folder: Path) -> Iterator[Path]:
    """Yield the `.yaml` files in a folder, which need not be there."""
    try:
        entries = sorted(folder.iterdir())
    except (OSError, ValueError):
        return
    for path in entries:
        if path.suffix == ".yaml" and not path.name.startswith(".") and _is_file(path):
            yield path


def _has_mark(path: Path, mark: bytes) -> bool:
    """Whether a file in the working folder, where anything may lie, says that it is one of ours."""
    try:
        with path.open("rb") as file:
            return mark in file.read(4096)
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _shown(folder: Path) -> str:
    try:
        shown = folder.relative_to(Path.cwd())
    except ValueError:
        return str(folder)
    return str(shown) if str(shown) != "." else "its folder"
