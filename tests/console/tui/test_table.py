"""The table of a pane: what stays through refreshes and how it fits a width."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from console.tui.cells import cut, fit, width_of, wrap
from console.tui.columns import column_widths
from console.tui.safe import safe
from console.tui.table import RowTable
from console.views.model import Cell, Column, Row, Table, Tone

COLUMNS = (
    Column("name", flexible=True),
    Column("value", right=True),
    Column("note", priority=1),
    Column("extra", priority=2),
)


def row(key: str, value: float | None, note: str = "n") -> Row:
    shown = "–" if value is None else f"{value:.1f}"
    number = Cell(shown, sort=math.nan if value is None else value)
    return Row(key, (Cell(key), number, Cell(note), Cell("x")))


def table(*rows: Row) -> Table:
    return Table(COLUMNS, rows, "no rows at all")


def loaded(*rows: Row) -> RowTable:
    drawn = RowTable()
    drawn.load(table(*rows))
    drawn.lines(80, 10)
    return drawn


def plain(drawn: RowTable, width: int = 80, height: int = 10) -> list[str]:
    return [line.plain.rstrip() for line in drawn.lines(width, height)]


def test_the_cursor_stays_on_its_row_when_rows_move() -> None:
    drawn = loaded(row("a", 1), row("b", 2), row("c", 3))
    drawn.move(1)
    drawn.load(table(row("c", 3), row("x", 9), row("b", 2), row("a", 1)))
    assert drawn.cursor is not None and drawn.cursor.key == "b"
    assert plain(drawn)[3].startswith("> b")


def test_the_cursor_stays_near_when_its_row_goes() -> None:
    drawn = loaded(row("a", 1), row("b", 2), row("c", 3))
    drawn.move_to_end(last=True)
    drawn.load(table(row("a", 1), row("b", 2)))
    assert drawn.cursor is not None and drawn.cursor.key == "b"
    drawn.load(table())
    assert drawn.cursor is None
    assert "no rows at all" in plain(drawn)[1]


def test_sort_goes_through_columns_and_back_and_stays_through_refreshes() -> None:
    drawn = loaded(row("b", 2), row("a", 3), row("c", None))
    assert "name" in drawn.sort_next()
    assert [r.key for r in drawn.rows] == ["a", "b", "c"]
    assert "↑" in plain(drawn)[0]
    assert "value" in drawn.sort_next()
    assert [r.key for r in drawn.rows] == ["a", "b", "c"]  # numbers: largest first, none last
    drawn.sort_reverse()
    assert [r.key for r in drawn.rows] == ["b", "a", "c"]
    drawn.load(table(row("z", 1), row("b", 2), row("a", 3)))
    assert [r.key for r in drawn.rows] == ["z", "b", "a"]
    drawn.sort_next(), drawn.sort_next(), drawn.sort_next()
    assert [r.key for r in drawn.rows] == ["z", "b", "a"]
    assert "press s" in drawn.sort_reverse()


def test_filter_is_a_substring_of_any_cell_and_stays_through_refreshes() -> None:
    drawn = loaded(row("alpha", 1), row("beta", 2, "ALPine"), row("gamma", 3))
    drawn.set_filter("alp")
    assert [r.key for r in drawn.rows] == ["alpha", "beta"]
    drawn.load(table(row("gamma", 3), row("alps", 1)))
    assert [r.key for r in drawn.rows] == ["alps"]
    assert drawn.position == "/alp 1 of 2"
    drawn.set_filter("[/b]")
    assert "no row contains" in plain(drawn)[1]


def test_the_cursor_is_kept_visible() -> None:
    drawn = loaded(*(row(f"r{i:02}", i) for i in range(50)))
    drawn.lines(80, 11)
    drawn.move(30)
    assert any(line.startswith("> r30") for line in plain(drawn, 80, 11))
    drawn.move_page(-1)
    assert drawn.cursor is not None and drawn.cursor.key == "r21"


def test_columns_go_by_priority_and_the_flexible_one_is_cut() -> None:
    drawn = loaded(Row("k", (Cell("a-very-long-name-indeed" * 2), Cell("1.0"), Cell("note"),
                             Cell("more"))))  # fmt: skip
    assert "extra" in plain(drawn, 80)[0]
    assert "note" in plain(drawn, 40)[0] and "extra" not in plain(drawn, 40)[0]
    narrow = plain(drawn, 24)
    assert "note" not in narrow[0] and "value" in narrow[0] and "…" in narrow[1]


def test_a_state_has_a_glyph_besides_its_colour() -> None:
    drawn = RowTable(ascii_only=True)
    drawn.load(Table((Column("s"),), (Row("a", (Cell("bad", Tone.BAD),)),)))
    assert "X bad" in plain(drawn)[1]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4), st.booleans()), max_size=9),
    st.integers(-3, 120),
)
def test_widths_never_exceed_the_room(shapes: list[tuple[int, int, bool]], width: int) -> None:
    columns = tuple(Column(f"c{i}", priority=p, flexible=f) for i, (_, p, f) in enumerate(shapes))
    natural = [max(1, w) for w, _, _ in shapes]
    widths = [w for w in column_widths(columns, natural, width) if w]
    if widths:
        assert sum(widths) + 2 * (len(widths) - 1) <= max(1, width)


@given(st.text(max_size=60), st.integers(0, 30))
def test_cut_and_fit_keep_to_cells(words: str, width: int) -> None:
    assert width_of(cut(words, width)) <= width
    assert width_of(fit(words, width)) == width
    assert all(width_of(line) <= width for line in wrap(words, width, 3))


@given(st.text())
def test_safe_text_is_printable_and_stays(words: str) -> None:
    once = safe(words)
    assert once.isprintable() or not once
    assert safe(once) == once
    assert safe(words, ascii_only=True).isascii()
