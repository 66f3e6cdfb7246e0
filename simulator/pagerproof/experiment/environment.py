"""The environment variables of foreign agents: keys for simulated providers while they run, and everything put back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

SIMULATED_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"), "simulated")
)
"""What clients ask for when they are made; a real key of the user's is never shown to a simulated provider."""

EXPORTERS_OFF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LANGSMITH_TRACING": "false",
        "LANGCHAIN_TRACING_V2": "false",
        "OTEL_SDK_DISABLED": "true",
    }
)
"""How frameworks are told to leave out their trace exporters, which are threads that talk to real hosts."""


def agents_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that an agent is given, those of its scenario last."""
    return {**SIMULATED_KEYS, **EXPORTERS_OFF, **own}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables for a while; afterwards the environment is what it was, whatever was changed meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
