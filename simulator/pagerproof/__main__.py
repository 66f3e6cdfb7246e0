"""`python -m pagerproof` is the command `pagerproof`."""

from pagerproof.cli.main import main

main()
