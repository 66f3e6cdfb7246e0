"""The simulated model runs agents that were never written for us: other names, other shapes, other words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.gateways.llm_stage import FakeExchange, Stage, function, world_of

from pagerproof.model import ReplyStatus
from pagerproof.protocols import Case
from pagerproof.replies import status_of
from pagerproof.services.catalogue import TOOLS
from pagerproof.services.tool_words import snake

WORLD = world_of()
MODEL = {"model": "any", "temperature": 0.0}


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def toolset(style: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every operation under another name, as (operation, definition) by the tool's name."""
    tools = {}
    for operation in TOOLS.values():
        if operation.service == "llm":
            continue
        _, entity, verb = operation.full_name.split(".")
        name = f"{verb}_{snake(entity)}"
        if style == "service_entity_verb":
            name = f"{operation.service}_{snake(entity)}_{verb}"
        renamed = camel if style == "camelCase" else str
        schema = {
            "type": "object",
            "properties": {renamed(key): {"type": kind} for key, kind in operation.arguments.items()},
            "required": [renamed(key) for key in operation.arguments if key not in operation.optional],
        }
        described = {"name": renamed(name), "description": operation.summary, "parameters": schema}
        tools[renamed(name)] = operation.full_name, {"type": "function", "function": described}
    return tools


def as_json(body: bytes) -> str:
    return body.decode()


def as_nested_json(body: bytes) -> str:
    data = {camel(key) if key.islower() else key: value for key, value in json.loads(body).items()}
    return json.dumps({"success": True, "result": {"payload": data}})


def as_prose(body: bytes) -> str:
    said: list[str] = []

    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key != "__metadata":
                    walk(inner, key)
        elif isinstance(value, list):
            for inner in value:
                walk(inner, name)
        else:
            said.append(f"The {snake(name).replace('_', ' ')} is {value}.")

    walk(json.loads(body), "")
    return " ".join(said)


async def ask(stage: Stage, case: Case, messages: list[Any], tools: list[Any], **more: Any) -> dict[str, Any]:
    """The model's next message."""
    arguments = {**MODEL, "messages": messages, "tools": tools, **more}
    answer = await FakeExchange(stage, case).call("llm.Chat.create", arguments)
    assert answer.status == 200, answer
    message: dict[str, Any] = json.loads(answer.body)["choices"][0]["message"]
    return message


def opening(case: Case) -> list[dict[str, Any]]:
    said = f"{case.request.text}\nFrom: {case.request.customer_name} <{case.request.customer_email}>"
    return [{"role": "system", "content": "You are the shop's agent."}, {"role": "user", "content": said}]


async def handled(stage: Stage, case: Case, tools: dict[str, tuple[str, Any]], shown: Any) -> str:
    """A plain single agent: calls tools until the model says something."""
    messages = opening(case)
    for _ in range(25):
        message = await ask(stage, case, messages, [definition for _, definition in tools.values()])
        messages.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        call = message["tool_calls"][0]
        operation, _ = tools[call["function"]["name"]]
        given = {snake(key): value for key, value in json.loads(call["function"]["arguments"]).items()}
        answer = await FakeExchange(stage, case).call(operation, given)
        text = f"Error code: {answer.status}" if answer.status >= 400 else shown(answer.body) if answer.body else "OK"
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})
    raise AssertionError("the agent does not end")


@pytest.mark.parametrize(
    ("style", "shown"),
    [("verb_entity", as_json), ("camelCase", as_nested_json), ("service_entity_verb", as_prose)],
)
def test_at_no_difficulty_every_request_ends_right_whatever_the_tools_and_their_answers_look_like(
    style: str, shown: Any
) -> None:
    tools = toolset(style)
    for index in range(1, 31):
        stage = Stage(workload=WORLD)
        case = stage.case(index)
        text = stage.run(handled(stage, case, tools, shown))
        expected = case.truth.expectation
        written = {
            (each.service, each.kind, each.entity) for each in case.effects if each.kind not in ("note", "ticket")
        }
        if expected.decline:
            assert (written, status_of(text)) == (set(), ReplyStatus.DECLINED), index
            continue
        wanted = {(each.service, each.kind, each.entity) for each in expected.effects if each.kind != "ticket"}
        assert written == wanted, index
        assert all(told in text for told in expected.told), (index, text)
        assert status_of(text) is ReplyStatus.DONE, (index, text)


@pytest.mark.slow
def test_the_model_errs_on_the_same_draws_whether_the_tools_are_ours_or_somebody_elses() -> None:
    tools = toolset("verb_entity")
    erred = 0
    for index in range(1, 101):
        notes = []
        for foreign in (False, True):
            stage = Stage(workload=WORLD)
            case = stage.case(index, difficulty=0.9)
            offered: Any = [each for _, each in tools.values()] if foreign else [each for each, _ in tools.values()]
            more: dict[str, Any] = {"model": "any"} if foreign else {}
            arguments = {"messages": opening(case), "tools": offered, "temperature": 1.0, **more}
            stage.run(FakeExchange(stage, case).call("llm.Chat.create", arguments))
            notes.append([event[5] for event in case.log if event[2] == "llm.policy"])
        assert notes[0] == notes[1], index
        erred += bool(notes[0])
    assert erred > 15


@pytest.mark.parametrize(
    "error",
    [
        "An error occurred while running the tool. Please try again. Error: Error code: 503",
        "Error: ConnectionError('reset')\n Please fix your mistakes.",
        "Error executing tool get_order: time-out",
        '{"success": false, "message": "backend away"}',
        '{"status_code": 503, "detail": "Service Unavailable"}',
        '{"isError": true, "content": "no"}',
        "Unknown tool name: 'x'. Available tools: y\n\nFix the errors and try again.",
        "Server error '503 Service Unavailable' for url 'http://crm.sim/x'",
    ],
)
def test_a_frameworks_report_of_an_error_is_no_success(error: str) -> None:
    tools = toolset("verb_entity")
    stage = Stage(workload=WORLD)
    case = stage.case(2)

    async def main() -> tuple[Any, Any]:
        definitions = [definition for _, definition in tools.values()]
        messages = opening(case)
        first = await ask(stage, case, messages, definitions)
        result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": error}
        return first, await ask(stage, case, [*messages, first, result], definitions)

    first, second = stage.run(main())
    if second.get("tool_calls"):
        assert second["tool_calls"][0]["function"]["name"] == first["tool_calls"][0]["function"]["name"]
    else:
        assert status_of(second["content"]) is ReplyStatus.FAILED


HANDOFFS = [
    function("transfer_to_shipping_agent", "Handoff to the shipping agent: parcels, tracking."),
    function("transfer_to_billing_agent", "Handoff to the billing agent: refunds, invoices."),
    function("transfer_to_account_agent", "Handoff to the account agent: address, password, plan."),
]


@pytest.mark.parametrize(
    ("intent", "name"),
    [
        ("shipment_tracking", "transfer_to_shipping_agent"),
        ("refund", "transfer_to_billing_agent"),
        ("invoice_dispute", "transfer_to_billing_agent"),
        ("address_change", "transfer_to_account_agent"),
        ("plan_change", "transfer_to_account_agent"),
    ],
)
def test_a_triage_agent_hands_over_to_whoever_can_do_it_and_only_once(intent: str, name: str) -> None:
    stage = Stage(workload=world_of(only_intents=[intent]))
    case = stage.case(1)

    async def main() -> tuple[Any, Any]:
        messages = opening(case)
        first = await ask(stage, case, messages, HANDOFFS)
        result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": '{"assistant": "x"}'}
        return first, await ask(stage, case, [*messages, first, result], HANDOFFS)

    first, second = stage.run(main())
    assert first["tool_calls"][0]["function"]["name"] == name
    again = [call["function"]["name"] for call in second.get("tool_calls") or ()]
    assert name not in again


def test_without_a_tool_for_what_was_asked_the_model_says_that_it_cannot() -> None:
    stage = Stage(workload=world_of(only_intents=["plan_change"]))
    case = stage.case(1)
    tools = {name: each for name, each in toolset("verb_entity").items() if "subscription" not in name}
    assert status_of(stage.run(handled(stage, case, tools, as_json))) is ReplyStatus.FAILED


def test_an_output_tool_is_called_for_the_last_word_with_every_field_filled() -> None:
    stage = Stage(workload=world_of(only_intents=["order_status"]))
    case = stage.case(1)
    schema = {
        "reply": "string",
        "resolved": "boolean",
        "outcome": {"type": "string", "enum": ["done", "escalated", "failed"]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    }
    output = function("final_result", "The final response which ends this conversation", **schema)
    tools = toolset("verb_entity")

    async def main() -> Any:
        messages = opening(case)
        for _ in range(12):
            message = await ask(stage, case, messages, [output, *(each for _, each in tools.values())])
            call = message["tool_calls"][0]
            given = json.loads(call["function"]["arguments"])
            if call["function"]["name"] == "final_result":
                return given
            answer = await FakeExchange(stage, case).call(tools[call["function"]["name"]][0], given)
            messages += [message, {"role": "tool", "tool_call_id": call["id"], "content": answer.body.decode()}]
        raise AssertionError("no end")

    given = stage.run(main())
    assert case.truth.expectation.told[0] in given["reply"]
    assert (given["resolved"], given["outcome"]) == (True, "done")
    assert 0.0 <= given["confidence"] <= 1.0


def test_a_router_with_a_json_schema_chooses_the_label_that_fits() -> None:
    stage = Stage(workload=world_of(only_intents=["refund"]))
    case = stage.case(1)
    schema = {
        "type": "object",
        "properties": {
            "department": {"type": "string", "enum": ["sales", "refunds", "account"]},
            "order_id": {"type": "string"},
        },
        "required": ["department", "order_id"],
    }
    messages = opening(case)
    messages[0]["content"] = "Classify the customer's message."
    asked = {"type": "json_schema", "json_schema": {"name": "route", "schema": schema}}
    message = stage.run(ask(stage, case, messages, [], response_format=asked))
    assert json.loads(message["content"]) == {"department": "refunds", "order_id": case.truth.slots["order_id"]}


def test_arguments_are_written_as_the_tools_schema_wants_them() -> None:
    stage = Stage(workload=world_of(only_intents=["order_status"]))
    case = stage.case(1)
    request = {
        "type": "object",
        "properties": {"e_mail": {"type": "string"}, "limit": {"type": "integer"}, "verbose": {"type": "boolean"}},
        "required": ["e_mail", "limit"],
    }
    tool = function("find_customer", "Find a customer by e-mail address.", request=request)
    message = stage.run(ask(stage, case, opening(case), [tool]))
    given = json.loads(message["tool_calls"][0]["function"]["arguments"])
    assert given == {"request": {"e_mail": case.request.customer_email, "limit": 1}}
