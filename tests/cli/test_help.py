"""Every command explains itself: what it does, its arguments, and an example to copy."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from pagerproof.cli.main import cli

COMMANDS = sorted(cli.commands)


def helped(*arguments: str) -> str:
    done = CliRunner().invoke(cli, [*arguments, "--help"], prog_name="pagerproof")
    assert done.exit_code == 0
    return done.output


def test_help_shows_examples_every_command_and_the_exit_statuses():
    said = helped()
    assert "Examples:" in said
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", said, re.MULTILINE), name
    for status in ("0 go", "1 a gate", "2 usage", "3 inconclusive", "4 not reproducible", "5 internal", "130"):
        assert status in said


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_an_example_that_names_it_and_explains_every_argument(name: str):
    said = helped(name)
    assert re.search(r"Examples?:", said), said
    assert f"pagerproof {name}" in said.partition("Example")[2]
    command = cli.commands[name]
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            assert (parameter.metavar or parameter.name or "").upper() in (command.help or "")
        elif isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_use_options_that_are_there(name: str):
    known = {option for parameter in cli.commands[name].params for option in parameter.opts}
    for line in (cli.commands[name].help or "").splitlines():
        if line.strip().startswith(f"pagerproof {name} "):
            assert set(re.findall(r"(?<= )--[a-z-]+", line)) <= known, line


def test_short_help_option_and_version():
    runner = CliRunner()
    assert "Examples:" in runner.invoke(cli, ["-h"]).output
    assert runner.invoke(cli, ["--version"], prog_name="pagerproof").output.startswith("pagerproof, version ")
