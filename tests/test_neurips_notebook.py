"""The notebook of the LDA study runs on sixty papers, and its parts on inputs whose answer is known."""

import csv
import runpy

import numpy as np
import planted
import pytest
from places import REPO
from scipy import sparse

from topiclab.config.compose import compose
from topiclab.metrics.stability import matched_cosines, stability
from topiclab.models.sampling.completion import completion_perplexity, halves
from topiclab.report.figures.word_clouds import word_clouds
from topiclab.runs.run import run_cell

RNG = np.random.default_rng(0)
GIBBS = ("model=lda_gibbs", "model.num_sweeps=60", "model.num_samples=8", "model.thinning=5")
CELLS = {
    "neurips_chains/neurips/lda_gibbs/lsa-zero_shot/bow/K3/chains/seed0": (*GIBBS, "model.num_chains=2"),
    **{
        f"neurips_topics/neurips/lda_gibbs/lsa-zero_shot/bow/K{size}/seed{seed}": (
            *GIBBS,
            f"seed={seed}",
            f"num_topics={size}",
        )
        for size, seed in ((2, 0), (3, 0), (3, 1))
    },
    "neurips_models/neurips/lda/lsa-zero_shot/bow/K3/seed0": ("model=lda", "model.passes=2"),
    "neurips_models/neurips/nmf/lsa-zero_shot/bow/K3/seed0": ("model=nmf",),
    "neurips_lsa/neurips/prodlda/lsa-zero_shot/bow/K3/seed0": (
        "model=prodlda",
        "trainer.max_epochs=1",
        "model.init_epochs=1",
        "embedder.dim=16",
    ),
}


@pytest.fixture
def papers(tmp_path):
    """Write papers in the layout of papers.csv, with planted documents as abstracts."""
    path = tmp_path / "papers.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "year", "title", "abstract", "paper_text"])
        for row, text in enumerate(planted.corpus().texts[:70]):
            writer.writerow([row, 1987 + row % 30, f"On {text[:20]}", f"{text} in $O(n)$.", ""])
    return path


def test_the_notebook_runs_on_sixty_papers(papers, tmp_path, monkeypatch, capsys):
    for place, options in CELLS.items():
        data = ["data=neurips", f"data.path={papers}", "data.sample=60", "data.vocabulary.min_df=2"]
        own = [option for option in options if option.startswith("num_topics")] or ["num_topics=3"]
        others = [option for option in options if not option.startswith("num_topics")]
        cfg = compose([*data, *own, *others, f"paths.cache={tmp_path / 'cache'}", "trainer.device=cpu"])
        run_cell(cfg, tmp_path / "outputs" / place)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*")}
    capsys.readouterr()
    monkeypatch.setenv("TOPICLAB_OUTPUTS", str(tmp_path / "outputs"))
    found = runpy.run_path(str(REPO / "notebooks" / "neurips_lda.py"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*")} == before
    assert set(found["scores"]) == {"LDA, Gibbs", "LDA, variational", "NMF", "ProdLDA, lsa"}
    assert capsys.readouterr().out.count("Image object") == 7
    assert len(set(found["names"])) == 3


def test_every_token_is_in_one_half():
    bow = sparse.csr_matrix(RNG.poisson(1.5, (20, 30)).astype(np.int32))
    first, second = halves(bow, 0)
    assert (first + second != bow).nnz == 0
    assert 0.4 < first.sum() / bow.sum() < 0.6


def test_completion_is_best_under_the_true_topics():
    beta = RNG.dirichlet(np.full(50, 0.05), 4)
    theta = RNG.dirichlet(np.full(4, 0.2), 100)
    bow = sparse.csr_matrix(RNG.poisson(60 * theta @ beta).astype(np.int32))
    alpha, even = np.full(4, 0.25), np.full((4, 50), 0.02)
    true = completion_perplexity(beta, alpha, bow)
    assert completion_perplexity(even, alpha, bow) == pytest.approx(50)
    assert true < completion_perplexity(0.7 * beta + 0.3 * even, alpha, bow) < 50
    assert true < completion_perplexity(beta[RNG.permutation(4)][:2], alpha[:2], bow)


def test_topics_are_matched_whatever_their_numbers():
    beta = RNG.dirichlet(np.full(30, 0.1), 5)
    order = RNG.permutation(5)
    columns, similar = matched_cosines(beta, beta[order])
    np.testing.assert_array_equal(order[columns], np.arange(5))
    np.testing.assert_allclose(similar, 1)
    assert stability([beta, beta[order], beta]) == pytest.approx(1)
    assert stability([beta, np.roll(beta, 1, axis=1)]) < 0.9


def test_clouds_are_drawn_alike_each_time_and_without_absent_words():
    vocab = tuple(f"word{number}" for number in range(20))
    weights = np.zeros((2, 20))
    weights[0, :5] = [5, 4, 3, 2, 1]
    figures = [word_clouds(weights, vocab, ["a", "none"]) for _ in range(2)]
    pictures = [axes.images[0].get_array() for figure in figures for axes in figure.axes if axes.images]
    assert len(pictures) == 2  # a topic without words has none
    assert (pictures[0] < 128).any()
    np.testing.assert_array_equal(*pictures)
