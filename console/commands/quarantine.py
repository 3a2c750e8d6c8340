"""`modelwatch quarantine`: records that could not be used; list, export, read them anew."""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from collectors.store.quarantine import CONTENT
from collectors.text import clean, harmless
from console.commands.common import chosen, configuration, opened, own_store
from console.commands.files import new_file
from console.errors import UsageError
from console.messages import complain, say
from console.show import to_table
from console.views import quarantine

__all__ = ["run"]

MOST, ALL = 100, 10_000_000

Record = Mapping[str, Any]


def run(options: argparse.Namespace) -> int:
    """Print records, or replay them: 0, or 1 when some are still unusable after a replay."""
    if options.replay:
        return _replay(options)
    limit = _limit(options)
    with opened(options) as store:
        d = chosen(store.config.deployment, options.deployment)
        counts = store.reader.query("quarantine", d.name)
        found = store.reader.query(
            "quarantine_records",
            d.name,
            most=limit,
            longest=CONTENT,
            reason=_reason(options, counts["reason"].to_list()),
            kind=options.kind,
        )
    records = found.to_dicts()
    total = sum(
        c["n"]
        for c in counts.to_dicts()
        if options.reason in (None, c["reason"]) and options.kind in (None, c["kind"])
    )
    if options.output:
        with new_file(Path(options.output)) as place:
            place.write_text(_written(options, records, d.name, total) + "\n", encoding="utf-8")
        say(f"wrote {options.output}", sys.stderr)
    else:
        print(_written(options, records, d.name, total))  # noqa: T201 - cleaned below
    if len(records) < total:
        say(f"the newest {len(records):,} of {total:,}; --limit gives more", sys.stderr)
    return 0


def _limit(options: argparse.Namespace) -> int:
    if options.limit is None:
        return ALL if options.output else MOST
    if not options.limit.isdecimal() or not 0 < int(options.limit[:9]) <= ALL:
        raise UsageError(f"--limit takes a number up to {ALL:,}, not {options.limit!r}")
    return int(options.limit)


def _reason(options: argparse.Namespace, known: Sequence[str]) -> str | None:
    """The asked reason; one that nothing has is a slip of the pen. Raises UsageError."""
    reason: str | None = options.reason
    if reason is not None and reason not in known:
        listed = ", ".join(sorted(set(known))) or "nothing in quarantine"
        raise UsageError(f"no record has the reason {reason!r}; there is {listed}")
    return reason


def _written(
    options: argparse.Namespace, records: Sequence[Record], deployment: str, total: int
) -> str:
    match options.format:
        case "json":
            return json.dumps([_document(r) for r in records], indent=2)
        case "csv":
            return _csv([_document(r) for r in records])
        case "records":
            return _contents(records)
        case _:
            title = f"{total:,} records of {deployment} that could not be used"
            width = shutil.get_terminal_size((120, 24)).columns
            return to_table(quarantine.view(records), title, width)


def _document(r: Record) -> dict[str, Any]:
    """A record as JSON has it. content_complete: whether all of it was kept."""
    at: datetime = r["at_time"]
    return {
        "kind": r["kind"],
        "reason": r["reason"],
        "detail": r["detail"],
        "source": r["source"],
        "record": r["position"],
        "loaded_at": at.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z"),
        "content": r["content"],
        "content_complete": 0 < len(r["content"]) < CONTENT,
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    names = ("kind", "reason", "detail", "source", "record", "loaded_at", "content")
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: harmless(v) for k, v in row.items()} for row in rows)
    return out.getvalue().rstrip("\n")


def _contents(records: Sequence[Record]) -> str:
    """What was in the records, one a line, so that a mended copy can be collected."""
    whole = [r["content"] for r in records if 0 < len(r["content"]) < CONTENT]
    if len(whole) < len(records):
        complain(
            f"{len(records) - len(whole)} are left out: of records longer than {CONTENT:,} "
            "characters only the beginning was kept, of very many alike only the place"
        )
    return "\n".join(clean(content, CONTENT) for content in whole)


def _replay(options: argparse.Namespace) -> int:
    """Read the files of quarantined records anew; says what became of them."""
    if options.log:
        raise UsageError("--replay is for a recorded store; logs are read anew when flags change")
    path, config = configuration(options)
    with own_store(options, path, config) as database:
        base = path.resolve().parent
        ingest = Ingest(database, config.deployment, base, lambda: datetime.now(UTC))
        d = chosen(config.deployment, options.deployment)
        stored = ingest.stored[d.name]
        reader = InProcessReader(database)
        before = _counts(reader, d.name)
        _reason(options, [reason for _, reason in before])
        released = ingest.release(stored, options.reason, options.kind)
        problems = ingest.collect().problems
        after = _counts(reader, d.name)
        reader.close()
    for kind, reason in sorted({*before, *after}):
        was, now = before[kind, reason], after[kind, reason]
        say(f"{kind}: {reason}: {was:,} before, {now:,} now")
    kept = sum(before.values()) - released
    if kept and not options.reason and not options.kind:
        complain(f"{kept:,} records are of files that are no longer there; they stay as they are")
    for problem in problems:
        complain(f"{problem.deployment} {problem.kind}: {problem.message}")
    return 1 if sum(after.values()) else 0


def _counts(reader: InProcessReader, deployment: str) -> Counter[tuple[str, str]]:
    rows = reader.query("quarantine", deployment).to_dicts()
    return Counter({(r["kind"], r["reason"]): r["n"] for r in rows})
