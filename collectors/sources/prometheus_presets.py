"""What to ask Prometheus for, by serving system.

In a query, `$selector` stands for the label matchers of the configuration, `$rate` for the length
that rates are taken over, `$version` for the label that tells model versions apart, `$only` for
" by (version)" and `$by` for ", version"; the last two are empty where there is no such label.
Units are those of the metric's name: milliseconds, bytes, shares of 1, per second.

Names and units were read in the projects' own sources and documentation:

    envoy          since 1.9; histograms are in milliseconds, whatever the unit of scrapers
    kserve         queue-proxy of Knative Serving up to 1.18 (OpenCensus); milliseconds
    knative        queue-proxy of Knative Serving since 1.19 (OpenTelemetry); seconds. The revision
                   stands in `target_info` alone
    kserve-python  KServe's own Python model server, 0.10 to 0.15; seconds, no count of failures
    mlserver       1.3 to 1.6; its duration is a summary without quantiles, so quantiles are those
                   of its REST server, which knows no versions
    triton         23.04 to 25.x; counters in microseconds. Quantiles only with
                   `--metrics-config summary_latencies=true`; of several servers the worst is taken,
                   since quantiles of summaries cannot be added up
    vllm           V1, since 0.8; `gpu_cache_usage_perc` became `kv_cache_usage_perc` in 0.9
    node           node_exporter since 0.16
    dcgm           dcgm-exporter 2.x to 4.x, default counters; memory is in MiB, utilization in %
    process        any client library
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, slots=True)
class Preset:
    """version: the label of a model version, empty where the system has none. queries: PromQL."""

    version: str
    queries: Mapping[str, str]


def _quantiles(buckets: str, *, seconds: bool, by: str = "$by") -> dict[str, str]:
    """Latency quantiles. buckets: rates of a histogram's buckets."""
    scale = " * 1000" if seconds else ""
    return {
        f"latency_p{q}_ms": f"histogram_quantile(0.{q}, sum by (le{by}) ({buckets})){scale}"
        for q in (50, 95, 99)
    }


def _rate(counter: str, more: str = "") -> str:
    return f"rate({counter}{{{more}$selector}}[$rate])"


def _per_second(counter: str, more: str = "") -> str:
    return f"sum$only ({_rate(counter, more)})"


def _traffic(every: str, failed: str) -> dict[str, str]:
    """every, failed: rates of all requests and of those that failed."""
    errors = f"({failed} or {every} * 0)"
    return {
        "requests_per_second": every,
        # a counter of failures comes into being with the first one: before, there were none
        "errors_per_second": errors,
        # without requests there is no share: 0 / 0 is NaN, which is no sample
        "error_rate": f"{errors} / {every}",
    }


_ENVOY = "envoy_cluster_upstream_rq"
_KNATIVE = "kn_serving_invocation_duration_seconds"
_REVISION = " * on (job, instance) group_left (kn_revision_name) target_info{$selector}"
_MLSERVER = "model_infer_request"
_TRITON_FAILED = _per_second("nv_inference_request_failure")
_TRITON_ALL = f"({_per_second('nv_inference_request_success')} + {_TRITON_FAILED})"
_CORES = 'count by (job, instance) (node_cpu_seconds_total{mode="idle",$selector})'


def _knative(series: str, more: str = "") -> str:
    return _rate(f"{_KNATIVE}_{series}", more) + _REVISION


def _mean_us(total: str) -> str:
    return f"{_per_second(total)} / {_per_second('nv_inference_request_success')} / 1000"


PRESETS: Mapping[str, Preset] = {
    "envoy": Preset(
        "envoy_cluster_name",
        {
            **_traffic(
                _per_second(f"{_ENVOY}_xx"),
                _per_second(f"{_ENVOY}_xx", 'envoy_response_code_class="5",'),
            ),
            **_quantiles(_rate(f"{_ENVOY}_time_bucket"), seconds=False),
            "queue_length": f"sum$only ({_ENVOY}_pending_active{{$selector}})",
        },
    ),
    "kserve": Preset(
        "revision_name",
        {
            **_traffic(
                _per_second("revision_request_count"),
                _per_second("revision_request_count", 'response_code_class="5xx",'),
            ),
            **_quantiles(_rate("revision_request_latencies_bucket"), seconds=False),
            "queue_length": "sum$only (revision_queue_depth{$selector})",
        },
    ),
    "knative": Preset(
        "kn_revision_name",
        {
            **_traffic(
                f"sum$only ({_knative('count')})",
                "sum$only (" + _knative("count", 'http_response_status_code=~"5..",') + ")",
            ),
            **_quantiles(_knative("bucket"), seconds=True),
            "queue_length": f"sum$only (kn_serving_queue_depth{{$selector}}{_REVISION})",
        },
    ),
    "kserve-python": Preset(
        "model_name",
        {
            "requests_per_second": _per_second("request_predict_seconds_count"),
            **_quantiles(_rate("request_predict_seconds_bucket"), seconds=True),
        },
    ),
    "mlserver": Preset(
        "version",
        {
            **_traffic(
                _per_second(f"{_MLSERVER}_duration_count"),
                _per_second(f"{_MLSERVER}_failure_total"),
            ),
            "latency_mean_ms": (
                f"{_per_second(f'{_MLSERVER}_duration_sum')} "
                f"/ {_per_second(f'{_MLSERVER}_duration_count')} * 1000"
            ),
            **_quantiles(
                _rate("rest_server_request_duration_seconds_bucket", 'path=~".*/infer",'),
                seconds=True,
                by="",
            ),
        },
    ),
    "triton": Preset(
        "version",
        {
            **_traffic(_TRITON_ALL, _TRITON_FAILED),
            "latency_mean_ms": _mean_us("nv_inference_request_duration_us"),
            **{
                f"latency_p{q}_ms": (
                    f'max$only (nv_inference_request_summary_us{{quantile="{share}",$selector}})'
                    " / 1000"
                )
                for q, share in ((50, "0.5"), (95, "0.95"), (99, "0.99"))
            },
            "queue_mean_ms": _mean_us("nv_inference_queue_duration_us"),
            "queue_length": "sum$only (nv_inference_pending_request_count{$selector})",
            "gpu_utilization": "avg (nv_gpu_utilization{$selector})",
            "gpu_memory_bytes": "sum (nv_gpu_memory_used_bytes{$selector})",
        },
    ),
    "vllm": Preset(
        "model_name",
        {
            "requests_per_second": _per_second("vllm:request_success_total"),
            **_quantiles(_rate("vllm:e2e_request_latency_seconds_bucket"), seconds=True),
            "first_token_p95_ms": (
                "histogram_quantile(0.95, sum by (le$by) "
                f"({_rate('vllm:time_to_first_token_seconds_bucket')})) * 1000"
            ),
            "queue_length": "sum$only (vllm:num_requests_waiting{$selector})",
            "saturation": (
                "max$only (vllm:kv_cache_usage_perc{$selector}) "
                "or max$only (vllm:gpu_cache_usage_perc{$selector})"
            ),
        },
    ),
    "node": Preset(
        "",
        {
            "cpu_cores": "sum$only (" + _rate("node_cpu_seconds_total", 'mode!="idle",') + ")",
            "cpu_utilization": (
                "1 - avg$only (" + _rate("node_cpu_seconds_total", 'mode="idle",') + ")"
            ),
            "memory_bytes": (
                "sum$only (node_memory_MemTotal_bytes{$selector} "
                "- node_memory_MemAvailable_bytes{$selector})"
            ),
            # processes that want to run, per core, of the busiest machine
            "saturation": (
                f"max$only (node_load1{{$selector}} / on (job, instance) group_left () {_CORES})"
            ),
            "disk_free_bytes": (
                'min$only (node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|squashfs",$selector})'
            ),
        },
    ),
    "dcgm": Preset(
        "",
        {
            "gpu_utilization": "avg$only (DCGM_FI_DEV_GPU_UTIL{$selector}) / 100",
            "gpu_memory_bytes": "sum$only (DCGM_FI_DEV_FB_USED{$selector}) * 1048576",
            "gpu_temperature_celsius": "max$only (DCGM_FI_DEV_GPU_TEMP{$selector})",
            "gpu_power_watts": "sum$only (DCGM_FI_DEV_POWER_USAGE{$selector})",
        },
    ),
    "process": Preset(
        "",
        {
            "cpu_cores": "sum$only (" + _rate("process_cpu_seconds_total") + ")",
            "memory_bytes": "sum$only (process_resident_memory_bytes{$selector})",
        },
    ),
}
"""Preset by name."""
