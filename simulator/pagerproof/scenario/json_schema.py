"""Exports the shape of scenario files as JSON Schema, for editors: `python -m pagerproof.scenario.json_schema`."""

from __future__ import annotations

import json
from typing import Any

from pagerproof.scenario.schema import Scenario


def scenario_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of scenario files as they are written, quantities with their units."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """Return the text of `scenarios/schema.json`."""
    return json.dumps(scenario_json_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(schema_text())
