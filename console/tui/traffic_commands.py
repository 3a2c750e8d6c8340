"""What the keys of the group "control" do. Every one goes to the Traffic pane and makes a plan."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from console.tui.cells import cut
from console.tui.controls import TRAFFIC_PANE

if TYPE_CHECKING:  # what is needed of control is loaded with the hands, after the first paint
    from console.control.settings import Control
    from console.tui.app import ModelwatchApp

__all__ = ["TrafficCommands"]

_WHY = "; why? (enter: no reason) "


class TrafficCommands:
    """A part of `Commands`: one method per action, named like its id."""

    _app: ModelwatchApp

    def go_to(self, index: int) -> None:
        """Make a pane the one keys act on."""
        raise NotImplementedError

    def move_traffic(self) -> None:
        """Type the shares, and why."""
        if self._at_traffic():
            from console.control.plan import Purpose  # noqa: PLC0415 - loaded with the hands

            self._app.control_page.begin(Purpose.SET, "move traffic (like v2=25 because ...): ")

    def roll_back(self) -> None:
        """All traffic to the stable version."""
        control = self._at_traffic()
        if control is not None:
            from console.control.plan import Purpose  # noqa: PLC0415

            question = f"roll back to {cut(control.stable, 30)}{_WHY}"
            self._app.control_page.begin(Purpose.ROLLBACK, question)

    def fall_back(self) -> None:
        """To the first fallback that is not down; from a fallback back to what was before."""
        control = self._at_traffic()
        if control is None:
            return
        from console.control.plan import Purpose  # noqa: PLC0415
        from console.tui.control_text import fallback_arm, on_fallback  # noqa: PLC0415

        state = self._app.controls.state()
        if on_fallback(control, state):
            question = f"return from the fallback{_WHY}"
            self._app.control_page.begin(Purpose.RETURN, question)
            return
        arm = fallback_arm(control, state)
        if not arm:
            self._app.footer.say("no fallback is configured; add [control.fallback]")
            return
        question = f"fall back to {cut(arm, 30)}{_WHY}"
        self._app.control_page.begin(Purpose.FALLBACK, question, {arm: Fraction(100)})

    def undo_change(self) -> None:
        """What was before the last change."""
        if self._at_traffic():
            from console.control.plan import Purpose  # noqa: PLC0415

            self._app.control_page.begin(Purpose.UNDO, f"undo the last change{_WHY}")

    def complete_change(self) -> None:
        """The last change, where it has not arrived."""
        if self._at_traffic():
            from console.control.plan import Purpose  # noqa: PLC0415

            self._app.control_page.begin(Purpose.COMPLETE, f"complete the last change{_WHY}")

    def last_plan(self) -> None:
        """The last plan, or what became of it."""
        self._app.control_page.again()

    def _at_traffic(self) -> Control | None:
        """Go to the Traffic pane; None where traffic cannot be moved, which is said."""
        controls = self._app.controls
        place = next((i for i, p in enumerate(self._app.infos) if p.name == TRAFFIC_PANE), None)
        if place is None:
            self._app.footer.say("there is no traffic to move here")
            return None
        self.go_to(place)
        control = controls.control()
        if control is None:
            text = "no [[control]] says where the traffic of this deployment is split"
            if controls.configured and controls.hands is None:
                text = controls.failure or "the planes are not known yet; try again"
            self._app.footer.say(text)
        return control
