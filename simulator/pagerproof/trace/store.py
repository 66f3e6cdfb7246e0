"""A run's folder: manifest, requests, events and result, readable with pandas, also when the run was cut short."""

from __future__ import annotations

import json
import re
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
        path = self.path / "requests.parquet"
        try:
            frame.to_parquet(path, compression="zstd", index=False)
        except OSError as error:
            raise cannot_write(path, error) from error

    def _write(self, name: str, document: dict[str, Any]) -> None:
        path = self.path / name
        unfinished = path.with_suffix(".unfinished")
        try:
            unfinished.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
            unfinished.rename(path)
        except OSError as error:
            raise cannot_write(path, error) from error

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
                f"{self.path} has the format {manifest['schema']}, this version ({__version__}) reads {MANIFEST_SCHEMA}"
            )
        return manifest

    def result(self) -> dict[str, Any]:
        """Return the JSON document of the result. Raises UsageError where the run left none."""
        path = self.path / "result.json"
        if not path.is_file():
            status = self.manifest().get("status", "?")
            raise UsageError(f"{self.path} holds no result.json: its status is {status!r}, so it was killed on its way")
        document = json.loads(path.read_bytes())
        assert isinstance(document, dict)
        return document

    def requests(self) -> pd.DataFrame:
        """Return the table of requests by index. Raises UsageError where the run left none."""
        import pandas as pd

        path = self.path / "requests.parquet"
        if not path.is_file():
            raise UsageError(f"{self.path} holds no requests.parquet: the run was killed on its way")
        return pd.read_parquet(path)

    def events_of(self, index: int) -> pd.DataFrame:
        """Return one request's events in order."""
        import pandas as pd

        frame = pd.read_parquet(self.events, filters=[("index", "==", index)])
        return frame.sort_values("seq", ignore_index=True)


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
