"""Plots on demand: plotext is imported when the first plot is drawn, and drawings are kept."""

from __future__ import annotations

import logging
from collections import OrderedDict

from rich.text import Text

from console.tui.cells import line
from console.tui.paint import DIM
from console.views.model import Plot

__all__ = ["PlotArtist"]

_log = logging.getLogger(__name__)
_KEPT = 64


class PlotArtist:
    """Draws plots through the one adapter; an equal plot in the same size is drawn once."""

    def __init__(self, charset: str) -> None:
        self._charset = charset
        self._drawn: OrderedDict[tuple[int, int, int], tuple[Plot, tuple[Text, ...]]]
        self._drawn = OrderedDict()

    def draw(self, plot: Plot, width: int, height: int) -> tuple[Text, ...]:
        """The lines of a plot; one that cannot be drawn says so instead of ending the app."""
        where = (id(plot), width, height)
        kept = self._drawn.get(where)
        if kept is not None and kept[0] is plot:
            self._drawn.move_to_end(where)
            return kept[1]
        # one scan for an equal plot: a refresh makes new objects with the same values
        for (_, wide, high), (other, lines) in self._drawn.items():
            if (wide, high) == (width, height) and other == plot:
                return self._keep(where, plot, lines)
        return self._keep(where, plot, self._draw(plot, width, height))

    def _keep(
        self, where: tuple[int, int, int], plot: Plot, lines: tuple[Text, ...]
    ) -> tuple[Text, ...]:
        self._drawn[where] = (plot, lines)
        while len(self._drawn) > _KEPT:
            self._drawn.popitem(last=False)
        return lines

    def _draw(self, plot: Plot, width: int, height: int) -> tuple[Text, ...]:
        try:
            from console.tui.plot import Charset, draw  # noqa: PLC0415  # plotext costs 100 ms

            return draw(plot, width, height, charset=Charset(self._charset))
        except Exception:
            _log.exception("a plot could not be drawn")
            return (line([("this plot could not be drawn", DIM)]),)
