"""From raw documents to a corpus: blanks, copies, ids, samples, splits, labels, times."""

import logging
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_settings import vocabulary

from topiclab.data.corpus import SPLITS, Corpus
from topiclab.data.documents import Document, assign_split, build_corpus, usable_documents
from topiclab.data.dropped import Dropped
from topiclab.data.sources.corpora import corpus_from_texts
from topiclab.settings import Selection, Split, Vocabulary

VOCABULARY = vocabulary(min_df=1, max_df=1.0)
SPLIT = Split(val=0.1, test=0.1)
SELECTION = Selection("test")
WORDS = ["river", "stone", "cloud", "engine", "violin", "harbour", "pepper"]


def titles(number: int, seed: int = 0) -> list[str]:
    """Distinct short texts."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=5)) + f" {seed} {i}" for i in range(number)]


def build(texts: list[str], words: Vocabulary = VOCABULARY, split: Split = SPLIT, **changes: Any) -> Corpus:
    return build_corpus(map(Document, texts), replace(SELECTION, **changes), words, split)


def places(corpus: Corpus) -> dict[str, str]:
    return {text: SPLITS[place] for text, place in zip(corpus.texts, corpus.split, strict=True)}


def test_documents_never_change_their_split() -> None:
    texts = titles(400)
    before = places(build(texts))
    assert set(before.values()) == set(SPLITS)
    shuffled = random.Random(1).sample(texts + titles(300, seed=5), 700)
    after = places(build(shuffled))
    assert {text: after[text] for text in texts} == before
    sampled = places(build(shuffled, sample=200))
    assert sampled.items() <= after.items()


def test_split_shares_hold_and_test_does_not_depend_on_val() -> None:
    texts = titles(20_000)
    split = assign_split(texts, val=0.1, test=0.2)
    np.testing.assert_allclose(np.bincount(split) / len(texts), [0.7, 0.1, 0.2], atol=0.01)
    without_val = assign_split(texts, val=0, test=0.2)
    np.testing.assert_array_equal(split == 2, without_val == 2)
    assert set(assign_split(texts, val=0, test=0)) == {SPLITS.index("train")}


def test_copies_share_a_split_whatever_their_ids() -> None:
    texts = titles(60) * 2
    corpus = corpus_from_texts(texts, ids=list(map(str, range(120))), vocabulary=VOCABULARY, split=SPLIT)
    np.testing.assert_array_equal(corpus.split[:60], corpus.split[60:])


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.5, 0.5), (0, 1.2)])
def test_split_shares_must_leave_training_documents(val: float, test: float) -> None:
    with pytest.raises(ValueError, match="below 1, because the rest is for training"):
        assign_split(["a"], val, test)


def test_default_ids_follow_the_text_and_stay_unique() -> None:
    texts = titles(5)
    ids = dict(zip(texts, build(texts).ids, strict=True))
    corpus = build([*reversed(texts), texts[0]])
    assert [ids[text] for text in reversed(texts)] == list(corpus.ids[:5])
    assert corpus.ids[5] == ids[texts[0]] + "-2"


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(ValueError, match=r"document 3: id 'a' was used before, by 1; .*data.id_column"):
        build_corpus(
            [Document("one", "a"), Document("two", "b"), Document("three", "a")], SELECTION, VOCABULARY, SPLIT
        )


def test_documents_keep_the_row_of_the_source() -> None:
    documents = [Document("one"), Document(" "), Document("one"), Document("two", id="a")]
    dropped = Dropped()
    kept, _ = usable_documents(documents, replace(SELECTION, deduplicate=True), dropped)
    assert [document.row for document in kept] == [0, 3]
    assert dropped.rows.tolist() == [1, 2]
    assert dropped.counts() == {"blank": 1, "duplicate": 1}
    assert dropped.message(4) == "2 of 4 records are not among the documents: 1 blank, 1 duplicate"


def test_sample_is_stable_seeded_and_nested() -> None:
    texts = titles(300)
    small, large = build(texts, sample=50), build(texts, sample=100)
    assert len(small.texts) == 50
    assert set(small.texts) < set(large.texts)
    assert [text for text in texts if text in set(small.texts)] == list(small.texts)
    assert set(build(texts[::-1], sample=50).texts) == set(small.texts)
    assert set(build(texts, sample=50, sample_seed=1).texts) != set(small.texts)
    assert build(texts, sample=1000).num_docs == 300
    with pytest.raises(ValueError, match=r"data.sample=1 must be at least 2"):
        build(texts, sample=1)


def test_copies_are_dropped_or_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    texts = titles(100)
    with caplog.at_level(logging.WARNING):
        assert build([*texts, texts[3]]).info["duplicates"] == 1
        assert not caplog.records
        assert build([*texts, *texts[:2]]).num_docs == 102
    assert "2 of 102 documents repeat an earlier text" in caplog.text
    dropped = build([*texts, *texts[:2]], deduplicate=True)
    assert dropped.texts == tuple(texts)
    assert dropped.info["duplicates"] == 2


def test_blank_texts_go_and_wordless_texts_stay() -> None:
    corpus = build(["river stone", " \n\t", "", "12 34 !?", "stone"])
    assert corpus.texts == ("river stone", "12 34 !?", "stone")
    assert corpus.bow.toarray().tolist() == [[1, 1], [0, 0], [1, 0]]
    assert corpus.token_ids.tolist() == [1, 0, 0]
    assert corpus.token_offsets.tolist() == [0, 2, 2, 3]
    facts = {"read": 5, "blank": 2, "duplicates": 0, "without_known_words": 1}
    assert facts.items() <= corpus.info.items()


@given(st.lists(st.lists(st.sampled_from([*WORDS, "the", "12"]), max_size=8), min_size=3, max_size=12))
def test_tokens_and_counts_agree(documents: list[list[str]]) -> None:
    corpus = build(
        [" ".join(words) for words in documents] + ["river stone", "cloud"],
        words=replace(VOCABULARY, size=3),
    )
    for row in range(corpus.num_docs):
        ids = corpus.token_ids[corpus.token_offsets[row] : corpus.token_offsets[row + 1]]
        counts = np.bincount(ids[ids >= 0], minlength=corpus.num_words)
        np.testing.assert_array_equal(corpus.bow[[row]].toarray().ravel(), counts)


def test_a_corpus_without_training_documents_is_refused() -> None:
    texts = [text for text, place in places(build(titles(100))).items() if place != "train"][:3]
    with pytest.raises(ValueError, match=r"all 3 documents fell to validation and test.*data\.split\.val=0"):
        build(texts)


def test_fingerprints_tell_what_changed() -> None:
    texts = titles(50)
    base = build(texts)
    assert build(texts).fingerprint == base.fingerprint
    stop_words = replace(VOCABULARY, stop_words="none")
    of_the_words = [f"{text} of the" for text in texts]
    windows = [build(of_the_words, words=replace(v, max_df=0.9)) for v in (VOCABULARY, stop_words)]
    assert windows[0].vocab == windows[1].vocab
    assert windows[0].fingerprint != windows[1].fingerprint
    labelled = [
        build_corpus(
            [Document(text, label=name) for text, name in zip(texts, names, strict=True)],
            SELECTION,
            VOCABULARY,
            SPLIT,
        )
        for names in ("ab" * 25, "ba" * 25)
    ]
    assert len({corpus.fingerprint for corpus in [base, *labelled]}) == 3
    same_texts = [
        build(texts, words=replace(VOCABULARY, size=4)),
        build(texts, split=Split(val=0.4, test=0.1)),
    ]
    for changed in same_texts:
        assert changed.text_fingerprint == base.text_fingerprint
        assert changed.fingerprint != base.fingerprint
    for changed in (build(texts[::-1]), build([*texts[:-1], texts[-1] + "."])):
        assert changed.text_fingerprint != base.text_fingerprint
        assert changed.fingerprint != base.fingerprint


@pytest.mark.parametrize(
    ("values", "ids", "names"),
    [
        (["b", "a", None, "b", ""], [1, 0, -1, 1, -1], ("a", "b")),
        ([10, 9, 2.0, float("nan"), 2], [2, 1, 0, -1, 0], ("2", "9", "10")),
        (["10", "9", "x", "9", "9"], [0, 1, 2, 1, 1], ("10", "9", "x")),
        ([True, False, True, None, None], [1, 0, 1, -1, -1], ("False", "True")),
        (list(np.array([3, 1, 1, 2, 3])), [2, 0, 0, 1, 2], ("1", "2", "3")),
    ],
)
def test_labels_are_sorted_and_missing_is_minus_one(
    values: list[object], ids: list[int], names: tuple[str, ...]
) -> None:
    corpus = corpus_from_texts(WORDS[:5], labels=values, vocabulary=VOCABULARY, split=SPLIT)
    assert corpus.labels is not None
    assert corpus.labels.tolist() == ids
    assert corpus.labels.dtype == np.int64
    assert corpus.label_names == names


def test_labels_follow_their_documents() -> None:
    corpus = corpus_from_texts(
        ["river", " ", "stone"], labels=["r", "blank", "s"], vocabulary=VOCABULARY, split=SPLIT
    )
    assert corpus.label_names == ("r", "s")
    assert build(WORDS).labels is None
    unlabelled = corpus_from_texts(WORDS, labels=[None] * 7, vocabulary=VOCABULARY, split=SPLIT)
    assert unlabelled.labels is None


def test_times_are_read_as_utc() -> None:
    written = [
        "2024",
        "2024-05",
        "2024-05-01",
        "2024-05-01 12:30:00",
        "2024-05-01T12:30:00+02:00",
        "2024-05-01T00:00:00Z",
        None,
    ]
    documents = [Document(text, timestamp=time) for text, time in zip(WORDS, written, strict=True)]
    expected = [
        "2024-01-01",
        "2024-05-01",
        "2024-05-01",
        "2024-05-01T12:30",
        "2024-05-01T10:30",
        "2024-05-01",
        "NaT",
    ]
    times = build_corpus(documents, SELECTION, VOCABULARY, SPLIT).timestamps
    np.testing.assert_array_equal(times, np.array(expected, dtype="datetime64[s]"))
    assert build(WORDS).timestamps is None
    with pytest.raises(
        ValueError, match=r"document 8: 'yesterday' is not a readable date \(1 of 7 are not\).* ISO 8601"
    ):
        build_corpus([*documents, Document("late", timestamp="yesterday")], SELECTION, VOCABULARY, SPLIT)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "0 usable documents"),
        (["river"], "1 usable documents"),
        (["river", "  "], "1 usable documents .2 read, 1 blank.*check data.path and data.text_column"),
        (["12", "!!", "of"], "vocabulary has 0 words.*token_pattern.*stop_words"),
        (["river", "river"], "vocabulary has 1 words"),
        (["river", "half \ud800 pair"], "document 2: its text holds half a surrogate pair at character 5"),
    ],
    ids=str,
)
def test_texts_without_a_corpus_in_them_are_refused(texts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(texts)


@pytest.mark.parametrize("part", ["id", "label", "title"])
def test_half_a_surrogate_pair_is_found_wherever_it_stands(part: str) -> None:
    broken = Document("river")._replace(**{part: "half \ud800"})
    with pytest.raises(ValueError, match=f"document 2: its {part} holds half .* at character 5"):
        build_corpus([Document("stone"), broken], SELECTION, VOCABULARY, SPLIT)


def test_what_python_callers_get_wrong_is_named() -> None:
    with pytest.raises(TypeError, match="sequence of strings"):
        corpus_from_texts("river", vocabulary=VOCABULARY, split=SPLIT)
    with pytest.raises(TypeError, match="sequence of strings"):
        corpus_from_texts(["river", None], vocabulary=VOCABULARY, split=SPLIT)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="2 texts but 1 labels"):
        corpus_from_texts(["river", "stone"], labels=[1], vocabulary=VOCABULARY, split=SPLIT)
    with pytest.raises(ValueError, match=r"label \[1\] is a list"):
        corpus_from_texts(["river", "stone"], labels=[[1], 2], vocabulary=VOCABULARY, split=SPLIT)
