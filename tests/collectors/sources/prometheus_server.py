"""A real Prometheus (the Debian package), in a process of its own on 127.0.0.1.

It is started on a free port with its data in a folder of the test, and ended by its id.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HAS_PROMETHEUS = shutil.which("prometheus") is not None and shutil.which("promtool") is not None
NO_PROMETHEUS = "there is no `prometheus` here; on Debian: apt-get install prometheus"

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Prometheus:
    url: str
    pid: int

    def ask(self, what: str, **parameters: str) -> Any:
        """`data` of an answer, asked without any code of ours."""
        query = urllib.parse.urlencode(parameters)
        url = f"{self.url}/api/v1/{what}?{query}"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - http
            return json.load(answer)["data"]

    def table(
        self, queries: Mapping[str, str], label: str, start: float, stop: float, step: float
    ) -> set[tuple[int, str, str, float]]:
        """(ms, metric, version, value) of range queries; NaN and infinities left out."""
        found = set()
        for metric, query in queries.items():
            data = self.ask(
                "query_range", query=query, start=str(start), end=str(stop), step=str(step)
            )
            for series in data["result"]:
                for at, value in series["values"]:
                    number = float(value)
                    if abs(number) < float("inf"):
                        version = series["metric"].get(label, "")
                        found.add((round(at * 1000), metric, version, number))
        return found


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def backfill(folder: Path, lines: Iterable[str]) -> None:
    """Samples of the past as OpenMetrics text, made into blocks of a data folder."""
    text = folder / "past.txt"
    with text.open("w") as file:
        file.writelines(line + "\n" for line in lines)
        file.write("# EOF\n")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", text, folder / "data"],
        check=True,
        capture_output=True,
    )


@contextmanager
def prometheus(
    folder: Path, targets: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[Prometheus]:
    """Runs while the block does. targets: job -> host:port, scraped each second."""
    port = port or free_port()
    config = folder / "prometheus.json"  # JSON is YAML
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [target]}]}
        for job, target in (targets or {}).items()
    ]
    every = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    config.write_text(json.dumps({"global": every, "scrape_configs": jobs}))
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/-/ready", process, folder / "prometheus.log")
        yield Prometheus(url, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - http
                return
        except (urllib.error.URLError, OSError):
            try:  # waits for the process to end, so a tenth of a second unless it dies
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    raise AssertionError(f"{url} is not there: {log.read_text()[-2000:]}")
