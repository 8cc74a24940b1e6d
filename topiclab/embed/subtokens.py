"""Subtokens: a language model's hidden states at given places in texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from topiclab.data.words.places import WordPlaces
from topiclab.embed.huggingface import HuggingFaceEmbedder

Subtokens = Literal["mean", "last"]


def encode_places(
    embedder: HuggingFaceEmbedder,
    texts: Sequence[str],
    places: WordPlaces,
    subtokens: Subtokens | None = None,
    progress: Callable[[int], Any] = lambda _: None,
) -> np.ndarray:
    """Last hidden state at each place, (M, H) float16; NaN if the model does not read the whole place.

    subtokens: `mean` over the tokens that touch the place, or the `last` of them; None: `last` for a model
    with last-token pooling, whose earlier tokens have not seen the end of the word, and `mean` otherwise.
    progress gets numbers of texts.  Raises ValueError naming a text whose states are not finite.
    """
    if subtokens is None:
        subtokens = "last" if embedder.model_pooling == "lasttoken" else "mean"
    rows = np.unique(places.docs)
    progress(len(texts) - len(rows))
    tokens, spans = embedder.tokenise_in_place([texts[int(row)] for row in rows])
    firsts, lasts = subtoken_ranges(places, np.searchsorted(rows, places.docs), spans, embedder.token_limit)
    if subtokens == "last":
        firsts = lasts
    bounds: list[int] = places.offsets.tolist()
    size = embedder.transformer.get_embedding_dimension()
    vectors = np.full((len(places), size), np.nan, np.float16)
    for batch, states in embedder.in_batches(tokens, embedder.hidden_states):
        starts = np.cumsum([0, *(len(tokens[text]) for text in batch[:-1])])
        held = [np.arange(bounds[row], bounds[row + 1]) for row in rows[batch]]
        shift = np.repeat(starts, [len(each) for each in held])
        at = np.concatenate(held)
        is_read = lasts[at] >= 0
        at, shift = at[is_read], shift[is_read]
        found = mean_of_ranges(states, firsts[at] + shift, lasts[at] + shift).half().cpu().numpy()
        bad = at[~np.isfinite(found).all(axis=1)]
        if len(bad):
            text = texts[int(places.docs[bad[0]])]
            raise ValueError(
                f"the embedder gave hidden states that half precision cannot hold for {len(bad)} words, "
                f"first in {text[:60]!r}; use trainer.precision=fp32 or leave them out"
            )
        vectors[at] = found
        progress(len(batch))
    return vectors


def subtoken_ranges(
    places: WordPlaces, texts: np.ndarray, spans: Sequence[np.ndarray], limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """First and last token that touch each place, (M,) int64 in its text; -1 if the text was cut before it.

    texts: (M,) index of the place's text among N.  spans: for each text the characters that its tokens cover,
    (L, 2) from, to; special tokens cover none.  limit: tokens to which a text is cut.
    """
    lengths = np.array([len(each) for each in spans], np.int64)
    covered = np.concatenate([*spans, np.zeros((0, 2), np.int64)])
    is_real = covered[:, 1] > covered[:, 0]
    of_text = np.repeat(np.arange(len(spans)), lengths)
    position = (np.arange(len(covered)) - (np.cumsum(lengths) - lengths)[of_text])[is_real]
    # One axis of characters for all texts, so that one search finds the tokens of every place.
    stride = 1 + max(covered.max(initial=0), places.stops.max(initial=0))
    starts, stops = (covered[is_real] + (of_text[is_real] * stride)[:, None]).T
    first = np.searchsorted(stops, texts * stride + places.starts, side="right")
    last = np.searchsorted(starts, texts * stride + places.stops, side="left") - 1
    reach = np.zeros(len(spans), np.int64)
    np.maximum.at(reach, of_text, covered[:, 1])
    is_cut = (lengths >= limit)[texts] & (places.stops > reach[texts])
    is_read = (first <= last) & ~is_cut
    firsts, lasts = np.full((2, len(places)), -1, np.int64)
    firsts[is_read], lasts[is_read] = position[first[is_read]], position[last[is_read]]
    return firsts, lasts


def mean_of_ranges(states: Tensor, firsts: np.ndarray, lasts: np.ndarray) -> Tensor:
    """Mean of rows first to last, inclusive, (M, H); states: (N, H)."""
    sizes = lasts - firsts + 1
    offsets = np.cumsum(sizes) - sizes
    rows = np.arange(sizes.sum()) + np.repeat(firsts - offsets, sizes)
    indices, bounds = (torch.from_numpy(each).to(states.device) for each in (rows, offsets))
    return torch.nn.functional.embedding_bag(indices, states, bounds, mode="mean")
