"""task=describe: a finished run on texts as labels, documents, tree, timelines, map and page."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import WandbLogger
from scipy import sparse

from topiclab.cache import cached_arrays
from topiclab.config.configuration import Configuration
from topiclab.data.corpus import Corpus
from topiclab.data.sources.corpora import load_corpus
from topiclab.data.words.tokenizer import VERSION
from topiclab.describe import files
from topiclab.describe.labels import label_topics
from topiclab.describe.layout import LayoutOptions, layout
from topiclab.describe.model_periods import PeriodWords, read_period_words, with_own_words
from topiclab.describe.names import Names, topic_prompts, written_names
from topiclab.describe.ngrams import NgramCounts, ngram_counts
from topiclab.describe.representatives import Representatives, representatives
from topiclab.describe.terms import TermOptions, Terms, class_terms
from topiclab.describe.time import TopicTimes, topics_over_time
from topiclab.describe.titles import titles_of
from topiclab.describe.tree import Tree, merge_topics, topic_centroids, topic_tree
from topiclab.embed.embedder import Embeddings
from topiclab.pipeline.inputs import document_vectors
from topiclab.pipeline.stages import Stages, limited_threads
from topiclab.pipeline.wandb_log import log_figures, log_files, log_summary, log_table, wandb_logger
from topiclab.rate.writer import Writer, make_writer
from topiclab.report.description import read_description
from topiclab.report.figures.dendrogram import draw_tree
from topiclab.report.figures.map_figure import draw_map
from topiclab.report.figures.timeline import draw_time
from topiclab.report.language import LANGUAGES, Language
from topiclab.report.page.render import write_page
from topiclab.result import TopicResult
from topiclab.runs.outcome import Finished, Outcome
from topiclab.runs.run import finished_fit
from topiclab.runs.stored import naming
from topiclab.settings import Vocabulary

log = logging.getLogger(__name__)

PERIOD_WORDS = 8  # terms of a topic of which time.json tells shares by period

STAGES = (
    "load",
    "vectors",
    "tree",
    "count",
    "terms",
    "documents",
    "labels",
    "time",
    "layout",
    "write",
    "draw",
)


@dataclass(frozen=True)
class DescribeOptions:
    """The group `describe`, of which conf/task/describe.yaml says what each key does.

    min_df, has_bigrams: of describe.terms, for the counts.  has_writer: labels.labeller is `model`.
    num_representatives, diversity: of describe.representatives.
    unit, num_period_terms, num_bootstrap: of describe.time.  language: of figures and page.
    """

    seed: int
    num_topics: int | None
    min_df: float
    has_bigrams: bool
    terms: TermOptions
    num_representatives: int
    diversity: float
    has_writer: bool
    prompt: str
    unit: str
    num_period_terms: int
    num_bootstrap: int
    layout: LayoutOptions
    page_documents: int
    language: Language

    @classmethod
    def of(cls, node: Mapping[str, Any], language: str = "en") -> DescribeOptions:
        """The group of a configuration; language: report.language."""
        counts = ("min_df", "has_bigrams")
        return cls(
            seed=node["seed"],
            num_topics=node["num_topics"],
            **{name: node["terms"][name] for name in counts},
            terms=TermOptions(**{name: node["terms"][name] for name in node["terms"] if name not in counts}),
            num_representatives=node["representatives"]["num"],
            diversity=node["representatives"]["diversity"],
            has_writer=node["labels"]["labeller"] == "model",
            prompt=node["labels"]["prompt"],
            unit=node["time"]["unit"],
            num_period_terms=node["time"]["num_terms"],
            num_bootstrap=node["time"]["num_bootstrap"],
            layout=LayoutOptions(**node["layout"]),
            page_documents=node["page_documents"],
            language=LANGUAGES[language],
        )


@dataclass(frozen=True, eq=False)
class Described:
    """Inputs of a description.

    vocabulary: of the run.  title: of the page.  writer: of names; None if labels begin with
        keywords.
    period_words: of a model over time, if its topics are shown as they are.
    """

    corpus: Corpus
    result: TopicResult
    embeddings: Embeddings
    vocabulary: Vocabulary
    title: str
    writer: Writer | None
    period_words: PeriodWords | None = None


def describe(cfg: Configuration, folder: Path) -> Outcome:
    """Write the description of cfg.run into folder; return what result.json records.

    Raises ValueError for a run that is not finished or is on images, or if its documents are gone.
    """
    run, clock, options = (
        cfg.run_folder,
        Stages(),
        DescribeOptions.of(cfg.own["describe"], cfg.own["report"]["language"]),
    )
    outcome = finished_fit(run, trust=cfg.trust)
    with naming(run):
        of_run, fitted_on = config_of_run(outcome, cfg, run), outcome["manifest"]["corpus"]["fingerprint"]
    writer = make_writer(cfg.rating, cfg.trainer) if options.has_writer else None
    with timed(clock, "load"):
        corpus = load_corpus(of_run.data, of_run.paths.data, of_run.paths.cache)
        if corpus.fingerprint != fitted_on:
            raise ValueError(
                f"the documents of {corpus.name} are not those that run={run} was fitted on; "
                "bring back the file it read, or fit again"
            )
        result = TopicResult.load(run / "topics.npz")
    with timed(clock, "vectors"):
        embeddings = document_vectors(of_run, corpus)
    title = options.language(
        "{corpus}: {num} topics by {model}",
        corpus=corpus.name,
        num=result.num_topics,
        model=of_run.model["name"],
    )
    if options.num_topics is not None:
        title += options.language(", merged to {num}", num=options.num_topics)
    own = read_period_words(run, result.num_topics) if options.num_topics is None else None
    given = Described(corpus, result, embeddings, of_run.vocabulary, title, writer, own)
    metrics = {"topics_used": len(np.unique(result.theta.argmax(axis=1)))}
    with limited_threads(cfg.trainer.num_threads), wandb_logger(cfg, folder, of_run) as wandb_run:
        facts = write_description(given, options, cfg.paths.cache, folder, clock)
        log_description(wandb_run, metrics, folder)
    log.info("page: %s", folder / "page.html")
    return Outcome(
        metrics=metrics,
        seconds=clock.seconds,
        manifest={"run": str(run), "run_hash": outcome["config_hash"], **facts},
        unfinished=["names"] if facts["names_unanswered"] else [],
    )


def log_description(logger: WandbLogger | None, metrics: Mapping[str, float], folder: Path) -> None:
    """Log the table of labelled topics, the figures and the page; nothing without a logger."""
    if logger is None:
        return
    columns = ("topic", "share", "label", "terms")
    rows = [
        [topic["topic"], topic["share"], topic["keyword"], " ".join(term for term, _ in topic["terms"])]
        for topic in read_description(folder).topics
    ]
    log_table(logger, "description/topics", columns, rows)
    drawn = [folder / f"{name}.png" for name in ("tree", "time", "map")]
    log_figures(logger, [path for path in drawn if path.is_file()])
    if not log_files(logger, "page", [folder / "page.html"]):
        log.info("page.html shows parts of documents and is not sent; logger.artifacts=[page] would send it")
    log_summary(logger, metrics, "description")


def config_of_run(outcome: Finished, cfg: Configuration, run: Path) -> Configuration:
    """The run's configuration with this command's folders and device, in the precision of the run's vectors.

    `auto` could mean another precision on this device, and give other vectors than those that were fitted.
    """
    config = outcome["config"]
    data = config["data"]
    if data.get("modality") == "images":
        raise ValueError(
            f"run={run} is on images, which are shown in its pictures; give the folder of a fit on texts"
        )
    if data["source"] == "texts":
        raise ValueError(
            f"run={run} was fitted on texts in memory, which no file holds; "
            "write them to a file and fit with data=file data.path=<file>"
        )
    of_run = Configuration.of(config)
    dtype = (outcome["manifest"]["embedding"] or {}).get("dtype")
    trainer = replace(of_run.trainer, device=cfg.trainer.device)
    if isinstance(dtype, str):  # of a language model
        trainer = replace(trainer, precision=dtype)
    return replace(of_run, paths=cfg.paths, trainer=trainer)


def write_description(
    given: Described, options: DescribeOptions, cache: Path, folder: Path, clock: Stages
) -> dict[str, Any]:
    """Write all files of a description; return facts for its manifest."""
    corpus, result, vectors = given.corpus, given.result, given.embeddings.vectors
    with timed(clock, "tree"):
        tree = tree_of(result, vectors)
        if options.num_topics is not None:
            result = merge_topics(result, tree, options.num_topics)
            tree = tree_of(result, vectors)
    with timed(clock, "count"):
        counts = cached_counts(corpus, options, given.vocabulary, cache)
    with timed(clock, "terms"):
        terms = class_terms(counts, result.theta, options.terms)
    with timed(clock, "documents"):
        titles = titles_of(corpus)
        chosen = representatives(
            result.theta, vectors, options.num_representatives, options.diversity, texts=corpus.texts
        )
    with timed(clock, "labels"):
        names = names_of(terms, titles, chosen, options.prompt, given.writer, cache)
        labels = label_topics(terms, titles, chosen, names and names.names)
    with timed(clock, "time"):
        times = times_of(corpus, result, counts, options, terms, given.period_words)
    with timed(clock, "layout"):
        places = cached_layout(given.embeddings, options, cache)
    with timed(clock, "write"):
        trends = times.trends if times else []
        topics = files.topics_content(result, terms, labels, chosen, corpus, titles, trends)
        files.write_documents(folder / "documents.parquet", corpus, titles, result.theta, places)
        files.write_json(folder / "tree.json", files.tree_content(tree))
        if times:
            files.write_json(folder / "time.json", files.time_content(times))
        files.write_json(folder / "topics.json", topics)
        files.write_labels(folder / "labels.txt", topics["topics"])
    with timed(clock, "draw"):
        described = read_description(folder)
        draw_tree(described, folder, options.language)
        draw_time(described, folder, options.language)
        draw_map(described, folder, given.title, options.language)
        write_page(folder, given.title, options.page_documents, options.language)
    return {
        "title": given.title,
        "num_topics": result.num_topics,
        "terms_counted": len(counts.vocab),
        "domain_words": terms.domain_words,
        "names_written": None if names is None else sum(map(bool, names.names)),
        "names_unanswered": 0 if names is None else names.num_unanswered,
        "distance": tree.distance,
        "time": times
        and {
            "unit": times.unit,
            "undated": times.undated,
            "outside": times.outside,
            "placeholder_dates": corpus.info.get("placeholder_dates", {}),
        },
    }


@contextmanager
def timed(clock: Stages, name: str) -> Iterator[None]:
    """Time a stage by `clock` and log its number, the number of stages, and its seconds."""
    place, start = f"{STAGES.index(name) + 1}/{len(STAGES)}", time.perf_counter()
    log.info("[%s] %s ...", place, name)
    with clock(name):
        yield
    log.info("[%s] %s: %.1f s", place, name, time.perf_counter() - start)


def tree_of(result: TopicResult, vectors: np.ndarray) -> Tree:
    sizes = np.bincount(result.theta.argmax(axis=1), minlength=result.num_topics)
    return topic_tree(result.beta, topic_centroids(result.theta, vectors), sizes)


def names_of(
    terms: Terms,
    titles: list[str],
    chosen: Representatives,
    prompt: str,
    writer: Writer | None,
    cache: Path,
) -> Names | None:
    """K names by the writer; None without a writer."""
    if writer is None:
        return None
    return written_names(topic_prompts(prompt, terms, titles, chosen), writer, cache)


def times_of(
    corpus: Corpus,
    result: TopicResult,
    counts: NgramCounts,
    options: DescribeOptions,
    terms: Terms,
    own: PeriodWords | None,
) -> TopicTimes | None:
    """Topics over time; None for a corpus without dates.

    own: words of a model over time, shown instead of those of the documents; describe.time.unit=auto is then
    the unit of the model.
    """
    if corpus.timestamps is None:
        log.info("%s has no timestamps: no topics over time", corpus.name)
        return None
    left_out = [*terms.domain_words, *options.terms.domain_words]
    times = topics_over_time(
        result.theta,
        corpus.timestamps,
        counts,
        unit=own.unit if own and options.unit == "auto" else options.unit,
        num_bootstrap=options.num_bootstrap,
        seed=options.seed,
        num_terms=options.num_period_terms,
        left_out=left_out,
        words=[[term for term in of_topic if term][:PERIOD_WORDS] for of_topic in terms.terms],
    )
    return times if own is None else with_own_words(times, own, options.num_period_terms)


def cached_counts(
    corpus: Corpus, options: DescribeOptions, vocabulary: Vocabulary, cache: Path
) -> NgramCounts:
    """`ngram_counts`, computed once per corpus."""
    read = {"min_df": options.min_df, "has_bigrams": options.has_bigrams}
    words = {**vocabulary.options(), "version": VERSION}
    key = {"texts": corpus.text_fingerprint, "options": read, "vocabulary": words}

    def compute() -> dict[str, np.ndarray]:
        counts = ngram_counts(corpus, vocabulary, **read)
        encoded = [term.encode("utf-8", "surrogatepass") for term in counts.vocab]
        return {
            "data": counts.matrix.data,
            "indices": counts.matrix.indices,
            "indptr": counts.matrix.indptr,
            "parts": counts.parts,
            "letters": np.frombuffer(b"".join(encoded), np.uint8),
            "lengths": np.array([len(term) for term in encoded], np.int64),
        }

    arrays = cached_arrays(cache, "ngrams", key, compute)
    letters, ends = arrays["letters"].tobytes(), np.cumsum(arrays["lengths"]).tolist()
    vocab = tuple(
        letters[start:end].decode("utf-8", "surrogatepass")
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    )
    compressed = tuple(arrays[name] for name in ("data", "indices", "indptr"))
    matrix = sparse.csr_matrix(compressed, shape=(corpus.num_docs, len(vocab)))
    return NgramCounts(vocab, matrix, arrays["parts"])


def cached_layout(embeddings: Embeddings, options: DescribeOptions, cache: Path) -> np.ndarray:
    """`layout`, computed once per set of vectors: (D, 2)."""
    key = {"vectors": embeddings.key, "options": asdict(options.layout), "seed": options.seed}
    arrays = cached_arrays(
        cache,
        "layouts",
        key,
        lambda: {"places": layout(embeddings.vectors, options.layout, options.seed)},
    )
    return arrays["places"]
