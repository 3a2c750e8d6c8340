"""The demo's modelwatch.toml: the sample's deployment as it is served now, behind our own proxy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from console.demo.proxy import PREFIX
from console.demo.scoring import load_model
from console.demo.settings import Settings
from console.demo.traffic import LABELS, PREDICTIONS
from console.toml import text

__all__ = ["ARMS", "CATEGORICAL", "DEPLOYMENT", "NUMERIC", "STORE", "demo_toml"]

DEPLOYMENT = "flight-late"
STORE = "demo.duckdb"

ARMS: Mapping[str, str] = {"v1": "v1", "v2": "v2", "heuristic": "fallback"}
"""Arm, which is its version too -> the sample's model that answers there."""

CATEGORICAL = ("origin", "carrier", "dest")
NUMERIC = (
    "distance", "dep_minute", "sched_load",
    "temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib",
    "cong_mean", "cong_count",
)  # fmt: skip

_TOML = """\
# The demo's configuration; it goes away with the demo.

[console]
clock = "live"
window = "15m"
refresh = 1.0

[recorder]
findings = "10s"
least_free = 64

[store]
path = "{store}"
memory_limit = "512MB"

[[deployment]]
name = "{deployment}"
task = "binary"
predictions = {{ path = "{predictions}" }}
id = "request_id"
timestamp = "timestamp"
version = "version"
score = "late_score"
prediction = "late_predicted"
threshold = {{ {thresholds} }}
latency_ms = "latency_ms"
error = "status"
champion = "v1"
crosses = false
segments = [
    "origin",
    {{ name = "departure", column = "dep_minute", edges = [300, 480, 720, 960, 1200], labels = [
        "00-05 h", "05-08 h", "08-12 h", "12-16 h", "16-20 h", "20-24 h",
    ] }},
]

[deployment.features]
categorical = [{categorical}]
numeric = [{numeric}]

[deployment.labels]
source = {{ path = "{labels}" }}
id = "request_id"
value = "late"
received = "received_at"

[deployment.fallback]
name = "January rate by carrier and origin"
score = "fallback_score"
threshold = {fallback}

[[deployment.reference]]
path = {reference_v1}
version = "v1"

[[deployment.reference]]
path = {reference_v2}
version = "v2"

# Our own proxy, thrown away with the demo: it may be changed without --write.
[[control]]
deployment = "{deployment}"
plane = {{ kind = "envoy", admin = ["{admin}"], prefix = "{prefix}" }}
arms = {{ {arms} }}
stable = "v1"
write = true
max_step = 50
cooldown = "2s"
least = {least}
max_age = "30s"
verify = "30s"
poll = "1s"

[control.health]
{health}

# Much shorter than in production, where a step is looked at for hours.
[control.ramp]
steps = [{steps}]
pause = "{pause}"
least = {least}

[[control.ramp.gate]]
figure = "error_rate"
at_most = 0.1

[[control.ramp.gate]]
figure = "recall"
at_least = 0.45

[[control.ramp.gate]]
figure = "latency_p95"
at_most = 300

# Back is a person's: while the heuristic answers, nobody can know v1's share of errors.
[control.fallback]
automatic = true
most = 6
within = "30m"

[[control.fallback.target]]
arm = "heuristic"
alike = "fallback"

[[control.fallback.rule]]
figure = "error_rate"
above = 0.15
window = "15s"
for = "3s"
"""


def demo_toml(settings: Settings, admin: str, ports: Mapping[str, int]) -> str:
    """The whole file. admin: the proxy's address; ports: of each arm's server."""
    sample = Path(settings.sample)
    thresholds = {arm: load_model(sample, name).threshold for arm, name in ARMS.items()}
    return _TOML.format(
        store=STORE,
        deployment=DEPLOYMENT,
        predictions=PREDICTIONS,
        labels=LABELS,
        thresholds=", ".join(f"{arm} = {value!r}" for arm, value in thresholds.items()),
        categorical=", ".join(text(name) for name in CATEGORICAL),
        numeric=", ".join(text(name) for name in NUMERIC),
        fallback=repr(thresholds["heuristic"]),
        reference_v1=text(str((sample / "reference" / "v1.parquet").resolve())),
        reference_v2=text(str((sample / "reference" / "v2.parquet").resolve())),
        admin=admin,
        prefix=PREFIX,
        arms=", ".join(f'{arm} = "{arm}"' for arm in ARMS),
        health="\n".join(
            f'{arm} = "http://127.0.0.1:{port}/health"' for arm, port in ports.items()
        ),
        steps=", ".join(f"{step:g}" for step in settings.steps),
        pause=settings.pause,
        least=settings.least,
    )
