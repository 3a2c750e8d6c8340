"""Every plane's rig, found by its file: `rig_<kind>.py` holds one subclass of `Rig`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from rig import Rig

from console.control.plane import ControlPlane

_FILES = sorted(path.stem for path in Path(__file__).parent.glob("rig_*.py"))


def _rig_of(module: str) -> type[Rig]:
    found = [
        made
        for _, made in inspect.getmembers(import_module(module), inspect.isclass)
        if issubclass(made, Rig) and made.__module__ == module and hasattr(made, "kind")
    ]
    assert len(found) == 1, f"{module} must hold one rig"
    return found[0]


@pytest.fixture(scope="module", params=_FILES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """A rig whose server runs."""
    made = _rig_of(request.param)(tmp_path_factory.mktemp(request.param))
    try:
        made.start()
        yield made
    finally:
        made.stop()
        for proxy in made.proxies:
            proxy.stop()


@pytest.fixture
def rig(running: Rig) -> Rig:
    """A rig as it was at its start."""
    for proxy in running.proxies:
        proxy.reset()
    running.reset()
    return running


@pytest.fixture
def plane(rig: Rig) -> Iterator[ControlPlane]:
    """A plane through the rig's proxies."""
    with rig.plane() as made:
        yield made
