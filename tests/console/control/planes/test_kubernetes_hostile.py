"""Objects and kubeconfigs that anybody may have written: a sentence at worst, and never a guess."""

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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_kubeconfig import config
from test_kubeconfig import settings as plane_settings
from test_kubernetes import inference, route, virtual

from console.control.errors import PlaneError
from console.control.plane import Answer, Change, ControlPlane, Health
from console.control.planes.kubeconfig import access
from console.control.split import Split

_LOUD = "\x1b]0;owned\x07\x9b2J\u202e[bold]\ud800"

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", _LOUD, "1", "True", "../../secrets", "x" * 5000, "v1", "latest"])
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "weight", "kind", "", _LOUD]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


@st.composite
def spoilt(draw: st.DrawFn, document: Any) -> Any:
    """The document with a few places that hold anything, or are gone."""
    made = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([p for p in places(made) if p]))
        holder = made
        for step in path[:-1]:
            holder = holder[step]
        if draw(st.booleans()):
            holder[path[-1]] = draw(_JSON)
        else:
            del holder[path[-1]]
        if not isinstance(made, dict) or not made:
            break
    return made


def _of(kind: str) -> dict[str, Any]:
    """An object as a server would give it."""
    with FakeKubernetes() as server:
        if kind == "httproute":
            server.put(rig_httproute.route({"v1": 90, "v2": 10}))
        elif kind == "virtualservice":
            server.put(rig_virtualservice.service({"v1": 90, "v2": 10, "rules": 0}))
        else:
            server.put(rig_kserve.service())
            model = {"model": {"storageUri": "s3://models/2"}}
            server.edit("inferenceservices", "ml", "fraud", {"spec": {"predictor": model}})
        found = server.one()
    found["metadata"] |= {
        "annotations": {"modelwatch.io/change": "c-0"},
        "ownerReferences": [{"kind": "Tenant", "name": "x", "controller": False}],
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
    }
    found.get("status", {}).pop("_template", None)
    return found


_OBJECTS = {kind: _of(kind) for kind in ("httproute", "virtualservice", "kserve")}


class _Says(FakeKubernetes):
    """Answers every request with one document."""

    said: Any = None

    def answer(self, seen: Any) -> tuple[int, Any]:
        """The document, whatever was asked."""
        self.seen.append(seen)
        return 200, self.said


@pytest.fixture(scope="module")
def says() -> Iterator[_Says]:
    with _Says() as made:
        yield made


def plane(kind: str, server: FakeKubernetes) -> ControlPlane:
    if kind == "httproute":
        return route(server)
    return inference(server) if kind == "kserve" else virtual(server, ("v1", "v2", "rules"))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("kind", list(_OBJECTS))
def test_any_object_is_read_or_refused_in_a_sentence(
    says: _Says, kind: str, data: st.DataObject
) -> None:
    looked_at(says, kind, data)


@pytest.mark.slow
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("kind", list(_OBJECTS))
def test_any_of_many_objects_is_read_or_refused_in_a_sentence(
    says: _Says, kind: str, data: st.DataObject
) -> None:
    looked_at(says, kind, data)


@pytest.mark.parametrize("name", [_LOUD, "../../secrets", "x" * 300, "a,b) or (c", ""])
@pytest.mark.parametrize("key", ["namespace", "name"])
def test_names_that_cannot_be_asked_for_are_not(says: _Says, key: str, name: str) -> None:
    says.said = copy.deepcopy(_OBJECTS["httproute"])
    says.said["spec"]["rules"][1]["backendRefs"][1][key] = name
    says.seen.clear()
    arms = ("v1", name if key == "name" else "v2")
    with route(says, arms) as made:
        told = made.read().health
    assert told[1].health is Health.UNKNOWN
    assert told[1].detail.isprintable()
    assert {s.path for s in says.seen} <= {
        "/apis/gateway.networking.k8s.io/v1/namespaces/ml/httproutes/fraud",
        "/apis/discovery.k8s.io/v1/namespaces/ml/endpointslices",
    }


@pytest.mark.parametrize("name", [_LOUD, "../../secrets", "x" * 300])
def test_revisions_that_cannot_be_asked_for_are_not(says: _Says, name: str) -> None:
    says.said = copy.deepcopy(_OBJECTS["kserve"])
    says.said["status"]["components"]["predictor"]["latestReadyRevision"] = name
    with inference(says) as made:
        seen = made.read()
    assert seen.health_of("latest") is Health.UNKNOWN
    assert seen.revision.isprintable()
    assert not [s for s in says.seen if "secrets" in s.path]


def looked_at(says: _Says, kind: str, data: st.DataObject) -> None:
    """Read, tried and changed: nothing else than a sentence comes out."""
    says.said = data.draw(spoilt(_OBJECTS[kind]))
    with plane(kind, says) as made:
        try:
            seen = made.read()
        except PlaneError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 2000
            return
        assert seen.problem.isprintable()
        assert all(h.detail.isprintable() for h in seen.health)
        assert seen.revision.isprintable()
        assert seen.change_id.isprintable()
        (replica,) = seen.replicas
        assert replica.weights is not None
        assert all(type(weight) is int and weight >= 0 for _, weight in replica.weights.weights)
        total = made.capabilities.total
        first, *rest = made.arms
        after = Split(((first, total - 1), (rest[0], 1), *((arm, 0) for arm in rest[1:])))
        change = Change("c-1", seen.split, after, seen.revision)
        for sentence in made.dry_run(change):
            assert sentence.isprintable()
        receipt = made.apply(change)
        assert receipt.detail.isprintable()
        if receipt.answer is Answer.ACKED:  # it answers with what it had before
            assert replica.weights == after


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_kubeconfig_is_used_or_refused_in_a_sentence(
    tmp_path: Path, data: st.DataObject
) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "x",
        "args": ["a"],
        "env": [{"name": "n", "value": "v"}],
        "provideClusterInfo": True,
    }
    user = {"exec": plugin, "client-certificate-data": "QQ==", "client-key-data": "QQ=="}
    whole = config("https://127.0.0.1:1", user, "ml", **{"tls-server-name": "x"})
    path = tmp_path / "config.json"
    path.write_text(json.dumps(data.draw(spoilt(whole))))
    try:
        access(plane_settings(kubeconfig=str(path)), tmp_path, {})
    except PlaneError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 2000
