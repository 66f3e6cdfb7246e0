"""Every shipped fault model keeps to what fault models must keep to, and to what the design names it for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance import fault_model as conformance
from tests.faults.stage import ACT, SERVICE_S, Stage, call_of, case, shipped_models

from pagerproof.scenario.fault_model import FaultModel
from pagerproof.scenario.schema import FaultUse

MODELS = shipped_models()
REQUIRED = [
    "delayed-api-tail",
    "delayed-api-gray-failure",
    "slow-node",
    "truncated-tool-response-bytes",
    "truncated-at-token",
    "truncated-mid-utf8",
    "truncated-silently",
    "malformed-json-html",
    "malformed-json-empty",
    "malformed-json-trailing-comma",
    "malformed-json-single-quotes",
    "malformed-json-nan",
    "malformed-json-comment",
    "malformed-json-fenced",
    "malformed-json-concatenated",
    "malformed-json-unescaped",
    "sap-timeout-before-commit",
    "sap-timeout-after-commit",
    "sap-dia-wp-exhaustion",
    "sap-lock-held",
    "sap-run-limit-dump",
    "sap-lost-acknowledgement",
    "sap-csrf-session-expired",
    "sap-partner-not-reached",
    "rate-limit-429",
    "spike-arrest",
    "stale-read",
    "wrong-customer-record",
    "missing-field",
    "renamed-field",
    "wrong-type",
    "duplicate-delivery",
    "null-decimal",
    "write-accepted-not-applied",
    "llm-overloaded",
    "llm-stream-cut",
    "llm-invented-tool",
    "llm-truncated-arguments",
    "llm-prose-instead-of-call",
    "llm-refusal",
    "llm-polite-loop",
    "wear-api-quota",
    "wear-number-range-end",
    "wear-idempotency-eviction",
    "wear-connection-leak",
    "wear-lock-leak",
    "wear-token-expiry",
    "wear-cache-staleness",
    "wear-policy-drift",
    "wire-reset-mid-body",
    "wire-half-headers",
    "wire-invalid-chunk",
    "wire-slow-bytes",
    "wire-dns-failure",
    "wire-connection-refused",
    "wire-connect-timeout",
]


def test_all_required_models_are_shipped() -> None:
    assert sorted(MODELS) == sorted(REQUIRED)


def test_a_file_is_named_after_its_id() -> None:
    assert {name: model.id for name, model in MODELS.items()} == {name: name for name in MODELS}


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_conforms(name: str, check: Callable[[FaultModel], None]) -> None:
    check(MODELS[name])


WORN = [name for name, model in MODELS.items() if model.trigger.wear is not None]


@pytest.mark.parametrize("name", WORN)
def test_a_wear_model_strikes_only_past_its_threshold(name: str) -> None:
    model = MODELS[name]
    wear = model.trigger.wear
    assert wear is not None
    service, _, gauge = wear.gauge.partition(".")
    with Stage([FaultUse(use=name)], MODELS) as stage:
        operation = sorted(stage.injector._faults[name].operations)[0]
        levels = stage.services[service].levels

        def strikes(level: float, first_index: int) -> int:
            levels[gauge] = level
            calls = (call_of(case(first_index + n), operation) for n in range(200))
            return sum(stage.injector.decide(call) is not None for call in calls)

        assert strikes(wear.at_least - 1, 1) == 0
        assert strikes(wear.full_at or wear.at_least, 1001) > 10


def test_time_out_after_commit_answers_500_and_the_document_exists() -> None:
    with Stage([FaultUse(use="sap-timeout-after-commit", at=(1,))], MODELS) as stage:
        seen = stage.run(stage.call(case(1), "sap.CreditMemo.create"))
        assert (seen.status, seen.elapsed_s) == (500, 60.0)
        assert stage.services["sap"].committed == ["sap.CreditMemo.create"]


def test_time_out_before_commit_looks_the_same_and_nothing_was_written() -> None:
    with Stage([FaultUse(use="sap-timeout-before-commit", at=(1,))], MODELS) as stage:
        seen = stage.run(stage.call(case(1), "sap.CreditMemo.create"))
        assert (seen.status, seen.elapsed_s) == (500, 60.0)
        assert stage.services["sap"].committed == []


def test_a_lost_acknowledgement_breaks_the_connection_after_the_commit() -> None:
    with Stage([FaultUse(use="sap-lost-acknowledgement", at=(1,))], MODELS) as stage:
        seen = stage.run(stage.call(case(1), "sap.CreditMemo.create"))
        assert (seen.error, seen.elapsed_s) == ("ConnectionLost", SERVICE_S)
        assert stage.services["sap"].committed == ["sap.CreditMemo.create"]


def test_an_accepted_write_that_is_not_applied_answers_200() -> None:
    with Stage([FaultUse(use="write-accepted-not-applied", at=(1,))], MODELS) as stage:
        seen = stage.run(stage.call(case(1), "payments.Refund.create"))
        assert seen.status == 200
        assert stage.services["payments"].committed == []


def test_overload_answers_529_with_a_request_id() -> None:
    with Stage([FaultUse(use="llm-overloaded", at=(1,))], MODELS) as stage:
        seen = stage.run(stage.call(case(1), "llm.Chat.create", arguments=ACT))
        assert seen.status == 529
        assert b"overloaded_error" in seen.body


def test_partner_not_reached_takes_the_connection_time_out() -> None:
    with Stage([FaultUse(use="sap-partner-not-reached", at=(1,))], MODELS) as stage:
        seen = stage.run(stage.call(case(1), "sap.SalesOrder.get"))
        assert (seen.status, seen.elapsed_s) == (404, 5.0)
        assert stage.services["sap"].levels["calls.total"] == 0


def test_a_cut_keeps_the_announced_length_unless_it_is_silent() -> None:
    with Stage([FaultUse(use="truncated-tool-response-bytes", at=(1,))], MODELS) as stage:
        seen = stage.run(stage.call(case(1), "orders.Order.get"))
    with Stage([FaultUse(use="truncated-silently", at=(1,))], MODELS) as stage:
        silent = stage.run(stage.call(case(1), "orders.Order.get"))
    assert seen.wire_bytes > len(seen.body) > 0
    assert silent.wire_bytes == len(silent.body) > 0
