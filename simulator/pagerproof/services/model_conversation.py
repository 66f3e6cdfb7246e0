"""A conversation as the simulated model reads it: from the start, or on from where it stopped reading before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pagerproof.services.model_reading import Reading, read_tool_text

_READINGS_MAX = 2048
_LISTS: Final = (list, tuple)

_readings: dict[str, Reading] = {}


def reading_of(text: str) -> Reading:
    """Return what `text` says, from a bounded table: a text is read once, however often it is repeated."""
    reading = _readings.get(text)
    if reading is None:
        if len(_readings) >= _READINGS_MAX:
            _readings.clear()
        reading = _readings[text] = read_tool_text(text)
    return reading


class Conversation:
    """A conversation read through: what tools said, what the model said last, and how long it all is.

    `tools` are the operations that answered, each with the reading of its answer; `heard` is what the user and the
    system said, `spoken` what the user and the model said; all in order. `count` is the number of messages.

    Raises TypeError where a message is no mapping or its content is neither text nor null.
    """

    __slots__ = ("_kept", "_opening", "calls", "characters", "count", "heard", "said", "spoken", "system", "tools")

    def __init__(self, messages: object) -> None:
        if not isinstance(messages, _LISTS):
            raise TypeError("messages must be a list")
        self.tools: list[tuple[str, Reading]] = []
        self.heard: list[str] = []
        self.spoken: list[str] = []
        self.said = ""
        self.system = ""
        self.calls = 0
        self.characters = 0
        self.count = len(messages)
        self._kept: list[dict[str, Any]] = []  # the messages after the first, as they were when they were read
        self._opening = ""  # the first message, where it is plain; "" means that nobody can go on from here
        opening = _opening_of(messages)
        plain = self._read(messages)
        if opening and plain:
            self._opening = opening
            del self._kept[0]

    def goes_on(self, messages: object) -> bool:
        """Read what is new in `messages` and return True, where they are those read before and perhaps more.

        Agents send the whole conversation at every call, under another system message when another role is to speak:
        the first message may differ. All others are compared with copies of what was read, because whoever owns them
        may have edited any; that is one comparison of lists, far cheaper than to read them again.
        """
        before = self._opening
        if not before or type(messages) is not list:
            return False
        opening = _opening_of(messages)
        read = len(self._kept) + 1
        if not opening or messages[1:read] != self._kept:
            return False
        self.heard[0] = self.system = opening
        self.characters += len(opening) - len(before)
        self._opening = ""  # until the rest has been read without an error
        if len(messages) == read or self._read(messages[read:]):
            self._opening = opening
        self.count = len(messages)
        return True

    def _read(self, messages: Sequence[Any]) -> bool:
        """Take these messages in; return whether all are plain dicts, so that copies of them can be compared."""
        characters = 0
        plain = True
        keep = self._kept.append
        for message in messages:
            try:
                role = message["role"]
                content = message["content"]
            except (KeyError, TypeError):
                role, content = _parts(message)
                plain = False
            if type(content) is not str or type(message) is not dict:
                role, content = _parts(message)
                plain = False
            characters += len(content)
            if role == "tool":
                name = message.get("name")
                if type(name) is not str:
                    name = str(name)
                    plain = False
                self.tools.append((name, reading_of(content)))
            elif role == "assistant":
                self.said = content
                self.spoken.append(content)
                asked = message.get("tool_calls")
                if asked is not None:
                    if asked:
                        self.calls += len(asked)
                    if type(asked) in _LISTS:
                        keep({**message, "tool_calls": asked[:]})
                        continue
                    plain = False
            elif role == "user":
                self.heard.append(content)
                self.spoken.append(content)
            else:
                if not self.system:
                    self.system = content
                if role == "system" or role == "developer":  # noqa: PLR1714  # a role may be unhashable
                    self.heard.append(content)
            keep(message.copy() if plain else message)
        self.characters += characters
        return plain


def _opening_of(messages: Sequence[Any]) -> str:
    """Return the system message that opens these, or "" where they open with anything else."""
    first = messages[0] if messages else None
    if type(first) is dict and first.get("role") == "system":
        content = first.get("content")
        if type(content) is str:
            return content
    return ""


def _parts(message: object) -> tuple[object, str]:
    """Return (role, content) of a message that is not simply a dict with text in it. Raises TypeError."""
    if not isinstance(message, Mapping):
        raise TypeError("a message must be a mapping")
    content = message.get("content") or ""
    if not isinstance(content, str):
        raise TypeError("a message's content must be text or null")
    return message.get("role"), content
