"""What docs/planes.md says of Kubernetes, as it stands there: objects, planes, the least role."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_httproute
import rig_kserve
import yaml
from fake_kubernetes import FakeKubernetes
from pydantic import TypeAdapter

from console.control.plane import Answer, Change, ControlPlane, Health
from console.control.plane_settings import AnyPlane
from console.control.planes.registry import make_plane
from console.control.settings import Control
from console.control.split import Split

PAGE = (Path(__file__).parents[4] / "docs" / "planes.md").read_text()


def section(title: str) -> str:
    """From a heading to the next."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def documents(title: str) -> list[Any]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)
    return [document for block in blocks for document in yaml.safe_load_all(block)]


def plane(title: str, server: FakeKubernetes) -> ControlPlane:
    """As the section's example says, at a server of ours."""
    (block,) = re.findall(r"^```toml\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)
    given = tomllib.loads(block)
    given["plane"]["url"] = f"http://127.0.0.1:{server.port}"
    given.setdefault("stable", next(iter(given["arms"])))
    return make_plane(Control.model_validate(given), Path())


@pytest.fixture
def server() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as made:
        made.extra["ml/endpointslices"] = rig_httproute.slices("fraud-v1", "fraud-v2", "fraud")
        rig_kserve.revisions(made, 1, 2)
        yield made


def prepared(title: str, server: FakeKubernetes) -> None:
    """The section's own object, or one of ours where it shows none."""
    if title != "KServe":
        (found,) = documents(title)
        server.put(found)
        return
    server.put(rig_kserve.service())
    second = {"spec": {"predictor": {"model": {"storageUri": "s3://models/2"}}}}
    server.edit("inferenceservices", "ml", "fraud", second)


TITLES = ("Gateway API: HTTPRoute", "Istio: VirtualService", "KServe")


def moved(made: ControlPlane) -> None:
    """A tenth to whoever had nothing."""
    seen = made.read()
    assert seen.split is not None
    assert seen.problem == ""
    (idle,) = (arm for arm in seen.split.arms if not seen.split.weight(arm))
    after = Split(tuple((arm, 10 if arm == idle else 90) for arm in seen.split.arms))
    change = Change("c-1", seen.split, after, seen.revision)
    assert list(made.dry_run(change)) == []
    assert made.apply(change).answer is Answer.ACKED
    assert made.read().split == after


@pytest.mark.parametrize("title", TITLES)
def test_the_examples_work(server: FakeKubernetes, title: str) -> None:
    prepared(title, server)
    with plane(title, server) as made:
        moved(made)
        healthy = {h.health for h in made.read().health}
        assert healthy == {Health.UNKNOWN if "Istio" in title else Health.UP}


def test_the_role_is_exactly_what_is_asked_for(server: FakeKubernetes) -> None:
    """No request without a rule, no rule without a request; of one object where it names one."""
    asked: set[tuple[str, str, str, bool]] = set()
    for title in TITLES:
        server.objects.clear()
        server.seen.clear()
        prepared(title, server)
        if "Istio" in title:  # with a destination that is a Service, whose endpoints are listed
            http = server.one()["spec"]["http"]
            del http[0]["route"][1]["destination"]["subset"]
            http[0]["route"][1]["destination"]["host"] = "v2"
            server.edit("virtualservices", "ml", "fraud", {"spec": {"http": http}})
        with plane(title, server) as made:
            moved(made)
        for seen in server.seen:
            _, _, group, _, _, namespace, resource, *name = seen.path.split("/")
            assert namespace == "ml"
            verb = {"GET": "get" if name else "list", "PATCH": "patch"}[seen.method]
            asked.add((group, resource, verb, name == ["fraud"]))
    (role,) = (d for d in documents("Kubernetes") if d["kind"] == "Role")
    given = {
        (group, resource, verb, rule.get("resourceNames") == ["fraud"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert asked == given


def test_the_binding_binds_the_role_to_the_account() -> None:
    account, role, binding = documents("Kubernetes")
    assert {d["metadata"]["namespace"] for d in (account, role, binding)} == {"ml"}
    subject = {"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": "ml"}
    assert binding["subjects"] == [subject]
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", "modelwatch")
    assert role["metadata"]["name"] == "modelwatch"


def test_every_key_of_the_page_is_a_setting() -> None:
    (line,) = re.findall(r"^plane = (.*)$", section("Kubernetes"), re.MULTILINE)
    settings = TypeAdapter(AnyPlane).validate_python(tomllib.loads(f"plane = {line}")["plane"])
    keys = set(type(settings).model_fields) - {"kind"}
    told = "".join(section(t) for t in ("Kubernetes", "Gateway API: HTTPRoute"))
    named = {
        key
        for row in re.findall(r"^\| (`.*?) \|", told, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", row)
    }
    assert named == keys
