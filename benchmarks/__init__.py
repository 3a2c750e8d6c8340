"""Benchmarks of modelwatch: `python -m benchmarks`; what was measured is in docs/benchmarks.md."""
