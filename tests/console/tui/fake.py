"""A backend for tests and for looking at the screen: plausible figures from a formula.

python -m tests.console.tui.fake [--ascii] [--live]      runs the console over it
"""

from __future__ import annotations

import argparse
import math
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from console.control.audit import Audit
from console.control.hands import Hands
from console.control.settings import Control
from console.control.who import who
from console.feed import Explain, Frame, Mode, Request, Status
from console.tui.controls import Acting
from console.tui.options import PaneInfo, ScreenOptions
from console.tui.run import run_app
from console.views.model import (
    Bars,
    Cell,
    Column,
    Detail,
    Line,
    Mark,
    Row,
    Series,
    Table,
    TimePlot,
    Tone,
    View,
)

PANES = (
    PaneInfo("overview", "Overview", 1, opens="performance"),
    PaneInfo("performance", "Performance", 2),
    PaneInfo("drift", "Drift", 3),
    PaneInfo("subgroups", "Subgroups", 4),
    PaneInfo("traffic", "Traffic", 5),
    PaneInfo("data", "Data", 6),
    PaneInfo("versions", "Versions", 7),
)
START = datetime(2026, 11, 20, 2, 14, tzinfo=UTC)
DEPLOYMENTS = ("flight-delay", "fraud-scorer", "eta")
ALL = Request(panes=tuple(pane.name for pane in PANES))


def wave(i: float, step: int, low: float, high: float) -> float:
    return low + (high - low) * (0.5 + 0.5 * math.sin(i * 0.7 + step * 0.3))


@dataclass
class FakeBackend:
    """Answers at once unless told otherwise; `gate` blocks `frame` until it is set."""

    live: bool = False
    hostile: str = ""
    error: str = ""
    gate: threading.Event | None = None
    requests: list[Request] = field(default_factory=list)
    step: int = 0
    interrupted: int = 0
    closed: bool = False

    def advance(self) -> bool:
        if self.live:
            self.step += 1
        return False

    def frame(self, request: Request) -> Frame:
        self.requests.append(request)
        if self.gate is not None:
            self.gate.wait(10)
        if self.error:
            raise RuntimeError(self.error)
        return make_frame(request, self.step, live=self.live, hostile=self.hostile)

    def frames(self, request: Request) -> Iterator[Frame]:
        frame = self.frame(request)
        yield frame
        if request.explain is not None:
            yield replace(frame, explained=explanation(request.explain, self.step, self.hostile))

    def interrupt(self) -> None:
        self.interrupted += 1

    def close(self) -> None:
        self.closed = True


def make_frame(request: Request, step: int = 0, *, live: bool = True, hostile: str = "") -> Frame:
    clock = START + timedelta(seconds=step)
    end = request.as_of or clock
    name = hostile or request.deployment or DEPLOYMENTS[0]
    mode = Mode.AS_OF if request.as_of else Mode.LIVE if live else Mode.OFFLINE
    status = Status(
        deployment=name,
        deployments=(hostile, *DEPLOYMENTS[1:]) if hostile else DEPLOYMENTS,
        mode=mode,
        clock=clock,
        start=end - request.window,
        end=end,
        data_age=timedelta(seconds=42 + step % 3),
        findings=3,
        versions=("v1", "v2"),
        segments=("origin", "carrier", "origin,carrier"),
        threshold=0.5,
        problem=hostile,
    )
    makers = {
        "overview": overview, "performance": performance, "drift": drift,
        "subgroups": subgroups, "traffic": traffic, "data": data,
        "versions": versions,
    }  # fmt: skip
    views = tuple((p, makers[p](request, step, hostile)) for p in request.panes if p in makers)
    return Frame(request, status, views)


def number(value: float, tone: Tone = Tone.PLAIN, form: str = ".3f") -> Cell:
    return Cell(format(value, form), tone, value)


def series(request: Request, step: int, low: float, high: float) -> Series:
    n = 60
    end = request.as_of or START
    x = tuple(end - request.window + i * request.window / n for i in range(n))
    y = tuple(None if 20 <= i < 24 else wave(i / 6, step, low, high) for i in range(n))
    return Series("all", x, y)


def time_plot(title: str, request: Request, step: int, low: float, high: float) -> TimePlot:
    end = request.as_of or START
    return TimePlot(
        title, end - request.window, end, (series(request, step, low, high),),
        lines=(Line("baseline", low + (high - low) * 0.3, Tone.WARN),),
        marks=(Mark("deploy v2", end - request.window / 3),),
    )  # fmt: skip


def overview(request: Request, step: int, hostile: str) -> View:
    columns = (
        Column("deployment", flexible=True), Column("state", priority=0),
        Column("rows", right=True, priority=1), Column("AUC", right=True, priority=1),
        Column("drift", right=True, priority=2), Column("p95 ms", right=True, priority=3),
        Column("errors", right=True, priority=3), Column("labels", right=True, priority=4),
    )  # fmt: skip
    names = (hostile, *DEPLOYMENTS[1:]) if hostile else DEPLOYMENTS
    tones = (Tone.WARN, Tone.GOOD, Tone.BAD)
    words = ("drifting", "fine", "no data for 3h")
    rows = tuple(
        Row(name, (
            Cell(name), Cell(words[i], tones[i]), number(182_331 + i + step, form=",.0f"),
            number(0.81 - i / 50), number(0.12 + i / 10, tones[i]), number(41 + i, form=".0f"),
            number(0.001 * i, form=".2%"), number(0.83, form=".0%"),
        ))
        for i, name in enumerate(names)
    )  # fmt: skip
    headline = (
        Cell("eta has had no rows for 3h02m; its collector last wrote at 23:12 UTC", Tone.BAD),
        Cell("flight-delay: dep_delay drifts (PSI 0.31, above 0.2) since 18 Nov", Tone.WARN),
        Cell(hostile or "fraud-scorer is within all thresholds", Tone.GOOD),
    )
    return View("Overview", headline, Table(columns, rows, "no deployments configured"))


def performance(request: Request, step: int, hostile: str) -> View:
    columns = (
        Column("metric"), Column("value", right=True), Column("95 % interval", priority=1),
        Column("baseline", right=True, priority=2), Column("n", right=True, priority=3),
        Column("state", flexible=True),
    )  # fmt: skip
    metrics = ("AUC", "accuracy", "precision", "recall", "F1", "Brier", "log loss", "ECE")
    rows = []
    for i, metric in enumerate(metrics):
        value = wave(i, step, 0.6, 0.9)
        tone = Tone.BAD if i == 3 else Tone.UNKNOWN if i == 7 else Tone.GOOD
        word = "below the baseline" if i == 3 else "too few labels" if i == 7 else "fine"
        rows.append(Row(metric, (
            Cell(metric), number(value), Cell(f"{value - 0.01:.3f} – {value + 0.01:.3f}"),
            number(0.71), number(15_231, form=",.0f"), Cell(word, tone),
        )))  # fmt: skip
    details = tuple(
        (m, Detail(
            f"{m} of {hostile or 'all versions'}",
            (Cell(f"{m} by version; intervals are Wilson at 95 %"),),
            (Table((Column("version"), Column("value", right=True)),
                   (Row("v1", (Cell("v1"), number(0.8))), Row("v2", (Cell("v2"), number(0.7))))),),
            (time_plot(m, request, step, 0.5, 0.9),),
        ))
        for m in metrics
    )  # fmt: skip
    return View(
        "Performance",
        (Cell("recall fell to 0.61 (0.60–0.62), below the baseline 0.71, since v2", Tone.BAD),),
        Table(columns, tuple(rows)),
        (time_plot("AUC per 3 h", request, step, 0.6, 0.9),),
        details,
        (Cell("83 % of the rows have labels; the last 2 days are not mature", Tone.DIM),),
    )


def drift(request: Request, step: int, hostile: str) -> View:
    columns = (
        Column("feature", flexible=True), Column("PSI", right=True), Column("JS", right=True,
        priority=2), Column("missing", right=True, priority=1), Column("unseen", right=True,
        priority=2), Column("type", priority=3),
    )  # fmt: skip
    rows = []
    for i in range(120):
        psi = abs(wave(i, step, -0.1, 0.35))
        tone = Tone.BAD if psi > 0.25 else Tone.WARN if psi > 0.1 else Tone.GOOD
        name = (hostile or "feature") + f"_{i:03}"
        rows.append(Row(f"f{i}", (
            Cell(name), number(psi, tone), number(psi / 3), number(0.01 * (i % 7), form=".1%"),
            number(0.0, form=".1%"), Cell("float" if i % 3 else "category", Tone.DIM),
        )))  # fmt: skip
    labels = tuple(f"{i * 10}–{i * 10 + 10}" for i in range(8))
    shares = tuple(wave(i, step, 0.02, 0.2) for i in range(8))
    bars = Bars("dep_delay: reference beside now", labels, (
        ("reference", tuple(wave(i, 0, 0.02, 0.2) for i in range(8)), Tone.DIM),
        ("now", shares, Tone.ACCENT),
    ))  # fmt: skip
    return View(
        "Drift",
        (Cell("31 of 120 features drift; dep_delay most (PSI 0.35)", Tone.BAD),),
        Table(columns, tuple(rows)),
        (bars, time_plot("PSI of dep_delay", request, step, 0.0, 0.4)),
        (("f0", Detail(f"{hostile}dep_delay", (Cell("mean moved from 12 to 19"),), (), (bars,))),),
    )


def subgroups(request: Request, step: int, hostile: str) -> View:
    columns = (
        Column("segment", flexible=True), Column("n", right=True, priority=1),
        Column("AUC", right=True), Column("gap", right=True), Column("share", right=True,
        priority=2),
    )  # fmt: skip
    rows = tuple(
        Row(s, (Cell((hostile or "origin=") + s), number(9000 - 13 * i, form=",.0f"),
                number(wave(i, step, 0.6, 0.9)),
                number(wave(i, step, -0.2, 0.1), Tone.BAD if i == 2 else Tone.PLAIN, "+.3f"),
                number(0.05, form=".0%")))
        for i, s in enumerate(("EWR", "JFK", "LGA", "ORD", "ATL", "DFW", "DEN", "SFO"))
    )  # fmt: skip
    return View(
        "Subgroups",
        (Cell("origin=LGA is 0.14 below the rest (n 8,974)", Tone.BAD),),
        Table(columns, rows),
        (time_plot("AUC of origin=LGA", request, step, 0.5, 0.9),),
    )


def traffic(request: Request, step: int, hostile: str) -> View:
    columns = (
        Column("version"), Column("split", right=True), Column("wanted", right=True, priority=1),
        Column("req/s", right=True), Column("p95 ms", right=True), Column("errors", right=True,
        priority=1),
    )  # fmt: skip
    rows = tuple(
        Row(v, (Cell(v), number(s, form=".1%"), number(w, form=".0%"),
                number(wave(i, step, 90, 110), form=".1f"), number(40 + 3 * i, form=".0f"),
                number(0.002 * i, form=".2%")))
        for i, (v, s, w) in enumerate((("v1", 0.902, 0.9), ("v2", 0.098, 0.1)))
    )  # fmt: skip
    return View(
        "Traffic",
        (Cell("v2 takes 9.8 % of the traffic, as wanted", Tone.GOOD),),
        Table(columns, rows),
        (time_plot("requests per second", request, step, 60.0, 140.0),),
        notes=(Cell("the split is read from the log, not from the serving layer", Tone.DIM),),
    )


def data(request: Request, step: int, hostile: str) -> View:
    columns = (
        Column("source", flexible=True), Column("rows", right=True), Column("late", right=True,
        priority=1), Column("quarantined", right=True), Column("why", flexible=True, priority=2),
    )  # fmt: skip
    rows = tuple(
        Row(s, (Cell(hostile + s), number(120_000 + step * 7, form=",.0f"), number(31, form=".0f"),
                number(q, Tone.WARN if q else Tone.PLAIN, ".0f"), Cell(hostile + w)))
        for s, q, w in (("s3://logs/flight/", 12, "score above 1"), ("labels.csv", 0, ""))
    )  # fmt: skip
    return View("Data", (Cell("12 rows in quarantine: score above 1", Tone.WARN),),
                Table(columns, rows))  # fmt: skip


def versions(request: Request, step: int, hostile: str) -> View:
    columns = (
        Column("compared", flexible=True), Column("metric"), Column("difference", right=True),
        Column("95% interval", priority=1), Column("verdict", flexible=True),
    )  # fmt: skip
    rows = tuple(
        Row(m, (Cell(f"{hostile}v2 with v1"), Cell(m), number(d, form="+.3f"),
                Cell(f"{d - 0.02:+.3f}..{d + 0.02:+.3f}"), Cell(w, t)))
        for m, d, w, t in (("F1", 0.004, "cannot tell", Tone.UNKNOWN),
                           ("Brier", -0.031, "better", Tone.GOOD))
    )  # fmt: skip
    return View(
        "Versions",
        (Cell("the split 90 : 10 is as wanted", Tone.GOOD),),
        Table(columns, rows),
        notes=(Cell("intervals hold at every look", Tone.DIM),),
    )


def explanation(explain: Explain, step: int = 0, hostile: str = "") -> View:
    columns = (
        Column("dimension", flexible=True), Column("mix", right=True), Column("within", right=True),
    )  # fmt: skip
    rows = tuple(
        Row(d, (Cell((hostile or "by ") + d), number(-0.01), number(wave(i, step, -0.2, -0.1))))
        for i, d in enumerate(("origin", "carrier", "version"))
    )
    slices = Table((Column("slice"), Column("of the change", right=True)),
                   (Row("EWR", (Cell("origin=EWR"), number(0.92, form=".0%"))),))  # fmt: skip
    answer = f"{explain.column} of {explain.row} fell by 0.21: {hostile}origin=EWR explains 92 %"
    return View(
        "Explain",
        (Cell(answer, Tone.BAD), Cell(f"step {step}")),
        Table(columns, rows),
        details=(("slices", Detail("Slices that stand out", (), (slices,))),),
        notes=(Cell("7 slices were looked at", Tone.DIM),),
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--mouse", action="store_true")
    parser.add_argument("--stock-driver", action="store_true")
    parser.add_argument("--hostile", default="")
    parser.add_argument("--error", default="")
    parser.add_argument("--log", default="")
    parser.add_argument("--refresh", type=float, default=1.0)
    parser.add_argument("--control", default="", help="a [[control]] as JSON, for real hands")
    parser.add_argument("--audit", default="")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args(argv)
    hostile = args.hostile.encode().decode("unicode_escape")
    backend = FakeBackend(live=args.live, hostile=hostile, error=args.error)
    options = ScreenOptions(
        ascii=args.ascii,
        mouse=args.mouse,
        refresh_s=args.refresh,
        stock_driver=args.stock_driver,
        log_file=Path(args.log) if args.log else None,
    )
    return run_app(
        lambda: backend,
        PANES,
        initial=Request(panes=("overview",)),
        options=options,
        hands=partial(real_hands, args) if args.control else None,
    )


def real_hands(args: argparse.Namespace) -> Acting:
    """Hands that reach a real plane, of the first deployment."""
    control = Control.model_validate_json(args.control)
    audit = Path(args.audit)
    return Hands(
        {DEPLOYMENTS[0]: control}, audit.parent, Audit(audit), who("console", {}), write=args.write
    )


if __name__ == "__main__":
    sys.exit(main())
