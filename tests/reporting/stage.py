"""Hand-made results, replays and consoles for the tests of the renderers."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from tests.conformance.oracle import CUSTOMER, Story

from pagerproof import events
from pagerproof.cli.console import console_on
from pagerproof.metrics.result import (
    Amplification,
    Baseline,
    ChangePoint,
    Example,
    ExpectationResult,
    FailureMode,
    FaultDelivery,
    GateResult,
    MatrixCell,
    Recovery,
    RunResult,
    RunVerdict,
    Spread,
    StripBin,
)
from pagerproof.oracles import judge
from pagerproof.reporting.side_by_side import Differences, Ended, Spotlight
from pagerproof.reporting.timeline import Replay

RUN = "runs/0003-ten_thousand_and_first-hardened-s10001"


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Screen:
    """A console whose text can be read."""

    def __init__(self, columns: int, *, encoding: str = "utf-8", color: str = "never", terminal: bool = False) -> None:
        self._bytes = io.BytesIO()
        kind = Terminal if terminal else io.TextIOWrapper
        stream = kind(self._bytes, encoding=encoding, newline="\n", write_through=True)
        self.encoding = encoding
        self.console: Console = console_on(stream, color, {"COLUMNS": str(columns), "TERM": "xterm"})

    @property
    def text(self) -> str:
        return self._bytes.getvalue().decode(self.encoding)

    @property
    def widest(self) -> int:
        return max((cell_len(line) for line in self.text.split("\n")), default=0)


def spread(label: str, n: int = 9871) -> Spread:
    return Spread(label=label, n=n, mean=9.0, p50=6.5, p90=20.0, p95=41.2, p99=118.0, max=725.0, sum=9.0 * n)


def result(**changes: Any) -> RunResult:
    """A run in which a little of everything went wrong."""
    made = RunResult(
        scenario="ten_thousand_and_first",
        title="The 10,001st request",
        seed=10001,
        agent="hardened",
        requests=10_001,
        digest="ab12" * 16,
        outcomes={"failed_silent": 12, "crashed": 3, "late": 140, "escalated": 1204, "resolved": 8642},
        failure_modes=(
            FailureMode(
                mode="done_twice",
                outcome="failed_silent",
                count=12,
                first_index=1702,
                first_unscripted=1702,
                scripted=1,
                indices=(1702, 3344, 4711, 6001, 7777, 8123, 8500, 9001, 9400, 9800, 9990, 10001),
                tools={"payments.Refund.create": 12},
            ),
            FailureMode(
                mode="crash", outcome="crashed", count=3, first_index=10001, first_unscripted=None, scripted=3,
                indices=(10001,),
            ),
            FailureMode(
                mode="late", outcome="late", count=1140, first_index=88, first_unscripted=88, scripted=0,
                indices=tuple(range(88, 1228)),
            ),
        ),
        faults=(
            FaultDelivery(
                id="sap-timeout-after-commit", evidence="assumed", eligible=12_345, drawn=60, limited=2, preempted=1,
                cancelled=3, delivered=54, seen=50, unread=4, scripted=1,
                expectations=(
                    ExpectationResult(
                        name="no_duplicate_document", kind="always", status="violated", struck=50, count=12, blamed=11,
                        scripted=1, first_index=1702, first_unscripted=1702, indices=(1702, 3344, 4711),
                    ),
                    ExpectationResult(
                        name="no_success_claim_without_document", kind="always", status="held", struck=50
                    ),
                    ExpectationResult(
                        name="client_timeout", kind="sometimes", status="reached", struck=50, count=49, first_index=88,
                        first_unscripted=88, indices=(88,),
                    ),
                    ExpectationResult(
                        name="committed_without_answer", kind="sometimes", status="not reached", struck=50
                    ),
                ),
            ),
            FaultDelivery(
                id="truncated-tool-response-bytes", evidence="documented", eligible=40_123, drawn=120, delivered=120,
                seen=120,
            ),
        ),
        gates=(
            GateResult(
                expression="silent_failure.rate < 0.1%", status="fail", observed=0.0012, limit=0.001, unit="%",
                n=10_000, source="the 99.9 % that vendors claim for their demos, taken at its word",
            ),
            GateResult(
                expression="latency.p(95) < 60s", status="pass", observed=41.2, limit=60.0, unit="s", n=9871,
                source="a chat customer's minute", model_input=True,
            ),
            GateResult(
                expression="recovery{service=kb}.p(95) < 60s", status="no_samples", observed=None, limit=60.0,
                unit="s", n=0,
            ),
        ),
        verdict=RunVerdict(
            word="no-go", exit_status=1, reasons=("gate failed: silent_failure.rate < 0.1% (observed 0.120%)",)
        ),
        latency=(spread("all"), spread("refund", 812)),
        cost=(spread("all"),),
        cost_per_resolved_usd=0.0412,
        amplification=(
            Amplification(
                operation="sap.CreditMemo.create", logical=900, physical=1100, ratio=1.22, by_agent=1.1,
                by_retries=1.11, worst=6.0,
            ),
        ),
        recovery=(Recovery(service="all", n=512, censored=3, p50_s=1.2, p95_s=31.0, max_s=90.0),),
        change_points=(ChangePoint(index=4990, before=0.011, after=0.045),),
        strip=tuple(
            StripBin(
                first=1 + 100 * at,
                last=10_001 if at == 99 else 100 + 100 * at,
                worst="failed_silent" if at % 10 == 7 else "resolved",
                mode="done_twice" if at % 10 == 7 else "",
                requests=101 if at == 99 else 100,
                failures=at % 10,
                scripted=int(at == 99),
                outcomes={"failed_silent": int(at % 10 == 7), "late": at // 10, "resolved": 99 - at // 10},
            )
            for at in range(100)
        ),
        matrix=(
            MatrixCell(
                fault="sap-timeout-after-commit", tool="sap.CreditMemo.create", calls=54, seen=50, requests=50,
                resolved=31, escalated=7, failed=12, scripted=1,
            ),
        ),
        examples=(
            Example(
                index=1702, mode="done_twice", oracle="ledger", tool="payments.Refund.create",
                outcome="failed_silent", message="2 refunds of 129.80 EUR on pay_00001702: doc_1, doc_2",
                faults=("sap-timeout-after-commit",), mast="FM-1.3",
            ),
            Example(
                index=10001, mode="crash", oracle="ending", tool="sap.CreditMemo.create", outcome="crashed",
                message="the agent raised KeyError: 'total' (agent.py:12)", scripted=True,
            ),
        ),
        tags={"expectation_violated": 12, "late": 1140},
        scripted=(10001,),
        not_exercised=("wear-connection-leak", "wear-number-range-end", "malformed-json-comment"),
        virtual_s=5520.0,
        wall_s=6.4,
        baseline=Baseline(requests=10_001, digest="cd" * 32, outcomes={"resolved": 9900, "escalated": 101}, wall_s=3.2),
        covers="This verdict covers the plumbing under the stated model policy; the model's answers are simulated.",
    )  # fmt: skip
    return replace(made, **changes)


def differences() -> Differences:
    return Differences(
        pairs=(
            ("failed_silent", "resolved", 211, (17, 45, 102)),
            ("crashed", "escalated", 9, (230, 1004, 2888)),
            ("resolved", "late", 2, (512, 9012)),
        ),
        by_valve=(("read_back", 150, (17, 102, 10001)), ("response_validation", 61, (45, 99, 230))),
        spotlight=Spotlight(
            index=10_001,
            left=Ended(
                outcome="failed_silent",
                mode="done_twice",
                message="2 refunds of 129.80 EUR on pay_00010001: doc_1, doc_2",
            ),
            right=Ended(outcome="escalated", message="I hand this over to a colleague: one refund is on its way."),
        ),
    )


RIGHT_TO_LEFT = "\u202egnp.exe שלום, החזר בבקשה את הכסף על הזמנה 4500000007 \x1b[31mעכשיו\x1b[0m 👩‍👧"


def replay(**changes: Any) -> Replay:
    """A refund that meets an SAP time-out after the commit, is repeated, and is paid twice."""
    story = Story(
        customer=replace(CUSTOMER, name="שרה כהן", locale="he_IL"), text=RIGHT_TO_LEFT, index=10_001, scripted=True
    )
    story.think("Route this request to a specialist.")
    story.call("crm.Customer.find", '{"email":"ada@example.com"}', takes_s=0.061)
    story.fault("malformed-json-html-10001", scripted=True)
    story.effect(status=-1).fault("sap-timeout-after-commit", scripted=True)
    story.log.append((story.now_s, events.NOTE, "", 0, 0, "the refund timed out: again"))
    story.valve("retry", "payments.Refund.create: attempt 1 gave a time-out; again in 0.41 s").wait(61.5)
    story.effect().says(text="Your refund of 129.80 EUR is on its way.\nHave a nice day!", reason="")
    case = story.case()
    html = b"<html><body>502 Bad Gateway</body></html>"
    find = b'{"customer_id": "C000042", "name": "\xd7\xa9\xd7\xa8\xd7\x94 \xd7\x9b\xd7\x94\xd7\x9f"}'
    case.payloads = [
        (1, "asked", b'{"messages":[{"role":"system","content":"Route this."},{"role":"user","content":"hi"}]}'),
        (1, "agent", b'{"choices":[{"message":{"content":"refund","tool_calls":[]}}]}'),
        (2, "service", find),
        (2, "agent", html),
        (3, "service (too late)", b'{"refund_id": "doc_1", "status": "done"}'),
        (4, "service", b'{"refund_id": "doc_2", "status": "done"}'),
        (4, "agent", b'{"refund_id": "doc_2", "status": "done"}'),
    ]
    made = Replay(
        case=case,
        verdict=judge(case),
        scenario="ten_thousand_and_first",
        seed=10001,
        agent="vendor_demo",
        digest="ab12cd34ef56" * 5,
        recorded_digest="ab12cd34ef56" * 5,
        recorded_outcome="failed_silent",
        recorded_mode="done_twice",
        isolated=False,
    )
    return replace(made, **changes)
