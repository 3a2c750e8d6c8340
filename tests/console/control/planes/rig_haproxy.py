"""Two real HAProxys in front of three upstreams."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from faulty_proxy import FaultyProxy
from rig import Rig
from servers import HaproxyServer, Upstream, send

from console.control.plane_settings import HaproxyPlane
from console.control.planes.haproxy import Haproxy


class HaproxyRig(Rig):
    """Upstreams in this process, HAProxys in two more."""

    kind = "haproxy"
    replicas = 2
    can_restart = True
    serves = True
    exact = True
    write_marks = (b"set server",)

    def start(self) -> None:
        self.upstreams = {arm: Upstream(arm) for arm in self.arms}
        ports = {arm: upstream.port for arm, upstream in self.upstreams.items()}
        self.servers = [
            HaproxyServer(self.folder / str(place), ports, self.initial)
            for place in range(self.replicas)
        ]
        for server in self.servers:
            server.start()
        self.proxies = tuple(FaultyProxy(server.address) for server in self.servers)

    def stop(self) -> None:
        for server in getattr(self, "servers", ()):
            server.stop()
        for upstream in getattr(self, "upstreams", {}).values():
            upstream.stop()

    def reset(self) -> None:
        self.change_behind(self.initial)

    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> Haproxy:
        settings = HaproxyPlane(
            kind="haproxy",
            socket=tuple(proxy.address for proxy in self.proxies),
            backend="models",
            timeout=timedelta(seconds=timeout),
        )
        return Haproxy(settings, arms or self.arms, self.folder)

    def truth(self) -> tuple[Mapping[str, int], ...]:
        return tuple(
            {arm: _weight(server.tell(f"get weight models/{arm}")) for arm in self.arms}
            for server in self.servers
        )

    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        for place, server in enumerate(self.servers):
            if replica in (None, place):
                for arm, weight in weights.items():
                    assert server.tell(f"set server models/{arm} weight {weight}").strip() == ""

    def serve(self, n: int, replica: int = 0) -> Counter[str]:
        return send(self.servers[replica].port, n)

    def restart(self, replica: int = 0) -> None:
        self.servers[replica].stop()
        self.servers[replica].start()


def _weight(said: str) -> int:
    """Of "75 (initial 100)"."""
    found = re.match(r"(\d+) \(initial", said)
    assert found, said
    return int(found[1])
