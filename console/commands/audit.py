"""`modelwatch audit`: what was changed, by whom and why; whether the record of it is whole."""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collectors.text import clean, harmless
from console.commands.common import configuration, store_path
from console.commands.files import new_file
from console.control.audit import Audit, AuditCheck, Head, audit_path
from console.errors import UsageError
from console.messages import say
from console.show import to_table
from console.views.audit import check_document, document, flat, view

__all__ = ["run"]

MOST, ALL = 50, 1_000_000

_COLUMNS = (
    *("n", "at", "kind", "deployment", "change", "user", "host", "origin", "program"),
    *("what", "reason", "previous", "hash"),
)


def run(options: argparse.Namespace) -> int:
    """Show, verify or export; 0, or 1 when the record is not whole. Raises AuditError."""
    audit = _audit(options)
    match options.action:
        case "show":
            return _show(options, audit)
        case "verify":
            return _verify(options, audit)
        case _:
            return _export(options, audit)


def _audit(options: argparse.Namespace) -> Audit:
    """The audit of the store, or the file that is given. Raises UsageError."""
    if options.input is not None:
        path = Path(options.input)
        if not path.exists():
            raise UsageError(f"there is no file {path}")
        return Audit(path)
    path, config = configuration(options)
    return Audit(audit_path(store_path(options, path, config)))


def _refuse(options: argparse.Namespace, *keys: str) -> None:
    for key in keys:
        if getattr(options, key):
            raise UsageError(f"audit {options.action} takes no --{key}")


# -- show ------------------------------------------------------------------------------------------


def _show(options: argparse.Namespace, audit: Audit) -> int:
    _refuse(options, "output", "force", "head")
    entries = audit.entries()
    mine = [e for e in entries if options.deployment in (None, e.deployment)]
    if options.deployment is not None and not mine and entries:
        listed = ", ".join(dict.fromkeys(e.deployment for e in entries))
        raise UsageError(f"the audit has nothing of {options.deployment!r}; there is {listed}")
    shown = mine[::-1][: _limit(options)]
    unresolved = [e for e in audit.unresolved() if options.deployment in (None, e.deployment)]
    match options.format:
        case "json":
            found = {
                "audit": str(audit.path),
                "n": len(mine),
                "unresolved": [e.change for e in unresolved],
                "entries": document(entries, shown),
            }
            print(json.dumps(found, indent=2))  # noqa: T201 - ASCII only
        case "csv":
            print(_csv(document(entries, shown)))  # noqa: T201 - cleaned below
        case _:
            width = shutil.get_terminal_size((120, 24)).columns
            title = f"{len(mine):,} entries of the audit {audit.path}"
            say(to_table(view(entries, shown, unresolved), title, width))
    if len(shown) < len(mine):
        say(f"the newest {len(shown):,} of {len(mine):,}; --limit gives more", sys.stderr)
    return 0


def _limit(options: argparse.Namespace) -> int:
    if options.limit is None:
        return MOST
    if not options.limit.isdecimal() or not 0 < int(options.limit[:9]) <= ALL:
        raise UsageError(f"--limit takes a number up to {ALL:,}, not {options.limit!r}")
    return int(options.limit)


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: harmless(v) for k, v in flat(r).items()} for r in records)
    return out.getvalue().rstrip("\n")


# -- verify ----------------------------------------------------------------------------------------


def _verify(options: argparse.Namespace, audit: Audit) -> int:
    _refuse(options, "output", "force", "limit", "deployment")
    if options.format == "csv":
        raise UsageError("audit verify prints a table or JSON")
    noted = None
    if options.head is not None:
        try:
            noted = Head.parsed(options.head)
        except ValueError as error:
            raise UsageError(str(error)) from error
    check = audit.verify(noted, alone=options.input is not None)
    if options.format == "json":
        print(json.dumps(check_document(str(audit.path), check), indent=2))  # noqa: T201 - ASCII
    else:
        _tell(audit, check)
    return 0 if check.fine else 1


def _tell(audit: Audit, check: AuditCheck) -> None:
    where = f"{audit.path}"
    if not check.fine:
        line = f"line {check.line}: " if check.line else ""
        say(f"{where} is not whole: {line}{check.why}")
        return
    if not check.n:
        say(f"{where}: no entries; nothing was changed yet")
        return
    s = "" if check.torn == 1 else "s"
    torn = f"; {check.torn} unfinished line{s} that a crash left" if check.torn else ""
    say(f"{where}: {check.n:,} entries, all there and unchanged{torn}")
    say(f"head {Head(check.n, check.head)}")


# -- export ----------------------------------------------------------------------------------------


def _export(options: argparse.Namespace, audit: Audit) -> int:
    _refuse(options, "head", "limit")
    as_csv = options.format == "csv"
    if options.deployment is not None and not as_csv:
        raise UsageError(
            "entries of one deployment alone are no chain that could be verified; "
            "--format csv exports them"
        )
    check = audit.verify(alone=options.input is not None)
    if as_csv:
        entries = audit.entries()
        mine = [e for e in entries if options.deployment in (None, e.deployment)]
        _write(options, (_csv(document(entries, mine)) + "\n").encode())
    else:
        _write(options, audit.content())
    if not check.fine:
        line = f"line {check.line}: " if check.line else ""
        say(f"it is not whole: {line}{check.why}", sys.stderr)
        return 1
    if check.n:
        say(f"head {Head(check.n, check.head)}", sys.stderr)
    return 0


def _write(options: argparse.Namespace, data: bytes) -> None:
    if options.output:
        with new_file(Path(options.output), replace=options.force) as place:
            place.write_bytes(data)
        say(f"wrote {options.output}", sys.stderr)
    elif sys.stdout.isatty():  # a line that was tampered with may hold anything
        for line in data.decode("utf-8", "replace").splitlines():
            print(clean(line, len(line)))  # noqa: T201 - cleaned
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
