"""Acting on two real Envoys under load while the network, the proxies and ourselves go wrong.

After each fault the plane's state is known or said to be unknown, requests are still answered, and
the audit tells what happened.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from faulty_proxy import Fault, FaultyProxy
from servers import EnvoyServer, Upstream, send, until

from console.control.audit import Audit
from console.control.desk import Desk, Pace
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.planes.registry import make_plane
from console.control.settings import Control
from console.control.split import Split
from console.control.verify import Proof
from console.control.watch import Watch
from console.control.who import who

NAME = "flights"
ARMS = ("v1", "v2", "heuristic")
PREFIX = "split.flights"
ALL_V1 = Split.of({"v1": 100, "v2": 0, "heuristic": 0})


class Load:
    """Requests through every proxy until it is stopped; what answered, "" for a failure."""

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

    def stop(self) -> Counter[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        return self.answers


class World:
    """Two Envoys, each behind a proxy that can go wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.upstreams = {name: Upstream(name) for name in ARMS}
        ports = {name: u.port for name, u in self.upstreams.items()}
        weights = dict(ALL_V1.weights)
        self.envoys = [
            EnvoyServer(folder / f"e{n}", ports, weights, PREFIX, checks=True) for n in range(2)
        ]
        for envoy in self.envoys:
            envoy.start()
        self.proxies = [FaultyProxy(("127.0.0.1", envoy.admin)) for envoy in self.envoys]
        self.audit = Audit(folder / "audit.jsonl")

    def reset(self, audit: Path) -> None:
        for proxy, envoy in zip(self.proxies, self.envoys, strict=True):
            proxy.reset()
            proxy.server = ("127.0.0.1", envoy.admin)
            runtime = [key for key in envoy.runtime() if key.startswith(PREFIX)]
            envoy.modify(dict.fromkeys(runtime, ""))
        self.audit = Audit(audit)

    def stop(self) -> None:
        for envoy in self.envoys:
            envoy.stop()
        for upstream in self.upstreams.values():
            upstream.stop()
        for proxy in self.proxies:
            proxy.stop()

    def control(self, **more) -> Control:
        return Control.model_validate(
            {
                "plane": {
                    "kind": "envoy",
                    "admin": [f"http://127.0.0.1:{p.port}" for p in self.proxies],
                    "prefix": PREFIX,
                    "timeout": "1s",
                },
                "arms": {arm: arm for arm in ARMS},
                "stable": "v1",
                "verify": "10s",
                **more,
            }
        )

    def desk(self, look: float = 0.2) -> Desk:
        control = self.control()
        plane = make_plane(control, self.folder)
        pace = Pace(unanswered=1.0, settle=3.0, look=look)
        by = who("command", os.environ)
        return Desk(NAME, control, plane, self.audit, by, refused="", pace=pace)

    def weights(self) -> list[dict[str, int]]:
        """As each Envoy itself says; its own configuration's where nothing was written."""
        found = []
        for envoy in self.envoys:
            runtime = envoy.runtime()
            found.append({
                arm: int(runtime.get(f"{PREFIX}.{arm}", ALL_V1.weight(arm))) for arm in ARMS
            })  # fmt: skip
        return found

    def fall_back(self, desk: Desk, arm: str = "v2", percent: int = 50):
        """An increase that needs no data."""
        shares = {arm: Fraction(percent), "v1": Fraction(100 - percent)}
        return desk.propose(Purpose.FALLBACK, shares, "drill", None)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.stop()


@pytest.fixture
def world(made, tmp_path) -> World:
    made.reset(tmp_path / "audit.jsonl")
    return made


@pytest.fixture
def load(world) -> Iterator[Load]:
    running = Load([envoy.port for envoy in world.envoys])
    yield running
    running.stop()


def _changes(request: bytes) -> bool:
    return b"runtime_modify" in request


HALF = {"v1": 50, "v2": 50, "heuristic": 0}


def test_under_load_a_change_is_proven_and_a_rollback_measured_at_zero(world, load):
    desk = world.desk()
    there = desk.act(world.fall_back(desk), NAME)
    assert there.result is Result.APPLIED, there.text
    back = desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME)
    assert back.result is Result.APPLIED, back.text
    assert back.verification.measured.of("v2") == 0
    assert load.stop()[""] == 0


def test_the_reply_is_lost_after_the_change(world, load):
    desk = world.desk()
    proposal = world.fall_back(desk)
    for proxy in world.proxies:
        proxy.set(Fault.DROP_REPLY, when=_changes)
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.APPLIED, outcome.text  # found by reading back
    assert world.weights() == [HALF, HALF]
    assert all(sum(map(_changes, p.seen)) == 1 for p in world.proxies)  # and never sent again
    assert load.stop()[""] == 0


def test_the_change_arrives_after_it_was_undone(world, load):
    desk = world.desk()
    proposal = world.fall_back(desk)
    for proxy in world.proxies:
        proxy.set(Fault.HOLD_REQUEST, when=_changes)
    lost = desk.act(proposal, NAME)
    assert lost.result is Result.UNKNOWN
    assert "may yet arrive" in lost.text
    for proxy in world.proxies:  # what is held stays held, new requests pass
        proxy.fault = Fault.PASS
    undone = desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME)
    assert undone.result is Result.APPLIED, undone.text
    watch = Watch(NAME, desk.control, desk.plane, world.audit, refused="")
    assert not watch.look().late
    for proxy in world.proxies:
        proxy.release()
        assert proxy.delivered.acquire(timeout=20)
    until(lambda: world.weights() == [HALF, HALF], "the late change")
    state = watch.look()
    assert state.late.startswith(f"{lost.plan.id} has arrived after it was given up")
    again = desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME)
    assert again.result is Result.APPLIED, again.text
    assert load.stop()[""] == 0


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.HANG])
def test_one_proxy_of_two_cannot_be_reached_during_the_change(world, load, fault):
    desk = world.desk()
    proposal = world.fall_back(desk)
    world.proxies[1].set(fault, when=_changes if fault is Fault.HANG else lambda _: True)
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.PARTIAL, outcome.text
    assert world.weights() == [HALF, dict(ALL_V1.weights)]
    assert outcome.todo
    world.proxies[1].set(Fault.PASS)
    done = desk.act(desk.propose(Purpose.COMPLETE, None, "", None), NAME)
    assert done.result is Result.APPLIED, done.text
    assert world.weights() == [HALF, HALF]
    assert load.stop()[""] == 0


def test_a_proxy_is_started_anew_between_plan_and_confirmation(world, load):
    desk = world.desk()
    there = desk.act(world.fall_back(desk), NAME)
    assert there.result is Result.APPLIED, there.text
    load.stop()
    proposal = world.fall_back(desk, percent=70)
    envoy = world.envoys[0]
    envoy.start()  # kills it first; its weights are those of its own file again
    world.proxies[0].server = ("127.0.0.1", envoy.admin)
    # a fallback goes on whatever somebody did meanwhile, and says so
    again = Load([e.port for e in world.envoys])
    said: list[str] = []
    outcome = desk.act(proposal, NAME, said.append)
    assert outcome.result is Result.APPLIED, outcome.text
    assert any("going on all the same" in text for text in said)
    assert again.stop()[""] == 0
    assert world.weights() == [{"v1": 30, "v2": 70, "heuristic": 0}] * 2


def test_a_proxy_is_started_anew_after_the_change(world):
    desk = world.desk()
    proposal = world.fall_back(desk)
    restarted = threading.Event()

    def told(text: str) -> None:
        if text.startswith("measured") and not restarted.is_set():
            restarted.set()
            world.envoys[0].start()
            world.proxies[0].server = ("127.0.0.1", world.envoys[0].admin)

    world.envoys[0].start()
    world.proxies[0].server = ("127.0.0.1", world.envoys[0].admin)
    load = Load([world.envoys[1].port])
    outcome = desk.act(proposal, NAME, told)
    load.stop()
    # the second one proves it by itself, or it does not: what is read afterwards says it
    assert outcome.result in (Result.APPLIED, Result.NOT_VERIFIED)
    state = Watch(NAME, desk.control, desk.plane, world.audit, refused="").look()
    if restarted.is_set():
        assert state.observed.differs


def test_a_dead_target_is_refused_and_nothing_is_black_holed(world, load):
    desk = world.desk()
    world.upstreams["v2"].status = 503
    try:
        until(lambda: desk.look().health_of("v2").value == "down", "Envoy to see that v2 is down")
        proposal = world.fall_back(desk)
        assert not proposal.permitted
        outcome = desk.act(proposal, NAME)
        assert outcome.result is Result.REFUSED
    finally:
        world.upstreams["v2"].status = 200
    assert world.weights() == [dict(ALL_V1.weights)] * 2
    assert load.stop()[""] == 0
    until(lambda: desk.look().health_of("v2").value == "up", "v2 to be up again")


@pytest.mark.parametrize(
    "weights",
    [{"v1": 0, "v2": 0}, {"v1": 2**31, "v2": 2**31}, {"v1": 50, "v2": "x"}, {"v1": "33.5"}],
)
def test_what_somebody_wrote_past_us_is_read_as_envoy_reads_it(world, weights):
    for envoy in world.envoys:
        envoy.modify({f"{PREFIX}.{arm}": w for arm, w in weights.items()})
    desk = world.desk()
    observed = desk.look()
    proposal = desk.propose(Purpose.ROLLBACK, None, "", None)
    assert proposal.permitted, proposal.refusals
    assert observed.split is None or observed.split.arms == ARMS
    load = Load([envoy.port for envoy in world.envoys])
    outcome = desk.act(proposal, NAME)
    load.stop()
    assert outcome.result is Result.APPLIED, outcome.text
    assert world.weights() == [dict(ALL_V1.weights)] * 2


def test_two_operators_at_once_one_wins_and_the_other_knows(world, load):
    desks = [world.desk(), world.desk()]
    proposals = [
        desk.propose(Purpose.SET, {"v1": Fraction(100), arm: Fraction(0)}, "x", None)
        for desk, arm in zip(desks, ("v2", "heuristic"), strict=True)
    ]
    assert not any(p.permitted for p in proposals)  # it is so already
    first = world.fall_back(desks[0], "v2", 20)
    second = world.fall_back(desks[1], "heuristic", 30)
    found: dict[int, object] = {}

    def act(place: int, proposal: object) -> None:
        found[place] = desks[place].act(proposal, NAME)

    threads = [threading.Thread(target=act, args=(n, p)) for n, p in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    results = {o.result for o in found.values()}
    assert Result.APPLIED in results
    assert len(set(map(str, world.weights()))) == 1  # both proxies alike
    assert not world.audit.unresolved()
    assert not world.audit.verify().why
    assert load.stop()[""] == 0


_KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {here!r}]
from fractions import Fraction
from pathlib import Path
from console.control.audit import Audit
from console.control.desk import Desk
from console.control.plan import Purpose
from console.control.planes.registry import make_plane
from console.control.settings import Control
from console.control.who import who

control = Control.model_validate({control!r})
plane = make_plane(control, Path({folder!r}))
at = {at!r}
real = plane.apply

def apply(change):
    if at == "before":
        os.kill(os.getpid(), signal.SIGHUP)  # as when the SSH connection drops
    receipt = real(change)
    os.kill(os.getpid(), signal.SIGKILL)
    return receipt

plane.apply = apply
by = who("command", os.environ)
desk = Desk({name!r}, control, plane, Audit(Path({audit!r})), by, refused="")
shares = {{"v2": Fraction(50), "v1": Fraction(50)}}
desk.act(desk.propose(Purpose.FALLBACK, shares, "drill", None), {name!r})
"""


@pytest.mark.parametrize(("at", "applied"), [("before", False), ("after", True)])
def test_the_connection_drops_between_intent_and_result(world, load, at, applied):
    script = _KILLED.format(
        root=str(Path(__file__).resolve().parents[3]),
        here=str(Path(__file__).parent),
        control=world.control().model_dump(mode="json", by_alias=True),
        folder=str(world.folder),
        at=at,
        name=NAME,
        audit=str(world.audit.path),
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], timeout=60, capture_output=True, check=False
    )
    assert ended.returncode in (-signal.SIGHUP, -signal.SIGKILL), ended.stderr.decode()
    assert world.weights() == [HALF if applied else dict(ALL_V1.weights)] * 2
    desk = world.desk()
    state = Watch(NAME, desk.control, desk.plane, world.audit, refused="").look()
    assert len(state.unresolved) == 1
    said = desk.settle()
    assert ("it was applied" if applied else "not applied") in said[0]
    assert not world.audit.unresolved()
    back = desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME)
    assert back.result is Result.APPLIED, back.text
    assert load.stop()[""] == 0


def test_an_audit_on_a_full_disk_stops_the_change_before_the_plane(world, tmp_path):
    desk = world.desk()
    proposal = world.fall_back(desk)
    folder = tmp_path / "gone"
    folder.mkdir()
    desk.audit = Audit(folder / "no" / "such" / "folder" / "audit.jsonl")
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.REFUSED
    assert "audit" in outcome.text
    assert not any(map(_changes, [said for proxy in world.proxies for said in proxy.seen]))
    assert world.weights() == [dict(ALL_V1.weights)] * 2


def test_hostile_answers_while_reading_back(world):
    desk = world.desk()
    proposal = world.fall_back(desk)
    sent = threading.Event()

    def after(request: bytes) -> bool:
        if _changes(request):
            sent.set()
            return False
        return sent.is_set()

    for proxy in world.proxies:
        proxy.reply = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\x1b[2J[bold]"
        proxy.set(Fault.SAY, when=after)
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.UNKNOWN
    assert "\x1b" not in outcome.text
    json.dumps(outcome.text)


@pytest.mark.slow
def test_no_request_fails_because_of_a_thousand_changes(world, load):
    desk = world.desk(look=0.01)
    desk.control = desk.control.model_copy(update={"verify": desk.control.verify / 10_000})
    results = Counter[Result]()
    for n in range(500):
        results[desk.act(world.fall_back(desk, ARMS[1 + n % 2], 1 + n % 99), NAME).result] += 1
        results[desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME).result] += 1
    assert set(results) <= {Result.APPLIED, Result.NOT_VERIFIED}, results
    answers = load.stop()
    assert answers[""] == 0, answers
    assert sum(answers.values()) > 1_000
    assert not world.audit.verify().why
    assert len(world.audit.entries()) == 2_000
    assert world.weights() == [dict(ALL_V1.weights)] * 2


def test_proof_needs_what_both_proxies_count(world):
    desk = world.desk()
    load = Load([world.envoys[0].port])  # the second one gets no requests, but counts
    outcome = desk.act(world.fall_back(desk), NAME)
    load.stop()
    assert outcome.verification.proof is Proof.PROVEN
    assert {row.replica for row in outcome.verification.measured.rows} == {
        r.name for r in outcome.observed.replicas
    }
