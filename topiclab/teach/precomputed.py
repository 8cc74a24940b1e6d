"""Soft labels that were made elsewhere: a folder of the cache, or a copy of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from topiclab.cache import MANIFEST, load_array
from topiclab.teach.soft_labels import text_key

if TYPE_CHECKING:
    from topiclab.data.datamodule import TopicDataModule


class PrecomputedTeacher:
    """Reads labels that `task=teach` wrote, for instance on another machine, if they belong to this corpus.

    path: the folder that task=teach reported; its manifest identifies the labels' texts and vocabulary.
    """

    def __init__(self, path: str) -> None:
        self.folder = Path(path).expanduser()

    def fingerprint(self, datamodule: TopicDataModule) -> dict[str, Any]:
        inputs = self._inputs()
        for name, digest in text_key(datamodule).items():
            if inputs.get(name) != digest:
                raise ValueError(
                    f"teacher.path={self.folder} holds soft labels of other {name} than those of "
                    f"{datamodule.corpus.name}; use the same data settings as its task=teach, or teach again"
                )
        return {"teacher": "precomputed", "inputs": inputs}

    def _inputs(self) -> dict[str, Any]:
        """Texts and vocabulary of the labels, from their manifest; ValueError for a folder without labels."""
        try:
            inputs = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))["inputs"]
            missing = [name for name in ("logits", "peaks") if not (self.folder / f"{name}.npy").is_file()]
            if missing or not isinstance(inputs, dict):
                raise ValueError(f"without {', '.join(missing) or 'inputs'}")
            return inputs
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"teacher.path={self.folder} holds no soft labels ({error}); give the folder that "
                "task=teach reported"
            ) from error

    def prepare(self, datamodule: TopicDataModule) -> dict[str, Any]:
        self.arrays = {path.stem: load_array(path) for path in self.folder.glob("*.npy")}
        self.num_words = datamodule.corpus.num_words
        return {"copied_from": str(self.folder)}

    def label(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The stored logits (n, V), -inf at words that were not stored, and the stored vectors."""
        values = self.arrays["logits"][rows].astype(np.float32) + self.arrays["peaks"][rows, None]
        if "words" in self.arrays:
            logits = np.full((len(rows), self.num_words), -np.inf, np.float32)
            np.put_along_axis(logits, self.arrays["words"][rows].astype(np.int64), values, axis=1)
            values = logits
        vectors = self.arrays.get("vectors")
        return values, None if vectors is None else vectors[rows]
