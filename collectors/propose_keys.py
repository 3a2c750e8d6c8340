"""Which columns say when, which prediction and which version; and what it took and cost."""

from __future__ import annotations

from collections.abc import Mapping

from collectors.formats.records import ID, TIMESTAMP, VERSION
from collectors.profile import ColumnProfile, LogProfile
from collectors.propose_roles import Reason, Roles, listed, within_one
from collectors.role_names import (
    Role,
    Strength,
    is_of_an_entity,
    is_other_time,
    plain_name,
    rank,
    strength_of,
)

_MOST_MODELS = 10

_FINE = ("0", "false", "ok", "none", "200", "success")
"""What an error column says of an answer that was given."""

__all__ = ["id_of", "note_sampling", "timestamp_of", "timezone_of", "usual", "version_of"]


def timestamp_of(roles: Roles) -> str:
    """The column of the time; "" where there is none."""
    found = roles.given.timestamp or roles.said(Role.TIMESTAMP, TIMESTAMP)
    if found:
        return found
    times = [
        c
        for c in roles.free
        if (c.is_time or (c.epoch and _says_time(c.name))) and not is_other_time(c.name)
    ]
    of = [c for c in times if strength_of(Role.RECEIVED, c.name) is Strength.NOT] or times
    best = max((strength_of(Role.TIMESTAMP, c.name) for c in of), default=Strength.NOT)
    usual = [c for c in of if strength_of(Role.TIMESTAMP, c.name) is best]
    if best is Strength.NAME:
        first = min(usual, key=lambda c: rank(Role.TIMESTAMP, c.name))
        # two usual names are two times; the more usual one is of the prediction
        return roles.take(Role.TIMESTAMP, first.name, f"its name, and {_times(first)}")
    if len(usual) == 1:
        return roles.take(Role.TIMESTAMP, usual[0].name, f"the only {_times(usual[0])}")
    if usual:
        names = [c.name for c in usual]
        return roles.doubt(Role.TIMESTAMP, names, f"{listed(names)} each hold times")
    roles.notes.append("there are no times: figures are of the whole log")
    return ""


def _says_time(name: str) -> bool:
    return strength_of(Role.TIMESTAMP, name) is not Strength.NOT


def _times(c: ColumnProfile) -> str:
    return "numbers since 1970" if c.epoch and not c.is_time else "times"


def timezone_of(roles: Roles, contract: Mapping[str, object]) -> str:
    """The zone of times that carry none; "" where all do."""
    if roles.given.timezone:
        return roles.given.timezone
    column = roles.sources.log.column(str(contract["timestamp"]))
    if column is None or not column.is_time or column.n_zoned >= column.n_times:
        return ""
    roles.reasons.append(
        Reason(Role.TIMEZONE.value, "UTC", f"{column.name} says no zone; --timezone says another")
    )
    return "UTC"


def id_of(roles: Roles) -> str:
    """The column that identifies a prediction; "" where there is none."""
    found = roles.given.id or roles.said(Role.ID, ID)
    if found:
        return found
    if roles.sources.labels is not None:
        return _joining_id(roles, roles.sources.labels)
    single = [
        c
        for c in roles.free
        if strength_of(Role.ID, c.name) is not Strength.NOT
        and not is_of_an_entity(c.name)
        and c.n_distinct >= 0.9 * c.n_values
        and c.n_null < 0.5 * c.n
    ]
    if single:
        first = min(single, key=lambda c: (-strength_of(Role.ID, c.name), rank(Role.ID, c.name)))
        return roles.take(Role.ID, first.name, "its name, and a value of its own in each row")
    roles.notes.append("there are no ids: a repeated row cannot be told from another one")
    return ""


def _joining_id(roles: Roles, labels: LogProfile) -> str:
    """The id of the predictions that labels have too, perhaps under another name."""
    ours = [c for c in roles.free if _single(c) and not (c.is_time or c.share)]
    theirs = [c for c in labels.columns if _single(c) and not (c.is_time or c.share)]
    found = []
    for our in ours:
        known = set(roles.sources.log.rows[our.name].drop_nulls())
        for their in theirs:
            both = len(known & set(labels.rows[their.name].drop_nulls()))
            says = bool(strength_of(Role.ID, our.name)) + bool(strength_of(Role.ID, their.name))
            if both or our.name == their.name:
                found.append((says + 2 * (our.name == their.name), both, our.name, their.name))
    found.sort(reverse=True)
    if found and (len(found) == 1 or found[0][:2] > found[1][:2]):
        _, both, our_name, their_name = found[0]
        roles.label_id = their_name
        return roles.take(Role.ID, our_name, f"joins {their_name} of the labels, {both:,} seen")
    return roles.doubt(
        Role.ID,
        [c.name for c in ours],
        "no column surely joins the labels to their predictions",
    )


def _single(c: ColumnProfile) -> bool:
    """Whether nearly every row has a value of its own."""
    return c.n_values > 0 and c.n_distinct >= 0.9 * c.n_values and c.n_null < 0.5 * c.n


def version_of(roles: Roles) -> str:
    """The column of the model's version; "" where there is none."""
    found = roles.given.version or roles.said(Role.VERSION, VERSION)
    if found:
        return found
    few = roles.best(Role.VERSION, _few_versions)
    if len(few) > 1:
        few = [min(few, key=lambda c: rank(Role.VERSION, c.name))]
    if not few:
        return ""
    n = few[0].n_distinct
    return roles.take(Role.VERSION, few[0].name, f"its name, and {n} different value(s)")


def _few_versions(c: ColumnProfile) -> bool:
    if plain_name(c.name) in ("model", "modell", "variant"):  # also of cars, phones and printers
        return c.n_distinct <= _MOST_MODELS
    return c.n_distinct <= max(50, c.n // 100)


def note_sampling(roles: Roles) -> None:
    """Say it when only some of the requests were logged: figures are of those."""
    for c in roles.free:
        if strength_of(Role.SAMPLING, c.name) and c.low is not None and within_one(c):
            roles.taken.add(c.name)
            if c.low < 1:
                high = f" to {c.high:g}" if c.high is not None and c.high > c.low else ""
                roles.notes.append(
                    f"{c.name} is {c.low:g}{high}: only such a share of the requests was logged; "
                    "counts are of logged rows, and no figure is weighted"
                )


def usual(roles: Roles, role: Role) -> str:
    """A column of a usual name; without one nothing is missing."""
    if role is Role.ERROR:
        found = []
        for c in roles.best(role, lambda c: True, least=Strength.NAME):
            why = _no_failures(c)
            if why:
                roles.leave_out(c.name, why)
            else:
                found.append(c)
    else:
        found = roles.best(role, lambda c: c.numeric, least=Strength.NAME)
    if not found:
        return ""
    first = min(found, key=lambda c: rank(role, c.name))
    return roles.take(role, first.name, "its name")


def _no_failures(c: ColumnProfile) -> str:
    """Why a column called error does not say which requests failed; "" when it may."""
    if c.numeric and not c.integer:
        return "called an error, but it measures something"
    fine = sum(n for value, n in c.top if value.strip().lower() in _FINE)
    failed = c.n_values - fine
    if failed > 0.5 * c.n:
        return f"called an error, but then {failed:,} of {c.n:,} answers would be failures"
    return ""
