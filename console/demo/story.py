"""The demo without a screen: rolled out, broken, rolled back, fallen back, returned, all proven.

Everything goes the way that a person's hands would: the command in a process of its own, the
recorder that judges the ramp and the rules, the audit that says what happened.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collectors.errors import StoreError
from collectors.live.client import connected
from collectors.text import clean
from console.control.audit import Audit, EntryKind, audit_path
from console.control.history import split_in
from console.control.split import Split
from console.control.told import sentence
from console.demo.breaking import FAULTS, break_server
from console.demo.children import module
from console.demo.configuration import DEPLOYMENT
from console.demo.host import DemoError, world
from console.demo.running import Running
from console.demo.server import Fault
from console.demo.settings import Settings
from console.demo.traffic import PREDICTIONS

__all__ = ["tell"]

_POLL_S = 0.2
_LONGEST = 200
_ROUNDING = timedelta(milliseconds=2)
"""Of the times in the log."""
_COMMAND_S = 60.0

Say = Callable[[str], object]


def tell(settings: Settings, say: Say) -> int:
    """Tell it, with times; 0 when all of it came true. Raises DemoError when something did not."""
    fast = replace(settings, steps=(25, 50, 100), pause="4s", label_delay_s=1.0)
    story = Story(say)
    story.line("starting two versions, a heuristic, Envoy, traffic and a recorder")
    with world(fast) as demo:
        story.of(demo)
        story.line(f"{fast.rate:g} requests a second go through {demo.proxy}, all to v1")
        _roll_out(story)
        _fall_back(story)
        _count(story)
    story.line("everything has ended, nothing is left")
    return 0


def _roll_out(story: Story) -> None:
    """v2 gets more step by step, fails, and is rolled back by itself."""
    story.until("v1 is known well enough", lambda: story.rows() > 300, 120)
    story.command("traffic", "ramp", "v2", "--reason", "the new version")
    story.until("v2 has half of the traffic", lambda: _share(story.split(), "v2") >= 0.5, 180)
    with story.timed("v2 broken, found, rolled back, 0 % measured"):
        story.breaks("v2", Fault.ERRORS)
        story.until("v2 was rolled back", lambda: story.proven("rollback", "v2"), 120)
    story.breaks("v2", Fault.OFF)


def _fall_back(story: Story) -> None:
    """v1 fails as well: a rule falls back to the heuristic; a person returns when v1 is mended."""
    with story.timed("v1 broken, found, the heuristic answers everything"):
        story.breaks("v1", Fault.ERRORS)
        story.until("the heuristic answers", lambda: story.proven("fallback", "v1"), 120)
    story.breaks("v1", Fault.OFF)
    story.command("fallback", "off", "--reason", "v1 is mended")
    story.until("v1 answers again", lambda: story.proven("return", "heuristic"), 120)


def _count(story: Story) -> None:
    """What the clients saw: requests fail while a server fails, and never because of a change."""
    counted = Counter(story.failures())
    total, during, other = counted["all"], counted["broken"], counted["other"]
    story.line(f"{total:,} requests: {during:,} failed in a broken server, {other:,} otherwise")
    if other:
        raise DemoError(f"{other} requests failed though nothing was broken")
    check = story.audit.verify()
    if not check.fine:
        raise DemoError(f"the audit is broken: {check.why}")
    story.line(f"the audit of {check.n} entries is whole")
    for what, seconds in story.times:
        story.line(f"{what}: {seconds:.1f} s")


class Story:
    """Says what happens, with the seconds since it began."""

    def __init__(self, say: Say) -> None:
        self._say, self._began = say, time.monotonic()
        self._told = 0
        self._broken: list[tuple[datetime, str, Fault]] = []
        self.times: list[tuple[str, float]] = []
        """What took how many seconds."""

    def of(self, demo: Running) -> None:
        """What it is about."""
        self.demo = demo
        self.audit = Audit(audit_path(Path(demo.store)))

    def line(self, text: str) -> None:
        """One line."""
        self._say(f"{time.monotonic() - self._began:6.1f} s  {text}")

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """How long it takes, for the end."""
        began = time.monotonic()
        yield
        self.times.append((what, time.monotonic() - began))

    def until(self, what: str, asked: Callable[[], object], seconds: float) -> None:
        """Tell what the audit says until it is so. Raises DemoError when it does not become so."""
        end = time.monotonic() + seconds
        while True:
            so = asked()
            self._news()
            if so:
                return
            if time.monotonic() > end:
                raise DemoError(f"this did not happen within {seconds:g} s: {what}")
            time.sleep(_POLL_S)

    def command(self, *words: str) -> None:
        """A command as a person types it. Raises DemoError when it refuses."""
        self.line(f"$ modelwatch {' '.join(words)}")
        own = ("--config", self.demo.config, "--yes-i-mean", DEPLOYMENT)
        done = subprocess.run(  # noqa: S603 - our own words, no shell
            module("console.cli", *words, *own),
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"modelwatch {words[0]} failed: {(done.stderr or done.stdout).strip()}")

    def breaks(self, version: str, fault: Fault) -> None:
        """Break or mend a server."""
        before = datetime.now(UTC)
        break_server(self.demo, version, fault)
        # what was asked for before it is mended may still fail
        at = datetime.now(UTC) if fault is Fault.OFF else before
        self._broken.append((at, version, fault))
        self.line(f"! {version}: {FAULTS[fault]}")

    def proven(self, purpose: str, empty: str) -> bool:
        """Whether the last change is of this purpose and requests prove that an arm has none."""
        entries = [
            e for e in self.audit.entries() if e.kind in (EntryKind.INTENT, EntryKind.RESULT)
        ]
        if len(entries) < 2 or entries[-1].kind is not EntryKind.RESULT:
            return False
        intent, result = entries[-2:]
        measured = result.fields.get("measured") or {}
        return (
            intent.change == result.change
            and intent.fields.get("purpose") == purpose
            and measured.get("proof") == "proven"
            and measured.get("arms", {}).get(empty) == 0
        )

    def split(self) -> Split | None:
        """The split that was asked for last."""
        intents = [e for e in self.audit.entries() if e.kind is EntryKind.INTENT]
        return split_in(intents[-1].fields.get("after")) if intents else None

    def rows(self) -> int:
        """Predictions in the store."""
        reader = connected(Path(self.demo.store))
        if reader is None:
            return 0
        try:
            now = datetime.now(UTC).replace(tzinfo=None)
            found = reader.query("extent", DEPLOYMENT, end=now)["n"].to_list()
        except StoreError:  # its first pass has not begun yet
            return 0
        finally:
            reader.close()
        return int(found[0]) if found else 0

    def failures(self) -> Iterator[str]:
        """Of each request that it was sent, and whether it failed in a broken server or not."""
        spans = list(self._spans())
        for row in self._log():
            yield "all"
            if row["status"] != "200":
                sent = datetime.fromisoformat(row["timestamp"])
                answered = sent + timedelta(milliseconds=row["latency_ms"]) + _ROUNDING
                in_span = any(
                    v == row["version"] and a <= answered and sent <= b for v, a, b in spans
                )
                yield "broken" if in_span and row["status"] == "500" else "other"

    def _spans(self) -> Iterator[tuple[str, datetime, datetime]]:
        """When which server was broken."""
        for place, (at, version, fault) in enumerate(self._broken):
            if fault is not Fault.OFF:
                later = (t for t, v, _ in self._broken[place + 1 :] if v == version)
                yield version, at, next(later, datetime.max.replace(tzinfo=UTC))

    def _log(self) -> Iterator[dict[str, Any]]:
        text = (Path(self.demo.folder) / PREDICTIONS).read_text(encoding="utf-8")
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)

    def _news(self) -> None:
        entries = self.audit.entries()
        for entry in entries[self._told :]:
            self.line(f"{entry.who.program}: {clean(sentence(entry), _LONGEST)}")
        self._told = len(entries)


def _share(split: Split | None, arm: str) -> float:
    return 0.0 if split is None else split.share(arm)
