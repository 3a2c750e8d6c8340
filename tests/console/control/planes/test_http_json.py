"""Weights in a JSON document: only they are changed, and nobody is overwritten."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_documents import DocumentServer
from pydantic import ValidationError
from rig_http import POLICY
from servers import Upstream, send
from web_servers import CaddyServer

from console.control.errors import PlaneError
from console.control.plane import Answer, Change
from console.control.plane_settings import HttpPlane
from console.control.planes.http_json import HttpJson
from console.control.split import Split

ARMS = ("v1", "v2")
FORMS: dict[str, Any] = {"object": {"v1": 75, "v2": 25}, "list": [75, 25], "floats": [75.0, 25.0]}


def document(form: str = "object") -> dict[str, Any]:
    """With neighbours that are easily lost, and a name that a pointer has to escape."""
    return {
        "a/b~c": {"weights": copy.deepcopy(FORMS[form]), "timeout": 1.5, "note": None},
        "big": 12345678901234567890,
        "tiny": 1e-7,
        "text": "\u2028 😀 \x7f",
    }


@pytest.fixture
def server() -> Iterator[DocumentServer]:
    made = DocumentServer(document())
    yield made
    made.stop()


def plane(server: DocumentServer, **more: Any) -> HttpJson:
    given = {"kind": "http", "url": server.url, "weights": "/a~1b~0c/weights"} | more
    return HttpJson(HttpPlane(**given), ARMS, Path())


def change(made: HttpJson, v1: int, v2: int) -> Change:
    seen = made.read()
    return Change("c-1", seen.split, Split.of({"v1": v1, "v2": v2}), seen.revision)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("body", ["document", "merge", "json-patch"])
def test_only_the_weights_and_the_id_are_changed(
    server: DocumentServer, form: str, body: str
) -> None:
    server.document = document(form)
    with plane(server, body=body, revision="/a~1b~0c/change") as made:
        assert made.read().split == Split.of({"v1": 75, "v2": 25})
        wanted = change(made, 10, 90)
        assert list(made.dry_run(wanted)) == []
        assert server.document == document(form)
        assert made.apply(wanted).answer is Answer.ACKED
        assert made.read().change_id == "c-1"
    expected = document(form)
    expected["a/b~c"]["weights"] = {"v1": 10, "v2": 90} if form == "object" else [10, 90]
    expected["a/b~c"]["change"] = "c-1"
    assert server.document == expected
    assert [method for method, _, _ in server.writes] == ["PUT" if body == "document" else "PATCH"]


def test_a_document_that_is_nothing_but_weights(server: DocumentServer) -> None:
    server.document = [75, 25]
    with plane(server, weights="", method="POST", lowest_terms=True) as made:
        assert made.apply(change(made, 50, 50)).answer is Answer.ACKED
    assert server.document == [1, 1]


@pytest.mark.parametrize("etags", ["strong", "weak", "none"])
def test_it_says_whether_others_are_kept_out(server: DocumentServer, etags: Any) -> None:
    server.etags = etags
    with plane(server) as made:
        wanted = change(made, 0, 100)
        assert made.capabilities.compare_and_swap is (etags == "strong")
        assert bool(made.capabilities.note) is (etags != "strong")
        server.document["text"] = "somebody else's"
        assert list(made.dry_run(wanted)) != []
        assert made.apply(wanted).answer is Answer.CONFLICT
        assert server.writes == []
        assert made.apply(change(made, 0, 100)).answer is Answer.ACKED
    assert server.document["text"] == "somebody else's"
    assert bool(server.writes[0][2]) is (etags == "strong"), "a weak ETag never matches"


@pytest.mark.parametrize(("etags", "body"), [("strong", "document"), ("none", "json-patch")])
def test_a_change_between_our_look_and_our_change(
    server: DocumentServer, etags: Any, body: str
) -> None:
    server.etags = etags

    def other() -> None:
        server.document = document() | {"a/b~c": {"weights": {"v1": 40, "v2": 60}}}

    server.before_write = other
    with plane(server, body=body) as made:
        wanted = change(made, 0, 100)
        assert made.capabilities.compare_and_swap
        assert made.apply(wanted).answer is Answer.CONFLICT
    assert server.document["a/b~c"]["weights"] == {"v1": 40, "v2": 60}


@pytest.mark.parametrize(
    ("status", "made_anyway", "expected"),
    [
        (302, False, Answer.REJECTED),
        (400, False, Answer.REJECTED),
        (403, False, Answer.REJECTED),
        (404, False, Answer.REJECTED),
        (405, False, Answer.REJECTED),
        (408, False, Answer.UNKNOWN),
        (409, False, Answer.CONFLICT),
        (412, False, Answer.CONFLICT),
        (428, False, Answer.REJECTED),
        (429, False, Answer.REJECTED),
        (500, False, Answer.REJECTED),
        (500, True, Answer.UNKNOWN),
        (502, False, Answer.UNKNOWN),
        (503, True, Answer.UNKNOWN),
        (504, True, Answer.UNKNOWN),
    ],
)
def test_what_an_answer_means(
    server: DocumentServer, status: int, made_anyway: bool, expected: Answer
) -> None:
    server.answer, server.made_anyway = status, made_anyway
    with plane(server) as made:
        receipt = made.apply(change(made, 0, 100))
    assert receipt.answer is expected
    assert str(status) in receipt.detail
    assert len(server.writes) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a/b~c": {"weights": {"v1": 75, "v2": 25, "v2": 0}}}', "two values under one name"),
        ('{"a/b~c": {"weights": [75, 25]}, "pi": 3.14159265358979323846}', "again exactly"),
        ('{"a/b~c": {"weights": [75, 25]}, "much": 1e999}', "again exactly"),
        ('{"a/b~c": {"weights": [75, 25]}, "x": ' + "[" * 300 + "]" * 300 + "}", "too deep"),
        ('{"a/b~c": {"weights": [75, 25, 1]}}', "3 weights for 2 arms"),
        ('{"a/b~c": {"weights": [75.5, 25]}}', "not a whole number"),
        ('{"a/b~c": {"weights": ["75", 25]}}', "not a whole number"),
        ('{"a/b~c": {"weights": [true, 25]}}', "not a whole number"),
        ('{"a/b~c": {"weights": [-1, 25]}}', "not a whole number"),
        ('{"a/b~c": {"weights": 75}}', "neither an object nor a list"),
        ('{"a/b~c": {}}', "there is nothing at '/a~1b~0c/weights'"),
    ],
)
def test_documents_that_are_left_alone(server: DocumentServer, text: str, said: str) -> None:
    server.document = text
    with plane(server) as made:
        with pytest.raises(PlaneError, match=re.escape(said)):
            made.read()
        wanted = Change("c-1", None, Split.of({"v1": 100, "v2": 0}), "")
        if "whole number" in said:  # which a change puts right
            assert made.apply(wanted).answer is Answer.ACKED
        else:
            assert made.apply(wanted).answer is Answer.REJECTED
            assert server.writes == []


def test_a_patch_does_not_need_the_rest_to_be_exact(server: DocumentServer) -> None:
    text = '{"a/b~c": {"weights": {"v1": 75, "v2": 25}}, "pi": 3.14159265358979323846}'
    server.document = text
    server.before_write = lambda: setattr(server, "document", json.loads(text))
    with plane(server, body="merge") as made:
        wanted = change(made, 0, 100)
        server.etags = "none"
        assert made.apply(replace(wanted, base="")).answer is Answer.ACKED
    assert server.document["a/b~c"]["weights"] == {"v1": 0, "v2": 100}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weights", "a"),
        ("weights", "/a~2"),
        ("revision", "/a~1b~0c/weights/v1"),
        ("revision", "/a~1b~0c/weights"),
        ("url", "http://me:secret@host/"),
        ("method", "DELETE"),
    ],
)
def test_settings_that_cannot_be(server: DocumentServer, key: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        plane(server, **{key: value})
    assert "secret@" not in str(caught.value.errors(include_input=False, include_url=False))


# --- a real Caddy ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def caddy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaddyServer]:
    upstreams = [Upstream(arm) for arm in ARMS]
    made = CaddyServer(tmp_path_factory.mktemp("caddy"), [u.port for u in upstreams], [75, 25])
    try:
        made.start()
        yield made
    finally:
        made.stop()
        for upstream in upstreams:
            upstream.stop()


def of_caddy(caddy: CaddyServer, **more: Any) -> HttpJson:
    given = {
        "kind": "http",
        "url": f"http://127.0.0.1:{caddy.admin}{POLICY}",
        "weights": "/weights",
        "method": "PATCH",
    }
    return HttpJson(HttpPlane(**(given | more)), ARMS, Path())


def test_caddy_in_blocks_and_in_lowest_terms(caddy: CaddyServer) -> None:
    """75 and 25 are 75 requests for one and then 25 for the other; 3 and 1 are the same share."""
    with of_caddy(caddy) as made:
        assert made.apply(change(made, 75, 25)).answer is Answer.ACKED
    assert send(caddy.port, 60) == {"v1": 60}
    with of_caddy(caddy, lowest_terms=True) as made:
        assert made.apply(change(made, 75, 25)).answer is Answer.ACKED
        assert made.read().split == Split.of({"v1": 3, "v2": 1})
    assert send(caddy.port, 60) == {"v1": 45, "v2": 15}


def test_caddy_with_a_list_that_is_too_short(caddy: CaddyServer) -> None:
    said = httpx.patch(f"http://127.0.0.1:{caddy.admin}{POLICY}/weights", json=[1])
    assert said.status_code == 200, "Caddy takes it"
    with of_caddy(caddy) as made:
        seen = made.read()
        assert "1 weights for 2 arms" in seen.problem
        assert made.apply(change(made, 0, 100)).answer is Answer.ACKED
        assert made.read().problem == ""
    assert send(caddy.port, 20) == {"v2": 20}


def test_caddy_by_the_address_of_the_weights_themselves(caddy: CaddyServer) -> None:
    url = f"http://127.0.0.1:{caddy.admin}{POLICY}/weights"
    with of_caddy(caddy, url=url, weights="") as made:
        assert made.apply(change(made, 100, 0)).answer is Answer.ACKED
        assert made.capabilities.compare_and_swap
    assert send(caddy.port, 20) == {"v1": 20}


def test_caddy_refuses_what_it_does_not_know_and_says_so(caddy: CaddyServer) -> None:
    with of_caddy(caddy, revision="/change") as made:
        receipt = made.apply(change(made, 0, 100))
        assert receipt.answer is Answer.REJECTED
        assert "unknown field" in receipt.detail
    with of_caddy(caddy, method="PUT") as made:  # which is for a new key, at Caddy
        receipt = made.apply(change(made, 0, 100))
        assert receipt.answer is Answer.CONFLICT
        assert "already exists" in receipt.detail
