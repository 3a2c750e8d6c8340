"""`modelwatch store`: what it says, and that a store is never worse off after it."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from collectors.errors import StoreError
from collectors.store.copying import copy_store
from collectors.store.database import Database
from console.cli import main

NAME = "it-s.a_model"
CONFIG = f"""
[console]
clock = "latest"

[store]
path = "store.duckdb"

[[deployment]]
name = "{NAME}"
task = "binary"
predictions = "logs/*.csv"
timestamp = "ts"
score = "score"
labels = {{ source = "logs/*.csv", value = "y", received = "ts" }}

[[deployment]]
name = "other"
task = "regression"
predictions = "logs/*.csv"
timestamp = "ts"
prediction = "score"
"""
N = 240
DAYS = 10


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Ten days of a log, recorded."""
    lines = ["id,ts,score,y"]
    for i in range(N):
        day, hour = 1 + i % DAYS, i % 24
        lines.append(f"r{i},2024-03-{day:02}T{hour:02}:40:00Z,{i / N},{i % 2}")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "p.csv").write_text("\n".join(lines) + "\n")
    path = tmp_path / "modelwatch.toml"
    path.write_text(CONFIG)
    assert main(["record", "--once", "--config", str(path)]) == 0
    return path


Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(config: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command over the configuration: its exit code, stdout and stderr."""

    def asked(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*words, "--config", str(config)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return asked


def keep(config: Path, **what: str) -> None:
    """Configure a retention."""
    lines = "".join(f'{key} = "{value}"\n' for key, value in what.items())
    config.write_text(CONFIG + f"\n[store.retention]\n{lines}")


def figures(ask: Ask) -> list[Any]:
    """What panes show of all days."""
    window = ("--start", "2024-03-01", "--end", "2024-03-11", "--step", "day", "--format", "json")
    found = []
    for pane in ("performance", "drift", "traffic"):
        code, out, _ = ask("show", pane, *window)
        assert code == 0
        found.append(json.loads(out)["rows"])
    return found


def info(ask: Ask) -> dict[str, Any]:
    code, out, _ = ask("store", "info", "--format", "json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_info_says_what_is_there(ask: Ask, config: Path) -> None:
    found = info(ask)
    size = (config.parent / "store.duckdb").stat().st_size
    assert (found["bytes"], found["schema_version"] >= 3, found["quarantine"]) == (size, True, 0)
    by_name = {d["name"]: d for d in found["deployments"]}
    assert set(by_name) == {NAME, "other"}
    of = by_name[NAME]
    assert (of["n"], of["n_raw"], of["unbuilt"], of["gaps"]) == (N, N, 0, [])
    assert (of["first"], of["last"]) == ("2024-03-01T00:40:00Z", "2024-03-10T23:40:00Z")
    tables = {(t["of"], t["name"]): t["rows"] for t in found["tables"]}
    assert tables[NAME, "predictions"] == N
    assert sum(t["bytes"] for t in found["tables"]) > 0
    code, out, _ = ask("store", "info")
    assert code == 0
    assert f"{NAME} (binary): {N} predictions, raw rows from 2024-03-01 00:40" in out


def test_vacuum_deletes_what_is_configured_and_gives_the_room_back(ask: Ask, config: Path) -> None:
    before = figures(ask)
    store = config.parent / "store.duckdb"
    store.chmod(0o640)
    with Database(store) as database:  # room that nobody uses
        # between other blocks: at its end a file is cut off by itself
        database.connection.execute("CREATE TABLE filler AS SELECT random() FROM range(1500000)")
        database.connection.execute("CHECKPOINT")
        database.connection.execute("CREATE TABLE last AS SELECT random() FROM range(300000)")
        database.connection.execute("CHECKPOINT")
        database.connection.execute("DROP TABLE filler")
    size = store.stat().st_size
    (config.parent / ".store.duckdb.0123abcd").write_bytes(b"left by a killed run")
    keep(config, raw="4d")
    code, out, err = ask("store", "vacuum")
    assert code == 0
    assert "raw rows of 2024-03-01 deleted" in err
    assert "MB before" in out
    assert store.stat().st_size < size - 5_000_000
    assert stat.S_IMODE(store.stat().st_mode) == 0o640
    assert sorted(p.name for p in config.parent.iterdir()) == [
        "logs",
        "modelwatch.toml",
        "store.duckdb",
    ]
    of = next(d for d in info(ask)["deployments"] if d["name"] == NAME)
    assert (of["n"], of["n_raw"]) == (N, N * 5 // DAYS)
    assert [(g["what"], g["before"]) for g in of["gaps"]] == [("raw", "2024-03-06T00:00:00Z")]
    assert figures(ask) == before
    # the numbers of batches go on, and recording does
    (config.parent / "logs" / "q.csv").write_text(
        "id,ts,score,y\nnew,2024-03-10T23:30:00Z,0.5,1\nold,2024-03-02T00:00:00Z,0.5,1\n"
    )
    assert ask("record", "--once")[0] == 0
    of = next(d for d in info(ask)["deployments"] if d["name"] == NAME)
    assert of["n"] == N + 1
    with Database(store, read_only=True) as database:
        numbers = database.connection.execute("SELECT batch FROM batches ORDER BY 1").fetchall()
        keys = database.connection.execute(
            "SELECT count(*) FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'"
        ).fetchall()
    assert len(set(numbers)) == len(numbers)
    assert keys[0][0] >= 6
    _, out, _ = ask("show", "data", "--format", "json", "--start", "2024-03-01")
    found = json.loads(out)
    assert {r["what"] for r in found["retained"]} == {"raw"}
    assert "raw rows before 2024-03-06 were deleted (retention)" in [
        f["text"] for f in found["findings"]
    ]
    assert [q["reason"] for q in found["quarantine"]] == [
        "older than the raw rows that are kept"
    ] * 2


def test_how_it_stood_before_the_raw_rows_is_refused_in_a_sentence(ask: Ask, config: Path) -> None:
    keep(config, raw="4d")
    ask("store", "vacuum")
    code, out, err = ask("show", "performance", "--as-of", "2024-03-05T10:30", "--window", "2d")
    assert (code, out) == (3, "")
    assert "no longer known: raw rows before 2024-03-06 were deleted (retention)" in err
    assert ask("show", "performance", "--as-of", "2024-03-09T10:30", "--window", "1d")[0] == 0
    # the week before lies where nobody knows: it is left out, the window is shown
    for pane in ("performance", "drift", "data", "overview"):
        assert ask("show", pane, "--as-of", "2024-03-09T10:30", "--window", "2d")[0] == 0


def test_long_windows_begin_at_midnight_where_only_days_are_kept(ask: Ask, config: Path) -> None:
    keep(config, size="1KB", hours="30d")
    log = ["id,ts,score,y", *(f"n{i},2024-05-{i:02}T10:20:00Z,0.5,1" for i in range(1, 20))]
    (config.parent / "logs" / "later.csv").write_text("\n".join(log) + "\n")
    assert ask("record", "--once")[0] == 0
    before = figures(ask)
    assert ask("store", "vacuum")[0] == 0
    gaps = {g["what"]: g["before"] for g in info(ask)["deployments"][0]["gaps"]}
    assert gaps["hours"] == "2024-04-19T00:00:00Z"
    assert figures(ask) == before
    for pane in ("overview", "performance", "drift", "subgroups", "traffic", "data", "versions"):
        code, out, err = ask("show", pane, "--window", "12w")
        assert (code, err) == (0, ""), pane
        assert "2024-02-25 00:00 to" in out
    for words in (["show", "performance"], ["show", "drift"], ["explain", "accuracy"]):
        code, _, err = ask(*words, "--window", "8w", "--against", "before")
        assert (code, err) == (0, ""), words
    assert ask("export", "--window", "12w", "--output", str(config.parent / "b"))[0] == 0
    code, _, err = ask("show", "performance", "--start", "2024-03-02", "--end", "2024-03-04")
    assert (code, err) == (0, "")


def test_rebuild_gives_the_same_figures(ask: Ask) -> None:
    before = figures(ask)
    code, out, _ = ask("store", "rebuild")
    assert code == 0
    assert f"{NAME}: rollups built anew" in out
    assert figures(ask) == before
    code, out, _ = ask("store", "rebuild", "other")
    assert NAME not in out
    code, _, err = ask("store", "rebuild", "nobody")
    assert code == 2
    assert "no deployment 'nobody'" in err


def test_a_backup_is_a_whole_store(ask: Ask, config: Path) -> None:
    target = config.parent / "it's a copy.duckdb"
    assert ask("store", "backup", str(target))[0] == 0
    before = figures(ask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    (config.parent / "store.duckdb").unlink()
    config.write_text(CONFIG.replace("store.duckdb", target.name))
    assert figures(ask) == before
    assert ask("record", "--once")[0] == 0
    code, _, err = ask("store", "backup", str(target))
    assert code == 2
    assert "is there already" in err
    code, _, err = ask("store", "backup", str(config.parent))
    assert (code, "is a folder" in err) == (2, True)
    code, _, err = ask("store", "backup")
    assert (code, "say where" in err) == (2, True)


def test_a_store_that_is_written_to_is_copied_as_of_one_moment(tmp_path: Path) -> None:
    with Database(tmp_path / "s.duckdb") as database:
        database.connection.execute('CREATE SCHEMA "deployment it\'s"')
        database.connection.execute('CREATE TABLE "deployment it\'s".t AS SELECT 1 AS a')
        other = database.cursor()
        other.execute("BEGIN")
        other.execute('INSERT INTO "deployment it\'s".t VALUES (2)')  # not committed yet
        copy_store(database, tmp_path / "c.duckdb")
        other.execute("COMMIT")
        other.close()
        with pytest.raises(StoreError):
            copy_store(database, tmp_path / "nowhere" / "c.duckdb")
    with duckdb.connect(str(tmp_path / "c.duckdb")) as connection:
        rows = connection.execute('SELECT * FROM "deployment it\'s".t').fetchall()
    assert rows == [(1,)]


def test_without_a_store_none_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "modelwatch.toml"
    path.write_text(CONFIG)
    for words in (["vacuum"], ["rebuild"], ["backup", "x.duckdb"], ["info"]):
        assert main(["store", *words, "--config", str(path)]) in (2, 3)
        assert "there is no store at" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["modelwatch.toml"]


HOLDER = """
import sys
from pathlib import Path
from collectors.store.database import Database
with Database(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.readline()
"""


def test_a_store_in_use_is_left_alone(ask: Ask, config: Path) -> None:
    store = config.parent / "store.duckdb"
    before = store.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        for words in (["vacuum"], ["rebuild"], ["backup", str(config.parent / "b")]):
            code, _, err = ask("store", *words)
            assert code == 3
            assert f"in use by another process (process {holder.pid})" in err
        holder.stdin.close()
        holder.wait()
    assert store.read_bytes() == before


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from console.cli import main
sys.argv = ["modelwatch", *sys.argv[2:]]
main()
"""


def limited(config: Path, size: int, *words: str) -> subprocess.CompletedProcess[str]:
    """A command that can write no file beyond a size, as if the disk were full then."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), *words, "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit of file sizes")
def test_a_full_disk_is_said_and_costs_nothing(ask: Ask, config: Path) -> None:
    store = config.parent / "store.duckdb"
    before = store.read_bytes()
    names = sorted(p.name for p in config.parent.iterdir())
    size = len(before) // 3
    for words in (["vacuum"], ["backup", str(config.parent / "b")]):
        ended = limited(config, size, "store", *words)
        assert (ended.returncode, "Traceback" in ended.stderr) == (3, False)
        assert "there is no room left on the disk; make room" in ended.stderr
        assert store.read_bytes() == before
        assert sorted(p.name for p in config.parent.iterdir()) == names


@pytest.mark.slow
def test_recording_onto_a_full_disk_loses_nothing(ask: Ask, config: Path) -> None:
    before = (config.parent / "store.duckdb").read_bytes()
    wanted = figures(ask)
    rows = ["id,ts,score,y", *(f"m{i},2024-03-08T10:00:00Z,0.{i},1" for i in range(60_000))]
    (config.parent / "logs" / "more.csv").write_text("\n".join(rows) + "\n")
    ended = limited(config, len(before) + 200_000, "record", "--once")
    assert (ended.returncode, "Traceback" in ended.stderr) == (3, False)
    assert "there is no room left on the disk; make room" in ended.stderr
    keep(config, raw="4d")
    ended = limited(config, len(before), "store", "vacuum")
    assert (ended.returncode, "Traceback" in ended.stderr) == (3, False)
    assert ask("record", "--once")[0] == 0
    of = next(d for d in info(ask)["deployments"] if d["name"] == NAME)
    assert of["n"] == N + 60_000
    early = [
        [r for r in rows if r.get("start", "2024-03-09") < "2024-03-08"] for rows in wanted[:1]
    ]
    assert [[r for r in figures(ask)[0] if r["start"] < "2024-03-08"]] == early


def test_a_place_that_cannot_be_written_is_said(ask: Ask, config: Path) -> None:
    folder = config.parent / "ro"
    folder.mkdir()
    store = folder / "store.duckdb"
    (config.parent / "store.duckdb").rename(store)
    config.write_text(CONFIG.replace('"store.duckdb"', '"ro/store.duckdb"'))
    mounted = _read_only(folder)
    try:
        for words in (["store", "vacuum"], ["store", "rebuild"], ["record", "--once"]):
            code, _, err = ask(*words)
            assert code == 3, words
            assert "may not be written there; mount it for writing" in err
        assert ask("store", "info")[0] == 0
        assert ask("show", "performance")[0] == 0
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        store.chmod(0o600)
        folder.chmod(0o700)


def _read_only(folder: Path) -> bool:
    """Have a folder read-only: for root by a mount, where that is allowed. Whether it is one."""
    if os.geteuid():
        (folder / "store.duckdb").chmod(0o400)
        folder.chmod(0o500)
        return False
    with suppress(OSError):
        bind = subprocess.run(
            ["mount", "--bind", str(folder), str(folder)], check=False, capture_output=True
        )
        if not bind.returncode:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
            return True
    pytest.skip("root can write everywhere, and nothing may be mounted here")


WRITER = """
import os, sys
from pathlib import Path
from collectors.store.database import Database
database = Database(Path(sys.argv[1]))
for i in range(20):
    database.connection.execute("INSERT INTO segment_values VALUES ('x', 9, 'y')")
os._exit(0)  # not closed: what it wrote is in the log beside the store
"""


def test_a_damaged_log_says_what_to_do_and_that_works(ask: Ask, config: Path) -> None:
    before = figures(ask)
    store = config.parent / "store.duckdb"
    subprocess.run([sys.executable, "-c", WRITER, str(store)], check=True)
    log = store.with_name("store.duckdb.wal")
    data = bytearray(log.read_bytes())
    data[-5] ^= 0xFF  # of the last checksum
    log.write_bytes(data)
    for words in (["show", "performance"], ["record", "--once"], ["store", "info"]):
        code, _, err = ask(*words)
        assert code == 3
        assert f"move {log} aside and run `modelwatch record --once`" in err
        assert "Traceback" not in err
    log.rename(config.parent / "aside")
    assert ask("record", "--once")[0] == 0
    assert figures(ask) == before


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"raw": "12h"}, "whole days are kept"),
        ({"raw": "0d"}, "is no length of time"),
        ({"hours": "60d"}, "give raw or size too"),
        ({"raw": "90d", "hours": "60d"}, "hours must be at least as long as raw"),
        ({"raw": "9d", "hours": "20d"}, "hours are needed for 30 days"),
        ({"raw": "9d", "hours": "90d", "days": "80d"}, "days must be at least as long as hours"),
        ({"size": "20"}, "size"),
        ({"size": "-1GB"}, "size"),
        ({"keep": "90d"}, "is not known here"),
    ],
)
def test_a_retention_that_cannot_be_meant_is_refused_at_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: dict[str, str], said: str
) -> None:
    path = tmp_path / "modelwatch.toml"
    keep(path, **what)
    assert main(["store", "info", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert f"{path}:" in err
