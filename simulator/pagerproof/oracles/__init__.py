"""Oracles: judge a settled request by its finished trace, its ledger entries and what the agent said."""

from pagerproof.oracles.judgement import (
    ORACLES,
    PRECEDENCE,
    Judge,
    OracleInfo,
    describe,
    installed_oracles,
    judge,
    known_modes,
)

__all__ = ["ORACLES", "PRECEDENCE", "Judge", "OracleInfo", "describe", "installed_oracles", "judge", "known_modes"]
