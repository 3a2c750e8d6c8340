"""The page of a change: why, the plan, the typed confirmation, what is done, what became of it.

It proposes and confirms only; everything else is the desk's. Planes are asked on other threads, so
each answer says which question it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING

from rich.text import Text
from textual.timer import Timer

from collectors.text import clean
from console.tui.cells import line, wrap
from console.tui.control_text import read_move, to_confirm
from console.tui.controls import Controls
from console.tui.explanation import explanation_lines
from console.tui.paint import BOLD, DIM, style_of
from console.tui.prompt import edit
from console.views.model import Tone

if TYPE_CHECKING:
    from console.control.errors import ControlError
    from console.control.outcome import Outcome, Proposal
    from console.control.plan import Purpose
    from console.tui.app import ModelwatchApp

__all__ = ["ControlPage"]

_LONGEST = 300
_TOLD = 12
"""Sentences of a change under way that are kept."""

_SCROLL = {"down": 1, "up": -1, "pagedown": 10, "pageup": -10, "home": -10_000, "end": 10_000}


class _Phase(Enum):
    NONE = "none"
    TYPING = "typing"
    """Shares and a reason are being typed; the panes are still there."""
    ASKING = "asking"
    PLAN = "plan"
    ACTING = "acting"
    DONE = "done"


class ControlPage:
    """One change at a time; an older one that is still under way goes on and says how it ended."""

    def __init__(self, app: ModelwatchApp, controls: Controls) -> None:
        self._app, self._controls = app, controls
        self._phase = _Phase.NONE
        self._serial = 0
        self._deployment = ""
        self._purpose: Purpose | None = None
        self._percent: dict[str, Fraction] | None = None
        self._reason = ""
        self._question = ""
        self._text = ""
        self._asked = ""
        self._proposal: Proposal | None = None
        self._problem = ""
        self._slip = ""
        self._running = 0
        self._told: list[str] = []
        self._outcome: Outcome | None = None
        self._ticking: Timer | None = None

    # what keys begin

    def begin(
        self, purpose: Purpose, question: str, percent: dict[str, Fraction] | None = None
    ) -> None:
        """Ask why (and, without a percent that the purpose needs, for the shares)."""
        self._serial += 1  # what an older change has to say is no longer about this page
        self._deployment = self._controls.deployment
        self._purpose, self._percent = purpose, percent
        self._question, self._text = question, ""
        self._phase = _Phase.TYPING
        self._prompt()

    def again(self) -> None:
        """The last plan or outcome once more."""
        if self._phase in (_Phase.NONE, _Phase.TYPING):
            self._app.footer.say("nothing was planned yet")
        else:
            self._open()

    @property
    def running(self) -> bool:
        """Whether a change that was confirmed here is still under way."""
        return self._running > 0

    @property
    def typing(self) -> bool:
        """Whether keys are text."""
        shown = self._app.page == "control"
        return self._phase is _Phase.TYPING or (shown and self._confirming)

    @property
    def modal(self) -> bool:
        """Whether no key may do anything else: what is typed ahead must not be obeyed."""
        shown = self._app.page == "control"
        return self.typing or (shown and self._phase in (_Phase.ASKING, _Phase.PLAN))

    def takes(self, key: str) -> bool:
        """Whether a key is the page's own."""
        shown = self._app.page == "control"
        return self.modal or (shown and key == "r" and self._repeatable)

    @property
    def _repeatable(self) -> bool:
        """Whether it has ended with nothing changed, so that the same may be planned again."""
        nothing = self._outcome is None or not self._outcome.changed
        return self._phase is _Phase.DONE and nothing

    @property
    def _confirming(self) -> bool:
        p = self._proposal
        return (
            self._phase is _Phase.PLAN
            and p is not None
            and p.permitted
            and not self._read_only
            and not self._expired
        )

    @property
    def _read_only(self) -> str:
        state = self._controls.state(self._deployment)
        return "it is not known whether this may be changed" if state is None else state.refused

    @property
    def _expired(self) -> bool:
        p = self._proposal
        return p is not None and p.plan.expired(self._controls.clock())

    # keys

    def press(self, key: str, character: str | None) -> None:
        """A key while the page takes them all."""
        if key == "escape":
            self._leave()
        elif key in _SCROLL and self._phase is not _Phase.TYPING:
            self._app.document.move(_SCROLL[key])
        elif not self.typing:
            self._other(key)
        elif key == "enter":
            self._enter()
        else:
            self._text = edit(self._text, key, character)[:_LONGEST]
            self._prompt()

    def paste(self, words: str) -> None:
        """A reason may be pasted, a confirmation never."""
        if self._phase is _Phase.TYPING:
            self._text = (self._text + words)[:_LONGEST]
            self._prompt()
        elif self._confirming:
            self._text, self._slip = "", "the name is typed to confirm, not pasted"
            self._show()

    def _other(self, key: str) -> None:
        if key == "r" and (self._phase is _Phase.PLAN or self._repeatable):
            self._ask()
        else:
            self._app.footer.say(
                "the plane is being asked; esc leaves" if self._phase is _Phase.ASKING
                else "r makes the plan anew; esc leaves"
            )  # fmt: skip

    def _leave(self) -> None:
        """From the question or the page; a change that is under way goes on."""
        if self._phase in (_Phase.TYPING, _Phase.ASKING):
            self._phase = _Phase.NONE
            self._serial += 1
        self._text = ""
        self._app.footer.ask(None)
        self._stop_ticking()
        if self._app.page == "control":
            self._app.page = ""
            self._app.arrange()

    def _enter(self) -> None:
        text = self._text.strip()
        if self._phase is _Phase.TYPING:
            self._typed(text)
            return
        wanted = to_confirm(self._deployment)
        self._text = ""
        if text == wanted:
            self._act()
        else:
            self._prompt()
            self._slip = f"{clean(text, 60)} is not {wanted}: nothing was changed" if text else ""
            self._app.document.move_to_end(last=False)  # where it is said
            self._show()

    def _typed(self, text: str) -> None:
        from console.control.plan import Purpose  # noqa: PLC0415 - loaded with the hands

        self._reason = self._asked = text
        if self._purpose is Purpose.SET:
            control = self._controls.control(self._deployment)
            if control is None:
                self._leave()
                return
            try:
                self._percent, self._reason = read_move(text, control)
            except ValueError as error:
                self._app.footer.ask(None)  # what is typed is there again with the next key
                self._app.footer.say(clean(error, 200))
                return
        self._app.footer.ask(None)
        self._ask()

    # planning

    def _ask(self) -> None:
        """Have a plan made; the page is there at once."""
        hands = self._controls.hands
        if hands is None or self._purpose is None:
            return
        self._serial += 1
        serial = self._serial
        self._phase, self._proposal, self._outcome = _Phase.ASKING, None, None
        self._problem, self._slip, self._told, self._text = "", "", [], ""
        self._open()
        hands.propose(
            self._deployment,
            self._purpose,
            self._percent,
            self._reason,
            self._controls.evidence(self._deployment),
            lambda made: self._controls.post(lambda: self._planned(serial, made)),
        )

    def _planned(self, serial: int, made: Proposal | ControlError | ValueError) -> None:
        if serial != self._serial:
            return  # somebody has gone on
        self._phase, self._text = _Phase.PLAN, ""
        if isinstance(made, ValueError) and self._typing_shares:
            self._correct(made)
            return
        if isinstance(made, Exception):
            self._problem = clean(made, 500)
        else:
            self._proposal = made
            if self._ticking is None:
                self._ticking = self._app.set_interval(1.0, self._tick)
        self._show()

    @property
    def _typing_shares(self) -> bool:
        from console.control.plan import Purpose  # noqa: PLC0415

        return self._purpose is Purpose.SET

    def _correct(self, problem: ValueError) -> None:
        """Shares that cannot be: back to what was typed, which the next key shows again."""
        self._phase, self._text = _Phase.TYPING, self._asked
        self._app.page = ""
        self._app.arrange()
        self._app.footer.ask(None)
        self._app.footer.say(clean(problem, 200))

    def _tick(self) -> None:
        """The time that is left, and how old data is by now; what has expired is not confirmed."""
        if self._phase is _Phase.PLAN and self._app.page == "control":
            self._show()
        else:
            self._stop_ticking()

    def _stop_ticking(self) -> None:
        if self._ticking is not None:
            self._ticking.stop()
            self._ticking = None

    # acting

    @property
    def _current(self) -> Proposal | None:
        """The plan with what the store says by now; it may be read for minutes."""
        p = self._proposal
        newest = self._controls.evidence(self._deployment)
        if p is None or newest is None or (p.evidence is not None and newest.at < p.evidence.at):
            return p
        return replace(p, evidence=newest)

    def _act(self) -> None:
        hands, proposal = self._controls.hands, self._current
        if hands is None or proposal is None:
            return
        self._stop_ticking()
        self._serial += 1
        serial = self._serial
        self._phase, self._told = _Phase.ACTING, []
        self._running += 1
        self._app.footer.ask(None)
        self._show()
        hands.act(
            proposal,
            proposal.plan.deployment,
            lambda text: self._controls.post(lambda: self._progress(serial, text)),
            lambda ended: self._controls.post(lambda: self._ended(serial, ended)),
        )
        self._app.show_state()

    def _progress(self, serial: int, text: str) -> None:
        if serial != self._serial:
            return
        kind = text.partition(":")[0]
        if self._told and self._told[-1].partition(":")[0] == kind == "measured":
            self._told.pop()  # counts that go up are one line
        self._told = [*self._told, clean(text, 500)][-_TOLD:]
        self._show()

    def _ended(self, serial: int, ended: Outcome | ControlError) -> None:
        self._running -= 1
        shown = serial == self._serial and self._app.page == "control"
        if serial == self._serial or self._phase is _Phase.NONE:
            self._phase = _Phase.DONE
            if isinstance(ended, Exception):
                self._problem = clean(ended, 500)
            else:
                self._outcome = ended
            self._show()
        if shown:
            self._app.footer.say("")  # that it is under way
        else:
            key = self._app.keymap.key_of("last_plan")
            said = clean(ended, 160) if isinstance(ended, Exception) else ended.result.value
            self._app.footer.say(f"the change ended: {said} ({key or 'the palette'} shows it)")
        self._app.show_control()

    # drawing

    def _open(self) -> None:
        self._app.page = "control"
        self._app.document.open(self._title, self._lines)
        self._app.arrange()
        self._prompt()

    def _show(self) -> None:
        if self._app.page == "control":
            self._app.document.update(self._title, self._lines)
            self._prompt()

    def _prompt(self) -> None:
        if self._app.page == "control":
            self._app.footer.hint(self.hint)
        if self._phase is _Phase.TYPING:
            self._app.footer.ask(self._question + self._text)
        elif self._confirming and self._app.page == "control":
            wanted = clean(to_confirm(self._deployment), 60)
            wrong = "that is not it; " if self._slip and not self._text else ""
            self._app.footer.ask(f"{wrong}type {wanted} to confirm, esc leaves it: {self._text}")
        else:
            self._app.footer.ask(None)

    @property
    def hint(self) -> str:
        """The keys of the page, for the footer."""
        keys = "esc back  up down more of it"
        if self._phase is _Phase.PLAN or self._repeatable:
            return f"{keys}  r plan anew"
        return "esc back, the change goes on" if self._phase is _Phase.ACTING else keys

    @property
    def _title(self) -> str:
        of = clean(self._deployment, 60)
        if self._outcome is not None:
            return f"Traffic of {of}: {self._outcome.result.value}"
        words = {
            _Phase.ASKING: "making a plan",
            _Phase.PLAN: "no plan" if self._problem else "plan",
            _Phase.ACTING: "under way",
        }
        return f"Traffic of {of}: {words.get(self._phase, 'ended')}"

    def _lines(self, width: int, height: int) -> Sequence[Text]:
        from console.views.control_plan import outcome_view, proposal_view  # noqa: PLC0415

        ascii_only = self._app.options.ascii
        size = (width, height)
        out: list[Text] = []
        if self._problem:
            out += _sentence(f"there is no plan: {self._problem}" if self._phase is _Phase.PLAN
                             else self._problem, width, Tone.BAD)  # fmt: skip
            out += _sentence("r tries again; esc leaves", width, Tone.DIM)
        elif self._phase is _Phase.ASKING:
            dots = "..." if ascii_only else "…"
            out += _sentence(f"asking the plane {dots}", width, Tone.ACCENT)
        elif self._outcome is not None:
            out += explanation_lines(
                outcome_view(self._outcome), self._app.artist, size, ascii_only=ascii_only
            )
            now = self._what_now()
            out += [Text(""), *_sentence(now, width, Tone.DIM)] if now else []
        elif self._current is not None and self._phase is _Phase.PLAN:
            out += self._may_not(width)
            view = proposal_view(self._current, self._controls.clock())
            out += explanation_lines(view, self._app.artist, size, ascii_only=ascii_only)
        elif self._proposal is not None:
            after = clean(self._proposal.plan.after, 200)
            out += [line([(t, BOLD)]) for t in wrap(f"moving traffic to {after}", width, 3)]
            for text in self._told:
                out += _sentence(f"- {text}", width, Tone.PLAIN)
            out += _sentence("esc leaves this page; the change goes on", width, Tone.DIM)
        return out

    def _may_not(self, width: int) -> list[Text]:
        """Above the plan: what was typed wrong, or why it cannot be confirmed here and now."""
        if self._slip and self._confirming:
            return [*_sentence(self._slip, width, Tone.BAD), Text("")]
        why = self._read_only
        if why:
            text = f"only a plan: {clean(why, 300)}"
        elif self._expired:
            text = "r makes the plan anew; esc leaves"
        elif self._proposal is not None and not self._proposal.permitted:
            text = "r makes the plan anew, when what refuses it has changed; esc leaves"
        else:
            return []
        return [*_sentence(text, width, Tone.WARN), Text("")]

    def _what_now(self) -> str:
        ways = self._controls.ways()
        parts = []
        if self._outcome is not None and self._outcome.changed:
            parts = [ways.undo, ways.rollback]
            if self._outcome.result.value in ("partial", "unknown"):
                parts.insert(0, ways.complete)
        elif self._repeatable:
            parts = ["r plans the same anew, with the same reason"]
        return ", ".join(parts)


def _sentence(text: str, width: int, tone: Tone) -> list[Text]:
    style = DIM if tone is Tone.DIM else style_of(tone)
    return [line([(t, style)]) for t in wrap(text, width, 20)]
