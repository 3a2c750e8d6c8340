"""docs/sources/http.md and s3.md are true: what they say is run against real servers."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from bucket_server import MISSING, server
from http_server import HttpServer, Reply

from collectors.contract import Deployment
from collectors.source_settings import BucketSource, FileFormat, HttpSource, Source
from console.cli import main

DOCS = Path(__file__).resolve().parents[3] / "docs/sources"
N, N_LABELLED = 40, 30
KINDS: dict[str, type[Source]] = {"http": HttpSource, "s3": BucketSource}
NOW = datetime.now(UTC).replace(microsecond=0)

PREDICTIONS: list[dict[str, Any]] = [
    {
        "request_id": f"r{i}",
        "logged_at": (NOW - timedelta(minutes=N + 5 - i)).isoformat(),
        "model": "v1",
        "score": i / N,
        "plan": "basic",
        "tenure": i,
    }
    for i in range(N)
]
LABELS: list[dict[str, Any]] = [
    {"request_id": f"r{i}", "churned": i % 2, "known_at": (NOW - timedelta(minutes=4)).isoformat()}
    for i in range(N_LABELLED)
]


def block(page: str, kind: str, n: int = 0) -> str:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[n]


@pytest.mark.parametrize("page", list(KINDS))
def test_its_configuration_is_one(page: str) -> None:
    (found,) = tomllib.loads(block(page, "toml"))["deployment"]
    assert isinstance(Deployment.model_validate(found).predictions, KINDS[page])


@pytest.mark.parametrize("page", list(KINDS))
def test_every_key_is_described_with_its_default(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))
    assert rows.keys() == KINDS[page].model_fields.keys()
    for key, field in KINDS[page].model_fields.items():
        said = rows[key].strip('`"')
        if field.is_required():
            assert said == "required"
        elif isinstance(field.default, timedelta):
            units = {"s": 1, "m": 60, "h": 3600}
            assert int(said[:-1]) * units[said[-1]] == field.default.total_seconds()
        elif isinstance(field.default, FileFormat):
            assert said == field.default.value
        else:
            assert said == (field.default or "none")


def commands_work(
    page: str,
    config: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.delenv("MODELWATCH_CONFIG", raising=False)
    Path("modelwatch.toml").write_text(config)
    lines = [line for n in (0, 1) for line in blocks(page, n)]
    for words in (line.removeprefix("$ ").split() for line in lines):
        if words[0] == "export":
            monkeypatch.setenv(*words[1].split("=", 1))
        elif words[0] == "modelwatch":
            assert main(words[1:]) == 0, capsys.readouterr().err
    for _ in range(2):  # asking again changes nothing
        capsys.readouterr()
        assert main(["show", "performance", "--step", "all", "--format", "json"]) == 0
        found = json.loads(capsys.readouterr().out)["rows"]
        assert [(row["n"], row["n_labelled"]) for row in found] == [(N, N_LABELLED)]
        assert main(["record", "--once"]) == 0


def blocks(page: str, n: int) -> list[str]:
    try:
        return block(page, "console", n).splitlines()
    except IndexError:
        return []


def test_the_commands_of_the_http_page_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = HttpServer()

    def documented(_: Reply) -> Reply:
        headers, parts = served.seen[-1], urlsplit(served.asked[-1])
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        if parts.path == "/v1/predictions":
            assert headers["authorization"] == "Bearer choose-one"
            assert (query["model"], query["limit"]) == ("churn", "1000")
            at = int(query.get("cursor", "0"))
            following = str(at + 15) if at + 15 < N else None
            body: Any = {
                "data": {"items": PREDICTIONS[at : at + 15]},
                "meta": {"next_cursor": following},
            }
        else:
            assert (parts.path, headers["x-api-key"]) == ("/outcomes", "choose-another")
            begin = datetime.fromisoformat(query["changed_after"])
            body = [r for r in LABELS if datetime.fromisoformat(r["known_at"]) > begin]
        return Reply(200, {}, json.dumps(body).encode())

    served.fault = documented
    config = re.sub(r"https://\w+\.example\.org", served.url, block("http", "toml"))
    commands_work("http", config, tmp_path, monkeypatch, capsys)
    served.stop()


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_commands_of_the_s3_page_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = server()
    client = store.client()
    client.create_bucket(Bucket="model-logs")
    client.close()
    out = io.StringIO()
    writer = csv.DictWriter(out, list(LABELS[0]))
    writer.writeheader()
    writer.writerows(LABELS)
    for number in range(0, N, 15):
        lines = "".join(json.dumps(row) + "\n" for row in PREDICTIONS[number : number + 15])
        store.put("model-logs", f"churn/predictions/{number:03}.jsonl", lines.encode())
    store.put("model-logs", "churn/outcomes/a.csv", out.getvalue().encode())
    store.put("model-logs", "churn/outcomes/a.txt", b"nothing")
    config = block("s3", "toml").replace("https://objects.example.org", store.url)
    # in place of Amazon's servers
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.url)
    commands_work("s3", config, tmp_path, monkeypatch, capsys)
