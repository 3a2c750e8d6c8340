"""What every control plane keeps, whatever it is: one suite, run against each plane's real server.

A rig (`rig_<kind>.py`) brings the server and an independent look at it.
"""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from contract import (
    agrees,
    change,
    needs_names,
    other,
    routed,
    shown,
    splits,
    untouched,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import Rig

from console.control.errors import PlaneError
from console.control.plane import Answer, ControlPlane, Observed
from console.control.planes.registry import PLANES
from console.control.split import Split

# --- reading and applying ----------------------------------------------------------------------


def test_it_says_what_it_can_do(rig: Rig, plane: ControlPlane) -> None:
    can = plane.capabilities
    assert can.total >= 1
    assert plane.arms == rig.arms
    shown(plane.name)
    shown(can.note)


def test_reading_agrees_with_the_server(rig: Rig, plane: ControlPlane) -> None:
    seen = plane.read()
    assert len(seen.replicas) == rig.replicas
    for replica, weights in zip(seen.replicas, rig.truth(), strict=True):
        assert agrees(replica.weights, weights)
        assert replica.change_id == ""
    assert agrees(seen.split, rig.initial)
    assert seen.problem == ""
    assert [one.arm for one in seen.health] in ([], list(rig.arms))
    routed(rig, Split.of(rig.initial))


def test_what_is_applied_is_read_and_served(rig: Rig, plane: ControlPlane) -> None:
    for place, after in enumerate(splits(rig, plane)):
        wanted = change(plane.read(), after, f"c-{place}")
        assert list(plane.dry_run(wanted)) == []
        receipt = plane.apply(wanted)
        assert receipt.answer is Answer.ACKED, receipt
        assert len(receipt.replicas) == rig.replicas
        seen = plane.read()
        assert seen.split is not None
        assert seen.split.same_shares(after)
        assert seen.problem == ""
        if plane.capabilities.carries_id:
            assert seen.change_id == f"c-{place}"
        assert all(agrees(after, weights) for weights in rig.truth())
        routed(rig, after)


def test_names_of_replicas_are_the_same_wherever_they_stand(rig: Rig, plane: ControlPlane) -> None:
    names = [one.name for one in plane.read().replicas]
    receipt = plane.apply(change(plane.read(), other(rig, plane)))
    assert [one.name for one in receipt.replicas] == names
    counts = plane.counts()
    if counts is not None:
        assert {row.replica for row in counts.rows} | set(counts.missing) <= set(names)
    for name in names:
        shown(name)


def test_applying_twice_is_harmless(rig: Rig, plane: ControlPlane) -> None:
    after = other(rig, plane)
    assert plane.apply(change(plane.read(), after)).answer is Answer.ACKED
    assert plane.apply(change(plane.read(), after)).answer is Answer.ACKED
    assert all(agrees(after, weights) for weights in rig.truth())


def test_a_dry_run_changes_nothing(rig: Rig, plane: ControlPlane) -> None:
    assert list(plane.dry_run(change(plane.read(), other(rig, plane)))) == []
    assert untouched(rig)


def wrong(rig: Rig, total: int) -> dict[str, Split]:
    """Changes that no plane may make."""
    pairs = tuple(rig.split(total).weights)
    return {
        "all zero": rig.split(0),
        "too much": rig.split(total + 1),
        "too little": rig.split(total, -1),
        "negative": rig.split(total + 1, -1),
        "2^32": rig.split(2**32),
        "2^64": rig.split(total, 2**64),
        "unknown arm": Split((*pairs, ("nobody", 0))),
        "missing arm": Split(pairs[:-1]),
        "no arm": Split(()),
        "an arm twice": Split((*pairs, (rig.arms[0], 0))),
        "a fraction": Split(((rig.arms[0], total - 0.5), (rig.arms[1], 0.5), *pairs[2:])),  # type: ignore[arg-type]
        "text": Split(((rig.arms[0], "all"), *pairs[1:])),  # type: ignore[arg-type]
        "not a number": Split(((rig.arms[0], float("nan")), *pairs[1:])),  # type: ignore[arg-type]
    }


def test_wrong_weights_are_found_and_never_written(rig: Rig, plane: ControlPlane) -> None:
    seen = plane.read()
    for what, after in wrong(rig, plane.capabilities.total).items():
        said = list(plane.dry_run(change(seen, after)))
        assert said, what
        for sentence in said:
            shown(sentence)
        receipt = plane.apply(change(seen, after))
        assert receipt.answer is Answer.REJECTED, what
        assert shown(receipt.detail)
        assert untouched(rig), what


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_dry_run_finds_exactly_what_is_wrong(
    rig: Rig, plane: ControlPlane, data: st.DataObject
) -> None:
    total = plane.capabilities.total
    weight = st.integers(-1, total + 1) | st.sampled_from([0, 1, total, 2**32, 2**63, 10**30])
    weights = data.draw(st.lists(weight, min_size=len(rig.arms), max_size=len(rig.arms)))
    right = min(weights) >= 0 and sum(weights) == total
    said = list(plane.dry_run(change(plane.read(), rig.split(*weights))))
    assert (said == []) == right, said


def test_an_arm_that_the_server_does_not_have(rig: Rig) -> None:
    needs_names(rig)
    with rig.plane((*rig.arms[:-1], "nobody")) as plane:
        try:
            seen: Observed | None = plane.read()
        except PlaneError as error:
            assert "nobody" in shown(str(error))
            seen = None
        else:
            assert seen is not None
            assert "nobody" in shown(seen.problem)
        total = plane.capabilities.total
        after = Split(tuple((arm, total if arm == rig.arms[0] else 0) for arm in plane.arms))
        try:
            said = " ".join(plane.dry_run(change(seen, after)))
        except PlaneError as error:
            said = str(error)
        assert "nobody" in shown(said)


def test_an_arm_of_the_server_that_nobody_configured(rig: Rig) -> None:
    needs_names(rig)
    if len(rig.arms) < 3:
        pytest.skip(f"{rig.kind} has no third arm to leave out")
    with rig.plane(rig.arms[:-1]) as plane:
        left = rig.arms[-1]
        try:
            seen: Observed | None = plane.read()
        except PlaneError as error:
            assert left in shown(str(error))
            seen = None
        else:
            assert seen is not None
            assert left in shown(seen.problem)
        total = plane.capabilities.total
        after = Split(tuple((arm, total if arm == rig.arms[0] else 0) for arm in plane.arms))
        try:
            said = " ".join(plane.dry_run(change(seen, after)))
        except PlaneError as error:
            said = str(error)
        assert left in shown(said)


# --- somebody else ------------------------------------------------------------------------------


def test_a_change_behind_our_back_is_refused_or_noticed(rig: Rig, plane: ControlPlane) -> None:
    seen = plane.read()
    total = plane.capabilities.total
    theirs = rig.split(*([0] * (len(rig.arms) - 1)), total)
    rig.change_behind(dict(theirs.weights))
    ours = change(seen, rig.split(total) if len(rig.arms) < 3 else rig.split(0, total))
    if plane.capabilities.compare_and_swap:
        receipt = plane.apply(ours)
        assert receipt.answer is Answer.CONFLICT, receipt
        shown(receipt.detail)
        assert all(agrees(theirs, weights) for weights in rig.truth())
    again = plane.read()
    assert again.split is not None
    assert again.split.same_shares(theirs)
    assert (again.split, again.revision) != (seen.split, seen.revision)


def test_a_change_of_one_replica_shows(rig: Rig, plane: ControlPlane) -> None:
    if rig.replicas < 2:
        pytest.skip(f"{rig.kind} is in one piece")
    rig.change_behind(dict(other(rig, plane).weights), replica=1)
    seen = plane.read()
    assert seen.split is None
    assert seen.differs
    for replica, weights in zip(seen.replicas, rig.truth(), strict=True):
        assert agrees(replica.weights, weights)


def test_two_planes_at_once_leave_one_whole_split(rig: Rig, plane: ControlPlane) -> None:
    """Without a lock of ours: whoever was last, or who was allowed, has it all."""
    total = plane.capabilities.total
    wanted = [rig.split(total), rig.split(0, total)]
    seen = plane.read()
    answers: list[Answer] = []

    def run(place: int) -> None:
        with rig.plane() as mine:
            answers.append(mine.apply(change(seen, wanted[place], f"c-{place}")).answer)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(answers) == 2
    assert Answer.ACKED in answers
    for weights in rig.truth():
        assert any(agrees(split, weights) for split in wanted)
    if plane.capabilities.compare_and_swap and rig.replicas == 1:
        # the second is refused (Caddy does so with a 500 too), unless it wants what is there
        assert Answer.UNKNOWN not in answers


# --- under load ---------------------------------------------------------------------------------


def changed_under_load(rig: Rig, changes: int) -> Counter[str]:
    """Answers of requests that were sent while the split was changed."""
    answers, over = Counter[str](), threading.Event()

    def load() -> None:
        while not over.is_set():
            answers.update(rig.serve(50))

    sender = threading.Thread(target=load)
    sender.start()
    try:
        with rig.plane() as plane:
            wanted = splits(rig, plane)
            for place in range(changes):
                after = wanted[place % len(wanted)]
                assert plane.apply(change(plane.read(), after, f"c-{place}")).answer is Answer.ACKED
    finally:
        over.set()
        sender.join()
    return answers


def test_no_request_fails_because_of_a_change(rig: Rig) -> None:
    if not rig.serves:
        pytest.skip(f"{rig.kind} serves no requests here")
    answers = changed_under_load(rig, 25)
    assert answers[""] == 0
    assert answers.total() > 0


@pytest.mark.slow
def test_no_request_fails_in_many_changes(rig: Rig) -> None:
    if not rig.serves:
        pytest.skip(f"{rig.kind} serves no requests here")
    answers = changed_under_load(rig, rig.many)
    assert answers[""] == 0
    assert answers.total() > rig.many


def test_counts_are_the_requests_that_were_sent(rig: Rig, plane: ControlPlane) -> None:
    if not rig.serves:
        pytest.skip(f"{rig.kind} serves no requests here")
    if not plane.capabilities.counts:
        assert plane.counts() is None
        return
    plane.apply(change(plane.read(), splits(rig, plane)[-1]))
    first = plane.counts()
    answers = rig.serve(200)
    last = plane.counts()
    assert first is not None
    assert last is not None
    was = {(row.replica, row.arm): row for row in first.rows}
    more = Counter[str]()
    for row in last.rows:
        old = was.get((row.replica, row.arm))
        assert old is None or old.epoch == row.epoch
        more[row.arm] += row.n - (old.n if old else 0)
        assert not row.n_error or (old and row.n_error == old.n_error)
    assert +more == +answers


# --- the suite itself ---------------------------------------------------------------------------


def test_every_plane_is_tried(request: pytest.FixtureRequest) -> None:
    tried = {path.stem.removeprefix("rig_") for path in request.path.parent.glob("rig_*.py")}
    assert tried == set(PLANES)
