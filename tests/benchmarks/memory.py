"""Memory and time against the size of a run: peak RSS and CPU of each size in a process of its own, and the growth.

    python tests/benchmarks/memory.py [--sizes 10001 30003 100001] [--scenario NAME] [--agent NAME] [--no-journal]
    python tests/benchmarks/memory.py --attribute 3000 9000

RSS is the highest of the process, loading included. The linearity compares CPU seconds per request with those of the
first size. `--attribute` runs two sizes in one process under tracemalloc and names what grew between them.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from time import process_time

from pagerproof.experiment.plan import make_plan
from pagerproof.experiment.run import execute, set_stage

SIZES = (10_001, 30_003, 100_001)
FLAGSHIP = "ten_thousand_and_first"


def measure(requests, scenario=FLAGSHIP, agent="hardened", journal=True):
    """Run so many requests in this process and return its peak RSS in bytes, CPU seconds and events."""
    plan = make_plan(scenario, requests=requests, agent=agent)
    started_s = process_time()
    with tempfile.TemporaryDirectory() as folder:
        execution = execute(plan, out=Path(folder) if journal else None)
    if execution.end.stopped_by is not None:
        raise execution.end.stopped_by
    return {
        "requests": requests,
        "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "cpu_s": execution.cpu_s,
        "cpu_s_with_writing": process_time() - started_s,
    }


def measured_apart(requests, scenario=FLAGSHIP, agent="hardened", journal=True):
    """Return what `measure` returns, from a fresh process."""
    command = [sys.executable, __file__, "--one", str(requests), "--scenario", scenario, "--agent", agent]
    done = subprocess.run(
        command if journal else [*command, "--no-journal"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def growth_bytes(small, large):
    """Return the bytes of peak RSS that each further request took."""
    return (large["rss_bytes"] - small["rss_bytes"]) / (large["requests"] - small["requests"])


def attribute(small, large, scenario, agent):
    """Print which lines hold more at the end of the large run than at the end of the small one."""
    snapshots = []
    for requests in (small, large):
        stage = set_stage(make_plan(scenario, requests=requests, agent=agent))
        tracemalloc.start(8)
        kept = stage.simulation(lambda case: None)
        kept.run()
        snapshots.append(tracemalloc.take_snapshot())
        tracemalloc.stop()
        del kept, stage
    growing = snapshots[1].compare_to(snapshots[0], "lineno")
    further = large - small
    print(f"{sum(each.size_diff for each in growing) / further:8.0f} B per further request, journal and table left out")
    for each in sorted(growing, key=lambda each: -each.size_diff)[:20]:
        print(f"{each.size_diff / further:8.1f} B  {each.count_diff / further:6.2f} blocks  {each.traceback}")


def main():
    """Print the figures of every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--scenario", default=FLAGSHIP)
    parser.add_argument("--agent", default="hardened")
    parser.add_argument("--no-journal", action="store_true")
    parser.add_argument("--attribute", type=int, nargs=2)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.attribute:
        small, large = given.attribute
        attribute(small, large, given.scenario, given.agent)
        return
    if given.one:
        print(json.dumps(measure(given.one, given.scenario, given.agent, not given.no_journal)))
        return
    first = None
    for requests in given.sizes:
        found = measured_apart(requests, given.scenario, given.agent, not given.no_journal)
        each_us = found["cpu_s"] / requests * 1e6
        line = f"{requests:9,} requests: {found['rss_bytes'] / 1e6:7.1f} MB RSS, {found['cpu_s']:7.2f} s CPU"
        line += f" ({each_us:.0f} us a request; {found['cpu_s_with_writing']:.2f} s with setting up and writing)"
        if first is not None:
            linearity = each_us / (first["cpu_s"] / first["requests"] * 1e6)
            line += f"; {growth_bytes(first, found):.0f} B a further request; time {linearity:.3f} of linear"
        print(line, flush=True)
        first = first or found


if __name__ == "__main__":
    main()
