"""Offline runs of W&B, read back from the files that it writes."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def records_of(path: Path) -> Iterator[Any]:
    """Yield the records of a .wandb file, a LevelDB log of 32 KiB blocks behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, chunks = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        chunks += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = Record()
            record.ParseFromString(chunks)
            yield record
            chunks = b""


def read_run(folder: Path) -> dict[str, Any]:
    """Read the finished run's file; W&B writes its last part just after finish returned."""
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 20
    while not any(record.WhichOneof("record_type") == "exit" for record in records_of(path)):
        assert time.monotonic() < deadline, f"{path} never got its exit record"
        time.sleep(0.05)
    found: dict[str, Any] = {"config": {}, "summary": {}, "history": [], "metrics": [], "path": path}
    for record in records_of(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found["run"] = record.run
            found["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "summary":
            names = (
                (item.key or "/".join(item.nested_key), item.value_json) for item in record.summary.update
            )
            found["summary"] |= {name: json.loads(value) for name, value in names}
        elif kind == "history":
            items = record.history.item
            found["history"].append(
                {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
            )
        elif kind == "metric":
            found["metrics"].append(record.metric)
        elif kind == "exit":
            found["exit_code"] = record.exit.exit_code
    return found


def artifacts_of(folder: Path) -> dict[str, set[str]]:
    """Map the kind of each artifact that the finished run logged to the names of its files."""
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    logged = [
        record.artifact for record in records_of(path) if record.WhichOneof("record_type") == "artifact"
    ]
    return {
        artifact.type: {entry.path for entry in artifact.manifest.contents}
        for artifact in logged
        if artifact.type != "run_table"
    }
