"""The command: exit codes, one sentence on stderr, results on stdout, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
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
        (["--start", "0001-01-01", "--end", "0001-01-01T00:00"], ["empty"]),
        (["--deployment", "nope"], ["'nope'", "binary, multi"]),
        (["--segment", "colour"], ["no segment 'colour'", "[bold]kind, band"]),
        (["--segment", "a,b,c"], ["one segment or two"]),
        (["--segment", "band,band"], ["band"]),
        (["--segment", "="], ["segment"]),
        (["--end", "0001-01-02", "--window", "90w"], ["range of times"]),
        (["--as-of", "9999-12-31T23:59"], ["range of times"]),
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
        words = [name, command.argument[1][0]] if command.argument else [name]
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
