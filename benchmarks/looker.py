"""What a console does beside a recorder, without its screen: `python -m benchmarks.looker`."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collectors.live.client import connected
from collectors.store.moments import naive_utc
from console.config import load_config
from console.panes import take
from console.snapshots import Taker
from console.windows import make_ask

PANES = ("overview", "performance", "drift", "traffic", "data", "subgroups")
EVERY_S, LOOK_S = 2.0, 0.1


def main(config_path: Path, begin: float, end: float) -> None:
    """Take panes in turn from `begin` to `end`, seconds since 1970; print how long each took."""
    config = load_config(config_path)
    store = config.store_path(config_path, os.environ)
    reader = None
    while reader is None:
        time.sleep(0.1)
        reader = connected(store)
    snapshots, panes, lags = [], [], []
    offset = (os.getpid() % 20) / 10  # consoles do not look in step
    turn, following = 0, begin + 1 + offset
    while (now := time.time()) < end:
        if now < begin + 1:
            time.sleep(0.05)
            continue
        moment = datetime.now(UTC)
        if now < following:
            frame = reader.query("extent", "bench", end=naive_utc(moment + timedelta(hours=1)))
            last = frame["last_ts"].to_list()[0] if frame.height else None
            if last is not None and now < end - 3.5:
                lags.append(time.time() - last.replace(tzinfo=UTC).timestamp())
            time.sleep(LOOK_S)
            continue
        following = now + EVERY_S
        name = PANES[turn % len(PANES)]
        turn += 1
        ask = make_ask(config.deployment[0], moment, timedelta(hours=6), watched=True)
        started = time.perf_counter()
        take(name, Taker(reader, config.deployment, live=moment), ask)
        took = (time.perf_counter() - started) * 1000
        reader.rest()
        snapshots.append(took)
        panes.append((name, took))
    print(json.dumps({"snapshots": snapshots, "panes": panes, "lags": lags}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)
