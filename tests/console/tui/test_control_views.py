"""Plans, outcomes and states as pages and as JSON; what is typed to move traffic."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from fake import ALL, traffic
from hands import NOW, control, entry, evidence, observed, outcome, proposal, split, state
from hypothesis import given
from hypothesis import strategies as st

from console.analysis.comparison import Comparison, Verdict
from console.analysis.estimate import Estimate
from console.control.audit import EntryKind
from console.control.evidence import ArmEvidence, Evidence
from console.control.guards import Guard, GuardVerdict
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.plane import Health
from console.control.setbacks import Setback
from console.control.state import ControlState
from console.show import sections_to_table
from console.tui.control_text import fallback_arm, on_fallback, read_move, to_confirm
from console.views.control import (
    alarm,
    outcome_document,
    outcome_view,
    proposal_document,
    proposal_view,
    state_document,
    state_view,
)
from console.views.control_joined import NOT_YET, joined
from console.views.control_words import COMMANDS
from console.views.model import Tone, View

HOSTILE = "\x1b[2J\x9b31m\u202e[red]\n"


def printed(view: View) -> str:
    return sections_to_table(view, "title", 100)


def test_the_command_prints_how_it_stands_with_commands_to_press() -> None:
    text = printed(state_view(state(observed(split(90, 10), split(75, 25))), evidence(), NOW))
    assert "`modelwatch traffic complete` completes it" in text
    assert "proxy-1" in text and "75%..90%" in text and "read 3 s ago" in text
    assert text.startswith("title\n\nx PARTIAL")


def test_a_plane_that_is_gone_is_last_known_with_its_age() -> None:
    gone = state(observed(split(90, 10), age_s=600), locked=True, problem="refused", measured=None)
    view = state_view(gone, None, NOW)
    assert view.headline[0].tone is Tone.BAD and "controls are locked" in view.headline[0].text
    assert "last known: v1 90%, v2 10%, read 10 min ago" in printed(view)
    assert {cell.tone for cell in view.headline if cell.text.startswith("last")} == {Tone.DIM}
    assert {row.cells[2].tone for row in view.table.rows} == {Tone.DIM}
    assert alarm(gone, NOW) == "plane unreachable"


def test_requests_during_a_change_contradict_nothing() -> None:
    follows_old = replace(state(observed(split(10, 90))), measured=state().measured)
    told = "requests do not follow"
    assert told in printed(state_view(follows_old, None, NOW))
    changed = replace(follows_old, recent=(entry(EntryKind.INTENT, 30, purpose="set"),))
    text = printed(state_view(changed, None, NOW))
    assert told not in text and "a change lies within the counted time" in text


def test_an_intent_without_a_result_is_unknown_after_a_minute() -> None:
    young, old = (
        state(unresolved=(entry(EntryKind.INTENT, age, purpose="set"),)) for age in (59, 61)
    )
    assert alarm(young, NOW) == "" and alarm(old, NOW) == "unresolved change"
    assert "UNKNOWN" not in printed(state_view(young, None, NOW))
    assert "UNKNOWN" in printed(state_view(old, None, NOW))


def test_the_worse_of_what_plane_and_arm_say_is_its_health() -> None:
    ill = state(health=(("v2", Health.DOWN, "503"),))
    assert "health down: 503" in printed(state_view(ill, None, NOW))
    assert "v2 takes traffic and is down (503)" in printed(state_view(ill, None, NOW))
    idle = state(observed(split(100, 0)), health=(("v2", Health.DOWN, "503"),))
    assert "takes traffic" not in printed(state_view(idle, None, NOW))


def test_a_version_that_is_no_arm_keeps_its_row() -> None:
    view = joined(traffic(ALL, 0, ""), state(), evidence(), NOW, COMMANDS)
    assert [row.key for row in view.table.rows][:2] == ["v1", "v2"]
    for row in view.table.rows:
        assert len(row.cells) == len(view.table.columns)
    split_up = state(observed(split(90, 10), None))
    for row in joined(NOT_YET, split_up, None, NOW, COMMANDS).table.rows:
        assert len(row.cells) == len(joined(NOT_YET, split_up, None, NOW, COMMANDS).table.columns)


@pytest.mark.parametrize("result", Result)
def test_each_outcome_says_what_happened_and_what_to_do(result: Result) -> None:
    text = printed(outcome_view(outcome(result, "what happened", "what to do", audited=False)))
    assert result.value.upper() in text and "what happened" in text
    assert "to do: what to do" in text and "the audit does not have this result" in text


def test_a_refused_plan_names_every_refusal_first() -> None:
    guards = (
        Guard("weights", GuardVerdict.PASS, "whole numbers"),
        Guard("step", GuardVerdict.REFUSE, "too far"),
        Guard("data", GuardVerdict.UNKNOWN, "too old"),
    )
    view = proposal_view(proposal(guards=guards, problems=("not taken",)), NOW)
    said = [cell.text for cell in view.headline]
    assert said[1:] == ["this plan is refused; nothing was changed", "too far", "too old",
                        "not taken"]  # fmt: skip
    assert "it may be confirmed" not in " ".join(said)


def test_a_plan_says_when_it_has_expired() -> None:
    late = NOW + timedelta(minutes=6)
    assert "this plan has expired" in printed(proposal_view(proposal(), late))
    assert "for 5 min" in printed(proposal_view(proposal(), NOW))


def test_documents_are_json_without_nan_and_pages_without_escapes() -> None:
    bad = state(
        problem=HOSTILE,
        plane=HOSTILE,
        late=HOSTILE,
        ramp=HOSTILE,
        fallback=HOSTILE,
        refused=HOSTILE,
        unresolved=(entry(EntryKind.INTENT, 600, HOSTILE, purpose=HOSTILE),),
        recent=(entry(EntryKind.RESULT, 1, HOSTILE, text=HOSTILE, after={"v1": "x"}),),
    )
    plan = proposal(reason=HOSTILE, problems=(HOSTILE,), purpose=Purpose.FALLBACK)
    ended = outcome(Result.UNKNOWN, HOSTILE, HOSTILE)
    documents: tuple[dict[str, Any], ...] = (
        state_document(bad, evidence(), NOW),
        state_document(replace(bad, observed=None, measured=None, desired=None), None, NOW),
        proposal_document(plan),
        outcome_document(ended),
    )
    for document in documents:
        assert "\x1b" not in json.dumps(document, allow_nan=False)
    for view in (state_view(bad, None, NOW), proposal_view(plan, NOW), outcome_view(ended)):
        assert all(line.isprintable() for line in printed(view).splitlines() if line)


# -- what is typed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shares", "reason"),
    [
        ("v2=25 because it looks fine", {"v2": 25}, "it looks fine"),
        ("v2=25% it looks fine", {"v2": 25}, "it looks fine"),
        (" v1 = 99.5 , v2=0.5: small first", {"v1": Fraction("99.5"), "v2": Fraction("0.5")},
         "small first"),
        ("2.0=5 because a=5, b=6", {"v2": 5}, "a=5, b=6"),
    ],
)  # fmt: skip
def test_shares_and_why(text: str, shares: dict[str, Any], reason: str) -> None:
    known = control({"v1": "1.0", "v2": "2.0"})
    assert read_move(text, known) == ({k: Fraction(v) for k, v in shares.items()}, reason)


@given(st.text(max_size=60))
def test_anything_typed_is_shares_with_a_reason_or_a_sentence(text: str) -> None:
    try:
        shares, reason = read_move(text, control())
    except ValueError as error:
        assert str(error)
    else:
        assert shares and reason.strip() == reason != ""


@given(st.text(min_size=1, max_size=30))
def test_no_key_held_down_confirms(name: str) -> None:
    assert len(set(to_confirm(name))) > 1


def test_a_fallback_that_is_down_is_passed_over() -> None:
    known = control(
        {"v1": "v1", "v2": "v2", "rules": "r"},
        fallback={"target": [{"arm": "rules"}, {"arm": "v2"}]},
    )
    arms = ("v1", "v2", "rules")
    three = state(observed(split(100, 0, 0, arms=arms)))
    assert fallback_arm(known, three) == "rules"
    dead = replace(three, health=(("rules", Health.DOWN, ""),))
    assert fallback_arm(known, dead) == "v2" and fallback_arm(control(), dead) == ""
    assert not on_fallback(known, three)
    assert on_fallback(known, state(observed(split(0, 0, 100, arms=arms))))


# -- what was done about an arm goes before figures ------------------------------------------------


def compared(metric: str, mine: float, other: float, verdict: Verdict) -> Comparison:
    def figure(value: float) -> Estimate:
        return Estimate(value, value - 0.01, value + 0.01, 900)

    return Comparison(metric, figure(mine), figure(other), figure(mine - other), verdict)


def knowing(*comparisons: Comparison) -> Evidence:
    arms = (ArmEvidence("v1", "v1", 900, {}), ArmEvidence("v2", "v2", 900, {}, comparisons))
    return replace(evidence(), arms=arms)


F1 = compared("f1", 0.42, 0.19, Verdict.BETTER)
FALLEN = Setback("v2", NOW - timedelta(minutes=5), "rolled back", "errors", "33% failed", "mei")


def beside(seen: ControlState, known: Evidence) -> tuple[str, Tone]:
    """What stands in the row of v2, the same on the pane and in the command."""
    views = (joined(NOT_YET, seen, known, NOW, COMMANDS), state_view(seen, known, NOW))
    cells = []
    for view in views:
        column = [c.title for c in view.table.columns].index("vs stable")
        cells.append(next(row.cells[column] for row in view.table.rows if row.key == "v2"))
    assert cells[0] == cells[1]
    return cells[0].text, cells[0].tone


def test_better_says_by_which_figure() -> None:
    assert beside(state(), knowing(F1)) == ("better: f1 0.420 vs 0.190", Tone.GOOD)


def test_a_version_that_was_rolled_back_is_not_better_for_the_other_one_getting_worse() -> None:
    fallen = state(observed(split(100, 0)), setbacks=(FALLEN,))
    said, tone = beside(fallen, knowing(F1))
    assert said == "rolled back 02:09: errors" and tone is Tone.BAD
    text = printed(state_view(fallen, knowing(F1), NOW))
    assert "v2 was rolled back at 20 Nov 02:09 UTC by mei: 33% failed" in text


def test_better_than_what_fails_is_no_good_news() -> None:
    errors = compared("error_rate", 0.33, 0.35, Verdict.CANNOT_TELL)
    said, tone = beside(state(), knowing(F1, errors))
    assert said == "better: f1 0.420 vs 0.190; errors 33.0% vs 35.0%" and tone is Tone.WARN
    said, tone = beside(state(), knowing(replace(errors, verdict=Verdict.BETTER)))
    assert said == "better: errors 33.0% vs 35.0%" and tone is Tone.WARN
    left = state(setbacks=(replace(FALLEN, arm="v1"),))
    assert beside(left, knowing(F1))[1] is Tone.WARN


def test_worse_has_both_values() -> None:
    errors = compared("error_rate", 0.33, 0.02, Verdict.WORSE)
    assert beside(state(), knowing(F1, errors)) == ("worse: errors 33.0% vs 2.0%", Tone.BAD)
    plan = replace(proposal(), evidence=knowing(F1, errors))
    assert "worse: errors 33.0% vs 2.0%" in sections_to_table(proposal_view(plan, NOW), "", 200)


def test_a_running_fallback_stands_before_everything_that_has_ended() -> None:
    words = "on the fallback heuristic since 20 Nov 02:10 UTC by rule (error_rate above 0.15)"
    ended = "the ramp of v2 is rolled back since 20 Nov 02:05 UTC"
    on = state(fallback=words, on_fallback="heuristic", ramp=ended)
    said = [cell.text for cell in state_view(on, None, NOW).headline]
    back = "on the fallback heuristic (`modelwatch fallback off` returns) since 20 Nov 02:10 UTC"
    assert said[0].startswith(f"{back} by rule (")
    assert said.index(ended) == len(said) - 1
    tones = {cell.text: cell.tone for cell in state_view(on, None, NOW).headline}
    assert tones[said[0]] is Tone.WARN and tones[ended] is Tone.DIM
    assert Tone.GOOD not in tones.values()
    going = state(ramp="ramp of v2: step 2 of 4", ramping=True, fallback="ready: heuristic")
    said = [cell.text for cell in state_view(going, None, NOW).headline]
    assert said[0] == "ramp of v2: step 2 of 4" and said[-1] == "ready: heuristic"


def test_the_stable_arm_that_is_down_is_fallen_back_from() -> None:
    ill = state(observed(split(100, 0)), health=(("v1", Health.DOWN, "refused"),))
    assert "v1 takes traffic and is down (refused); nothing to fall" in printed(
        state_view(ill, None, NOW)
    )
    with_fallback = replace(ill, fallback="ready: heuristic")
    text = printed(state_view(with_fallback, None, NOW))
    assert "is down (refused); `modelwatch fallback on` falls back" in text
