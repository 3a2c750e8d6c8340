"""Exported logs without a configuration: guessed, cached, killed, changed, piped."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sample_rows import SAMPLE
from sample_store import Sample
from sklearn.metrics import f1_score, mean_absolute_error, roc_auc_score
from test_cli import COMMAND, environment, process

from console.bundle import read_bundle
from console.cli import main
from console.toml import configuration_toml

N = 2_000
LOG = ["--log", str(SAMPLE / "predictions"), "--labels", str(SAMPLE / "labels")]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "modelwatch" / "stores"


def table(n: int = N, seed: int = 3) -> pl.DataFrame:
    """A log of a binary model, its labels beside."""
    rng = np.random.default_rng(seed)
    score = rng.beta(2, 3, n)
    start = datetime(2024, 3, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "timestamp": [(start + timedelta(minutes=i)).isoformat() for i in range(n)],
            "x": rng.normal(size=n),
            "city": rng.choice(["Bonn", "Ulm"], n),
            "y_pred_proba": score,
            "y_pred": (score > 0.5).astype(int),
            "y_true": (rng.random(n) < score).astype(int),
        }
    )


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["show", *words, "--format", "json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def whole(capsys: pytest.CaptureFixture[str], path: Path | str, *words: str) -> dict[str, Any]:
    """The figures of a whole log with one version."""
    document = shown(capsys, "performance", "--log", str(path), "--step", "all", *words)
    rows = [r for r in document["rows"] if r["segment"] is None]
    assert len(rows) == 1
    row: dict[str, Any] = rows[0]
    return row


def test_figures_are_those_of_scikit_learn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table()
    frame.write_csv(tmp_path / "log.csv")
    row = whole(capsys, tmp_path / "log.csv")
    assert row["n"] == row["n_labelled"] == N
    found = row["metrics"]
    assert found["f1"]["value"] == pytest.approx(f1_score(frame["y_true"], frame["y_pred"]))
    auc = roc_auc_score(frame["y_true"], frame["y_pred_proba"])
    assert found["roc_auc"]["value"] == pytest.approx(auc, abs=2e-3)


@pytest.mark.parametrize(
    "name", ["log.csv", "log.jsonl", "log.parquet", "it's [1] *.csv", "über.csv"]
)
def test_formats_and_names_of_files_change_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table()
    written = {
        ".csv": frame.write_csv,
        ".jsonl": frame.write_ndjson,
        ".parquet": frame.write_parquet,
    }
    written[Path(name).suffix](tmp_path / name)
    row = whole(capsys, tmp_path / name)
    assert (row["tp"], row["n"]) == (int((frame["y_true"] * frame["y_pred"]).sum()), N)


def test_how_a_log_is_cut_into_files_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table()
    frame.write_parquet(tmp_path / "one.parquet")
    one = whole(capsys, tmp_path / "one.parquet")
    for i, part in enumerate((3, 0, 2, 1)):
        folder = tmp_path / "many" / f"city={i}"
        folder.mkdir(parents=True)
        frame[part * 500 : part * 500 + 500].write_csv(folder / "part.csv")
    many = whole(capsys, tmp_path / "many")
    keys = ("n", "n_labelled", "tp", "fp", "fn", "tn")
    assert {k: many[k] for k in keys} == {k: one[k] for k in keys}
    for name, figure in one["metrics"].items():
        if figure["value"] is not None and name not in ("roc_auc", "average_precision", "ece"):
            assert many["metrics"][name]["value"] == pytest.approx(figure["value"], rel=1e-9)


def test_folders_may_say_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = table()
    hostile = {
        "model=v%201": 700,
        "model='; DROP TABLE x": 800,
        "model=__HIVE_DEFAULT_PARTITION__": 500,
    }
    begin = 0
    for folder, n in hostile.items():
        (tmp_path / "log" / folder).mkdir(parents=True)
        frame[begin : begin + n].write_parquet(tmp_path / "log" / folder / "part.parquet")
        begin += n
    document = shown(capsys, "traffic", "--log", str(tmp_path / "log"), "--step", "all")
    found = {r["version"]: r["n"] for r in document["rows"]}
    assert found == {"v 1": 700, "'; DROP TABLE x": 800, "(none)": 500}


def test_a_log_may_come_on_standard_input(tmp_path: Path) -> None:
    found = subprocess.run(
        [*COMMAND, "show", "performance", "--log", "-", "--format", "csv"],
        input=table().write_csv(),
        env=environment(XDG_CACHE_HOME=str(tmp_path / "cache")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "y_pred_proba" in found.stderr
    assert sum(int(r["n"]) for r in csv.DictReader(io.StringIO(found.stdout)) if r["start"]) >= N


def test_a_second_time_it_is_not_built_again(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.csv"
    table().write_csv(path)
    first = shown(capsys, "drift", "--log", str(path))
    (store,) = cache.glob("*.duckdb")
    inode = store.stat().st_ino
    assert shown(capsys, "drift", "--log", str(path)) == first
    assert [p.stat().st_ino for p in cache.glob("*.duckdb")] == [inode]
    table(seed=4).write_csv(path)
    assert shown(capsys, "drift", "--log", str(path)) != first
    assert len(list(cache.glob("*.duckdb"))) == 2


def test_no_cache_leaves_nothing(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table().write_csv(tmp_path / "log.csv")
    shown(capsys, "drift", "--log", str(tmp_path / "log.csv"), "--no-cache")
    assert not list(cache.glob("*"))


def test_a_damaged_store_is_built_anew(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table().write_csv(tmp_path / "log.csv")
    first = shown(capsys, "drift", "--log", str(tmp_path / "log.csv"))
    (store,) = cache.glob("*.duckdb")
    store.write_bytes(b"no database" * 1000)
    assert shown(capsys, "drift", "--log", str(tmp_path / "log.csv")) == first


def test_the_cache_is_limited(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWATCH_CACHE_BYTES", "1")
    for seed in (1, 2, 3):
        table(seed=seed).write_csv(tmp_path / f"{seed}.csv")
        shown(capsys, "drift", "--log", str(tmp_path / f"{seed}.csv"))
    assert len(list(cache.glob("*.duckdb"))) == 1
    assert len(list(cache.glob("*.json"))) == 1


@pytest.mark.parametrize(
    "ends", [signal.SIGKILL, signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_ended_while_it_builds_nothing_half_is_ever_used(
    ends: signal.Signals, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["show", "overview", *LOG, "--format", "json"]
    with subprocess.Popen(
        [*COMMAND, *words],
        env=environment(XDG_CACHE_HOME=str(tmp_path / "cache")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as child:
        deadline = time.monotonic() + 60
        while not list(cache.glob("building-*")) and time.monotonic() < deadline:
            assert child.poll() is None
            os.sched_yield()
        child.send_signal(ends)
        child.wait(30)
    assert not [p for p in cache.glob("*.duckdb") if not p.name.startswith("building-")]
    if ends is signal.SIGINT:
        assert child.returncode == 130
    table().write_csv(tmp_path / "log.csv")
    shown(capsys, "drift", "--log", str(tmp_path / "log.csv"))  # whoever comes next cleans up
    assert not list(cache.glob("building-*"))


def test_without_times_ids_or_labels_it_opens_with_what_it_allows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table().drop("timestamp")
    frame.write_csv(tmp_path / "a.csv")
    row = whole(capsys, tmp_path / "a.csv")
    assert (row["n"], row["start"], row["end"]) == (N, None, None)
    document = shown(capsys, "data", "--log", str(tmp_path / "a.csv"))
    assert document["window"] is None
    assert document["as_of"] is None
    assert main(["show", "data", "--log", str(tmp_path / "a.csv")]) == 0
    out = capsys.readouterr().out
    assert "2000" not in out.replace("2,000", "")
    assert "says no times" in out
    assert "not logged" in out
    rng = np.random.default_rng(1)
    frame.drop("y_true").with_columns(y_pred_proba=rng.random(N)).write_csv(tmp_path / "b.csv")
    row = whole(capsys, tmp_path / "b.csv")
    assert row["n_labelled"] == 0
    assert row["metrics"]["f1"]["state"] == "no_labels"


def test_nothing_is_drawn_over_times_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table().drop("timestamp").write_csv(tmp_path / "a.csv")
    target = tmp_path / "a.modelwatch"
    assert main(["export", "--log", str(tmp_path / "a.csv"), "--output", str(target)]) == 0
    held = read_bundle(target)
    assert "2000-01-01" not in held.texts["report.html"] + held.texts["report.md"]
    here = shown(capsys, "performance", "--log", str(tmp_path / "a.csv"))
    assert shown(capsys, "performance", "--log", str(target)) == here


def test_a_regression_without_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=N)
    frame = pl.DataFrame({"x": x, "target": x + rng.normal(size=N), "prediction": x})
    frame.write_parquet(tmp_path / "e.parquet")
    row = whole(capsys, tmp_path / "e.parquet")
    mae = mean_absolute_error(frame["target"], frame["prediction"])
    assert row["metrics"]["mae"]["value"] == pytest.approx(mae)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prediction", "nope"], ["no column 'nope'", "--prediction"]),
        (["--target", "city_"], ["--target", "city"]),
        (["--class-score", "ant"], ["CLASS=COLUMN"]),
        (["--timezone", "Mars/Olympus"], ["time zone"]),
    ],
)
def test_a_wrong_flag_is_a_sentence(
    words: Sequence[str], said: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table().write_csv(tmp_path / "log.csv")
    assert main(["show", "overview", "--log", str(tmp_path / "log.csv"), *words]) == 2
    err = capsys.readouterr().err
    for word in said:
        assert word in err
    assert "Traceback" not in err


def test_an_ambiguous_log_is_refused_with_the_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table().with_columns(prediction=pl.col("y_pred"))
    frame.write_csv(tmp_path / "log.csv")
    assert main(["show", "overview", "--log", str(tmp_path / "log.csv")]) == 2
    assert "give --prediction (one of: y_pred, prediction)" in capsys.readouterr().err
    assert (
        main(["show", "overview", "--log", str(tmp_path / "log.csv"), "--prediction", "y_pred"])
        == 0
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", "", "is empty"),
        ("head.csv", "a,b\n", "no record"),
        ("binary.csv", "\x00\x01" * 5, "UTF-8 text"),
        ("no.parquet", "PAR0", "Parquet"),
    ],
)
def test_nothing_to_read_says_why(
    name: str, content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(content)
    assert main(["show", "overview", "--log", str(tmp_path / name)]) in (2, 3)
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert main(["show", "overview", "--log", str(tmp_path / "nowhere")]) == 3


def test_flags_about_logs_need_a_log(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "overview", *sample.options, "--id", "x"]) == 2
    assert "--log" in capsys.readouterr().err


def test_open_needs_a_terminal(tmp_path: Path) -> None:
    found = process("open", str(SAMPLE / "predictions"), cwd=tmp_path)
    assert found.returncode == 2
    assert "modelwatch show" in found.stderr


# -- init ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_init_reproduces_the_guess(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = str(SAMPLE / "reference" / "v2.parquet")
    words = [
        str(SAMPLE / "predictions"),
        "--labels",
        str(SAMPLE / "labels"),
        "--reference",
        reference,
    ]
    config = tmp_path / "conf" / "modelwatch.toml"
    config.parent.mkdir()
    assert main(["init", *words, "--output", str(config)]) == 0
    assert main(["init", *words, "--output", str(config)]) == 2  # never over another one
    assert main(["check", "--config", str(config)]) == 0
    store = ["--config", str(config), "--store", str(tmp_path / "s.duckdb")]
    assert main(["record", "--once", *store]) == 0
    window = ["--start", "2013-07-01", "--end", "2013-08-01", "--as-of", "2013-08-10"]
    recorded = shown(capsys, "performance", *store, *window)
    opened = shown(capsys, "performance", *LOG, "--reference", reference, *window)
    assert {k: v for k, v in recorded.items() if k != "rows"}.keys() == {
        k: v for k, v in opened.items() if k != "rows"
    }.keys()
    for a, b in zip(recorded["rows"], opened["rows"], strict=True):
        assert (a["version"], a["start"], a["n"], a["tp"]) == (
            b["version"],
            b["start"],
            b["n"],
            b["tp"],
        )


def test_init_refuses_what_it_cannot_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table().with_columns(prediction=pl.col("y_pred")).write_csv(tmp_path / "log.csv")
    target = tmp_path / "modelwatch.toml"
    assert main(["init", str(tmp_path / "log.csv"), "--output", str(target)]) == 2
    assert not target.exists()
    assert "--prediction" in capsys.readouterr().err


def test_every_deployment_reads_back_as_it_was_written(sample: Sample) -> None:
    import tomllib  # noqa: PLC0415

    from collectors.contract import Deployment  # noqa: PLC0415

    for d in sample.config.deployment:
        written = configuration_toml(d, {"task": ["why\x1b[2J\nnot"]}, head=["a\nb"])
        tree = tomllib.loads(written)
        assert Deployment.model_validate(tree["deployment"][0]) == d
        assert "\x1b" not in written


@pytest.mark.parametrize(
    "name", ['a"b\\c', "\x1b[31m", "🦄", "a\nb", "it's", "x\x7fy", "ключ", "a.b c"]
)
def test_hostile_names_read_back(name: str) -> None:
    import tomllib  # noqa: PLC0415

    from collectors.contract import Deployment  # noqa: PLC0415

    d = Deployment.model_validate(
        {
            "name": "m",
            "task": "multiclass",
            "predictions": {"path": name},
            "prediction": name,
            "class_scores": {name: name, "other": "o"},
            "features": {"numeric": [name]},
            "segments": [name.replace(",", "").replace("=", "")],
            "attributions": {name: name},
            "labels": {"source": {"path": [name, "b"]}, "value": name},
        }
    )
    written = configuration_toml(d)
    assert Deployment.model_validate(tomllib.loads(written)["deployment"][0]) == d
    assert not any(ord(ch) < 32 and ch != "\n" for ch in written)
