"""What a scenario adds to the built-in services: a definition from which the service is made once it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pagerproof.protocols import Service

Find = Callable[[str], Path]
"""The file or folder that a scenario names. Raises UsageError where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A service that a scenario adds, by name.

    `parameters` is the model of its section under `services:`; `make(parameters)` returns a fresh service, not yet
    opened, and raises UsageError (shown at `place`, a key path of the scenario) or InvalidFile (which has its own
    places). `files` decide what it does. `runs_code`: making it imports a user's module.
    """

    name: str
    parameters: type[BaseModel]
    make: Callable[[Any], Service]
    place: tuple[str | int, ...]
    title: str = ""
    files: tuple[Path, ...] = ()
    runs_code: bool = False
