"""All processes of the demo, held together by one: servers, proxy, recorder, traffic.

`python -m console.demo.world` reads settings as one line of JSON from standard input, starts
everything, answers with one line of JSON, and takes everything down again when that input ends:
when whoever started it is done, or dead. Whatever it made lies in one folder, which goes as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar

from collectors.errors import CollectorError
from collectors.live.client import connected
from console.demo.children import child, module
from console.demo.configuration import ARMS, CATEGORICAL, NUMERIC, STORE, demo_toml
from console.demo.proxy import find_envoy, proxy_document
from console.demo.running import Running, announce, withdraw
from console.demo.scoring import load_model
from console.demo.settings import Settings
from console.demo.traffic import Traffic, sample_requests
from console.errors import UsageError

__all__ = ["main"]

_START_S = 30.0
_POLL_S = 0.02

CONFIG = "modelwatch.toml"

_T = TypeVar("_T")


def main() -> int:
    """Run it. 0 when it ended in order, 3 when something did not start."""
    settings = Settings(**json.loads(sys.stdin.buffer.readline()))
    folder = Path(tempfile.mkdtemp(prefix="modelwatch-demo-"))
    try:
        with ExitStack() as stack:
            try:
                demo = _started(settings, folder, stack)
            except (OSError, ValueError, CollectorError, UsageError) as error:
                _say({"failed": str(error)})
                return 3
            _say({"ready": asdict(demo)})
            sys.stdin.buffer.read()  # until the other end is gone, however it went
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        withdraw(os.getpid(), os.environ)
    return 0


def _started(settings: Settings, folder: Path, stack: ExitStack) -> Running:
    """Everything that runs; each ends with the stack. Raises OSError, ValueError, UsageError."""
    sample = Path(settings.sample)
    ports = {}
    for arm, model in ARMS.items():
        words = module("console.demo.server", str(sample), model, arm)
        server = stack.enter_context(child(words, talks=True))
        ports[arm] = int(_first_line(server, f"the server of {arm}")["port"])
    admin, listener = _proxy(folder, ports, stack)
    config = folder / CONFIG
    config.write_text(demo_toml(settings, f"http://127.0.0.1:{admin}", ports), encoding="utf-8")
    store = folder / STORE
    words = module("console.cli", "record", "--config", str(config))
    log = folder / "recorder.log"
    recorder = stack.enter_context(child(words, log=log, tethered=True, scratch=folder))
    requests = sample_requests(sample, (*CATEGORICAL, "dow", *NUMERIC))
    traffic = Traffic(
        requests,
        load_model(sample, "fallback"),
        ("127.0.0.1", listener),
        folder,
        rate=settings.rate,
        versions={arm: arm for arm in ARMS},
        label_delay_s=settings.label_delay_s,
        seconds=60 * settings.minutes,
    )
    traffic.start()
    stack.callback(traffic.stop)
    _until(lambda: _answers(store), recorder, "the recorder", log)
    demo = Running(
        pid=os.getpid(),
        folder=str(folder),
        config=str(config),
        store=str(store),
        proxy=f"http://127.0.0.1:{listener}",
        servers={arm: f"http://127.0.0.1:{port}" for arm, port in ports.items()},
    )
    announce(demo, os.environ)
    return demo


def _proxy(folder: Path, ports: dict[str, int], stack: ExitStack) -> tuple[int, int]:
    """The ports of its admin interface and of its listener."""
    written, told = folder / "envoy.json", folder / "envoy.admin"
    written.write_text(json.dumps(proxy_document(ports, next(iter(ports)))), encoding="utf-8")
    log = folder / "envoy.log"
    words = [
        *(str(find_envoy()), "--config-path", str(written), "--disable-hot-restart"),
        *("--concurrency", "1", "--admin-address-path", str(told)),
        *("--log-level", "warning", "--log-path", str(log)),
    ]
    envoy = stack.enter_context(child(words, log=folder / "envoy.out", tethered=True))

    def admin() -> int | None:
        with suppress(OSError, ValueError):
            return int(told.read_text(encoding="utf-8").strip().rpartition(":")[2])
        return None

    port = _until(admin, envoy, "Envoy", log)
    _until(lambda: _get(port, "/ready")[0] == 200, envoy, "Envoy", log)
    statuses = json.loads(_get(port, "/listeners?format=json")[1])["listener_statuses"]
    return port, int(statuses[0]["local_address"]["socket_address"]["port_value"])


def _first_line(server: subprocess.Popen[bytes], what: str) -> dict[str, Any]:
    line = server.stdout.readline() if server.stdout is not None else b""
    if not line:
        raise ValueError(f"{what} did not start; is the sample's folder complete?")
    found: dict[str, Any] = json.loads(line)
    return found


def _until(
    asked: Callable[[], _T | None], running: subprocess.Popen[bytes], what: str, log: Path
) -> _T:
    """What `asked` says once it says anything. Raises ValueError when it never does."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end and running.poll() is None:
        found = asked()
        if found:
            return found
        time.sleep(_POLL_S)
    with suppress(OSError):
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        if last:
            raise ValueError(f"{what} did not start: {last[0]}")
    raise ValueError(f"{what} did not start within {_START_S:.0f} s")


def _answers(store: Path) -> bool:
    reader = connected(store)
    if reader is None:
        return False
    reader.close()
    return True


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def _say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)  # noqa: T201 - whoever started it reads it


if __name__ == "__main__":
    sys.exit(main())
