"""docs/sources/sql.md is true: what it says is run against a real PostgreSQL."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from collectors.contract import Deployment
from collectors.source_settings import SqlDriver, SqlSource
from console.cli import main

PAGE = (Path(__file__).resolve().parents[3] / "docs/sources/sql.md").read_text(encoding="utf-8")


def block(kind: str, n: int = 0) -> str:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[n]


def test_its_configuration_is_one() -> None:
    (found,) = tomllib.loads(block("toml"))["deployment"]
    assert isinstance(Deployment.model_validate(found).predictions, SqlSource)


def test_every_key_is_described_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE))
    assert rows.keys() - set(SqlDriver) == SqlSource.model_fields.keys()
    for key, field in SqlSource.model_fields.items():
        said = rows[key].strip('`"')
        if field.is_required():
            assert said == "required"
        elif isinstance(field.default, timedelta):
            units = {"s": 1, "m": 60, "h": 3600}
            assert int(said[:-1]) * units[said[-1]] == field.default.total_seconds()
        else:
            assert said == (str(field.default) if field.default not in ("", {}) else "none")
    assert {d.value for d in SqlDriver} <= rows.keys()


@pytest.mark.slow
def test_its_commands_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from postgres_server import server  # noqa: PLC0415 - only where it is installed

    admin = server()
    admin.execute("CREATE DATABASE warehouse")
    try:
        for sql in (
            "CREATE TABLE predictions (request_id bigint, logged_at timestamptz, model text, "
            "score real, plan text, tenure int)",
            "CREATE TABLE outcomes (request_id bigint, churned boolean, known_at timestamptz)",
            "INSERT INTO predictions SELECT i, now() - i * interval '1 minute', 'v1', i / 200.0, "
            "'basic', i FROM generate_series(1, 200) AS i",
            "INSERT INTO outcomes SELECT i, i > 100, now() FROM generate_series(1, 150) AS i",
            *block("sql").split(";")[:-1],
        ):
            admin.execute(sql, "warehouse")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        monkeypatch.delenv("MODELWATCH_CONFIG", raising=False)
        Path("modelwatch.toml").write_text(block("toml"))
        for line in block("console", 1).splitlines():
            words = line.removeprefix("$ ").split()
            if words[0] == "export":
                name, _, address = words[1].partition("=")
                address = address.strip("'").replace(":5432", f":{admin.port}")
                monkeypatch.setenv(name, address)
            else:
                assert main(words[1:]) == 0, capsys.readouterr().err
        capsys.readouterr()
        assert main(["record", "--once"]) == 0
        assert main(["show", "performance", "--step", "all", "--format", "json"]) == 0
        found = json.loads(capsys.readouterr().out)["rows"]
        assert [(row["n"], row["n_labelled"]) for row in found] == [(200, 150)]
    finally:
        admin.execute("DROP DATABASE warehouse WITH (FORCE)")
        admin.execute("DROP ROLE modelwatch")
