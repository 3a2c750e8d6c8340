"""Records that could not be used: listed, exported, and read anew once the cause is mended."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from collectors.store.quarantine import CONTENT
from console.cli import main

CONFIG = """
[[deployment]]
name = "m"
task = "binary"
predictions = "logs/*.csv"
timestamp = "ts"
score = "score"
labels = { source = "logs/*.csv", value = "y", received = "ts" }
"""
N = 40


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A log of which every fourth time has no zone, and one score is none; recorded."""
    lines = ["id,ts,score,y,\x1b[31mnote"]
    for i in range(N):
        zone = "Z" if i % 4 else ""
        lines.append(f"r{i},2024-03-01T{i % 24:02}:00:00{zone},{i / N},{i % 2},x")
    lines.append('r99,2024-03-01T00:00:00Z,7,1,"\x1b]0;owned\x07"')
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "p.csv").write_text("\n".join(lines) + "\n")
    path = tmp_path / "modelwatch.toml"
    path.write_text('store = { path = "store.duckdb" }\nconsole = { clock = "latest" }\n' + CONFIG)
    assert main(["record", "--once", "--config", str(path)]) == 0
    return path


def asked(config: Path, *words: str) -> list[str]:
    return ["quarantine", "--config", str(config), *words]


def test_every_record_is_listed_with_its_reason_and_content(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(asked(config, "--format", "json", "--limit", "1000")) == 0
    found = json.loads(capsys.readouterr().out)
    by_reason = [(r["kind"], r["reason"]) for r in found]
    assert by_reason.count(("predictions", "timestamp without zone")) == N // 4
    assert by_reason.count(("labels", "timestamp without zone")) == N // 4
    (score,) = [r for r in found if r["reason"] == "score not between 0 and 1"]
    assert score["record"] == N + 1
    assert json.loads(score["content"])["score"] == "7"
    assert score["content_complete"]


def test_no_format_sends_control_characters(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for fmt in ("table", "json", "csv", "records"):
        capsys.readouterr()
        assert main(asked(config, "--format", fmt)) == 0
        out = capsys.readouterr().out
        assert "score" in out
        assert not any(ch in out for ch in "\x1b\x07\r")


def test_exported_records_can_be_collected_as_a_log(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = config.parent / "bad.jsonl"
    words = ("--kind", "predictions", "--reason", "timestamp without zone")
    assert main(asked(config, *words, "--format", "records", "--output", str(target))) == 0
    mended = target.read_text().replace(":00:00", ":00:00Z")
    (config.parent / "logs" / "mended.jsonl").write_text(mended)
    config.write_text(config.read_text().replace('"logs/*.csv"', '"logs"'))
    assert main(["record", "--once", "--config", str(config)]) == 0
    assert f"{N // 4} new" in capsys.readouterr().err


def test_a_file_that_is_there_is_not_overwritten(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = config.parent / "keep"
    target.write_text("mine")
    assert main(asked(config, "--output", str(target))) == 2
    assert "there already" in capsys.readouterr().err
    assert target.read_text() == "mine"


@pytest.mark.parametrize("words", [["--limit", "0"], ["--limit", "ten"], ["--reason", "nothing"]])
def test_wrong_words_are_refused(
    config: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(config, *words)) == 2


def test_replay_reads_what_the_mended_configuration_can(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace('ts"\n', 'ts"\ntimezone = "UTC"\n', 1))
    capsys.readouterr()
    assert main(asked(config, "--replay")) == 1  # the score is still none
    out = capsys.readouterr().out
    assert f"predictions: timestamp without zone: {N // 4} before, 0 now" in out
    assert "score not between 0 and 1: 1 before, 1 now" in out
    rows = shown_performance(config, capsys)
    assert int(rows[-1]["n"]) == N
    assert main(asked(config, "--replay")) == 1  # and again: every row once
    assert shown_performance(config, capsys) == rows


def test_replay_leaves_records_whose_file_is_gone(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace('ts"\n', 'ts"\ntimezone = "UTC"\n', 1))
    (config.parent / "logs" / "p.csv").unlink()
    capsys.readouterr()
    assert main(asked(config, "--replay")) == 1
    out, err = capsys.readouterr()
    assert f"timestamp without zone: {N // 4} before, {N // 4} now" in out
    assert "no longer there" in err


def test_a_record_that_was_cut_is_not_exported_as_a_whole_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()
    long = json.dumps({"id": "a", "ts": "never", "score": 0.5, "note": "x" * (2 * CONTENT)})
    (tmp_path / "logs" / "p.jsonl").write_text(long + "\n")
    path = tmp_path / "modelwatch.toml"
    path.write_text('store = { path = "store.duckdb" }\n' + CONFIG.replace("*.csv", "*.jsonl"))
    main(["record", "--once", "--config", str(path)])
    capsys.readouterr()
    assert main(asked(path, "--format", "records", "--kind", "predictions")) == 0
    out, err = capsys.readouterr()
    assert out.strip() == ""
    assert "left out" in err


def shown_performance(config: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    capsys.readouterr()
    words = ["--window", "3d", "--step", "all", "--format", "csv"]
    assert main(["show", "performance", "--config", str(config), *words]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
