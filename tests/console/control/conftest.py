"""Puts this folder on the path: `faulty_proxy` and `servers` are used by several suites."""
