"""Every built-in oracle keeps to the door's promises, and the suite notices one that does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.conformance.oracle import check_oracle

from pagerproof.model import Finding, Outcome
from pagerproof.oracles import ORACLES, Judge, describe, known_modes
from pagerproof.protocols import Case, Oracle


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.name)
def test_built_in_oracle_keeps_the_promises(oracle: Oracle) -> None:
    check_oracle(oracle)


class _Vandal:
    name = "vandal"
    modes: Sequence[str] = ("vandalism",)

    def judge(self, case: Case) -> Sequence[Finding]:
        case.log.append((0.0, "note", "", 0, 0, "I was here"))
        return ()


class _Stranger:
    name = "stranger"
    modes: Sequence[str] = ("known",)

    def judge(self, case: Case) -> Sequence[Finding]:
        return [Finding(index=case.index, mode="unlisted", oracle=self.name, outcome=None, message="?")]


class _Accuser:
    name = "accuser"
    modes: Sequence[str] = ("guilty",)

    def judge(self, case: Case) -> Sequence[Finding]:
        return [
            Finding(index=case.index, mode="guilty", oracle=self.name, outcome=Outcome.FAILED_LOUD, message="all are")
        ]


@pytest.mark.parametrize(
    ("oracle", "complaint"),
    [(_Vandal(), "changed the case"), (_Stranger(), "does not list"), (_Accuser(), "done right")],
    ids=["changes the record", "unlisted mode", "accuses everybody"],
)
def test_conformance_suite_notices_a_bad_oracle(oracle: Oracle, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_oracle(oracle)


def test_no_mode_belongs_to_two_oracles_and_every_oracle_says_what_it_does() -> None:
    modes = [mode for oracle in ORACLES for mode in oracle.modes]
    assert len(modes) == len(set(modes)) == len(known_modes())
    assert all(info.summary and info.modes for info in describe())


def test_two_oracles_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name: ledger, ledger"):
        Judge([ORACLES[0], ORACLES[0]])
