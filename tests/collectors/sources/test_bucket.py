"""Objects of a bucket: each once, those that changed anew, and a bad one costs no other."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from bucket_server import MISSING, SECRET, ServedByBucket
from synthetic import NOW

from collectors.errors import SourceError
from collectors.source_settings import BucketSource

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

LINE = b'{"id": "a"}\n'


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedByBucket]:
    for name, value in ServedByBucket.environment.items():
        monkeypatch.setenv(name, value)
    made = ServedByBucket()
    yield made
    made.close()


class Look:
    """One look after the other, with the cursors that a store would keep."""

    def __init__(self, served: ServedByBucket, folder: Path, **more: Any) -> None:
        self.source = BucketSource.model_validate(served.source("predictions") | more)
        self.folder = folder
        self.known: dict[str, str] = {}
        self.fetched: list[str] = []
        self.n_listed = 0

    def __call__(self) -> dict[str, bytes]:
        """Names inside the prefix and content of what is new. Raises SourceError."""
        from collectors.sources.bucket import BucketPuller  # noqa: PLC0415 - it needs boto3

        found = {}
        root = f"s3://{self.source.bucket}/{self.source.prefix}"
        with BucketPuller(self.source, self.folder) as puller:
            events = puller._client.meta.events
            events.register("before-call.s3.GetObject", lambda **_: self.fetched.append(""))
            events.register("before-call.s3.ListObjectsV2", self._listed)
            for page in puller.pages(self.known, self.folder, NOW):
                found[page.source.removeprefix(root)] = page.path.read_bytes()
                self.known[page.source] = page.cursor
        assert [p for p in self.folder.rglob("*") if p.is_file()] == []
        return found

    def _listed(self, **_: object) -> None:
        self.n_listed += 1

    def problem(self) -> str:
        with pytest.raises(SourceError) as caught:
            self()
        assert SECRET not in str(caught.value) and "\n" not in str(caught.value)
        assert caught.value.partial == bool(self.known)
        return str(caught.value)


def test_objects_are_fetched_once_and_again_when_they_change(
    bucket: ServedByBucket, tmp_path: Path
) -> None:
    look = Look(bucket, tmp_path)
    assert look() == {}
    bucket.put("logs/predictions/a.jsonl", LINE)
    bucket.put("logs/predictions/b/c.jsonl", LINE * 2)
    bucket.put("logs/other/d.jsonl", LINE)
    assert look() == {"a.jsonl": LINE, "b/c.jsonl": LINE * 2}
    assert look() == {}
    bucket.put("logs/predictions/a.jsonl", LINE * 3)
    assert look() == {"a.jsonl": LINE * 3}
    assert len(look.fetched) == 3


def test_what_is_no_log_is_left_alone(bucket: ServedByBucket, tmp_path: Path) -> None:
    for key in ("_SUCCESS", "_delta_log/0.json", ".hidden.csv", "notes.txt", "x.crc", "folder/"):
        bucket.put(f"logs/predictions/{key}", LINE)
    bucket.put("logs/predictions/empty.jsonl", b"")
    for key in ("stream-1-2024-03-01-10-00-00-aa", "a.JSONL", "b.csv.gz", "c.log"):
        bucket.put(f"logs/predictions/{key}", gzip.compress(LINE) if ".gz" in key else LINE)
    assert set(Look(bucket, tmp_path)()) == {
        *("stream-1-2024-03-01-10-00-00-aa", "a.JSONL", "b.csv.gz", "c.log")
    }
    assert set(Look(bucket, tmp_path, suffix=".crc")()) == {"x.crc"}
    assert "notes.txt" in Look(bucket, tmp_path, format="jsonl")()


@pytest.mark.parametrize(
    "key", ["with space", "quo'te \" x", "ünïcode 😀", "tab\there", "%2e%2e+", "../../up", "//x"]
)
def test_keys_may_have_any_name(bucket: ServedByBucket, tmp_path: Path, key: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    bucket.put(f"logs/predictions/{key}.jsonl", LINE)
    look = Look(bucket, folder, prefix="logs/predictions/")
    assert list(look().values()) == ([LINE] if "/." not in f"/{key}" else [])
    assert look() == {}
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_folders_that_say_a_column_and_all_forms_reach_the_store(
    bucket: ServedByBucket, tmp_path: Path
) -> None:
    from synthetic import Logs  # noqa: PLC0415 - only here

    def row(name: str) -> dict[str, Any]:
        return {"id": name, "ts": "2024-03-01T10:00:00Z", "score": 0.5}

    file = BytesIO()
    pl.DataFrame([row("parquet")]).write_parquet(file)
    bucket.put("logs/predictions/shop=north/a.parquet", file.getvalue())
    lines = json.dumps(row("packed")).encode()
    bucket.put("logs/predictions/shop=it%27s/b", gzip.compress(lines))
    bucket.put("logs/predictions/shop=south/c.csv", b"id,ts,score\ncsv,2024-03-01T10:00:00Z,0.5\n")
    bucket.put("logs/predictions/z.json", json.dumps(row("json")).encode() + b"\nbroken\n")
    logs = Logs(tmp_path, predictions=bucket.source("predictions"))
    assert logs.collect() == []
    assert logs.rows("id, s0") == [
        *(("csv", "south"), ("json", None), ("packed", "it's"), ("parquet", "north"))
    ]
    assert len(logs.bad()) == 1
    assert logs.collect() == []
    assert len(logs.bad()) == 1


def test_an_object_that_cannot_be_fetched_costs_no_other(
    bucket: ServedByBucket, tmp_path: Path
) -> None:
    bucket.put("logs/predictions/a.jsonl", LINE)
    bucket.put("logs/predictions/b.jsonl", LINE, StorageClass="GLACIER")
    bucket.put("logs/predictions/c", b"?")
    bucket.put("logs/predictions/d.parquet", b"PAR1 cut off")
    bucket.put("logs/predictions/e.parquet", b"?")
    bucket.put("logs/predictions/f.jsonl.gz", b"?")
    bucket.put("logs/predictions/g.jsonl", LINE)
    look = Look(bucket, tmp_path)
    for _ in range(2):
        problem = look.problem()
        assert f"s3://{bucket.bucket}/logs/predictions/b.jsonl is archived (and 4 more" in problem
    assert len(look.known) == 2


@pytest.mark.parametrize(
    ("more", "environment", "said"),
    [
        ({"bucket": "nobody-has-this"}, {}, "the server answered NoSuchBucket; check `bucket`"),
        ({"endpoint": "http://127.0.0.1:1"}, {}, "cannot reach the server at http://127.0.0.1:1"),
        ({"endpoint": "nonsense"}, {}, "cannot be read"),
        ({"profile": "gone\x1b[2J"}, {}, "there is no profile"),
        ({}, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "there are no credentials"),
        ({}, {"AWS_SECRET_ACCESS_KEY": ""}, "there are no credentials"),
        ({"endpoint": "https://127.0.0.1:1"}, {"AWS_CA_BUNDLE": "/gone"}, "s3://"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    *,
    bucket: ServedByBucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, str],
    environment: dict[str, str],
    said: str,
) -> None:
    for name, value in environment.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    problem = Look(bucket, tmp_path, **more).problem()
    assert said in problem
    assert "\x1b" not in problem and len(problem) < 400


def test_without_boto3_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['boto3'] = None\n"
        "from pathlib import Path\n"
        "from collectors.source_settings import BucketSource\n"
        "from collectors.sources.pulled import open_puller\n"
        "try: open_puller(BucketSource(bucket='b'), Path())\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("SourceError ")
    assert "pip install 'modelwatch[s3]'" in done.stdout


@pytest.mark.slow
def test_known_objects_cost_no_request_each(bucket: ServedByBucket, tmp_path: Path) -> None:
    client = bucket.server.client()
    for number in range(1100):
        key = f"logs/predictions/{number:05}.jsonl"
        client.put_object(Bucket=bucket.bucket, Key=key, Body=LINE)
    client.close()
    look = Look(bucket, tmp_path)
    root = f"s3://{bucket.bucket}/logs/predictions"
    mark = "9d3d1a0e3f6b8bba49d1f0b2ec2ea8ad"
    assert len(look()) == 1100
    look.known[f"{root}/00123.jsonl"] = mark
    look.fetched.clear()
    look.n_listed = 0
    assert list(look()) == ["00123.jsonl"]
    assert (len(look.fetched), look.n_listed) == (1, 2)
