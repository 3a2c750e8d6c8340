"""Decoders of platforms: odd records, and that nothing but a RecordError ever comes of one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.contract import FileFormat
from collectors.formats.bentoml import schema_roles
from collectors.formats.bodies import request_rows, response_rows
from collectors.formats.platforms import PLATFORMS, decoder_of
from collectors.formats.records import Part, RecordError, Row, parsed
from collectors.store.reasons import Reason

SCALARS = st.none() | st.booleans() | st.text(max_size=8) | st.integers() | st.floats()
KEYS = st.sampled_from(
    [
        "captureData",
        "endpointInput",
        "endpointOutput",
        "data",
        "encoding",
        "eventMetadata",
        "eventId",
        "inferenceTime",
        "groundTruthData",
        "type",
        "correlationid",
        "id",
        "headers",
        "Ce-Type",
        "Ce-Id",
        "body",
        "instances",
        "predictions",
        "inputs",
        "outputs",
        "name",
        "shape",
        "datatype",
        "request",
        "response",
        "databricks_request_id",
        "status_code",
        "truth",
        "deployed_model_id",
        "request_payload",
        "response_payload",
        "request_id",
        "columns",
        "role",
        "dataframe_split",
        "ndarray",
        "names",
        "tensor",
        "values",
        "error",
        "time",
        "",
    ]
)
WORDS = st.sampled_from(
    [
        "org.kubeflow.serving.inference.request",
        "org.kubeflow.serving.inference.response",
        "io.seldon.serving.feedback",
        "io.seldon.serving.inference.request",
        "BASE64",
        "CSV",
        "JSON",
        "azureml.inference.model_inputs",
        "azureml.inference.model_outputs",
        "application/json",
        '{"predictions": [1, [2]]}',
        "1,2\n3",
        "[[1], {}]",
    ]
)
RECORDS = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)


@pytest.mark.parametrize("platform", PLATFORMS)
@settings(max_examples=150, deadline=None)
@given(record=st.dictionaries(KEYS, RECORDS, max_size=8))
def test_whatever_is_in_a_record(platform: FileFormat, record: dict[str, Any]) -> None:
    decoder = decoder_of(platform)
    text = json.dumps(record)
    again = parsed(text)
    assert isinstance(again, dict)
    decoder.recognises(again)
    try:
        rows = decoder.decode(again)
    except RecordError as error:
        assert isinstance(error.reason, Reason)
        return
    for row in rows:
        assert isinstance(row.request, str)
        assert all(v is None or isinstance(v, str | bool) for v in row.values.values())
        assert row.items == 0 or 0 <= row.item < row.items


@settings(max_examples=300, deadline=None)
@given(body=RECORDS)
def test_whatever_is_in_a_body(body: object) -> None:
    for read in (request_rows, response_rows):
        try:
            rows = read(parsed(json.dumps(body)))
        except RecordError:
            continue
        assert rows


def decoded(platform: FileFormat, record: dict[str, Any]) -> list[Row]:
    again = parsed(json.dumps(record))
    assert isinstance(again, dict)
    return list(decoder_of(platform).decode(again))


def reason(platform: FileFormat, record: dict[str, Any]) -> Reason:
    with pytest.raises(RecordError) as error:
        decoded(platform, record)
    return error.value.reason


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (
            {"instances": [[1, 2], [3, 4]]},
            [{"input.0": "1", "input.1": "2"}, {"input.0": "3", "input.1": "4"}],
        ),
        ({"instances": [{"a": 1, "b": {"c": True}}]}, [{"a": "1", "b.c": True}]),
        ({"instances": [5]}, [{"input": "5"}]),
        ({"inputs": {"a": [1, 2], "b": ["x", "y"]}}, [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]),
        (
            {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]},
            [{"x.0": "1", "x.1": "2"}, {"x.0": "3", "x.1": "4"}],
        ),
        (
            {
                "inputs": [
                    {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4]]}
                ]
            },
            [{"x.0": "1", "x.1": "2"}, {"x.0": "3", "x.1": "4"}],
        ),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}, [{"a": "1", "b": "2"}]),
        ({"dataframe_records": [{"id": 7, "label": 1}]}, [{"input.id": "7", "input.label": "1"}]),
        (
            {"data": {"names": ["a"], "tensor": {"shape": [2, 1], "values": [1, 2]}}},
            [{"a": "1"}, {"a": "2"}],
        ),
    ],
)
def test_requests(body: object, rows: list[dict[str, Any]]) -> None:
    assert request_rows(parsed(json.dumps(body))) == rows


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"predictions": [0.25, 1]}, [{"prediction": "0.25"}, {"prediction": "1"}]),
        ({"predictions": [[0.1, 0.9]]}, [{"output.0": "0.1", "output.1": "0.9"}]),
        ({"predictions": [[0.9]]}, [{"prediction": "0.9"}]),
        (
            {"predictions": [{"label": "a", "score": 0.5}]},
            [{"output.label": "a", "output.score": "0.5"}],
        ),
        (
            {"outputs": [{"name": "p", "shape": [2], "datatype": "FP32", "data": [1, 2]}]},
            [{"prediction": "1"}, {"prediction": "2"}],
        ),
    ],
)
def test_responses(body: object, rows: list[dict[str, Any]]) -> None:
    assert response_rows(parsed(json.dumps(body))) == rows


def test_numbers_stay_as_they_are_written() -> None:
    text = '{"predictions": [0.1000000000000000055511151231257827, 123456789012345678901234567890]}'
    assert [r["prediction"] for r in response_rows(parsed(text))] == [
        "0.1000000000000000055511151231257827",
        "123456789012345678901234567890",
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            {"inputs": [{"name": "x", "shape": [3], "datatype": "FP32", "data": [1]}]},
            Reason.BAD_PAYLOAD,
        ),
        ({"inputs": [{"name": "x", "shape": [-1], "data": [1]}]}, Reason.BAD_PAYLOAD),
        (
            {"inputs": [{"name": "x", "shape": [1], "parameters": {"binary_data_size": 4}}]},
            Reason.BINARY_PAYLOAD,
        ),
        ({"inputs": {"a": [1], "b": [1, 2]}}, Reason.BAD_PAYLOAD),
        ({"instances": []}, Reason.NO_PAYLOAD),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, Reason.BAD_PAYLOAD),
        ({"data": {"tftensor": {}}}, Reason.BINARY_PAYLOAD),
    ],
)
def test_bodies_that_cannot_be_used_say_why(body: object, why: Reason) -> None:
    with pytest.raises(RecordError) as error:
        request_rows(parsed(json.dumps(body)))
    assert error.value.reason is why


CAPTURE = {
    "captureData": {
        "endpointInput": {"data": "1,2\n3,4", "encoding": "CSV", "observedContentType": "text/csv"},
        "endpointOutput": {
            "data": "0.5\n0.7",
            "encoding": "CSV",
            "observedContentType": "text/csv",
        },
    },
    "eventMetadata": {"eventId": "e1", "inferenceTime": "2024-01-01T00:00:00Z"},
}


def test_sagemaker_batches_keep_their_order_and_the_path_says_the_variant() -> None:
    rows = decoded(FileFormat.SAGEMAKER, CAPTURE)
    assert [r.values["id"] for r in rows] == ["e1#0", "e1#1"]
    assert [r.values["prediction"] for r in rows] == ["0.5", "0.7"]
    path = Path("ep/blue/2024/02/03/04/x.jsonl")
    assert decoder_of(FileFormat.SAGEMAKER).of_path(path) == {
        "version": "blue",
        "timestamp": "2024-02-03T04:00:00Z",
    }


def test_sagemaker_reads_base64_of_text_and_sets_bytes_apart() -> None:
    side = {
        "data": base64.b64encode(b'{"instances": [[1]]}').decode(),
        "encoding": "BASE64",
        "observedContentType": "application/json",
    }
    capture = {**CAPTURE["captureData"], "endpointInput": side}
    one = {"data": "0.5", "encoding": "CSV"}
    rows = decoded(
        FileFormat.SAGEMAKER, {**CAPTURE, "captureData": {**capture, "endpointOutput": one}}
    )
    assert rows[0].values["input.0"] == "1"
    side["data"] = base64.b64encode(b"\xff\xfe\x00").decode()
    assert (
        reason(FileFormat.SAGEMAKER, {**CAPTURE, "captureData": capture}) is Reason.BINARY_PAYLOAD
    )


def test_a_batch_that_was_answered_in_part_is_no_prediction() -> None:
    capture = {**CAPTURE["captureData"], "endpointOutput": {"data": "0.5", "encoding": "CSV"}}
    assert reason(FileFormat.SAGEMAKER, {**CAPTURE, "captureData": capture}) is Reason.SIZES_DIFFER


def test_ground_truth_is_a_label_of_each_row() -> None:
    record = {
        "groundTruthData": {"data": "1\n0", "encoding": "CSV"},
        "eventMetadata": {"eventId": "e1"},
        "eventVersion": "0",
    }
    rows = decoded(FileFormat.SAGEMAKER, record)
    assert [(r.part, r.values["id"], r.values["label"]) for r in rows] == [
        (Part.LABEL, "e1#0", "1"),
        (Part.LABEL, "e1#1", "0"),
    ]


def test_azure_pointers_and_blobs_are_set_apart() -> None:
    event = {
        "type": "azureml.inference.model_inputs",
        "correlationid": "c",
        "time": "2024-01-01T00:00:00Z",
    }
    assert reason(FileFormat.AZUREML, {**event, "dataref": "azureml://x"}) is Reason.POINTER
    blob = {**event, "data": "AAEC", "datainblob": "true"}
    assert reason(FileFormat.AZUREML, blob) is Reason.BINARY_PAYLOAD
    assert (
        reason(FileFormat.AZUREML, {**event, "type": "azureml.inference.custom"})
        is Reason.UNKNOWN_RECORD
    )
    assert reason(FileFormat.AZUREML, event) is Reason.NO_PAYLOAD


def test_shadow_traffic_is_marked() -> None:
    headers = {
        "Ce-Type": "io.seldon.serving.inference.response",
        "Ce-Requestid": "r",
        "Ce-Modelid": "new",
        "Ce-Endpoint": "shadow",
    }
    rows = decoded(FileFormat.SELDON, {"headers": headers, "body": {"predictions": [1]}})
    assert [(r.shadow, r.values["version"]) for r in rows] == [(True, "new")]


def test_seldon_feedback_is_a_label() -> None:
    headers = {
        "ce-type": "io.seldon.serving.feedback",
        "ce-requestid": "r",
        "ce-time": "2024-01-01T00:00:00Z",
    }
    body = {"truth": {"data": {"ndarray": [1]}}}
    rows = decoded(FileFormat.SELDON, {"headers": headers, "body": json.dumps(body)})
    assert [(r.part, r.values["label"]) for r in rows] == [(Part.LABEL, "1")]


def test_databricks_errors_and_missing_bodies() -> None:
    row = {
        "databricks_request_id": "d",
        "timestamp_ms": 1,
        "status_code": 200,
        "request": json.dumps({"inputs": [[1]]}),
        "response": json.dumps({"predictions": [2]}),
    }
    (fine,) = decoded(FileFormat.DATABRICKS, row)
    assert fine.values["id"] == "d"
    (failed,) = decoded(FileFormat.DATABRICKS, {**row, "status_code": 429, "response": "slow down"})
    assert failed.values["error"] == "429"
    assert failed.values["input.0"] == "1"
    assert reason(FileFormat.DATABRICKS, {**row, "response": None}) is Reason.NO_PAYLOAD
    assert reason(FileFormat.DATABRICKS, {**row, "request": ""}) is Reason.NO_PAYLOAD


def test_vertex_payloads_may_be_whole_bodies() -> None:
    row = {
        "deployed_model_id": "7",
        "request_id": 12,
        "logging_time": "2024-01-01T00:00:00Z",
        "request_payload": [json.dumps({"instances": [[1], [2]]})],
        "response_payload": [json.dumps({"predictions": [3, 4]})],
    }
    rows = decoded(FileFormat.VERTEX, row)
    assert [r.values["prediction"] for r in rows] == ["3", "4"]
    assert rows[0].values["version"] == "7"


def test_bentoml_says_roles_in_a_schema_of_its_own() -> None:
    schema = {
        "meta_data": {},
        "columns": [
            {"name": "a", "role": "feature", "type": "numerical"},
            {"name": "p", "role": "prediction", "type": "categorical"},
        ],
    }
    assert schema_roles(schema) == {"a": "feature", "p": "prediction"}
    assert decoded(FileFormat.BENTOML, schema) == []
    assert schema_roles({"columns": ["a"]}) is None
