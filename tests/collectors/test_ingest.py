"""Bad input: all of it ends in quarantine or in a sentence, and the rest is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import Logs, assert_adds_up, count, deployment, opened, predictions, store_of, write

from collectors.contract import Deployment
from collectors.errors import ContractError
from collectors.ingest import Ingest, wanted_columns
from collectors.reader import InProcessReader
from collectors.store.database import Database

T = "2024-03-01T10:00:00Z"
HEAD = "id,ts,score,shop,note\n"


def record(name: str, **more: object) -> str:
    return json.dumps({"id": name, "ts": T, "score": 0.5, "shop": "north"} | more) + "\n"


def test_a_missing_file_is_a_problem_and_the_others_are_loaded(tmp_path: Path) -> None:
    rows = predictions(5, 1)
    good = write(rows, tmp_path / "a", ".csv")
    missing = deployment(predictions={"path": ["gone.csv", str(good)]}, labels=None)
    collected = opened(missing, tmp_path).collect()
    (problem,) = collected.problems
    assert "there is no file or folder" in problem.message
    both = deployment(predictions={"path": str(good)})
    collected = opened(both, tmp_path).collect()
    assert [p.kind for p in collected.problems] == ["labels"]
    assert collected.n_new == 5


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    for path in ("pipe.csv", "loop.csv", "/dev/zero", "nul\x00.csv", "a.csv/b"):
        one = deployment(predictions={"path": path}, labels=None)
        assert len(opened(one, tmp_path).collect().problems) == 1, path


def test_globs_and_folders_without_files_are_no_problem_yet(tmp_path: Path) -> None:
    logs = Logs(tmp_path, predictions={"path": ["predictions", "later/*.csv"]})
    assert logs.collect() == []


def test_wrong_columns_are_named_in_quarantine(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.put("a.csv", "request,when,p\n1,2,3\n4,5,6\n")
    logs.put("b.csv", f"id,when,score\na,{T},0.5\n")
    logs.put("c.csv", f"id,ts,p\na,{T},0.5\n")
    assert logs.collect() == []
    assert logs.bad("position, reason, detail") == [
        (1, "no id", "there is no column 'id'"),
        (2, "no id", "there is no column 'id'"),
        (1, "no timestamp", "there is no column 'ts'"),
        (1, "no prediction", "there is no column 'score'"),
    ]


def test_mixed_types_cost_only_the_records_that_need_them(tmp_path: Path) -> None:
    logs = Logs(tmp_path, features={"numeric": ["x"]}, latency_ms="ms")
    records = [
        record("a", x=1.5, ms=3),
        record("b", x="many", ms="slow"),
        record("c", x=None, score="high"),
        record("d", x=[1], score="0.25"),
        record("", x=1),
        record("e" * 501),
        record("f", score=None),
        json.dumps({"id": 7, "ts": 1709287200, "score": 1}) + "\n",
    ]
    logs.put("a.jsonl", "".join(records))
    assert logs.collect() == []
    assert [row[0] for row in logs.rows("id")] == ["7", "a", "b", "d"]
    assert logs.bad() == [
        (3, "score not between 0 and 1"),
        (5, "no id"),
        (6, "id too long"),
        (7, "no prediction"),
    ]


def test_unusable_scores_and_numbers_are_set_apart(tmp_path: Path) -> None:
    logs = Logs(tmp_path, task="regression", score="", prediction="score")
    values = ["nan", "inf", "-inf", "1e80", "-1e76", "x", "", "1e74", "-3"]
    logs.put("a.csv", HEAD + "".join(f"{i},{T},{v},north,\n" for i, v in enumerate(values)))
    assert logs.collect() == []
    assert logs.rows("id, predicted") == [("7", 1e74), ("8", -3)]
    assert [reason for _, reason in logs.bad()] == [
        *["number not usable"] * 5,
        "prediction not readable",
        "no prediction",
    ]


def test_hostile_strings_are_stored_as_they_are(tmp_path: Path) -> None:
    hostile = [
        "\x1b[2J\x1b]0;pwned\x07",
        "[/bold][link=file:///etc/passwd]x[/link]",
        "'; DROP TABLE deployments; --",
        '"quoted" \\ back {brace} $x ?',
        "\u202eright to left\u2066",
        "nul \x00 inside",
        "😀" * 300,
        "(other)",
    ]
    logs = Logs(tmp_path, version="model", error="error")
    for i, text in enumerate(hostile):
        more = {"shop": text, "note": text, "model": text[:100], "score": 0.5}
        logs.put(f"{i}.jsonl", record(text[:400], **more) + record(f"bad{i}", score=text))
        logs.put(f"{i}e.jsonl", record(f"e{i}", error=text))
    assert logs.collect() == []
    stored = {row[0] for row in logs.rows("id")}
    assert {text[:400] for text in hostile} <= stored
    assert len(logs.bad()) == len(hostile)
    reader = InProcessReader(logs.ingest.database)
    assert reader.query("quarantine_records", "demo", most=100, longest=99).height == len(hostile)
    longest = logs.ingest.database.connection.execute(
        f"SELECT max(length(value)) FROM {logs.stored.layout.table('rollup_binary')}"
    ).fetchall()
    assert longest == [(200,)]
    assert set(hostile) <= {note for (note,) in logs.rows("f0")}


ODD_NAMES = [
    'say "id"',
    "SELECT",
    "per cent %s {x}",
    "naïve 列 😀",
    "[/b]\x1b[0m",
    "a'b;--",
    "position",
    "c0",
]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_columns_may_have_any_name(tmp_path: Path, suffix: str) -> None:
    id_, ts, score, version, feature, segment, note, latency = ODD_NAMES
    contract = Deployment.model_validate(
        {
            "name": "odd",
            "task": "binary",
            "predictions": {"path": "in"},
            "id": id_,
            "timestamp": ts,
            "score": score,
            "version": version,
            "latency_ms": latency,
            "features": {"numeric": [feature], "categorical": [note]},
            "segments": [segment],
        }
    )
    row = dict(zip(ODD_NAMES, ["x", T, 0.5, "v1", 1.5, "north", "hm", 12.0], strict=True))
    write([row, row | {id_: "y", score: 2.0}], tmp_path / "in" / "a", suffix)
    ingest = opened(contract, tmp_path)
    assert not ingest.collect().problems
    stored = store_of(ingest)
    assert count(stored) == 1
    assert_adds_up(stored)
    ((content,),) = ingest.database.connection.execute("SELECT content FROM quarantine").fetchall()
    assert set(json.loads(content)) == set(ODD_NAMES)
    missing = ingest.database.connection.execute(
        "SELECT column_name FROM schema_changes WHERE change = 'missing'"
    ).fetchall()
    assert missing == []


@pytest.mark.parametrize(
    "name", ["with space", "quo'te \" x", "we[1]ird*?", "ünïcode 😀", "semi;colon--", "{a,b}"]
)
def test_files_and_folders_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    logs = Logs(folder)
    for suffix in (".csv", ".jsonl", ".parquet"):
        rows = [{"id": suffix, "ts": T, "score": 0.5, "shop": "a"}]
        write(rows, folder / "predictions" / name, suffix)
    assert logs.collect() == []
    assert logs.ids() == [".csv", ".jsonl", ".parquet"]


def test_a_file_name_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    rows = [{"id": "a", "ts": T, "score": 0.5, "shop": "a"}]
    for suffix in (b".csv", b".parquet"):
        plain = write(rows, tmp_path / "plain", suffix.decode())
        plain.rename(tmp_path / "predictions" / os.fsdecode(b"n\xff" + suffix))
    assert logs.collect() == []
    assert logs.ids() == ["a"]
    assert logs.collect() == []


def test_a_deployment_without_labels_is_whole(tmp_path: Path) -> None:
    rows = predictions(20, 1)
    write(rows, tmp_path / "predictions" / "a", ".csv")
    ingest = opened(deployment(labels=None), tmp_path)
    collected = ingest.collect()
    assert [kind for _, kind, _ in collected.counts] == ["reference", "predictions"]
    assert not collected.problems


def test_names_must_differ_by_more_than_case(tmp_path: Path) -> None:
    both = [deployment(name="demo"), deployment(name="Demo")]
    with Database(None) as database, pytest.raises(ContractError, match="same name"):
        Ingest(database, both, tmp_path, lambda: None)  # type: ignore[arg-type,return-value]


def test_segments_and_categories_of_a_hundred_thousand_values_stay_bounded(tmp_path: Path) -> None:
    n = 100_000
    logs = Logs(tmp_path, segments=["shop", "town"], version="")
    rows = "".join(f"r{i},{T},0.5,shop {i},note {i},town {i % 150}\n" for i in range(n))
    logs.put("a.csv", "id,ts,score,shop,note,town\n" + rows)
    assert logs.collect() == []
    logs.put("b.csv", f"id,ts,score,shop,note,town\nz,{T},0.5,new shop,new,new town\n")
    assert logs.collect() == []
    connection = logs.ingest.database.connection
    name = logs.stored.layout.table("rollup_binary")
    cells = dict(connection.execute(f"SELECT segment, count(*) FROM {name} GROUP BY 1").fetchall())
    assert cells[1] <= 203
    assert cells[3] <= 201 * 151 + 2
    other = connection.execute(
        f"SELECT sum(n) FROM {name} WHERE segment = 1 AND value = '(other)'"
    ).fetchall()
    assert other == [(n - 200 + 1,)]
    features = logs.stored.layout.table("rollup_feature")
    assert connection.execute(f"SELECT count(*) FROM {features}").fetchall()[0][0] < 210
    added = connection.execute(f"SELECT sum(n) FROM {name} WHERE segment = 3").fetchall()
    assert added == [(n + 1,)]


MEMORY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from synthetic import Logs
logs = Logs(Path(sys.argv[1]))
assert logs.collect() == []
print(logs.ids(), logs.bad())
# ru_maxrss would carry over the parent's peak across fork and exec
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_line_of_a_hundred_megabytes_is_set_apart_in_little_memory(
    tmp_path: Path, suffix: str
) -> None:
    first, last = (
        (record("a"), record("b"))
        if suffix == ".jsonl"
        else (
            HEAD + f"a,{T},0.5,x,\n",
            f"b,{T},0.5,x,\n",
        )
    )
    (tmp_path / "predictions").mkdir()
    with (tmp_path / "predictions" / f"a{suffix}").open("w") as file:
        file.write(first)
        for _ in range(100):
            file.write("x" * 1_000_000)
        file.write("\n" + last)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found, peak = done.stdout.splitlines()
    assert found == "['a', 'b'] [(2, 'line too long')]"
    assert int(peak) < 450_000  # KiB; half of it are the libraries


def test_an_endless_last_line_waits_while_the_file_may_grow(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    path = logs.put("a.jsonl", record("a") + "x" * 3_000_000)
    assert logs.collect(whole=False) == []
    assert (logs.ids(), logs.bad()) == (["a"], [])
    with path.open("a") as file:
        file.write("\n")
    logs.collect(whole=False)
    assert logs.bad() == [(2, "line too long")]
    with path.open("a") as file:
        file.write(record("b"))
    logs.collect(whole=False)
    assert logs.ids() == ["a", "b"]


def test_wanted_columns_name_every_source(tmp_path: Path) -> None:
    contract = deployment(
        reference=[{"path": "r.parquet"}], metrics=[{"path": "m.csv", "version": "model"}]
    )
    wanted = {kind: columns for kind, columns, _, _ in wanted_columns(contract)}
    assert wanted["labels"] == {"id", "label", "received", "event", "by"}
    assert {"id", "ts", "score", "x", "shop"} <= wanted["predictions"]
    assert wanted["metrics"] == {"timestamp", "metric", "value", "model"}
    assert "label" in wanted["reference"]


def test_a_row_without_a_label_beside_it_has_none_yet(tmp_path: Path) -> None:
    contract = deployment(
        labels={"source": {"path": "predictions"}, "id": "id", "value": "label", "received": "ts"}
    )
    rows = [row | {"label": "" if i % 3 else 1} for i, row in enumerate(predictions(30, 5))]
    write(rows, tmp_path / "predictions" / "a", ".csv")
    ingest = opened(contract, tmp_path)
    counts = {kind: c for _, kind, c in ingest.collect().counts}
    assert counts["labels"].n_quarantined == 0
    assert counts["labels"].n_read == counts["labels"].n_new == 10


def test_codes_that_say_success_are_no_errors(tmp_path: Path) -> None:
    codes = ["200", "200.0", "0", "0.0", "204", "ok", "", "500", "500.0", "timeout", "-1"]
    rows = [
        row | {"error": code, "predicted": 1}
        for row, code in zip(predictions(len(codes), 5), codes, strict=True)
    ]
    write(rows, tmp_path / "predictions" / "a", ".csv")
    stored = store_of(loaded := opened(deployment(labels=None), tmp_path))
    loaded.collect()
    found = stored.database.connection.execute(
        f"SELECT error FROM {stored.layout.table('predictions')} WHERE error IS NOT NULL ORDER BY 1"
    ).fetchall()
    assert [e for (e,) in found] == ["-1", "500", "500.0", "timeout"]
