"""What every control plane keeps while things break: nobody listens, answers are lost, late, cut,
endless or make no sense. One suite, run against the real server of each, as test_plane_contract.py.
"""

from __future__ import annotations

import pytest
from contract import (
    SOON,
    agrees,
    change,
    every,
    needs_proxies,
    needs_writes,
    other,
    shown,
    untouched,
)
from faulty_proxy import Fault
from hostile import HOSTILE, http
from rig import Rig

from console.control.errors import PlaneError
from console.control.plane import Answer, ControlPlane
from console.control.split import Split

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
