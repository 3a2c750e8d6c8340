"""When and how a figure changed, as a sentence of a detail page and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from console.analysis.ask import Ask
from console.analysis.estimate import State
from console.analysis.headline import SERIES_METRIC, Course
from console.analysis.onset import Onset
from console.analysis.subgroups import segment_name
from console.views import records
from console.views.model import Cell, Tone
from console.views.words import count, number, plain

__all__ = ["onset_notes", "onset_record", "onset_records"]


def onset_notes(metric: str, course: Course | None) -> tuple[Cell, ...]:
    """What became of a figure over its window and the one before; nothing where it is unknown."""
    notes = _onset_notes(metric, course.onset if course is not None else None)
    slow = course.slow if course is not None else None
    if slow is None:
        return notes
    text = f"slow change: CUSUM {slow.value:.1f} of {slow.threshold:.3g}"
    if slow.since is None:
        return (*notes, plain(f"{text}, no alarm", Tone.DIM))
    way = "up" if slow.rises else "down"
    return (*notes, plain(f"{text}, {way} since about {slow.since:%d %b}"))


def _onset_notes(metric: str, o: Onset | None) -> tuple[Cell, ...]:
    if o is None or o.state is not State.OK:
        return ()
    text = f"{metric} over this window and the one before: {o.words}"
    if not o.changed or o.start is None:
        return (plain(text, Tone.DIM),)
    text += f" ({number(o.before)} to {number(o.after)}, {count(o.n_rows)} rows)"
    if o.earliest is not None and o.latest is not None and o.step is not None:
        hourly = o.step.total_seconds() < 86_400
        form = "%d %b %H:%M" if hourly else "%d %b"
        if o.latest - o.earliest > 2 * o.step:
            text += f"; it may have begun {o.earliest:{form}} to {o.latest:{form}}"
    if o.can_be_daily:
        text += "; fewer than 3 days: the time of day may explain it"
    return (plain(text),)


def onset_record(metric: str, o: Onset) -> dict[str, Any]:
    """The JSON of an onset."""
    return {
        "metric": metric,
        "shape": o.shape.value,
        "state": o.state.value,
        "start": records.stamp(o.start),
        "end": records.stamp(o.end),
        "earliest": records.stamp(o.earliest),
        "latest": records.stamp(o.latest),
        "before": o.before,
        "after": o.after,
        "size": records.estimate(o.size),
        "n_rows": o.n_rows,
        "pattern": o.pattern,
        "changes": [records.stamp(at) for at in o.changes],
        "sure": o.changed and o.shape_sure and not o.can_be_daily,
        "words": o.words,
    }


def onset_records(ask: Ask, courses: Mapping[tuple[str, str, str], Course]) -> list[dict[str, Any]]:
    """The onsets of a snapshot by version and segment values."""
    d = ask.deployment
    names = segment_name(d, ask.segment.number_in(d)) if ask.segment is not None else ()
    return [
        {
            "version": version,
            "segment": ",".join(names) or None,
            "value": ",".join((value, value2)[: len(names)]) or None,
            **onset_record(SERIES_METRIC[d.task], course.onset),
            "cusum": _cusum_record(course),
        }
        for (version, value, value2), course in sorted(courses.items(), key=itemgetter(0))
    ]


def _cusum_record(course: Course) -> dict[str, Any] | None:
    slow = course.slow
    if slow is None:
        return None
    since = records.stamp(slow.since)
    return {"value": slow.value, "threshold": slow.threshold, "since": since, "rises": slow.rises}
