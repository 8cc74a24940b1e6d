"""task=teach: make the soft labels of a corpus ahead of a grid, and show some."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from topiclab.config.configuration import Configuration
from topiclab.data.corpus import Corpus
from topiclab.data.soft_labels import SoftLabels
from topiclab.data.sources.corpora import load_corpus
from topiclab.data.targets import distributions
from topiclab.embed.embedder import corpus_as_read, embed_corpus
from topiclab.pipeline.inputs import make_datamodule
from topiclab.runs.outcome import Outcome

log = logging.getLogger(__name__)

SHOWN_DOCUMENTS = 8
SHOWN_WORDS = 8


def teach(cfg: Configuration, folder: Path) -> Outcome:
    """Label the corpus, or find its labels in the cache; return what result.json records."""
    corpus = load_corpus(cfg.data, cfg.paths.data, cfg.paths.cache)
    read = corpus_as_read(corpus, cfg.embed_text)
    embeddings = embed_corpus(cfg.embedder, read, cfg.paths.cache, cfg.trainer, adapt=cfg.adaptation)
    labels = make_datamodule(cfg, corpus, embeddings).soft_labels
    targets = distributions(labels, labels.temperature)
    show(corpus, labels)
    log.info(
        "%s labels of %d documents, %s",
        cfg.teacher["name"],
        labels.num_docs,
        "cached" if labels.is_cached else "new",
    )
    residual = 0.0 if labels.residual is None else float(labels.residual.mean())
    return Outcome(
        metrics={
            "documents_per_second": labels.num_docs / max(labels.seconds, 1e-9),
            "label_perplexity": float(np.exp(targets.entropy.mean())),
            "residual_mass": residual,
        },
        seconds={"embed": embeddings.seconds, "teach": labels.seconds},
        manifest={"soft_labels": {**labels.manifest, "is_cached": labels.is_cached, "key": labels.key}},
    )


def show(corpus: Corpus, labels: SoftLabels) -> None:
    """Print the likeliest words of some documents, evenly spread over the corpus."""
    rows = np.linspace(0, corpus.num_docs - 1, min(SHOWN_DOCUMENTS, corpus.num_docs)).astype(int)
    for row, words in zip(rows, labels.most_likely(rows, SHOWN_WORDS), strict=True):
        text = " ".join(corpus.texts[row].split())[:70]
        print(f"{text:70}  {' '.join(corpus.vocab[word] for word in words)}")
