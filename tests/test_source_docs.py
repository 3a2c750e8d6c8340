"""The pages about sources are true: their configurations load and their keys are all there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from collectors.durations import written_duration
from collectors.source_settings import MlflowSource, PrometheusSource
from collectors.sources.prometheus_presets import PRESETS
from console.config import load_config

PAGES = Path(__file__).resolve().parents[1] / "docs" / "sources"
SETTINGS: dict[str, type[BaseModel]] = {"prometheus": PrometheusSource, "mlflow": MlflowSource}


def blocks() -> list[tuple[str, str]]:
    found = []
    for page in sorted(PAGES.glob("*.md")):
        written = re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
        found += [(page.stem, block) for block in written]
    return found


@pytest.mark.parametrize(("page", "block"), blocks(), ids=lambda text: text[:20].strip())
def test_configurations_of_the_pages_load(page: str, block: str, tmp_path: Path) -> None:
    path = tmp_path / "modelwatch.toml"
    path.write_text(block)
    assert load_config(path).deployment


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", SETTINGS)
def test_every_key_of_a_source_is_described_with_its_default(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", (PAGES / f"{page}.md").read_text(), re.MULTILINE)
    described = dict(rows)
    fields = SETTINGS[page].model_fields
    assert set(described) - set(PRESETS) == set(fields)
    for key, field in fields.items():
        if field.is_required():
            said = "required"
        elif field.default:
            said = f'`"{written_duration(field.default)}"`'
        else:
            said = "none"
        assert described[key] == said, key


def test_every_preset_is_described_with_its_label() -> None:
    text = (PAGES / "prometheus.md").read_text()
    listed = dict(re.findall(r"^\| `([\w-]+)` \| [^|]* \| `?(\w+)`? \|$", text, re.MULTILINE))
    assert listed == {name: preset.version or "none" for name, preset in PRESETS.items()}
