"""A JSON document behind an address: the configuration of a real Caddy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import httpx
from faulty_proxy import FaultyProxy
from rig import Rig
from servers import Upstream, send
from web_servers import CaddyServer

from console.control.plane_settings import HttpPlane
from console.control.planes.http_json import HttpJson

POLICY = "/config/apps/http/servers/models/routes/0/handle/0/load_balancing/selection_policy"

_TRIES = 4


class CaddyRig(Rig):
    """A Caddy that takes turns by weights, and upstreams in this process."""

    kind = "http"
    can_restart = True
    serves = True
    exact = True
    knows_names = False
    secret = "s3cr3t-of-caddy"  # noqa: S105 - of this test
    write_marks = (b"PATCH ",)

    def start(self) -> None:
        self.upstreams = [Upstream(arm) for arm in self.arms]
        ports = [upstream.port for upstream in self.upstreams]
        proxy = FaultyProxy(("127.0.0.1", 0))
        self.proxies = (proxy,)
        weights = list(self.initial.values())
        self.server = CaddyServer(self.folder, ports, weights, [proxy.address])
        proxy.server = ("127.0.0.1", self.server.admin)
        self.server.start()
        (self.folder / "token").write_text(self.secret)

    def stop(self) -> None:
        if hasattr(self, "server"):
            self.server.stop()
        for upstream in getattr(self, "upstreams", ()):
            upstream.stop()

    def reset(self) -> None:
        policy = {"policy": "weighted_round_robin", "weights": list(self.initial.values())}
        self._patch(policy)

    def _patch(self, policy: Mapping[str, object]) -> None:
        said = httpx.patch(f"http://127.0.0.1:{self.server.admin}{POLICY}", json=policy)
        assert said.status_code == 200, said.text

    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> HttpJson:
        settings = HttpPlane(
            kind="http",
            url=f"http://{self.proxies[0].address}{POLICY}",
            weights="/weights",
            revision="/@id",
            method="PATCH",
            token_file="token",  # noqa: S106 - a file's name
            timeout=timedelta(seconds=timeout),
        )
        return HttpJson(settings, arms or self.arms, self.folder)

    def truth(self) -> tuple[Mapping[str, int], ...]:
        policy = httpx.get(f"http://127.0.0.1:{self.server.admin}{POLICY}").json()
        return (dict(zip(self.arms, policy["weights"], strict=True)),)

    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        policy = {"policy": "weighted_round_robin", "weights": [weights[a] for a in self.arms]}
        self._patch(policy)

    def serve(self, n: int, replica: int = 0) -> Counter[str]:
        """As a client that tries again when its connection ends without an answer.

        Caddy opens its listeners anew for every change and loses the connections that wait at the
        old ones: at 1,400 requests a second, 4 of 30 changes cost one each, new or kept. No plane
        can prevent that; docs/planes.md says it.
        """
        answers = send(self.server.port, n)
        for _ in range(_TRIES - 1):
            lost = answers.pop("", 0)
            answers += send(self.server.port, lost)
        return answers

    def restart(self, replica: int = 0) -> None:
        self.server.stop()
        self.server.start()
