"""What is remembered of arms that were rolled back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from console.control.entries import Entry, EntryKind
from console.control.setbacks import Setback, setbacks_of
from console.control.who import Who

AT = datetime(2026, 11, 21, 11, 53, tzinfo=UTC)
NAME = "churn"
MEI = Who("mei", "ops-1", "", "console")
RECORDER = Who("root", "ops-1", "", "recorder")


class Told:
    """Entries, a minute after each other."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def write(self, kind: EntryKind, change: str = "", who: Who = MEI, **fields: Any) -> None:
        n = len(self.entries)
        at = AT + timedelta(minutes=n)
        self.entries.append(Entry(n + 1, at, kind, NAME, change, who, fields, "", ""))

    def moved(
        self,
        purpose: str,
        before: dict[str, int] | None,
        after: dict[str, int],
        outcome: str = "applied",
        *,
        who: Who = MEI,
        reason: str = "",
    ) -> None:
        change = f"c-{len(self.entries)}"
        fields = {"purpose": purpose, "before": before, "after": after, "reason": reason}
        self.write(EntryKind.INTENT, change, who, **fields)
        self.write(EntryKind.RESULT, change, who, outcome=outcome)

    @property
    def found(self) -> dict[str, Setback]:
        now = AT + timedelta(hours=1)
        return {s.arm: s for s in setbacks_of(self.entries, NAME, now)}


HALF, BACK = {"v1": 50, "v2": 50}, {"v1": 100, "v2": 0}


def test_a_ramp_that_failed_says_by_what() -> None:
    told = Told()
    told.write(EntryKind.RAMP, event="failing", arm="v2", key="failed errors", why="33% failed")
    told.moved("rollback", HALF, BACK, who=RECORDER, reason="ramp r-1 by mei: 33% failed")
    fallen = told.found["v2"]
    assert (fallen.what, fallen.why, fallen.by) == ("errors", "33% failed", "the recorder")
    assert fallen.text == (
        "v2 was rolled back at 21 Nov 11:54 UTC by the recorder: 33% failed"
    )  # fmt: skip
    assert set(told.found) == {"v2"}


def test_a_person_says_why_and_the_arm_that_was_left_is_one_too() -> None:
    told = Told()
    told.moved("rollback", HALF, BACK, reason="it is slow")
    assert told.found["v2"].text.endswith("by mei@ops-1: it is slow")
    told.moved("fallback", {**BACK, "h": 0}, {"v1": 0, "v2": 0, "h": 100}, who=RECORDER)
    assert told.found["v1"].how == "left for a fallback"
    told.moved("return", {"v1": 0, "v2": 0, "h": 100}, {**BACK, "h": 0})
    assert set(told.found) == {"v2"}


def test_whoever_gets_traffic_again_has_none() -> None:
    told = Told()
    told.moved("rollback", HALF, BACK)
    told.moved("set", BACK, {"v1": 95, "v2": 5}, "refused")
    assert "v2" in told.found
    told.moved("set", BACK, {"v1": 95, "v2": 5}, "unknown")
    assert not told.found


def test_what_was_not_carried_out_or_not_about_anything_wrong_is_none() -> None:
    told = Told()
    told.moved("rollback", HALF, BACK, "conflict")
    told.moved("set", HALF, BACK)
    told.moved("rollback", None, BACK)
    assert not told.found


def test_after_a_week_it_is_forgotten() -> None:
    told = Told()
    told.moved("rollback", HALF, BACK)
    assert not setbacks_of(told.entries, NAME, AT + timedelta(days=8))
    assert not setbacks_of(told.entries, "another", AT)
