"""Terms of topics: planted pairs are found, the formula is BERTopic's, empty words and repetitions go."""

from dataclasses import replace

import numpy as np
import pytest
from made_settings import vocabulary
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from topiclab.data.words.tokenizer import tokenize
from topiclab.describe import ngrams
from topiclab.describe.ngrams import count_ngrams
from topiclab.describe.redundancy import singular
from topiclab.describe.terms import TermOptions, best, class_scores, class_terms, evenness

VOCABULARY = vocabulary()
OPTIONS = TermOptions(membership="main", num_terms=4, domain_evenness=0.9, domain_share=0.05, domain_words=())
THEMES = [
    ("gaussian splatting", ["camera", "scene", "radiance"]),
    ("remote sensing", ["satellite", "crop", "flood"]),
    ("dark matter", ["halo", "galaxy", "lensing"]),
]
FILLER = ["paper", "propose", "method", "results"]


def counted(texts, fewest=1, has_bigrams=True):
    return count_ngrams(tokenize(texts, VOCABULARY), fewest, has_bigrams)


def planted(num=240, seed=0):
    """Make texts of three themes, each with its own word pair among shared words, and their theta."""
    rng = np.random.default_rng(seed)
    texts, topics = [], np.arange(num) % 3
    for topic in topics:
        pair, words = THEMES[topic]
        parts = [pair, pair, *rng.choice(words, 4), *rng.choice(FILLER, 6)]
        rng.shuffle(parts)
        texts.append(" ".join(parts))
    return texts, np.eye(3, dtype=np.float32)[topics]


def test_planted_pairs_lead_and_words_of_the_domain_go():
    texts, theta = planted()
    found = class_terms(counted(texts, 5), theta, OPTIONS)
    assert found.domain_words == sorted(FILLER)
    for terms, keywords, (pair, words) in zip(found.terms, found.keywords, THEMES, strict=True):
        assert pair in terms
        assert keywords[0] == pair
        assert not set(pair.split()) & set(terms)  # the pair replaces its words
        assert not set(FILLER) & set(" ".join(terms).split())
        assert set(" ".join(terms).split()) <= {*pair.split(), *words}


def test_domain_words_need_evenness_and_a_share():
    texts, theta = planted()
    counts = counted(texts, 5)
    strict = class_terms(counts, theta, replace(OPTIONS, domain_evenness=1.0, num_terms=20))
    assert strict.domain_words == []
    assert set(FILLER) & {word for terms in strict.terms for word in terms}
    rare = class_terms(counts, theta, replace(OPTIONS, domain_share=1.0))
    assert rare.domain_words == []
    listed = class_terms(counts, theta, replace(OPTIONS, domain_words=["Halo", "dark", "matter"]))
    assert not {"halo", "dark matter"} & set(listed.terms[2])
    assert "galaxy" in listed.terms[2]


def test_evenness_does_not_depend_on_sizes_of_topics():
    words = sparse.csr_matrix(np.array([[1, 3, 0]] * 30 + [[1, 0, 3]] * 2, dtype=np.int32))
    theta = np.zeros((32, 3))
    theta[:30, 0] = theta[30:, 1] = 1  # the third topic has no documents
    np.testing.assert_allclose(evenness(words, theta), [1, 0, 0], atol=1e-12)
    assert not evenness(words, np.ones((32, 1))).any()


def texts_of_prose(num=150):
    rng = np.random.default_rng(1)
    words = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)] + ["the", "and", "of"]
    return [" ".join(rng.choice(words, rng.integers(0, 30))) for _ in range(num)]


@pytest.mark.parametrize("min_df", [1, 3])
def test_counts_and_scores_are_those_of_bertopic(min_df, monkeypatch):
    from bertopic.vectorizers import ClassTfidfTransformer

    monkeypatch.setattr(ngrams, "BLOCK_TOKENS", 200)
    texts = texts_of_prose()
    counter = CountVectorizer(
        ngram_range=(1, 2), stop_words="english", token_pattern=r"\b[^\W\d_]{3,}\b", min_df=min_df
    )
    theirs = counter.fit_transform(texts)
    counts = counted(texts, min_df)
    assert sorted(counts.vocab) == counter.get_feature_names_out().tolist()
    order = np.argsort(counts.vocab)
    assert (counts.matrix[:, order] != theirs).nnz == 0
    assert counts.matrix.has_sorted_indices
    theta = np.eye(5)[np.arange(len(texts)) % 5]
    weighted = ClassTfidfTransformer().fit_transform(sparse.csr_matrix(theta).T @ theirs).toarray()
    nothing = np.zeros(len(counts.vocab), dtype=bool)
    ours = np.stack([scores for scores, _ in class_scores(counts, theta, "main", nothing)])
    np.testing.assert_allclose(ours[:, order], weighted, rtol=2e-3)  # BERTopic rounds the mean of a class
    soft = np.stack([scores for scores, _ in class_scores(counts, theta, "soft", nothing)])
    np.testing.assert_allclose(soft, ours, rtol=1e-12)


def test_pairs_cross_neither_documents_nor_rare_words_and_may_repeat():
    counts = counted(["cat dog", "fox cat dog", "cat bird dog", "", "cat cat"], 2)
    assert counts.vocab == ("cat", "dog", "cat dog")
    assert counts.parts.tolist() == [[0, 0], [1, 1], [0, 1]]
    assert counts.num_words == 2
    np.testing.assert_array_equal(counts.matrix[:, [2]].toarray()[:, 0], [1, 1, 0, 0, 0])
    doubled = counted(["cat cat", "cat cat"], 2)
    assert doubled.vocab == ("cat", "cat cat")
    assert doubled.num_words == 1


@pytest.mark.parametrize("texts", [["", ""], ["12", "the"]])
def test_documents_without_words_have_no_terms(texts):
    counts = counted(texts)
    assert counts.matrix.shape == (len(texts), 0)
    found = class_terms(counts, np.full((len(texts), 2), 0.5), OPTIONS)
    assert found.terms == found.scores == found.keywords == [[], []]


def test_one_topic_and_an_empty_one():
    texts, theta = planted(60)
    counts = counted(texts, 2)
    single = class_terms(counts, np.ones((60, 1)), OPTIONS)
    assert single.domain_words == []
    assert len(single.terms[0]) == 4
    wider = np.hstack([theta[:, :1], np.zeros((60, 1)), theta[:, 1:]])
    found = class_terms(counts, wider, OPTIONS)
    assert found.terms[1] == found.scores[1] == found.keywords[1] == []
    assert found.terms[0] == class_terms(counts, theta, OPTIONS).terms[0]


def test_the_same_again_bit_for_bit():
    texts, theta = planted()
    theta = 0.8 * theta + 0.2 / 3
    for membership in ("main", "soft"):
        one, other = (
            class_terms(counted(texts, 3), theta, replace(OPTIONS, membership=membership)) for _ in range(2)
        )
        assert one == other


def test_other_documents_are_refused():
    with pytest.raises(ValueError, match="theta has 2 documents, the counts have 1; give both of one corpus"):
        class_terms(counted(["cat dog"]), np.ones((2, 1)), OPTIONS)


def test_numbers_of_a_word_are_shown_once():
    texts = ["model models query queries database databases bias biases galaxy"] * 3 + ["tree leaf"] * 3
    theta = np.repeat(np.eye(2), 3, axis=0)
    found = class_terms(counted(texts, has_bigrams=False), theta, replace(OPTIONS, num_terms=10))
    assert len(found.terms[0]) == 5
    assert {singular(word) for word in found.terms[0]} == {"model", "query", "databas", "bias", "galaxy"}


def test_fragments_of_a_phrase_are_shown_once():
    texts = ["large language models"] * 5 + ["tree leaf", "leaf tree"] * 3
    theta = np.repeat(np.eye(2), [5, 6], axis=0)
    found = class_terms(counted(texts, 2), theta, OPTIONS)
    assert len(found.terms[0]) == 1


def test_best_takes_ties_in_order_and_nothing_without_a_score():
    assert best(np.array([1.0, 0, 3, 1, 3]), 3).tolist() == [2, 4, 0]
    assert best(np.array([1.0, 0, 3]), 5).tolist() == [2, 0]
    assert best(np.zeros(4), 2).tolist() == []
