"""task=fit: one cell from configuration to topics, metrics and a finished run folder."""

from __future__ import annotations

from pathlib import Path

from topiclab.config.configuration import Configuration
from topiclab.data.sources.corpora import load_corpus
from topiclab.runs.outcome import Outcome


def fit(cfg: Configuration, folder: Path) -> Outcome:
    """Corpus -> embeddings -> model -> metrics -> files in the run folder; return the outcome."""
    if cfg.data.get("modality") == "images":
        from topiclab.pipeline.fit_images import fit_images

        return fit_images(cfg, folder)
    corpus = load_corpus(cfg.data, cfg.paths.data, cfg.paths.cache)
    from topiclab.pipeline.fit_texts import fit_corpus  # imports torch, which a wrong file need not wait for

    return fit_corpus(cfg, folder, corpus)
