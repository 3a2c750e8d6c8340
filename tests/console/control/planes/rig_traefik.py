"""A weighted service in a file of a real Traefik."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from faulty_proxy import FaultyProxy
from rig import Rig
from servers import Upstream, send, until
from web_servers import TraefikServer

from console.control.plane_settings import TraefikPlane
from console.control.planes.traefik import Traefik

TEXT = """# who gets what
http:
  routers:
    models: {{rule: "PathPrefix(`/`)", service: model, entryPoints: [web]}}
  services:
    model:
      weighted:
        services:
          - name: v1
            weight: {v1}   # the stable one
          - {{name: v2, weight: {v2}}}
          - name: "v3"
            weight: {v3}
    v1: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{ports[0]}"}}]}}}}
    v2: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{ports[1]}"}}]}}}}
    v3: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{ports[2]}"}}]}}}}
"""


class TraefikRig(Rig):
    """One Traefik, which looks at its file as soon as it changes, and upstreams in this process."""

    kind = "traefik"
    can_restart = True
    serves = True
    exact = True
    many = 300  # each takes Traefik 0.15 s and more
    secret = "s3cr3t-of-traefik"  # noqa: S105 - of this test

    def start(self) -> None:
        self.upstreams = [Upstream(arm) for arm in self.arms]
        (self.folder / "dynamic").mkdir()
        self.file = self.folder / "dynamic" / "models.yml"
        self._write(self.initial)
        (self.folder / "token").write_text(self.secret)
        self.server = TraefikServer(self.folder, self.file)
        self.server.start()
        self.proxies = (FaultyProxy(("127.0.0.1", self.server.api)),)
        self._wait(self.initial)

    def stop(self) -> None:
        if hasattr(self, "server"):
            self.server.stop()
        for upstream in getattr(self, "upstreams", ()):
            upstream.stop()

    def text(self, weights: Mapping[str, int]) -> str:
        return TEXT.format(**weights, ports=[upstream.port for upstream in self.upstreams])

    def _write(self, weights: Mapping[str, int]) -> None:
        beside = self.file.with_suffix(".new")
        beside.write_text(self.text(weights))
        beside.replace(self.file)

    def _wait(self, weights: Mapping[str, int]) -> None:
        until(lambda: self.server.weights("model") == dict(weights), f"Traefik to serve {weights}")

    def reset(self) -> None:
        self.change_behind(self.initial)

    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> Traefik:
        settings = TraefikPlane(
            kind="traefik",
            file="dynamic/models.yml",
            service="model",
            api=tuple(f"http://{proxy.address}" for proxy in self.proxies),
            token_file="token",  # noqa: S106 - a file's name
            timeout=timedelta(seconds=timeout),
        )
        return Traefik(settings, arms or self.arms, self.folder)

    def truth(self) -> tuple[Mapping[str, int], ...]:
        text = self.file.read_text()
        found = [int(n) for n in re.findall(r"weight: (\d+)", text)]
        weights = dict(zip(self.arms, found, strict=True))
        assert text == self.text(weights), "something else has changed"
        self._wait(weights)
        return (weights,)

    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        self._write(weights)
        self._wait(weights)

    def serve(self, n: int, replica: int = 0) -> Counter[str]:
        return send(self.server.port, n)

    def restart(self, replica: int = 0) -> None:
        self.server.stop()
        self.server.start()
        self._wait(self.truth()[0])
