"""Takes a pane's snapshot: asks the reader for rollups, hands them to the analysis.

Nothing is computed here. One `Taker` serves one clock moment: frames and snapshots that several
panes need are fetched once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar, cast

import polars as pl

from collectors.contract import Deployment, Task
from collectors.reader import Param, Reader
from collectors.store.outcomes import OUTCOMES
from collectors.store.typed import CLOCK_TOLERANCE
from console.analysis.against import REFERENCE, Against, Side
from console.analysis.agreement import (
    COMPARED,
    LISTED,
    VOICES,
    AgreementFrames,
    AgreementSnapshot,
    agreement,
)
from console.analysis.ask import Ask, SegmentAsk, Step, floor_hour, naive, step_for, utc
from console.analysis.changes import MOST_CHANGES
from console.analysis.data import DataFrames, DataSnapshot, data
from console.analysis.drift import DriftFrames, DriftSnapshot, drift
from console.analysis.explain import ExplainSnapshot, explain
from console.analysis.fallback_preview import (
    PreviewSnapshot,
    PreviewTarget,
    preview,
)
from console.analysis.figures import OUTCOME_QUERY
from console.analysis.findings import worst_first
from console.analysis.maturity import Maturity, maturity
from console.analysis.operating import operating, with_states
from console.analysis.overview import OverviewRow, OverviewSnapshot, overview, overview_row
from console.analysis.performance import PerformanceFrames, PerformanceSnapshot, performance
from console.analysis.quality import NO_RULES, QualitySnapshot, quality
from console.analysis.quality_findings import first_to_look_at, flagged_figures
from console.analysis.ratios import nearest
from console.analysis.raw_rows import (
    LabelStatement,
    RowsFrames,
    RowsSnapshot,
    raw_rows,
    statement,
)
from console.analysis.split_history import step_seconds
from console.analysis.subgroups import SubgroupsSnapshot, subgroups
from console.analysis.system import SystemSnapshot, system
from console.analysis.traffic import TrafficSnapshot, traffic
from console.analysis.trial import TrialFrames, TrialSnapshot, trial
from console.analysis.usual import (
    HISTORY,
    LEAST_SILENCE,
    UsualVolume,
    has_stopped,
    usual_volume,
)
from console.analysis.whole import whole_of
from console.explain_frames import explain_frames
from console.fallback_frames import preview_frames
from console.kept import Kept, kept
from console.quality_frames import quality_frames
from console.system_frames import system_frames
from console.windows import FAR

__all__ = ["Snapshot", "Taker"]

Snapshot = (
    OverviewSnapshot
    | PerformanceSnapshot
    | DriftSnapshot
    | SubgroupsSnapshot
    | TrafficSnapshot
    | SystemSnapshot
    | DataSnapshot
    | TrialSnapshot
    | ExplainSnapshot
    | RowsSnapshot
    | AgreementSnapshot
)

RECORDS = 100
"""Newest records in quarantine that are shown with their content; all of them are kept."""

SHOWN = 2000
"""Characters of such a record that are shown."""

S = TypeVar("S", bound=Snapshot | QualitySnapshot)

LABEL_HISTORY = timedelta(days=56)
"""How long before the window label delay and coverage are learned from."""


class Taker:
    """Snapshots of one store at one moment, for one thread.

    load_times: whether records were loaded when they came (live, replay), so that quarantine and
    sources can be seen as they stood too; exported logs are loaded long after. exported: an opened
    log, whose end is no silence. live: the moment of a live clock, at which everything in the store
    is known, also rows whose clock runs ahead.
    """

    def __init__(
        self,
        reader: Reader,
        deployments: Sequence[Deployment],
        *,
        load_times: bool = True,
        exported: bool = False,
        live: datetime | None = None,
    ) -> None:
        self.reader = reader.at_once()
        self._live = live
        self._load_times = load_times
        self._exported = exported
        self.deployments = {d.name: d for d in deployments}
        self._frames: dict[tuple[object, ...], pl.DataFrame] = {}
        self._snapshots: dict[tuple[object, ...], Snapshot | QualitySnapshot] = {}

    def asked(self, ask: Ask) -> Ask:
        """The window that is really shown: of whole days where only days are kept."""
        return self._kept(ask).by_day(ask)

    def other(self, ask: Ask) -> Ask | None:
        """The other side of the comparison, of whole days too where only days are kept."""
        other = ask.other
        return None if other is None else self.asked(other)

    def performance(self, ask: Ask) -> PerformanceSnapshot:
        """Figures per step and version."""
        return self._once("performance", ask, self._performance)

    def drift(self, ask: Ask) -> DriftSnapshot:
        """Distances per feature and version."""
        return self._once("drift", ask, self._drift)

    def subgroups(self, ask: Ask) -> SubgroupsSnapshot:
        """Segment values against the whole."""
        return self._once("subgroups", ask, self._subgroups)

    def traffic(self, ask: Ask) -> TrafficSnapshot:
        """The observed split."""
        return self._once("traffic", ask, self._traffic)

    def data(self, ask: Ask) -> DataSnapshot:
        """Freshness, coverage, quarantine."""
        return self._once("data", ask, self._data)

    def quality(self, ask: Ask) -> QualitySnapshot:
        """Rules of data quality, over all versions and segments."""
        key = replace(ask, version=None, segment=None, threshold=None, watched=False)
        return self._once("quality", replace(key, against=REFERENCE, step=Step.ALL), self._quality)

    def versions(self, ask: Ask) -> TrialSnapshot:
        """Versions against the champion."""
        return self._once("versions", ask, self._versions)

    def rows(self, ask: Ask) -> RowsSnapshot:
        """Raw predictions of the window."""
        return self._once(f"rows {ask.rows}", ask, self._rows)

    def agreement(self, ask: Ask) -> AgreementSnapshot:
        """How far labellers agree; `ask.rows.most` of their disagreements."""
        return self._once(f"agreement {ask.rows.most}", ask, self._agreement)

    def system(self, ask: Ask) -> SystemSnapshot:
        """The serving system and its limits."""
        return self._once("system", ask, self._system)

    def explain(self, ask: Ask, figure: str) -> ExplainSnapshot:
        """Why a figure differs from what the ask is compared with. Raises UnknownFigureError."""
        known = nearest(ask.deployment, figure)[0]
        return self._once(
            f"explain {figure}",
            ask,
            lambda of: explain(of, figure, explain_frames(self, of, known)),
        )

    def fallback_preview(self, ask: Ask, targets: Sequence[PreviewTarget]) -> PreviewSnapshot:
        """What fallbacks would have done over the window."""
        of = replace(self.asked(ask), version=None, segment=None, threshold=None, against=REFERENCE)
        return preview(of, targets, preview_frames(self, of, targets), self.maturity_of(of))

    def overview(self, ask: Ask) -> OverviewSnapshot:
        """Every deployment over the same window."""
        rows = (self.overview_row(replace(ask, deployment=d)) for d in self.deployments.values())
        return overview(ask, tuple(rows))

    def overview_row(self, ask: Ask) -> OverviewRow:
        """What is wrong with one deployment, over all its versions."""
        of = replace(ask, version=None, segment=None, threshold=None)
        return overview_row(
            self.performance(of),
            self.drift(of),
            self.subgroups(of),
            self.traffic(of),
            self.data(of),
            versions=self.versions(of),
            system=self.system(of).findings if of.deployment.limits else (),
        )

    # -- for explanations ------------------------------------------------------------------------

    def windowed(
        self, ask: Ask, query: str, span: tuple[datetime, datetime] | None = None, **params: Param
    ) -> pl.DataFrame:
        """A query over the ask's window, or a span, as known at its moment, of its version."""
        return self._outcomes(ask, query, span, **params)

    def fixed(self, ask: Ask, query: str, **params: Param) -> pl.DataFrame:
        """A query without a window."""
        return self._ask(ask, query, **params)

    def maturity_of(self, ask: Ask) -> Maturity:
        """How complete labels usually are."""
        return self._maturity(ask)

    # -- one each --------------------------------------------------------------------------------

    def _performance(self, ask: Ask) -> PerformanceSnapshot:
        d = ask.deployment
        name = OUTCOME_QUERY[d.task]
        segment = 0 if ask.segment is None else ask.segment.number_in(d)
        number: dict[str, Param] = {"first": segment, "last": segment}
        scored = d.task is Task.MULTICLASS and segment == 0
        series = self._segment(ask, self._outcomes(ask, name, None, step=ask.step.value, **number))
        if ask.threshold is not None:  # a threshold that is moved changes nothing else
            known = self.performance(replace(ask, threshold=None))
            bins = self._ask(ask, "bins") if d.task is Task.BINARY and d.score else None
            tried = operating(d, whole_of(series, naive(ask.start)), bins, ask.threshold)
            return replace(known, ask=ask, operating=with_states(tried, known.whole))
        fine = "hour" if ask.step is Step.HOUR else "day"
        earlier = self._history(ask, ask.before())
        before = self._segment(ask, self._outcomes(ask, name, earlier, step=fine, **number))
        frames = PerformanceFrames(
            series=series,
            whole=whole_of(series, naive(ask.start)),
            before=whole_of(before, naive(ask.before()[0])),
            before_days=before,
            reference=self._segment(ask, self._ask(ask, f"reference_{name}", **number)),
            series_scores=self._outcomes(ask, "class_score", step=ask.step.value)
            if scored
            else None,
            whole_scores=self._outcomes(ask, "class_score", step="all") if scored else None,
            errors=self._outcomes(ask, "errors") if d.task is Task.REGRESSION else None,
            days=None
            if ask.step in (Step.HOUR, Step.DAY)
            else self._segment(ask, self._outcomes(ask, "totals", None, step="day", **number)),
            bins=self._ask(ask, "bins") if d.task is Task.BINARY and d.score else None,
            calibration=self._calibration(ask),
            coarse=OUTCOMES[d.task].coarse[len(ask.segment.names) - 1] if ask.segment else 1,
            stopped=self._stopped(ask),
        )
        other = self.other(ask)
        if other is not None:
            frames = replace(
                frames,
                other=self._segment(other, self._outcomes(other, name, None, step="all", **number)),
                other_scores=self._outcomes(other, "class_score", step="all") if scored else None,
            )
        found = performance(ask, frames, self._maturity(ask))
        said = worst_first((*found.findings, *flagged_figures(self.quality(ask))))
        return replace(found, findings=said)

    def _calibration(self, ask: Ask) -> pl.DataFrame | None:
        """Score bins of the references over all rows, which scores are calibrated on."""
        match ask.deployment.task:
            case Task.BINARY:
                return self._ask(ask, "reference_binary", first=0, last=0)
            case Task.MULTICLASS if ask.segment is None and ask.deployment.class_scores:
                return self._ask(ask, "reference_class_score")
            case _:
                return None

    def ended(self, ask: Ask) -> bool:
        """Whether an exported log has no later prediction: then it ends, and nothing is silent."""
        if not self._exported:
            return False
        known = self._ask(ask, "extent", end=naive(self._known_at(ask)))["last_ts"].to_list()
        return known == self._ask(ask, "extent", end=FAR)["last_ts"].to_list()

    def _stopped(self, ask: Ask) -> bool:
        """Whether the window ends at the clock and predictions have stopped before it."""
        if ask.end < ask.as_of or self.ended(ask):
            return False
        last = self._ask(ask, "extent", end=naive(self._known_at(ask)))["last_ts"].to_list()
        if not last or last[0] is None:
            return False
        newest = min(utc(last[0]), ask.as_of)
        age = ask.as_of - newest
        # what usually comes is looked up only where it can matter
        return age >= LEAST_SILENCE and has_stopped(
            age, self._usual(ask).expected(newest, ask.as_of)
        )

    def _drift(self, ask: Ask) -> DriftSnapshot:
        most: dict[str, Param] = {"first": -9, "last": len(ask.deployment.features)}
        step = step_for(ask.end - ask.start) if ask.step is Step.ALL else ask.step
        if step is Step.HOUR and ask.end - ask.start > timedelta(days=1):
            step = Step.DAY  # an hour holds too few rows for a distance
        series = self._outcomes(ask, "features", None, step=step.value, **most)
        other, beside, week = self.other(ask), None, None
        if other is not None:
            beside = self._outcomes(other, "features", None, step="all", **most)
        else:  # is it new, or was it so the week before?
            span = Against(Side.WEEK).span(ask.start, ask.end)
            earlier = self._history(ask, span) if span is not None else None
            week = self._outcomes(ask, "features", earlier, step="all", **most)
        frames = DriftFrames(
            series,
            self._ask(ask, "bins"),
            self._ask(ask, "reference_features"),
            self._ask(ask, "reference_profile"),
            beside,
            week,
        )
        found = drift(ask, frames)
        first = first_to_look_at(ask, self.quality(ask), found.drifted)
        return replace(found, findings=worst_first((*found.findings, *first)))

    def _subgroups(self, ask: Ask) -> SubgroupsSnapshot:
        d = ask.deployment
        name = OUTCOME_QUERY[d.task]
        if ask.segment is None:
            first, last = 1, len(d.segments)
        else:
            first = last = ask.segment.number_in(d)
        frame = self._outcomes(ask, name, None, step="all", first=first, last=last)
        whole = self._outcomes(ask, name, None, step="all", first=0, last=0)
        crosses = None
        if ask.segment is None and d.segment_crosses:
            crosses = self._outcomes(
                ask, "totals", None, step="all", first=last + 1, last=last + len(d.segment_crosses)
            )
        elif ask.segment is None:
            crosses = frame.clear()  # the search is then among the single values
        past = self.other(ask)
        other = None
        if past is not None:
            other = self._outcomes(past, "totals", None, step="all", first=first, last=last)
        found = subgroups(ask, frame, whole, self._maturity(ask), crosses=crosses, other=other)
        said = worst_first((*found.findings, *flagged_figures(self.quality(ask))))
        return replace(found, findings=said)

    def _traffic(self, ask: Ask) -> TrafficSnapshot:
        every = replace(ask, version=None)
        return traffic(
            ask,
            series=self._outcomes(every, "volume", step=ask.step.value),
            whole=self._outcomes(every, "volume", step="all"),
            latency=self._outcomes(every, "latency"),
            versions=self._ask(ask, "versions", end=naive(self._known_at(ask))),
            usual=self._usual(ask),
            recorded=self._outcomes(every, "change_events", most=MOST_CHANGES),
            split=self._split_readings(every),
        )

    def _split_readings(self, ask: Ask) -> pl.DataFrame:
        """What control planes were read to be, up to the time that is looked at."""
        until = min(ask.end, ask.as_of)
        seconds = step_seconds(ask.start, ask.end)
        return self._ask(
            ask, "split_series", start=naive(ask.start), end=naive(until), seconds=seconds
        )

    def _system(self, ask: Ask) -> SystemSnapshot:
        every = replace(ask, version=None, segment=None, threshold=None)
        return system(ask, system_frames(self, every), self.performance(every))

    def _data(self, ask: Ask) -> DataSnapshot:
        known: dict[str, Param] = {"as_of": naive(ask.as_of)} if self._load_times else {}
        since: dict[str, Param] = {"start": naive(ask.start)} if self._load_times else {}
        frames = DataFrames(
            extent=self._ask(ask, "extent", end=naive(self._known_at(ask))),
            sources=self._ask(ask, "sources", **known),
            quarantine=self._ask(ask, "quarantine", **since, **known),
            records=self._ask(ask, "quarantine_records", most=RECORDS, longest=SHOWN, **known),
            schema_changes=self._ask(ask, "schema_changes", **known),
            waiting=self._ask(ask, "waiting_labels", as_of=naive(ask.as_of)),
            volume=self._outcomes(ask, "volume", step=ask.step.value),
            delay=self._outcomes(ask, "delay", step=ask.step.value),
            metrics=self._ask(
                ask,
                "metrics",
                start=naive(ask.start),
                end=naive(min(ask.end, ask.as_of)),
            ),
            usual=self._usual(ask),
            labels=self._maturity(ask),
            halves=self._ask(ask, "halves", as_of=naive(ask.as_of)),
            retained=self._kept(ask).rows,
            ended=self.ended(ask),
            states=None if self._exported else self._ask(ask, "source_states"),
        )
        return data(ask, frames, self.drift(ask), self.quality(ask))

    def _quality(self, ask: Ask) -> QualitySnapshot:
        rules = ask.deployment.quality
        if rules is None:
            return NO_RULES
        usual = self._usual(ask) if rules.volume is not None else None
        timed, ended = self._load_times, self.ended(ask)
        frames = quality_frames(self, ask, rules, usual, load_times=timed, ended=ended)
        return quality(ask, rules, frames)

    def _versions(self, ask: Ask) -> TrialSnapshot:
        every = replace(ask, version=None)
        name = OUTCOME_QUERY[ask.deployment.task]
        series = self._outcomes(every, name, None, step=ask.step.value, first=0, last=0)
        scored = ask.deployment.task is Task.MULTICLASS
        frames = TrialFrames(
            whole=whole_of(series, naive(ask.start)),
            series=series,
            volume=self._outcomes(every, "volume", step=ask.step.value),
            versions=self._ask(ask, "versions", end=naive(self._known_at(ask))),
            scores=self._outcomes(every, "class_score", step="all") if scored else None,
        )
        found = trial(ask, frames, self._maturity(ask))
        said = worst_first((*found.findings, *flagged_figures(self.quality(ask))))
        return replace(found, findings=said)

    def _rows(self, ask: Ask) -> RowsSnapshot:
        d, of = ask.deployment, ask.rows
        names = [f.name for f in d.features]
        known = [s.name for s in d.segments]
        segment = ask.segment
        limited = (
            [(n, v) for n, v in zip(segment.names, segment.values, strict=True) if v is not None]
            if segment is not None
            else []
        )
        values: dict[str, Param] = {
            key: value for key, (_, value) in zip(("value", "value2"), limited, strict=False)
        }
        frame = self._ask(
            ask,
            "rows",
            start=naive(ask.start),
            end=naive(ask.end),
            as_of=naive(self._known_at(ask)),
            kind=of.kind.value,
            subject=names.index(of.subject) if of.subject in names else -1,
            segments=",".join(str(known.index(n)) for n, _ in limited),
            most=of.most,
            version=ask.version,
            **values,
        )
        frames = RowsFrames(frame, self._ask(ask, "reference_profile"), self._ask(ask, "bins"))
        return raw_rows(ask, frames, self._statements(ask, frame), self._kept(ask).rows)

    def _statements(self, ask: Ask, rows: pl.DataFrame) -> dict[str, tuple[LabelStatement, ...]]:
        """All statements of labels by id, where there is more than one."""
        found: dict[str, tuple[LabelStatement, ...]] = {}
        for id_, ts in rows.filter(pl.col("label").is_not_null()).select("id", "ts").iter_rows():
            said = self._ask(ask, "row_labels", id=id_, ts=ts, as_of=naive(ask.as_of))
            if said.height > 1:
                found[id_] = tuple(statement(row) for row in said.iter_rows(named=True))
        return found

    def _agreement(self, ask: Ask) -> AgreementSnapshot:
        d = ask.deployment
        if d.labels is None or not d.labels.labeller:
            return agreement(ask, None)
        numbers = "_numbers" if d.task is Task.REGRESSION else ""
        frames = AgreementFrames(
            self._outcomes(
                ask, f"agreement{numbers}", compared=COMPARED, listed=LISTED, version=ask.version
            ),
            self._outcomes(
                ask,
                "disagreements",
                most=ask.rows.most,
                voices=VOICES,
                version=ask.version,
                threshold=ask.threshold,
            ),
            self._kept(ask).raw,
        )
        return agreement(ask, frames)

    # -- what is usual, over all versions --------------------------------------------------------

    def _usual(self, ask: Ask) -> UsualVolume:
        span = (floor_hour(ask.as_of) - HISTORY, ask.as_of)
        return usual_volume(self._outcomes(replace(ask, version=None), "volume", span, step="hour"))

    def _maturity(self, ask: Ask) -> Maturity:
        every = replace(ask, version=None)
        midnight = floor_hour(ask.as_of).replace(hour=0)
        span = (min(midnight, ask.start) - LABEL_HISTORY, ask.as_of)
        span = self._history(ask, span, some=True)
        known = maturity(
            self._outcomes(every, "volume", span, step="day"),
            self._outcomes(every, "delay", span, step="day"),
            ask.start,
            ask.as_of,
        )
        late = known.quantile(0.99)
        if late is None or ask.as_of - ask.end >= timedelta(seconds=late):
            return known
        # labels of the window are due: by the hours in which its rows were made, not evenly
        since = floor_hour(ask.as_of) - HISTORY
        return replace(known, made=self._usual(ask), since=since)

    # -- frames ----------------------------------------------------------------------------------

    def _outcomes(
        self,
        ask: Ask,
        query: str,
        span: tuple[datetime, datetime] | None = None,
        **params: Param,
    ) -> pl.DataFrame:
        """A windowed query, as known at the asked moment, of one version or all."""
        frame = self._ask(
            ask,
            query,
            start=naive(span[0] if span else ask.start),
            end=naive(span[1] if span else ask.end),
            as_of=naive(self._known_at(ask)),
            **params,
        )
        if ask.version is not None and "version" in frame.columns and query != "versions":
            frame = frame.filter(pl.col("version") == ask.version)
        return frame

    def _kept(self, ask: Ask) -> Kept:
        """What retention has left."""
        return kept(lambda: self._ask(ask, "retained"))

    def _history(
        self, ask: Ask, span: tuple[datetime, datetime], *, some: bool = False
    ) -> tuple[datetime, datetime]:
        """What of a span before the window can still be told as of the asked moment."""
        known = self._kept(ask)

        def unknown() -> bool:
            if known.raw is None:
                return False
            found = self._ask(
                ask,
                "unknown_hours",
                start=naive(span[0]),
                end=naive(span[1]),
                as_of=naive(self._known_at(ask)),
                sealed=naive(known.raw),
                labels=1,
            )
            return bool(found["n"].sum())

        return known.history(span, unknown, some=some)

    def _known_at(self, ask: Ask) -> datetime:
        """The moment of knowledge: what lies ahead of a live clock is not the past of anything."""
        return ask.as_of if ask.as_of != self._live else ask.as_of + 2 * CLOCK_TOLERANCE

    def _ask(self, ask: Ask, query: str, **params: Param) -> pl.DataFrame:
        key = (query, ask.deployment.name, *sorted(params.items()))
        if key not in self._frames:
            self._frames[key] = self.reader.query(query, ask.deployment.name, **params)
        return self._frames[key]

    def _segment(self, ask: Ask, frame: pl.DataFrame) -> pl.DataFrame:
        """Only the asked values of a segment, in the order of the rollup's columns."""
        if ask.segment is None or frame.is_empty():
            return frame
        ordered = _in_rollup_order(ask.deployment, ask.segment)
        for column, value in zip(("value", "value2"), ordered, strict=False):
            if value is not None:
                frame = frame.filter(pl.col(column) == value)
        return frame

    def _once(self, name: str, ask: Ask, make: Callable[[Ask], S]) -> S:
        ask = self.asked(ask)
        key = (name, *ask.key)
        if key not in self._snapshots:
            self._snapshots[key] = make(ask)
        return cast(S, self._snapshots[key])


def _in_rollup_order(d: Deployment, segment: SegmentAsk) -> tuple[str | None, ...]:
    known = [s.name for s in d.segments]
    pairs = sorted(zip(segment.names, segment.values, strict=True), key=lambda p: known.index(p[0]))
    return tuple(value for _, value in pairs)
