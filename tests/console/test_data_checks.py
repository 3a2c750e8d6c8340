"""Checks of data quality as they are shown, held against polars on the raw rows."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from collectors.quality_rules import Quality
from console.analysis.ask import Ask, Step
from console.analysis.checks import CheckState
from console.analysis.quality import QualityFrames, quality
from console.analysis.quality_findings import quality_findings
from console.analysis.usual import UsualVolume
from console.cli import main
from console.config import load_config

START = datetime(2024, 3, 1)  # noqa: DTZ001 - as it is written, before a Z
HOURS = 24 * 9
BROKEN = START + timedelta(hours=HOURS - 6)
"""From then on `temp` mostly comes without a value, and half of `unit` in other units."""

CONFIG = """
[store]
path = "store.duckdb"

[console]
clock = "latest"

[[deployment]]
name = "m"
task = "binary"
predictions = "logs/"
timestamp = "ts"
score = "score"
latency_ms = "latency"

[deployment.features]
numeric = ["temp", "unit"]
categorical = ["plan"]

[[deployment.reference]]
path = "reference.parquet"
"""

RULES = """
[deployment.quality]
nulls = 0.3
unseen = 0.2
volume = [0.5, 2]
duplicates = 0.05

[deployment.quality.columns]
temp = { nulls = 0.1 }
unit = { range = [0, 1] }
latency = { max = 5, action = "quarantine" }
plan = { values = ["free", "pro"], tolerance = 0.5 }
""".replace("latency =", "latency_ms =")


def frame() -> pl.DataFrame:
    """40 rows an hour; the last six hours are broken, one hour of day 8 is nearly empty."""
    rows = []
    for h in range(HOURS):
        at = START + timedelta(hours=h)
        broken = at >= BROKEN
        for i in range(4 if h == 24 * 8 + 3 else 40):
            rows.append(
                {
                    "id": f"{h}-{i}",
                    "ts": (at + timedelta(seconds=80 * i)).isoformat() + "Z",
                    "score": (7 * i + h) % 41 / 41,
                    "latency": 9.0 if i == 7 and h % 50 == 0 else 1.0,
                    "temp": None if broken and i % 3 else float((i * 13 + h) % 30),
                    "unit": 50.0 if broken and i % 2 else (i % 10) / 10,
                    "plan": "gold" if i == 3 and h % 2 else ("free", "pro")[i % 2],
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return frame()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, rows: pl.DataFrame) -> Path:
    base = tmp_path_factory.mktemp("quality")
    (base / "logs").mkdir()
    rows.write_csv(base / "logs" / "a.csv")
    good = rows.filter(pl.col("ts") < BROKEN.isoformat())
    good.head(1000).with_columns(label=pl.lit(0)).write_parquet(base / "reference.parquet")
    path = base / "modelwatch.toml"
    path.write_text(CONFIG + RULES)
    assert main(["record", "--once", "--config", str(path)]) == 0
    return path


def shown(config: Path, pane: str, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    capsys.readouterr()
    words = ["show", pane, "--config", str(config), "--window", "48h", "--format", "json", *more]
    assert main(words) == 0
    return json.loads(capsys.readouterr().out)


def hour() -> pl.Expr:
    return pl.col("ts").str.slice(0, 13)


def test_counts_are_those_of_the_raw_rows(
    config: Path, rows: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    document = shown(config, "data", capsys)
    start, end = document["window"]["start"], document["window"]["end"]
    came = rows.filter((pl.col("ts") >= start[:19]) & (pl.col("ts") < end[:19]))
    kept = came.filter(pl.col("latency") <= 5)
    found = {(c["rule"], c["subject"]): c for c in document["checks"]}
    for key, of, broken in (
        (("range", "unit"), kept, pl.col("unit") > 1),
        (("values", "plan"), kept, pl.col("plan") == "gold"),
        (("nulls", "temp"), kept, pl.col("temp").is_null()),
        (("unseen", "unit"), kept, pl.col("unit") > 0.9),
        (("range", "latency_ms"), came, pl.col("latency") > 5),
    ):
        assert found[key]["n_failed"] == of.filter(broken).height, key
        assert found[key]["n"] == of.height, key
    assert found["range", "unit"]["since"] == BROKEN.isoformat() + "Z"
    assert found["nulls", "temp"]["since"] == BROKEN.isoformat() + "Z"
    assert found["range", "unit"]["hours"] == 6
    assert found["values", "plan"]["state"] == "ok"  # one of forty an hour is tolerated
    assert found["nulls", "unit"]["state"] == "ok"
    assert found["volume", "predictions"]["n_failed"] == 1  # the hour that is nearly empty
    assert found["duplicates", "predictions"]["state"] == "ok"
    of_hours = kept.filter(pl.col("unit") > 1).select(hour()).n_unique()
    flagged = sum(
        (datetime.fromisoformat(s["end"]) - datetime.fromisoformat(s["start"])).seconds / 3600
        for s in document["flagged"]
    )
    apart = came.filter(pl.col("latency") > 5).height
    assert flagged == of_hours + 1 + apart


def test_broken_data_come_before_their_drift(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "look at this before its drift"
    for pane in ("data", "drift"):
        texts = [f["text"] for f in shown(config, pane, capsys)["findings"]]
        of_temp = [t for t in texts if t.startswith("temp: ")]
        assert of_temp == [f"temp: 65% missing since {BROKEN:%H:%M} (broken data): {first}"], texts
    # the reference's range is no rule of what is right
    for pane in ("data", "drift"):
        found = shown(config, pane, capsys)["findings"]
        assert not any("has seen" in f["text"] and first in f["text"] for f in found)


def test_figures_of_flagged_hours_say_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for pane in ("performance", "subgroups", "versions"):
        said = [f["text"] for f in shown(config, pane, capsys)["findings"]]
        assert any("hours in this window fail checks" in text for text in said)
    capsys.readouterr()
    assert main(["show", "performance", "--config", str(config), "--window", "48h"]) == 0
    out = capsys.readouterr().out
    assert "no labels" in out  # what cannot be told is still said
    assert "fail checks" in out
    before = ["--end", "2024-03-08T12:00", "--window", "12h"]
    said = [f["text"] for f in shown(config, "performance", capsys, *before)["findings"]]
    assert not any("fail checks" in text for text in said)


def test_a_bundle_tells_the_same(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = config.parent / "incident.zip"
    words = ["--config", str(config), "--window", "48h", "--output", str(bundle)]
    assert main(["export", *words]) == 0
    capsys.readouterr()
    assert main(["show", "data", "--log", str(bundle), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    document = shown(config, "data", capsys)
    for key in ("checks", "flagged", "failed_batches", "findings"):
        assert told[key] == document[key], key


def test_a_rule_is_mended_and_its_records_replayed(
    tmp_path: Path, rows: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()
    rows.write_csv(tmp_path / "logs" / "a.csv")
    rows.head(500).with_columns(label=pl.lit(0)).write_parquet(tmp_path / "reference.parquet")
    path = tmp_path / "modelwatch.toml"
    path.write_text(CONFIG + RULES)
    assert main(["record", "--once", "--config", str(path)]) == 0
    apart = rows.filter(pl.col("latency") > 5).height
    document = shown(path, "data", capsys)
    assert document["quarantine"][0]["reason"] == "out of range"
    assert document["quarantine"][0]["n"] == apart
    path.write_text(CONFIG + RULES.replace("max = 5", "max = 10"))
    capsys.readouterr()
    assert main(["quarantine", "--replay", "--config", str(path)]) == 0
    assert f"out of range: {apart} before, 0 now" in capsys.readouterr().out
    document = shown(path, "data", capsys, "--window", "30d")
    assert document["quarantine"] == []
    assert sum(r["n"] for r in document["rows"]) == rows.height
    checks = {(c["rule"], c["subject"]): c for c in document["checks"]}
    assert checks["range", "latency_ms"]["state"] == "ok"


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("tempo = { nulls = 0.1 }", "there is no such column"),
        ("temp = { range = [1, 0] }", "lower end"),
        ("temp = { range = [0, inf] }", "finite"),
        ("plan = { range = [0, 1] }", "is for numbers"),
        ('temp = { values = ["\\u001b[31m"] }', "numbers"),
        ("temp = { action = 'drop' }", "'flag' or 'quarantine'"),
    ],
)
def test_a_wrong_rule_is_an_error_with_its_line(
    rule: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "modelwatch.toml"
    text = CONFIG + "\n[deployment.quality]\nnulls = 0.1\n\n[deployment.quality.columns]\n" + rule
    path.write_text(text + "\n")
    assert main(["check", "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert f"modelwatch.toml:{len(text.splitlines())}: " in error
    assert line in error
    assert "\x1b" not in error


def test_init_suggests_rules_that_its_rows_keep(
    tmp_path: Path, rows: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    good = rows.filter(pl.col("ts") < BROKEN.isoformat())
    good.write_csv(tmp_path / "log.csv")
    path = tmp_path / "modelwatch.toml"
    assert main(["init", str(tmp_path / "log.csv"), "--output", str(path)]) == 0
    assert load_config(path).deployment[0].quality is None
    text = path.read_text()
    head, _, rules = text.partition("# [deployment.quality]")
    path.write_text(
        head
        + "\n".join(
            x.removeprefix("#").strip() for x in f"[deployment.quality]{rules}".splitlines()
        )
    )
    found = load_config(path).deployment[0].quality
    assert found is not None
    assert found.columns["plan"].values == ("free", "gold", "pro")
    temp = found.columns["temp"]
    assert temp.min == 0
    assert temp.max is not None and 29 < temp.max < 45
    store = ["--config", str(path), "--store", str(tmp_path / "s.duckdb")]
    assert main(["record", "--once", *store]) == 0
    capsys.readouterr()
    assert main(["show", "data", *store, "--window", "30d", "--format", "json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    failing = {(c["rule"], c["subject"]) for c in checks if c["state"] == "failing"}
    assert failing <= {("volume", "predictions")}
    assert len(checks) > 5


def empty(columns: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(schema=columns)


def asked(config: Path, hours: float, as_of: datetime) -> Ask:
    d = load_config(config).deployment[0]
    return Ask(d, as_of - timedelta(hours=hours), as_of, as_of, Step.ALL)


FAILED = {
    "rule": pl.String, "subject": pl.String, "quarantined": pl.Boolean,
    "bucket": pl.Datetime, "n": pl.Int64, "n_failed": pl.Int64, "first_ts": pl.Datetime,
    "last_ts": pl.Datetime, "at_time": pl.Datetime,
}  # fmt: skip
VOLUME = {"start": pl.Datetime, "version": pl.String, "n": pl.Int64, "n_error": pl.Int64}


@pytest.mark.parametrize(
    ("age", "ended", "state"),
    [
        (timedelta(minutes=14), False, CheckState.OK),
        (timedelta(minutes=16), False, CheckState.FAILING),
        (None, False, CheckState.FAILING),
        (timedelta(minutes=16), True, CheckState.CANNOT_TELL),
    ],
)
def test_freshness_is_of_the_newest_row(
    config: Path, age: timedelta | None, *, ended: bool, state: CheckState
) -> None:
    now = datetime(2024, 3, 9, 12, tzinfo=UTC)
    ask = asked(config, 6, now)
    newest = {"predictions": None if age is None else now - age}
    rules = Quality.model_validate({"freshness": "15m"})
    frames = QualityFrames(empty(FAILED), empty(VOLUME), None, None, None, newest, ended)
    found = quality(ask, rules, frames)
    assert [c.state for c in found.checks] == [state]
    texts = [f.text for f in quality_findings(ask, found)]
    assert len(texts) == (state is CheckState.FAILING)
    if age is not None and texts:
        assert texts == ["predictions: the newest is 16 min old, at most 15m is allowed"]


def test_volume_is_judged_where_it_is_known_and_not_before_rows_came(config: Path) -> None:
    now = datetime(2024, 3, 9, 12, tzinfo=UTC)
    first = now - timedelta(days=9)
    usual = UsualVolume({first + timedelta(hours=h): 100 for h in range(9 * 24)}, first)
    made = {now - timedelta(hours=h): n for h, n in ((4, 100), (3, 30), (2, 260))}
    volume = pl.DataFrame(
        [(at.replace(tzinfo=None), "all", n, 0) for at, n in made.items()],
        schema=VOLUME,
        orient="row",
    )
    rules = Quality.model_validate({"volume": [0.5, 2]})
    newest = {"predictions": now - timedelta(minutes=30)}
    frames = QualityFrames(empty(FAILED), volume, None, None, usual, newest)
    (check,) = quality(asked(config, 4, now), rules, frames).checks
    # the last hour is not over yet by what has come
    assert check.hours == (now - timedelta(hours=3), now - timedelta(hours=2))
    assert (check.n, check.n_failed) == (3, 2)


def test_a_feed_that_is_down_is_one_sentence(config: Path) -> None:
    """Columns that lose their values from the same hour on; a share that differs is said."""
    now = datetime(2024, 3, 9, 12, tzinfo=UTC)
    hours = [now - timedelta(hours=h) for h in range(8, 0, -1)]
    volume = pl.DataFrame(
        [(at.replace(tzinfo=None), "all", 50, 0) for at in hours], schema=VOLUME, orient="row"
    )
    lost = [
        {"start": at.replace(tzinfo=None), "segment": feature, "value": "missing", "n": n}
        for at in hours[-3:]
        for feature, n in ((0, 50), (1, 45))
    ]
    rules = Quality.model_validate({"nulls": 0.1})
    frames = QualityFrames(empty(FAILED), volume, pl.DataFrame(lost), None, None, {})
    ask = asked(config, 8, now)
    found = quality(ask, rules, frames)
    texts = [f.text for f in quality_findings(ask, found, ["unit"])]
    assert texts == [
        "temp, unit: up to 100% missing since 09:00 (broken data): look at this before their drift",
        "data of 3 of 8 hours in this window fail checks, so its figures may be wrong",
    ]


def test_one_row_of_few_is_no_share(config: Path) -> None:
    now = datetime(2024, 3, 9, 12, tzinfo=UTC)
    at = (now - timedelta(hours=1)).replace(tzinfo=None)
    volume = pl.DataFrame([(at, "all", 3, 0)], schema=VOLUME, orient="row")
    lost = pl.DataFrame([{"start": at, "segment": 0, "value": "missing", "n": 1}])
    for limit, state in ((0.1, CheckState.OK), (0.0, CheckState.FAILING)):
        rules = Quality.model_validate({"columns": {"temp": {"nulls": limit}}})
        frames = QualityFrames(empty(FAILED), volume, lost, None, None, {})
        (check,) = quality(asked(config, 8, now), rules, frames).checks
        assert (check.state, check.n_failed, check.n) == (state, 1, 3)


@pytest.mark.parametrize(("after", "late"), [("1h", 30), ("2h", 30), ("3h", 0)])
def test_labels_are_late_by_the_time_since_their_prediction(
    config: Path, after: str, late: int
) -> None:
    now = datetime(2024, 3, 9, 12, tzinfo=UTC)
    bins = [(int(8 * math.log1p(60)), 70), (int(8 * math.log1p(2.5 * 3600)), 30)]
    delay = pl.DataFrame({"bin": [b for b, _ in bins], "n": [n for _, n in bins]})
    rules = Quality.model_validate({"late_labels": {"after": after, "share": 0.05}})
    frames = QualityFrames(empty(FAILED), empty(VOLUME), None, None, None, {}, delay=delay)
    (check,) = quality(asked(config, 8, now), rules, frames).checks
    assert (check.subject, check.n, check.n_failed) == ("labels", 100, late)
    assert check.state is (CheckState.FAILING if late else CheckState.OK)


def test_a_log_without_times_has_checks_and_no_hours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["id,score,x,plan"]
    lines += [f"r{i},0.5,{99 if i % 10 == 0 else 1},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "p.csv").write_text("\n".join(lines) + "\n")
    path = tmp_path / "modelwatch.toml"
    path.write_text(
        'console = { clock = "latest" }\n[[deployment]]\nname = "m"\ntask = "binary"\n'
        'predictions = "p.csv"\ntimestamp = ""\nscore = "score"\n'
        'features = { numeric = ["x"], categorical = ["plan"] }\n'
        '[deployment.quality]\nfreshness = "1h"\nvolume = [0.5, 2]\nlate = { after = "1h" }\n'
        "[deployment.quality.columns]\nx = { range = [0, 9] }\n"
        'plan = { values = ["a"], action = "quarantine" }\n'
    )
    store = ["--config", str(path), "--store", str(tmp_path / "s.duckdb")]
    assert main(["record", "--once", *store]) == 0
    capsys.readouterr()
    assert main(["show", "data", *store, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = {(c["rule"], c["subject"]): (c["n"], c["n_failed"]) for c in document["checks"]}
    assert found == {("range", "x"): (30, 6), ("values", "plan"): (60, 30)}
    assert document["flagged"] == []
