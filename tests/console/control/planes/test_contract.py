"""What every control plane keeps, whatever it is: one suite, run against each plane's real server.

A rig (`rig_<kind>.py`) brings the server and an independent look at it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from faulty_proxy import Fault
from hostile import HOSTILE, http
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import Rig
from scipy.stats import binom

from console.control.errors import PlaneError
from console.control.plane import Answer, Change, ControlPlane, Observed
from console.control.planes.registry import PLANES
from console.control.split import Split

SOON = 0.4
"""Seconds: the timeout where a server does not answer."""

ONCE = 1e-9
"""The chance that shares by chance alone are called wrong."""


@pytest.fixture
def plane(rig: Rig) -> Iterator[ControlPlane]:
    with rig.plane() as made:
        yield made


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
        # the second is refused, unless it wants what is there already
        assert sorted(answers) in ([Answer.ACKED, Answer.ACKED], [Answer.ACKED, Answer.CONFLICT])


# --- what breaks --------------------------------------------------------------------------------


def test_nobody_listens(rig: Rig, plane: ControlPlane) -> None:
    needs_proxies(rig)
    seen = plane.read()
    every(rig, Fault.REFUSE)
    with pytest.raises(PlaneError) as caught:
        plane.read()
    shown(str(caught.value))
    receipt = plane.apply(change(seen, other(rig, plane)))
    assert {one.answer for one in receipt.replicas} == {Answer.REJECTED}, receipt
    with pytest.raises(PlaneError):
        list(plane.dry_run(change(seen, other(rig, plane))))
    every(rig, Fault.PASS)
    assert untouched(rig)
    assert agrees(plane.read().split, rig.initial)


def test_a_lost_reply_is_unknown_and_can_be_read_back(rig: Rig, plane: ControlPlane) -> None:
    needs_writes(rig)
    after = other(rig, plane)
    wanted = change(plane.read(), after, "c-lost")
    every(rig, Fault.DROP_REPLY, when=rig.is_write)
    receipt = plane.apply(wanted)
    assert {one.answer for one in receipt.replicas} == {Answer.UNKNOWN}, receipt
    shown(receipt.detail)
    seen = plane.read()
    assert seen.split is not None
    assert seen.split.same_shares(after)
    if plane.capabilities.carries_id:
        assert seen.change_id == "c-lost"
    for proxy in rig.proxies:
        writes = [request for request in proxy.seen if rig.is_write(request)]
        assert len(writes) == 1, "a change is sent once"


def test_no_answer_in_time_is_unknown(rig: Rig) -> None:
    needs_proxies(rig)
    with rig.plane() as plane:
        wanted = change(plane.read(), other(rig, plane))
    every(rig, Fault.HANG)
    with rig.plane(timeout=SOON) as hurried:
        receipt = hurried.apply(wanted)
        with pytest.raises(PlaneError) as caught:
            hurried.read()
    assert Answer.ACKED not in {one.answer for one in receipt.replicas}
    assert receipt.answer in (Answer.UNKNOWN, Answer.REJECTED)
    shown(receipt.detail)
    shown(str(caught.value))
    assert untouched(rig)


def test_a_change_that_arrives_after_its_undo(rig: Rig) -> None:
    """Held up on its way, taken as unknown, undone; then it comes. Reading tells what is."""
    needs_writes(rig)
    with rig.plane() as plane:
        before = plane.read()
        late = change(before, other(rig, plane), "c-late")
    every(rig, Fault.HOLD_REQUEST, when=rig.is_write)
    with rig.plane(timeout=SOON) as hurried:
        assert hurried.apply(late).answer is Answer.UNKNOWN
    with rig.plane() as plane:
        total = plane.capabilities.total
        undone = rig.split(*([0] * (len(rig.arms) - 1)), total)
        every(rig, Fault.PASS)
        assert plane.apply(change(plane.read(), undone, "c-undo")).answer is Answer.ACKED
        assert all(agrees(undone, weights) for weights in rig.truth())
        for proxy in rig.proxies:
            proxy.release()
            assert proxy.delivered.acquire(timeout=20)
        seen = plane.read()
        for replica, weights in zip(seen.replicas, rig.truth(), strict=True):
            assert agrees(replica.weights, weights)
        if plane.capabilities.compare_and_swap:
            assert all(agrees(undone, weights) for weights in rig.truth()), "it was stale"
        elif plane.capabilities.carries_id:
            assert seen.change_id in ("c-late", "c-undo")


def test_one_replica_is_away(rig: Rig, plane: ControlPlane) -> None:
    needs_proxies(rig)
    if rig.replicas < 2:
        pytest.skip(f"{rig.kind} is in one piece")
    after = other(rig, plane)
    before = plane.read()
    rig.proxies[1].set(Fault.REFUSE)
    seen = plane.read()
    assert seen.split is None
    assert len(seen.known) == rig.replicas - 1
    assert seen.replicas[1].weights is None
    assert shown(seen.replicas[1].problem)
    assert list(plane.dry_run(change(before, after))) == []
    receipt = plane.apply(change(before, after, "c-part"))
    assert [one.answer for one in receipt.replicas] == [
        Answer.REJECTED if place == 1 else Answer.ACKED for place in range(rig.replicas)
    ]
    for place, weights in enumerate(rig.truth()):
        assert agrees(Split.of(rig.initial) if place == 1 else after, weights)
    counts = plane.counts()
    if counts is not None:
        assert counts.missing == (before.replicas[1].name,)
    rig.proxies[1].set(Fault.PASS)
    seen = plane.read()
    assert seen.differs
    assert plane.apply(change(seen, after, "c-rest")).answer is Answer.ACKED
    assert agrees(plane.read().split, dict(after.weights))


def test_a_restart_between_reading_and_applying(rig: Rig, plane: ControlPlane) -> None:
    if not rig.can_restart:
        pytest.skip(f"{rig.kind} has no server to restart")
    after = other(rig, plane)
    assert plane.apply(change(plane.read(), after)).answer is Answer.ACKED
    first = plane.counts()
    for replica in range(rig.replicas):
        rig.restart(replica)
    seen = plane.read()
    kept = dict(after.weights) if plane.capabilities.persistent else rig.initial
    assert agrees(seen.split, kept)
    for replica, weights in zip(seen.replicas, rig.truth(), strict=True):
        assert agrees(replica.weights, weights)
    last = plane.counts()
    if first is not None and last is not None:
        epochs = {(row.replica, row.arm): row.epoch for row in first.rows}
        assert all(row.epoch != epochs.get((row.replica, row.arm)) for row in last.rows)
    assert plane.apply(change(seen, after, "c-2")).answer is Answer.ACKED
    assert agrees(plane.read().split, dict(after.weights))


@pytest.mark.parametrize("what", HOSTILE)
def test_answers_that_make_no_sense(rig: Rig, what: str) -> None:
    needs_proxies(rig)
    with rig.plane() as plane:
        wanted = change(plane.read(), other(rig, plane))
    every(rig, Fault.SAY, reply=HOSTILE[what])
    with rig.plane(timeout=3) as plane:
        with pytest.raises(PlaneError) as caught:
            plane.read()
        shown(str(caught.value))
        receipt = plane.apply(wanted)
        assert Answer.ACKED not in {one.answer for one in receipt.replicas}, receipt
        shown(receipt.detail)
        try:
            for sentence in plane.dry_run(wanted):
                shown(sentence)
        except PlaneError as error:
            shown(str(error))
        try:
            plane.counts()
        except PlaneError as error:
            shown(str(error))
    assert untouched(rig)


@pytest.mark.parametrize("keep", [0, 1, 20, 90, 180, 300, 600])
def test_an_answer_that_is_cut_off_is_never_taken_for_whole(rig: Rig, keep: int) -> None:
    needs_proxies(rig)
    with rig.plane() as plane:
        before = plane.read()
        every(rig, Fault.CUT, keep=keep)
        try:
            seen = plane.read()
        except PlaneError as error:
            shown(str(error))
        else:  # all its answers are shorter
            assert seen.split == before.split
            assert seen.problem == before.problem


@pytest.mark.parametrize("fault", [Fault.ENDLESS, Fault.DRIP])
def test_an_answer_without_end(rig: Rig, fault: Fault) -> None:
    needs_proxies(rig)
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n"
    with rig.plane() as plane:
        wanted = change(plane.read(), other(rig, plane))
    for reply in (endless, b""):
        every(rig, fault, reply=reply)
        with rig.plane(timeout=SOON) as plane:
            with pytest.raises(PlaneError) as caught:
                plane.read()
            shown(str(caught.value))
            receipt = plane.apply(wanted)
            assert Answer.ACKED not in {one.answer for one in receipt.replicas}, receipt
            shown(receipt.detail)
    every(rig, Fault.PASS)


def test_secrets_are_never_shown(rig: Rig) -> None:
    if not rig.secret:
        pytest.skip(f"{rig.kind} is given no secret")
    needs_proxies(rig)
    with rig.plane() as plane:
        said = [repr(plane), plane.name, repr(plane.read())]
        wanted = change(plane.read(), other(rig, plane))
        assert any(
            rig.secret.encode() in request for proxy in rig.proxies for request in proxy.seen
        )
        for status in ("401 Unauthorized", "403 Forbidden", "409 Conflict", "500 Error", "200 OK"):
            every(rig, Fault.SAY, reply=http(b"you sent " + rig.secret.encode(), status))
            with pytest.raises(PlaneError) as caught:
                plane.read()
            said += [str(caught.value), repr(caught.value), repr(plane.apply(wanted))]
    assert not [text for text in said if rig.secret in text]


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
def test_no_request_fails_in_a_thousand_changes(rig: Rig) -> None:
    if not rig.serves:
        pytest.skip(f"{rig.kind} serves no requests here")
    answers = changed_under_load(rig, 1000)
    assert answers[""] == 0
    assert answers.total() > 1000


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
