"""Progress of a run."""
from collections.abc import Mapping
from dataclasses import dataclass
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How far a run is."""
    done: int
    total: int
    failures: Mapping[str, int]
    virtual_s: float
    wall_s: float
