"""Samples as OpenMetrics text, for Prometheus and whatever reads the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["CONTENT_TYPE", "Family", "Sample", "as_text"]

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sample:
    """One number with its labels."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name without suffix, `gauge` or `counter`, what it says, and its samples."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def as_text(families: Iterable[Family]) -> str:
    """The whole exposition, with its end mark. Numbers that are none are left out."""
    lines = []
    for family in families:
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines.append(f"# HELP {family.name} {_escaped(family.help)}")
        suffix = "_total" if family.kind == "counter" else ""
        for sample in family.samples:
            if math.isnan(sample.value):
                continue
            listed = ",".join(f'{k}="{_escaped(v)}"' for k, v in sample.labels.items())
            labels = f"{{{listed}}}" if listed else ""
            lines.append(f"{family.name}{suffix}{labels} {_number(sample.value)}")
    return "\n".join([*lines, "# EOF", ""])


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)
