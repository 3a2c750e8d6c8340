"""Rules of data quality: what fails is set apart or flagged, the same however a log is cut."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from synthetic import (
    Logs,
    Row,
    assert_adds_up,
    assert_same,
    chunks,
    count,
    deployment,
    opened,
    predictions,
    quarantined,
    rollups,
    store_of,
    write,
)

from collectors.contract import Deployment
from collectors.ingest import Ingest
from collectors.store.catalog import StoredDeployment
from collectors.store.database import Database

RULES: dict[str, Any] = {
    "columns": {
        "x": {"range": [-1, 2]},
        "colour": {"values": ["red", "green"], "required": True},
        "latency_ms": {"max": 60, "action": "quarantine"},
        "score": {"range": [0.05, 0.95], "action": "quarantine"},
    }
}

Failed = dict[tuple[str, str, bool, datetime], int]


def noted(stored: StoredDeployment) -> Failed:
    """(rule, column, quarantined, hour) -> rows, of all batches together."""
    rows = stored.database.connection.execute(
        "SELECT rule, subject, quarantined, bucket, CAST(sum(n_failed) AS BIGINT) "
        "FROM failed_checks WHERE rule <> 'batch' GROUP BY ALL"
    ).fetchall()
    return {(rule, subject, apart, hour): n for rule, subject, apart, hour, n in rows}


def fails(row: Row) -> set[tuple[str, str]]:
    """What a row breaks of RULES, said without SQL."""
    found = set()
    if row["x"] is not None and not -1 <= row["x"] <= 2:
        found.add(("range", "x"))
    if row["colour"] is None:
        found.add(("required", "colour"))
    elif row["colour"] not in ("red", "green"):
        found.add(("values", "colour"))
    if row["latency"] > 60:
        found.add(("range", "latency_ms"))
    if row["score"] is not None and not 0.05 <= row["score"] <= 0.95:
        found.add(("range", "score"))
    return found


APART = {("range", "latency_ms"), ("range", "score")}


def expected(rows: Sequence[Row]) -> tuple[Failed, int]:
    """What must be noted, and how many records are set apart."""
    found: Counter[tuple[str, str, bool, datetime]] = Counter()
    apart = 0
    for row in rows:
        broken = fails(row)
        hour = datetime.fromisoformat(row["ts"]).replace(
            minute=0, second=0, microsecond=0, tzinfo=None
        )
        away = broken & APART
        apart += bool(away)
        for rule, subject in away or broken:
            found[rule, subject, bool(away), hour] += 1
    return dict(found), apart


def load(
    base: Path, rows: Sequence[Row], cuts: Sequence[int], suffix: str = ".csv", **changes: Any
) -> Ingest:
    for i, part in enumerate(chunks(rows, cuts)):
        write(part, base / "predictions" / f"{i:03}", suffix)
    ingest = opened(deployment(labels=None, **changes), base)
    ingest.collect()
    return ingest


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_what_fails_is_what_plain_python_says(suffix: str, tmp_path: Path) -> None:
    rows = predictions(600, 5)
    stored = store_of(load(tmp_path, rows, [], suffix, quality=RULES))
    wanted, apart = expected(rows)
    assert noted(stored) == wanted
    assert len(quarantined(stored)) == apart
    assert count(stored) == len(rows) - apart
    assert_adds_up(stored)


CUTS = given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(1, 79), max_size=5),
    again=st.booleans(),
    one_by_one=st.booleans(),
)


@settings(max_examples=3, deadline=None)
@CUTS
def test_however_a_log_is_cut_the_same_fails(
    seed: int,
    cuts: list[int],
    *,
    again: bool,
    one_by_one: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _cut_and_loaded(seed, cuts, tmp_path_factory, again=again, one_by_one=one_by_one)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@CUTS
def test_however_a_log_is_cut_the_same_fails_often(
    seed: int,
    cuts: list[int],
    *,
    again: bool,
    one_by_one: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _cut_and_loaded(seed, cuts, tmp_path_factory, again=again, one_by_one=one_by_one)


def _cut_and_loaded(
    seed: int,
    cuts: list[int],
    tmp_path_factory: pytest.TempPathFactory,
    *,
    again: bool,
    one_by_one: bool,
) -> None:
    rows = predictions(80, seed)
    repeated = [*rows, *(r for r in rows if not fails(r) & APART)] if again else rows
    base = tmp_path_factory.mktemp("cut")
    ingest = opened(deployment(labels=None, quality=RULES), base)
    for i, part in enumerate(chunks(repeated, cuts)):
        write(part, base / "predictions" / f"{i:03}", ".jsonl")
        if one_by_one:
            ingest.collect()
    ingest.collect()
    stored = store_of(ingest)
    wanted, apart = expected(rows)
    assert noted(stored) == wanted
    assert len(quarantined(stored)) == apart
    assert_adds_up(stored)


def test_a_reason_names_the_column_and_the_rule(tmp_path: Path) -> None:
    logs = Logs(
        tmp_path,
        quality={
            "columns": {
                "score": {"range": [0.2, 0.8], "action": "quarantine"},
                "note": {"values": ["it's", 7], "required": True, "action": "quarantine"},
            }
        },
    )
    t = "2024-03-01T10:00:00Z"
    logs.put(
        "a.csv",
        f"id,ts,score,shop,note\na,{t},0.5,n,it's\nb,{t},0.9,n,7\nc,{t},0.5,n,x\n"
        f"d,{t},0.5,n,\ne,{t},0.1,n,\n",
    )
    assert logs.collect() == []
    assert logs.ids() == ["a"]
    assert logs.bad("position, reason, detail") == [
        (2, "out of range", "score: allowed are 0.2 to 0.8"),
        (3, "value not allowed", "note: not among the 2 allowed values"),
        (4, "required value missing", "note: has no value"),
        (5, "out of range", "score: allowed are 0.2 to 0.8"),
    ]


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ({"range": [0, 10]}, {"nan", "inf", "-inf", "1e308", "11", "-1"}),
        ({"min": 0}, {"nan", "-inf", "-1"}),
        ({"max": 10}, {"nan", "inf", "1e308", "11"}),
        ({"max": 1e308}, {"nan", "inf"}),
        ({"values": [0, 10]}, {"nan", "inf", "-inf", "1e308", "11", "-1", "5"}),
        ({"required": True}, {"nan", "", "text"}),
    ],
)
def test_odd_numbers_are_judged(rule: dict[str, Any], bad: set[str], tmp_path: Path) -> None:
    values = ["nan", "inf", "-inf", "1e308", "11", "-1", "5", "0", "10", "", "text"]
    lines = ["id,ts,score,x", *(f"{v or 'none'},2024-03-01T10:00:00Z,0.5,{v}" for v in values)]
    logs = Logs(
        tmp_path,
        features={"numeric": ["x"]},
        quality={"columns": {"x": {**rule, "action": "quarantine"}}},
    )
    logs.put("a.csv", "\n".join(lines) + "\n")
    assert logs.collect() == []
    assert set(logs.ids()) == {v or "none" for v in values} - {v or "none" for v in bad}


def test_changed_rules_judge_what_is_there(tmp_path: Path) -> None:
    """A store that gets rules later says of its rows what it would have said with them."""
    flags = {"columns": {name: {"range": [-1, 1]} for name in ("x", "score")}}
    rows = predictions(300, 8)
    database = Database(None)
    write(rows[:150], tmp_path / "predictions" / "a", ".csv")
    write(rows[150:], tmp_path / "predictions" / "b", ".csv")
    opened(deployment(labels=None), tmp_path, database).collect()
    assert database.connection.execute("SELECT count(*) FROM failed_checks").fetchall() == [(0,)]
    later = store_of(opened(deployment(labels=None, quality=flags), tmp_path, database))
    fresh = store_of(load(tmp_path, rows, [150], quality=flags))
    assert noted(later) == noted(fresh) != {}
    none = store_of(opened(deployment(labels=None), tmp_path, database))
    assert noted(none) == {}


def test_after_a_rule_was_mended_its_records_are_loaded(tmp_path: Path) -> None:
    rows = predictions(200, 9)
    write(rows, tmp_path / "predictions" / "a", ".csv")
    database = Database(None)
    wrong = {"columns": {"x": {"range": [0, 1], "action": "quarantine"}}}
    first = store_of(_collected(database, tmp_path, wrong))
    apart = len(quarantined(first))
    assert 0 < apart < len(rows)
    assert sum(noted(first).values()) == apart
    right = {"columns": {"x": {"range": [-9, 9], "action": "quarantine"}}}
    ingest = opened(deployment(labels=None, quality=right), tmp_path, database)
    assert len(quarantined(store_of(ingest))) == apart  # nothing is read anew by itself
    assert ingest.release(store_of(ingest)) == apart
    ingest.collect()
    mended = store_of(ingest)
    assert (count(mended), quarantined(mended), noted(mended)) == (len(rows), [], {})
    assert_adds_up(mended)
    plain = store_of(load(tmp_path, rows, []))
    mended.rebuild(everything=True)
    found, wanted = rollups(mended), rollups(plain)
    assert_same(
        {"rollup_volume": found["rollup_volume"]}, {"rollup_volume": wanted["rollup_volume"]}
    )


def test_rows_from_before_a_rule_stay_and_are_flagged(tmp_path: Path) -> None:
    rows = predictions(100, 10)
    database = Database(None)
    write(rows, tmp_path / "predictions" / "a", ".csv")
    _collected(database, tmp_path, None)
    rule = {"columns": {"x": {"range": [0, 1], "action": "quarantine"}}}
    stored = store_of(_collected(database, tmp_path, rule))
    broken = sum(r["x"] is not None and not 0 <= r["x"] <= 1 for r in rows)
    assert (count(stored), quarantined(stored)) == (100, [])
    assert sum(noted(stored).values()) == broken
    # the file is sent again: repetitions, no new failures
    write(rows, tmp_path / "predictions" / "b", ".csv")
    ingest = opened(deployment(labels=None, quality=rule), tmp_path, database)
    ingest.collect()
    assert (count(stored), quarantined(stored)) == (100, [])
    assert sum(noted(stored).values()) == broken


def test_a_batch_of_mostly_bad_records_is_failing(tmp_path: Path) -> None:
    rule = {"columns": {"x": {"range": [0, 1], "action": "quarantine"}}, "max_bad": 0.5}
    rows = predictions(60, 3)
    bad = [r | {"x": 5.0} for r in rows[:20]]
    write([*bad, *rows[20:40]], tmp_path / "predictions" / "half", ".csv")
    write([*rows[40:], *([r | {"id": r["id"] + "!"} for r in bad])], tmp_path / "p2", ".csv")
    logs = opened(
        deployment(labels=None, quality=rule, predictions={"path": ["predictions", "p2.csv"]}),
        tmp_path,
    )
    logs.collect()
    found = (
        store_of(logs)
        .database.connection.execute(
            "SELECT subject, n, n_failed FROM failed_checks WHERE rule = 'batch' ORDER BY subject"
        )
        .fetchall()
    )
    batches = (
        store_of(logs)
        .database.connection.execute(
            "SELECT source, n_read, n_quarantined FROM batches WHERE n_quarantined > 0.5 * n_read "
            "ORDER BY source"
        )
        .fetchall()
    )
    assert found == batches != []


def test_late_rows_are_those_that_were_late_on_arrival(tmp_path: Path) -> None:
    rule = {"late": {"after": "3h"}}
    rows = predictions(120, 4)
    write(rows[:60], tmp_path / "predictions" / "a", ".csv")
    clock = [datetime(2024, 3, 3, 4)]
    ingest = Ingest(
        Database(None),
        [deployment(labels=None, quality=rule)],
        tmp_path,
        lambda: clock[0],
    )
    ingest.collect()
    stored = store_of(ingest)
    assert noted(stored) == {}  # the log's beginning is old, not late
    write(rows[60:], tmp_path / "predictions" / "b", ".csv")
    ingest.collect()
    late = [r for r in rows[60:] if (clock[0] - _naive(r)).total_seconds() > 3 * 3600]
    assert sum(noted(stored).values()) == len(late) > 0


@pytest.mark.parametrize("order", ["together", "requests first", "responses first"])
def test_halves_are_judged_by_what_they_hold(order: str, tmp_path: Path) -> None:
    """A request or a response that is out of range is set apart in any order; its other half
    waits, and nothing is lost."""

    def event(i: int, kind: str, body: object) -> str:
        record = {
            "specversion": "1.0",
            "id": f"r{i}",
            "type": f"org.kubeflow.serving.inference.{kind}",
            "source": "http://localhost/",
            "time": f"2024-03-01T10:{i:02}:00Z",
            "datacontenttype": "application/json",
            "data": body,
        }
        return json.dumps(record) + "\n"

    asked = [event(i, "request", {"instances": [{"x": i, "y": None}]}) for i in range(20)]
    answered = [event(i, "response", {"predictions": [i / 20]}) for i in range(20)]
    logs = Logs(
        tmp_path,
        predictions={"path": "predictions", "format": "kserve"},
        score="prediction",
        id="id",
        timestamp="timestamp",
        segments=[],
        features={"numeric": ["x", "y"]},
        quality={
            "columns": {
                "x": {"max": 14, "action": "quarantine"},
                "score": {"min": 0.15, "action": "quarantine"},
                "y": {"required": True, "action": "quarantine"},
            }
        },
    )
    files = [asked, answered] if order == "requests first" else [answered, asked]
    if order == "together":
        files = [[line for pair in zip(asked, answered, strict=True) for line in pair]]
    for i, lines in enumerate(files):
        logs.put(f"{i}.jsonl", "".join(lines))
        assert logs.collect() == []
    ids = {int("".join(c for c in name.split("/")[0] if c.isdigit())) for name in logs.ids()}
    assert ids == set(range(3, 15))
    assert Counter(reason for _, reason in logs.bad()) == {"out of range": 5 + 3}
    assert len(logs.rows("part AS id", "halves")) == 5 + 3
    found = {key[:3]: n for key, n in noted(logs.stored).items()}
    assert found["range", "x", True] == 5
    assert found["required", "y", False] == 12


def test_without_rules_nothing_is_noted(tmp_path: Path) -> None:
    stored = store_of(load(tmp_path, predictions(50, 1), []))
    assert noted(stored) == {}


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ({"columns": {"y": {"required": True}}}, ("quality", "columns", "y")),
        ({"columns": {"colour": {"range": [0, 1]}}}, ("quality", "columns", "colour")),
        ({"columns": {"x": {"values": ["a"]}}}, ("quality", "columns", "x", "values")),
        ({"columns": {"score": {"nulls": 0.1}}}, ("quality", "columns", "score")),
        ({"columns": {"x": {"range": [2, 1]}}}, ("quality", "columns", "x")),
        ({"columns": {"x": {"range": [0, math.inf]}}}, ("quality", "columns", "x", "max")),
        ({"columns": {"x": {"min": math.nan}}}, ("quality", "columns", "x", "min")),
        ({"columns": {"x": {}}}, ("quality", "columns", "x")),
        ({"columns": {"x": {"nulls": 0.1, "action": "quarantine"}}}, ("quality", "columns", "x")),
        ({"columns": {"x": {"values": [10**400]}}}, ("quality", "columns", "x", "values", 0)),
        ({"freshness": "soon"}, ("quality", "freshness")),
        ({"freshness": {"rows": "1h"}}, ("quality", "freshness")),
        ({"volume": [2, 1]}, ("quality", "volume")),
        ({"late": {"after": "0h"}}, ("quality", "late", "after")),
        ({"max_bad": 1.5}, ("quality", "max_bad")),
    ],
)
def test_a_rule_that_cannot_be_is_named_with_its_place(
    rules: Mapping[str, Any], place: tuple[str, ...]
) -> None:
    with pytest.raises(ValidationError) as error:
        deployment(quality=rules)
    found = [e["loc"] for e in error.value.errors(include_url=False)]
    assert any(loc[: len(place)] == place for loc in found), found


def test_rules_survive_the_store(tmp_path: Path) -> None:
    d = deployment(
        quality={
            **RULES,
            "freshness": {"predictions": "15m", "labels": "2d"},
            "late": {"after": "90m", "share": 0.1},
            "volume": [0.5, 2],
            "nulls": 0.1,
        }
    )
    assert Deployment.model_validate_json(d.model_dump_json()) == d


def _collected(database: Database, base: Path, rules: dict[str, Any] | None) -> Ingest:
    ingest = opened(deployment(labels=None, quality=rules), base, database)
    ingest.collect()
    return ingest


def _naive(row: Row) -> datetime:
    return datetime.fromisoformat(row["ts"]).replace(tzinfo=None)
