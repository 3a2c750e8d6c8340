"""What Prometheus answers, as samples: nothing in an answer is believed before it is looked at."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from collectors.text import clean

__all__ = ["MOST_VERSIONS", "Answered", "NotUnderstoodError", "error_of", "samples_of", "time_of"]

MOST_VERSIONS = 200
"""Versions of a metric that are kept."""

_LONGEST_VERSION = 200
_LATEST_S = 253402300799.0  # the last second of the year 9999
_ERROR = re.compile(r'"error"\s*:\s*"((?:[^"\\]|\\.)*)')
_ERROR_TYPE = re.compile(r'"errorType"\s*:\s*"(\w+)"')


class NotUnderstoodError(ValueError):
    """An answer that holds no samples; what it holds instead."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to a range query. series: version -> its points [time, value], as they came.

    left_out: versions that were too many. warnings: the server's own.
    """

    series: Mapping[str, list[Any]]
    left_out: int
    warnings: tuple[str, ...]

    def samples(self, start: int, stop: int) -> Iterator[tuple[int, str, float | str]]:
        """(milliseconds since 1970, version, value) from start to stop; NaN is no sample.

        An infinite value is given as text: the store sets it apart and says so. Raises
        NotUnderstoodError.
        """
        for version, points in self.series.items():
            for point in points:
                ms, value = _point(point)
                if not start <= ms <= stop:
                    raise NotUnderstoodError("samples of another time than was asked for")
                if math.isfinite(value):
                    yield ms, version, value
                elif not math.isnan(value):
                    yield ms, version, "+Inf" if value > 0 else "-Inf"


def samples_of(body: Any, label: str) -> Answered:
    """The series of a range query. label: whose value is the version; empty for one series.

    Raises NotUnderstoodError: no such answer, histograms in place of numbers, or several series of
    one version.
    """
    kind, result = _data(body)
    if kind != "matrix" or not isinstance(result, list):
        raise NotUnderstoodError("no samples over time")
    series: dict[str, list[Any]] = {}
    for one in result:
        labels, points = (one.get("metric"), one.get("values")) if isinstance(one, dict) else (0, 0)
        if not isinstance(labels, dict):
            raise NotUnderstoodError("no series with labels")
        if not isinstance(points, list):
            raise NotUnderstoodError("histograms, not numbers; take histogram_quantile() of them")
        version = _version(labels.get(label, "") if label else "")
        if version in series:
            of = f" of version {clean(version, 60)!r}" if version else ""
            how = f"sum by ({label}) (...)" if label else "sum(...)"
            raise NotUnderstoodError(f"several series{of}; add them up, as {how} does")
        series[version] = points
    kept = sorted(series)[:MOST_VERSIONS]
    said = body.get("warnings")
    warnings = tuple(clean(w, 200) for w in said[:5]) if isinstance(said, list) else ()
    return Answered({v: series[v] for v in kept}, len(series) - len(kept), warnings)


def time_of(body: Any) -> int:
    """The server's clock from its answer to `time()`, in ms. Raises NotUnderstoodError."""
    kind, result = _data(body)
    if kind != "scalar":
        raise NotUnderstoodError("no time")
    ms, value = _point(result)
    if not 0 <= value <= _LATEST_S:
        raise NotUnderstoodError("no time")
    return ms


def error_of(body: str) -> tuple[str, str]:
    """The type of an error and what it says, from the beginning of a body; empty if neither."""
    kind, said = _ERROR_TYPE.search(body), _ERROR.search(body)
    if said is None:
        return "", clean(body, 300)
    try:
        text = str(json.loads(f'"{said[1]}"'))
    except ValueError:
        text = said[1]
    return kind[1] if kind else "", clean(text, 300)


def _data(body: Any) -> tuple[Any, Any]:
    data = body.get("data") if isinstance(body, dict) and body.get("status") == "success" else None
    if not isinstance(data, dict):
        raise NotUnderstoodError("something that is no answer of Prometheus")
    return data.get("resultType"), data.get("result")


def _point(point: Any) -> tuple[int, float]:
    """[seconds, "value"]; the value as text, since JSON has no NaN."""
    if not isinstance(point, list) or len(point) != 2:
        raise NotUnderstoodError("points that are no pair of time and value")
    at, value = point
    try:
        seconds = float(at)
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise NotUnderstoodError("points that are no numbers") from None
    if not 0 <= seconds <= _LATEST_S:
        raise NotUnderstoodError("points without a time")
    return round(seconds * 1000), number


def _version(value: Any) -> str:
    """A label's value; cut where the store refuses it as too long anyway."""
    text = str(value)[: _LONGEST_VERSION + 1]
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
