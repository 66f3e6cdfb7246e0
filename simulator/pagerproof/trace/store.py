"""A run's folder: manifest, requests, events and result, readable with pandas, also when the run was cut short."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pagerproof import __version__
from pagerproof.errors import UsageError
from pagerproof.trace.journal import cannot_write

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_SCHEMA = "pagerproof/run/1"
_MANIFEST_KEYS = ("status", "scenario", "agent", "folder", "seed", "requests", "faults", "inputs", "versions")
_NUMBERED = re.compile(r"(\d{4,})-.+")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run on disk: `manifest.json`, `requests.parquet`, `events/part-*.parquet`, `result.json`."""

    path: Path

    @property
    def events(self) -> Path:
        """The folder of event parts."""
        return self.path / "events"

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the manifest; `status` in it says running, complete, interrupted or stopped. Raises UsageError."""
        self._write("manifest.json", {"schema": MANIFEST_SCHEMA, "pagerproof": __version__, **manifest})

    def write_result(self, document: dict[str, Any]) -> None:
        """Write the JSON document of the result. Raises UsageError."""
        self._write("result.json", document)

    def write_requests(self, frame: pd.DataFrame) -> None:
        """Write the table of requests. Raises UsageError."""
        with _replacing(self.path / "requests.parquet") as unfinished:
            frame.to_parquet(unfinished, compression="zstd", index=False)

    def _write(self, name: str, document: dict[str, Any]) -> None:
        with _replacing(self.path / name) as unfinished:
            unfinished.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def manifest(self) -> dict[str, Any]:
        """Return the manifest. Raises UsageError where this is no run of this version's format."""
        path = self.path / "manifest.json"
        if not self.path.is_dir():
            raise UsageError(f"there is no run folder {self.path}")
        if not path.is_file():
            raise UsageError(f"{self.path} is not a run folder: it holds no manifest.json")
        try:
            manifest = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        if not isinstance(manifest, dict) or not str(manifest.get("schema", "")).startswith("pagerproof/run/"):
            raise UsageError(f"{path} is not the manifest of a run")
        if manifest["schema"] != MANIFEST_SCHEMA:
            raise UsageError(
                f"{self.path} was made by version {manifest.get('pagerproof', '?')} in the format "
                f"{manifest['schema']}: this version ({__version__}) reads {MANIFEST_SCHEMA}"
            )
        lacking = [key for key in _MANIFEST_KEYS if key not in manifest]
        if lacking:
            raise UsageError(f"{path} is no manifest of ours: it lacks {', '.join(lacking)}")
        return manifest

    def result(self) -> dict[str, Any]:
        """Return the JSON document of the result. Raises UsageError where the run left none."""
        path = self.path / "result.json"
        if not path.is_file():
            raise UsageError(f"{self.path} holds no result.json: {self._why_cut_short()}")
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        if not isinstance(document, dict):
            raise UsageError(f"{path} is not the result of a run")
        return document

    def requests(self) -> pd.DataFrame:
        """Return the table of requests by index. Raises UsageError where the run left none."""
        path = self.path / "requests.parquet"
        if not path.is_file():
            raise UsageError(f"{self.path} holds no requests.parquet: {self._why_cut_short()}")
        return _read_table(path)

    def events_of(self, index: int) -> pd.DataFrame:
        """Return one request's events in order. Raises UsageError where they cannot be read."""
        frame = _read_table(self.events, filters=[("index", "==", index)])
        return frame.sort_values("seq", ignore_index=True)

    def _why_cut_short(self) -> str:
        if self.manifest()["status"] != "running":
            return "somebody has removed it"
        return (
            "the run goes on, or it was killed, or its disk was full; "
            f"the events that it wrote until then are in {self.events}"
        )


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a file to write to that becomes `path` once it is whole. Raises UsageError, and then leaves no file."""
    unfinished = path.with_suffix(".unfinished")
    try:
        yield unfinished
        unfinished.rename(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def _read_table(path: Path, **options: Any) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path, **options)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        raise UsageError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def new_run_folder(out: Path, name: str) -> RunFolder:
    """Make `out`/NNNN-`name`, numbered after the newest there. Raises UsageError where it cannot."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        while True:
            path = out / f"{_newest_number(out) + 1:04d}-{name}"
            try:
                path.mkdir()
            except FileExistsError:
                continue  # another run took the number between the look and the making
            return RunFolder(path)
    except OSError as error:
        raise cannot_write(out, error) from error


def latest_run(out: Path) -> RunFolder:
    """Return the newest run below `out`. Raises UsageError where there is none."""
    numbered = sorted(path for path in _runs(out))
    if not numbered:
        raise UsageError(f"there is no run in {out}: make one with 'pagerproof run', or name one with --run DIR")
    return RunFolder(max(numbered, key=lambda path: int(path.name.partition("-")[0])))


def _newest_number(out: Path) -> int:
    return max((int(path.name.partition("-")[0]) for path in _runs(out)), default=0)


def _runs(out: Path) -> list[Path]:
    if not out.is_dir():
        return []
    return [path for path in out.iterdir() if path.is_dir() and _NUMBERED.fullmatch(path.name)]
