"""The sample as each platform would have logged it, with defects that are counted."""

from __future__ import annotations

import base64
import csv
import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from collectors.contract import FileFormat
from collectors.store.reasons import Reason
from platforms.sample import CATEGORICAL, NUMERIC, Defects, Prediction, Written

Record = dict[str, Any]
NAMES = (*NUMERIC, *CATEGORICAL)
HERE = {"timestamp": "timestamp", "id": "id", "version": "version", "score": "prediction"}


@dataclass(frozen=True, slots=True)
class Request:
    """Rows that one request asks for."""

    id: str
    rows: tuple[Prediction, ...]

    @property
    def time(self) -> datetime:
        return self.rows[0].time

    @property
    def version(self) -> str:
        return self.rows[0].version

    def features(self) -> list[Record]:
        return [dict(row.features) for row in self.rows]

    def scores(self) -> list[float]:
        return [row.score for row in self.rows]

    def ids(self) -> list[str]:
        n = len(self.rows)
        return [self.id if n == 1 else f"{self.id}#{i}" for i in range(n)]


def requests(rows: Sequence[Prediction], batch: int) -> list[Request]:
    """Rows of a version in batches, in the order of their times."""
    found = []
    for version in sorted({row.version for row in rows}):
        of = [row for row in rows if row.version == version]
        found += [
            Request(f"req-{of[i].id}", tuple(of[i : i + batch])) for i in range(0, len(of), batch)
        ]
    return sorted(found, key=lambda r: (r.time, r.id))


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def label_file(asked: Sequence[Request], folder: Path, defects: Defects) -> dict[str, Any]:
    """Labels as a table of their own; the labels of a contract."""
    path = folder / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "label", "received"))
        for request in asked:
            for name, row in zip(request.ids(), request.rows, strict=True):
                if row.label is not None and row.received is not None:
                    writer.writerow((name, row.label, stamp(row.received)))
        for i in range(defects.orphan_labels):
            writer.writerow((f"nobody-{i}", 1, stamp(asked[0].time)))
    return {"source": str(path), "id": "id", "value": "label", "received": "received"}


def spread(lines: Sequence[str], folder: Path, files: int, name: str = "part-{}.jsonl") -> None:
    """Lines over files, one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(files):
        of = lines[i::files]
        target = folder / name.format(i)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{line}\n" for line in of))


def mixed(lines: list[str], seed: int = 1) -> list[str]:
    """In another order: a log is not sorted."""
    random.Random(seed).shuffle(lines)
    return lines


def doubled(request: Request) -> Request:
    """The same ids with another answer."""
    return Request(
        request.id,
        tuple(
            Prediction(r.id, r.time, r.version, r.features, 1 - r.score, r.label, r.received)
            for r in request.rows
        ),
    )


BROKEN = '{"id": "cut off'


class Whole:
    """Platforms whose record is a request and its response."""

    format: FileFormat
    contract: Mapping[str, Any] = {}

    def record(self, request: Request) -> Record:
        raise NotImplementedError

    def failed(self, request: Request, number: int) -> Record | None:
        """The same as an error; None where the format has none."""
        return None

    def binary(self, request: Request, number: int) -> Record | None:
        """A record with a payload that is no text."""
        return None

    def write(
        self, rows: Sequence[Prediction], folder: Path, defects: Defects, *, files: int, batch: int
    ) -> Written:
        asked = requests(rows, batch)
        n = batch
        records = [self.record(r) for r in asked]
        again = [json.dumps(r) for r in records[: defects.duplicates]]
        n_again = sum(len(r.rows) for r in asked[: defects.duplicates])
        other = asked[defects.duplicates : defects.duplicates + defects.conflicts]
        n_other = sum(len(r.rows) for r in other)
        errors = [self.failed(asked[0], i) for i in range(defects.errors)]
        binary = [self.binary(asked[0], i) for i in range(defects.binary)]
        found = [json.dumps(r) for r in (*records, *errors, *binary) if r is not None]
        lines = mixed([*found, *again, *([BROKEN] * defects.broken)])
        # what contradicts comes after: whichever is read first is what was served
        lines += [json.dumps(self.record(doubled(r))) for r in other]
        self.save(lines, folder / "log", 1 if other and files > 1 else files)
        n_binary = sum(b is not None for b in binary)
        return Written(
            {**HERE, **self.contract, **self.sources(asked, folder, defects)},
            n_errors=sum(e is not None for e in errors) * len(asked[0].rows) if n else 0,
            n_duplicate=n_again,
            n_waiting_labels=defects.orphan_labels,
            quarantined={
                Reason.BAD_PAYLOAD: defects.broken,
                Reason.CONFLICT: n_other,
                **({Reason.BINARY_PAYLOAD: n_binary} if n_binary else {}),
            },
        )

    def save(self, lines: Sequence[str], folder: Path, files: int) -> None:
        spread(lines, folder, files)

    def sources(self, asked: Sequence[Request], folder: Path, defects: Defects) -> dict[str, Any]:
        return {
            "predictions": str(folder / "log"),
            "labels": label_file(asked, folder, defects),
        }


class Databricks(Whole):
    format = FileFormat.DATABRICKS
    contract: Mapping[str, Any] = {"error": "error", "latency_ms": "latency_ms"}

    def record(self, request: Request) -> Record:
        return {
            "databricks_request_id": f"db-{request.id}",
            "client_request_id": request.id,
            "timestamp_ms": int(request.time.timestamp() * 1000),
            "status_code": 200,
            "execution_time_ms": 12,
            "sampling_fraction": 1.0,
            "request": json.dumps({"dataframe_records": request.features()}),
            "response": json.dumps({"predictions": request.scores()}),
            "request_metadata": json.dumps({"model_version": request.version}),
        }

    def failed(self, request: Request, number: int) -> Record:
        return {
            **self.record(request),
            "client_request_id": f"failed-{number}",
            "status_code": 500,
            "response": "upstream is gone",
        }


class Vertex(Whole):
    format = FileFormat.VERTEX
    contract: Mapping[str, Any] = {"error": "error"}

    def record(self, request: Request) -> Record:
        return {
            "endpoint": "ep",
            "deployed_model_id": request.version,
            "logging_time": stamp(request.time),
            "request_id": request.id,
            "request_payload": [json.dumps(f) for f in request.features()],
            "response_payload": [json.dumps(s) for s in request.scores()],
        }

    def failed(self, request: Request, number: int) -> Record:
        failed = json.dumps({"error": {"code": 500}})
        return {
            **self.record(request),
            "request_id": f"failed-{number}",
            "response_payload": [failed],
        }


class SageMaker(Whole):
    format = FileFormat.SAGEMAKER
    contract: Mapping[str, Any] = {"error": "error"}

    def record(self, request: Request) -> Record:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(
            [r.features[n] for n in NAMES] for r in request.rows
        )
        return {
            "captureData": {
                "endpointInput": {
                    "observedContentType": "text/csv",
                    "mode": "INPUT",
                    "data": base64.b64encode(out.getvalue().encode()).decode(),
                    "encoding": "BASE64",
                },
                "endpointOutput": {
                    "observedContentType": "text/csv; charset=utf-8",
                    "mode": "OUTPUT",
                    "data": "\n".join(repr(s) for s in request.scores()),
                    "encoding": "CSV",
                },
            },
            "eventMetadata": {
                "eventId": f"event-{request.id}",
                "inferenceId": request.id,
                "inferenceTime": stamp(request.time),
            },
            "eventVersion": "0",
        }

    def failed(self, request: Request, number: int) -> Record:
        record = self.record(request)
        record["eventMetadata"] = {**record["eventMetadata"], "inferenceId": f"failed-{number}"}
        record["captureData"]["endpointOutput"] = {
            "observedContentType": "application/json",
            "mode": "OUTPUT",
            "data": json.dumps({"error": "model died"}),
            "encoding": "JSON",
        }
        return record

    def binary(self, request: Request, number: int) -> Record:
        record = self.record(request)
        record["eventMetadata"] = {**record["eventMetadata"], "inferenceId": f"image-{number}"}
        record["captureData"]["endpointInput"] = {
            "observedContentType": "application/x-image",
            "mode": "INPUT",
            "data": base64.b64encode(b"\x89PNG\xff\xfe").decode(),
            "encoding": "BASE64",
        }
        return record

    def save(self, lines: Sequence[str], folder: Path, files: int) -> None:
        """By variant, as its path says the version."""
        by: dict[str, list[str]] = {}
        for line in lines:
            found = (
                "v2" if '"inferenceId": "req-' in line and self.version_of(line) == "v2" else "v1"
            )
            by.setdefault(found, []).append(line)
        for variant, of in by.items():
            spread(of, folder, files, f"ep/{variant}/2013/06/01/0{{}}/data.jsonl")

    def version_of(self, line: str) -> str:
        return self.versions[json.loads(line)["eventMetadata"]["inferenceId"]]

    def write(
        self, rows: Sequence[Prediction], folder: Path, defects: Defects, *, files: int, batch: int
    ) -> Written:
        self.versions = {r.id: r.version for r in requests(rows, batch)}
        return super().write(rows, folder, defects, files=files, batch=batch)

    def sources(self, asked: Sequence[Request], folder: Path, defects: Defects) -> dict[str, Any]:
        """Ground truth in records of its own, by the hour in which it came."""
        lines: dict[str, list[str]] = {}
        for request in asked:
            if any(r.label is None or r.received is None for r in request.rows):
                continue
            hour = max(r.received for r in request.rows if r.received)
            truth = "\n".join(str(r.label) for r in request.rows)
            record = {
                "groundTruthData": {"data": truth, "encoding": "CSV"},
                "eventMetadata": {"eventId": request.id},
                "eventVersion": "0",
            }
            lines.setdefault(hour.strftime("%Y/%m/%d/%H"), []).append(json.dumps(record))
        nobody = {
            "groundTruthData": {"data": "1", "encoding": "CSV"},
            "eventVersion": "0",
        }
        some = next(iter(lines.values()))
        some += [
            json.dumps({**nobody, "eventMetadata": {"eventId": f"nobody-{i}"}})
            for i in range(defects.orphan_labels)
        ]
        for hour, of in lines.items():
            spread(of, folder / "truth" / hour, 1)
        return {
            "predictions": str(folder / "log"),
            "labels": {
                "source": str(folder / "truth"),
                "id": "id",
                "value": "label",
                "received": "timestamp",
            },
        }


class BentoML(Whole):
    format = FileFormat.BENTOML

    def record(self, request: Request) -> Record:
        row = request.rows[0]
        return {
            **row.features,
            "prediction": row.score,
            "version": row.version,
            "timestamp": row.time.replace(tzinfo=None).isoformat(),
            "request_id": request.id,
        }

    def write(
        self, rows: Sequence[Prediction], folder: Path, defects: Defects, *, files: int, batch: int
    ) -> Written:
        return super().write(rows, folder, defects, files=files, batch=1)

    def save(self, lines: Sequence[str], folder: Path, files: int) -> None:
        spread(lines, folder, files, "data/data.{}.log")
        columns = [{"name": n, "role": "feature", "type": "numerical"} for n in NAMES]
        spread([json.dumps({"columns": columns})], folder, 1, "schema/schema.{}.log")

    def sources(self, asked: Sequence[Request], folder: Path, defects: Defects) -> dict[str, Any]:
        log = {"path": str(folder / "log"), "format": "bentoml"}
        found = super().sources(asked, folder, defects)
        return {**found, "predictions": log, "timezone": "UTC"}


class Halves:
    """Platforms that log requests and responses apart."""

    format: FileFormat

    def asked(self, request: Request) -> Record:
        raise NotImplementedError

    def answered(self, request: Request) -> Record:
        raise NotImplementedError

    def failed(self, request: Request) -> Record | None:
        return None

    def write(
        self, rows: Sequence[Prediction], folder: Path, defects: Defects, *, files: int, batch: int
    ) -> Written:
        of = requests(rows, batch)
        size = len(of[0].rows)

        def named(name: str, i: int) -> Request:
            return Request(f"{name}-{i}", of[0].rows)

        records = [half(r) for r in of for half in (self.asked, self.answered)]
        alone = [self.asked(named("unanswered", i)) for i in range(defects.orphan_requests)]
        alone += [self.answered(named("unasked", i)) for i in range(defects.orphan_responses)]
        errors = [
            r
            for i in range(defects.errors)
            for r in (self.asked(named("failed", i)), self.failed(named("failed", i)))
        ]
        if any(e is None for e in errors):
            errors = []
        again = [half(r) for r in of[: defects.duplicates] for half in (self.asked, self.answered)]
        n_again = 2 * sum(len(r.rows) for r in of[: defects.duplicates])
        lines = [json.dumps(r) for r in (*records, *alone, *errors, *again)]
        other = of[defects.duplicates : defects.duplicates + defects.conflicts]
        lines = mixed(lines + [BROKEN] * defects.broken)
        lines += [json.dumps(self.answered(doubled(r))) for r in other]
        self.save(lines, folder / "log", 1 if other and files > 1 else files)
        return Written(
            {
                **HERE,
                "error": "error",
                "predictions": str(folder / "log"),
                "labels": label_file(of, folder, defects),
            },
            n_errors=len(errors) // 2 * size,
            n_duplicate=n_again,
            n_requests=defects.orphan_requests * size,
            n_responses=defects.orphan_responses * size,
            n_waiting_labels=defects.orphan_labels,
            quarantined={
                Reason.BAD_PAYLOAD: defects.broken,
                Reason.CONFLICT: sum(len(r.rows) for r in other),
            },
        )

    def save(self, lines: Sequence[str], folder: Path, files: int) -> None:
        spread(lines, folder, files)


class KServe(Halves):
    format = FileFormat.KSERVE
    prefix = "org.kubeflow.serving.inference"

    def event(self, request: Request, kind: str, body: object) -> Record:
        return {
            "specversion": "1.0",
            "id": request.id,
            "type": f"{self.prefix}.{kind}",
            "source": "http://localhost:9081/",
            "time": stamp(request.time),
            "datacontenttype": "application/json",
            "inferenceservicename": "flights",
            "endpoint": request.version,
            "data": body,
        }

    def asked(self, request: Request) -> Record:
        return self.event(request, "request", {"instances": request.features()})

    def answered(self, request: Request) -> Record:
        return self.event(request, "response", {"predictions": request.scores()})

    def failed(self, request: Request) -> Record:
        return self.event(request, "response", {"error": "out of memory"})


class KServeV2(KServe):
    """Tensors, and binary-mode events as a sink dumps them."""

    def event(self, request: Request, kind: str, body: object) -> Record:
        event = super().event(request, kind, body)
        body = event.pop("data")
        headers = {f"Ce-{k.capitalize()}": v for k, v in event.items()}
        headers["Content-Type"] = headers.pop("Ce-Datacontenttype")
        return {"headers": headers, "body": json.dumps(body)}

    def asked(self, request: Request) -> Record:
        n = len(request.rows)
        return self.event(
            request,
            "request",
            {
                "inputs": [
                    {
                        "name": name,
                        "shape": [n, 1],
                        "datatype": "FP64" if name in NUMERIC else "BYTES",
                        "data": [row.features[name] for row in request.rows],
                    }
                    for name in NAMES
                ]
            },
        )

    def answered(self, request: Request) -> Record:
        scores = {"name": "predict", "shape": [len(request.rows)], "datatype": "FP64"}
        return self.event(request, "response", {"outputs": [{**scores, "data": request.scores()}]})


class Seldon(KServe):
    format = FileFormat.SELDON
    prefix = "io.seldon.serving.inference"

    def event(self, request: Request, kind: str, body: object) -> Record:
        return {
            "headers": {
                "Ce-Id": f"event-{kind}-{request.id}",
                "Ce-Type": f"{self.prefix}.{kind}",
                "Ce-Time": stamp(request.time),
                "Ce-Requestid": request.id,
                "Ce-Modelid": request.version,
                "Ce-Endpoint": "default",
            },
            "body": body,
        }

    def asked(self, request: Request) -> Record:
        rows = [[row.features[n] for n in NAMES] for row in request.rows]
        return self.event(request, "request", {"data": {"names": list(NAMES), "ndarray": rows}})

    def answered(self, request: Request) -> Record:
        scores = [[s] for s in request.scores()]
        data = {"names": ["t:0"], "ndarray": scores}
        return self.event(request, "response", {"data": data})


class AzureML(Halves):
    format = FileFormat.AZUREML

    def event(self, request: Request, kind: str, data: object) -> Record:
        deployment = f"/onlineEndpoints/ep/deployments/{request.version}"
        return {
            "specversion": "1.0",
            "id": f"{kind}-{request.id}",
            "source": f"/subscriptions/s/resourceGroups/g/providers/p/workspaces/w{deployment}",
            "type": f"azureml.inference.model_{kind}",
            "datacontenttype": "application/json",
            "time": stamp(request.time),
            "data": data,
            "correlationid": request.id,
            "xrequestid": request.id,
        }

    def asked(self, request: Request) -> Record:
        return self.event(request, "inputs", request.features())

    def answered(self, request: Request) -> Record:
        return self.event(request, "outputs", [{"0": s} for s in request.scores()])

    def write(
        self, rows: Sequence[Prediction], folder: Path, defects: Defects, *, files: int, batch: int
    ) -> Written:
        written = super().write(rows, folder, defects, files=files, batch=batch)
        contract = {**written.contract, "score": "output.0"}
        return Written(
            contract,
            written.n_errors,
            written.n_duplicate,
            written.n_requests,
            written.n_responses,
            written.n_waiting_labels,
            written.quarantined,
        )

    def save(self, lines: Sequence[str], folder: Path, files: int) -> None:
        for kind in ("inputs", "outputs"):
            of = [line for line in lines if (f"model_{kind}" in line)]
            of += [line for line in lines if line == BROKEN and kind == "outputs"]
            spread(of, folder, files, f"ep/d/model_{kind}/2013/06/01/0{{}}/pod.jsonl")


def databricks_tables(rows: Sequence[Prediction], folder: Path) -> Iterator[Path]:
    """The same inference table as Parquet and as CSV, without defects."""
    records = [Databricks().record(r) for r in requests(rows, 3)]
    frame = pl.DataFrame(records)
    for end in ("parquet", "csv"):
        target = folder / end
        target.mkdir(parents=True)
        if end == "parquet":
            frame.write_parquet(target / "table.parquet")
        else:
            frame.write_csv(target / "table.csv")
        yield target


TRANSCODERS = (
    KServe(), KServeV2(), Seldon(), AzureML(), SageMaker(), Databricks(), Vertex(), BentoML(),
)  # fmt: skip
