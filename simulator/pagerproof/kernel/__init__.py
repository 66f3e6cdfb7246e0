"""The kernel: virtual time, the asyncio loop on it, and the fences around it."""

from pagerproof.kernel.fences import Fence, Manner, fenced
from pagerproof.kernel.garbage import frozen_gc
from pagerproof.kernel.governance import governed_imports
from pagerproof.kernel.handles import OrderedTask, Timer
from pagerproof.kernel.isolation import process_restored
from pagerproof.kernel.loop import SimulationLoop

__all__ = [
    "Fence",
    "Manner",
    "OrderedTask",
    "SimulationLoop",
    "Timer",
    "fenced",
    "frozen_gc",
    "governed_imports",
    "process_restored",
]
