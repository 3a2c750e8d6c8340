"""Exported logs, opened without a configuration: looked at, guessed, built into a store.

Flags and the guess make a configuration. The logs are loaded once, into a store that is kept in
the cache under what the logs, the flags and this release are, so that they open at once again.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collectors.contract import Deployment, FileFormat
from collectors.errors import CollectorError, FormatError, SourceError, StoreError
from collectors.formats.records import Takes
from collectors.ingest import PREDICTIONS, Collected, Ingest
from collectors.profile import profile_log
from collectors.propose import GUESS_VERSION, Given, LogSources, Proposal, propose
from collectors.reader import InProcessReader
from collectors.sources.files import find_files
from collectors.store.catalog import stored_contract
from collectors.store.database import SCHEMA_VERSION, Database, StoreSettings
from collectors.store.rollups import ROLLUP_VERSION
from console.analysis.ask import utc
from console.bundle import Bundle, is_bundle, read_bundle
from console.cache import Kept, StoreCache, key_of, mark_of
from console.config import Config, ConsoleSection
from console.errors import UsageError
from console.messages import complain, say
from console.options import LOG_FLAGS
from console.progress import LoadProgress
from console.views.proposal import doubt_sentence, sentences
from console.windows import FAR, latest_moment

__all__ = [
    "Agree",
    "Logs",
    "bundle_of",
    "configuration_of",
    "configuration_of_bundle",
    "kept_store",
    "local_paths",
    "logs_of",
    "opened_logs",
    "proposal_of",
    "refuse_without_log",
]

STDIN = "-"
SETTINGS = StoreSettings("2GB")
LONGEST_HOURS = 36_525 * 24
_LARGEST_STDIN = 50 * 1024**3


@dataclass(frozen=True, slots=True)
class Logs:
    """What the options name: paths as given, and what is said of their columns."""

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    reference: str
    format: FileFormat
    given: Given

    @property
    def name(self) -> str:
        """A deployment's name after the first path."""
        stem = Path(self.paths[0]).name.split(".")[0]
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-_.")[:63]
        return plain or "log"

    def files(self) -> tuple[Path, ...]:
        """Every file that is read. Raises SourceError."""
        named = (*self.paths, *self.labels, *([self.reference] if self.reference else []))
        return find_files(named, Path.cwd())


Agree = Callable[[Logs, Proposal], tuple[Logs, Proposal]]


def logs_of(options: argparse.Namespace, paths: Sequence[str]) -> Logs:
    """The logs of a command's options. Raises UsageError."""
    scores: dict[str, str] = {}
    for text in options.class_score or ():
        name, equals, column = text.rpartition("=")
        if not equals or not name or not column:
            raise UsageError(f"--class-score takes CLASS=COLUMN, not {text!r}")
        scores[name] = column
    mapped = options.command in ("open", "init")  # elsewhere these choose what is shown
    given = Given(
        timestamp=options.timestamp or "",
        id=options.id or "",
        prediction=options.prediction or "",
        score=options.score or "",
        target=options.target or "",
        version=options.version_column or (mapped and options.version) or "",
        segments=tuple(options.segment_column or (mapped and options.segment) or ()),
        features=tuple(options.feature or ()),
        class_scores=scores,
        task=options.task or "",
        positive=options.positive or "",
        timezone=options.timezone or "",
        traffic=options.traffic or "",
    )
    fmt = FileFormat(options.log_format or "auto")
    return Logs(tuple(paths), tuple(options.labels or ()), options.reference or "", fmt, given)


def refuse_without_log(
    options: argparse.Namespace, why: str = "give exported logs with --log"
) -> None:
    """Flags about columns of logs mean nothing without logs. Raises UsageError."""
    for flag in LOG_FLAGS:
        if getattr(options, _field(flag), None):
            raise UsageError(f"{flag} is about exported logs; {why}")


def bundle_of(paths: Sequence[str]) -> Bundle | None:
    """The bundle that is named instead of logs; None when none is. Raises StoreError."""
    found = [path for path in paths if path != STDIN and is_bundle(Path(path).expanduser())]
    if not found:
        return None
    if len(paths) > 1:
        raise UsageError(f"{found[0]} is a bundle: open it alone")
    return read_bundle(Path(found[0]).expanduser())


def configuration_of_bundle(bundle: Bundle) -> Config:
    """The configuration that a bundle is shown with: its window, as of its moment."""
    hours = max(1, int((bundle.as_of - bundle.start) / timedelta(hours=1)))
    console = ConsoleSection(clock="latest", window=f"{min(hours, LONGEST_HOURS)}h")
    return Config(console=console, deployment=(bundle.deployment,))


@contextmanager
def opened_logs(options: argparse.Namespace) -> Iterator[tuple[Config, Database]]:
    """The store of the logs after `--log`, built if need be, and a configuration for it."""
    with local_paths(options.log) as paths:
        logs = logs_of(options, paths)
        with (
            kept_store(logs, keep=not options.no_cache) as kept,
            Database(kept.store, SETTINGS, read_only=True) as database,
        ):
            yield configuration_of(database), database


@contextmanager
def local_paths(given: Sequence[str]) -> Iterator[list[str]]:
    """The paths, standard input spooled to a file for as long as it is needed."""
    if STDIN not in given:
        yield list(given)
        return
    with tempfile.TemporaryDirectory(prefix="modelwatch-") as folder:
        spool = Path(folder) / "stdin"
        size = 0
        with spool.open("wb") as file:
            while piece := sys.stdin.buffer.read(1 << 20):
                size += len(piece)
                if size > _LARGEST_STDIN:
                    raise UsageError("standard input is too large; write it to a file first")
                file.write(piece)
        if not size:
            raise UsageError("nothing came on standard input")
        yield [str(spool) if path == STDIN else path for path in given]


def proposal_of(logs: Logs) -> Proposal:
    """How the logs are read. Raises SourceError, FormatError when there is nothing to read."""
    found = find_files(logs.paths, Path.cwd())
    named = logs.given.columns
    profile = profile_log(found, logs.format, named=named)
    if profile is None:
        raise SourceError(_nothing(logs, found))
    labels = reference = None
    if logs.labels:
        label_files = find_files(logs.labels, Path.cwd())
        labels = profile_log(label_files, takes=Takes.LABELS)
        if labels is None:
            raise SourceError(f"there is no record in {', '.join(logs.labels)}")
    elif profile.form.platform is not None:
        labels = profile_log(found, logs.format, takes=Takes.LABELS)
    if logs.reference:
        reference = profile_log(find_files([logs.reference], Path.cwd()))
    absolute = tuple(_absolute(path) for path in logs.paths)
    return propose(
        LogSources(
            name=logs.name,
            paths=absolute,
            log=profile,
            format=logs.format,
            label_paths=tuple(_absolute(path) for path in logs.labels),
            labels=labels if logs.labels else None,
            reference_path=_absolute(logs.reference) if logs.reference else "",
            reference=reference,
            platform_labels=labels is not None and not logs.labels,
        ),
        logs.given,
    )


@contextmanager
def kept_store(logs: Logs, *, keep: bool, agreed: Agree | None = None) -> Iterator[Kept]:
    """The logs' store: from the cache, or built now.

    agreed: what the user makes of a guess; without it the guess is printed, and a doubt raises
    UsageError with the flag to give.
    """
    cache = StoreCache(os.environ)
    kept = _found(cache, logs) if keep else None
    if kept is not None:
        yield kept
        return
    proposal = proposal_of(logs)
    if agreed is not None:
        logs, proposal = agreed(logs, proposal)
        kept = _found(cache, logs) if keep else None
        if kept is not None:
            yield kept
            return
    else:
        for line in sentences(proposal):
            say(line, sys.stderr)
    if proposal.deployment is None:
        raise UsageError("\n".join(doubt_sentence(doubt) for doubt in proposal.doubts))
    with cache.building() as place:
        key = _key(logs)  # before it is read: what changes meanwhile is not kept as it is now
        _build(proposal.deployment, place, logs)
        notes = {"sentences": list(sentences(proposal))}
        yield cache.keep(key, place, notes) if keep else Kept(place, notes)


def _found(cache: StoreCache, logs: Logs) -> Kept | None:
    """The store in the cache, if it is there and can be opened."""
    key = _key(logs)
    kept = cache.find(key)
    if kept is None or _usable(kept):
        return kept
    complain("the kept store of these logs is damaged; it is built anew")
    cache.forget(key)
    return None


def _key(logs: Logs) -> str:
    """All that a store depends on: the files' content, what is said of them, this release."""
    files = [[str(path), mark_of(path)] for path in logs.files()]
    asked = [logs.paths, logs.labels, logs.reference, logs.format.value, asdict(logs.given)]
    return key_of([ROLLUP_VERSION, SCHEMA_VERSION, GUESS_VERSION, files, asked])


def configuration_of(database: Database) -> Config:
    """The configuration of a store of logs: what it holds, over all of its time."""
    reader = InProcessReader(database)
    contracts = reader.query("deployments")["contract"].to_list()
    deployments = tuple(stored_contract(contract) for contract in contracts)
    if not deployments:
        raise StoreError("the store holds no log")
    hours = 1
    latest = latest_moment(reader, deployments)
    for d in deployments:
        first = reader.query("extent", d.name, end=FAR)["first_bucket"].to_list()[0]
        if first is not None and latest is not None:
            hours = max(hours, math.ceil((latest - utc(first)) / timedelta(hours=1)))
    reader.close()
    console = ConsoleSection(clock="latest", window=f"{min(hours, LONGEST_HOURS)}h")
    return Config(console=console, deployment=deployments)


def _build(deployment: Deployment, place: Path, logs: Logs) -> None:
    """Load the logs into a new store. Raises CollectorError when nothing of them can be used."""
    shown = LoadProgress()
    clock = datetime.now(UTC)
    with Database(place, SETTINGS) as database:
        ingest = Ingest(database, [deployment], Path.cwd(), lambda: clock)

        def progress(what: str, done: int, total: int) -> None:
            rows = ingest.n_read if what.startswith("loading") else 0
            shown.step(what, done / total if total else None, rows)

        collected = ingest.collect(progress)
        shown.end(f"{logs.name}: {_summary(collected)}")
        for problem in collected.problems:
            complain(f"{problem.kind}: {problem.message}")
        new = sum(c.n_new for _, kind, c in collected.counts if kind == PREDICTIONS)
        if not new:
            raise FormatError(f"no prediction could be read: {_reasons(database, deployment)}")
        database.connection.execute("CHECKPOINT")


def _summary(collected: Collected) -> str:
    parts = []
    for _, kind, c in collected.counts:
        if c.n_read:
            said = [f"{c.n_read:,} {kind}"]
            said += [
                f"{n:,} {word}"
                for n, word in (
                    (c.n_duplicate, "repeated"),
                    (c.n_waiting, "without their other half"),
                    (c.n_quarantined, "that cannot be used"),
                )
                if n
            ]
            parts.append(", ".join(said))
    return "; ".join(parts) or "nothing read"


def _reasons(database: Database, deployment: Deployment) -> str:
    reader = InProcessReader(database)
    found = reader.query("quarantine", deployment.name).to_dicts()
    reader.close()
    if not found:
        return "there is no record of one"
    return ", ".join(f"{r['n']:,} {r['kind']}: {r['reason']}" for r in found[:4])


def _usable(kept: Kept) -> bool:
    try:
        with Database(kept.store, SETTINGS, read_only=True) as database:
            configuration_of(database)
            return True
    except CollectorError:
        return False


def _nothing(logs: Logs, files: Sequence[Path]) -> str:
    where = ", ".join(logs.paths)
    if not files:
        return f"no file matches {where}"
    if all(path.stat().st_size == 0 for path in files):
        return f"every file of {where} is empty"
    return f"there is no record that can be read in {where}"


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _field(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")
