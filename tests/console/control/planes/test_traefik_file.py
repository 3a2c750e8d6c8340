"""The digits of weights in a file of Traefik: found exactly, changed alone, or left alone."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.control.planes.traefik_file import read_service, with_weights

YAML = """# ünïcode ✓ 🙂 before it
http:
  services:
    other:
      weighted:
        services: [{name: v1, weight: 75}, {name: v2, weight: 25}]
    model:   # the one
      weighted:
        services:
          - name: v1
            weight: 75   # the stable one

          - {name: "v2", weight: '25'}
          - weight: 0
            name: 'v3@file'
        sticky: {cookie: {}}
    v1: {loadBalancer: {servers: [{url: "http://a", weight: 75}]}}
"""

TOML = """# ünïcode ✓ 🙂 before it
[http.services.other.weighted]
services = [{name = "v1", weight = 75}, {name = "v2", weight = 25}]
[http.services.model.weighted.sticky.cookie]
[[http.services.model.weighted.services]]
  name = "v1"
  weight = 75   # the stable one, weight = 75
[[http.services.model.weighted.services]]
weight=25
"name" = 'v2'
[[http.services.model.weighted.services]]
name = "v3@file"
"weight" = 0
[http.services.v1.loadBalancer]
note = "weight = 75"
servers = [{url = "http://a", weight = 75}]
"""

FILES = {"yml": YAML, "yaml": YAML, "TOML": TOML}


def at(kind: str) -> Path:
    return Path(f"models.{kind}")


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_only_digits_change(kind: str, ending: str) -> None:
    text = FILES[kind].replace("\n", ending)
    found = read_service(text, at(kind), "model")
    assert [(e.name, e.weight) for e in found.entries] == [("v1", 75), ("v2", 25), ("v3@file", 0)]
    assert found.sticky
    new = with_weights(text, at(kind), "model", {"v1": 9, "v2": 90, "v3@file": 1})
    lines = zip(text.splitlines(keepends=True), new.splitlines(keepends=True), strict=True)
    changed = [(old, now) for old, now in lines if old != now]
    assert len(changed) == 3
    for (old, now), weights in zip(changed, [("75", "9"), ("25", "90"), ("0", "1")], strict=True):
        assert now == old.replace(*weights, 1)


weights_of = st.integers(0, 1_000_000)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(["yml", "TOML"]), weights=st.tuples(weights_of, weights_of, weights_of))
def test_what_is_written_is_read_and_can_be_undone(kind: str, weights: tuple[int, ...]) -> None:
    text = FILES[kind]
    names = ("v1", "v2", "v3@file")
    new = with_weights(text, at(kind), "model", dict(zip(names, weights, strict=True)))
    found = read_service(new, at(kind), "model")
    assert [e.weight for e in found.entries] == list(weights)
    back = with_weights(new, at(kind), "model", {"v1": 75, "v2": 25, "v3@file": 0})
    assert back == text


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["yml", "TOML"]),
    place=st.integers(0, 800),
    gone=st.integers(0, 12),
    instead=st.text("{}[]&*!|>'\"#:,-\n \t\\0wx=\x00\ud800ü", max_size=6),
)
def test_a_damaged_file_is_refused_or_still_changed_alone(
    kind: str, place: int, gone: int, instead: str
) -> None:
    text = FILES[kind][:place] + instead + FILES[kind][place + gone :]
    try:
        found = read_service(text, at(kind), "model")
        new = with_weights(text, at(kind), "model", {"v1": 11, "v2": 89})
    except ValueError as error:
        assert str(error).isprintable()
    else:
        wanted = {"v1": 11, "v2": 89}
        after = read_service(new, at(kind), "model").entries
        expected = [(e.name, wanted.get(e.name, e.weight)) for e in found.entries]
        assert [(e.name, e.weight) for e in after] == expected
        assert without_weights(new, kind, wanted) == without_weights(text, kind, wanted)


def without_weights(text: str, kind: str, names: Collection[str]) -> str:
    """All of a file but what is written as these weights, be it a number or not."""
    entries = read_service(text, at(kind), "model").entries
    places = [e.place for e in entries if e.name in names and e.place is not None]
    for start, end in sorted(places, reverse=True):
        text = text[:start] + text[end:]
    return text


REFUSED = {
    "an alias": ("yml", "weight: 75   #", "weight: *w #", "aliases"),
    "an anchor": ("yml", "weight: 75   #", "weight: &w 75 #", "not written out"),
    "a tag": ("yml", "weight: 75   #", "weight: !!int 75 #", "not written out"),
    "no weight": ("yml", "weight: 75   #", "#", "not written out"),
    "several documents": ("yml", "http:\n", "a: 1\n---\nhttp:\n", "several documents"),
    "twice": ("yml", "weight: 75   #", "weight: 75\n            weight: 75 #", "twice"),
    "an escape": ("yml", "'25'", '"\\x32\\x35"', "not written out"),
    "a template": ("yml", "http:\n", "{{ if true }}\nhttp:\n", "no YAML|no text"),
    "one name twice": ("yml", 'name: "v2"', "name: v1", "one service twice"),
    "another kind": ("yml", "weighted:\n        services:\n ", "mirroring:\n        x:\n ", "kind"),
    "another name": ("yml", "    model:", "    modell:", "there is no service"),
    "a key that is a list": ("yml", "http:\n", "? [1]\n: 2\nhttp:\n", "a key that is no text"),
    "no table": ("TOML", "[http", "[[http", "no TOML"),
    "a dotted weight": ("TOML", "weight=25", "weight=0x19", "not written out"),
    "no toml weight": ("TOML", "weight=25", "", "not written out"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_certain_is_left_alone(what: str) -> None:
    kind, old, now, said = REFUSED[what]
    assert old in FILES[kind]
    text = FILES[kind].replace(old, now, 1)
    if what == "an alias":
        text = text.replace("# ünï", "x: &w 75 # ünï")
    with pytest.raises(ValueError, match=said):
        with_weights(text, at(kind), "model", {"v1": 10, "v2": 90})


HOSTILE = {
    "a billion laughs": "a: &a [1]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{f'*{chr(97 + n)},' * 9}]\n" for n in range(20)),
    "nested lists": "[" * 100_000,
    "nested blocks": "- " * 50_000,
    "nested maps": "{a: " * 50_000,
    "many": "- 1\n" * 100_000,
    "a long line": "x" * 1_000_000,
    "control characters": "a: \x1b[2J\x07",
    "python": "a: !!python/object/apply:os.system [exit]",
    "nothing": "",
    "a number": "1",
    "half a character": "\ud800",
}


@pytest.mark.parametrize("kind", ["yml", "TOML"])
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_one_sentence(what: str, kind: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_service(HOSTILE[what], at(kind), "model")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_without_pyyaml_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ValueError, match=r"pip install 'modelwatch\[traefik\]'"):
        read_service(YAML, at("yml"), "model")
    assert read_service(TOML, at("toml"), "model").entries
