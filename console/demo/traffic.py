"""The demo's clients: the sample's requests, sent now, and the log that is kept of them.

Requests leave on a fixed beat whether or not earlier ones are answered, as those of many clients
do. What comes back is written as prediction records, and a few seconds later what was true.
"""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

from console.demo.scoring import Model

__all__ = ["LABELS", "PREDICTIONS", "Request", "Traffic", "sample_requests"]

PREDICTIONS = "predictions.jsonl"
LABELS = "labels.jsonl"

_FIRST, _LAST = "2013-05-06", "2013-06-30"
"""v2 was trained until April: what it is asked must be new to it. v1 serves these days badly."""

_WORKERS = 80
"""At 100 requests/s each may take more than half a second."""

_MOST_WAITING = 1000
"""A host that cannot keep up is sent fewer requests, not all of them later."""

_FLUSH_S = 0.25
_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the sample, and what became of the flight; None where nobody knows."""

    id: str
    features: Mapping[str, Any]
    late: bool | None


@dataclass(frozen=True, slots=True)
class _Came:
    """What came back: of which version, with which status; an empty answer where it failed."""

    version: str
    status: str
    answer: Mapping[str, Any]


def sample_requests(sample: Path, features: Sequence[str]) -> list[Request]:
    """The sample's requests of May and June, in their order of time. Raises OSError, ValueError."""
    import polars as pl  # noqa: PLC0415 - only the process that sends needs it

    try:
        labels = pl.read_parquet(sample / "labels" / "*.parquet").select("request_id", "late")
        days = pl.col("timestamp").dt.strftime("%Y-%m-%d").is_between(pl.lit(_FIRST), pl.lit(_LAST))
        found = pl.concat(
            pl.read_parquet(sample / "predictions" / f"2013-{month}.parquet").filter(days)
            for month in ("05", "06")
        ).join(labels, on="request_id", how="left", maintain_order="left")
        rows = found.select("request_id", *features, "late").rows()
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{sample} is not the shipped sample: {error}") from error
    return [Request(row[0], dict(zip(features, row[1:-1], strict=True)), row[-1]) for row in rows]


class Traffic:
    """Sends requests to one address until it is stopped, or for `seconds`.

    rate: requests a second. versions: arm -> the version in the log; the proxy says which arm it
    was. label_delay_s: from an answer to what was true.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        fallback: Model,
        address: tuple[str, int],
        folder: Path,
        *,
        rate: float,
        versions: Mapping[str, str],
        label_delay_s: float,
        seconds: float = float("inf"),
        seed: int = 13,
    ) -> None:
        self._requests, self._fallback, self._address = list(requests), fallback, address
        random.Random(seed).shuffle(self._requests)  # noqa: S311 - days mixed, nothing secret
        self._rate, self._versions, self._seconds = rate, versions, seconds
        self._label_delay_s = label_delay_s
        self._work: queue.SimpleQueue[tuple[int, Request] | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._answered: list[str] = []
        self._due: deque[tuple[float, str, bool]] = deque()
        self._out = [_appending(folder / name) for name in (PREDICTIONS, LABELS)]
        self.sent: Counter[tuple[str, bool]] = Counter()
        """Requests by version and whether they failed."""
        self._threads = [
            threading.Thread(target=target, daemon=True, name="demo-traffic")
            for target in (self._beat, self._write, *([self._send] * _WORKERS))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send nothing more, write what is known."""
        self._stop.set()
        for _ in range(_WORKERS):
            self._work.put(None)
        for thread in self._threads:
            thread.join(_TIMEOUT_S)
        for out in self._out:
            out.close()

    # -- threads ---------------------------------------------------------------------------------

    def _beat(self) -> None:
        began = time.monotonic()
        n = 0
        while n / self._rate < self._seconds:
            if self._work.qsize() < _MOST_WAITING:
                self._work.put((n, self._requests[n % len(self._requests)]))
            n += 1
            if self._stop.wait(max(began + n / self._rate - time.monotonic(), 0.0)):
                return

    def _send(self) -> None:
        connection = HTTPConnection(*self._address, timeout=_TIMEOUT_S)
        while (job := self._work.get()) is not None and not self._stop.is_set():
            n, request = job
            at, began = datetime.now(UTC), time.perf_counter()
            came = self._ask(connection, request)
            self._note(f"{request.id}-{n}", request, at, time.perf_counter() - began, came)
        connection.close()

    def _ask(self, connection: HTTPConnection, request: Request) -> _Came:
        try:
            body = json.dumps(request.features)
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            arm, read = response.headers.get("x-arm", ""), response.read()
            document = json.loads(read) if response.status == 200 else {}
            return _Came(self._versions.get(arm, arm), str(response.status), document)
        except (OSError, HTTPException, ValueError):
            connection.close()
            return _Came("", "no answer", {})

    def _note(self, name: str, request: Request, at: datetime, took: float, came: _Came) -> None:
        record = {
            "request_id": name,
            "timestamp": at.isoformat(timespec="milliseconds"),
            "version": came.version,
            "status": came.status,
            "latency_ms": round(1000 * took, 2),
            **request.features,
            **came.answer.get("seen", {}),
            "late_score": came.answer.get("score"),
            "late_predicted": came.answer.get("late"),
            "fallback_score": self._fallback.score(request.features),
        }
        failed = came.status != "200"
        with self._lock:
            self.sent[came.version, failed] += 1
            self._answered.append(json.dumps(record) + "\n")
            if request.late is not None and not failed:
                self._due.append((time.monotonic() + self._label_delay_s, name, request.late))

    def _write(self) -> None:
        """Whole lines, a few times a second: each file has one writer."""
        while not self._stop.wait(_FLUSH_S):
            with suppress(OSError):  # the demo's folder is gone, or its disk is full
                self._flush()
        with suppress(OSError):
            self._flush()

    def _flush(self) -> None:
        now = time.monotonic()
        received = datetime.now(UTC).isoformat(timespec="milliseconds")
        known = []
        with self._lock:
            answered, self._answered = self._answered, []
            while self._due and self._due[0][0] <= now:
                _, name, late = self._due.popleft()
                label = {"request_id": name, "late": late, "received_at": received}
                known.append(json.dumps(label) + "\n")
        for out, lines in zip(self._out, (answered, known), strict=True):
            if lines:
                out.write("".join(lines))
                out.flush()


def _appending(path: Path) -> IO[str]:
    return path.open("a", encoding="utf-8")
