"""Stage 1 of TVQ-VAE on a corpus: the codes of its words, or of every occurrence of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from scipy import sparse

from topiclab.cache import key_hash
from topiclab.data.datamodule import TopicDataModule
from topiclab.models.codes.codebook import Codebook
from topiclab.models.codes.occurrence_codes import code_bags, occurrence_codes, usual_codes
from topiclab.models.codes.word_codes import WordCodebook, word_codes


class TrainingOptions(TypedDict):
    """Keyword arguments that `word_codes` and `occurrence_codes` share."""

    expansion: int
    num_codes: int
    seed: int
    cache_root: Path | None
    device: str


@dataclass(frozen=True)
class TextCodes:
    """Result of stage 1, as read by stage 2.

    codes, weights: (V, K) of the words; if occurrences have their own codes, the most frequent ones of each
    word. The weight is 0 for a word that has no occurrence within reach of the language model.
    bags: CSR (D, N) float32, codes of the documents' own occurrences; coder: arrays that assign codes to
    later ones, see `codes_of`. None and empty if every word has fixed codes.
    facts: of the codebook, and the number of occurrences within reach of the language model.
    """

    codebook: Codebook
    codes: np.ndarray
    weights: np.ndarray
    facts: dict[str, Any]
    bags: sparse.csr_matrix | None = None
    coder: dict[str, np.ndarray] = field(default_factory=dict)


def text_codes(
    datamodule: TopicDataModule,
    options: WordCodebook,
    *,
    words: str,
    subtokens: str | None,
    max_occurrences: int,
    num_codes: int,
    expansion: int,
    seed: int,
    device: str,
) -> TextCodes:
    """Train stage 1 on the training documents, or load it from the cache.

    options: of `word_codes`.  words, subtokens, max_occurrences: see TVQVAE.  Raises ValueError if the input
    has no vectors of words, or none of occurrences.
    """
    arguments: TrainingOptions = {
        "expansion": expansion,
        "num_codes": num_codes,
        "seed": seed,
        "cache_root": datamodule.cache_root if datamodule.embedding_key else None,
        "device": device,
    }
    if words == "token":
        return _of_occurrences(datamodule, options, subtokens, max_occurrences, arguments)
    is_contextual = words == "contextual_type"
    return _of_words(datamodule, options, is_contextual, subtokens, arguments)


def _of_words(
    datamodule: TopicDataModule,
    options: WordCodebook,
    is_contextual: bool,
    subtokens: str | None,
    arguments: TrainingOptions,
) -> TextCodes:
    reach: dict[str, int] = {}
    if is_contextual:
        occurrences = datamodule.word_occurrences(subtokens)
        reach, key = occurrences.reach(), key_hash({"means": occurrences.key})
        vectors, found = occurrences.word_means()
        is_reached = found > 0
    elif datamodule.word_vectors is None:
        raise ValueError(
            "model=tvqvae quantises word vectors, but this input has none; use input=embedder with "
            "an embedder that reads words, e.g. embedder=lsa"
        )
    else:
        vectors, key = datamodule.embedded_words(), datamodule.fingerprint
        is_reached = np.ones(len(vectors), bool)
    counts = np.asarray(datamodule.train_bow.sum(axis=0)).ravel()
    key = key if datamodule.embedding_key else None
    found = word_codes(vectors, counts, options, **arguments, key=key)
    weights = found.weights * is_reached[:, None].astype(np.float32)
    return TextCodes(found.codebook, found.codes, weights, {**reach, **_facts(found.codebook)})


def _of_occurrences(
    datamodule: TopicDataModule,
    options: WordCodebook,
    subtokens: str | None,
    max_occurrences: int,
    arguments: TrainingOptions,
) -> TextCodes:
    occurrences = datamodule.word_occurrences(subtokens)
    rows = datamodule.train_rows
    found = occurrence_codes(occurrences, rows, options, max_occurrences=max_occurrences, **arguments)
    said, num_codes = (found.codes, found.weights), arguments["num_codes"]
    bags = code_bags(*said, occurrences.docs, occurrences.num_docs, num_codes)
    of_words = code_bags(*said, occurrences.words, occurrences.num_words, num_codes)
    table = usual_codes(of_words, arguments["expansion"])
    facts = {**occurrences.reach(), **_facts(found.codebook)}
    return TextCodes(found.codebook, *table, facts, bags, found.coder)


def _facts(codebook: Codebook) -> dict[str, Any]:
    return {name: value for name, value in codebook.facts.items() if name != "history"}
