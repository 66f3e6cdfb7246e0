"""What a user types, in this process: the exit status and both streams."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pagerproof.cli.main import main

CALM = """
schema: pagerproof/scenario/1
id: calm
title: A calm morning
requests: 12
seed: 7
agent: {use: "my_agent.py:handle"}
workload:
  arrivals: {process: poisson, rate: 2/s}
  customers_per_locale: 5
  locales: [en_US]
  edge_cases: 0%
"""
HANDS_OVER = """
from pagerproof.model import Reply, ReplyStatus

async def handle(request, desk):
    await desk.call("crm.Customer.find", email=request.customer_email)
    return Reply(status=ReplyStatus.HANDED_OVER, text="A colleague takes over.", reason="policy")
"""


@dataclass(frozen=True, slots=True)
class Typed:
    """How a command ended."""

    status: int
    out: str
    err: str


Shell = Callable[..., Typed]


def shell(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """Return a function that types a command in `folder`."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    def typed(*arguments: str) -> Typed:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        printed = capfd.readouterr()
        return Typed(int(stopped.value.code or 0), printed.out, printed.err)

    return typed


def write(folder: Path, **files: str) -> None:
    """Write files: `calm_yaml="..."` is calm.yaml; two underscores are a slash."""
    for name, text in files.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = folder / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), "utf-8")
