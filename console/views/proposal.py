"""How a log is read, in sentences: each role with its column and the reason."""

from __future__ import annotations

from collectors.propose import Doubt, Proposal
from collectors.text import clean

__all__ = ["doubt_sentence", "sentences"]

_LONGEST = 60
_MOST_COLUMNS = 12


def sentences(proposal: Proposal) -> tuple[str, ...]:
    """One line per role, then what was left out, then what the log does not allow."""
    roles = [r for r in proposal.reasons if r.role]
    width = max((len(r.role) for r in roles), default=0)
    lines = [f"{r.role:<{width}}  {_columns(r.column)}  ({clean(r.why, 200)})" for r in roles]
    left = [r for r in proposal.reasons if not r.role]
    if left:
        shown = "; ".join(
            f"{clean(r.column, _LONGEST)}: {clean(r.why, 100)}" for r in left[:_MOST_COLUMNS]
        )
        more = f"; and {len(left) - _MOST_COLUMNS} more" if len(left) > _MOST_COLUMNS else ""
        lines.append(f"no role: {shown.replace('left out: ', '')}{more}")
    lines += [clean(note, 300) for note in proposal.notes]
    return tuple(lines)


def doubt_sentence(doubt: Doubt) -> str:
    """What cannot be told, and the flag that settles it."""
    if not doubt.flag:
        return clean(doubt.why, 300)
    choices = ", ".join(clean(c, _LONGEST) for c in doubt.candidates[:_MOST_COLUMNS])
    given = f"; give {doubt.flag}" + (f" (one of: {choices})" if choices else "")
    return f"{clean(doubt.why, 300)}{given}"


def _columns(text: str) -> str:
    names = text.split(", ")
    shown = ", ".join(clean(name, _LONGEST) for name in names[:_MOST_COLUMNS])
    more = f" and {len(names) - _MOST_COLUMNS} more" if len(names) > _MOST_COLUMNS else ""
    return shown + more
