"""The System pane from real files: figures are those of plain SQL, limits are what they say."""

from __future__ import annotations

import csv
import json
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from show_schema import PANE_SCHEMAS, check
from shown import Store

from collectors.contract import Deployment, Limit
from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from collectors.store.database import Database, read_sql
from console.cli import main
from console.config import load_config
from console.explaining import target_of
from console.feed import Explain
from console.snapshots import Taker
from console.toml import configuration_toml
from console.tui.plot import draw
from console.views.model import TimePlot, Tone
from console.views.system import view
from console.windows import latest_moment, make_ask

START = datetime(2024, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOURS = 30
SPIKE = START + timedelta(hours=20)
RED = "\x1b[31m[bold]x[/]\x07"

CONFIG = """
[console]
clock = "latest"
[store]
path = "store.duckdb"
[[deployment]]
name = "churn"
task = "binary"
predictions = "p/*.csv"
version = "version"
score = "score"
latency_ms = "latency"
cost = "cost"
error = "error"
labels = { source = "labels.csv", received = "received" }
metrics = [{ path = "m/*.csv", version = "version" }]
"""
LIMITS = """
[deployment.limits]
latency_p99_ms = 400
error_rate = 0.03
gpu_utilization = 0.9
queue_length = { above = 50 }
requests_per_second = { below = 0.001 }
saturation = 0.9
"""


def logs(seed: int = 1) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Predictions of two versions, v2 slow and failing from SPIKE on, and samples by the minute."""
    rng = np.random.default_rng(seed)
    rows, samples = [], []
    for m in range(HOURS * 60):
        at = START + m * MINUTE
        bad = at >= SPIKE
        version = "v2" if m % 3 == 0 else "v1"
        slow = bad and version == "v2"
        rows.append(
            {
                "id": str(m),
                "timestamp": at.isoformat(),
                "version": version,
                "score": round(rng.random(), 3),
                "latency": round(float(rng.lognormal(4, 0.3)) * (10 if slow else 1), 3),
                "cost": 0.0004,
                "error": "timeout" if slow and m % 2 else "",
            }
        )
        for of in ("v1", "v2"):
            high = 0.95 if bad and of == "v2" else 0.5
            samples.append((at, "gpu_utilization", round(high + rng.random() / 100, 6), of))
        queue = 80 if 600 <= m < 615 or m == 700 else int(rng.integers(5))
        samples.append((at, "queue_length", queue, ""))
        samples.append((at, "cost_per_hour", 1.5, ""))
    samples.append((START, RED, 1.0, "[red]v9"))
    names = ("timestamp", "metric", "value", "version")
    told = [(at.isoformat(), *rest) for at, *rest in samples]
    return rows, [dict(zip(names, s, strict=True)) for s in told]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def recorded(folder: Path, config: str = CONFIG + LIMITS) -> Store:
    """An open store of what lies in the folder."""
    path = folder / "modelwatch.toml"
    path.write_text(config)
    read = load_config(path)
    database = Database(folder / "store.duckdb", read.engine())
    now = START + timedelta(days=30)
    assert not Ingest(database, read.deployment, folder, lambda: now).collect().problems
    reader = InProcessReader(database)
    taker = Taker(reader, read.deployment, load_times=False)
    return Store(read, taker, latest_moment(reader, read.deployment))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("system")
    rows, samples = logs()
    write(made / "p" / "all.csv", rows)
    write(made / "m" / "all.csv", samples)
    labels = [
        {"id": r["id"], "label": i % 2, "received": r["timestamp"]} for i, r in enumerate(rows)
    ]
    write(made / "labels.csv", labels)
    return made


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[Store]:
    yield recorded(folder)


def document(store: Store, **more: Any) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(store.show("system", **more))
    check(shown, PANE_SCHEMAS["system"], "system")
    return shown


def rows_of(shown: dict[str, Any], metric: str, source: str, version: str | None) -> list[Any]:
    wanted = (metric, source, version)
    return [r for r in shown["rows"] if (r["metric"], r["source"], r["version"]) == wanted]


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# --- figures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2", None])
def test_figures_of_the_log_are_those_of_plain_sql(
    store: Store, folder: Path, version: str | None
) -> None:
    shown = document(store, step="hour")
    where = "true" if version is None else f"version = '{version}'"
    wanted = duckdb.sql(
        "SELECT date_trunc('hour', timestamp::TIMESTAMP) AS hour, count(*) AS n, "
        "count(error) FILTER (error <> '') AS failed, avg(cost) AS cost, "
        "quantile_cont(latency, 0.95) AS p95 "
        f"FROM read_csv('{folder}/p/all.csv', types={{'timestamp': 'TIMESTAMP'}}) "
        f"WHERE {where} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    found = {
        metric: rows_of(shown, metric, "log", version)
        for metric in ("error_rate", "requests_per_second", "cost_per_1000", "latency_p95_ms")
    }
    for i, (hour, n, failed, cost, p95) in enumerate(wanted):
        row = {metric: rows[i] for metric, rows in found.items()}
        for r in row.values():
            assert (r["start"], r["n"]) == (stamp(hour.replace(tzinfo=UTC)), n)
        assert row["error_rate"]["metrics"]["value"]["value"] == failed / n
        assert row["cost_per_1000"]["metrics"]["value"]["value"] == pytest.approx(1000 * cost)
        figure = row["latency_p95_ms"]["metrics"]["value"]
        # the bins are 13 % wide, and SQL takes the middle between two of few rows
        assert figure["low"] / 1.14 <= p95 <= figure["high"] * 1.14
        if i < len(wanted) - 1:  # the last hour is not over at the newest row
            assert row["requests_per_second"]["metrics"]["value"]["value"] == n / 3600


@pytest.mark.parametrize("step", ["hour", "day", "all"])
def test_figures_of_samples_are_those_of_plain_sql(store: Store, folder: Path, step: str) -> None:
    shown = document(store, step=step)
    start = "TIMESTAMP '2024-03-01'" if step == "all" else f"date_trunc('{step}', timestamp)"
    wanted = duckdb.sql(
        f"SELECT metric, version, {start} AS at, count(*), avg(value), min(value), max(value) "
        f"FROM read_csv('{folder}/m/all.csv', types={{'timestamp': 'TIMESTAMP'}}) "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    found = [r for r in shown["rows"] if r["source"] == "samples"]
    assert len(found) == len(wanted)
    by_key = {(r["metric"], r["version"], r["start"]): r for r in found}
    begin = shown["window"]["start"]
    for metric, version, at, n, *figures in wanted:
        key = (metric, version or None, max(begin, stamp(at.replace(tzinfo=UTC))))
        row = by_key[key if step != "all" else (*key[:2], begin)]
        assert row["n"] == n
        told = [row["metrics"][name]["value"] for name in ("mean", "lowest", "highest")]
        assert told == pytest.approx(figures, rel=1e-12)
        assert all(row["metrics"][name]["low"] is None for name in ("mean", "lowest", "highest"))


def test_a_sampled_cost_is_shared_by_the_predictions_of_its_hours(store: Store) -> None:
    (row,) = rows_of(document(store, step="all"), "cost_per_1000", "both", None)
    hours = HOURS - 1 / 60  # the newest row ends the window
    wanted = 1000 * 1.5 * hours / (HOURS * 60)
    assert row["metrics"]["mean"]["value"] == pytest.approx(wanted, rel=1e-6)
    steps = rows_of(document(store, step="hour"), "cost_per_1000", "both", None)
    assert steps[0]["metrics"]["mean"]["value"] == pytest.approx(1000 * 1.5 / 60)


def test_the_headline_stands_beside_it_for_the_same_steps(store: Store) -> None:
    shown = document(store, step="hour")
    performance = json.loads(store.show("performance", step="hour"))
    wanted = {
        (r["version"], r["start"], r["end"]): r["metrics"][shown["headline"]]
        for r in performance["rows"]
    }
    assert {(h["version"], h["start"], h["end"]): h["figure"] for h in shown["headlines"]} == wanted
    starts = {r["start"] for r in rows_of(shown, "error_rate", "log", "v1")}
    assert starts == {h["start"] for h in shown["headlines"]}


def test_order_and_number_of_files_change_nothing(store: Store, tmp_path: Path) -> None:
    rows, samples = logs()
    rng = np.random.default_rng(3)
    rows = [rows[i] for i in rng.permutation(len(rows))]
    samples = [samples[i] for i in rng.permutation(len(samples))]
    for i in range(3):
        write(tmp_path / "p" / f"{i}.csv", rows[i::3])
        write(tmp_path / "m" / f"{i}.csv", samples[i::3])
    labels = [{"id": r["id"], "label": int(r["id"]) % 2, "received": r["timestamp"]} for r in rows]
    write(tmp_path / "labels.csv", labels)
    again = document(recorded(tmp_path), step="day")
    first = document(store, step="day")
    assert again["limits"] == first["limits"]
    assert again["findings"] == first["findings"]
    for one, other in zip(again["rows"], first["rows"], strict=True):
        assert {k: v for k, v in one.items() if k != "metrics"} == {
            k: v for k, v in other.items() if k != "metrics"
        }
        for name, figure in one["metrics"].items():
            assert figure["value"] == pytest.approx(other["metrics"][name]["value"], rel=1e-12)


# --- limits ----------------------------------------------------------------------------------


def limits_of(shown: dict[str, Any]) -> dict[tuple[str, str | None, str | None], Any]:
    return {(x["metric"], x["version"], x["source"]): x for x in shown["limits"]}


def test_a_broken_limit_says_since_when_how_long_and_how_far(store: Store) -> None:
    known = limits_of(document(store))
    gpu = known["gpu_utilization", "v2", "samples"]
    assert gpu["state"] == "broken"
    breach = gpu["breach"]
    assert (breach["since"], breach["until"], breach["n_times"]) == (stamp(SPIKE), None, 1)
    assert breach["n_beyond"] == 600
    assert breach["seconds"] == 599 * 60
    queue = known["queue_length", None, "samples"]
    assert queue["state"] == "was_broken"
    breach = queue["breach"]
    assert breach["first_since"] == stamp(START + 600 * MINUTE)
    assert (breach["since"], breach["until"]) == (
        stamp(START + 700 * MINUTE), stamp(START + 701 * MINUTE),
    )  # fmt: skip
    assert (breach["n_times"], breach["n_beyond"], breach["seconds"]) == (2, 16, 16 * 60)
    assert breach["worst"] == 80
    for metric in ("latency_p99_ms", "error_rate"):
        found = known[metric, "v2", "log"]
        assert found["state"] == "broken"
        assert found["breach"]["since"] == stamp(SPIKE)
        assert known[metric, "v1", "log"]["state"] in ("kept", "unsure")
    assert known["requests_per_second", None, "log"]["state"] == "kept"
    assert ("requests_per_second", "v2", "log") not in known


def test_no_samples_are_no_samples_and_never_nought(store: Store) -> None:
    shown = document(store)
    assert not [r for r in shown["rows"] if r["metric"] == "saturation"]
    assert limits_of(shown)["saturation", None, None]["state"] == "no_samples"
    assert any("no samples of saturation" in f["text"] for f in shown["findings"])
    made = view(store.take("system"))  # type: ignore[arg-type]
    row = next(r for r in made.table.rows if r.cells[0].text == "saturation")
    texts = [cell.text for cell in row.cells]
    assert "no samples" in texts
    assert not {"0", "0%", "0.000"} & set(texts)


def test_the_overview_names_it_and_a_version_can_be_chosen(store: Store) -> None:
    overview = json.loads(store.show("overview"))
    texts = [f["text"] for f in overview["findings"] if f["pane"] == "system"]
    assert set(texts) == {f["text"] for f in document(store)["findings"]}
    assert any(
        "error_rate of v2 (log) above its limit of 3% since 01 Mar 20:00" in t for t in texts
    )
    # of all versions nothing is said where one of them is named
    assert not any(t.startswith("error_rate (log)") for t in texts)
    only = document(store, version="v1")
    assert {r["version"] for r in only["rows"]} == {"v1", None}
    assert not any("v2" in f["text"] for f in only["findings"])


def test_limits_survive_the_way_through_toml(store: Store, tmp_path: Path) -> None:
    d = store.config.deployment[0]
    path = tmp_path / "modelwatch.toml"
    path.write_text(configuration_toml(d))
    assert load_config(path).deployment[0].limits == d.limits


@pytest.fixture(scope="module")
def samples_table() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE system_metrics (ts TIMESTAMP, deployment VARCHAR, metric VARCHAR, "
            "version VARCHAR, value DOUBLE)"
        )
        yield connection


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["a", "b"]), st.integers(-5, 5)), max_size=60
    ),
    st.one_of(st.none(), st.integers(0, 4)),
    st.one_of(st.none(), st.integers(-4, 0)),
)
@settings(deadline=None)
def test_stretches_are_those_found_one_by_one(
    samples_table: duckdb.DuckDBPyConnection,
    samples: list[tuple[int, str, int]],
    above: int | None,
    below: int | None,
) -> None:
    samples = sorted(set(samples), key=lambda s: (s[0], s[2]))
    naive = START.replace(tzinfo=None)
    frame = pl.DataFrame(
        [(naive + t * MINUTE, v, float(x)) for t, v, x in reversed(samples)],
        schema={"ts": pl.Datetime("us"), "version": pl.String, "value": pl.Float64},
        orient="row",
    )
    samples_table.register("frame", frame)
    samples_table.execute("DELETE FROM system_metrics")
    samples_table.execute(
        "INSERT INTO system_metrics SELECT ts, 'd', 'q', version, value FROM frame"
    )
    limits = json.dumps([{"metric": "q", "above": above, "below": below}])
    found = samples_table.sql(
        read_sql("queries/system_breaches.sql"),
        params={"deployment": "d", "start": naive, "end": naive + 40 * MINUTE, "limits": limits},
    ).fetchall()
    wanted = []
    for version in ("a", "b"):
        mine = [(naive + t * MINUTE, x) for t, v, x in samples if v == version and t < 40]
        wanted += _one_by_one(version, mine, above, below)
    assert found == wanted


def _one_by_one(
    version: str, mine: list[tuple[datetime, int]], above: int | None, below: int | None
) -> list[tuple[Any, ...]]:
    stretches: list[list[Any]] = []
    lasting = False
    for at, x in mine:
        beyond = (above is not None and x > above) or (below is not None and x < below)
        if beyond and not lasting:
            stretches.append([at, None, []])
        if lasting and not beyond:
            stretches[-1][1] = at
        if beyond:
            stretches[-1][2].append((at, x))
        lasting = beyond
    if not stretches:
        return []
    values = [x for s in stretches for _, x in s[2]]
    seconds = sum(((s[1] or s[2][-1][0]) - s[0]).total_seconds() for s in stretches)
    first, last = stretches[0], stretches[-1]
    return [
        (
            "q", version, len(stretches), len(values), first[0], last[0], last[1], last[2][-1][0],
            max(values), min(values), seconds,
        )
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [True, {}, {"above": 1, "below": 2}, "much", {"over": 1}])
def test_a_limit_that_cannot_be_meant_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Deployment.model_validate(
            {
                "name": "d",
                "task": "binary",
                "score": "p",
                "predictions": "p",
                "limits": {"x": wrong},
            }
        )
    assert Limit.model_validate(5) == Limit(above=5)
    assert not Limit(above=5).is_broken_by(5)
    assert Limit(below=2, above=5).is_broken_by(1)


# --- strangers -------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["table", "csv", "json"])
def test_names_of_metrics_are_harmless(store: Store, fmt: str) -> None:
    out = store.show("system", fmt=fmt, step="day")
    odd = {c for c in out if unicodedata.category(c).startswith("C") and c != "\n"}
    assert not odd
    if fmt == "table":
        assert "[bold]x[/]" in out


def test_of_ten_thousand_metrics_those_with_a_limit_are_shown(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "p", tmp_path / "p")
    shutil.copy(folder / "labels.csv", tmp_path)
    many = [
        {"timestamp": (START + (i % 5) * MINUTE).isoformat(), "metric": f"m{i % 10_000:05}",
         "value": 1e150 if i % 2 else -1e150, "version": ""}
        for i in range(20_000)
    ]  # fmt: skip
    many.append(many[0] | {"metric": "rare", "value": 3})
    every = [many[0] | {"metric": "each", "value": 9, "version": f"v{i:03}"} for i in range(300)]
    write(tmp_path / "m" / "many.csv", many + every)
    limits = '[deployment.limits]\nrare = 2\nabsent = 1\neach = { below = 10 }\n"\\u0000" = 1\n'
    shown = document(recorded(tmp_path, CONFIG + limits), step="all")
    series = {(r["metric"], r["version"]) for r in shown["rows"] if r["source"] == "samples"}
    assert len(series) == 200
    assert shown["n_left_out"] == 10_000 + 1 + 300 - 200
    assert ("each", "v000") in series
    texts = [f["text"] for f in shown["findings"]]
    assert sum("broke a limit" in t for t in texts) == 1
    broken = sum(x["state"] == "broken" for x in shown["limits"])
    assert any(t.startswith(f"{301 - broken} more series") for t in texts)


def test_a_log_without_times_has_no_rates_and_no_samples(tmp_path: Path) -> None:
    rows, samples = logs()
    write(tmp_path / "p" / "all.csv", rows)
    write(tmp_path / "m" / "all.csv", samples)
    config = CONFIG.replace(
        'version = "version"\nscore', 'timestamp = ""\nversion = "version"\nscore'
    )
    config = config.replace("labels = ", "# labels = ") + "[deployment.limits]\nerror_rate = 0.05\n"
    made = recorded(tmp_path, config)
    shown = json.loads(made.show("system", step="all"))
    assert {r["source"] for r in shown["rows"]} == {"log"}
    assert "requests_per_second" not in {r["metric"] for r in shown["rows"]}
    assert limits_of(shown)["error_rate", "v2", "log"]["state"] == "broken"


def test_traffic_that_stops_within_an_hour_is_below_its_limit(tmp_path: Path) -> None:
    """Rows may still come, but that hour has passed."""
    rows = [
        {
            "id": str(i),
            "timestamp": (START + i * MINUTE).isoformat(),
            "version": "v1",
            "score": 0.5,
            "latency": 1,
            "cost": 0,
            "error": "",
        }
        for i in range(125)  # two hours of one a minute, then five minutes
    ]
    write(tmp_path / "p" / "all.csv", rows)
    write(tmp_path / "m" / "all.csv", logs()[1][:1])
    write(tmp_path / "labels.csv", [{"id": "0", "label": 1, "received": stamp(START)}])
    limit = "[deployment.limits]\nrequests_per_second = { below = 0.01 }\n"
    made = recorded(tmp_path, CONFIG + limit)
    later = START + timedelta(hours=3, minutes=10)
    (d,) = made.config.deployment
    shown = made.taker.system(make_ask(d, later, timedelta(hours=6)))
    (finding,) = [f for f in shown.findings if "requests_per_second" in f.text]
    assert "below its limit" in finding.text


def test_without_limits_nothing_is_judged_and_it_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder / "p", tmp_path / "p")
    shutil.copy(folder / "labels.csv", tmp_path)
    path = tmp_path / "modelwatch.toml"
    path.write_text(CONFIG + LIMITS)
    assert main(["record", "--once", "--config", str(path)]) in {0, 1, 3}  # no samples yet
    path.write_text(CONFIG)
    capsys.readouterr()
    assert main(["show", "system", "--window", "2d", "--config", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "no limits are set" in out
    assert "no samples of system metrics" in out
    assert err == ""  # limits are shown only: it is no other configuration


# --- the screen ------------------------------------------------------------------------------


def test_a_broken_limit_is_marked_in_words_and_drawn(store: Store) -> None:
    made = view(store.take("system", step="hour"))  # type: ignore[arg-type]
    rows = {row.key: {c.title: cell for c, cell in zip(made.table.columns, row.cells, strict=True)}
            for row in made.table.rows}  # fmt: skip
    cells = rows["samples/v2/gpu_utilization"]
    assert cells["state"].text == "above 01 Mar 20:00"
    assert cells["state"].tone is Tone.BAD
    assert cells["highest"].tone is Tone.BAD
    assert cells["limit"].text == "<= 0.9"
    plots = [p for p in made.plots if isinstance(p, TimePlot)]
    assert plots[0].lines[0].y in {400, 0.03, 0.9}
    assert len({(p.start, p.end) for p in plots}) == 1
    listed = sum(len(table.rows) for _, d in made.details for table in d.tables)
    assert listed <= 5_000
    for key, detail in made.details:
        assert len(detail.plots) == (1 if key.endswith("saturation") else 2)


@pytest.mark.parametrize(
    ("row", "column", "figure"),
    [
        ("log/v2/error_rate", "now", "error_rate"),
        ("log//error_rate", "highest", "error_rate"),
        ("samples/v2/gpu_utilization", "F1", "f1"),
    ],
)
def test_what_has_rows_can_be_explained(store: Store, row: str, column: str, figure: str) -> None:
    ask = store.take("system").ask
    found = target_of(store.taker, ask, Explain("system", row, column))
    assert not isinstance(found, str)
    assert found[1] == figure
    assert found[0].version == (row.split("/")[1] or None)
    refused = target_of(store.taker, ask, Explain("system", "samples//queue_length", "now"))
    assert isinstance(refused, str)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_plots_above_each_other_have_the_same_columns(store: Store, width: int) -> None:
    made = view(store.take("system", step="hour"))  # type: ignore[arg-type]
    axes = set()
    for plot in made.plots[:3]:
        lines = [text.plain for text in draw(plot, width, 10)]
        (axis,) = [line for line in lines if "└" in line]
        axes.add(axis.rstrip())
    assert len(axes) == 1
