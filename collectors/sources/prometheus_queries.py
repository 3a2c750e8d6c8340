"""The queries of a Prometheus source: those of its preset and its own, with everything filled in.

What is filled in comes from the configuration alone. It is still checked, so that a slip in it is
a sentence and not a query that asks for something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from collectors.errors import SourceError
from collectors.source_settings import PrometheusSource
from collectors.sources.prometheus_presets import PRESETS

__all__ = ["filled_in", "queries_of", "version_label"]

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MATCHER = re.compile(
    r"\s*[A-Za-z_][A-Za-z0-9_]*\s*(?:=~|!~|!=|=)\s*"
    r"(?:\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)\s*"
)
_PLACES = re.compile(r"\$(?:(selector)\b(\s*,)?|(rate|version|only|by)\b)")
_LONGEST_SELECTOR = 4000
_LONGEST_NAME = 200


def version_label(source: PrometheusSource) -> str:
    """The label that tells versions apart; empty if none. Raises SourceError."""
    preset = PRESETS.get(source.preset)
    label = source.version
    if label is None:
        label = preset.version if preset is not None else ""
    if label and not _LABEL.fullmatch(label):
        raise SourceError(
            f"`version` must be the name of a label, such as model_version (found {label[:60]!r})"
        )
    return label


def queries_of(source: PrometheusSource) -> dict[str, str]:
    """Metric -> PromQL, ready to be asked. Raises SourceError for a part that cannot be right."""
    selector = _checked(source.selector)
    label = version_label(source)
    preset = PRESETS.get(source.preset)
    written = {**(preset.queries if preset is not None else {}), **source.queries}
    for metric in written:
        if not metric or len(metric) > _LONGEST_NAME:
            raise SourceError(
                f"a metric's name has 1 to {_LONGEST_NAME} characters (found {metric[:60]!r})",
                "check `queries`",
            )
    rate = f"{int(source.rate.total_seconds())}s"
    return {
        metric: filled_in(query, selector=selector, rate=rate, label=label)
        for metric, query in written.items()
    }


def filled_in(query: str, *, selector: str, rate: str, label: str) -> str:
    """A query with its places filled in, in one pass: what is put in is not looked at again."""
    values: Mapping[str, str] = {
        "rate": rate,
        "version": label,
        "only": f" by ({label})" if label else "",
        "by": f", {label}" if label else "",
    }

    def put(found: re.Match[str]) -> str:
        if found[1]:  # a comma may follow the last matcher in PromQL, but not stand alone
            return selector + (found[2] or "") if selector else ""
        return values[found[3]]

    return _PLACES.sub(put, query)


def _checked(selector: str) -> str:
    """Label matchers and nothing else, without a comma at the end."""
    text = selector.strip()
    if len(text) > _LONGEST_SELECTOR:
        raise SourceError(f"`selector` is longer than {_LONGEST_SELECTOR:,} characters")
    place = 0
    while place < len(text):
        found = _MATCHER.match(text, place)
        after = found.end() if found else len(text)
        if found is None or (after < len(text) and text[after] != ","):
            raise SourceError(
                "`selector` must be label matchers without braces, "
                f"""such as namespace="ml",job=~"model-.*" (cannot read {text[place:][:60]!r})"""
            )
        place = after + 1
    return text.rstrip(",").rstrip()
