"""task=fit: one cell from configuration to topics, metrics and a finished run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topiclab.data.sources.corpora import load_corpus
from topiclab.pipeline.fit_texts import fit_corpus


def fit(cfg: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Corpus -> embeddings -> model -> metrics -> files of the run folder; what result.json says of them."""
    if cfg["data"].get("modality") == "images":
        from topiclab.pipeline.fit_images import fit_images

        return fit_images(cfg, folder)
    return fit_corpus(cfg, folder, load_corpus(cfg["data"], cfg["paths"]["data"], cfg["paths"]["cache"]))
