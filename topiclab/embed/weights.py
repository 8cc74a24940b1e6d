"""The folder of a language model's files, and the digest that identifies them."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from topiclab.digest import file_sha256

log = logging.getLogger(__name__)

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
OTHER_FORMATS = ("*.bin", "*.h5", "*.msgpack", "*.ot", "*.onnx", "*.tflite", "onnx/*", "openvino/*")
WHOLE_FILE_BYTES = 32 << 20
NUM_SAMPLES = 16
SAMPLE_BYTES = 1 << 20


def model_folder(
    path: str | None,
    package: str | None,
    model_id: str | None,
    revision: str | None,
    option: str = "embedder.path",
) -> Path:
    """The folder of a model: `path` (a folder or a hub id), else an installed package's, else the hub's.

    package: `<import name>/<folder in it>`.  option: the name of `path` in the configuration.  The hub is
    asked only if its local cache has no such model, and never under HF_HUB_OFFLINE=1.
    """
    if path is None and package is not None and (folder := _package_folder(package)) is not None:
        return folder
    if path is not None and Path(path).expanduser().is_dir():
        return Path(path).expanduser()
    name = path or model_id
    if name is None or not HUB_ID.fullmatch(name):
        raise FileNotFoundError(
            f"{option}={path} is neither a folder nor a hub id (owner/name); give one of the two"
        )
    return _hub_folder(name, revision, option)


def folder_revision(folder: Path) -> str:
    """The hub commit of a downloaded model, else a sha256 of the folder's files, following links.

    A weight file above 32 MiB is represented by its size and 16 blocks of 1 MiB spread over it: training
    changes all of them, and a model of 16 GB is identified in milliseconds.
    """
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".json", ".txt", ".safetensors", ".model"):
            stat = path.stat()
            content = _file_digest(path, stat.st_size, stat.st_mtime_ns)
            digest.update(f"{path.relative_to(folder).as_posix()}:{content}\n".encode())
    return digest.hexdigest()


def adapter_revision(folder: Path) -> str:
    """sha256 of a LoRA adapter's weights and scale, whatever its path."""
    scale = json.loads((folder / "adapter_config.json").read_bytes())["lora_alpha"]
    return hashlib.sha256(f"{file_sha256(folder / 'adapter_model.safetensors')}:{scale}".encode()).hexdigest()


@lru_cache(maxsize=256)
def _file_digest(path: Path, num_bytes: int, _mtime_ns: int) -> str:
    if num_bytes <= WHOLE_FILE_BYTES:
        return file_sha256(path)
    digest = hashlib.sha256(str(num_bytes).encode())
    with path.open("rb") as stream:
        for sample in range(NUM_SAMPLES):
            stream.seek((num_bytes - SAMPLE_BYTES) * sample // (NUM_SAMPLES - 1))
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _package_folder(package: str) -> Path | None:
    name, _, inner = package.partition("/")
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / inner


def _hub_folder(model_id: str, revision: str | None, option: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    options = {"repo_id": model_id, "revision": revision, "ignore_patterns": list(OTHER_FORMATS)}
    try:
        return Path(snapshot_download(**options, local_files_only=True))
    except LocalEntryNotFoundError:
        log.info("%s is not in the local Hugging Face cache; asking the hub", model_id)
    try:
        return Path(snapshot_download(**options))
    except LocalEntryNotFoundError as fault:
        raise FileNotFoundError(
            f"{model_id} is not in the local Hugging Face cache and the hub cannot be reached; run "
            f"`hf download {model_id}` with a network connection, or give a folder as {option}"
        ) from fault
