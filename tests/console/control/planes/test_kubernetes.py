"""What objects on a Kubernetes API server do beyond what every plane does; the server is a fake."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_httproute
import rig_kserve
import rig_virtualservice
from fake_kubernetes import FakeKubernetes
from hypothesis import given, settings
from hypothesis import strategies as st
from patches import json_patched

from console.control.errors import PlaneError
from console.control.plane import Answer, Change, Health, Observed
from console.control.plane_settings import HttpRoutePlane, KservePlane, VirtualServicePlane
from console.control.planes.httproute import HttpRoute
from console.control.planes.kserve import Kserve
from console.control.planes.kubernetes_object import CHANGE, ObjectPlane
from console.control.planes.virtualservice import VirtualService
from console.control.split import Split

ARMS = ("v1", "v2")


@pytest.fixture
def server() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as made:
        yield made


def route(server: FakeKubernetes, arms: tuple[str, ...] = ARMS, rule: int = 1) -> HttpRoute:
    given = HttpRoutePlane(
        kind="httproute",
        url=f"http://127.0.0.1:{server.port}",
        namespace="ml",
        name="fraud",
        rule=rule,
    )
    return HttpRoute(given, arms, Path())


def virtual(server: FakeKubernetes, arms: tuple[str, ...], route: str = "split") -> VirtualService:
    given = VirtualServicePlane(
        kind="virtualservice",
        url=f"http://127.0.0.1:{server.port}",
        namespace="ml",
        name="fraud",
        route=route,
    )
    return VirtualService(given, arms, Path())


def inference(server: FakeKubernetes, arms: tuple[str, ...] = ("previous", "latest")) -> Kserve:
    given = KservePlane(
        kind="kserve", url=f"http://127.0.0.1:{server.port}", namespace="ml", name="fraud"
    )
    return Kserve(given, arms, Path())


def split(*weights: int, arms: tuple[str, ...] = ARMS) -> Split:
    return Split(tuple(zip(arms, weights, strict=True)))


def change(seen: Observed, after: Split, name: str = "c-1") -> Change:
    return Change(name, seen.split, after, seen.revision)


def writes(server: FakeKubernetes) -> int:
    return sum(s.method == "PATCH" and "dryRun" not in s.query for s in server.seen)


def said(plane: ObjectPlane, wanted: Change) -> str:
    return "; ".join(plane.dry_run(wanted))


# --- what is sent -------------------------------------------------------------------------------


def test_only_the_weights_and_the_id_change(server: FakeKubernetes) -> None:
    wanted = rig_httproute.route({"v1": 90, "v2": 10}, annotations={"team/x~y": "risk"})
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": []}}
    wanted["spec"]["rules"][1]["backendRefs"][1]["filters"] = [header]
    server.put(wanted)
    before = server.one()
    with route(server) as plane:
        receipt = plane.apply(change(plane.read(), split(70, 30), "c-7"))
    assert receipt.answer is Answer.ACKED, receipt
    after = server.one()
    expected = copy.deepcopy(before["spec"])
    expected["rules"][1]["backendRefs"][0]["weight"] = 70
    expected["rules"][1]["backendRefs"][1]["weight"] = 30
    assert after["spec"] == expected
    assert after["metadata"]["annotations"] == {"team/x~y": "risk", CHANGE: "c-7"}
    assert after["metadata"]["generation"] == 2
    assert {e["manager"] for e in after["metadata"]["managedFields"]} == {"modelwatch"}


def test_a_dry_run_asks_the_server_and_changes_nothing(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    before = server.one()
    with route(server) as plane:
        assert said(plane, change(plane.read(), split(70, 30))) == ""
    (tried,) = (s for s in server.seen if s.method == "PATCH")
    assert tried.query == {
        "dryRun": "All",
        "fieldManager": "modelwatch",
        "fieldValidation": "Strict",
    }
    assert server.one() == before


def test_a_patch_rests_on_the_object_that_was_read(server: FakeKubernetes) -> None:
    """Sent as it is to any later object, the server refuses it or its tests do."""
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    with route(server) as plane:
        plane.apply(change(plane.read(), split(70, 30)))
    (sent,) = (s for s in server.seen if s.method == "PATCH")
    steps = json.loads(sent.body)
    assert steps[0]["op"] == "replace"
    assert steps[0]["path"] == "/metadata/resourceVersion"
    server.edit("httproutes", "ml", "fraud", {"metadata": {"labels": {"x": "y"}}})
    code, body = server.answer(sent)
    assert (code, body["reason"]) == (409, "Conflict")
    reversed_backends(server)
    steps[0]["value"] = server.one()["metadata"]["resourceVersion"]
    sent.body = json.dumps(steps).encode()
    code, body = server.answer(sent)
    assert (code, body["reason"]) == (422, "Invalid")


def reversed_backends(server: FakeKubernetes) -> None:
    rules = server.one()["spec"]["rules"]
    rules[1]["backendRefs"].reverse()
    server.edit("httproutes", "ml", "fraud", {"spec": {"rules": rules}})


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_is_written_beside_the_specification_right_before_a_patch(
    server: FakeKubernetes, times: int
) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    server.meanwhile = [lambda n=n: label(server, n) for n in range(times)]  # type: ignore[misc]
    with route(server) as plane:
        receipt = plane.apply(change(plane.read(), split(70, 30)))
        assert receipt.answer is (Answer.ACKED if times < 3 else Answer.CONFLICT)
        assert plane.read().split == (split(70, 30) if times < 3 else split(90, 10))


def label(server: FakeKubernetes, n: int) -> None:
    server.edit("httproutes", "ml", "fraud", {"metadata": {"labels": {"n": str(n)}}})


def test_backends_that_change_places_right_before_a_patch(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    server.meanwhile = [lambda: reversed_backends(server)]
    with route(server) as plane:
        assert plane.apply(change(plane.read(), split(70, 30))).answer is Answer.CONFLICT
        assert plane.read().split == split(90, 10)
    assert writes(server) == 1


def test_a_written_status_is_no_conflict(server: FakeKubernetes) -> None:
    """It raises the resourceVersion, and the split is still what was planned on."""
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    with route(server) as plane:
        seen = plane.read()
        labels = {"metadata": {"labels": {"checked": "yes"}}}
        server.edit("httproutes", "ml", "fraud", labels)
        assert server.one()["metadata"]["resourceVersion"] != "1001"
        assert plane.apply(change(seen, split(70, 30))).answer is Answer.ACKED


def test_backends_that_changed_places_are_a_conflict(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    with route(server) as plane:
        seen = plane.read()
        reversed_backends(server)
        assert plane.apply(change(seen, split(70, 30))).answer is Answer.CONFLICT
        assert plane.read().split == seen.split


def test_one_that_was_deleted_and_made_again_is_a_conflict(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    with route(server) as plane:
        seen = plane.read()
        server.put(rig_httproute.route({"v1": 90, "v2": 10}))
        assert plane.apply(change(seen, split(70, 30))).answer is Answer.CONFLICT
        assert writes(server) == 0


def test_a_change_that_is_there_already_is_not_sent_again(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    with route(server) as plane:
        wanted = change(plane.read(), split(70, 30))
        assert plane.apply(wanted).answer is Answer.ACKED
        assert plane.apply(wanted).answer is Answer.ACKED
    assert writes(server) == 1


def test_a_plan_on_nothing_is_refused(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    with route(server) as plane:
        receipt = plane.apply(Change("c-1", None, split(70, 30), ""))
    assert receipt.answer is Answer.REJECTED
    assert writes(server) == 0


@pytest.mark.parametrize("strict", [True, False])
def test_a_server_that_does_not_know_weights(server: FakeKubernetes, strict: bool) -> None:
    """It would leave them out, and each backend would get as much."""
    server.strict = strict
    server.put(rig_httproute.route({"v1": 1, "v2": 1}))
    server.prunes = "weight"
    with route(server) as plane:
        wanted = change(plane.read(), split(100, 0))
        assert "the server made it v1 1, v2 1" in said(plane, wanted)
        receipt = plane.apply(wanted)
    assert receipt.answer is Answer.UNKNOWN
    assert "v1 100, v2 0 was sent" in receipt.detail


# --- whose it is --------------------------------------------------------------------------------

_ROLLOUTS = {
    "manager": "rollouts-controller",
    "operation": "Update",
    "fieldsV1": {"f:spec": {"f:rules": {}}},
}


@pytest.mark.parametrize(
    ("metadata", "who"),
    [
        ({"ownerReferences": [{"kind": "Canary", "name": "shop", "controller": True}]}, "Canary"),
        ({"ownerReferences": [{"kind": "InferenceService", "name": "x", "controller": True}]}, "x"),
        ({"labels": {"rollouts.argoproj.io/gatewayapi-canary": "in-progress"}}, "Argo Rollouts"),
        ({"labels": {"app.kubernetes.io/managed-by": "flagger"}}, "Flagger"),
        ({"labels": {"serving.kserve.io/inferenceservice": "x"}}, "KServe"),
        ({"annotations": {"flagger.app/x": "\x1b[2J"}}, "Flagger"),
        ({"managedFields": [_ROLLOUTS]}, "rollouts-controller"),
    ],
)
def test_what_a_controller_writes_is_left_alone(
    server: FakeKubernetes, metadata: dict[str, Any], who: str
) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}, **metadata))
    with route(server) as plane:
        seen = plane.read()
        assert who in seen.problem
        assert seen.problem.isprintable()
        assert who in said(plane, change(seen, split(70, 30)))
        receipt = plane.apply(change(seen, split(70, 30)))
    assert receipt.answer is Answer.REJECTED
    assert who in receipt.detail
    assert not [s for s in server.seen if s.method == "PATCH"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"ownerReferences": [{"kind": "Tenant", "name": "ml", "controller": False}]},
        {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
        {"managedFields": [_ROLLOUTS | {"subresource": "status"}]},
        {"managedFields": [_ROLLOUTS | {"fieldsV1": {"f:metadata": {}}}]},
    ],
)
def test_what_others_only_keep_or_mark_can_be_changed(
    server: FakeKubernetes, metadata: dict[str, Any]
) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}, **metadata))
    with route(server) as plane:
        seen = plane.read()
        assert seen.problem == ""
        assert plane.apply(change(seen, split(70, 30))).answer is Answer.ACKED


def test_a_repository_that_may_write_it_back_is_named(server: FakeKubernetes) -> None:
    marks = {"argocd.argoproj.io/tracking-id": "fraud"}
    server.put(rig_httproute.route({"v1": 90, "v2": 10}, annotations=marks))
    with route(server) as plane:
        assert plane.capabilities.note == ""
        assert plane.read().problem == ""
        assert "Argo CD keeps it" in plane.capabilities.note


def test_one_that_is_being_deleted_is_left_alone(server: FakeKubernetes) -> None:
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    server.put(rig_httproute.route({"v1": 90, "v2": 10}, **gone))
    with route(server) as plane:
        assert "being deleted" in said(plane, change(plane.read(), split(70, 30)))


# --- what is read -------------------------------------------------------------------------------


def test_a_status_that_lags_is_said(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    server.lag = True
    with route(server) as plane:
        assert plane.read().problem == ""
        assert plane.apply(change(plane.read(), split(70, 30))).answer is Answer.ACKED
        seen = plane.read()
        assert seen.split == split(70, 30)
        assert seen.problem == "not yet taken up by the gateway public"
        server.settle()
        assert plane.read().problem == ""


@pytest.mark.parametrize("kind", ["Accepted", "ResolvedRefs"])
def test_a_gateway_that_does_not_take_it_is_said(server: FakeKubernetes, kind: str) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    (found,) = server.objects.values()
    for condition in found["status"]["parents"][0]["conditions"]:
        if condition["type"] == kind:
            condition |= {"status": "False", "reason": "No\x1b[2J", "message": "v2 not found"}
    with route(server) as plane:
        problem = plane.read().problem
    assert f"the gateway public says {kind} False (No" in problem
    assert "v2 not found" in problem
    assert problem.isprintable()


def test_a_route_that_no_gateway_has_is_said(server: FakeKubernetes) -> None:
    wanted = rig_httproute.route({"v1": 90, "v2": 10})
    wanted["spec"]["parentRefs"] = []
    server.put(wanted)
    with route(server) as plane:
        assert plane.read().problem == "no gateway has taken up the route"


def test_health_is_that_of_the_endpoints(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    twice = rig_httproute.slices("v1")  # each pod once more, by its other address
    server.extra["ml/endpointslices"] = [
        *rig_httproute.slices("v1"),
        *twice,
        *rig_httproute.slices("v2", ready=False),
    ]
    with route(server) as plane:
        seen = plane.read()
    told = {h.arm: (h.health, h.detail) for h in seen.health}
    assert told["v1"] == (Health.UP, "2 of 2 endpoints ready")
    assert told["v2"] == (Health.DOWN, "0 of 2 endpoints ready")


def test_endpoints_that_may_not_be_listed_are_unknown(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    server.forbidden = {("list", "endpointslices")}
    with route(server) as plane:
        seen = plane.read()
    assert seen.split == split(90, 10)
    assert {h.health for h in seen.health} == {Health.UNKNOWN}
    assert "docs/planes.md has the role" in seen.health[0].detail


def test_a_weight_that_is_left_out_is_one(server: FakeKubernetes) -> None:
    wanted = rig_httproute.route({"v1": 3, "v2": 1})
    server.put(wanted)
    (found,) = server.objects.values()
    del found["spec"]["rules"][1]["backendRefs"][1]["weight"]
    with route(server) as plane:
        assert plane.read().split == split(3, 1)
        assert plane.apply(change(plane.read(), split(99, 1))).answer is Answer.ACKED
        assert plane.read().split == split(99, 1)


def test_backends_of_one_name_are_told_apart_by_their_port(server: FakeKubernetes) -> None:
    wanted = rig_httproute.route({"v1": 3, "v2": 1})
    backends = wanted["spec"]["rules"][1]["backendRefs"]
    backends[1] = {"name": "v1", "port": 9090, "weight": 1}
    server.put(wanted)
    with route(server, ("v1", "v1:9090")) as plane, pytest.raises(PlaneError) as caught:
        plane.read()
    assert "2 times; call it v1:8080" in str(caught.value)
    arms = ("v1:8080", "v1:9090")
    with route(server, arms) as plane:
        assert plane.read().split == split(3, 1, arms=arms)


@pytest.mark.parametrize(
    ("rule", "arms", "text"),
    [
        (5, ARMS, "rule 5 of ml/fraud has no backends; it has 2 rules, from 0"),
        (1, ("v1", "v3"), "rule 1 of ml/fraud has no v3; it has v1, v2"),
        (1, ("v1",), "rule 1 of ml/fraud also sends to v2, which is none of the arms"),
        (1, ("v1", "v1:8080", "v2"), "two arms are the same place of rule 1 of ml/fraud"),
    ],
)
def test_arms_must_be_the_backends(
    server: FakeKubernetes, rule: int, arms: tuple[str, ...], text: str
) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    with route(server, arms, rule) as plane, pytest.raises(PlaneError) as caught:
        plane.read()
    assert str(caught.value) == text


@pytest.mark.parametrize("weight", [-1, 1.5, "7", True, None, {}])
def test_a_weight_that_is_none(server: FakeKubernetes, weight: object) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    (found,) = server.objects.values()
    found["spec"]["rules"][1]["backendRefs"][1]["weight"] = weight
    with route(server) as plane, pytest.raises(PlaneError, match="no whole number"):
        plane.read()


# --- what the server says -----------------------------------------------------------------------


def test_an_older_interface_is_used_where_there_is_no_newer(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    server.missing = {("gateway.networking.k8s.io", "v1")}
    with route(server) as plane:
        assert plane.apply(change(plane.read(), split(70, 30))).answer is Answer.ACKED
    patched = next(s for s in server.seen if s.method == "PATCH")
    assert "/v1beta1/" in patched.path


def test_what_is_not_there_is_said(server: FakeKubernetes) -> None:
    with route(server) as plane, pytest.raises(PlaneError) as caught:
        plane.read()
    assert "has no HTTPRoute ml/fraud; check `namespace` and `name`" in str(caught.value)
    group = "gateway.networking.k8s.io"
    server.missing = {(group, "v1"), (group, "v1beta1")}
    with route(server) as plane, pytest.raises(PlaneError) as caught:
        plane.read()
    assert "knows no httproutes.gateway.networking.k8s.io; is Gateway API" in str(caught.value)


def test_one_who_may_only_look_is_told_so(server: FakeKubernetes) -> None:
    server.put(rig_httproute.route({"v1": 90, "v2": 10}))
    server.forbidden = {("patch", "httproutes")}
    with route(server) as plane:
        wanted = change(plane.read(), split(70, 30))
        told = said(plane, wanted)
        assert 'cannot patch resource "httproutes"' in told
        assert "docs/planes.md has the role that is needed" in told
        assert plane.apply(wanted).answer is Answer.REJECTED
    server.forbidden = {("get", "httproutes")}
    with route(server) as plane, pytest.raises(PlaneError, match="is forbidden"):
        plane.read()


@settings(deadline=None)
@given(
    weights=st.lists(st.integers(0, 1_000_000), min_size=2, max_size=6).filter(any),
    after=st.lists(st.integers(0, 1_000_000), min_size=6, max_size=6).filter(any),
)
def test_any_patch_sets_exactly_its_weights(weights: list[int], after: list[int]) -> None:
    """By RFC 6902, without a server."""
    arms = tuple(f"v{n}" for n in range(len(weights)))
    found = rig_httproute.route(dict(zip(arms, weights, strict=True)))
    found["metadata"]["resourceVersion"] = "7"
    with route(_Nowhere(), arms) as plane:  # type: ignore[arg-type]
        wanted = split(*after[: len(arms)], arms=arms)
        patch = plane.patch(found, Change("c-1", None, wanted, "x"))
        made = json_patched(found, json.loads(patch.body))
        assert plane.weights(made) == wanted
    for backend in made["spec"]["rules"][1]["backendRefs"]:
        del backend["weight"]
    for backend in found["spec"]["rules"][1]["backendRefs"]:
        del backend["weight"]
    assert made["spec"] == found["spec"]


class _Nowhere:
    port = 1


# --- Istio --------------------------------------------------------------------------------------

_ISTIO = ("v1", "v2", "rules")


def test_a_virtual_service_keeps_what_else_it_has(server: FakeKubernetes) -> None:
    server.put(rig_virtualservice.service({"v1": 100, "v2": 0, "rules": 0}))
    before = server.one()["spec"]
    with virtual(server, _ISTIO) as plane:
        wanted = split(0, 70, 30, arms=_ISTIO)
        assert plane.apply(change(plane.read(), wanted, "c-3")).answer is Answer.ACKED
        assert plane.read().change_id == "c-3"
    for place, weight in enumerate((0, 70, 30)):
        before["http"][1]["route"][place]["weight"] = weight
    assert server.one()["spec"] == before


def test_a_patch_of_a_virtual_service_tests_where_it_sends(server: FakeKubernetes) -> None:
    server.put(rig_virtualservice.service({"v1": 100, "v2": 0, "rules": 0}))
    with virtual(server, _ISTIO) as plane:
        plane.apply(change(plane.read(), split(0, 70, 30, arms=_ISTIO)))
    (sent,) = (s for s in server.seen if s.method == "PATCH")
    steps = json.loads(sent.body)
    http = server.one()["spec"]["http"]
    http[1]["route"].reverse()
    server.edit("virtualservices", "ml", "fraud", {"spec": {"http": http}})
    steps[0]["value"] = server.one()["metadata"]["resourceVersion"]
    sent.body = json.dumps(steps).encode()
    code, body = server.answer(sent)
    assert (code, body["reason"]) == (422, "Invalid")


def test_arms_of_a_virtual_service_may_be_written_out(server: FakeKubernetes) -> None:
    server.put(rig_virtualservice.service({"v1": 100, "v2": 0, "rules": 0}))
    arms = ("fraud.ml.svc.cluster.local/v1", "fraud/v2", "rules:8080")
    with virtual(server, arms, route="1") as plane:
        assert plane.read().split == split(100, 0, 0, arms=arms)


@pytest.mark.parametrize("name", ["2", "other", "0x1", "99999999"])
def test_a_route_that_is_not_there(server: FakeKubernetes, name: str) -> None:
    server.put(rig_virtualservice.service({"v1": 100, "v2": 0, "rules": 0}))
    with virtual(server, _ISTIO, route=name) as plane, pytest.raises(PlaneError) as caught:
        plane.read()
    assert "has no destinations; there is 0, split" in str(caught.value)


def test_what_istio_says_of_it_is_said(server: FakeKubernetes) -> None:
    server.put(rig_virtualservice.service({"v1": 100, "v2": 0, "rules": 0}))
    (found,) = server.objects.values()
    found["status"] = {
        "observedGeneration": "0",
        "conditions": [{"type": "Reconciled", "status": "False", "message": "12 of 14 proxies"}],
        "validationMessages": [
            {"level": "ERROR", "type": {"code": "IST0101", "name": "ReferencedResourceNotFound"}},
            {"level": "INFO", "type": {"code": "IST0118"}},
        ],
    }
    with virtual(server, _ISTIO) as plane:
        assert plane.read().problem == (
            "not yet taken up by Istio; Istio finds an error in it (ReferencedResourceNotFound); "
            "not all proxies have it (12 of 14 proxies)"
        )


def test_a_subset_has_no_health_of_its_own(server: FakeKubernetes) -> None:
    server.put(rig_virtualservice.service({"v1": 100, "v2": 0, "rules": 0}))
    server.extra["ml/endpointslices"] = rig_httproute.slices("rules", "fraud")
    with virtual(server, _ISTIO) as plane:
        told = {h.arm: h.health for h in plane.read().health}
    assert told == {"v1": Health.UNKNOWN, "v2": Health.UNKNOWN, "rules": Health.UP}


# --- KServe -------------------------------------------------------------------------------------

_KSERVE = ("previous", "latest")


def second(server: FakeKubernetes, **metadata: Any) -> None:
    """A service with two revisions, the second of which has all traffic."""
    wanted = rig_kserve.service()
    wanted["metadata"]["annotations"] |= metadata
    server.put(wanted)
    roll_out(server, 2)
    rig_kserve.revisions(server, 1, 2)


def roll_out(server: FakeKubernetes, n: int) -> None:
    model = {"model": {"storageUri": f"s3://models/{n}"}}
    server.edit("inferenceservices", "ml", "fraud", {"spec": {"predictor": model}})


def predictor(server: FakeKubernetes) -> dict[str, Any]:
    found: dict[str, Any] = server.one()["status"]["components"]["predictor"]
    return found


def test_traffic_moves_back_and_forth_without_a_new_revision(server: FakeKubernetes) -> None:
    """An annotation on the service would be copied into the revision, and make one."""
    second(server)
    with inference(server) as plane:
        for weights in ((100, 0), (90, 10), (50, 50), (0, 100), (100, 0)):
            wanted = split(*weights, arms=_KSERVE)
            assert plane.apply(change(plane.read(), wanted)).answer is Answer.ACKED
            assert plane.read().split == wanted
            assert plane.read().problem == ""
            traffic = {t["revisionName"]: t["percent"] for t in predictor(server)["traffic"]}
            names = ("fraud-predictor-00001", "fraud-predictor-00002")
            assert {k: v for k, v in zip(names, weights, strict=True) if v} == {
                k: v for k, v in traffic.items() if v
            }
        assert predictor(server)["latestCreatedRevision"] == "fraud-predictor-00002"


def test_a_mark_on_the_service_would_make_a_new_revision(server: FakeKubernetes) -> None:
    """What the fake does, as KServe: the reason why none is left."""
    second(server)
    mark = {"metadata": {"annotations": {CHANGE: "c-1"}}}
    server.edit("inferenceservices", "ml", "fraud", mark)
    assert predictor(server)["latestCreatedRevision"] == "fraud-predictor-00003"


@pytest.mark.parametrize("mode", ["RawDeployment", "Standard"])
def test_where_the_field_does_nothing_it_is_not_written(server: FakeKubernetes, mode: str) -> None:
    second(server, **{"serving.kserve.io/deploymentMode": mode})
    with inference(server) as plane:
        seen = plane.read()
        assert "kind = 'httproute'" in seen.problem
        wanted = change(seen, split(50, 50, arms=_KSERVE))
        assert "RawDeployment" in said(plane, wanted)
        assert plane.apply(wanted).answer is Answer.REJECTED
    assert writes(server) == 0


@pytest.mark.parametrize(
    ("status", "annotation"),
    [("", ""), ("ModelMesh", ""), ("Serverless", "RawDeployment"), ("", "\x1b[2J")],
)
def test_a_mode_that_is_not_surely_known_is_refused(
    server: FakeKubernetes, status: str, annotation: str
) -> None:
    second(server)
    server.lag = True
    (found,) = server.objects.values()
    found["status"]["deploymentMode"] = status
    found["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] = annotation
    with inference(server) as plane:
        seen = plane.read()
        assert seen.problem
        assert seen.problem.isprintable()
        receipt = plane.apply(change(seen, split(50, 50, arms=_KSERVE)))
    assert receipt.answer is Answer.REJECTED
    assert writes(server) == 0


def test_the_new_name_of_the_mode_is_known(server: FakeKubernetes) -> None:
    second(server)
    server.lag = True
    (found,) = server.objects.values()
    found["status"]["deploymentMode"] = "Knative"
    with inference(server) as plane:
        seen = plane.read()
        assert seen.problem == ""
        assert plane.apply(change(seen, split(50, 50, arms=_KSERVE))).answer is Answer.ACKED


def test_a_first_revision_has_nothing_to_share_with(server: FakeKubernetes) -> None:
    server.put(rig_kserve.service())
    rig_kserve.revisions(server, 1)
    with inference(server) as plane:
        seen = plane.read()
        assert seen.split == split(0, 100, arms=_KSERVE)
        assert seen.health_of("previous") is Health.DOWN
        assert "no earlier revision" in said(plane, change(seen, split(50, 50, arms=_KSERVE)))
    assert writes(server) == 0


def test_a_share_that_is_written_and_not_served_is_said(server: FakeKubernetes) -> None:
    server.put(rig_kserve.service(canaryTrafficPercent=10))
    with inference(server) as plane:
        problem = plane.read().problem
    assert "gives the latest revision 100%, though 10% is written" in problem


def test_a_revision_that_comes_between_plan_and_change_is_a_conflict(
    server: FakeKubernetes,
) -> None:
    second(server)
    with inference(server) as plane:
        seen = plane.read()
        server.lag = True
        roll_out(server, 3)
        assert plane.apply(change(seen, split(50, 50, arms=_KSERVE))).answer is Answer.CONFLICT
        lagging = plane.read()
        assert lagging.problem == "not yet taken up by KServe"
        server.settle()  # what is latest is another one now, though nobody wrote a specification
        ready = change(lagging, split(50, 50, arms=_KSERVE))
        assert plane.apply(ready).answer is Answer.CONFLICT
    assert writes(server) == 0


def test_a_revision_that_does_not_get_ready_is_said(server: FakeKubernetes) -> None:
    second(server)
    (found,) = server.objects.values()
    found["status"]["components"]["predictor"]["latestCreatedRevision"] = "fraud-predictor-00003"
    with inference(server) as plane:
        assert plane.read().problem == (
            "the revision fraud-predictor-00003 is not ready; "
            "the latest that is: fraud-predictor-00002"
        )


def test_revisions_may_be_named(server: FakeKubernetes) -> None:
    second(server)
    arms = ("fraud-predictor-00001", "fraud-predictor-00002")
    with inference(server, arms) as plane:
        assert plane.read().split == split(0, 100, arms=arms)
        wanted = split(75, 25, arms=arms)
        assert plane.apply(change(plane.read(), wanted)).answer is Answer.ACKED
        assert server.one()["spec"]["predictor"]["canaryTrafficPercent"] == 25
        roll_out(server, 3)
        with pytest.raises(PlaneError, match="now fraud-predictor-00003 and"):
            plane.read()


def test_health_is_that_of_the_revisions(server: FakeKubernetes) -> None:
    second(server)
    rig_kserve.revisions(server, 2, ready="False")
    server.extra = {k: v for k, v in server.extra.items() if "00001" not in k}
    with inference(server) as plane:
        told = {h.arm: (h.health, h.detail) for h in plane.read().health}
    assert told["previous"] == (Health.DOWN, "the revision fraud-predictor-00001 is gone")
    assert told["latest"][0] is Health.DOWN


@pytest.mark.parametrize("value", [-1, 101, "10", 1.5, True, []])
def test_a_percentage_that_is_none(server: FakeKubernetes, value: object) -> None:
    second(server)
    (found,) = server.objects.values()
    found["spec"]["predictor"]["canaryTrafficPercent"] = value
    with inference(server) as plane, pytest.raises(PlaneError, match="no whole number"):
        plane.read()
