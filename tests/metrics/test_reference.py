"""Counts of an external reference: blocks against brute force, files of counts, task=count."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import zstandard
from brute_force import brute_force
from made_results import VOCAB, make_corpus, make_result
from made_settings import configured, vocabulary

from topiclab.config.compose import ConfigError, compose
from topiclab.metrics import reference as counting
from topiclab.metrics.coherence import c_v, npmi
from topiclab.metrics.cooccurrence import cooccurrence
from topiclab.metrics.evaluate import evaluate
from topiclab.metrics.reference import count_texts, load_counts, reference_counts, save_counts
from topiclab.runs.run import CellFailed, run_cell
from topiclab.tasks.count import count

VOCABULARY = vocabulary(min_df=1, max_df=1.0, size=None)
WORDS = ("apple", "pear", "plum", "the", "fig")


def reference(path, **changes):
    return {"path": None if path is None else str(path), "text_column": "text", "words": None, **changes}


def random_texts(num_docs, seed=0):
    rng = np.random.default_rng(seed)
    pieces = [*WORDS, "of", "a1", "42", "other", "Apple,", "PEAR."]
    return [" ".join(rng.choice(pieces, rng.integers(0, 260))) for _ in range(num_docs)]


def tokens_of(text):
    """Split into all runs of letters and digits, by hand."""
    return "".join(sign if sign.isalnum() else " " for sign in text.lower()).split()


@pytest.mark.parametrize("letters", [1, 5_000, 1 << 24])
def test_blocks_add_up_to_every_window(letters, monkeypatch):
    monkeypatch.setattr(counting, "BLOCK_LETTERS", letters)
    texts = random_texts(40)
    tables = count_texts(iter(texts), WORDS, VOCABULARY)
    documents = [tokens_of(text) for text in texts if text]
    for number, window in enumerate(tables["window"]):
        pairs, num_windows = brute_force(documents, WORDS, int(window), "exact")
        assert tables["num_windows"][number] == num_windows
        np.testing.assert_array_equal(tables["pair_counts"][number], pairs)
    assert set(tables["window"]) == {10, 110}


def test_stop_words_and_short_words_take_a_place():
    near = count_texts(["apple " + "of the 7 " * 2 + "pear"], WORDS, VOCABULARY)
    far = count_texts(["apple " + "of the 7 " * 3 + "pear"], WORDS, VOCABULARY)
    npmi_window = list(near["window"]).index(10)
    assert near["pair_counts"][npmi_window][0, 1] == 1
    assert far["pair_counts"][npmi_window][0, 1] == 0


def test_folders_lines_and_packed_files_give_the_same_counts(tmp_path):
    texts = [text for text in random_texts(12) if text]
    folder = tmp_path / "texts"
    (folder / "deeper").mkdir(parents=True)
    for number, text in enumerate(texts):
        place = folder / ("deeper" if number % 2 else ".") / f"{number:02}.txt"
        place.write_text(text.replace(" ", "\n", 1))
    (tmp_path / "lines.txt").write_text("\n".join(["", *texts]) + "\n")
    records = "".join(json.dumps({"abstract": text}) + "\n" for text in texts).encode()
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "a.jsonl.zst").write_bytes(zstandard.compress(records))
    found = [
        reference_counts(reference(path, text_column="abstract"), WORDS, VOCABULARY, None)
        for path in (folder, tmp_path / "lines.txt", packed, packed / "a.jsonl.zst")
    ]
    for counts in found[1:]:
        for window, each in counts.items():
            np.testing.assert_array_equal(each.pair_counts, found[0][window].pair_counts)
            assert each.num_windows == found[0][window].num_windows


def test_texts_are_counted_once_per_reference_and_words(tmp_path, monkeypatch):
    path, cache = tmp_path / "lines.txt", tmp_path / "cache"
    path.write_text("apple pear\nplum fig\n")
    first = reference_counts(reference(path), WORDS, VOCABULARY, cache)
    assert first[10].num_windows == 2
    with monkeypatch.context() as patched:
        patched.setattr(counting, "count_texts", lambda *_: pytest.fail("counted again"))
        kept = reference_counts(reference(path), WORDS, VOCABULARY, cache)
    np.testing.assert_array_equal(kept[110].pair_counts, first[110].pair_counts)
    other = reference_counts(reference(path), WORDS[::-1], VOCABULARY, cache)
    np.testing.assert_array_equal(other[10].pair_counts, first[10].pair_counts[::-1, ::-1])
    path.write_text("apple pear\nplum fig\napple\n")
    assert reference_counts(reference(path), WORDS, VOCABULARY, cache)[10].num_windows == 3


def test_metrics_are_those_of_the_reference_and_absent_words_are_named(tmp_path):
    corpus, result = make_corpus(), make_result()
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(corpus.texts[::2]))
    external = reference_counts(reference(lines), corpus.vocab, VOCABULARY, None)
    found = evaluate(result, corpus, external=external)
    topics = result.topic_words(10)
    assert found.metrics["c_v_ref"] == pytest.approx(c_v(topics, external[110]).mean())
    assert found.metrics["npmi_ref"] == pytest.approx(npmi(topics, external[10]).mean())
    assert found.metrics["npmi"] == pytest.approx(npmi(topics, cooccurrence(corpus, 10)).mean())
    word = topics[0][0]
    lines.write_text(re.sub(rf"\b{word}\b", "other", "\n".join(corpus.texts)))
    absent = reference_counts(reference(lines), corpus.vocab, VOCABULARY, None)
    found = evaluate(result, corpus, external=absent)
    assert math.isnan(found.metrics["c_v_ref"])
    assert f"1 top words: {word}" in found.reasons["c_v_ref"]
    assert np.isnan(found.per_topic["c_v_ref"]).sum() == sum(word in words for words in topics)


def test_without_reference_or_window_the_reason_says_so():
    corpus, result = make_corpus(), make_result()
    assert "set reference.path" in evaluate(result, corpus).reasons["c_v_ref"]
    reasons = evaluate(result, corpus, external={10: cooccurrence(corpus, 10)}).reasons
    assert "windows of 10, not of 110" in reasons["c_v_ref"]
    assert "npmi_ref" not in reasons


def test_counts_written_are_counts_read(tmp_path):
    corpus = make_corpus()
    counts = {window: cooccurrence(corpus, window) for window in (110, 10)}
    save_counts(tmp_path / "counts.npz", counts)
    kept = load_counts(tmp_path / "counts.npz")
    assert list(kept) == [110, 10]
    for window, each in kept.items():
        assert (each.vocab, each.num_windows, each.window) == (VOCAB, counts[window].num_windows, window)
        np.testing.assert_array_equal(each.pair_counts, counts[window].pair_counts)
        np.testing.assert_array_equal(each.word_counts, counts[window].word_counts)
    with (tmp_path / "damaged.npz").open("wb") as stream:
        stream.write((tmp_path / "counts.npz").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"damaged\.npz does not hold counts"):
        load_counts(tmp_path / "damaged.npz")
    with np.load(tmp_path / "counts.npz") as arrays:
        np.savez(tmp_path / "short.npz", **{**arrays, "pair_counts": arrays["pair_counts"][:1]})
    with pytest.raises(ValueError, match=r"2 windows and 60 words do not fit .*pair_counts \(1, 60, 60\)"):
        load_counts(tmp_path / "short.npz")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "nor a folder with .txt or .jsonl"),
        (lambda path: path.write_text("\n\n"), "no document with text"),
        (lambda path: (path.mkdir(), (path / "a.txt").write_bytes(b"\xff")), "a.txt is not UTF-8"),
    ],
)
def test_references_that_hold_nothing_are_refused(make, message, tmp_path):
    make(tmp_path / "some.txt")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        reference_counts(reference(tmp_path / "some.txt"), WORDS, VOCABULARY, None)


def test_task_count_writes_what_a_fit_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    for number, text in enumerate(random_texts(5)):
        Path(f"texts/{number}.txt").write_text(text)
    Path("words.txt").write_text("pear\n\napple\nunheard\npear\n")
    cfg = configured("task=count", "reference.path=texts", "reference.words=words.txt")
    outcome = count(cfg, tmp_path)
    assert outcome.metrics == {"words_found": 2, "words_absent": 1}
    counts = reference_counts(reference("counts.npz"), VOCAB, VOCABULARY, None)
    assert counts[10].vocab == ("pear", "apple", "unheard")
    assert counts[10].ids([["unheard", "pear"]]).tolist() == [[-1, 0]]
    for given, told in (("null", "path=None"), ("counts.npz", "counts texts"), ("gone", "nothing there")):
        with pytest.raises(ConfigError, match=told):
            compose(["task=count", f"reference.path={given}"])


def test_a_reference_without_use_stops_the_cell_before_the_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("\n")
    small = ["data=synthetic", "data.planted.num_docs=40", "num_topics=3", "model=kmeans"]
    with pytest.raises(CellFailed, match="no document with text"):
        run_cell(compose([*small, "reference.path=empty.txt"]), tmp_path / "run")
    assert not (tmp_path / "run" / "topics.npz").exists()
