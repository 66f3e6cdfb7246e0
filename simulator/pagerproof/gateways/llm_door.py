"""The common part of the providers' gateways: bodies, whose request it is, and the call to the simulated model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import orjson
from xxhash import xxh3_64_intdigest

from pagerproof.gateways.llm_recognition import recognised
from pagerproof.model import RUN_BEGINS, Answer, WireRequest
from pagerproof.protocols import Case, Exchange
from pagerproof.rng import hex_id

OPERATION: Final = "llm.Chat.create"
EPOCH_S: Final = int(RUN_BEGINS.timestamp())
"""The provider's clock when a run begins, in seconds since 1970."""
BODY_BYTES_MAX: Final = 32_000_000

OpenCases = Callable[[], Iterable[Case]]
"""The cases that are being worked on, for a request that belongs to none by its context."""


class Unusable(Exception):
    """A request that the provider refuses before its model sees it."""

    def __init__(self, message: str, param: str | None = None, *, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status


class Dialect(Protocol):
    """One endpoint of one provider: what its requests mean, and how its answers look."""

    def arguments(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the canonical arguments of a request's body. Raises Unusable."""
        ...

    def render(self, answer: Answer, asked: Asked) -> Answer:
        """Return the service's answer, of whatever status, in this endpoint's shape, marked as rendered."""
        ...


class Asked:
    """What a renderer needs of the request: the model's name, ids, the time, and the request's own options."""

    __slots__ = ("document", "ids", "model", "now_s", "stream")

    def __init__(self, document: Mapping[str, Any], model: str, stream: bool, ids: int, now_s: float) -> None:
        self.document = document
        self.model = model
        self.stream = stream
        self.ids = ids
        self.now_s = now_s

    @property
    def created_s(self) -> int:
        """The provider's clock, in whole seconds since 1970."""
        return EPOCH_S + int(self.now_s)

    def id(self, prefix: str, length: int = 24) -> str:
        """Return an id of this answer, the same whenever it is asked for."""
        return prefix + hex_id(xxh3_64_intdigest(prefix.encode(), self.ids), length)


def decoded(request: WireRequest) -> dict[str, Any]:
    """Return the body of a request. Raises Unusable."""
    if len(request.body) > BODY_BYTES_MAX:
        raise Unusable("The request exceeds the maximum size.", status=413)
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise Unusable(f"We could not parse the JSON body of your request: {error}") from None
    if not isinstance(document, dict):
        raise Unusable("The body of your request must be a JSON object.")
    return document


async def carried_out(
    dialect: Dialect, document: Mapping[str, Any], exchange: Exchange, open_cases: OpenCases, *, stream: bool
) -> Answer:
    """Ask the simulated model and return its answer in the dialect's shape. Raises Unusable and ConnectionLost."""
    arguments = dialect.arguments(document)
    if stream:
        arguments["stream"] = True
    if not exchange.case.index:
        case = recognised(arguments["messages"], open_cases())
        if case is not None:
            exchange.case = case
    ids = xxh3_64_intdigest(b"%d %d %d" % (exchange.seed, exchange.case.index, exchange.case.calls))
    asked = Asked(document, str(arguments["model"]), stream, ids, exchange.now_s())
    return await exchange.call(OPERATION, arguments, render=lambda answer: dialect.render(answer, asked))
