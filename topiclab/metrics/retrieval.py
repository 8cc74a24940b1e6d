"""Retrieval by topic proportions: share of a document's nearest training documents with its label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from topiclab.metrics.undefined import UndefinedMetric

EPSILON = 1e-12  # added to every proportion: a topic without mass costs 28 nats instead of infinity
TIE_NATS = 1e-9  # smaller differences are ties: theta is float32, and rounding of sums depends on their order
BLOCK_SCORES = 1 << 20  # scores held at a time, 8 MB
GROUP = 8


def precision_at(
    theta: np.ndarray,
    labels: np.ndarray,
    queries: np.ndarray,
    candidates: np.ndarray,
    depths: Sequence[int] = (1, 5, 10),
) -> np.ndarray:
    """Mean share (len(depths),) of each query's nearest candidates that have its label.

    nan for a depth larger than the number of candidates.
    theta: (D, K), rows sum to 1.  labels: (D,), -1 for none; documents without a label are left out.
    queries, candidates: rows; a document is never its own candidate.
    Nearest by KL(theta_query || theta_candidate), for which the entropy of the query is a constant: one
    matrix product. Candidates at the same divergence (thousands if theta is one-hot) have no order, and the
    share is its expectation over all orders (McSherry & Najork 2008): the order of the documents does not
    matter, and for one-hot clusters of more than ten all depths have the same value, the share of pairs in a
    topic whose labels agree.
    """
    queries, candidates = (rows[labels[rows] >= 0] for rows in (queries, candidates))
    if len(np.unique(labels[queries])) < 2:
        raise UndefinedMetric("retrieval needs documents of at least two labels; the split has fewer")
    places = np.full(len(theta), -1)
    places[candidates] = np.arange(len(candidates))
    most = len(candidates) - int((places[queries] >= 0).any())
    usable = [depth for depth in depths if depth <= most]
    if not usable:
        return np.full(len(depths), np.nan)
    answers = np.zeros((theta.shape[1], -(-len(candidates) // GROUP) * GROUP))
    answers[:, : len(candidates)] = np.log(theta[candidates].astype(np.float64) + EPSILON).T / TIE_NATS
    hits = np.zeros(len(usable))
    # Flat rows tie with many candidates, and the widest row of a block decides its memory and time.
    queries = queries[np.argsort(theta[queries].max(axis=1), kind="stable")]
    buffer = np.empty((max(1, BLOCK_SCORES // answers.shape[1]), answers.shape[1]))
    for start in range(0, len(queries), len(buffer)):
        rows = queries[start : start + len(buffer)]
        scores = np.matmul(theta[rows].astype(np.float64), answers, out=buffer[: len(rows)])
        np.rint(scores, out=scores)
        scores[:, len(candidates) :] = -np.inf
        is_own = places[rows] >= 0
        scores[is_own, places[rows][is_own]] = -np.inf
        values, columns = _best(scores, max(usable))
        is_hit = labels[candidates[columns]] == labels[rows, None]
        hits += [_expected_hits(values, is_hit, depth).sum() for depth in usable]
    shares = np.full(len(depths), np.nan)
    shares[np.array(depths) <= most] = hits / (np.array(usable) * len(queries))
    return shares


def _best(scores: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Highest num scores of every row, all ties and a few more, in any order; and their columns.

    scores: (B, N), N a multiple of GROUP; minus infinity does not count.  Returns two arrays (B, M); shorter
    rows are padded with minus infinity and column 0.
    The num-th highest maximum over groups is a lower bound of the num-th highest score that few scores pass.
    """
    is_wide = scores.shape[1] >= 2 * GROUP * num
    maxima = scores.reshape(len(scores), GROUP, -1).max(axis=1) if is_wide else scores
    floor = np.partition(maxima, -num, axis=1)[:, -num].clip(min=np.finfo(scores.dtype).min)
    rows, columns = np.divmod(np.flatnonzero(scores >= floor[:, None]), scores.shape[1])
    sizes = np.bincount(rows, minlength=len(scores))
    ranks = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    values = np.full((len(scores), sizes.max()), -np.inf)
    kept = np.zeros(values.shape, dtype=np.int64)
    values[rows, ranks], kept[rows, ranks] = scores[rows, columns], columns
    return values, kept


def _expected_hits(values: np.ndarray, is_hit: np.ndarray, depth: int) -> np.ndarray:
    """Expected hits (B,) among the `depth` highest values of each row, with ties broken at random."""
    last = np.partition(values, -depth, axis=1)[:, [-depth]]
    is_above, is_tied = values > last, values == last
    share = (is_tied & is_hit).sum(axis=1) / is_tied.sum(axis=1)
    return (is_above & is_hit).sum(axis=1) + (depth - is_above.sum(axis=1)) * share
