"""Faults of connecting strike the attempts of real clients, belong to who connects, and their books balance."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import pytest

from tests.experiment.wire_stage import events, network_use, run_wired, with_client

pytest.importorskip("httpx")

TELLING = with_client(
    """
    for _ in range(2):
        try:
            await http.get("https://pay.shop.example/payments/1")
            break
        except httpx.TransportError as error:
            told.append(type(error).__name__)
    """
)
MAPPED = "network: {hosts: {pay.shop.example: payments}}\n"
STRUCK = {
    "wire-dns-failure": ("payments.Connection.resolve", "ConnectError", "the host's name was not found"),
    "wire-connection-refused": ("payments.Connection.open", "ConnectError", "the connection was refused"),
    "wire-connect-timeout": ("payments.Connection.open", "ConnectTimeout", None),
}


@pytest.mark.parametrize("model", STRUCK)
def test_a_struck_attempt_is_the_clients_own_error_and_belongs_to_the_request_that_connects(tmp_path, model):
    operation, error, why = STRUCK[model]
    execution = run_wired(tmp_path, TELLING, MAPPED + f"faults: [{{use: {model}, at: [4]}}]\n")
    (row,) = execution.result.faults
    assert row.drawn == row.delivered + row.cancelled >= 1
    assert {index for index, _, _, _, said in events(execution, "replied") if error in said} == {4}
    assert {event[0] for event in events(execution, "called") if event[1] == operation} == {4}
    assert why is None or {event[4] for event in events(execution, "broke", 4)} == {why}
    assert network_use(execution).unattributed == {}


def test_without_a_fault_connecting_is_no_call(tmp_path):
    execution = run_wired(tmp_path, TELLING, MAPPED)
    assert {event[1] for event in events(execution, "called")} == {"payments.Payment.get"}


def test_a_fault_of_another_services_host_strikes_nothing_here(tmp_path):
    fault = "{use: wire-connection-refused, services: [crm], at: [4], expect: armed}"
    execution = run_wired(tmp_path, TELLING, f"{MAPPED}faults: [{fault}]\n")
    assert [each.drawn for each in execution.result.faults] == [0]
    assert not events(execution, "broke")
