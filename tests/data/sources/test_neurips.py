"""NeurIPS papers: both layouts of the file, cleaning, stop words of the corpus."""

import csv

import pytest

from topiclab.config.compose import compose
from topiclab.data.sources.corpora import data_folder, load_corpus
from topiclab.data.sources.neurips import clean_text, neurips_documents

PAPERS = [
    ("1", "1987", "Sparse Codes", "We code $x^2$ sparsely, see https://a.org/b.c for it."),
    ("2", "1988", "Missing", "Abstract Missing"),
    ("3", "1990", "Kernels", r"Kernel \emph{machines} of \(O(n^3)\) cost."),
]


@pytest.fixture
def papers(tmp_path):
    path = tmp_path / "papers.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "year", "title", "event_type", "pdf_name", "abstract", "paper_text"])
        writer.writerows([(*row[:3], "", "x.pdf", row[3], "all of it") for row in PAPERS])
    return path


def test_papers_csv_is_read_and_cleaned(papers):
    first, second, third = neurips_documents(papers, has_keywords=True)
    assert first.text == "Sparse Codes. We code sparsely, see for it"
    assert second.text == ""
    assert third.text == "Kernels. Kernel machines of cost"
    assert [first.id, first.timestamp, first.title] == ["1", "1987", "Sparse Codes"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("costs $5 and $6 each", "costs $5 and $6 each"),
        ("a $$\\sum_i x_i$$ b", "a b"),
        ("at www.code.com/x, or github.com/a/b now", "at or now"),
        ('the \\textbf{bold} 50\\% of M\\"uller', "the bold 50% of Müller"),
        ("\\begin{equation} a = b \\end{equation} holds", "holds"),
    ],
)
def test_clean_text(text, left):
    assert clean_text(text) == left


def test_a_missing_file_names_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"put neurips2022.parquet or papers.csv into"):
        load_corpus(compose(["data=neurips"])["data"], tmp_path)


def test_domain_words_are_no_words(papers):
    open_vocabulary = ["data.vocabulary.min_df=1", "data.vocabulary.max_df=1.0", "data.split.test=0"]
    options = ["data=neurips", f"data.path={papers}", *open_vocabulary, "data.split.val=0"]
    assert set(load_corpus(compose(options)["data"]).vocab) == {
        "sparse",
        "codes",
        "sparsely",
        "kernels",
        "kernel",
        "machines",
        "cost",
    }
    own = load_corpus(compose([*options, "data.vocabulary.domain_words=[cost,codes]"])["data"])
    assert {"code", "machines"} <= set(own.vocab)
    assert not {"cost", "codes"} & set(own.vocab)


@pytest.mark.skipif(not (data_folder() / "neurips2022.parquet").is_file(), reason="no corpora")
def test_a_thousand_papers_by_a_fixed_draw():
    corpus = load_corpus(compose(["data=neurips"])["data"])
    small = load_corpus(compose(["data=neurips", "data.sample=60"])["data"])
    assert (corpus.num_docs, len(corpus.titles)) == (1000, 1000)
    assert set(small.ids) < set(corpus.ids)
    assert not any("http" in text or "mathcal" in text for text in corpus.texts)
