"""Shell completion: names of scenarios and of everything that `show` knows."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class


def scenarios(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of scenarios, and YAML files in the working folder."""
    del context, parameter
    from pagerproof.scenario.find import scenario_ids

    names = [*scenario_ids(), *(path.name for path in Path.cwd().glob("*.yaml"))]
    return [CompletionItem(name) for name in sorted(set(names)) if name.startswith(incomplete)]


def anything(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names that `show` knows."""
    del context, parameter
    from pagerproof.cli.catalogue import KINDS, entries_of
    from pagerproof.services import service_names

    # What services say about themselves takes a fifth of a second to import: only where one is meant.
    services = any(name.startswith(incomplete) for name in service_names())
    entries = (entry for kind in KINDS if kind != "services" or services for entry in entries_of(kind))
    return [CompletionItem(entry.name, help=entry.title) for entry in entries if entry.name.startswith(incomplete)]


def script(cli: click.Command, shell: str) -> str:
    """Return the script that makes `shell` complete the command line."""
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(cli, {}, "pagerproof", "_PAGERPROOF_COMPLETE").source()
