"""Lets the tests of this folder import the services' conformance suite and its small world."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
