"""What the screen has of the hands: starts them after the first paint, shows how traffic stands.

Planes are asked on threads of the hands; what they have to say comes here as functions to be run
on the screen's thread. Nothing of control is imported before the first paint.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from collectors.text import clean
from console.views.model import Tone, View

if TYPE_CHECKING:
    from console.control.errors import ControlError
    from console.control.evidence import Evidence
    from console.control.outcome import Outcome, Proposal
    from console.control.plan import Purpose
    from console.control.settings import Control
    from console.control.state import ControlState
    from console.tui.app import ModelwatchApp
    from console.views.control_words import Ways

__all__ = ["TRAFFIC_PANE", "Acting", "Controls"]

_log = logging.getLogger(__name__)

TRAFFIC_PANE = "traffic"

_WAIT_S, _WAIT_IDLE_S = 5.0, 0.5
"""How long leaving waits for a change to be written down, and for a plane that hangs."""


class Acting(Protocol):
    """What of `console.control.hands.Hands` the screen uses."""

    controls: dict[str, Control]

    def start(self, changed: Callable[[], object]) -> None:
        """Begin to look; changed is called, from any thread, when something is new."""

    def state(self, deployment: str) -> ControlState | None:
        """How a deployment's traffic stood at the last look."""

    def problem(self, deployment: str) -> str:
        """Why there is no state."""

    @property
    def acting(self) -> bool:
        """Whether a plan or a change is under way."""

    def propose(  # noqa: PLR0917
        self,
        deployment: str,
        purpose: Purpose,
        percent: Mapping[str, Fraction] | None,
        reason: str,
        evidence: Evidence | None,
        done: Callable[[Proposal | ControlError | ValueError], object],
    ) -> None:
        """Make a plan; done gets it, or why there is none, on another thread."""

    def act(
        self,
        proposal: Proposal,
        confirmed: str,
        told: Callable[[str], object],
        done: Callable[[Outcome | ControlError], object],
    ) -> None:
        """Carry out a proposal; told and done are called on another thread."""

    def close(self, wait_s: float = 5.0) -> None:
        """End looking, waiting so long for what is under way."""


class Controls:
    """The hands, where the configuration has any; without them nothing here does anything."""

    def __init__(self, app: ModelwatchApp, make: Callable[[], Acting] | None) -> None:
        self._app = app
        self._make = make
        self._waiting: deque[Callable[[], object]] = deque()
        self._evidence: dict[str, Evidence] = {}
        self._closed = False
        self.hands: Acting | None = None
        self.failure = ""
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def configured(self) -> bool:
        """Whether any deployment's traffic can be looked at."""
        return self._make is not None

    # threads

    def start(self) -> None:
        """Make the hands on a thread of their own: what they need takes long to import."""
        make = self._make
        if make is not None:
            name = "modelwatch-hands"
            threading.Thread(target=lambda: self._begin(make), name=name, daemon=True).start()

    def _begin(self, make: Callable[[], Acting]) -> None:
        try:
            from console.views import control_joined  # noqa: F401, PLC0415 - not on the screen's

            hands = make()
        except Exception as error:
            _log.exception("the hands could not be made")
            text = clean(error, 300) or type(error).__name__
            self.post(lambda: self._failed(text))
            return
        self.post(lambda: self._ready(hands))

    def _failed(self, text: str) -> None:
        self.failure = f"traffic cannot be looked at: {text}"
        self._app.show_state()

    def _ready(self, hands: Acting) -> None:
        if self._closed:
            return
        self.hands = hands
        hands.start(lambda: self.post(self._app.show_control))
        self._app.show_control()

    def post(self, work: Callable[[], object]) -> None:
        """Have something done on the screen's thread; from any thread."""
        self._waiting.append(work)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._app.post_message(self._app.ControlReady())

    def work(self) -> None:
        """Do what waits; on the screen's thread. What was posted often is done once."""
        done: list[Callable[[], object]] = []
        while self._waiting:
            work = self._waiting.popleft()
            if work not in done:
                done.append(work)
                work()

    def close(self) -> None:
        """End looking; a change that is under way is recorded as not proven."""
        self._closed = True
        if self.hands is not None:
            self.hands.close(_WAIT_S if self.hands.acting else _WAIT_IDLE_S)

    # what is known

    @property
    def deployment(self) -> str:
        """The deployment on the screen; "" before any."""
        status = self._app.status
        if status is not None:
            return status.deployment
        first = next(iter(self.hands.controls), "") if self.hands is not None else ""
        return self._app.request.deployment or first

    def control(self, deployment: str | None = None) -> Control | None:
        """Where a deployment's traffic is split (default: the one on the screen)."""
        of = self.deployment if deployment is None else deployment
        return self.hands.controls.get(of) if self.hands is not None else None

    def state(self, deployment: str | None = None) -> ControlState | None:
        """How its traffic stood at the last look."""
        of = self.deployment if deployment is None else deployment
        return self.hands.state(of) if self.hands is not None else None

    def learn(self, deployment: str, evidence: Evidence) -> None:
        """What the store says of a deployment's arms, as of a frame."""
        self._evidence[deployment] = evidence

    def evidence(self, deployment: str) -> Evidence | None:
        """What was learnt last."""
        return self._evidence.get(deployment)

    @property
    def writable(self) -> bool:
        """Whether the traffic on the screen may be changed from here."""
        state = self.state()
        return state is not None and state.writable

    @property
    def notice(self) -> tuple[str, Tone]:
        """For the state line: what is wrong with any deployment's traffic, or under way."""
        if self.failure:
            return "traffic not readable", Tone.BAD
        if self.hands is None:
            return "", Tone.PLAIN
        from console.views.control import alarm  # noqa: PLC0415 - not before the first paint

        now = self.clock()
        here = self.deployment
        standing = ""
        for of in sorted(self.hands.controls, key=lambda name: name != here):
            state = self.hands.state(of)
            where = "" if of == here else f" of {clean(of, 20)}"
            wrong = alarm(state, now) if state is not None else self.hands.problem(of)
            if wrong:
                text = wrong if state is not None else "traffic not readable"
                return f"{text}{where}", Tone.BAD
            if state is not None and state.on_fallback and not standing:
                standing = f"FALLBACK {clean(state.on_fallback, 20)}{where}"
        if self._app.control_page.running:
            return "a change is under way", Tone.ACCENT
        return standing, Tone.WARN

    # the pane

    def join(self, view: View | None) -> View | None:
        """The Traffic pane with how traffic stands; unchanged for a deployment without [[control]].

        view: None before the logs were asked. Of a time cursor it is what the plane has now, too.
        """
        if self.control() is None or self.hands is None:
            return view
        from console.views.control_joined import NOT_YET, joined, without_state  # noqa: PLC0415

        of = self.deployment
        state = self.state()
        if state is None:
            return None if view is None else without_state(view, self.hands.problem(of))
        return joined(view or NOT_YET, state, self.evidence(of), self.clock(), self.ways())

    def ways(self) -> Ways:
        """The keys that act, in words."""
        from console.views.control_words import COMMANDS, Ways  # noqa: PLC0415

        def key(action: str, words: str) -> str:
            found = self._app.keymap.key_of(action)
            return f"{found} {words}" if found else f"the palette {words}"

        return Ways(
            key("complete_change", "completes it"),
            key("undo_change", "undoes it"),
            key("roll_back", "rolls back"),
            key("fall_back", "falls back"),
            key("fall_back", "returns"),
            COMMANDS.settle,
        )
