"""How the provider's service asks a model that stands in place of the simulated one, and accounts for what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from pagerproof.model import Answer
from pagerproof.services.job import Job
from pagerproof.services.llm_scripted import (
    Cassette,
    FunctionModel,
    Scripted,
    key_of_content,
    load_function,
    read_cassette,
    scripted,
    unlike,
)

_HEADERS: Final = {"content-type": "application/json"}


class Script:
    """A function or a cassette, and the answers that are being waited for.

    `misses` counts requests that the cassette does not hold, `failures` what the function raised or returned in vain.
    """

    def __init__(self, model: FunctionModel | Cassette) -> None:
        self._model = model
        self._answers: dict[Job, Scripted | Exception] = {}
        self.misses = 0
        self.failures = 0

    def ready(self, job: Job, go_on: Callable[[Job], object]) -> bool:
        """Ask the function for this job's answer; False where `go_on(job)` will be called when it has come."""
        model = self._model
        if isinstance(model, Cassette):
            return True
        arguments = job.arguments
        try:
            answer = model.ask(arguments.get("messages") or (), arguments.get("tools") or ())
        except Exception as error:  # whatever the user's function raises is told to the agent and noted
            self._answers[job] = error
            return True
        if isinstance(answer, Scripted):
            self._answers[job] = answer
            return True
        asyncio.ensure_future(self._awaited(answer, job)).add_done_callback(lambda _: go_on(job))
        return False

    async def _awaited(self, answer: Any, job: Job) -> None:
        try:
            self._answers[job] = scripted(await answer)
        except Exception as error:  # as above
            self._answers[job] = error

    def answer(self, job: Job, model: str, key: int, tokens_in: int) -> tuple[Answer, int, str]:
        """Return (the provider's answer, tokens generated, a note of what went wrong or "")."""
        said: Scripted | Exception | None
        if isinstance(self._model, Cassette):
            arguments = job.arguments
            name = key_of_content(
                str(arguments.get("model", model)), arguments.get("messages") or (), arguments.get("tools") or ()
            )
            said = self._model.answer(name)
            if said is None:
                self.misses += 1
                return _error(404, unlike(name, self._model), "not_in_cassette"), 0, f"not in the cassette: {name}"
        else:
            said = self._answers.pop(job, None)
        if not isinstance(said, Scripted):
            self.failures += 1
            what = "it was not asked" if said is None else f"{type(said).__name__}: {said}"
            note = f"{getattr(self._model, 'name', 'the cassette')}: {what}"
            return _error(500, f"The model function failed: {note}", "model_function_failed"), 0, note
        usage = {
            "prompt_tokens": tokens_in,
            "completion_tokens": said.tokens_out,
            "total_tokens": tokens_in + said.tokens_out,
        }
        choice = {"index": 0, "message": said.message(key), "finish_reason": said.finish}
        document = {
            "id": f"chatcmpl-{key:016x}",
            "object": "chat.completion",
            "model": model,
            "choices": [choice],
            "usage": usage,
        }
        return Answer(200, dict(_HEADERS), orjson.dumps(document)), said.tokens_out, ""

    def gauges(self) -> Mapping[str, Callable[[], float]]:
        """The counts by name."""
        return {"cassette.misses": lambda: float(self.misses), "model.failures": lambda: float(self.failures)}


def script_of(model_function: str | None, cassette: str | None) -> Script | None:
    """Return what stands in place of the simulated model, if anything. Raises UsageError, InvalidFile, AgentCannotLoad.

    A relative path of a cassette is looked for in the working folder.
    """
    if model_function is not None:
        return Script(load_function(model_function))
    return None if cassette is None else Script(read_cassette(Path(cassette)))


def _error(status: int, message: str, code: str) -> Answer:
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Answer(status, dict(_HEADERS), orjson.dumps({"error": error}))
