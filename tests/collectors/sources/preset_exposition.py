"""What serving systems write, by preset: names and labels as in their documentation.

A value is what a series has; with a plus, what a counter gains each second. In each: a quarter of
all requests fails, and a request takes 50 ms.
"""

from __future__ import annotations

EXPOSITIONS = {
    "envoy": """
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="v1"} +3
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="v1"} +1
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="v1",le="25"} +0
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="v1",le="50"} +4
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="v1",le="+Inf"} +4
envoy_cluster_upstream_rq_pending_active{envoy_cluster_name="v1"} 2
""",
    "kserve": """
revision_request_count{revision_name="m-1",response_code="200",response_code_class="2xx"} +3
revision_request_count{revision_name="m-1",response_code="503",response_code_class="5xx"} +1
revision_request_latencies_bucket{revision_name="m-1",response_code_class="2xx",le="40"} +0
revision_request_latencies_bucket{revision_name="m-1",response_code_class="2xx",le="50"} +4
revision_request_latencies_bucket{revision_name="m-1",response_code_class="2xx",le="+Inf"} +4
revision_queue_depth{revision_name="m-1"} 1
""",
    "knative": """
target_info{kn_revision_name="m-1",k8s_namespace_name="ml",service_name="m"} 1
kn_serving_invocation_duration_seconds_count{http_response_status_code="200"} +3
kn_serving_invocation_duration_seconds_count{http_response_status_code="500"} +1
kn_serving_invocation_duration_seconds_bucket{http_response_status_code="200",le="0.04"} +0
kn_serving_invocation_duration_seconds_bucket{http_response_status_code="200",le="0.05"} +4
kn_serving_invocation_duration_seconds_bucket{http_response_status_code="200",le="+Inf"} +4
kn_serving_queue_depth 1
""",
    "kserve-python": """
request_predict_seconds_count{model_name="m"} +4
request_predict_seconds_bucket{model_name="m",le="0.025"} +0
request_predict_seconds_bucket{model_name="m",le="0.05"} +4
request_predict_seconds_bucket{model_name="m",le="+Inf"} +4
""",
    "mlserver": """
model_infer_request_success_total{model="m",version="v1"} +3
model_infer_request_failure_total{model="m",version="v1"} +1
model_infer_request_duration_count{model="m",version="v1"} +4
model_infer_request_duration_sum{model="m",version="v1"} +0.2
rest_server_request_duration_seconds_bucket{path="/v2/models/{model_name}/infer",le="0.025"} +0
rest_server_request_duration_seconds_bucket{path="/v2/models/{model_name}/infer",le="0.05"} +4
rest_server_request_duration_seconds_bucket{path="/v2/models/{model_name}/infer",le="+Inf"} +4
rest_server_request_duration_seconds_bucket{path="/v2",le="0.025"} +900
rest_server_request_duration_seconds_bucket{path="/v2",le="+Inf"} +900
""",
    "triton": """
nv_inference_request_success{model="m",version="1"} +3
nv_inference_request_failure{model="m",reason="OTHER",version="1"} +0.5
nv_inference_request_failure{model="m",reason="BACKEND",version="1"} +0.5
nv_inference_request_duration_us{model="m",version="1"} +150000
nv_inference_queue_duration_us{model="m",version="1"} +3000
nv_inference_request_summary_us{model="m",version="1",quantile="0.5"} 50000
nv_inference_request_summary_us{model="m",version="1",quantile="0.95"} 50000
nv_inference_request_summary_us{model="m",version="1",quantile="0.99"} 50000
nv_inference_pending_request_count{model="m",version="1"} 1
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.25
nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 1073741824
""",
    "vllm": """
vllm:request_success_total{model_name="m",engine="0",finished_reason="stop"} +4
vllm:e2e_request_latency_seconds_bucket{model_name="m",engine="0",le="0.025"} +0
vllm:e2e_request_latency_seconds_bucket{model_name="m",engine="0",le="0.05"} +4
vllm:e2e_request_latency_seconds_bucket{model_name="m",engine="0",le="+Inf"} +4
vllm:time_to_first_token_seconds_bucket{model_name="m",engine="0",le="0.02"} +4
vllm:time_to_first_token_seconds_bucket{model_name="m",engine="0",le="+Inf"} +4
vllm:num_requests_waiting{model_name="m",engine="0"} 1
vllm:gpu_cache_usage_perc{model_name="m",engine="0"} 0.5
""",
    "node": """
node_cpu_seconds_total{cpu="0",mode="idle"} +0.75
node_cpu_seconds_total{cpu="0",mode="user"} +0.25
node_cpu_seconds_total{cpu="1",mode="idle"} +0.75
node_cpu_seconds_total{cpu="1",mode="user"} +0.25
node_memory_MemTotal_bytes 8589934592
node_memory_MemAvailable_bytes 4294967296
node_load1 1
node_filesystem_avail_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} 1000000
node_filesystem_avail_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 1
""",
    "dcgm": """
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",modelName="A"} 25
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-1",modelName="A"} 1024
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-1",modelName="A"} 60
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1",modelName="A"} 200
""",
    "process": """
process_cpu_seconds_total +0.25
process_resident_memory_bytes 1048576
""",
}
