"""A gate as it is written: a limit of a figure, in the configuration or after `--require`."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from console.errors import UsageError

__all__ = ["Gate", "parse_gate"]


class Gate(BaseModel):
    """A limit of a figure; `[[gate]]` in the configuration.

    figure: a metric of the performance or traffic pane, `label_coverage`, or `psi:FEATURE`.
    at_least, at_most: in the figure's unit; one of them or both. deployment: empty for the first.
    version: empty for every one, each on its own. window: empty for the command's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    figure: Annotated[str, Field(min_length=1, max_length=200)]
    at_least: float | None = None
    at_most: float | None = None
    name: str = ""
    deployment: str = ""
    version: str = ""
    segment: str = ""
    window: str = ""

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least is above at_most: nothing could pass")
        return self

    @property
    def limit(self) -> str:
        """The limit in words."""
        parts = [
            f"{sign} {value:g}"
            for sign, value in ((">=", self.at_least), ("<=", self.at_most))
            if value is not None
        ]
        return " and ".join(parts)


_REQUIRED = re.compile(r"\s*(.+?)\s*(>=|<=)\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s*")


def parse_gate(text: str) -> Gate:
    """A gate as `--require` takes it: `recall >= 0.3`. Raises UsageError."""
    found = _REQUIRED.fullmatch(text)
    try:
        limit = float(found.group(3)) if found else None
    except ValueError:
        limit = None
    if found is None or limit is None:
        raise UsageError(f"a gate reads like 'recall >= 0.3' or 'psi:temp <= 0.2', not {text!r}")
    if found.group(2) == ">=":
        return Gate(figure=found.group(1), at_least=limit)
    return Gate(figure=found.group(1), at_most=limit)
