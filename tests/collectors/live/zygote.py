"""Starts recorders quickly, to be killed: everything is imported once, each one is a fork of it.

Reads one line for each from standard input and writes its process id, then `pass` for each of its
passes.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from collectors.contract import Deployment
from collectors.ingest import Ingest
from collectors.live.clock import SteadyClock
from collectors.live.recorder import Recorder, RecorderState
from collectors.live.server import StoreServer
from collectors.store.database import Database


def say(line: str) -> None:
    """At once, and whole: children and parent write to the same pipe."""
    os.write(1, f"{line}\n".encode())


def record(base: Path, contract: Deployment) -> None:
    """Record until it is killed; says when the store is open, and when a pass is through."""
    with Database(base / "store.duckdb") as database:
        state = RecorderState()
        server = StoreServer(database, state.document)
        recorder = Recorder(
            Ingest(database, [contract], base, SteadyClock()),
            state,
            interval=0.005,
            report=lambda _: say("pass"),
        )
        recorder.run(threading.Event())
        server.close()


def main() -> None:
    """Fork a recorder for each line."""
    base, contract = Path(sys.argv[1]), Deployment.model_validate_json(sys.argv[2])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                record(base, contract)
            finally:
                os._exit(1)
        say(str(pid))


if __name__ == "__main__":
    main()
