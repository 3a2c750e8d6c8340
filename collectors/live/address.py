"""Where a recorder may listen: on this host alone."""

from __future__ import annotations

import ipaddress

__all__ = ["address"]


def address(written: str) -> tuple[str, int]:
    """`127.0.0.1:9464` or `9464`. Raises ValueError for what is not on this host alone."""
    host, _, port = written.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if host == "localhost":
        host = "127.0.0.1"
    try:
        local, number = ipaddress.ip_address(host).is_loopback, int(port)
    except ValueError as error:
        raise ValueError(f"{written!r} is no address; write it like 127.0.0.1:9464") from error
    if not local:
        raise ValueError(
            f"{host} is not this host alone; listen on 127.0.0.1 and put a proxy with TLS before it"
        )
    if not 0 <= number < 65536:
        raise ValueError(f"there is no port {number}")
    return host, number
