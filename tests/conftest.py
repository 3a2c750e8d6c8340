"""What all tests share: no deadlines, and pytest's closing line is the last one."""

from __future__ import annotations

import sys

from hypothesis import settings

# time is measured in benchmarks only: a busy machine must not fail a test
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_unconfigure() -> None:
    """Let go of DuckDB's types, or its binding prints forty lines about them at exit.

    polars keeps every type it was ever given in a cache; a DuckDB relation is one of them.
    """
    dependencies = sys.modules.get("polars._dependencies")
    cached = getattr(dependencies, "_might_be", None)
    if hasattr(cached, "cache_clear"):
        cached.cache_clear()
