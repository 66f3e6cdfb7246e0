"""The canonical trace: a digest per request, chained in index order, and the events spilled to disk as they settle."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pagerproof.errors import UsageError
from pagerproof.events import Event

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

DIGEST_BYTES = 32
_EVENTS_PER_PART = 200_000


def request_digest(index: int, log: Sequence[Event]) -> bytes:
    """Return the SHA-256 of one request's events, in the canonical form: compact JSON of [index, events]."""
    try:
        text = orjson.dumps((index, log))
    except TypeError:  # half a surrogate pair in somebody's text: JSON in UTF-8 cannot carry it
        text = orjson.dumps((index, [tuple(_encodable(part) for part in event) for event in log]))
    return hashlib.sha256(text).digest()


def _encodable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


class DigestChain:
    """The digests of a run's requests by index; 32 bytes each."""

    def __init__(self, requests: int) -> None:
        self._digests = bytearray(DIGEST_BYTES * requests)

    def put(self, index: int, digest: bytes) -> None:
        """Keep the digest of the request with this index (from 1)."""
        start = (index - 1) * DIGEST_BYTES
        self._digests[start : start + DIGEST_BYTES] = digest

    def get(self, index: int) -> bytes:
        """Return the digest of the request with this index; 32 zero bytes if it has none."""
        start = (index - 1) * DIGEST_BYTES
        return bytes(self._digests[start : start + DIGEST_BYTES])

    def run_digest(self) -> str:
        """Return the run's digest in hexadecimal: each link is SHA-256 of the link before and the request's digest."""
        link = b""
        for start in range(0, len(self._digests), DIGEST_BYTES):
            link = hashlib.sha256(link + self._digests[start : start + DIGEST_BYTES]).digest()
        return link.hex()


class EventSpill:
    """Writes settled requests' events to `folder`/part-NNNNN.parquet, a part at a time, each part complete in itself.

    Columns: index, seq (position in the request), time_us, kind, name, call, status, detail. A run that is cut short
    loses at most the part that was not yet full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = 0
        self._indices: list[int] = []
        self._counts: list[int] = []
        self._columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error

    def add(self, index: int, log: Sequence[Event]) -> None:
        """Take the events of one settled request."""
        self._indices.append(index)
        self._counts.append(len(log))
        for column, values in zip(self._columns, zip(*log, strict=True), strict=True):
            column.extend(values)
        if len(self._columns[0]) >= _EVENTS_PER_PART:
            self.flush()

    def flush(self) -> None:
        """Write what has been taken. Raises UsageError when the disk does not take it."""
        if not self._indices:
            return
        import pyarrow.parquet as pq

        path = self._folder / f"part-{self._parts + 1:05d}.parquet"
        unfinished = path.with_suffix(".unfinished")
        try:
            pq.write_table(
                self._table(),
                unfinished,
                compression="zstd",
                use_dictionary=["kind", "name", "detail"],
                column_encoding={"time_us": "DELTA_BINARY_PACKED"},
            )
            unfinished.rename(path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise cannot_write(path, error) from error
        self._parts += 1
        self._indices.clear()
        self._counts.clear()
        for column in self._columns:
            column.clear()

    def _table(self) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        times, kinds, names, calls, statuses, details = self._columns
        rows = len(times)
        counts = np.array(self._counts, dtype=np.int64)
        ends = np.cumsum(counts)
        seq = np.arange(ends[-1], dtype=np.int32) - np.repeat(ends - counts, counts).astype(np.int32)
        return pa.table(
            {
                "index": _numbers(np.repeat(np.array(self._indices, dtype=np.int32), counts)),
                "seq": _numbers(seq),
                "time_us": _numbers(np.round(np.fromiter(times, np.float64, rows) * 1e6).astype(np.int64)),
                "kind": _texts(kinds),
                "name": _texts(names),
                "call": _numbers(np.fromiter(calls, np.int32, rows)),
                "status": _numbers(np.fromiter(statuses, np.int32, rows)),
                "detail": _texts(details),
            }
        )


# Put together from buffers, because `pa.array` imports pandas, where there is one, to ask whether it was given a
# series: 0.1 s of every run.


def _numbers(values: NDArray[Any]) -> pa.Array:
    """Return the Arrow array of a NumPy one without gaps."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def _texts(values: Sequence[str]) -> pa.Array:
    """Return the Arrow array of texts; half a surrogate pair becomes a question mark, as in `request_digest`."""
    import numpy as np
    import pyarrow as pa

    try:
        encoded = list(map(str.encode, values))
    except UnicodeEncodeError:
        encoded = [text.encode("utf-8", "replace") for text in values]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def cannot_write(path: Path, error: OSError) -> UsageError:
    """Return the message for a file that the disk does not take."""
    reason = error.strerror or str(error)
    return UsageError(f"cannot write {path}: {reason}; choose another folder with --out DIR")
