"""The screen's hands: how traffic stands, what keys plan, what it takes to confirm."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from fake import make_frame
from hands import (
    NAME,
    NOW,
    FakeHands,
    control,
    entry,
    evidence,
    observed,
    outcome,
    proposal,
    split,
    state,
)
from screens import HandFed, shown, text
from textual import events
from textual.pilot import Pilot

from console.control.audit import EntryKind
from console.control.errors import PlaneError
from console.control.guards import Guard, GuardVerdict
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.plane import Health
from console.control.setbacks import Setback
from console.tui.data_thread import Update

HOSTILE = "\x1b]0;x\x07[bold]v2[/] 版本\u202e\x9b31m"


@asynccontextmanager
async def screen(
    hands: FakeHands | None = None, size: tuple[int, int] = (80, 24), *, fed: bool = True
) -> AsyncIterator[tuple[HandFed, Pilot[int], FakeHands]]:
    """The app at the Traffic pane, with hands."""
    app, hands = HandFed(), hands or FakeHands()
    async with app.run_test(size=size) as pilot:
        app.controls.clock = lambda: NOW
        if fed:
            feed(app)
        app.controls._ready(hands)
        await pilot.press("5", *("z" if size[0] > 100 else ""))  # alone on a wide screen, too
        if fed:
            feed(app)
        await pilot.pause()
        yield app, pilot, hands


def feed(app: HandFed) -> None:
    frame = replace(make_frame(app.request), evidence=evidence())
    app.receive(Update(frame, request=app.request))


async def typed(pilot: Pilot[int], words: str) -> None:
    keys = {" ": "space", "=": "equals_sign", ",": "comma", "-": "minus", ".": "full_stop",
            "%": "percent_sign"}  # fmt: skip
    await pilot.press(*(keys.get(c, c) for c in words))


async def planned(pilot: Pilot[int], hands: FakeHands, **more: object) -> None:
    """At the plan of `m`."""
    await pilot.press("m")
    await typed(pilot, "v2=25 because it looks fine")
    await pilot.press("enter")
    hands.made(proposal(**more))  # type: ignore[arg-type]
    await pilot.pause()


# -- how it stands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_how_traffic_stands_is_on_the_pane(size: tuple[int, int]) -> None:
    async with screen(size=size) as (app, _, _):
        seen = text(app)
        for words in ("v1 90%, v2 10%, read 3 s ago", "desired", "configured", "measured", "up"):
            assert words in seen
        assert all(len(line) <= size[0] for line in shown(app))
        row = next(line for line in shown(app) if line.lstrip("> ").startswith("v2"))
        assert row.count("10%") >= 2 and "10.0%" in row
        assert "m move" in seen.splitlines()[-1]
        assert "RW" in shown(app)[0] or "READ-WRITE" in shown(app)[0]


async def test_a_rollback_need_not_wait_for_the_store() -> None:
    async with screen(fed=False) as (app, pilot, hands):
        assert "v1 90%, v2 10%" in text(app)
        await pilot.press("R", "enter")
        assert hands.proposed[0][:4] == (NAME, Purpose.ROLLBACK, None, "")


async def test_without_control_nothing_changes_but_the_key_says_what_to_add() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.press("m")
        assert "no [[control]] says where" in text(app)
        assert "m move" not in text(app) and "RO" in shown(app)[0]


async def test_a_deployment_without_control_has_the_pane_of_its_logs() -> None:
    async with screen(FakeHands({"fraud-scorer": control()}, {})) as (app, _, _):
        assert "configured" not in text(app) and "read 3 s ago" not in text(app)


WRONG = {
    "PARTIAL: replicas split traffic differently; C completes it, U undoes it": state(
        observed(split(90, 10), split(75, 25))
    ),
    "the plane cannot be read: refused; controls are locked": state(locked=True, problem="refused"),
    "UNKNOWN: set by mei@gateway from 10.0.0.7 (c-1) at 20 Nov 02:04:30 UTC": state(
        unresolved=(entry(EntryKind.INTENT, 600, purpose="set"),)
    ),
    "all weights are 0: no request is answered; R rolls back": state(observed(split(0, 0))),
    "DRIFT: it reads v1 90%": state(late="it reads v1 90%, but v1 50% was asked for"),
    "v2 takes traffic and is down (0 of 2)": state(health=(("v2", Health.DOWN, "0 of 2"),)),
    "1 of 2 replicas cannot be read: proxy-2: connection refused": state(
        observed(split(90, 10), None)
    ),
    "requests do not follow the split": state(
        observed(split(10, 90)), measured=state(observed(split(90, 10))).measured
    ),
}


@pytest.mark.parametrize("words", WRONG)
async def test_what_is_wrong_is_said_first_with_what_to_press(words: str) -> None:
    async with screen(FakeHands(states={NAME: WRONG[words]}), (160, 40)) as (app, _, _):
        lines = [line for line in shown(app) if line.startswith("✖")]
        assert lines and words in " ".join(text(app).split())
        assert words.split(";", maxsplit=1)[0][:60] in " ".join(lines)


async def test_differing_replicas_are_rows_and_never_an_average() -> None:
    seen = state(observed(split(90, 10), split(75, 25)))
    async with screen(FakeHands(states={NAME: seen}), (120, 40)) as (app, _, _):
        shares = [line.split() for line in shown(app) if "proxy-" in line]
        assert [(w[0], w[2]) for w in shares] == [
            ("proxy-1", "90%"), ("proxy-2", "75%"), ("proxy-1", "10%"), ("proxy-2", "25%"),
        ]  # fmt: skip
        assert "75%..90%" in text(app) and "82" not in text(app)


async def test_the_state_line_tells_it_on_every_pane() -> None:
    hands = FakeHands(states={NAME: state(observed(split(90, 10), split(75, 25)))})
    async with screen(hands) as (app, pilot, _):
        await pilot.press("1")
        feed(app)
        assert "PARTIAL" in shown(app)[0]
        hands.states[NAME] = state()
        hands.changed()
        await pilot.pause()
        assert "PARTIAL" not in shown(app)[0]


async def test_a_fallback_is_told_on_every_pane_with_the_key_that_returns() -> None:
    words = "on the fallback rules since 20 Nov 02:10 UTC by rule (error_rate above 0.15 for 3 s)"
    on = state(on_fallback="rules", fallback=words, ramp="the ramp of v2 is rolled back")
    async with screen(FakeHands(states={NAME: on})) as (app, pilot, _):
        assert any("on the fallback rules (F returns) since" in line for line in shown(app))
        assert "●  v1" not in text(app) and "● v1 90%" not in text(app)
        await pilot.press("1")
        feed(app)
        assert "FALLBACK rules" in shown(app)[0]


async def test_why_an_arm_was_rolled_back_is_in_its_row_on_a_narrow_screen() -> None:
    fallen = Setback("v2", NOW, "rolled back", "errors", "33% failed", "the recorder")
    seen = state(observed(split(100, 0)), setbacks=(fallen,))
    async with screen(FakeHands(states={NAME: seen})) as (app, _, _):
        row = next(line for line in shown(app) if line.lstrip("> ").startswith("v2"))
        assert "rolled back 02:14" in row


async def test_a_change_that_somebody_just_makes_is_no_alarm() -> None:
    young = state(unresolved=(entry(EntryKind.INTENT, 5, purpose="set"),))
    async with screen(FakeHands(states={NAME: young})) as (app, _, _):
        assert "under way for 5 s" in text(app) and "✖" not in text(app)


async def test_enter_shows_replicas_and_the_newest_entries() -> None:
    told = entry(EntryKind.RESULT, 600, outcome="applied", text="read back: v1 90%")
    async with screen(FakeHands(states={NAME: state(recent=(told,))}), (120, 40)) as (
        app,
        pilot,
        _,
    ):
        await pilot.press("enter")
        await pilot.pause()
        assert "Arm v1" in text(app) and "proxy-1" in text(app) and "read back" in text(app)


# -- planning and confirming -----------------------------------------------------------------------


async def test_from_a_key_to_an_outcome() -> None:
    async with screen() as (app, pilot, hands):
        await pilot.press("1", "m")
        assert app.request.panes == ("traffic",) and "move traffic (like" in shown(app)[-1]
        await typed(pilot, "v2=25 because it looks fine")
        began = time.perf_counter()
        await pilot.press("enter")
        assert "asking the plane" in text(app)
        assert time.perf_counter() - began < 5  # at once: the plane is asked elsewhere
        assert hands.proposed == [
            (NAME, Purpose.SET, {"v2": Fraction(25)}, "it looks fine", evidence())
        ]
        hands.made(proposal())
        await pilot.pause()
        for words in ("v1 90% -> 75%, v2 10% -> 25%", "460 requests can prove it", "for 5 min"):
            assert words in " ".join(text(app).split())
        assert shown(app)[-1] == f"type {NAME} to confirm, esc leaves it:"
        await typed(pilot, NAME)
        assert not hands.acted
        await pilot.press("enter")
        assert hands.acted[0][1] == NAME
        hands.told("the intent is on the disk; sending it")
        hands.told("measured: 3 requests since")
        hands.told("measured: 300 requests since")
        await pilot.pause()
        assert "the intent is on the disk" in text(app)
        assert "300 requests" in text(app) and "3 requests since" not in text(app)
        hands.ended(outcome(Result.PARTIAL, "proxy-1 has it", "complete it or undo it"))
        await pilot.pause()
        assert "PARTIAL" in text(app) and "to do: complete it or undo it" in text(app)
        assert "C completes it, U undoes it, R rolls back" in text(app)
        await pilot.press("C")
        assert shown(app)[-1] == "complete the last change; why? (enter: no reason)"
        await pilot.press("enter")
        assert hands.proposed[-1][1] is Purpose.COMPLETE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("v2=25", "say why as well"),
        ("v9=25 because", "there is no arm 'v9'"),
        ("hello", "type shares in percent and why"),
        ("v2=25,v2=30 because x", "v2 is given twice"),
    ],
)
async def test_what_cannot_be_meant_is_said_and_can_be_corrected(words: str, said: str) -> None:
    async with screen() as (app, pilot, hands):
        await pilot.press("m")
        await typed(pilot, words)
        await pilot.press("enter")
        assert said in shown(app)[-1] and not hands.proposed
        await pilot.press("ctrl+u")
        await typed(pilot, "v2=5,v1=95 fine")
        await pilot.press("enter")
        assert hands.proposed[0][2] == {"v2": Fraction(5), "v1": Fraction(95)}


async def test_only_the_typed_name_confirms() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        app.on_paste(events.Paste(NAME + "\n"))
        await pilot.pause()
        assert "typed to confirm, not pasted" in text(app)
        await pilot.press("enter", "enter", "enter")
        await typed(pilot, "flight-dela")
        await pilot.press("enter")
        assert "flight-dela is not flight-delay: nothing was changed" in text(app)
        await pilot.press("enter")
        assert not hands.acted
        await typed(pilot, NAME)
        await pilot.press("escape", "enter")
        assert not hands.acted and app.page != "control"


async def test_a_key_that_is_held_down_is_never_a_confirmation() -> None:
    hands = FakeHands({"aaa": control()}, {"aaa": state(deployment="aaa")})
    async with screen(hands, fed=False) as (_, pilot, _):
        await pilot.press("R", "enter")
        hands.made(proposal(deployment="aaa"))
        await pilot.pause()
        await pilot.press(*"aaa", "enter")
        assert not hands.acted
        await typed(pilot, "move aaa")
        await pilot.press("enter")
        assert hands.acted[0][1] == "aaa"


async def test_what_is_typed_ahead_presses_no_keys() -> None:
    async with screen() as (app, pilot, hands):
        await pilot.press("R", "enter", "q", "i", "1", "enter")
        assert app.page == "control" and "asking the plane" in text(app)
        hands.made(proposal())
        await pilot.pause()
        await pilot.press("enter")
        assert not hands.acted and shown(app)[-1].endswith("esc leaves it:")


async def test_read_only_shows_the_plan_and_what_would_allow_it() -> None:
    refused = state(refused="this is read-only: start with --write")
    async with screen(FakeHands(states={NAME: refused})) as (app, pilot, hands):
        assert "RO" in shown(app)[0]
        await planned(pilot, hands)
        assert "only a plan: this is read-only: start with --write" in text(app)
        assert "v2 10% -> 25%" in text(app) and "to confirm" not in shown(app)[-1]
        await typed(pilot, NAME)
        await pilot.press("enter")
        assert not hands.acted


async def test_a_refused_plan_says_why_and_cannot_be_confirmed() -> None:
    guards = (Guard("step", GuardVerdict.REFUSE, "a step of 40 points; at most 25 at once"),)
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands, guards=guards)
        assert "a step of 40 points; at most 25 at once" in text(app)
        assert "to confirm" not in shown(app)[-1]
        await typed(pilot, NAME)
        await pilot.press("enter")
        assert not hands.acted
        await pilot.press("r")
        assert len(hands.proposed) == 2


async def test_an_expired_plan_is_made_anew() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        app.controls.clock = lambda: NOW + timedelta(minutes=6)
        await typed(pilot, NAME)
        await pilot.press("enter")
        app.control_page._tick()
        assert not hands.acted and "this plan has expired" in text(app)
        await pilot.press("r")
        assert len(hands.proposed) == 2 and hands.proposed[0] == hands.proposed[1]


async def test_a_rollback_that_was_read_for_long_needs_no_new_plan() -> None:
    async with screen() as (app, pilot, hands):
        await pilot.press("R", "enter")
        hands.made(proposal(split(100, 0), purpose=Purpose.ROLLBACK))
        await pilot.pause()
        app.controls.clock = lambda: NOW + timedelta(hours=2)
        app.control_page._tick()
        assert "expired" not in text(app) and "for 5 min" not in text(app)
        await typed(pilot, NAME)
        await pilot.press("enter")
        assert hands.acted


async def test_a_plan_is_carried_out_on_what_the_store_says_by_then() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        later = NOW + timedelta(minutes=4)
        app.controls.clock = lambda: later
        newer = replace(evidence(), at=later, data_age=timedelta(seconds=1))
        app.controls.learn(NAME, newer)
        app.control_page._tick()
        assert "newest prediction 1 s old" in " ".join(text(app).split())
        await typed(pilot, NAME)
        await pilot.press("enter")
        assert hands.acted[0][0] == replace(proposal(), evidence=newer)


async def test_figures_of_an_older_moment_do_not_replace_those_of_the_plan() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        app.controls.learn(NAME, replace(evidence(), at=NOW - timedelta(hours=1)))
        await typed(pilot, NAME)
        await pilot.press("enter")
        assert hands.acted[0][0] == proposal()


async def test_what_was_refused_is_planned_again_without_typing_it_again() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        await typed(pilot, NAME)
        await pilot.press("enter")
        assert "the change goes on" in shown(app)[-1]
        hands.ended(outcome(Result.REFUSED, "it was too old", "plan again"))
        await pilot.pause()
        assert "r plan anew" in shown(app)[-1] and "REFUSED" in text(app)
        await pilot.press("r")
        assert len(hands.proposed) == 2 and hands.proposed[0] == hands.proposed[1]
        assert "asking the plane" in text(app)


async def test_what_was_applied_is_not_planned_again_by_a_key() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        await typed(pilot, NAME)
        await pilot.press("enter")
        hands.ended(outcome(Result.APPLIED))
        await pilot.pause()
        assert "r plan" not in shown(app)[-1]
        await pilot.press("r")
        assert len(hands.proposed) == 1


async def test_a_wrong_name_is_told_also_where_the_page_was_scrolled() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        await pilot.press(*["down"] * 20)
        await typed(pilot, "flight-latex")
        await pilot.press("enter")
        assert "flight-latex is not flight-delay: nothing was changed" in text(app)
        assert shown(app)[-1].startswith("that is not it; type flight-delay")
        await typed(pilot, NAME)
        await pilot.press("enter")
        assert hands.acted


async def test_shares_that_cannot_be_are_corrected_and_not_typed_again() -> None:
    async with screen() as (app, pilot, hands):
        await pilot.press("m")
        await typed(pilot, "v2=150 because it looks fine")
        await pilot.press("enter")
        hands.made(ValueError("the shares of the named arms are more than 100%"))
        await pilot.pause()
        assert "more than 100%" in shown(app)[-1] and app.page == ""
        await pilot.press("x")
        assert shown(app)[-1].endswith("v2=150 because it looks finex")


async def test_a_plane_that_does_not_answer_is_a_sentence() -> None:
    async with screen() as (app, pilot, hands):
        await pilot.press("U", "enter")
        hands.made(PlaneError("no replica can be read"))
        await pilot.pause()
        assert "there is no plan: no replica can be read" in text(app)


async def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    async with screen() as (app, pilot, hands):
        await pilot.press("R", "enter")
        late = hands.made
        await pilot.press("escape", "m")
        late(proposal())
        await pilot.pause()
        assert app.page == "" and "move traffic" in shown(app)[-1]


async def test_a_rollback_while_a_change_is_being_proven() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        await typed(pilot, NAME)
        await pilot.press("enter")
        first = hands.ended
        await pilot.press("R", "enter")
        hands.made(proposal(purpose=Purpose.ROLLBACK))
        first(outcome(Result.NOT_VERIFIED))
        await pilot.pause()
        assert "roll back" in text(app) and shown(app)[-1].endswith("esc leaves it:")
        await typed(pilot, NAME)
        await pilot.press("enter")
        assert len(hands.acted) == 2


async def test_quitting_while_a_change_is_under_way_is_asked_twice() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        await typed(pilot, NAME)
        await pilot.press("enter", "q")
        assert "a change is under way; q again leaves" in text(app) and app.is_running
        await pilot.press("escape", "q")  # another key in between: it is asked again
        assert app.is_running and app._exit is False
        await pilot.press("q")
        assert app._exit
    assert hands.closed


async def test_an_outcome_is_told_when_the_page_was_left() -> None:
    async with screen() as (app, pilot, hands):
        await planned(pilot, hands)
        await typed(pilot, NAME)
        await pilot.press("enter", "escape")
        hands.ended(outcome(Result.UNKNOWN, "no answer"))
        await pilot.pause()
        assert "the change ended: unknown (o shows it)" in shown(app)[-1]
        await pilot.press("o")
        assert "UNKNOWN: it may have been applied" in text(app)


async def test_fall_back_and_return() -> None:
    arms = {"v1": "v1", "v2": "v2", "rules": "rules", "static": "static"}
    three = ("v1", "v2", "rules", "static")
    target = {"target": [{"arm": "rules"}, {"arm": "static"}]}
    dead = state(
        observed(split(90, 10, 0, 0, arms=three)), health=(("rules", Health.DOWN, "refused"),)
    )
    hands = FakeHands({NAME: control(arms, fallback=target)}, {NAME: dead})
    async with screen(hands) as (app, pilot, _):
        await pilot.press("F")
        assert shown(app)[-1] == "fall back to static; why? (enter: no reason)"
        await pilot.press("enter")
        assert hands.proposed[-1][1:3] == (Purpose.FALLBACK, {"static": Fraction(100)})
        await pilot.press("escape")
        hands.states[NAME] = state(observed(split(0, 0, 0, 100, arms=three)))
        await pilot.press("F")
        assert shown(app)[-1] == "return from the fallback; why? (enter: no reason)"
        await pilot.press("enter")
        assert hands.proposed[-1][1:3] == (Purpose.RETURN, None)


async def test_fall_back_without_a_target_says_what_to_add() -> None:
    async with screen() as (app, pilot, hands):
        await pilot.press("F")
        assert "add [control.fallback]" in shown(app)[-1] and not hands.proposed


# -- strangers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (200, 50), (30, 10)])
async def test_hostile_names_and_sentences_are_shown_as_text(size: tuple[int, int]) -> None:
    arms = ("v1", "[bold]v2[/] 版本")
    seen = observed(split(90, 10, arms=arms), split(75, 25, arms=arms), problem=HOSTILE)
    bad = state(
        seen,
        problem=HOSTILE,
        locked=True,
        late=HOSTILE,
        plane=HOSTILE,
        ramp=HOSTILE,
        unresolved=(entry(EntryKind.INTENT, 600, HOSTILE, purpose=HOSTILE),),
        recent=(entry(EntryKind.RESULT, 600, HOSTILE, text=HOSTILE, outcome=["x"]),),
    )
    async with screen(FakeHands(states={NAME: bad}), size) as (app, pilot, hands):
        check(app, size)
        await pilot.press("j", "enter")
        check(app, size)
        await pilot.press("escape")
        guards = (Guard(HOSTILE, GuardVerdict.WARN, HOSTILE),)
        await planned(
            pilot, hands, after=split(75, 25, arms=arms), before=split(90, 10, arms=arms),
            reason=HOSTILE, guards=guards,
        )  # fmt: skip
        check(app, size)
        await typed(pilot, NAME)
        await pilot.press("enter")
        hands.told(HOSTILE)
        await pilot.pause()
        check(app, size)
        hands.ended(outcome(Result.UNKNOWN, HOSTILE, HOSTILE))
        await pilot.pause()
        check(app, size)


def check(app: HandFed, size: tuple[int, int]) -> None:
    for line in shown(app):
        assert line.isprintable() or not line
        assert "\x1b" not in line and "\u202e" not in line
    assert len(shown(app)) == size[1]
