"""A configuration that is written reads back as the same deployment, whatever the names are."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from collectors.contract import Deployment
from console.toml import configuration_toml

NAMES = st.text(min_size=1, max_size=30)
SEGMENTS = NAMES.filter(lambda name: not set(name) & {",", "="})


@given(
    columns=st.lists(NAMES, min_size=6, max_size=6),
    features=st.lists(
        st.tuples(NAMES, st.sampled_from(["numeric", "categorical"])),
        max_size=5,
        unique_by=lambda feature: feature[0],
    ),
    segments=st.lists(SEGMENTS, max_size=4, unique=True),
    scores=st.dictionaries(NAMES, NAMES, max_size=4),
    paths=st.lists(NAMES, min_size=1, max_size=3),
    comments=st.lists(st.text(max_size=40), max_size=3),
)
def test_any_deployment_reads_back(
    *,
    columns: list[str],
    features: list[tuple[str, str]],
    segments: list[str],
    scores: dict[str, str],
    paths: list[str],
    comments: list[str],
) -> None:
    d = Deployment.model_validate(
        {
            "name": "m",
            "task": "multiclass",
            "predictions": {"path": paths},
            "id": "",
            "timestamp": columns[0],
            "prediction": columns[1],
            "version": columns[2],
            "class_scores": scores,
            "attributions": scores,
            "features": [{"name": name, "kind": kind} for name, kind in features],
            "segments": segments,
            "labels": {
                "source": {"path": paths},
                "id": columns[3],
                "value": columns[4],
                "received": columns[5],
            },
            "reference": [{"path": path, "label": columns[4]} for path in paths],
        }
    )
    said = {"timestamp": comments, "labels": comments, "features": comments}
    written = configuration_toml(d, said, head=comments)
    assert Deployment.model_validate(tomllib.loads(written)["deployment"][0]) == d
    assert all(ch.isprintable() or ch == "\n" for ch in written)
