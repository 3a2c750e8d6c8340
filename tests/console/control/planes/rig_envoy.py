"""Two real Envoys in front of three upstreams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from faulty_proxy import FaultyProxy
from rig import Rig
from servers import EnvoyServer, Upstream, send

from console.control.plane_settings import EnvoyPlane
from console.control.planes.envoy import Envoy

PREFIX = "split.model"


class EnvoyRig(Rig):
    """Upstreams and Envoys in this process and two more."""

    kind = "envoy"
    replicas = 2
    can_restart = True
    serves = True
    write_marks = (b"runtime_modify",)
    secret = "s3cr3t-of-the-envoys"  # noqa: S105 - of nobody

    def start(self) -> None:
        (self.folder / "token").write_text(self.secret)
        self.upstreams = {arm: Upstream(arm) for arm in self.arms}
        ports = {arm: upstream.port for arm, upstream in self.upstreams.items()}
        self.servers = [
            EnvoyServer(self.folder / str(place), ports, self.initial, PREFIX)
            for place in range(self.replicas)
        ]
        for server in self.servers:
            server.start()
        self.proxies = tuple(FaultyProxy(("127.0.0.1", s.admin)) for s in self.servers)

    def stop(self) -> None:
        for server in getattr(self, "servers", ()):
            server.stop()
        for upstream in getattr(self, "upstreams", {}).values():
            upstream.stop()

    def reset(self) -> None:
        for server in self.servers:
            server.modify(dict.fromkeys(server.runtime(), ""))

    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> Envoy:
        settings = EnvoyPlane(
            kind="envoy",
            admin=tuple(f"http://{proxy.address}" for proxy in self.proxies),
            prefix=PREFIX,
            token_file="token",  # noqa: S106 - a file's name
            timeout=timedelta(seconds=timeout),
        )
        return Envoy(settings, arms or self.arms, self.folder)

    def truth(self) -> tuple[Mapping[str, int], ...]:
        return tuple(
            {
                arm: int(keys.get(f"{PREFIX}.{arm}", self.initial[arm]))
                for keys in [server.runtime()]
                for arm in self.arms
            }
            for server in self.servers
        )

    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        for place, server in enumerate(self.servers):
            if replica in (None, place):
                server.modify({f"{PREFIX}.{arm}": weight for arm, weight in weights.items()})

    def serve(self, n: int, replica: int = 0) -> Counter[str]:
        return send(self.servers[replica].port, n)

    def restart(self, replica: int = 0) -> None:
        self.servers[replica].stop()
        self.servers[replica].start()
        self.proxies[replica].server = ("127.0.0.1", self.servers[replica].admin)
