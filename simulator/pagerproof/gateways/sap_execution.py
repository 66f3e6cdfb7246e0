"""Carrying out what a modifying request planned: one operation, or several as a change set, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from pagerproof import sap_wire
from pagerproof.gateways import odata_json
from pagerproof.gateways.sap_shape import Shape, data_of, passed
from pagerproof.gateways.sap_writes import Plan, Write, rendered
from pagerproof.model import Answer
from pagerproof.rng import key_of

_ADDRESS = {"street": "StreetName", "city": "CityName", "postcode": "PostalCode", "country": "Country"}


class Settled(Exception):
    """What had to be read before a write decided the request."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


async def carry_out(shape: Shape, plan: Plan, request_id: str | None) -> Answer:
    """Do what one request planned and return its answer, rendered."""
    try:
        if len(plan.writes) > 1:
            found = await carry_out_set(shape, [(shape, plan, "")], request_id)
            return found if isinstance(found, Answer) else found[0]
        write = await _ready(shape, plan.writes[0])
    except Settled as settled:
        return settled.answer
    return await shape.exchange.call(
        write.operation,
        _guarded(write),
        idempotency_key=request_id,
        render=lambda answer: _repeatable(rendered(shape, plan, answer), request_id),
    )


async def carry_out_set(
    shape: Shape, plans: list[tuple[Shape, Plan, str]], request_id: str | None
) -> Answer | list[Answer]:
    """Do what several requests planned, all or nothing; return an answer each, or the one that refuses the set."""
    if not plans:
        return []
    if len(plans) == 1 and len(plans[0][1].writes) == 1:
        own, plan, content_id = plans[0]
        answer = await carry_out(own, plan, request_id)
        return answer if answer.status >= 300 else [_named(answer, content_id)]
    try:
        changes = [_change(await _ready(own, write, in_set=True)) for own, plan, _ in plans for write in plan.writes]
    except Settled as settled:
        return settled.answer
    answers: list[Answer] = []

    def render(answer: Answer) -> Answer:
        answers.clear()
        if answer.status >= 300:
            return shape.refusal(answer)
        results = (data_of(answer) or {}).get("results")
        if not isinstance(results, list) or len(results) != len(changes):
            return passed(answer)
        position = -1
        for own, plan, content_id in plans:
            position += len(plan.writes)
            answers.append(_repeatable(_named(_reply(own, plan, results[position]), content_id), request_id))
        answer.rendered = True
        return answer

    answer = await shape.exchange.call(
        "sap.ChangeSet.apply", {"changes": changes}, idempotency_key=request_id, render=render
    )
    if answer.status >= 300 or len(answers) < len(plans) or answer.wire_bytes != len(answer.body):
        return answer
    return answers


def _reply(shape: Shape, plan: Plan, result: Any) -> Answer:
    return rendered(shape, plan, Answer(200, {}, orjson.dumps({"d": result.get("d")})))


async def _ready(shape: Shape, write: Write, *, in_set: bool = False) -> Write:
    """Return the write with what must be read before it; in a set the system itself compares ETags."""
    if write.completes_address:
        return await _with_address(shape, write)
    if write.reads_first and write.etag != "*" and not in_set:
        return await _compared(shape, write)
    return write


async def _with_address(shape: Shape, write: Write) -> Write:
    number = write.arguments["business_partner"]
    now = await _read(shape, "sap.BusinessPartner.get", {"business_partner": number})
    present = {argument: str(now.get(name, "")) for argument, name in _ADDRESS.items()}
    return Write(operation=write.operation, arguments={**present, **write.arguments}, etag=write.etag)


async def _compared(shape: Shape, write: Write) -> Write:
    """The framework reads the entity and compares its ETag before it lets an operation without one begin."""
    now = await _read(shape, "sap.SalesOrder.get", {"sales_order": write.arguments["sales_order"]})
    if odata_json.etag_of(now) != write.etag:
        key = key_of(shape.exchange.seed, shape.exchange.case.index, shape.path)
        raise Settled(shape.refusal(sap_wire.etag_stale(key, shape.exchange.now_s())))
    return Write(operation=write.operation, arguments=write.arguments)


async def _read(shape: Shape, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record that a write needs. Raises Settled with the answer where there is none."""
    answer = await shape.exchange.call(
        operation, arguments, render=lambda it: shape.refusal(it) if it.status >= 300 else passed(it)
    )
    found = data_of(answer) if answer.status < 300 else None
    if found is None:
        raise Settled(answer)
    return found


def _guarded(write: Write) -> Mapping[str, Any]:
    if write.etag in ("", "*") or write.reads_first:
        return write.arguments
    return {**write.arguments, "etag": write.etag}


def _change(write: Write) -> dict[str, Any]:
    change: dict[str, Any] = {"operation": write.operation, "arguments": dict(write.arguments)}
    if write.etag not in ("", "*"):
        change["etag"] = write.etag
    return change


def _named(answer: Answer, content_id: str) -> Answer:
    if content_id:
        answer.headers["content-id"] = content_id
    return answer


def _repeatable(answer: Answer, request_id: str | None) -> Answer:
    if request_id is not None and answer.status < 300:
        answer.headers["repeatabilityresult"] = "accepted"
    return answer
