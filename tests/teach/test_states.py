"""input=teacher: models that read a language model's states, while they fit and for unseen texts."""

import numpy as np
import pytest
from tiny_lm import save_lm

from topiclab.api.topics import load
from topiclab.config.compose import compose
from topiclab.config.configuration import Configuration
from topiclab.data.sources.corpora import load_corpus
from topiclab.pipeline.inputs import document_vectors
from topiclab.runs.run import CellFailed, run_cell

TINY = ["data=synthetic", "num_topics=5", "model=prodlda", "objective=dsl", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def overrides(tmp_path_factory):
    folder = save_lm(tmp_path_factory.mktemp("llama"), "llama")
    cache = f"paths.cache={tmp_path_factory.mktemp('cache')}"
    teacher = ["teacher=llama1b", f"teacher.path={folder}", "teacher.multi_token=exact"]
    return [*TINY, *teacher, cache, "data.planted.num_docs=60", "trainer.precision=fp32"]


@pytest.mark.parametrize("embed_text", ["raw", "bow"])  # which concerns an embedder, not a teacher
def test_states_of_unseen_texts_are_those_of_the_fit(embed_text, overrides, tmp_path):
    cfg = compose([*overrides, "input=teacher", f"embed_text={embed_text}"])
    run_cell(cfg, tmp_path)
    corpus = load_corpus(cfg["data"], cfg["paths"]["data"])
    states = document_vectors(Configuration.of(cfg), corpus)
    assert states.is_cached
    run = load(tmp_path)
    np.testing.assert_allclose(run.embed(corpus.texts[:9]), states.vectors[:9], atol=1e-4)
    np.testing.assert_allclose(run.transform(corpus.texts[:9]), run.result.theta[:9], atol=1e-3)


def test_the_embedder_stays_the_input_unless_told(overrides):
    cfg = compose(overrides)
    corpus = load_corpus(cfg["data"], cfg["paths"]["data"])
    assert "embedder" in document_vectors(Configuration.of(cfg), corpus).manifest["inputs"]


def test_a_teacher_without_states_is_refused(tmp_path):
    places = [f"paths.cache={tmp_path}/cache", "input=teacher", "teacher=neighbours"]
    with pytest.raises(CellFailed, match=r"teacher=neighbours has none; use a language model"):
        run_cell(compose([*TINY, *places]), tmp_path / "run")
