"""The model behind the same valves as the tools: a deadline, a retry budget, and complete answers only."""

from __future__ import annotations

from collections.abc import Sequence

from pagerproof.tools import BadAnswer, Completion, Desk, Message, Model, ToolError, loads
from pagerproof.valves.deadline import Deadline
from pagerproof.valves.refusals import DeadlineExceeded
from pagerproof.valves.response_validation import ResponseValidation
from pagerproof.valves.retry import Retry, passing_error

_OPERATION = "llm.Chat.create"
_COMPLETE = frozenset({"stop", "tool_calls"})


class SteadyModel:
    """One request's model with time-outs, retries, and no half answers.

    An answer is complete only if its finish reason is `stop` or `tool_calls` and every tool call's arguments are a
    JSON object; otherwise it counts as a BadAnswer and is asked for again. `timeout_s` (30 s) lies above the 7.9 s
    that 99 % of the measured times to first token stay below, and is a choice of ours.
    """

    __slots__ = ("_deadline", "_desk", "_model", "_retry", "_timeout_s")

    def __init__(self, model: Model, desk: Desk, *, retry: Retry, deadline: Deadline, timeout_s: float = 30.0) -> None:
        self._model = model
        self._desk = desk
        self._retry = retry
        self._deadline = deadline
        self._timeout_s = timeout_s

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[str] = (),
        temperature: float = 0.0,
        max_tokens: int = 1024,
        timeout_s: float | None = None,
        attempt: int = 1,
    ) -> Completion:
        """Ask for the next message. Raises DeadlineExceeded, or the last error when the attempts are used up."""
        desk = self._desk
        retry = self._retry
        retry.budget.deposit(desk.clock.now_s())
        tried = 1
        while True:
            left_s = self._deadline.left_s(desk)
            if left_s <= 0.0:
                desk.mark("valve", Deadline.name, "no time left to ask the model")
                raise DeadlineExceeded(_OPERATION, "no time is left to ask the model")
            limit_s = self._timeout_s if timeout_s is None else timeout_s
            if limit_s > left_s:
                desk.mark("valve", Deadline.name, f"{_OPERATION}: time-out cut from {limit_s:.1f} s to {left_s:.1f} s")
                limit_s = left_s
            try:
                completion = await self._model.chat(
                    messages,
                    tools=tools,
                    temperature=temperature,
                    max_tokens=max_tokens,
                    timeout_s=limit_s,
                    attempt=attempt + tried - 1,
                )
                fault = incomplete(completion)
                if not fault:
                    return completion
                desk.mark("valve", ResponseValidation.name, f"{_OPERATION}: {fault}")
                raise BadAnswer(_OPERATION, fault, status=200)
            except ToolError as error:
                why = passing_error(error)
                if not why or not await retry.pause(desk, _OPERATION, tried, why, None):
                    raise
            tried += 1


def incomplete(completion: Completion) -> str:
    """Return why this completion must not be acted upon, or ""."""
    if completion.finish_reason not in _COMPLETE:
        return f"the model's answer ended by {completion.finish_reason or 'nothing'!r}"
    for call in completion.tool_calls:
        try:
            arguments = loads(call.arguments)
        except ValueError:
            return f"the arguments of {call.name} are not JSON"
        if type(arguments) is not dict:
            return f"the arguments of {call.name} are no object"
    return ""
