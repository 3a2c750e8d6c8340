"""A real S3-compatible server for tests: moto's, in a process of its own on a free port.

The process serves until its standard input ends, so it cannot outlive the tests.
"""

from __future__ import annotations

import atexit
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import count
from typing import Any

import polars as pl
import zstandard

__all__ = ["MISSING", "SECRET", "ServedByBucket", "server"]

Row = dict[str, Any]

SECRET, SESSION = "s3cr3t/aws+key==", "s3cr3t-session-token"
NEEDED = ("boto3", "moto", "flask", "flask_cors")
MISSING = [name for name in NEEDED if find_spec(name) is None]
"""What is not installed of what these tests need."""

CHUNK = 7


class BucketServer:
    """One server; what is put into it is put again when it comes back."""

    def __init__(self) -> None:
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self._objects: dict[tuple[str, str], bytes] = {}
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout
        self._port = int(self._process.stdout.readline())
        for bucket in {bucket for bucket, _ in self._objects}:
            self.client().create_bucket(Bucket=bucket)
        for (bucket, key), data in list(self._objects.items()):
            self.put(bucket, key, data)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def client(self) -> Any:
        import boto3  # noqa: PLC0415 - only where it is installed

        return boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106
        )

    def put(self, bucket: str, key: str, data: bytes, **more: str) -> None:
        client = self.client()
        client.put_object(Bucket=bucket, Key=key, Body=data, **more)
        client.close()
        self._objects[bucket, key] = data


@cache
def server() -> BucketServer:
    """The one of this run."""
    made = BucketServer()
    atexit.register(made.stop)
    return made


_numbers = count()


class ServedByBucket:
    """Predictions and labels as objects of a bucket; the shape of `test_pulled`."""

    secrets = (SECRET, SESSION)
    environment: Mapping[str, str] = {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": SESSION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def __init__(self) -> None:
        self.server = server()
        self.bucket = f"bucket-{next(_numbers)}"
        client = self.server.client()
        client.create_bucket(Bucket=self.bucket)
        client.close()
        self._n = count()

    def source(self, kind: str) -> dict[str, Any]:
        """The source's table of a configuration."""
        return {
            "bucket": self.bucket,
            "prefix": f"logs/{kind}/",
            "endpoint": self.server.url,
            "region": "us-east-1",
        }

    def add(self, kind: str, rows: Sequence[Row]) -> None:
        for begin in range(0, len(rows), CHUNK):
            n = next(self._n)
            suffix, data = written(rows[begin : begin + CHUNK], n)
            self.put(f"logs/{kind}/2024/03/part-{n:04}{suffix}", data)

    def put(self, key: str, data: bytes, **more: str) -> None:
        self.server.put(self.bucket, key, data, **more)

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def close(self) -> None:
        self.server.start()


def written(rows: Sequence[Row], number: int) -> tuple[str, bytes]:
    """Rows in one of the forms that are found in buckets, with its suffix."""
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if number % 4 == 0:
        return ".jsonl.gz", gzip.compress(lines)
    if number % 4 == 1:
        file = io.BytesIO()
        pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(file)
        return ".parquet", file.getvalue()
    if number % 4 == 2:
        return "", gzip.compress(lines)  # as delivery streams name their objects
    return ".jsonl.zst", zstandard.compress(lines)


def main() -> None:
    from moto.moto_server.threaded_moto_server import (  # noqa: PLC0415 - only in that process
        ThreadedMotoServer,
    )

    made = ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False)
    made.start()
    print(made.get_host_and_port()[1], flush=True)  # noqa: T201
    sys.stdin.read()
    made.stop()


if __name__ == "__main__":
    main()
