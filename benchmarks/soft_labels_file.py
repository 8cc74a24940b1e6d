"""Soft labels that a benchmark's sides read: one .npz that loads without topiclab."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from topiclab.data.soft_labels import SoftLabels

ARRAYS = ("logits", "words", "peaks", "residual")


def write_soft_labels(path: Path, labels: SoftLabels) -> None:
    arrays = {name: getattr(labels, name) for name in ARRAYS if getattr(labels, name) is not None}
    np.savez(path, **arrays, num_words=labels.num_words, temperature=labels.temperature)


def read_soft_labels(path: Path) -> SoftLabels:
    with np.load(path, allow_pickle=False) as file:
        return SoftLabels(
            **{name: file.get(name) for name in ARRAYS},
            vectors=None,
            num_words=int(file["num_words"]),
            temperature=float(file["temperature"]),
            key=path.stem,
            manifest={},
            is_cached=True,
            seconds=0.0,
        )
