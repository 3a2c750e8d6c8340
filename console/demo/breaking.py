"""`modelwatch demo --break`: make a running demo's model fail, from another terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from console.demo.running import Running, running
from console.demo.server import Fault
from console.errors import UsageError

__all__ = ["FAULTS", "break_demo", "break_server", "fault_of"]

FAULTS: Mapping[Fault, str] = {
    Fault.ERRORS: "every third request fails",
    Fault.LATENCY: "each answer comes half a second later",
    Fault.FEATURE: "it reads the departure in hours, where it was trained on minutes",
    Fault.DOWN: "it refuses everything, and its health check says so",
    Fault.OFF: "it works again",
}


def break_demo(written: str, environment: Mapping[str, str]) -> str:
    """Break the newest running demo; what was done, in a sentence. Raises UsageError."""
    version, fault = fault_of(written)
    demos = running(environment)
    if not demos:
        raise UsageError("no demo runs here; start one: `modelwatch demo --with-proxy`")
    demo = demos[-1]
    if version not in demo.servers:
        raise UsageError(f"the demo has no {version!r}; it has {', '.join(demo.servers)}")
    break_server(demo, version, fault)
    return f"{version}: {FAULTS[fault]}"


def fault_of(written: str) -> tuple[str, Fault]:
    """Version and fault of `errors` (of v2) or `v1=errors`. Raises UsageError."""
    version, _, kind = written.rpartition("=")
    try:
        return version or "v2", Fault(kind)
    except ValueError as error:
        raise UsageError(
            f"--break takes {', '.join(FAULTS)}, of v2 or of another like v1=errors, "
            f"not {written!r:.80}"
        ) from error


def break_server(demo: Running, version: str, fault: Fault) -> None:
    """Tell a model server what is wrong with it. Raises UsageError when it does not answer."""
    address = urlsplit(demo.servers[version])
    connection = HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=3)
    try:
        connection.request("POST", "/fault", json.dumps({"kind": fault.value}))
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise UsageError(f"the demo's {version} does not answer; has it ended?") from error
    finally:
        connection.close()
    if status != 200:
        raise UsageError(f"the demo's {version} did not take that (status {status})")
