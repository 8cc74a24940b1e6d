"""task=tvq_knn: how well a word's nearest codes preserve its neighbourhood, against control codes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from topiclab.config.configuration import Configuration
from topiclab.data.sources.corpora import load_corpus
from topiclab.metrics import code_sets
from topiclab.metrics.code_sets import Tested, exchange_test
from topiclab.metrics.coherence import WINDOWS, npmi_table
from topiclab.metrics.cooccurrence import cooccurrence
from topiclab.metrics.neighbourhoods import cosines, hubness, neighbour_ranks, preservation
from topiclab.models.codes.word_codes import WordCodebook, WordCodes, word_codes
from topiclab.nn.kmeans import kmeans, nearest
from topiclab.pipeline.inputs import check_sizes, document_vectors, make_datamodule
from topiclab.pipeline.stages import Stages
from topiclab.pipeline.wandb_log import log_curve, log_summary, wandb_logger
from topiclab.runs.outcome import Outcome

log = logging.getLogger(__name__)

EXCHANGES = 50
RANKS = 5


def tvq_knn(cfg: Configuration, folder: Path) -> Outcome:
    """Measure the codes of stage 1 of a tvqvae and three controls; return what result.json records.

    Metrics are <space>/<name>. Spaces: x, the word vectors; z, the encoder's vectors; zq, the mean of a
    word's codes; codes, the number of codes that two words share; and in place of codes: kmeans, the nearest
    centres of k-means of x; random, the nearest of random vectors like z; shuffled, another word's codes.
    """
    model = cfg.model
    if model["name"] != "tvqvae" or model["words"] != "type":
        raise ValueError(
            f"task=tvq_knn reads one set of codes per word, which model={model['name']} with "
            f"model.words={model.get('words')} does not have; use model=tvqvae model.words=type"
        )
    clock, rng = Stages(), np.random.default_rng(cfg.seed)
    corpus = load_corpus(cfg.data, cfg.paths.data, cfg.paths.cache)
    check_sizes(cfg.num_topics, corpus)
    cache = cfg.paths.cache
    with threadpool_limits(cfg.trainer.num_threads):
        with clock("codebook"):
            vectors, learned = learned_codes(cfg)
        with clock("controls"):
            sources = {"codes": learned.codes, **control_codes(vectors, learned, cfg.seed)}
        with clock("spaces"):
            reference = neighbour_ranks(cosines(vectors), rng)
            metrics = space_measures(vectors, learned, sources, reference, rng)
        with clock("code sets"):
            counts = cooccurrence(corpus, WINDOWS["npmi"], cache_root=cache)
            exchanged = code_sets.exchanges(counts.word_counts, EXCHANGES, rng)
            for name, codes in sources.items():
                measures = topical_measures(codes, cfg.model["num_codes"], npmi_table(counts), exchanged)
                metrics |= {f"{name}/{measure}": value for measure, value in measures.items()}
    with wandb_logger(cfg, folder) as wandb_run:
        log_curve(wandb_run, "codebook", learned.codebook.facts["history"], "epoch")
        log_summary(wandb_run, metrics, "codes")
    facts = {key: value for key, value in learned.codebook.facts.items() if key != "history"}
    return Outcome(
        metrics=metrics,
        reasons={name: "no such pair of words" for name, value in metrics.items() if not np.isfinite(value)},
        seconds=clock.seconds,
        manifest={
            "codebook": {"key": learned.codebook.key, "is_cached": learned.codebook.is_cached, **facts}
        },
    )


def learned_codes(cfg: Configuration) -> tuple[np.ndarray, WordCodes]:
    """Word vectors (V, E) and their codes, those of a fit of model=tvqvae, from its cache."""
    cache = cfg.paths.cache
    corpus = load_corpus(cfg.data, cfg.paths.data, cache)
    datamodule = make_datamodule(cfg, corpus, document_vectors(cfg, corpus))
    vectors = datamodule.embedded_words()
    options: WordCodebook = cfg.model["codebook"]
    if (epochs := cfg.trainer.max_epochs) is not None:
        options = {**options, "max_epochs": min(epochs, options["max_epochs"])}
    found = word_codes(
        vectors,
        np.asarray(datamodule.train_bow.sum(axis=0)).ravel(),
        options,
        expansion=cfg.model["expansion"],
        num_codes=cfg.model["num_codes"],
        seed=cfg.seed,
        cache_root=cache,
        key=datamodule.fingerprint,
        device=cfg.trainer.device,
    )
    return vectors, found


def control_codes(vectors: np.ndarray, learned: WordCodes, seed: int) -> dict[str, np.ndarray]:
    """Control codes (V, K) of every word, without the property under test; see `tvq_knn`."""
    (num_codes, _), (num_words, expansion) = learned.codebook.vectors.shape, learned.codes.shape
    rng, latents = np.random.default_rng(seed), learned.latents
    unit = torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        centres = kmeans(unit, num_codes)
    like_latents = rng.normal(latents.mean(axis=0), latents.std(axis=0), (num_codes, latents.shape[1]))
    random = torch.from_numpy(like_latents.astype(np.float32))
    return {
        "kmeans": nearest(unit, centres, expansion)[0].numpy(),
        "random": nearest(torch.from_numpy(np.array(latents)), random, expansion)[0].numpy(),
        "shuffled": learned.codes[rng.permutation(num_words)],
    }


def space_measures(
    vectors: np.ndarray,
    learned: WordCodes,
    sources: Mapping[str, np.ndarray],
    reference: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Measures of how well every space preserves the neighbourhoods of x, whose ranks are `reference`."""
    table = learned.codebook.vectors
    similarities = {"z": cosines(learned.latents), "zq": cosines(table[learned.codes].mean(axis=1))}
    for name, codes in sources.items():
        has = code_sets.indicator(codes, len(table))
        similarities[name] = (has @ has.T).toarray()
    found = {"x/hubness": hubness(reference)}
    for name, values in similarities.items():
        ranks = neighbour_ranks(values, rng)
        kept = preservation(reference, ranks)
        found |= {
            f"{name}/trust": kept.trust,
            f"{name}/continuity": kept.continuity,
            f"{name}/overlap": kept.overlap,
        }
        if name in ("z", "zq"):
            found[f"{name}/hubness"] = hubness(ranks)
    return found


def topical_measures(
    codes: np.ndarray, num_codes: int, npmi: np.ndarray, exchanged: np.ndarray
) -> dict[str, float]:
    """NPMI of words that share codes, of the words of a code, and by the rank of a single shared code."""
    shared = exchange_test(code_sets.sharing_pairs(codes, num_codes), npmi, exchanged)
    of_code = exchange_test(code_sets.code_pairs(codes, num_codes), npmi, exchanged)
    by_rank = [exchange_test(pairs, npmi, exchanged) for pairs in code_sets.pairs_by_rank(codes, num_codes)]
    found = _measures("npmi", shared) | _measures("code", of_code)
    for rank, tested in enumerate(by_rank[:RANKS], 1):
        found |= {f"decay{rank}": tested.gain, f"decay{rank}_z": tested.z}
    return found | {
        "usage": code_sets.usage(codes, num_codes),
        "distinct": code_sets.distinct_sets(codes),
        "skew": code_sets.code_skewness(codes, num_codes),
    }


def _measures(name: str, tested: Tested) -> dict[str, float]:
    return {
        f"{name}_shared" if name == "npmi" else name: tested.value,
        f"{name}_gain": tested.gain,
        f"{name}_z": tested.z,
    }
