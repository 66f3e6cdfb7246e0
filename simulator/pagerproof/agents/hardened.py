"""The hardened pipeline: the same roles as the demo's, with every safety valve and no word without evidence.

The valves stand between agent and services in this order, the outermost first, and each answers one way to fail:

- `golden_policy`: re-alignment. A frozen runbook says which operations a kind of request takes. A write that is not
  among them is refused, DONE is not believed while one is missing, and from the third divergence on the runbook's next
  read replaces the model's choice.
- `depth_limit`: a hard budget. 5 calls in a row that ask for nothing new, 24 in all or 3 times the very same end the
  loop; so do more than 4 errors, and more than 2 turns of the specialist in a row that move nothing.
- `idempotency_keys`: one key for one wish, so that a second try is the same payment and not another one.
- `retry`: at one layer only, with full jitter, on a budget that the whole run shares: retries never become the load.
- `read_back`: after a write without an acknowledgement, look into the ledger before doing anything else; and after
  one with an acknowledgement, too, where there is a read that shows it.
- `deadline`: no call outlasts the customer's request.
- `circuit_breaker`: what keeps failing is left alone for a while. Reads get the last good answer to the very same
  question, and the customer is told that it may be old; no write ever rests on such an answer.
- `response_validation`: a 200 has to be whole, to be JSON, and to be about what was asked. Innermost, so that a spoiled
  answer counts as a failure for breaker and retry.
- `evidence` (in the agent): ids and amounts come from validated answers or from the customer's own words, and so does
  every figure in the reply. A text that tells nothing, such as a refusal, is replaced by the established facts.
- `escalation`: whatever cannot be vouched for is handed to a human, and the reply says what has been sent already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pagerproof.agents import golden
from pagerproof.agents.evidence import ENTITY_ARGUMENTS, Evidence, is_money_write
from pagerproof.agents.roles import (
    EVERYTHING,
    ROUTE,
    VERIFY,
    WRITE,
    as_message,
    conversation,
    from_customer,
    specialist_for,
    specialist_prompt,
)
from pagerproof.tools import Completion, Desk, Message, Reply, ReplyStatus, Request, ToolError, ToolResult, loads
from pagerproof.valves import (
    LOOKUPS,
    WRITES,
    CircuitBreaker,
    Deadline,
    DepthLimit,
    Fate,
    GoldenPolicy,
    IdempotencyKeys,
    OffPath,
    ReadBack,
    ResponseValidation,
    Retry,
    SteadyModel,
    Thresholds,
    ValveRefusal,
    escalate,
    look,
    stack,
)
from pagerproof.valves.read_back import READ_BACK_HEADER

TURNS_MAX: Final = 16
ERRORS_MAX: Final = 4
IDLE_MAX: Final = 2  # answers of the specialist in a row that moved nothing
CONFIRM_AFTER_S: Final = 3.0
_REMINDER: Final[Message] = {"role": "user", "content": "Call the next tool, or say DONE, CANNOT or DECLINE."}
_DECLINED_TEXT: Final = "I am sorry, but I cannot do this: the order does not belong to the account you wrote from."


class Hardened:
    """One instance serves a whole run: its circuits and its retry budget are shared by all requests."""

    def __init__(self) -> None:
        self.deadline = Deadline()
        self.retry = Retry(deadline=self.deadline)
        self.depth_limit = DepthLimit()
        self.golden = GoldenPolicy(golden.still_to_do)
        # opossum's thresholds over fewer calls, so that a circuit reacts within seconds at a few calls a second.
        thresholds = Thresholds(failure_rate=0.5, minimum_calls=10, window_calls=20, open_s=30.0, half_open_calls=1)
        self.inner_valves = (
            IdempotencyKeys(),
            self.retry,
            ReadBack(),
            self.deadline,
            CircuitBreaker(thresholds),
            ResponseValidation(),
        )

    async def handle(self, request: Request, desk: Desk) -> Reply:
        """Do what is asked and can be vouched for, decline what must not be done, hand over the rest."""
        work = _Work(self, request, desk)
        try:
            return await work.run()
        except _Stop as stop:
            return await work.hand_over(str(stop))
        except ToolError as error:
            return await work.hand_over(str(error))


agent = Hardened
"""A class: whoever runs it makes one for each run."""


class _Stop(Exception):
    """The work cannot go on; the message says why."""


class _Declined(Exception):
    """What is asked for must not be done; the message is for the customer."""


class _Work:
    """One request in the making."""

    __slots__ = (
        "desk",
        "errors",
        "evidence",
        "idle",
        "messages",
        "model",
        "path",
        "proposed",
        "reminders",
        "request",
        "rerouted",
        "tools",
        "written",
    )

    def __init__(self, agent: Hardened, request: Request, desk: Desk) -> None:
        self.request = request
        self.desk = desk
        self.tools = stack(desk.tools, desk, agent.inner_valves)
        self.path = agent.golden.begin(agent.depth_limit.around(self.tools, desk), desk)
        self.model = SteadyModel(desk.model, desk, retry=agent.retry, deadline=agent.deadline)
        self.evidence = Evidence(request)
        self.messages: list[Message] = []
        self.written: list[str] = []
        self.proposed: set[str] = set()
        self.errors = 0
        self.idle = 0
        self.reminders = 0
        self.rerouted = False

    async def run(self) -> Reply:
        if not self.request.text.strip():
            raise _Stop("the message is empty")
        try:
            intents = await self.route()
            domain, tools = specialist_for(intents)
            self.messages = conversation(specialist_prompt(domain), from_customer(self.request))
            declined = await self.act(tools) or await self.verify()
        except _Declined as declined_by_rule:
            declined = str(declined_by_rule)
        if declined:
            self.desk.note(f"declined: {declined}")
            if self.written:
                raise _Stop(f"declined after {', '.join(self.written)}: {declined}")
            return Reply(text=declined, status=ReplyStatus.DECLINED, reason=declined)
        return await self.write()

    # --- the router

    async def route(self) -> Sequence[str]:
        completion = await self.model.chat(conversation(ROUTE, from_customer(self.request)))
        intents = _decoded(completion.text).get("intents")
        if not isinstance(intents, list) or not all(isinstance(intent, str) for intent in intents):
            self.desk.note("router: unreadable, to the front desk")
            return ()
        self.path.routed(intents)
        self.desk.note(f"router: {', '.join(intents)}")
        return intents

    async def second_opinion(self) -> bool:
        """Route again where the work and the routing disagree; return False where that has been done already."""
        if self.rerouted:
            return False
        self.rerouted = True
        await self.route()
        return True

    # --- the specialist

    async def act(self, tools: Sequence[str]) -> str:
        """Let the specialist work; return "" when all is done, or why it must not be."""
        for _ in range(TURNS_MAX):
            if self.idle > IDLE_MAX:
                raise _Stop("the model talks and nothing moves")
            completion = await self.model.chat(self.messages, tools=tools)
            self.idle += 1
            if completion.tool_calls:
                await self.use(completion)
                continue
            text = completion.text.lstrip()
            if text.startswith("DECLINE"):
                return text.partition(":")[2].strip() or "I am sorry, but this may not be done."
            if text.startswith("DONE"):
                left = self.left_to_do()
                if left and await self.second_opinion():
                    left = self.left_to_do()
                left = [operation for operation in left if not await self.read_up(operation)]
                if not left:
                    self.desk.note(f"specialist: {text[:80]}")
                    return ""
                self.desk.mark("valve", GoldenPolicy.name, f"DONE is not believed: {', '.join(left)} is still to do")
                self.remind(f"Not done yet: {', '.join(left)}. Go on with the next tool.", "the work is unfinished")
            elif text.startswith("CANNOT"):
                self.remind("Try once more with the next tool.", text)
            else:
                self.chat_again()
        raise _Stop(f"no end after {TURNS_MAX} turns")

    def left_to_do(self) -> list[str]:
        harmless = self.path.harmless
        return [operation for operation in self.path.remaining() or () if operation not in harmless]

    async def read_up(self, operation: str) -> bool:
        """Make a read that the golden path has and the model left out, where its arguments are known."""
        arguments = self.read_arguments(operation)
        if arguments is None:
            return False
        self.desk.mark("valve", GoldenPolicy.name, f"{operation} was left out and is made up for")
        text = json.dumps(arguments)
        call = {"type": "function", "function": {"name": operation, "arguments": text}}
        self.messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        content = await self.carry_out(operation, arguments)
        self.messages.append({"role": "tool", "name": operation, "content": content})
        return operation in self.path.done

    def read_arguments(self, operation: str) -> dict[str, Any] | None:
        """Return the arguments of this read from what is established, or None."""
        facts = {"email": self.request.customer_email, **self.evidence.facts}
        names = _READ_ARGUMENTS.get(operation, ())
        return {name: facts[name] for name in names} if names and facts.keys() >= set(names) else None

    def remind(self, text: str, why: str) -> None:
        self.reminders += 1
        if self.reminders > 1:
            raise _Stop(why)
        self.messages.append({"role": "user", "content": text})

    def chat_again(self) -> None:
        # What the model said instead of acting is left out of the conversation: politeness feeds on politeness.
        if self.messages[-1] is not _REMINDER:
            self.messages.append(_REMINDER)

    async def use(self, completion: Completion) -> None:
        self.messages.append(as_message(completion))
        for call in completion.tool_calls:
            operation, arguments = call.name, loads(call.arguments)
            following = self.path.align(operation, self.can_read)
            if following != operation:
                operation, arguments = await self.realigned(operation, arguments, following)
            content = await self.carry_out(operation, arguments)
            self.messages.append({"role": "tool", "name": operation, "content": content})

    async def realigned(self, operation: str, arguments: dict[str, Any], following: str) -> tuple[str, dict[str, Any]]:
        """Return the call to make where the model keeps leaving the golden path: its own, or the path's `following`."""
        if await self.second_opinion():
            following = self.path.align(operation, self.can_read)
        if following == operation:
            return operation, arguments
        return following, self.read_arguments(following) or {}

    def can_read(self, operation: str) -> bool:
        return self.read_arguments(operation) is not None

    async def carry_out(self, operation: str, arguments: dict[str, Any]) -> str:
        """Call the tool and return the text that the model gets to read."""
        stray = self.evidence.stray(arguments)
        if stray:
            return self.objected(operation, f"nobody has mentioned the {stray} {arguments[stray]}")
        try:
            if operation in WRITES:
                objection = await self.objection(operation, arguments)
                if objection:
                    return self.objected(operation, objection)
            self.idle = 0
            try:
                under_way = self.path.call(operation, arguments)
            except OffPath:
                if not await self.second_opinion():
                    raise
                under_way = self.path.call(operation, arguments)
            result = await under_way
        except OffPath as refusal:
            self.idle += 1
            return self.failed(f"ERROR {refusal}")
        except ValveRefusal:
            raise
        except ToolError as error:
            return self.failed(f"ERROR {error}")
        if not result.ok:
            return self.failed(f"ERROR HTTP {result.status}: {result.text[:300]}")
        if operation in WRITES:
            await self.confirm(operation, arguments, result)
        elif self.evidence.foreign(operation, result.json()):
            return await self.question_owner(operation, arguments)
        self.evidence.learn(operation, result)
        return result.text

    def objected(self, operation: str, objection: str) -> str:
        self.desk.mark("valve", "evidence", f"{operation} is not sent: {objection}")
        return self.failed(f"ERROR {operation}: {objection}")

    def failed(self, text: str) -> str:
        self.errors += 1
        if self.errors > ERRORS_MAX:
            raise _Stop(f"the tools keep failing: {text}")
        return text

    async def question_owner(self, operation: str, arguments: Mapping[str, Any]) -> str:
        """Decline where the order is somebody else's, once a second look has shown the same."""
        again = await self.tools.call(operation, arguments)
        if again.ok and not self.evidence.foreign(operation, again.json()):
            self.evidence.learn(operation, again)
            return again.text
        self.desk.mark("valve", "evidence", f"{operation}: the order is somebody else's, by two looks at it")
        raise _Declined(_DECLINED_TEXT)

    # --- what must hold before and after a write

    async def objection(self, operation: str, arguments: Mapping[str, Any]) -> str:
        """Return why this write must not be sent, or ""."""
        evidence = self.evidence
        if evidence.stale:
            self.desk.mark("valve", "evidence", f"{operation} is not sent: it would rest on remembered data")
            raise _Stop(f"{operation} must not rest on remembered data")
        for name in ENTITY_ARGUMENTS.intersection(arguments):
            if not evidence.knows(arguments[name]) and not await self.establish(name, arguments[name]):
                return f"{name} {arguments[name]} is not established"
        if is_money_write(operation, arguments) and not evidence.knows_amount(arguments["amount"]):
            return f"the amount {arguments['amount']} stands in no answer"
        doubtful = evidence.doubtful(arguments)
        if doubtful:
            wording = f"{operation} {sorted(arguments.items())}"
            if wording not in self.proposed:
                self.proposed.add(wording)
                return f"check {', '.join(doubtful)}: the customer did not say so"
        return ""

    async def establish(self, name: str, value: object) -> bool:
        """Read up an entity that the model wants to write to, and return whether it is the sender's."""
        evidence = self.evidence
        if evidence.customer is None and not await self.read("crm.Customer.find", email=self.request.customer_email):
            return False
        if name == "order_id":
            return await self.read("orders.Order.get", order_id=value)
        if name == "sales_order":
            return await self.read("sap.SalesOrder.get", sales_order=value)
        if name == "payment_id":
            if not await self.read("payments.Payment.get", payment_id=value):
                return False
            return await self.read("orders.Order.get", order_id=evidence.facts["order_id"])
        return evidence.knows(value)

    async def read(self, operation: str, **arguments: object) -> bool:
        result = await self.tools.call(operation, arguments)
        if not result.ok or self.evidence.foreign(operation, result.json()):
            return False
        self.evidence.learn(operation, result)
        return True

    async def confirm(self, operation: str, arguments: Mapping[str, Any], result: ToolResult) -> None:
        """See with own eyes that the write is there; an acknowledgement alone is not enough."""
        self.written.append(operation)
        if READ_BACK_HEADER in result.headers:
            return
        if operation not in LOOKUPS:
            return
        fate, _ = await look(self.tools, operation, arguments)
        if fate is not Fate.DONE:
            await self.desk.clock.sleep(CONFIRM_AFTER_S)
            fate, _ = await look(self.tools, operation, arguments)
        if fate is Fate.ABSENT or (fate is Fate.UNKNOWN and is_money_write(operation, arguments)):
            self.desk.mark("valve", ReadBack.name, f"{operation}: acknowledged, looked it up: {fate}")
            raise _Stop(f"{operation} was acknowledged, but the system of record does not confirm it")

    # --- the verifier and the writer

    async def verify(self) -> str:
        """Have the work looked over, and done over once where it is not approved; return as `act` does."""
        objection = await self.reviewed()
        if not objection:
            return ""
        await self.second_opinion()
        self.messages.append({"role": "user", "content": f"The reviewer objects: {objection}"})
        declined = await self.act(EVERYTHING)
        if not declined:
            objection = await self.reviewed()
            if objection:
                raise _Stop(f"the verifier does not approve: {objection}")
        return declined

    async def reviewed(self) -> str:
        """Return the verifier's objection, or "" where it has none or cannot be asked."""
        try:
            completion = await self.model.chat(conversation(VERIFY, *self.messages[1:]))
        except ToolError as error:
            self.desk.note(f"verifier: no answer ({error})")
            return ""
        self.desk.note(f"verifier: {completion.text[:80]}")
        verdict = _decoded(completion.text)
        return str(verdict.get("why") or "not approved") if verdict.get("approved") is False else ""

    async def write(self) -> Reply:
        try:
            completion = await self.model.chat(conversation(WRITE, *self.messages[1:]))
            text = completion.text.strip()
        except ToolError as error:
            self.desk.note(f"writer: no answer ({error})")
            text = ""
        fault = self.evidence.fault_of(text)
        if fault:
            if not self.evidence.facts:
                raise _Stop("nothing has been established that could be told")
            self.desk.mark("valve", "evidence", f"the writer's text was replaced: {fault}")
            text = f"Dear {self.request.customer_name}, this has been taken care of: {self.evidence.summary()}."
        if self.evidence.stale:
            text += " Please note that these figures may be a few minutes old."
        return Reply(text=text)

    async def hand_over(self, reason: str) -> Reply:
        customer = self.evidence.customer
        customer_id = str(customer["customer_id"]) if customer is not None else ""
        text = "I could not finish this reliably, so a colleague will take over and get back to you."
        if self.written:
            text += f" Already sent off: {', '.join(self.written)}."
        return await escalate(self.desk, reason, customer_id=customer_id, text=text)


_READ_ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "crm.Customer.find": ("email",),
    "crm.Customer.get": ("customer_id",),
    "crm.Subscription.get": ("customer_id",),
    "crm.Appointment.slots": ("customer_id",),
    "crm.Loyalty.get": ("customer_id",),
    "orders.Order.get": ("order_id",),
    "orders.Order.list": ("customer_id",),
    "orders.Shipment.track": ("order_id",),
    "orders.Return.find": ("order_id",),
    "inventory.Product.get": ("sku",),
    "inventory.Stock.get": ("sku",),
    "payments.Payment.get": ("payment_id",),
    "payments.Payment.list": ("order_id",),
    "payments.Refund.find": ("payment_id",),
    "sap.BusinessPartner.get": ("business_partner",),
    "sap.SalesOrder.get": ("sales_order",),
    "sap.MaterialStock.get": ("material",),
    "sap.BillingDocument.get": ("billing_document",),
    "sap.CreditMemo.find": ("sales_order",),
}


def _decoded(text: str) -> dict[str, Any]:
    """Return the JSON object that `text` is, or an empty one."""
    try:
        data = loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
