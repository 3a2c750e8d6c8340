"""`modelwatch export`: an incident bundle, one file that `modelwatch open` reads elsewhere."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from console.analysis.ask import Ask
from console.bundle import Bundle, RecordedReader, RecordingReader, write_bundle
from console.commands.common import opened
from console.commands.files import new_file
from console.commands.show import ask_from, check_version
from console.errors import UsageError
from console.messages import say
from console.panes import PANES, take
from console.progress import LoadProgress
from console.recording import ROWS, ask_everything, hidden
from console.report.html import html
from console.report.markdown import markdown
from console.report.pages import report_of
from console.show import to_json
from console.snapshots import Taker
from console.toml import configuration_toml
from console.windows import make_ask

__all__ = ["run"]

_MOST = 10_000


def run(options: argparse.Namespace) -> int:
    """Write the bundle; 0."""
    rows = _rows(options)
    made_at = datetime.now(UTC)
    with opened(options) as store:
        ask = ask_from(options, store.config, store.clock.now())
        d = ask.deployment
        check_version(store.reader, ask)
        unknown = sorted(set(options.redact or ()) - set(_logged(ask)))
        if unknown:
            raise UsageError(f"{unknown[0]!r} is no feature and no segment that could be redacted")
        recording = RecordingReader(store.reader.at_once())
        shown = LoadProgress()
        hours = max(1, int((ask.as_of - ask.start) / timedelta(hours=1)))
        screen = make_ask(d, ask.as_of, timedelta(hours=hours))
        taker = Taker(recording, (d,), load_times=False, exported=store.exported)
        for doing in ask_everything(taker, ask, screen, rows=rows):
            shown.step(doing, None)
        shown.end("")
        answers = hidden(
            recording.answers,
            d,
            rows=bool(rows),
            redacted=options.redact or (),
            keep_ids=options.keep_ids,
        )
    bundle = Bundle(
        d, ask.start, ask.end, ask.as_of, made_at, _version(), answers, exported=store.exported
    )
    texts = _texts(bundle, ask, rows=bool(rows))
    target = Path(options.output or f"{d.name}-{ask.as_of:%Y%m%dT%H%M}.modelwatch")
    with new_file(target, replace=options.force) as place:
        write_bundle(place, replace(bundle, texts=texts))
    size = target.stat().st_size / 1e6
    say(f"wrote {target} ({size:.1f} MB); `modelwatch open {target}` shows it", sys.stderr)
    return 0


def _texts(bundle: Bundle, ask: Ask, *, rows: bool) -> dict[str, str]:
    """Everything for reading, made from what the bundle itself can answer."""
    reader = RecordedReader(bundle)
    taker = Taker(reader, (ask.deployment,), load_times=False, exported=bundle.exported)
    texts = {"modelwatch.toml": configuration_toml(ask.deployment)}
    for pane in PANES.values():
        if (pane.name == ROWS and not rows) or (ask.segment is not None and not pane.by_segment):
            continue
        if pane.name != ROWS:
            texts[f"snapshots/{pane.name}.json"] = (
                to_json(pane.name, take(pane.name, taker, ask)) + "\n"
            )
    report = report_of(taker, ask, bundle.made_at, bundle.made_by)
    texts |= {"report.md": markdown(report), "report.html": html(report)}
    return texts


def _rows(options: argparse.Namespace) -> int:
    """How many raw rows per kind go into the bundle; 0 for none."""
    if not options.rows:
        if options.redact or options.keep_ids or options.limit:
            raise UsageError("--redact, --keep-ids and --limit are about raw rows: give --rows too")
        return 0
    limit = options.limit or "100"
    if not limit.isdecimal() or not 0 < int(limit[:7]) <= _MOST:
        raise UsageError(f"--limit takes a number up to {_MOST:,}, not {limit!r}")
    return int(limit)


def _logged(ask: Ask) -> list[str]:
    d = ask.deployment
    return [*(f.name for f in d.features), *(s.source_column for s in d.segments)]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("modelwatch")
    except PackageNotFoundError:
        return "from a source tree"
