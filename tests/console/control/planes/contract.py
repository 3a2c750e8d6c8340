"""What both halves of the contract suite use: changes, splits, and the look of a witness."""

from __future__ import annotations

import pytest
from faulty_proxy import Fault
from rig import Rig
from scipy.stats import binom

from console.control.plane import Change, ControlPlane, Observed
from console.control.split import Split

SOON = 0.4
"""Seconds: the timeout where a server does not answer."""

ONCE = 1e-9
"""The chance that shares by chance alone are called wrong."""


def change(seen: Observed | None, after: Split, name: str = "c-1") -> Change:
    """A change as the core makes it."""
    return Change(name, seen.split if seen else None, after, seen.revision if seen else "")


def splits(rig: Rig, plane: ControlPlane) -> list[Split]:
    """All for each arm, the smallest share, a quarter, and a bit for everyone."""
    total = plane.capabilities.total
    wanted = [rig.split(*([0] * place), total) for place in range(len(rig.arms))]
    wanted += [rig.split(total - 1, 1), rig.split(total - total // 4, total // 4)]
    if len(rig.arms) > 2 and total >= 3:
        wanted.append(rig.split(total - 2, 1, 1))
    return list(dict.fromkeys(wanted))


def other(rig: Rig, plane: ControlPlane) -> Split:
    """A split that is not the initial one."""
    return rig.split(0, plane.capabilities.total)


def agrees(split: Split | None, weights: object) -> bool:
    """Whether a split is what the witness says."""
    return split is not None and split.same_shares(Split.of(weights))  # type: ignore[arg-type]


def untouched(rig: Rig) -> bool:
    """Whether the server has what it had at first."""
    return all(agrees(Split.of(rig.initial), weights) for weights in rig.truth())


def routed(rig: Rig, split: Split) -> None:
    """Send requests: every arm gets its share, and none with weight 0 gets any."""
    if not rig.serves:
        return
    for replica in range(rig.replicas):
        n = 400
        answers = rig.serve(n, replica)
        assert set(answers) <= set(split.taking), f"{answers} for {split}"
        for arm in split.taking:
            got, share = answers[arm], split.share(arm)
            if rig.exact:
                assert abs(got - n * share) <= len(rig.arms), f"{answers} for {split}"
            else:
                sure = 2 * min(binom.cdf(got, n, share), binom.sf(got - 1, n, share))
                assert sure > ONCE, f"{answers} for {split}"


def needs_proxies(rig: Rig) -> None:
    if not rig.proxies:
        pytest.skip(f"{rig.kind} has no connection that could fail")


def needs_writes(rig: Rig) -> None:
    needs_proxies(rig)
    if not rig.write_marks:
        pytest.skip(f"changes of {rig.kind} do not go over a connection")


def needs_names(rig: Rig) -> None:
    if not rig.knows_names:
        pytest.skip(f"{rig.kind} has weights by place, and no names")


def every(rig: Rig, fault: Fault, **more: object) -> None:
    for proxy in rig.proxies:
        proxy.set(fault, **more)  # type: ignore[arg-type]


def shown(text: str) -> str:
    """A text that reaches a screen: one line, nothing that a terminal obeys."""
    assert text.isprintable(), repr(text)
    assert len(text) < 2000, len(text)
    return text
