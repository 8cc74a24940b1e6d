"""Document vectors from a file that was made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.cache import load_array
from topiclab.digest import file_sha256


class PrecomputedEmbedder:
    """Rows of a `.npy` file, one per document of the corpus, in its order; new texts have no vector."""

    def __init__(self, path: str | None = None) -> None:
        if path is None:
            raise ValueError("embedder=precomputed needs embedder.path=<file.npy> with one row per document")
        self.path = Path(path).expanduser()
        if not self.path.is_file():
            raise FileNotFoundError(
                f"embedder.path={path} is not a file; give the .npy file with the vectors"
            )
        self._row_of: dict[str, int] = {}

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    def fingerprint(self) -> dict[str, Any]:
        return {"embedder": "precomputed", "sha256": file_sha256(self.path)}

    @cached_property
    def vectors(self) -> np.ndarray:
        """(D, E) float32, checked."""
        try:
            vectors: Any = load_array(self.path)
        except (ValueError, EOFError) as fault:
            raise ValueError(
                f"embedder.path={self.path} is not a whole .npy file of numbers "
                f"({str(fault).partition('. ')[0]}); write it again with numpy.save"
            ) from fault
        if not isinstance(vectors, np.ndarray):
            vectors.close()
            raise ValueError(f"embedder.path={self.path} is an .npz archive; save its array as .npy")
        if vectors.ndim != 2 or 0 in vectors.shape:
            raise ValueError(
                f"embedder.path={self.path} has shape {vectors.shape}; it must be (documents, dimensions)"
            )
        if not np.issubdtype(vectors.dtype, np.floating):
            raise ValueError(f"embedder.path={self.path} holds {vectors.dtype}; save it as float32")
        with np.errstate(over="ignore"):  # values beyond float32 become infinite and are reported below
            vectors = vectors if vectors.dtype == np.float32 else vectors.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise ValueError(
                f"embedder.path={self.path} is not finite in {len(bad)} rows, first {bad[:5].tolist()}; "
                "encode those documents again"
            )
        return vectors

    def bind(self, texts: Sequence[str]) -> np.ndarray:
        """Use the rows as vectors of these documents; ValueError if the counts differ."""
        if len(self.vectors) != len(texts):
            raise ValueError(
                f"embedder.path={self.path} has {len(self.vectors)} rows, the corpus {len(texts)} documents; "
                "make it from the loaded corpus (which has no blank, repeated or unsampled documents)"
            )
        self._row_of = {text: row for row, text in enumerate(texts)}
        return self.vectors

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(N, E) float32 for texts of the corpus; ValueError for any other."""
        unknown = [text for text in texts if text not in self._row_of]
        if unknown:
            raise ValueError(
                f"embedder=precomputed has no vector for {len(unknown)} of {len(texts)} texts, first "
                f"{unknown[0][:60]!r}; use an embedder that can encode new texts, e.g. embedder=lsa"
            )
        return self.vectors[[self._row_of[text] for text in texts]]
