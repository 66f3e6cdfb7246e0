"""Plug-ins: what installed distributions add through entry points, imported only when it is needed."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from pagerproof.errors import UsageError

Kind = Literal["agents", "oracles", "services", "valves"]
GROUPS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "agents": "pagerproof.agents",
        "oracles": "pagerproof.oracles",
        "services": "pagerproof.services",
        "valves": "pagerproof.valves",
    }
)
"""The entry-point group of each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point: `target` is `module:attribute`, `distribution` and `version` say where it comes from."""

    kind: Kind
    name: str
    target: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.kind.rstrip('s')} {self.name!r} of the plug-in {self.distribution} {self.version}"

    @property
    def module(self) -> str:
        """The module that it is imported from."""
        return self.target.partition(":")[0]

    def load(self) -> Any:
        """Import it. Raises UsageError, which names the distribution."""
        module, _, attributes = self.target.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for attribute in attributes.split(".") if attributes else ():
                found = getattr(found, attribute)
        except (Exception, SystemExit) as error:
            message = f"the {self} cannot be imported from {self.target}: {type(error).__name__}: {error}"
            raise UsageError(message) from error
        return found

    def refused(self, why: str) -> UsageError:
        """Return the error that says why it cannot be used."""
        return UsageError(f"the {self} ({self.target}) cannot be used: {why}")


@cache
def _installed() -> Mapping[Kind, tuple[Plugin, ...]]:
    every = entry_points()  # reads the metadata of every installed distribution: once is enough
    return {kind: _sorted(kind, every.select(group=group)) for kind, group in GROUPS.items()}


def _sorted(kind: Kind, points: Iterable[EntryPoint]) -> tuple[Plugin, ...]:
    found = [
        Plugin(
            kind=kind,
            name=point.name,
            target=point.value.partition("[")[0].strip(),
            distribution=point.dist.name if point.dist is not None else "an unknown distribution",
            version=point.dist.version if point.dist is not None else "",
        )
        for point in points
    ]
    return tuple(sorted(found, key=lambda plugin: (plugin.name, plugin.distribution)))


def plugins(kind: Kind, built_in: Collection[str] = ()) -> dict[str, Plugin]:
    """Return the installed plug-ins of one kind by name, none of them imported yet.

    Raises UsageError where a name is taken: by one of `built_in`, or by another plug-in.
    """
    by_name: dict[str, Plugin] = {}
    for plugin in _installed()[kind]:
        if plugin.name in built_in:
            raise plugin.refused("Pagerproof itself has one of this name")
        other = by_name.get(plugin.name)
        if other is not None:
            raise plugin.refused(f"{other.distribution} {other.version} has one of this name, too")
        by_name[plugin.name] = plugin
    return by_name


def in_every_run() -> tuple[Plugin, ...]:
    """Return the plug-ins that take part in every run, asked for or not: oracles and services."""
    return (*_installed()["oracles"], *_installed()["services"])


def fingerprint() -> str:
    """Return a digest of the plug-ins that take part in every run: names, versions, and the files they came from."""
    digest = hashlib.sha256()
    for plugin in in_every_run():
        digest.update(f"{plugin}\x1f{plugin.target}\x1f".encode())
        file = getattr(sys.modules.get(plugin.module), "__file__", None)
        if file is not None:
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()
