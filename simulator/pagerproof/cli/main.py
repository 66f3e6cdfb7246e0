"""The command `pagerproof`: reads options, calls the experiment room, prints, and exits with the design's status."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from pagerproof import __version__
from pagerproof.cli import completion
from pagerproof.cli.process import came_from_the_shell
from pagerproof.errors import Interrupted, PagerproofError

_FLAGSHIP = "ten_thousand_and_first"
_EPILOG = """\b
Exit status:
  0 go (or a baseline, or a demo)   1 a gate or an invariant failed
  2 usage or invalid input          3 inconclusive
  4 not reproducible                5 internal error, or the agent cannot be loaded
  130 interrupted
"""

_color = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="When to use colours.",
)
_format = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What to print on standard output.",
)
_out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where run folders are kept.",
)
_quiet = click.option("-q", "--quiet", is_flag=True, help="Print no progress and no summary; the exit status tells.")
_no_progress = click.option("--no-progress", is_flag=True, help="Print no progress.")
_requests = click.option("-n", "--requests", type=click.IntRange(min=1), help="How many requests [scenario's].")
_seed = click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of every draw [scenario's].")
_agent = click.option(
    "--agent",
    metavar="MODULE_OR_FILE:ATTR",
    help="The agent: hardened, vendor_demo, package.module:attr or path/to/file.py:attr [scenario's].",
)
_scenario_option = click.option(
    "--scenario", default=_FLAGSHIP, show_default=True, shell_complete=completion.scenarios, help="What happens."
)
_scenario = click.argument("scenario", default=_FLAGSHIP, shell_complete=completion.scenarios)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "PAGERPROOF"}, epilog=_EPILOG
)
@click.version_option(__version__, prog_name="pagerproof")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Simulate the 10,001st request of an agent system before production does.

    \b
    Examples:
      pagerproof demo                          two agents, one seed, side by side
      pagerproof run                           10,001 requests through the hardened agent
      pagerproof run --agent my_agent.py:handle -n 500
      pagerproof replay 10001                  that request again, event by event
    """
    del debug  # read from the command line in main(), so that it also covers errors in the options themselves


@cli.command()
@_scenario
@_requests
@_seed
@_agent
@click.option("--no-faults", is_flag=True, help="Run the same requests without any fault: a baseline.")
@_out
@_format
@_quiet
@_no_progress
@_color
def run(
    scenario: str,
    requests: int | None,
    seed: int | None,
    agent: str | None,
    no_faults: bool,
    out: Path,
    format_: str,
    quiet: bool,
    no_progress: bool,
    color: str,
) -> int:
    """Run SCENARIO (a name from 'pagerproof list scenarios', or a file) and report failure modes by request index.

    \b
    Examples:
      pagerproof run
      pagerproof run black_friday_spike --requests 2000 --seed 7
      pagerproof run my_scenario.yaml --agent my_agent.py:handle --format json > result.json
    """
    from pagerproof.cli.commands import run_command

    return run_command(
        scenario,
        requests=requests,
        seed=seed,
        agent=agent,
        faults=not no_faults,
        out=out,
        format_=format_,
        quiet=quiet,
        progress=not (no_progress or quiet),
        color=color,
    )


@cli.command()
@click.argument("index", type=click.IntRange(min=1))
@click.option(
    "--run", "run_folder", type=click.Path(path_type=Path), help="The run's folder [the newest one below --out]."
)
@click.option("--isolated", is_flag=True, help="Run it alone, with its own recorded faults only.")
@_out
@_format
@_no_progress
@_color
def replay(
    index: int, run_folder: Path | None, isolated: bool, out: Path, format_: str, no_progress: bool, color: str
) -> int:
    """Show request INDEX of a run again, event by event, and prove by digest that it is the same one.

    \b
    Examples:
      pagerproof replay 10001
      pagerproof replay 4711 --run runs/0003-ten_thousand_and_first-hardened-s20261122
      pagerproof replay 4711 --isolated
    """
    from pagerproof.cli.commands import replay_command

    return replay_command(
        index,
        run_folder=run_folder,
        isolated=isolated,
        out=out,
        format_=format_,
        progress=not no_progress,
        color=color,
    )


@cli.command()
@_scenario
@_requests
@_seed
@_out
@_quiet
@_no_progress
@_color
def demo(
    scenario: str,
    requests: int | None,
    seed: int | None,
    out: Path,
    quiet: bool,
    no_progress: bool,
    color: str,
) -> int:
    """Run both reference agents on SCENARIO and one seed: where do they part, and which valve made the difference?

    \b
    Examples:
      pagerproof demo
      pagerproof demo black_friday_spike --requests 2000
    """
    from pagerproof.cli.commands import demo_command

    return demo_command(
        scenario,
        requests=requests,
        seed=seed,
        out=out,
        quiet=quiet,
        progress=not (no_progress or quiet),
        color=color,
    )


@cli.command()
@_scenario
@_requests
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="The first seed; the others follow it [scenario's].")
@click.option("--seeds", type=click.IntRange(min=1), default=20, show_default=True, help="How many seeds.")
@_agent
@click.option("--workers", type=click.IntRange(min=1), help="Processes to run them in [one per core].")
@_out
@click.option(
    "--keep-in", type=click.Path(path_type=Path, file_okay=False), help="Where to keep the result [below --out]."
)
@_format
@_no_progress
@_color
def campaign(
    scenario: str,
    requests: int | None,
    seed: int | None,
    seeds: int,
    agent: str | None,
    workers: int | None,
    out: Path,
    keep_in: Path | None,
    format_: str,
    no_progress: bool,
    color: str,
) -> int:
    """Run SCENARIO under many seeds, without what it scripts: where does each failure mode first appear on its own?

    \b
    Examples:
      pagerproof campaign --seeds 5
      pagerproof campaign my_scenario.yaml --agent my_agent.py:handle --workers 2
    """
    from pagerproof.cli.commands import campaign_command

    return campaign_command(
        scenario,
        requests=requests,
        seed=seed,
        seeds=seeds,
        agent=agent,
        workers=workers or os.cpu_count() or 1,
        out=out,
        keep_in=keep_in,
        format_=format_,
        progress=not no_progress,
        color=color,
    )


@cli.command()
@_scenario_option
@_agent
@click.option("-n", "--requests", type=click.IntRange(min=1), default=300, show_default=True, help="How many requests.")
@_seed
@click.option("--runs", type=click.IntRange(2, 8), default=3, show_default=True, help="How many fresh processes.")
@_format
@_no_progress
def doctor(
    scenario: str, agent: str | None, requests: int, seed: int | None, runs: int, format_: str, no_progress: bool
) -> int:
    """Run an agent (or both reference agents) in fresh processes and name the first event in which two runs differ.

    \b
    Examples:
      pagerproof doctor
      pagerproof doctor --agent my_agent.py:handle --requests 1000 --runs 5
    """
    from pagerproof.cli.doctor_command import doctor_command

    return doctor_command(
        scenario, agent=agent, requests=requests, seed=seed, runs=runs, format_=format_, progress=not no_progress
    )


@cli.command("list")
@click.argument(
    "kind",
    metavar="KIND",
    type=click.Choice(["scenarios", "faults", "expectations", "agents", "oracles", "services", "valves"]),
)
@_format
@_color
def list_(kind: str, format_: str, color: str) -> int:
    """List what there is of KIND (scenarios, faults, expectations, agents, ...), with a line on each.

    \b
    Examples:
      pagerproof list scenarios
      pagerproof list faults --format json
    """
    from pagerproof.cli.inspect_commands import list_command

    return list_command(kind, format_=format_, color=color)


@cli.command()
@click.argument("name", shell_complete=completion.anything)
@_color
def show(name: str, color: str) -> int:
    """Show one scenario, fault model, agent, oracle, service or valve by NAME: what it does and where it comes from.

    \b
    Examples:
      pagerproof show ten_thousand_and_first
      pagerproof show sap-timeout-after-commit
      pagerproof show my_scenario.yaml
    """
    from pagerproof.cli.inspect_commands import show_command

    return show_command(name, color=color)


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> int:
    """Check scenario, fault model and intent FILES; every mistake with file:line:column. Exit status 2 if any.

    \b
    Examples:
      pagerproof validate my_scenario.yaml
      pagerproof validate scenarios fault_models
    """
    from pagerproof.cli.validate_command import validate_command

    return validate_command(files)


@cli.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@_format
@_color
def report(run_folder: Path, format_: str, color: str) -> int:
    """Print the summary of RUN (a run's folder) again from what it stored.

    \b
    Example:
      pagerproof report runs/0001-ten_thousand_and_first-hardened-s10001
    """
    from pagerproof.cli.commands import report_command

    return report_command(run_folder, format_=format_, color=color)


@cli.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion_(shell: str) -> int:
    """Print the completion script for SHELL (bash, zsh or fish).

    \b
    Examples:
      eval "$(pagerproof completion bash)"       in ~/.bashrc
      eval "$(pagerproof completion zsh)"        in ~/.zshrc
      pagerproof completion fish | source        in ~/.config/fish/config.fish
    """
    click.echo(completion.script(cli, shell))
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the status of the design; no traceback unless --debug."""
    given = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        came_from_the_shell()
    sys.exit(_status(given, debug="--debug" in given))


def _status(arguments: list[str], *, debug: bool) -> int:
    try:
        returned: Any = cli.main(arguments, prog_name="pagerproof", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt, Interrupted):
        click.echo("interrupted", err=True)
        return 130
    except PagerproofError as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        return error.exit_status
    except BrokenPipeError:
        return _without_reader()
    except Exception as error:
        if debug:
            raise
        click.echo(f"internal error: {type(error).__name__}: {error}\nrun again with --debug to see where", err=True)
        return 5
    return returned if isinstance(returned, int) else 0


def _without_reader() -> int:
    """Return the status for a reader of our output that has gone, as `| head` does; the shells' own is 128 + 13."""
    # What is left in the buffer goes nowhere: Python would say so on stderr at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


if __name__ == "__main__":
    main()
