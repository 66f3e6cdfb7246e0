"""Models in place of the simulated one: a user's Python function, or a cassette of recorded answers."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from pagerproof.errors import AgentCannotLoad, InvalidFile, Problem, UsageError

Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]
ModelFunction = Callable[[Messages, Tools], Any]
"""Takes the messages and the tools of a chat request; returns text, or tool calls, or both, now or by `await`."""

_SCHEMA: Final = "pagerproof/cassette/1"


class BadModelAnswer(ValueError):
    """What a user's function returned, or a cassette holds, is no answer of a model."""


class Scripted:
    """An answer that was not made by the policy: what a chat completion's message holds."""

    __slots__ = ("calls", "finish", "text", "tokens_out")

    def __init__(
        self, text: str | None, calls: Sequence[tuple[str, str]], finish: str = "", tokens_out: int = 0
    ) -> None:
        self.text = text
        self.calls = tuple(calls)
        self.finish = finish or ("tool_calls" if calls else "stop")
        self.tokens_out = tokens_out or _tokens(text, calls)

    def message(self, key: int) -> dict[str, Any]:
        """Return the assistant's message, its calls with ids of this answer."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{key:016x}{'' if at == 0 else at}",
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }
                for at, (name, arguments) in enumerate(self.calls)
            ]
        return message

    def document(self) -> dict[str, Any]:
        """Return it as a cassette holds it."""
        calls = [{"name": name, "arguments": arguments} for name, arguments in self.calls]
        return {"text": self.text, "tool_calls": calls, "finish_reason": self.finish, "tokens_out": self.tokens_out}


def _tokens(text: str | None, calls: Sequence[tuple[str, str]]) -> int:
    length = len(text or "") + sum(len(name) + len(arguments) for name, arguments in calls)
    return length // 4 + 1


def scripted(answer: Any) -> Scripted:
    """Return what was given for an answer: text, a tool call, several, or {"text", "tool_calls", "finish_reason"}.

    A tool call is {"name": ..., "arguments": {...} or JSON text} or a pair of these. Raises BadModelAnswer.
    """
    if isinstance(answer, str):
        return Scripted(answer, ())
    if isinstance(answer, Mapping) and ("text" in answer or "tool_calls" in answer):
        text = answer.get("text")
        if text is not None and not isinstance(text, str):
            raise BadModelAnswer(f"its text must be a str or None, not {type(text).__name__}")
        calls = [_call(each) for each in answer.get("tool_calls") or ()]
        return Scripted(text, calls, str(answer.get("finish_reason") or ""), int(answer.get("tokens_out") or 0))
    if isinstance(answer, Mapping) or _is_pair(answer):
        return Scripted(None, [_call(answer)])
    if isinstance(answer, (list, tuple)) and answer:
        return Scripted(None, [_call(each) for each in answer])
    raise BadModelAnswer(f"a model answers with text or tool calls, not with {answer!r:.80}")


def _is_pair(given: Any) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str)


def _call(given: Any) -> tuple[str, str]:
    name, arguments = given if _is_pair(given) else (None, None)
    if isinstance(given, Mapping):
        name, arguments = given.get("name"), given.get("arguments", {})
    if not isinstance(name, str) or not name:
        raise BadModelAnswer(f"a tool call needs a name and arguments: {given!r:.80}")
    return name, arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()


# --- a user's function


class FunctionModel:
    """A user's function as the model; `name` is where it was found."""

    def __init__(self, name: str, function: ModelFunction) -> None:
        self.name = name
        self._function = function

    def ask(self, messages: Messages, tools: Tools) -> Scripted | Awaitable[Any]:
        """Return the answer, or something to await whose result goes to `scripted`. Raises whatever it raises."""
        answer = self._function(messages, tools)
        return answer if inspect.isawaitable(answer) else scripted(answer)


def load_function(spec: str) -> FunctionModel:
    """Return the function at `module:attribute`. Raises UsageError or AgentCannotLoad."""
    module_name, colon, attribute = spec.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"llm.model_function: write module:function, not {spec!r}")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError(f"llm.model_function: there is no module {error.name!r}") from None
    except Exception as error:
        raise AgentCannotLoad(
            f"llm.model_function: importing {module_name} raised {type(error).__name__}: {error}"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"llm.model_function: {module_name} has no {attribute!r}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"llm.model_function: {spec} is no function")
    try:
        inspect.signature(found).bind((), ())
    except TypeError:
        raise UsageError(f"llm.model_function: {spec} must take (messages, tools)") from None
    return FunctionModel(spec, found)


# --- a cassette


def key_of_content(model: str, messages: Messages, tools: Tools) -> str:
    """Return the name of a request in a cassette: a SHA-256 over its model, messages and tools.

    Ids of tool calls differ from run to run: they are counted in the order in which they appear.
    """
    ids: dict[str, str] = {}
    said = [_without_ids(message, ids) for message in messages]
    content = {"model": model, "messages": said, "tools": list(tools)}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def _without_ids(message: Mapping[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    plain = dict(message)
    calls = plain.get("tool_calls")
    if calls:
        plain["tool_calls"] = [
            {**call, "id": ids.setdefault(str(call.get("id")), f"call {len(ids) + 1}")} for call in calls
        ]
    if "tool_call_id" in plain:
        plain["tool_call_id"] = ids.setdefault(str(plain["tool_call_id"]), f"call {len(ids) + 1}")
    return plain


class Cassette:
    """Recorded answers by the content of their requests. A request that is not there has no answer."""

    def __init__(self, answers: Mapping[str, Scripted]) -> None:
        self._answers = answers

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, key: str) -> Scripted | None:
        """Return the recorded answer, or None."""
        return self._answers.get(key)


def read_cassette(path: Path) -> Cassette:
    """Return the cassette in a JSONL file. Raises UsageError where there is none, InvalidFile with every bad line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"llm.cassette: {path}: {error.strerror}") from None
    answers: dict[str, Scripted] = {}
    problems = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            key, answer = _entry(line)
        except (ValueError, TypeError) as error:
            problems.append(Problem(path=str(path), line=number, column=1, message=str(error)))
            continue
        if key in answers and answers[key].document() != answer.document():
            problems.append(
                Problem(path=str(path), line=number, column=1, message=f"another answer for {key} stands above")
            )
        answers.setdefault(key, answer)
    if problems:
        raise InvalidFile(problems)
    return Cassette(answers)


def _entry(line: bytes) -> tuple[str, Scripted]:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"this line is no JSON: {error}") from None
    if not isinstance(entry, dict) or not isinstance(entry.get("key"), str) or "answer" not in entry:
        raise ValueError("a line of a cassette is an object with 'key' and 'answer'")
    return entry["key"], scripted(entry["answer"])


class CassetteRecorder:
    """Writes a cassette from exchanges: each request's canonical arguments with the completion that answered it."""

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}

    def add(self, arguments: Mapping[str, Any], completion: Mapping[str, Any]) -> str:
        """Record one exchange, the first answer of a content only; return its key. Raises BadModelAnswer."""
        messages, tools = arguments["messages"], arguments.get("tools") or ()
        model = str(arguments.get("model", ""))
        key = key_of_content(model, messages, tools)
        try:
            choice = completion["choices"][0]
            message = choice["message"]
            calls = [each["function"] for each in message.get("tool_calls") or ()]
        except (KeyError, IndexError, TypeError) as error:
            raise BadModelAnswer(f"this is no chat completion: it lacks {error}") from None
        given = {"text": message.get("content"), "tool_calls": calls, "finish_reason": choice.get("finish_reason")}
        usage = completion.get("usage") or {}
        answer = scripted({**given, "tokens_out": usage.get("completion_tokens")})
        entry = {"schema": _SCHEMA, "key": key, "model": model, "answer": answer.document()}
        self._entries.setdefault(key, orjson.dumps(entry))
        return key

    def write(self, path: Path) -> int:
        """Write the cassette, in the order of recording; return the number of its entries."""
        path.write_bytes(b"".join(line + b"\n" for line in self._entries.values()))
        return len(self._entries)


def unlike(key: str, cassette: Cassette) -> str:
    """Return the message of a request that a cassette does not hold."""
    return (
        f"The cassette holds no answer for the request {key} (it holds {len(cassette)}). "
        "Record it, or let the simulated model answer: no live call is ever made."
    )


__all__ = [
    "BadModelAnswer",
    "Cassette",
    "CassetteRecorder",
    "FunctionModel",
    "ModelFunction",
    "Scripted",
    "key_of_content",
    "load_function",
    "read_cassette",
    "scripted",
    "unlike",
]
