"""task=keywords: words taken from texts, the loss at a prompt's end, and a run usable as teacher."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import sparse
from tiny_minillm import save_run, tiny_model

from topiclab.config.compose import ConfigError, compose
from topiclab.minillm import keyword_training
from topiclab.minillm.data.masked_words import MaskedWords, draw_words, stretches, without_words
from topiclab.minillm.export import WEIGHTS
from topiclab.minillm.finished import export_of
from topiclab.minillm.keyword_training import Examples, keyword_loss, word_logits
from topiclab.minillm.network import IGNORED
from topiclab.runs.run import CellFailed, run_cell
from topiclab.settings import Vocabulary
from topiclab.tasks.keywords import _ranks


def test_every_occurrence_of_a_word_goes() -> None:
    vocabulary = Vocabulary.of(compose()["data"]["vocabulary"])
    texts = ["Cats, cats and dogs: no CATS!", "no such thing"]
    masked = MaskedWords(texts, ("cats", "dogs", "thing"), vocabulary)
    assert masked.without(np.array([0, 1, 0]), np.array([0, -1, 1])) == [
        ", and dogs: no !",
        "no such thing",
        "Cats, cats and : no CATS!",
    ]
    bow = sparse.csr_matrix(np.array([[3, 1, 0], [0, 0, 1]]))
    assert without_words(bow, np.array([0, -1])).toarray().tolist() == [[0, 1, 0], [0, 0, 1]]


def test_long_texts_are_read_from_any_place() -> None:
    texts, generator = ["a b c d e", "a b"], np.random.default_rng(0)
    drawn = [stretches(texts, 3, generator) for _ in range(50)]
    assert {first for first, _ in drawn} == {"a b c", "b c d", "c d e"}
    assert {second for _, second in drawn} == {"a b"}


def test_words_are_drawn_by_their_shares() -> None:
    shares = sparse.csr_matrix(np.array([[0.2, 0, 0.8], [0, 0, 0], [0, 1.0, 0]]))
    drawn = np.array([draw_words(shares, np.random.default_rng(seed)) for seed in range(1000)])
    assert set(drawn[:, 1]) == {-1}
    assert set(drawn[:, 2]) == {1}
    assert set(drawn[:, 0]) == {0, 2}
    assert (drawn[:, 0] == 2).mean() == pytest.approx(0.8, abs=0.05)


def test_loss_is_that_of_each_text_by_itself() -> None:
    model = tiny_model()
    generator = np.random.default_rng(0)
    tokens = [generator.integers(16, 512, size).astype(np.int32) for size in (3, 9, 5)]
    targets = np.zeros((3, 512), np.float32)
    targets[:, 300:310] = 0.1
    words = np.array([305, IGNORED, 301])
    examples = Examples(tokens, words, sparse.csr_matrix(targets), end=2)
    wanted = []
    for ids, word, target in zip(tokens, words, torch.from_numpy(targets), strict=True):
        with torch.no_grad():
            logs = model.logits(model(torch.tensor([ids.tolist()])))[0, -1].log_softmax(0)
            nats = -float(target @ logs)
            if word != IGNORED:
                behind = model.logits(model(torch.tensor([[*ids.tolist(), int(word)]])))[0, -1].log_softmax(0)
                nats = -0.95 * float(logs[word]) + 0.05 * nats - float(behind[2])
        wanted.append(nats)
        found = word_logits(model, tokens, np.array([305]), rows=2)
    loss = keyword_loss(model, examples, np.arange(3))
    assert float(loss.detach()) == pytest.approx(np.mean(wanted), rel=1e-4)
    with torch.no_grad():
        alone = model.logits(model(torch.tensor([tokens[1].tolist()])))[0, -1, 305]
    assert found[1, 0] == pytest.approx(float(alone), abs=1e-4)


def test_a_lost_word_is_ranked_among_absent_ones() -> None:
    scores = np.array([[5.0, 4.0, 3.0, 3.0], [0, 0, 0, 0]])
    left = sparse.csr_matrix(np.array([[1, 0, 0, 0], [0, 0, 0, 1]]))
    prior = np.array([0.1, 0.2, 0.3, 0.4])
    assert _ranks(scores, left, np.array([2, 0]), prior).tolist() == [3, 3]


OPTIONS = (
    "task=keywords",
    "data=synthetic",
    "data.planted.num_docs=120",
    "data.vocabulary.min_df=1",
    "data.vocabulary.max_df=1.0",
    "keywords.passes=6",
    "keywords.replay_length=16",
    "keywords.min_df=2",
    "keywords.rows_per_step=16",
    "keywords.perplexity=6",
    "trainer.device=cpu",
    "trainer.num_threads=1",
)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    cfg = compose(
        [
            "task=pretrain",
            "model=minillm/nano",
            "model.shape.num_layers=2",
            "pretrain.length=64",
            *(option for option in OPTIONS if option.startswith(("data", "trainer"))),
            "model.shape.vocab_size=1200",
            "tokenizer.num_forced_words=200",
            "pretrain.eval_steps=20",
            "pretrain.tokens_per_step=1024",
            "pretrain.passes=1",
            f"paths.cache={folder}/cache",
        ]
    )
    run_cell(cfg, folder / "run")
    return compose([*OPTIONS, f"run={folder}/run", f"paths.cache={folder}/cache"])


@pytest.fixture(scope="module")
def taught(pretrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught") / "run"
    return folder, run_cell(pretrained, folder)["metrics"]


def test_a_run_learns_from_the_text_and_can_teach(taught) -> None:
    folder, metrics = taught
    assert metrics["model/mrr"] > 1.3 * metrics["shuffled/mrr"]
    assert 0 < metrics["diffusion/recall@10"] <= 1
    assert export_of(str(folder), "teacher.run").is_dir()


@pytest.mark.parametrize("seconds", [0, 100])
def test_a_killed_run_ends_as_if_it_was_not(pretrained, taught, tmp_path, monkeypatch, caplog, seconds):
    caplog.set_level("INFO")
    steps = []

    def killed(*given):
        steps.append(given)
        if len(steps) == 10:  # in the second pass of 6 or 7 steps
            raise KeyboardInterrupt
        return keyword_loss(*given)

    cfg = {**pretrained, "trainer": {**pretrained["trainer"], "checkpoint_seconds": seconds}}
    monkeypatch.setattr(keyword_training, "keyword_loss", killed)
    with pytest.raises(KeyboardInterrupt):
        run_cell(cfg, tmp_path / "run")
    monkeypatch.setattr(keyword_training, "keyword_loss", keyword_loss)
    again = run_cell(cfg, tmp_path / "run")["metrics"]
    found = re.search(r"resuming from .*: step (\d+) of pass 2", caplog.text)
    assert found is not None
    assert (int(found[1]) > 1) == (seconds == 0)
    assert again == taught[1]
    first, second = (load_file(path / "export" / WEIGHTS) for path in (taught[0], tmp_path / "run"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_checkpoint_of_others_or_a_half_one_is_dropped(pretrained, taught, tmp_path, caplog) -> None:
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    shutil.copytree(taught[0], tmp_path / "run")
    stored = torch.load(last, weights_only=True)
    for write, told in (
        (lambda: torch.save({**stored, "inputs": "others"}, last), "it belongs to other examples"),
        (lambda: last.write_bytes(last.read_bytes()[:1000]), "last.ckpt is damaged"),
    ):
        write()
        (last.parent / "last.ckpt.sha256").unlink()  # as earlier versions left a run
        (tmp_path / "run" / "result.json").unlink()
        assert run_cell(pretrained, tmp_path / "run")["metrics"] == taught[1]
        assert f"last.ckpt is dropped, because {told}" in caplog.text


def test_a_model_without_whole_words_is_told(tmp_path) -> None:
    run = save_run(tmp_path / "language")
    cfg = compose(
        [
            "task=keywords",
            "data=lee",
            "data.sample=40",
            "data.vocabulary.size=3",
            f"run={run}",
            f"paths.cache={tmp_path}/cache",
        ]
    )
    with pytest.raises(CellFailed, match="words is one token of the model"):
        run_cell(cfg, tmp_path / "run")


def test_what_is_no_language_model_is_told(tmp_path) -> None:
    with pytest.raises(ConfigError, match="task=keywords needs a language model; add run="):
        compose(["task=keywords"])
    with pytest.raises(ConfigError, match=r"no result\.json there; .* give the folder of a finished"):
        compose(["task=keywords", f"run={tmp_path}"])
    run = save_run(tmp_path / "fit", task="fit")
    with pytest.raises(CellFailed, match="holds a run of task=fit, which has no language model"):
        run_cell(compose(["task=keywords", "data=lee", "data.sample=40", f"run={run}"]), tmp_path / "run")
