"""The kernel: virtual time, the asyncio loop on it, and the fences around it."""

from pagerproof.kernel.fences import Fence, fenced
from pagerproof.kernel.garbage import frozen_gc
from pagerproof.kernel.handles import OrderedTask, Timer
from pagerproof.kernel.loop import SimulationLoop

__all__ = ["Fence", "OrderedTask", "SimulationLoop", "Timer", "fenced", "frozen_gc"]
