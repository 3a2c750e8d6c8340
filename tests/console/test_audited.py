"""What the console itself changed is told where other changes of the serving system are."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import awkward
import pytest
from show_schema import PANE_SCHEMAS, check

from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.analysis.changes import MOST_CHANGES
from console.audited import AuditedReader
from console.cli import main
from console.clocks import FixedClock
from console.config import load_config
from console.control.audit import Audit, Entry, EntryKind, audit_path
from console.control.split import Split
from console.control.told import changed_shares, changes_told, sentence
from console.control.who import Who
from console.feed import Request
from console.panes import take, view
from console.session import Session
from console.snapshots import Taker
from console.views import audit as audit_view
from console.views.model import TimePlot
from console.windows import make_ask

DURING = awkward.FIRST + timedelta(hours=9, minutes=30)
ME = Who("mei", "ops-1", "", "command")
BEFORE, AFTER = {"v1": 100, "v2": 0}, {"v1": 75, "v2": 25}


class Writing:
    """An audit that is filled, half a minute between entries."""

    def __init__(self, audit: Audit, at: datetime = DURING) -> None:
        self.audit, self.at = audit, at

    def add(self, kind: EntryKind, change: str, **fields: Any) -> Entry:
        self.at += timedelta(seconds=30)
        return self.audit.append(self.at, kind, "binary", change, ME, fields)

    def change(self, change: str, purpose: str, outcome: str, **more: Any) -> None:
        fields = {"purpose": purpose, "before": BEFORE, "after": AFTER, "reason": "why not", **more}
        self.add(EntryKind.INTENT, change, **fields)
        if outcome:
            self.add(EntryKind.RESULT, change, outcome=outcome, text="so it is")


def told(audit: Audit, as_of: datetime | None = None) -> list[tuple[str, str, str]]:
    end = DURING + timedelta(days=1)
    found = changes_told(audit.entries(), "binary", DURING, end, as_of or end)
    return [(c.kind, c.subject, c.detail) for c in found]


@pytest.fixture
def writing(tmp_path: Path) -> Writing:
    return Writing(Audit(tmp_path / "a.jsonl"))


def test_changes_that_may_have_been_made_are_told_and_refused_ones_are_not(
    writing: Writing,
) -> None:
    writing.change("c-1", "set", "applied")
    writing.change("c-2", "ramp", "not verified")
    writing.change("c-3", "fallback", "partial", before=None)
    writing.change("c-4", "set", "conflict")
    writing.change("c-5", "rollback", "", before=AFTER, after=BEFORE, reason="")
    writing.add(EntryKind.REFUSED, "c-6", purpose="set", after=AFTER, text="no")
    writing.add(EntryKind.RAMP, "r-1", event="waits", arm="v2", why="too few")
    writing.add(EntryKind.RAMP, "r-1", event="paused", arm="v2", why="by hand")
    writing.add(EntryKind.FALLBACK, "f-1", event="broken", target="old", rule="errors", why="9%")
    shares = "v1 100% -> 75%, v2 0% -> 25%"
    assert told(writing.audit) == [
        ("split", "v2", f"{shares} (set by mei@ops-1: why not; applied)"),
        ("ramp", "v2", f"{shares} (ramp by mei@ops-1: why not; not verified)"),
        ("fallback", "v1, v2", "to v1 75%, v2 25% (fallback by mei@ops-1: why not; partial)"),
        ("split", "v1", "v1 75% -> 100%, v2 25% -> 0% (rollback by mei@ops-1; no result)"),
        ("ramp", "v2", "paused: by hand"),
        ("fallback", "old", "broken: errors: 9%"),
    ]


def test_at_an_earlier_moment_the_result_was_not_known(writing: Writing) -> None:
    writing.change("c-1", "set", "refused")
    assert told(writing.audit) == []
    first = writing.audit.entries()[0].at
    assert told(writing.audit, first)[0][2].endswith("; no result)")
    assert told(writing.audit, first - timedelta(seconds=1)) == []


def test_whatever_an_entry_holds_there_is_a_sentence(writing: Writing) -> None:
    odd: tuple[Any, ...] = (None, 1, [], {}, {"v1": "x"}, {"v1": -1}, "\x1b[31m", [[1]], True)
    for kind in EntryKind:
        for value in odd:
            keys = ("purpose", "before", "after", "outcome", "text", "event", "step", "why")
            entry = writing.add(kind, "c", **dict.fromkeys(keys, value))
            assert isinstance(sentence(entry), str)
            entries = writing.audit.entries()
            assert audit_view.view(entries, entries[-1:], entries[-1:]).table.rows
            json.dumps(audit_view.document(entries, entries[-1:]), allow_nan=False)
    assert all(text.isprintable() for each in told(writing.audit) for text in each)
    assert changed_shares(None, None) == ""
    assert changed_shares(Split.of({"a": 1}), Split.of({"a": 100})) == "still a 100%"
    assert changed_shares(Split.of({"a": 1, "old": 1}), Split.of({"a": 2})) == (
        "a 50% -> 100%, old 50% -> 0%"
    )


# -- in the panes ----------------------------------------------------------------------------------


@pytest.fixture
def config(awkward_config: Path, tmp_path: Path) -> Path:
    """The awkward store, with one change of the serving system and an audit beside it."""
    for name in ("store.duckdb", awkward_config.name):
        shutil.copy(awkward_config.parent / name, tmp_path / name)
    with Database(tmp_path / "store.duckdb") as database:
        database.connection.execute(
            "INSERT INTO change_events (ts, deployment, kind, subject, detail, source, batch) "
            "VALUES (?, 'binary', 'alias', 'champion', '3 -> 4', 'registry', 1)",
            [(DURING + timedelta(hours=1)).replace(tzinfo=None)],
        )
    writing = Writing(Audit(audit_path(tmp_path / "store.duckdb")))
    writing.change("c-1", "set", "applied", reason="\x1b[31m[bold]")
    writing.change("c-2", "fallback", "applied")
    writing.audit.append(DURING, EntryKind.INTENT, "multi", "c-3", ME, {"after": AFTER})
    return tmp_path / awkward_config.name


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main([*words]) == 0
    return capsys.readouterr().out


def test_the_traffic_pane_marks_them_among_the_others(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("show", "traffic", "--config", str(config), "--window", "2d")
    document = json.loads(shown(capsys, *words, "--format", "json"))
    check(document, PANE_SCHEMAS["traffic"], "traffic")
    assert [(c["kind"], c["subject"]) for c in document["recorded_changes"]] == [
        ("split", "v2"),
        ("fallback", "v2"),
        ("alias", "champion"),
    ]
    assert document["n_recorded_changes"] == 3
    assert "\x1b" not in shown(capsys, *words)


def test_they_are_marks_on_the_screen_and_events_of_an_explanation(config: Path) -> None:
    loaded = load_config(config)
    deployment = next(d for d in loaded.deployment if d.name == "binary")
    ask = make_ask(deployment, awkward.LAST_KNOWN, timedelta(days=2))
    audit = Audit(audit_path(config.parent / "store.duckdb"))
    with Database(config.parent / "store.duckdb", read_only=True) as database:
        reader = InProcessReader(database)
        taker = Taker(AuditedReader(reader, audit), loaded.deployment)
        plots = view("traffic", take("traffic", taker, ask)).plots
        marks = [m.name for plot in plots if isinstance(plot, TimePlot) for m in plot.marks]
        assert any("split v2" in name for name in marks)
        told = [e for e in taker.explain(ask, "accuracy").events if "by mei@ops-1" in e.text]
        assert [e.kind for e in told] == ["split", "fallback"]
        reader.close()


def test_the_console_marks_them(config: Path) -> None:
    loaded = load_config(config)
    audit = Audit(audit_path(config.parent / "store.duckdb"))
    database = Database(config.parent / "store.duckdb", read_only=True)
    clock = FixedClock(awkward.LAST_KNOWN)
    session = Session(database, loaded.deployment, clock, audit=audit)
    request = Request(("traffic",), deployment="binary", window=timedelta(days=2))
    drawn = dict(list(session.frames(request))[-1].views)["traffic"]
    marks = [m.name for plot in drawn.plots if isinstance(plot, TimePlot) for m in plot.marks]
    assert any("split v2" in name for name in marks)
    session.close()


def test_the_newest_are_told_when_there_are_very_many(config: Path) -> None:
    audit = Audit(audit_path(config.parent / "store.duckdb"))
    for n in range(MOST_CHANGES + 5):
        at = DURING + timedelta(hours=2, seconds=n)
        audit.append(at, EntryKind.INTENT, "binary", f"c-{n}-", ME, {"after": AFTER})
    with Database(config.parent / "store.duckdb", read_only=True) as database:
        reader = AuditedReader(InProcessReader(database), audit)
        start, end = awkward.FIRST.replace(tzinfo=None), datetime(2100, 1, 1, tzinfo=UTC)
        naive_end = end.replace(tzinfo=None)
        asked = {"start": start, "end": naive_end, "as_of": naive_end, "most": MOST_CHANGES}
        found = reader.at_once().query("change_events", "binary", **asked)
    assert found.height == MOST_CHANGES
    assert found["n_found"].unique().to_list() == [MOST_CHANGES + 5 + 3]
    assert found["ts"].is_sorted(descending=True)
    assert "alias" not in found["kind"].to_list()


def test_an_incident_bundle_holds_them(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "b.modelwatch"
    window = ("--config", str(config), "--window", "2d")
    shown(capsys, "export", *window, "--output", str(bundle))
    document = json.loads(
        shown(capsys, "show", "traffic", "--log", str(bundle), "--format", "json")
    )
    assert "split" in [c["kind"] for c in document["recorded_changes"]]


def test_an_audit_that_cannot_be_read_takes_no_pane_down(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = audit_path(config.parent / "store.duckdb")
    path.unlink()
    path.mkdir()
    words = ("show", "traffic", "--config", str(config), "--window", "2d", "--format", "json")
    document = json.loads(shown(capsys, *words))
    assert [c["kind"] for c in document["recorded_changes"]] == ["alias"]
