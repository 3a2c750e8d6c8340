"""The command: exit codes, one sentence on stderr, results on stdout, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import awkward
import pytest
from sample_rows import SAMPLE
from test_config import GOOD, written

from collectors.store.database import Database
from console.cli import build_parser, main
from console.options import COMMANDS, OPTIONS

COMMAND = [sys.executable, "-P", "-c", "from console.cli import main; main()"]
"""A process of its own, with this one's import path."""


def environment(**more: str) -> dict[str, str]:
    found = {k: v for k, v in os.environ.items() if not k.startswith(("MODELWATCH", "XDG"))}
    found["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    return {**found, **more}


def process(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=cwd, env=environment(**more), capture_output=True, text=True,
        timeout=120, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def fails(capsys: pytest.CaptureFixture[str], words: Sequence[str], code: int, *said: str) -> None:
    """The command ends with the code and one sentence on stderr, which says these words."""
    capsys.readouterr()
    assert main(list(words)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("modelwatch: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    for word in said:
        assert word in err


def shown(config: Path, *words: str, pane: str = "performance") -> list[str]:
    return ["show", pane, "--config", str(config), *words]


# -- wrong usage: 2 ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--window", "7 fortnights"], ["7 fortnights", "90m, 6h, 7d or 4w"]),
        (["--window", "0d"], ["0d"]),
        (["--as-of", "yesterday"], ["yesterday", "2013-02-12T14:00"]),
        (["--start", "2024-13-01"], ["2024-13-01"]),
        (["--start", "2024-03-31", "--end", "2024-03-30"], ["is empty"]),
        (["--start", "0001-01-01", "--end", "0001-01-01T00:00"], ["1900 to 9000"]),
        (["--deployment", "nope"], ["'nope'", "binary, multi"]),
        (["--segment", "colour"], ["no segment 'colour'", "[bold]kind, band"]),
        (["--segment", "a,b,c"], ["one segment or two"]),
        (["--segment", "band,band"], ["band"]),
        (["--segment", "="], ["segment"]),
        (["--start", "1899-12-31"], ["1900 to 9000"]),
        (["--end", "9000-01-02"], ["1900 to 9000"]),
        (["--as-of", "9999-12-31T23:59"], ["1900 to 9000"]),
        (["--window", "36526d"], ["100 years"]),
        (["--window", "999999w"], ["100 years"]),
        (["--version", "v99"], ["'v99'", "there is", "v1"]),
        (["--against", "version=v99"], ["'v99'", "there is", "v1"]),
        (["--against", "yesterday"], ["before", "week", "known=TIME"]),
        (["--threshold", "1.5"], ["between 0 and 1"]),
        (["--threshold", "high"], ["number"]),
    ],
)
def test_a_wrong_question_is_told_in_one_sentence(
    awkward_config: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: list[str]
) -> None:
    fails(capsys, shown(awkward_config, *words), 2, *said)


@pytest.mark.parametrize(
    "words",
    [
        ["show", "nonsense"], ["show"], ["show", "drift", "--format", "xml"], ["nonsense"],
        ["show", "drift", "--step", "minute"], ["show", "drift", "--dep", "x"],
        ["record", "--twice"],
    ],
)  # fmt: skip
def test_a_wrong_word_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error:" in err


def test_a_wrong_configuration_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = written(tmp_path, "[console]\ncolour = 1\n" + GOOD)
    for command in (["check"], ["show", "data"], ["record", "--once"]):
        fails(capsys, [*command, "--config", str(path)], 2, f"{path}:2:", "colour")
    fails(capsys, ["check", "--config", str(tmp_path / "no.toml")], 2, "no configuration", "demo")


@pytest.mark.parametrize("pane", ["overview", "drift", "traffic", "data"])
def test_a_pane_that_is_not_kept_by_segment_refuses_one(
    awkward_config: Path, capsys: pytest.CaptureFixture[str], pane: str
) -> None:
    words = shown(awkward_config, "--segment", "band", pane=pane)
    fails(capsys, words, 2, f"{pane} is not kept by segment", "--segment")


def test_a_window_that_begins_before_all_times_is_a_sentence(
    awkward_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shown(awkward_config, "--end", "0001-01-02", "--window", "90w")
    fails(capsys, words, 2, "1900 to 9000")


def test_a_window_of_start_and_end_over_a_hundred_years_is_a_sentence(
    awkward_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shown(awkward_config, "--start", "1900-01-01", "--end", "9000-01-01")
    fails(capsys, words, 2, "100 years")


def test_escape_codes_of_a_wrong_name_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str], awkward_config: Path
) -> None:
    fails(capsys, ["check", "--config", "\x1b[31mred"], 2, "\N{REPLACEMENT CHARACTER}[31mred")
    for words in (["--segment", "\x1b[31mred"], ["--deployment", "\x1b]0;x\x07"]):
        capsys.readouterr()
        assert main(shown(awkward_config, *words)) == 2
        assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("interval", ["often", "0", "-1", "1e9", "nan"])
def test_an_interval_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], awkward_config: Path, interval: str
) -> None:
    words = ["record", "--once", "--config", str(awkward_config), f"--interval={interval}"]
    fails(capsys, words, 2, "--interval")


@pytest.mark.parametrize("speed", ["fast", "0", "-3", "1e9", "nan"])
def test_a_speed_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], speed: str) -> None:
    fails(capsys, ["demo", "--headless", f"--speed={speed}"], 2, "--speed")


def test_a_demo_without_its_sample_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fails(
        capsys,
        ["demo", "--headless", "--sample", str(tmp_path)],
        2,
        "modelwatch.toml",
        str(tmp_path),
    )


# -- a store or a source that fails: 3 -------------------------------------------------------------


def test_a_missing_store_is_told_with_what_to_do(
    capsys: pytest.CaptureFixture[str], awkward_config: Path, tmp_path: Path
) -> None:
    words = shown(awkward_config, "--store", str(tmp_path / "none.duckdb"))
    fails(capsys, words, 3, "there is no store at", "record --once")


def test_what_is_no_store_is_told(
    capsys: pytest.CaptureFixture[str], awkward_config: Path, tmp_path: Path
) -> None:
    for content in (b"", b"no database at all" * 100):
        path = tmp_path / "other.duckdb"
        path.write_bytes(content)
        capsys.readouterr()
        assert main(shown(awkward_config, "--store", str(path))) == 3
        err = capsys.readouterr().err
        assert "other.duckdb" in err
        assert "Traceback" not in err


def test_a_busy_store_is_told_with_its_owner(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = awkward.write(tmp_path)
    hold = (
        "import sys, pathlib; from collectors.store.database import Database\n"
        "d = Database(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", hold, str(tmp_path / "store.duckdb")],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        fails(capsys, shown(path), 3, "in use by another process", str(owner.pid), "--store")
        fails(capsys, ["record", "--once", "--config", str(path)], 3, "in use", "--store")
        owner.communicate("")


def test_a_store_of_another_configuration_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], awkward_config: Path, tmp_path: Path
) -> None:
    path = written(tmp_path, GOOD.replace('"a"', '"other"'))
    store = str(awkward_config.parent / "store.duckdb")
    fails(capsys, shown(path, "--store", store), 2, "has no other yet", "record --once")


def test_the_store_is_read_as_it_was_recorded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A segment that is taken away in the configuration is still in the store's numbers."""
    path = awkward.write(tmp_path)
    assert main(["record", "--once", "--config", str(path)]) == 0
    capsys.readouterr()
    words = shown(path, "--window", "2d", "--segment", "band", "--format", "json", pane="subgroups")
    assert main(words) == 0
    before, err = capsys.readouterr()
    assert err == ""
    kind = '    { name = "[bold]kind", column = "kind" },\n'
    assert kind in awkward.CONFIG
    path.write_text(awkward.CONFIG.replace(kind, ""), encoding="utf-8")
    assert main(words) == 0
    after, err = capsys.readouterr()
    assert after == before
    assert err.count("\n") == 1
    assert "binary was recorded with another configuration; that one is shown" in err


def test_a_value_with_a_comma_can_be_asked_for(
    capsys: pytest.CaptureFixture[str], awkward_config: Path
) -> None:
    def rows(segment: str) -> list[dict[str, str]]:
        words = ["--window", "2d", "--segment", segment, "--format", "json"]
        assert main(shown(awkward_config, *words, pane="subgroups")) == 0
        return [row["values"] for row in json.loads(capsys.readouterr().out)["rows"]]

    name = "[bold]kind"
    assert rows(f"{name}=a,b")
    assert {value[name] for value in rows(f"{name}=a,b")} == {"a,b"}
    crossed = rows(f"{name}=a,b,band=from 0")
    assert crossed
    assert {(v[name], v["band"]) for v in crossed} == {("a,b", "from 0")}
    assert {v["band"] for v in rows(f"band=from 0,{name}")} == {"from 0"}


def test_a_source_of_nothing_but_bad_records_ends_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = awkward.write(tmp_path)
    wrong = awkward.CONFIG.replace(
        'predictions = { path = "number.parquet" }\n',
        'predictions = { path = "number.parquet" }\nid = "kind_of_id"\n',
    )
    path.write_text(wrong, encoding="utf-8")
    assert main(["record", "--once", "--config", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "not one record of the predictions of number could be used" in err
    assert "`modelwatch show data`" in err
    assert "multi predictions: 200 read, 200 new" in err
    # mended, the same store takes what it could not use
    path.write_text(awkward.CONFIG, encoding="utf-8")
    assert main(["record", "--once", "--config", str(path)]) == 0
    err = capsys.readouterr().err
    assert "number predictions: 150 read, 150 new" in err
    assert main(shown(path, "--format", "json", "--deployment", "number", pane="data")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["quarantine"] == []
    assert sum(row["n"] for row in document["rows"]) == 150


def test_a_deployment_that_is_new_in_the_configuration_is_to_be_recorded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = awkward.write(tmp_path)
    assert main(["record", "--once", "--config", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    path.write_text(text + GOOD.replace('"a"', '"newest"'), encoding="utf-8")
    fails(capsys, shown(path), 2, "the store has no newest yet", "`modelwatch record --once`")


def test_what_went_to_quarantine_is_shown_though_the_logs_have_ended(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = awkward.write(tmp_path)
    assert main(["record", "--once", "--config", str(path)]) == 0
    assert "1 in quarantine" in capsys.readouterr().err
    assert main(shown(path, "--format", "json", pane="data")) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(q["reason"], q["n"]) for q in document["quarantine"]] == [("label not readable", 1)]
    assert {s["kind"] for s in document["sources"]} == {"predictions", "labels", "reference"}


HOSTILE = "\x1b[31mred\x9b2J\x07.csv"
"""A file's name that would colour, clear and ring."""


def test_escape_codes_of_a_files_name_are_not_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    path = written(tmp_path, GOOD.replace('"p.parquet"', '"logs/*.csv"'))
    (logs / HOSTILE).write_text("timestamp,q\n2024-01-01T00:00:00Z,0.5\n")
    missing = main(["check", "--config", str(path)])
    out, err = capsys.readouterr()
    assert (missing, err) == (1, "")
    assert "\N{REPLACEMENT CHARACTER}[31mred" in out
    assert "has no column" in out
    harmless(out)
    (logs / HOSTILE).write_bytes(b"\x00\x01 no csv at all")
    for words in (["check"], ["record", "--once"]):
        code = main([*words, "--config", str(path), "--store", str(tmp_path / "s.duckdb")])
        out, err = capsys.readouterr()
        assert code in (1, 3)
        assert "Traceback" not in out + err
        assert "\N{REPLACEMENT CHARACTER}[31mred" in out + err, words
        harmless(out + err)


def test_escape_codes_of_a_records_are_not_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A column's name, a version and a bad value from a log, through record, show and doctor."""
    red = "\x1b[31mred"
    (tmp_path / "p.csv").write_text(
        f"id,timestamp,p,{red}\n1,2024-01-01T00:00:00Z,0.5,x\n2,2024-01-01T00:00:00Z,{red},x\n"
    )
    path = written(tmp_path, '[console]\nclock = "latest"\n' + GOOD.replace("p.parquet", "p.csv"))
    assert main(["record", "--once", "--config", str(path)]) == 0
    for words in (["show", "data"], ["show", "overview"], ["doctor"], ["check"]):
        main([*words, "--config", str(path)])
        out, err = capsys.readouterr()
        harmless(out + err)


def harmless(text: str) -> None:
    odd = {c for c in text if unicodedata.category(c).startswith("C") and c != "\n"}
    assert not odd, odd


def test_a_source_that_fails_is_told_and_the_others_are_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = awkward.write(tmp_path)
    (tmp_path / "number.parquet").write_bytes(b"PAR1 no more")
    assert main(["record", "--once", "--config", str(path)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "modelwatch: number predictions: " in err
    assert "multi predictions: 200 read, 200 new" in err
    assert "Traceback" not in err
    with Database(tmp_path / "store.duckdb", read_only=True) as database:
        found = database.connection.execute("SELECT count(*) FROM deployments").fetchall()
    assert found == [(5,)]


# -- fine: 0 -------------------------------------------------------------------------------------


def test_recording_again_brings_nothing_new(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = awkward.write(tmp_path)
    assert main(["record", "--once", "--config", str(path)]) == 0
    capsys.readouterr()
    assert main(["record", "--once", "--config", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert " 0 new" in err
    assert not [line for line in err.splitlines() if " new" in line and " 0 new" not in line]


def test_check_finds_what_does_not_fit(
    capsys: pytest.CaptureFixture[str], awkward_config: Path, tmp_path: Path
) -> None:
    assert main(["check", "--config", str(awkward_config)]) == 0
    assert "everything fits" in capsys.readouterr().out
    text = awkward.CONFIG.replace('prediction = "said"\nsegments', 'prediction = "sayed"\nsegments')
    path = awkward.write(tmp_path)
    path.write_text(text.replace('"bare.parquet"', '"nowhere.parquet"'), encoding="utf-8")
    assert main(["check", "--config", str(path)]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "number.parquet has no column sayed" in out
    assert "nowhere.parquet; check `path` in the configuration" in out
    assert "3 problem(s)" in out


def test_check_accepts_the_shipped_sample(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(SAMPLE / "modelwatch.toml")]) == 0
    assert "everything fits" in capsys.readouterr().out


def test_doctor_says_what_is_there(
    capsys: pytest.CaptureFixture[str], awkward_config: Path, tmp_path: Path
) -> None:
    main(["doctor", "--config", str(awkward_config)])
    out, err = capsys.readouterr()
    assert err == ""
    assert f"configuration: {awkward_config}" in out
    assert "binary (binary): 240 predictions, newest 2024-03-31 23:53:00 UTC" in out
    assert "number (regression): 150 predictions" in out
    assert all(line[:2] in ("  ", "! ") for line in out.splitlines())


def test_doctor_finds_a_missing_store_and_a_wrong_configuration(
    capsys: pytest.CaptureFixture[str], awkward_config: Path, tmp_path: Path
) -> None:
    words = ["doctor", "--config", str(awkward_config), "--store", str(tmp_path / "none.duckdb")]
    assert main(words) == 1
    assert "is not there yet; `modelwatch record --once` makes it" in capsys.readouterr().out
    assert main(["doctor", "--config", str(written(tmp_path, "x = 1\n"))]) == 1
    out = capsys.readouterr().out
    assert "! " in out
    assert "`x` is not known here" in out


def test_as_of_after_the_newest_row_moves_the_clock(
    capsys: pytest.CaptureFixture[str], awkward_config: Path
) -> None:
    words = ["--as-of", "2024-04-02T00:00", "--format", "json"]
    assert main(shown(awkward_config, *words, pane="data")) == 0
    out = capsys.readouterr().out
    assert '"as_of": "2024-04-02T00:00:00Z"' in out
    assert '"end": "2024-04-02T00:00:00Z"' in out


def test_every_option_is_declared_once_and_used() -> None:
    used = {flag for command in COMMANDS.values() for flag in command.options}
    assert used == set(OPTIONS)
    for name, command in COMMANDS.items():
        words = [name, *(command.argument[1] or ("f1",))[:1]] if command.argument else [name]
        options = build_parser().parse_args(words)
        for flag in command.options:
            assert hasattr(options, flag.removeprefix("--").replace("-", "_"))


# -- as a process of its own ---------------------------------------------------------------------


def test_a_reader_that_goes_away_is_no_error(awkward_config: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, *shown(awkward_config, "--format", "json", "--window", "2d")],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
    ) as show:  # fmt: skip
        assert show.stdout is not None
        assert show.stderr is not None
        show.stdout.close()
        err = show.stderr.read()
        assert (show.wait(60), err) == (0, b"")


def test_exit_codes_reach_the_shell(awkward_config: Path, tmp_path: Path) -> None:
    wrong = process(*shown(awkward_config, "--window", "x"), cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("modelwatch: ")
    fine = process(*shown(awkward_config, "--window", "2d"), cwd=tmp_path)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout.isprintable() or "\x1b" not in fine.stdout


def test_the_console_without_a_terminal_says_what_to_use(tmp_path: Path) -> None:
    found = process(cwd=tmp_path, HOME=str(tmp_path))
    assert (found.returncode, found.stdout) == (2, "")
    assert "show PANE" in found.stderr
    assert found.stderr.count("\n") == 1


def test_debug_shows_where_an_error_came_from(awkward_config: Path, tmp_path: Path) -> None:
    found = process(*shown(awkward_config, "--window", "x", "--debug"), cwd=tmp_path)
    assert found.returncode == 2
    assert "Traceback" in found.stderr
