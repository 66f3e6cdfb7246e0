"""How fault model files may write their values: one or a list, a count or a time, a bare word for a mapping."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pagerproof import units

M = TypeVar("M", bound=BaseModel)


def tupled(value: object) -> object:
    """Return a list as a tuple, anything else as it is."""
    # A strict validator takes no list for a tuple once a model-level validator has seen the data.
    return tuple(value) if isinstance(value, list) else value


def listed(value: object) -> object:
    """Return a single name or number as a tuple of one."""
    return (value,) if isinstance(value, str | int) else tupled(value)


class OrText:
    """What an editor should accept besides the mapping that a validator makes of it."""

    def __init__(self, **schema: Any) -> None:
        self._schema = {"type": "string", **schema}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [self._schema, handler(core)]}


def _count_or_seconds(value: object) -> object:
    """Gauges of time are written with their unit, counts without."""
    return units.duration_s(value) if isinstance(value, str) else value


_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_NUMBERS = {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}]}
GaugeValue = Annotated[float, BeforeValidator(_count_or_seconds), WithJsonSchema({"type": ["number", "string"]})]
Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(listed), WithJsonSchema(_NAMES)]
Numbers = Annotated[tuple[int, ...], Field(min_length=1), BeforeValidator(listed), WithJsonSchema(_NUMBERS)]


def exactly_one(model: M, *names: str) -> M:
    """Return the model if exactly one of these fields is given. Raises ValueError."""
    given = [name for name in names if getattr(model, name) is not None]
    if len(given) != 1:
        choice = ", ".join(names)
        raise ValueError(f"write exactly one of {choice}" + (f" (here: {', '.join(given)})" if given else ""))
    return model
