"""`modelwatch check`: is the configuration right, and do its files exist and fit."""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from collectors.contract import Deployment, FileFormat
from collectors.errors import CollectorError
from collectors.formats.logs import form_of, stage_log
from collectors.jobs import asked_sources, wanted_columns
from collectors.sources.files import find_files
from collectors.sources.pulled import open_puller
from collectors.store.database import Database
from collectors.store.loading import Offset
from console.commands.common import configuration
from console.config import Config
from console.control.acting import split_words
from console.control.errors import ControlError
from console.control.health import HealthChecks
from console.control.plane import Change, Health
from console.control.planes.registry import make_plane
from console.control.split import Split
from console.messages import say

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print what was looked at; 0, or 1 when something does not fit."""
    path, config = configuration(options)
    problems = 0
    say(f"{path}: {len(config.deployment)} deployment(s)")
    for d in config.deployment:
        problems += _check(d, path.resolve().parent) + _ask(d, path.resolve().parent)
    problems += _controls(config, path.resolve().parent)
    say("everything fits" if not problems else f"{problems} problem(s)")
    return 1 if problems else 0


def _check(d: Deployment, base: Path) -> int:
    problems = 0
    for kind, columns, paths, fmt in wanted_columns(d):
        try:
            files = find_files(paths, base)
            if not files:
                raise CollectorError(f"no file matches {', '.join(paths)} yet")
            missing = sorted(columns - _columns_of(files[0], fmt))
        except CollectorError as error:
            say(f"  {d.name} {kind}: {error}")
            problems += 1
            continue
        if missing:
            named = ", ".join(missing)
            say(f"  {d.name} {kind}: {files[0].name} has no column {named}")
            problems += 1
        else:
            say(f"  {d.name} {kind}: {len(files)} file(s), every column is there")
    return problems


def _ask(d: Deployment, base: Path) -> int:
    """Ask each source that is asked for its first page; how many do not answer or do not fit."""
    problems = 0
    for source, kind, columns in asked_sources(d):
        try:
            with (
                tempfile.TemporaryDirectory(prefix="modelwatch-") as folder,
                open_puller(source, base) as puller,
            ):
                page = next(iter(puller.pages({}, Path(folder), datetime.now(UTC))), None)
                written = page is not None and page.path.stat().st_size
                found = _columns_of(page.path, page.format) if page and written else set()
        except CollectorError as error:
            say(f"  {d.name} {kind}: {error}")
            problems += 1
            continue
        missing = ", ".join(sorted(columns - found)) if found else ""
        if missing:
            problems += 1
        fits = f"its first page has no column {missing}" if missing else "it answers"
        say(f"  {d.name} {kind}: {source.shown}: {fits}")
    return problems


def _controls(config: Config, base: Path) -> int:
    """Read each control plane, and try to leave it as it is; how many cannot be used."""
    problems = 0
    for name, control in config.controls.items():
        try:
            with make_plane(control, base) as plane:
                observed = plane.read()
                split = observed.split
                change = Change("c-check", split, split or Split(()), observed.revision)
                wrong = tuple(plane.dry_run(change)) if split is not None else ()
                unread = [r for r in observed.replicas if r.weights is None]
        except ControlError as error:
            say(f"  {name} traffic: {error}")
            problems += 1
            continue
        for text in (*(f"{r.name}: {r.problem}" for r in unread), observed.problem, *wrong):
            if text:
                say(f"  {name} traffic: {text}")
                problems += 1
        for arm, (health, detail) in (
            HealthChecks(control.health, control.plane.timeout.total_seconds()).ask().items()
        ):
            if health is not Health.UP:
                say(f"  {name} traffic: {arm} is {health.value} ({detail})")
                problems += 1
        say(f"  {name} traffic: {plane.name}: {split_words(observed)}")
    return problems


def _columns_of(path: Path, fmt: FileFormat) -> set[str]:
    with Database(None) as database:
        cursor = database.connection
        form = form_of(cursor, path, fmt)
        batch = next(stage_log(cursor, path, form, Offset(), whole=True), None)
        return set(batch.columns.types) if batch is not None else set()
