"""THETA: an embedded topic model whose encoder reads document embeddings (Duan & Li 2026, arXiv
2603.05972)."""

from __future__ import annotations

from topiclab.models.etm import ETM


class Theta(ETM):
    """ETM's generative story, the posterior of a document inferred from its embedding.

    Differs from the authors' code, which trains no decoder in any of its modes (its loss drops the
    reconstruction).
    """
