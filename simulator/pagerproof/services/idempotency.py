"""Answers remembered under their idempotency keys, up to a number of them; the one unused for longest goes first."""

from __future__ import annotations

from collections import OrderedDict

from xxhash import xxh3_64_intdigest

from pagerproof.model import Answer

MISMATCH = Answer(0, {}, b"")
"""What `recall` returns where the key is known and belongs to another call."""


class AnswersByKey:
    """A bounded memory of successful answers; `recall` counts as a use."""

    __slots__ = ("_entries", "capacity")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._entries: OrderedDict[str, tuple[int, int, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, key: str, operation: str, content: bytes) -> Answer | None:
        """Return the remembered answer, MISMATCH where the key came with another call, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        print_of_call, status, body = entry
        if print_of_call != _fingerprint(operation, content):
            return MISMATCH
        return Answer(status, {"content-type": "application/json", "idempotent-replayed": "true"}, body)

    def remember(self, key: str, operation: str, content: bytes, answer: Answer) -> None:
        """Keep this answer for the next call with this key."""
        # A copy, because what orjson returns keeps its whole buffer: kilobytes for a body of 300 bytes.
        body = bytes(memoryview(answer.body))
        self._entries[key] = (_fingerprint(operation, content), answer.status, body)
        if len(self._entries) > self.capacity:
            self._entries.popitem(last=False)

    def forget(self, key: str) -> None:
        """Evict this key, if it is known."""
        self._entries.pop(key, None)


def _fingerprint(operation: str, content: bytes) -> int:
    return xxh3_64_intdigest(content + b"\x1f" + operation.encode())
