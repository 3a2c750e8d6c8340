"""Acting on two real Envoys under load: key to plan, confirmation to 0 %, requests lost."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.measure import Figure
from console.control.audit import Audit
from console.control.desk import Desk
from console.control.outcome import Proposal, Result
from console.control.plan import Purpose
from console.control.planes.registry import make_plane
from console.control.settings import Control
from console.control.who import who
from tests.console.control.servers import EnvoyServer, Upstream, send

__all__ = ["run"]

ARMS = {"v1": 100, "v2": 0, "heuristic": 0}
PREFIX = "split.bench"
PLANS = 50
ROLLBACKS = 20
CHANGES = int(os.environ.get("MODELWATCH_BENCH_CHANGES", "1000"))
NAME = "bench"


def run(lab: Lab) -> Iterator[Figure]:
    """Everything over the admin interface, as the console does it."""
    folder = lab.log.folder / f"control-{os.getpid()}"
    with ExitStack() as stack:
        upstreams = {arm: Upstream(arm) for arm in ARMS}
        for upstream in upstreams.values():
            stack.callback(upstream.stop)
        ports = {arm: upstream.port for arm, upstream in upstreams.items()}
        envoys = [EnvoyServer(folder / f"e{n}", ports, ARMS, PREFIX, checks=True) for n in (0, 1)]
        for envoy in envoys:
            stack.callback(envoy.stop)
            envoy.start()
        load = _Load([envoy.port for envoy in envoys])
        stack.callback(load.stop)
        desk = _desk(folder, [f"http://127.0.0.1:{envoy.admin}" for envoy in envoys])
        yield from _plans(desk)
        yield from _rollbacks(desk)
        yield from _changes(desk, load)


def _plans(desk: Desk) -> Iterator[Figure]:
    """What happens between a key and the plan on the screen, but for drawing it."""
    took = []
    for n in range(PLANS):
        began = time.perf_counter()
        desk.propose(Purpose.SET, {"v2": Fraction(1 + n)}, "bench", None)
        took.append(1000 * (time.perf_counter() - began))
    yield Figure("control", "key to plan, p50", statistics.median(took), "ms")
    yield Figure("control", "key to plan, p95", _p95(took), "ms", goal="100 ms", limit=100)


def _rollbacks(desk: Desk) -> Iterator[Figure]:
    took, read = [], []
    for _ in range(ROLLBACKS):
        half = {"v2": Fraction(50), "v1": Fraction(50)}
        _applied(desk, desk.propose(Purpose.FALLBACK, half, "bench", None))
        proposal = desk.propose(Purpose.ROLLBACK, None, "bench", None)
        began = time.perf_counter()
        at: list[float] = []

        def told(text: str, began: float = began, at: list[float] = at) -> None:
            if text.startswith("read back"):
                at.append(time.perf_counter() - began)

        _applied(desk, proposal, told)
        took.append(time.perf_counter() - began)
        read += at
    yield Figure("control", "confirmed rollback to read back, p95", 1000 * _p95(read), "ms")
    yield Figure("control", "confirmed rollback to measured 0 %, p50", statistics.median(took), "s")
    yield Figure(
        "control", "confirmed rollback to measured 0 %, p95", _p95(took), "s", goal="5 s", limit=5
    )


def _applied(desk: Desk, proposal: Proposal, told: Callable[[str], object] = str) -> None:
    outcome = desk.act(proposal, NAME, told)
    if outcome.result is not Result.APPLIED:
        raise RuntimeError(f"{outcome.result}: {outcome.text}")


def _changes(desk: Desk, load: _Load) -> Iterator[Figure]:
    """Changes one after the other, as fast as they are read back."""
    desk.control = desk.control.model_copy(update={"verify": desk.control.verify / 10_000})
    before = load.answers.copy()
    began = time.perf_counter()
    for n in range(CHANGES // 2):
        shares = {"v2": Fraction(1 + n % 99), "v1": Fraction(99 - n % 99)}
        desk.act(desk.propose(Purpose.FALLBACK, shares, "bench", None), NAME)
        desk.act(desk.propose(Purpose.ROLLBACK, None, "bench", None), NAME)
    seconds = time.perf_counter() - began
    answers = load.answers - before
    yield Figure("control", f"{CHANGES} changes", seconds, "s")
    yield Figure("control", "requests meanwhile", float(sum(answers.values())), "")
    yield Figure("control", "requests that failed", float(answers[""]), "", goal="0", limit=0)


class _Load:
    """Requests through every proxy until it is stopped."""

    def __init__(self, ports: list[int]) -> None:
        self.answers = Counter[str]()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(port,), daemon=True) for port in ports
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, port: int) -> None:
        while not self._stop.is_set():
            found = send(port, 20)
            with self._lock:
                self.answers += found
            self._stop.wait(0.005)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


def _desk(folder: Path, admin: list[str]) -> Desk:
    control = Control.model_validate(
        {
            "plane": {"kind": "envoy", "admin": admin, "prefix": PREFIX},
            "arms": {arm: arm for arm in ARMS},
            "stable": "v1",
        }
    )
    audit = Audit(folder / "audit.jsonl")
    by = who("command", os.environ)
    return Desk(NAME, control, make_plane(control, folder), audit, by, refused="")


def _p95(values: list[float]) -> float:
    return sorted(values)[max(round(0.95 * len(values)) - 1, 0)]
