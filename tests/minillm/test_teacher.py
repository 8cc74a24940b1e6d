"""Your own language model as teacher and as embedder: the run it is read from, its words, its vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from embedding_corpus import embedding_corpus
from made_settings import CPU
from small_cells import SMALL
from tiny_lm import TRAINER, documents, taught
from tiny_minillm import TEXTS, save_run, tiny_tokenizer

import topiclab
from topiclab.config.compose import compose
from topiclab.embed.embedder import embed_corpus, is_fitted
from topiclab.embed.minillm import MiniLLMEmbedder
from topiclab.minillm.data.tokenizer import END_OF_TEXT, Tokenizer, forceable_words, train_tokenizer
from topiclab.minillm.export import load_folder
from topiclab.minillm.finished import export_of
from topiclab.runs.run import run_cell
from topiclab.teach.soft_labels import make_teacher

DOCUMENTS = [f"{first} {second}" for first in TEXTS for second in TEXTS if first != second]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(tmp_path_factory.mktemp("language") / "run")


def embedder_of(run: Path, **options) -> MiniLLMEmbedder:
    return MiniLLMEmbedder(str(run), **CPU, **options)


def test_only_a_whole_run_of_a_language_model_is_read(run: Path, tmp_path: Path) -> None:
    assert export_of(str(run), "teacher.run") == run / "export"
    fit = save_run(tmp_path / "fit", task="fit")
    failed = save_run(tmp_path / "failed", status="failed")
    names = ("bare", "other", "half", "damaged", "torn")
    bare, other, half, damaged, torn = (tmp_path / name for name in names)
    for folder in (bare, other, half, damaged, torn):
        shutil.copytree(run, folder)
    (bare / "result.json").unlink()
    train_tokenizer(["an other text"] * 3, vocab_size=512, seed=0, max_bytes=99).save(other / "export")
    (half / "export" / "model.safetensors").unlink()
    (damaged / "result.json").write_text('{"status": "do')
    (torn / "export" / "config.json").write_text('{"model_ty')
    for folder, kind, message in (
        (fit, ValueError, "holds a run of task=fit, which has no language model; give the folder of a"),
        (failed, ValueError, "did not finish: killed"),
        (tmp_path / "none", FileNotFoundError, "no such folder"),
        (bare, FileNotFoundError, r"it has no result\.json"),
        (half, FileNotFoundError, r"has no export/model\.safetensors"),
        (damaged, ValueError, r"its result\.json is damaged"),
        (torn, ValueError, r"its export/config\.json is damaged"),
        (other, ValueError, "was trained with the tokenizer"),
    ):
        for option, call in (
            ("teacher", lambda: make_teacher(teacher_cfg(folder), TRAINER).fingerprint(documents())),  # noqa: B023
            ("embedder", lambda: embedder_of(folder).fingerprint()),  # noqa: B023
        ):
            with pytest.raises(kind, match=rf"{option}\.run=.*{message}"):
                call()


def teacher_cfg(run: Path, *overrides: str) -> dict:
    return compose(["teacher=minillm", f"teacher.run={run}", *overrides])["teacher"]


def test_label_is_the_log_probability_of_all_tokens_in_our_own_network(run: Path) -> None:
    vocab = ("music", "sports", "dog", "photosynthesis")
    texts = [TEXTS[0][:20], "a song"]
    teacher, facts, (logits, _) = taught(run / "export", documents(texts, vocab), multi_token="exact")
    model, tokenizer = load_folder(run / "export")
    assert facts["num_multi_token"] > 0
    for row, text in enumerate(texts):
        assert tokenizer.decode(teacher.tokens[row]).endswith(f"Document: {text}\n\nTopic:")
        for column, word in enumerate(vocab):
            ids = list(teacher.words.ids[column])
            assert tokenizer.decode(ids).strip() == word
            whole = torch.tensor([[*teacher.tokens[row].tolist(), *ids]])
            with torch.no_grad():
                logs = model.logits(model(whole))[0, -len(ids) - 1 : -1].log_softmax(dim=-1)
            wanted = float(logs.gather(1, torch.tensor(ids)[:, None]).sum())
            assert logits[row, column] == pytest.approx(wanted, abs=2e-4)
    assert np.exp(logits).sum(axis=1).max() <= 1


def test_words_that_the_pattern_splits_are_left_to_exact(caplog: pytest.LogCaptureFixture) -> None:
    assert forceable_words(["music", "new york", "covid19", "jazz"]) == ("music", "jazz")
    assert "2 of 4 words stay several tokens" in caplog.text


@pytest.mark.parametrize("pooling", ["mean", "lasttoken"])
def test_states_are_those_of_our_own_network(run: Path, pooling: str) -> None:
    model, tokenizer = load_folder(run / "export")
    seen: list[torch.Tensor] = []
    model.layers[0].register_forward_hook(lambda *found: seen.append(found[2]))  # 5/8 of two layers is one
    found = embedder_of(run, pooling=pooling, batch_tokens=200).states([*DOCUMENTS, ""])
    for row, text in enumerate([*DOCUMENTS, ""]):
        ids = [END_OF_TEXT, *tokenizer.encode(text)][: model.shape.context_length]
        with torch.no_grad():
            last = model(torch.tensor([ids]))[0, -1]
        hidden = seen.pop()[0]
        wanted = last if pooling == "lasttoken" else hidden[min(1, len(ids) - 1) :].mean(dim=0)
        np.testing.assert_allclose(found[row], wanted.numpy(), atol=2e-4)


def test_pairs_at_random_point_nowhere_in_common(run: Path) -> None:
    def cosine(vectors: np.ndarray) -> float:
        products = vectors @ vectors.T
        return float(products[~np.eye(len(products), dtype=bool)].mean())

    raw = embedder_of(run).states(DOCUMENTS)
    assert cosine(raw / np.linalg.norm(raw, axis=1, keepdims=True)) > 0.4
    for whitening in (False, True):
        fitted = embedder_of(run, whitening=whitening).fit(DOCUMENTS[::2])
        vectors = fitted.encode(DOCUMENTS)
        assert abs(cosine(vectors)) < 0.3
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_whitening_leaves_one_variance(run: Path) -> None:
    fitted = embedder_of(run).fit(DOCUMENTS)
    placed = (fitted.states(DOCUMENTS) - fitted.mean) @ fitted.axes
    variances = np.linalg.eigvalsh(np.cov(placed, rowvar=False, bias=True))
    assert variances.max() == pytest.approx(1, abs=1e-3)
    assert (np.isclose(variances, 1, atol=1e-2) | (variances < 1)).all()
    np.testing.assert_allclose(fitted.axes, fitted.axes.T, atol=1e-9)


def test_it_learns_from_training_rows_and_is_cached(run: Path, tmp_path: Path) -> None:
    cfg = compose(["embedder=minillm", f"embedder.run={run}"])["embedder"]
    corpus = embedding_corpus(DOCUMENTS, num_train=12)
    first, again = (embed_corpus(cfg, corpus, tmp_path, TRAINER) for _ in range(2))
    assert (first.is_cached, again.is_cached) == (False, True)
    assert is_fitted(first.embedder)
    np.testing.assert_array_equal(again.embedder.encode(DOCUMENTS), first.vectors)
    other = embedding_corpus([*DOCUMENTS[:12], *["music"] * 8], num_train=12)
    np.testing.assert_allclose(
        embed_corpus(cfg, other, None, TRAINER).vectors[:12], first.vectors[:12], atol=1e-5
    )
    assert embed_corpus(cfg, embedding_corpus(DOCUMENTS, num_train=13), None, TRAINER).key != first.key


def test_state_of_another_model_is_refused(run: Path, tmp_path: Path) -> None:
    state = embedder_of(run).fit(DOCUMENTS).state()
    with pytest.raises(ValueError, match="but mean and axes are of"):
        embedder_of(save_run(tmp_path / "other", seed=1)).load_state(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pooling": "cls"}, "use mean or lasttoken"), ({"layer": 9}, "embedder.layer=9, but .* has 2 layers")],
)
def test_options_out_of_place_are_told(run: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embedder_of(run, **options).fit(DOCUMENTS)


def test_a_topic_model_is_fitted_by_both_and_predicts(run: Path, tmp_path: Path) -> None:
    cfg = compose(
        [
            *SMALL,
            "model=prodlda",
            "objective=dsl",
            "data=lee",
            "num_topics=3",
            f"paths.cache={tmp_path}/cache",
            "teacher=minillm",
            f"teacher.run={run}",
            "embedder=minillm",
            f"embedder.run={run}",
            "data.sample=40",
            "data.vocabulary.size=30",
        ]
    )
    result = run_cell(cfg, tmp_path / "run")
    assert result["status"] == "done"
    topics = topiclab.load(tmp_path / "run", device="cpu")
    theta = topics.transform(["the government said", "rain and wind"])
    assert theta.shape == (2, 3)
    np.testing.assert_allclose(theta.sum(axis=1), 1, atol=1e-5)


def test_tokenizer_of_the_run_is_the_one_that_it_was_trained_with(run: Path) -> None:
    assert Tokenizer.load(run / "export").fingerprint == tiny_tokenizer().fingerprint


@pytest.mark.parametrize("pooling", ["mean", "lasttoken"])
def test_embedder_averages_the_parts_of_a_long_text(run: Path, pooling: str) -> None:
    options = {"pooling": pooling, "layer": 1}
    text = " ".join(DOCUMENTS[:4])
    cut, parts = (embedder_of(run, **options, max_length=9, long=long) for long in ("cut", "mean"))
    states = parts.states([text, "dog"])
    assert parts.is_long.tolist() == [True, False]
    ids = Tokenizer.load(run / "export").encode(text)
    pieces = [np.concatenate([[END_OF_TEXT], part]) for part in np.array_split(ids, -(-len(ids) // 8))]
    each = np.stack([parts._pooled([piece])[0].numpy() for piece in pieces])
    sizes = np.array([len(piece) - 1 for piece in pieces])
    np.testing.assert_allclose(states[0], sizes @ each / sizes.sum(), atol=1e-5)
    np.testing.assert_allclose(states[1], cut.states(["dog"])[0], atol=1e-6)
    assert np.abs(states[0] - cut.states([text])[0]).max() > 1e-4
    assert "long" not in cut.fingerprint()
