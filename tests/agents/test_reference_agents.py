"""The two reference agents on the same scripts: where the demo believes, the hardened one looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conformance.agent import CUSTOMER, SmallModel, back_office, reads, tool_call, word
from tests.conformance.valve import FakeDesk, Scripted, ScriptedToolbox, answer, order, refund, run

from pagerproof.agents import golden, vendor_demo
from pagerproof.agents.hardened import Hardened
from pagerproof.agents.roles import EVERYTHING, specialist_for
from pagerproof.model import Reply, ReplyStatus
from pagerproof.services.catalogue import OPERATIONS
from pagerproof.tools import Completion, Message, ToolError, ToolTimeout
from pagerproof.valves import WRITES, CircuitBreaker
from pagerproof.workload.intents import load_intents

REFUND = "payments.Refund.create"
FIND = "payments.Refund.find"
MEMO = "sap.CreditMemo.create"
AMOUNT = {"amount": "129.80", "currency": "EUR"}
PAYS = [
    *reads()[:2],
    (REFUND, {"payment_id": "pay_00000001", **AMOUNT}),
]


class Model(SmallModel):
    """A model whose first acts are scripted; after those it follows its path."""

    def __init__(self, *first: Completion, **more: Any) -> None:
        super().__init__(more.pop("path", PAYS), intents=more.pop("intents", ("duplicate_charge",)))
        self.first = list(first)
        self.reply = "We have paid back 129.80 EUR."

    def act(self, messages: Any) -> Completion:
        return self.first.pop(0) if self.first else super().act(messages)


class Ledger(ScriptedToolbox):
    """A back office that pays refunds, the first of them without a word."""

    def __init__(self, *, silent: Scripted | None = None, **changed: Scripted) -> None:
        super().__init__(back_office().script)
        self.refunds: list[dict[str, str]] = []
        self.silent = silent
        listed = {"payment_id": "pay_00000001", "amount": "129.80", "status": "captured"}
        self.script["payments.Payment.list"] = [answer({"order_id": "4500000001", "payments": [listed]})]
        self.script[FIND] = [lambda asked: answer({"payment_id": asked["payment_id"], "refunds": self.refunds})]
        for name, entry in changed.items():
            self.script[name.replace("_", ".", 2).replace("_", ".")] = [entry]

    async def call(self, operation: str, arguments: Any, **rest: Any) -> Any:
        if operation == REFUND and REFUND not in self.script:
            self.refunds.append({"refund_id": f"re_{len(self.refunds) + 1}", "amount": arguments["amount"]})
            first, self.silent = self.silent, None
            self.script[REFUND] = [first if first is not None else answer(refund(**arguments))]
            try:
                return await super().call(operation, arguments, **rest)
            finally:
                del self.script[REFUND]
        return await super().call(operation, arguments, **rest)


def hardened(toolbox: ScriptedToolbox, model: SmallModel, text: str = "") -> tuple[Reply, FakeDesk]:
    desk = FakeDesk(toolbox, model=model, text=text)
    return run(Hardened().handle(desk.request, desk)), desk


def demo(toolbox: ScriptedToolbox, model: SmallModel) -> Reply:
    desk = FakeDesk(toolbox, model=model)
    return run(vendor_demo.handle(desk.request, desk))


def test_both_do_an_easy_refund_once_within_thirteen_calls() -> None:
    for agent in ("demo", "hardened"):
        toolbox, model = Ledger(), Model()
        reply = demo(toolbox, model) if agent == "demo" else hardened(toolbox, model)[0]
        assert reply.status is ReplyStatus.DONE
        assert reply.text == "We have paid back 129.80 EUR."
        assert len(toolbox.refunds) == 1
        assert len(toolbox.calls) + len(model.heard) <= 13


def test_on_a_time_out_after_the_payment_the_demo_pays_twice_and_the_hardened_agent_looks() -> None:
    toolbox = Ledger(silent=ToolTimeout(REFUND, "late"))
    assert demo(toolbox, Model()).status is ReplyStatus.DONE
    assert len(toolbox.refunds) == 2

    toolbox = Ledger(silent=ToolTimeout(REFUND, "late"))
    reply, desk = hardened(toolbox, Model())
    assert reply.status is ReplyStatus.DONE
    assert len(toolbox.refunds) == 1
    assert desk.marked("read_back") == ["payments.Refund.create: not acknowledged; looked it up: done"]


def test_a_write_that_was_acknowledged_and_not_applied_is_handed_over() -> None:
    toolbox = Ledger()
    toolbox.script[FIND] = [answer({"payment_id": "pay_00000001", "refunds": []})]
    reply, _ = hardened(toolbox, Model())
    assert reply.status is ReplyStatus.HANDED_OVER
    assert "does not confirm" in reply.reason
    assert len(toolbox.sent("crm.Ticket.create")) == 1
    assert demo(Ledger(), Model()).status is ReplyStatus.DONE


def test_a_truncated_answer_goes_to_the_demos_model_and_is_read_again_by_the_hardened_agent() -> None:
    whole = answer(order())
    cut = answer(whole.body[:60], wire_bytes=len(whole.body))
    model, toolbox = Model(), Ledger()
    toolbox.script["orders.Order.get"] = [cut, whole]
    demo(toolbox, model)
    assert any(message["content"] == whole.body[:60].decode() for message in model.heard[-1])
    model, toolbox = Model(), Ledger()
    toolbox.script["orders.Order.get"] = [cut, whole]
    reply, desk = hardened(toolbox, model)
    assert reply.status is ReplyStatus.DONE
    assert all(message.get("content") != whole.body[:60].decode() for message in model.heard[-1])
    assert desk.marked("response_validation")


def test_an_amount_that_stands_in_no_answer_is_not_paid() -> None:
    wrong = tool_call(REFUND, {"payment_id": "pay_00000001", "amount": "929.80", "currency": "EUR"})
    model = Model(tool_call(*PAYS[0]), tool_call(*PAYS[1]), wrong)
    toolbox = Ledger()
    reply, _ = hardened(toolbox, model)
    assert reply.status is ReplyStatus.DONE
    assert [each["amount"] for each in toolbox.refunds] == ["129.80"]


def test_a_document_that_nobody_mentioned_is_neither_read_nor_written() -> None:
    model = Model(
        tool_call(*PAYS[0]),
        tool_call("orders.Order.get", {"order_id": "4500000009"}),
        tool_call(REFUND, {"payment_id": "pay_00000009", **AMOUNT}),
    )
    toolbox = Ledger()
    reply, _ = hardened(toolbox, model)
    assert reply.status is ReplyStatus.DONE
    assert "4500000009" not in str(toolbox.calls)
    assert "pay_00000009" not in str(toolbox.calls)


def test_somebody_elses_order_is_declined_after_a_second_look() -> None:
    toolbox = Ledger()
    toolbox.script["orders.Order.get"] = [answer(order(customer_id="C000002", email="bob@example.org"))]
    reply, _ = hardened(toolbox, Model())
    assert reply.status is ReplyStatus.DECLINED
    assert len(toolbox.sent("orders.Order.get")) == 2
    assert toolbox.refunds == []


def test_a_record_that_was_mixed_up_once_is_not_held_against_the_customer() -> None:
    toolbox = Ledger()
    mixed_up = answer(order(customer_id="C000002", email="bob@example.org"))
    toolbox.script["orders.Order.get"] = [mixed_up, answer(order())]
    assert hardened(toolbox, Model())[0].status is ReplyStatus.DONE


def test_done_without_the_work_is_not_believed() -> None:
    toolbox = Ledger()
    reply, _ = hardened(toolbox, Model(tool_call(*PAYS[0]), tool_call(*PAYS[1]), word("DONE: refunded.")))
    assert reply.status is ReplyStatus.DONE
    assert len(toolbox.refunds) == 1
    claims = Model(path=PAYS[:2])
    toolbox = Ledger()
    assert hardened(toolbox, claims)[0].status is ReplyStatus.HANDED_OVER
    assert demo(Ledger(), Model(path=PAYS[:2])).status is ReplyStatus.DONE


@pytest.mark.parametrize("chatter", ["Let me refine this once more.", "", "CANNOT: it does not work."])
def test_a_model_that_never_acts_ends_in_a_hand_over_within_a_few_rounds(chatter: str) -> None:
    model = Model(*[word(chatter)] * 50)
    reply, _ = hardened(Ledger(), model)
    assert reply.status is ReplyStatus.HANDED_OVER
    assert len(model.heard) <= 6


def test_the_demo_talks_until_the_simulator_stops_it() -> None:
    with pytest.raises(AssertionError, match="does not end"):
        demo(Ledger(), Model(*[word("Thank you, let me refine this.")] * 100))


def test_a_decline_is_passed_on_by_both() -> None:
    assert demo(Ledger(), Model(word("DECLINE: not allowed."))).status is ReplyStatus.DECLINED
    assert hardened(Ledger(), Model(word("DECLINE: not allowed.")))[0].status is ReplyStatus.DECLINED


def test_an_empty_message_is_handed_over_without_a_single_model_call() -> None:
    model = Model()
    reply, _ = hardened(Ledger(), model, text=" \n")
    assert reply.status is ReplyStatus.HANDED_OVER
    assert model.heard == []


@pytest.mark.parametrize(
    "text",
    [
        "We have paid back 999.99 EUR.",
        "I cannot help with that.",
        "Dear Ann Smith, I am sorry, but I cannot help with order 4500000001.",
        "",
    ],
)
def test_a_reply_that_tells_nothing_or_something_invented_is_replaced_by_the_facts(text: str) -> None:
    model = Model()
    model.reply = text
    reply, desk = hardened(Ledger(), model)
    assert reply.status is ReplyStatus.DONE
    assert "129.80" in reply.text
    assert "999.99" not in reply.text
    assert desk.marked("evidence")


def test_where_nothing_has_been_established_nothing_is_claimed() -> None:
    claims = Model(path=[], intents=("something_new",))
    reply, _ = hardened(Ledger(), claims)
    assert reply.status is ReplyStatus.HANDED_OVER
    assert "nothing has been established" in reply.reason
    assert demo(Ledger(), Model(path=[])).status is ReplyStatus.DONE


def test_an_expired_token_costs_the_demo_its_write_and_the_hardened_agent_a_second_try() -> None:
    path = [*reads()[:2], (MEMO, {"sales_order": "1000000001", **AMOUNT, "reason": "Damaged"})]
    for agent in ("demo", "hardened"):
        model, toolbox = Model(path=path, intents=("something_new",)), Ledger()
        expired = answer(b"CSRF token validation failed", 403, x_csrf_token="Required")
        memo = {"CreditMemoRequest": "60000001", "SalesOrder": "1000000001", "TotalNetAmount": "129.80"}
        toolbox.script[MEMO] = [expired, answer({"d": memo}, 201)]
        toolbox.script["sap.CreditMemo.find"] = [answer({"d": {"results": [memo]}})]
        toolbox.script["sap.Session.open"] = [answer({"d": {}})]
        demo(toolbox, model) if agent == "demo" else hardened(toolbox, model)
        asked = [call["operation"] for call in toolbox.calls if call["operation"] in (MEMO, "sap.Session.open")]
        assert asked == [MEMO, "sap.Session.open", MEMO], agent
        told = any("403" in message.get("content", "") for message in model.heard[-1])
        assert told == (agent == "demo")


def test_every_valve_that_changes_what_happens_says_so() -> None:
    early = Model(tool_call(*PAYS[0]), tool_call(*PAYS[1]), word("DONE: refunded."))
    assert hardened(Ledger(), early)[1].marked("golden_policy")
    invented = Model(tool_call(*PAYS[0]), tool_call("orders.Order.get", {"order_id": "4500000009"}))
    assert hardened(Ledger(), invented)[1].marked("evidence")
    assert hardened(Ledger(), Model(), text=" \n")[1].marked("escalation")
    assert hardened(Ledger(), SmallModel(reads()))[1].marks == []


def test_work_that_the_verifier_does_not_approve_is_done_over_once() -> None:
    model = Model()
    model.verdicts = ['{"approved": false, "why": "not sure"}', '{"approved": true, "why": ""}']
    assert hardened(Ledger(), model)[0].status is ReplyStatus.DONE
    model = Model()
    model.verdicts = ['{"approved": false, "why": "not sure"}']
    toolbox = Ledger()
    reply, _ = hardened(toolbox, model)
    assert reply.status is ReplyStatus.HANDED_OVER
    assert REFUND in reply.text
    assert len(toolbox.refunds) == 1


def test_tools_that_stay_down_end_in_a_hand_over_and_not_in_a_claim() -> None:
    toolbox = Ledger()
    toolbox.script["orders.Order.get"] = [ToolError("orders.Order.get", "HTTP 500", status=500)]
    assert hardened(toolbox, Model())[0].status is ReplyStatus.HANDED_OVER


def with_order_service_down(model: SmallModel) -> tuple[Reply, Ledger]:
    """Let the agent do one request, then the same again while the circuit of orders is open."""
    agent = Hardened()
    toolbox = Ledger()
    warm = FakeDesk(toolbox, model=SmallModel(reads()))
    run(agent.handle(warm.request, warm))
    breaker = next(valve for valve in agent.inner_valves if isinstance(valve, CircuitBreaker))
    circuit = breaker.circuit("orders.Order.get")
    for _ in range(20):
        circuit.record(circuit.generation, 0.0, failed=True)
    desk = FakeDesk(toolbox, model=model)
    return run(agent.handle(desk.request, desk)), toolbox


def test_remembered_answers_are_told_as_such() -> None:
    reply, toolbox = with_order_service_down(SmallModel(reads()))
    assert reply.status is ReplyStatus.DONE
    assert "may be a few minutes old" in reply.text
    assert len(toolbox.sent("orders.Order.get")) == 1


def test_no_money_is_moved_on_remembered_answers() -> None:
    reply, toolbox = with_order_service_down(Model())
    assert reply.status is ReplyStatus.HANDED_OVER
    assert "remembered" in reply.reason
    assert toolbox.refunds == []


def test_a_misrouted_request_is_routed_again_before_its_write_is_refused() -> None:
    class Misrouted(Model):
        def __init__(self) -> None:
            super().__init__(intents=("delivery_date",))

        async def chat(self, messages: Any, **more: Any) -> Completion:
            completion = await super().chat(messages, **more)
            if "Route" in messages[0]["content"]:
                self.intents = ["duplicate_charge"]
            return completion

    toolbox = Ledger()
    reply, _ = hardened(toolbox, Misrouted())
    assert reply.status is ReplyStatus.DONE
    assert len(toolbox.refunds) == 1


def test_the_golden_paths_name_operations_that_exist_and_their_specialists_may_call_them() -> None:
    for intent, path in golden.PATHS.items():
        assert set(path) <= set(OPERATIONS)
        assert set(path) <= set(specialist_for((intent,))[1]), intent
    assert golden.still_to_do(("refund", "unheard_of"), ()) is None
    assert golden.still_to_do((), ()) is None
    both = golden.still_to_do(("refund", "password_reset"), ())
    assert both is not None
    assert "crm.Password.reset" in both


def test_the_golden_paths_are_those_of_the_shipped_intents() -> None:
    shipped = load_intents(Path(__file__).parents[2] / "scenarios/intents/contact_center.yaml", OPERATIONS)
    for intent in shipped:
        path = tuple(dict.fromkeys(step.operation for step in intent.path))
        assert golden.path_of(intent.parts) == path, intent.id
        assert set(path) <= set(specialist_for(intent.parts)[1]), intent.id


def test_the_front_desk_has_every_tool_but_the_model_itself() -> None:
    offered = {name for name, operation in OPERATIONS.items() if not operation.protocol_only}
    assert set(EVERYTHING) == {name for name in offered if not name.startswith(("llm.", "sap.Session."))}
    assert set(EVERYTHING) >= WRITES & offered


def test_the_customers_own_words_come_first_in_every_conversation() -> None:
    model = Model()
    hardened(Ledger(), model, text="My order 4500000001!")
    for messages in model.heard:
        first: Message = next(message for message in messages if message["role"] == "user")
        assert first["content"].startswith("My order 4500000001!")
    assert CUSTOMER["email"] in model.heard[0][1]["content"]
