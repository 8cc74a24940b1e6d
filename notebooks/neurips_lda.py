# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Ten topics of 1,000 NeurIPS papers: LDA yet?
# Latent Dirichlet allocation by collapsed Gibbs sampling on titles, abstracts and keywords of NeurIPS 2022
# submissions, compared with variational LDA, NMF and two neural topic models on the same split. `make neurips-lda`
# runs the fits and this notebook, which reads their run folders and writes nothing.

# %%
import io
import json
import os
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

warnings.filterwarnings("ignore", message="IProgress not found")

import numpy as np
from IPython.display import Image, Markdown, display

from topiclab.config.compose import compose_unchecked, to_plain
from topiclab.data.sources.corpora import load_corpus
from topiclab.data.words.tokenizer import tokenize
from topiclab.describe.labels import label_topics
from topiclab.describe.ngrams import ngram_counts
from topiclab.describe.representatives import representatives
from topiclab.describe.terms import TermOptions, class_terms
from topiclab.describe.tree import topic_tree
from topiclab.metrics.stability import matched_cosines, stability
from topiclab.models.sampling.completion import completion_perplexity
from topiclab.models.sampling.convergence import ranked_r_hat, split_r_hat
from topiclab.report.tables.collect import collect_cells
from topiclab.report.figures.base import document_coordinates
from topiclab.report.figures.topic_panels import chain_traces, curves, likeness, share_bars, topic_map, word_panels
from topiclab.report.figures.word_clouds import word_clouds
from topiclab.result import TopicResult
from topiclab.settings import Vocabulary

default = next((path for path in (Path("outputs"), Path("../outputs")) if path.is_dir()), Path("outputs"))
OUTPUTS = Path(os.environ.get("TOPICLAB_OUTPUTS", default))
GRIDS = ("neurips_topics", "neurips_chains", "neurips_models", "neurips_lsa")
cells = {grid: [cell for cell in collect_cells(OUTPUTS / grid) if cell.is_done] for grid in GRIDS}
results = {cell.folder: TopicResult.load(cell.folder / "topics.npz") for each in cells.values() for cell in each}


def show(figure):
    stream = io.BytesIO()
    figure.savefig(stream, dpi=65)
    display(Image(stream.getvalue()))


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    display(Markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)))


def spread(values, digits=3):
    values = np.array([value for value in values if np.isfinite(value)])
    if not len(values):
        return "-"
    return f"{values.mean():.{digits}f}" + (f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else "")


# %% [markdown]
# ## The corpus

# %%
shown = next(cell for cell in cells["neurips_chains"] if cell.config["model"]["alpha"] == "auto")
config, result = shown.config, results[shown.folder]
corpus = load_corpus(config["data"], config["paths"]["data"])
test = corpus.bow[corpus.rows("test")]
lengths = corpus.bow.sum(axis=1).A1
counts = np.sort(corpus.bow.sum(axis=0).A1)[::-1]
once = np.arange(1, len(counts) + 1)
zipf = np.polyfit(np.log(once), np.log(counts), 1)[0]
table(
    ["papers", "train / val / test", "words", "tokens", "tokens a paper, median (5 to 95 %)", "Zipf exponent"],
    [
        [
            f"{corpus.num_docs:,}",
            " / ".join(str(len(corpus.rows(part))) for part in ("train", "val", "test")),
            f"{corpus.num_words:,}",
            f"{lengths.sum():,}",
            f"{np.median(lengths):.0f} ({np.quantile(lengths, 0.05):.0f} to {np.quantile(lengths, 0.95):.0f})",
            f"{-zipf:.2f}",
        ]
    ],
)

# %% [markdown]
# ## From texts to words

# %%
vocabulary = Vocabulary.of(config["data"]["vocabulary"])
stages = {
    "words of three letters and more": {"stop_words": "none", "domain_words": []},
    "without English stop words": {"domain_words": []},
    "without what any paper says": {},
}
rows = []
for name, changed in stages.items():
    tokens = tokenize(corpus.texts, replace(vocabulary, **changed))
    rows.append([name, f"{len(tokens.ids):,}", f"{len(np.unique(tokens.ids)):,}"])
limits = f"in {vocabulary.min_df} papers at least and {vocabulary.max_df:.0%} at most"
table(["step", "tokens", "words"], [*rows, [limits, f"{lengths.sum():,}", f"{corpus.num_words:,}"]])

# %% [markdown]
# ## How many topics
# Mean and standard deviation over seeds. Perplexity is by document completion: half of the tokens of every test paper
# determine its topic proportions, the other half is scored. Stability is the mean cosine of matched topics over pairs of seeds.

# %%
panels = {name: defaultdict(list) for name in ("completion perplexity", "NPMI", "diversity", "stability")}
by_size = defaultdict(list)
for cell in cells["neurips_topics"]:
    by_size[cell.axes["num_topics"]].append(cell)


def completion(cell):
    num_topics = results[cell.folder].num_topics
    return completion_perplexity(results[cell.folder].beta, np.full(num_topics, 1 / num_topics), test)


for size, sized in by_size.items():
    panels["completion perplexity"][size] = [completion(cell) for cell in sized]
    panels["NPMI"][size] = [cell.metrics["npmi"] for cell in sized]
    panels["diversity"][size] = [cell.metrics["td"] for cell in sized]
    betas = [results[cell.folder].beta for cell in sized]
    panels["stability"][size] = [
        np.mean([matched_cosines(beta, other)[1].mean() for other in betas if other is not beta]) for beta in betas
    ] if len(betas) > 1 else [np.nan]
show(curves(panels))
table(
    ["topics", *panels],
    [[size, *(spread(panel[size], 1 if "perp" in name else 3) for name, panel in panels.items())] for size in by_size],
)
average = {name: {size: np.mean(values) for size, values in panel.items()} for name, panel in panels.items()}
best = {name: (min if "perp" in name else max)(panel, key=panel.get) for name, panel in average.items()}
size, least = config["num_topics"], best["completion perplexity"]
display(
    Markdown(
        f"Best number of topics {', '.join(f'by {name}: {at}' for name, at in best.items())}. At {size}, which a table still shows whole, NPMI is "
        f"{average['NPMI'][size]:.3f} (best {average['NPMI'][best['NPMI']]:.3f}) and perplexity "
        f"{average['completion perplexity'][size]:.0f} (best {average['completion perplexity'][least]:.0f})."
    )
)

# %% [markdown]
# ## Do the chains agree
# Four chains from different seeds under each prior of the topics. R-hat is computed from the log likelihood after
# burn-in, every chain split into halves, plain and rank-normalised; below about 1.05 the chains cannot be told apart.
# The matched cosine compares the topics of the likeliest chain with those of the others: how much their modes share.
# The second table has the R-hat of the chains had they stopped earlier, without the first half of their sweeps, and the
# largest R-hat within a single chain, one half against the other.

# %%
traces, rows, trend = {}, [], []
for cell in cells["neurips_chains"]:
    facts = json.loads((cell.folder / "chains.json").read_text())
    with np.load(cell.folder / "chains.npz") as arrays:
        chains = dict(arrays)
    prior = cell.config["model"]["alpha"]
    traces[f"alpha {prior}"] = (chains["sweeps"], chains["log_likelihood"], facts["burn_in"])
    others = [beta for number, beta in enumerate(chains["beta"]) if number != facts["chosen_chain"]]
    agreement = [matched_cosines(chains["beta"][facts["chosen_chain"]], beta)[1].mean() for beta in others]
    means = " ".join(f"{mean:.4f}" for mean in facts["log_likelihood"])
    hats = [f"{facts[name] or np.nan:.3f}" for name in ("r_hat", "ranked_r_hat")]
    rows.append([prior, means, *hats, spread(agreement), f"{cell.metrics['npmi']:.3f}"])
    stops = [int(chains["sweeps"][-1] * part) for part in (0.1, 0.2, 0.4, 1)]
    late = [chains["log_likelihood"][:, (chains["sweeps"] > stop / 2) & (chains["sweeps"] <= stop)] for stop in stops]
    by_sweeps = [split_r_hat(draws) for draws in late]
    alone = max(split_r_hat(chain[None]) for chain in late[-1])
    trend.append([prior, *(f"{value:.2f}" for value in [*by_sweeps, alone])])
    if cell is shown:
        kept, shown_facts, shown_stops, shown_hats, shown_alone = chains, facts, stops, by_sweeps, alone
show(chain_traces(traces))
table(["alpha", "mean log likelihood, chain by chain", "R-hat", "ranked", "matched cosine", "NPMI"], rows)
table(["alpha", *(f"R-hat at {stop:,} sweeps" for stop in shown_stops), "of a chain alone, at most"], trend)

# %% [markdown]
# ## The topics
# Topics of the likeliest chain under the learned prior. A label is the topic's best term by c-TF-IDF and the title of
# a paper near the centre of its papers.

# %%
options = to_plain(compose_unchecked(["task=describe"]))["describe"]
min_df, has_bigrams = (options["terms"].pop(name) for name in ("min_df", "has_bigrams"))
grams = ngram_counts(corpus, vocabulary, min(min_df, vocabulary.min_df), has_bigrams)
terms = class_terms(grams, result.theta, TermOptions(**options["terms"]))
chosen = representatives(result.theta, None, 3, 0.5, corpus.texts)
labels = label_topics(terms, corpus.titles, chosen)
names = [f"{topic} {label.split(' | ')[0]}" for topic, label in enumerate(labels)]
share, words = result.theta.mean(axis=0), result.topic_words(10)
rows = []
for topic in np.argsort(-share, kind="stable"):
    papers = [f"{corpus.titles[row]} ({result.theta[row, topic]:.2f})" for row in chosen.nearest[topic] if row >= 0]
    rows.append([names[topic], f"{share[topic]:.1%}", " ".join(words[topic]), "; ".join(papers).replace("|", "/")])
table(["topic", "share", "words", "papers, with their share of the topic"], rows)

# %%
show(word_clouds(result.beta, result.vocab, names))

# %% [markdown]
# Word probabilities with 90 % intervals over the samples of the chain, and the topics' shares with the same intervals.

# %%
top = kept["words"][:, :10]
shown_words = [[result.vocab[word] for word in row] for row in top]
show(word_panels(shown_words, kept["mean"][:, :10], kept["low"][:, :10], kept["high"][:, :10], names))
show(share_bars(kept["shares"][shown_facts["chosen_chain"]], names))

# %% [markdown]
# ## Which topics do all chains find
# Two modes may be equally likely, so R-hat of the likelihood alone does not show that the chains have the same topics.
# The table lists every topic of the likeliest chain beside its match in each of the others, and the rank-normalised
# R-hat of its share of the papers once the topics are matched.

# %%
SAME = 0.9  # cosine from which two topics are called the same
chosen_chain = shown_facts["chosen_chain"]
matches = [matched_cosines(kept["beta"][chosen_chain], beta) for beta in kept["beta"]]
aligned = np.stack([shares[:, columns] for shares, (columns, _) in zip(kept["shares"], matches, strict=True)])
alike = np.stack([similar for number, (_, similar) in enumerate(matches) if number != chosen_chain])
order = np.argsort(-alike.min(axis=0), kind="stable")
is_found = alike.min(axis=0) >= SAME
table(
    ["topic", "words", "cosine in the other chains", "found by", "R-hat of its share"],
    [
        [
            names[topic],
            " ".join(words[topic][:6]),
            " ".join(f"{value:.2f}" for value in np.sort(alike[:, topic])[::-1]),
            f"{1 + (alike[:, topic] >= SAME).sum()} of {len(kept['beta'])}",
            f"{ranked_r_hat(aligned[:, :, topic]):.2f}",
        ]
        for topic in order
    ],
)

# %% [markdown]
# ## The papers
# Every paper in the colour of its main topic, placed by t-SNE of the square roots of its topic proportions, so that
# distances are Hellinger distances.

# %%
rows, places = document_coordinates(result.theta)
show(topic_map(places, result.theta[rows].argmax(axis=1), names))

# %% [markdown]
# ## Which topics are alike

# %%
from scipy.spatial.distance import cdist

distances = cdist(result.beta.astype(np.float64), result.beta.astype(np.float64), "jensenshannon")
tree = topic_tree(result.beta, None, np.bincount(result.theta.argmax(axis=1), minlength=result.num_topics))
show(likeness(distances, tree.merges, tree.order, names))

# %% [markdown]
# ## Gibbs, variational, factorised, neural
# All models have the same papers, words and split. Perplexity treats every model's topics as the word distributions of
# a mixture, which LDA fits and NMF and ProdLDA do not: compare it across the LDAs and THETA first. Seconds are wall
# time of the fit alone, measured while other programs ran.

# %%
methods = defaultdict(list)
for cell in cells["neurips_topics"]:
    if cell.axes["num_topics"] == config["num_topics"]:
        methods["LDA, Gibbs"].append(cell)
called = {"lda": "LDA, variational", "nmf": "NMF", "prodlda": "ProdLDA", "theta": "THETA"}
for cell in [*cells["neurips_models"], *cells["neurips_lsa"]]:
    name, embedder = called[cell.axes["model"]], cell.axes["embedder"]
    methods[f"{name}, {embedder}" if name in ("ProdLDA", "THETA") else name].append(cell)
scores = {
    name: {
        "NPMI": [cell.metrics["npmi"] for cell in those],
        "C_V": [cell.metrics["c_v"] for cell in those],
        "diversity": [cell.metrics["td"] for cell in those],
        "completion perplexity": [completion(cell) for cell in those],
        "stability": [stability([results[cell.folder].beta for cell in those])],
        "seconds": [json.loads((cell.folder / "result.json").read_text())["seconds"]["fit"] for cell in those],
    }
    for name, those in methods.items()
}
measures = list(next(iter(scores.values())))
digits = {"completion perplexity": 0, "seconds": 1}
table(
    ["model", "seeds", *measures],
    [
        [name, len(found["NPMI"]), *(spread(found[measure], digits.get(measure, 3)) for measure in measures)]
        for name, found in scores.items()
    ],
)

# %% [markdown]
# ## LDA yet?

# %%
mean = {name: {measure: np.mean(values) for measure, values in found.items()} for name, found in scores.items()}
neural = {name: found for name, found in mean.items() if name.startswith(("ProdLDA", "THETA"))}
gibbs = mean["LDA, Gibbs"]
coherent = max(neural, key=lambda name: neural[name]["NPMI"])
fitting = min(neural, key=lambda name: neural[name]["completion perplexity"])
gain = neural[coherent]["NPMI"] - gibbs["NPMI"]
noise = np.hypot(*(np.std(scores[name]["NPMI"]) for name in ("LDA, Gibbs", coherent)))
coherence = "as coherent as" if abs(gain) <= noise else "more coherent than" if gain > 0 else "less coherent than"
hats = f"R-hat of the likelihood {shown_hats[1]:.2f} after {shown_stops[1]:,} sweeps, {shown_hats[-1]:.2f} after {shown_stops[-1]:,}"
if max(shown_hats[-1], shown_facts["ranked_r_hat"] or np.inf) < 1.05:
    chains_say = f"chains agree ({hats})."
elif shown_alone < 1.05:
    chains_say = (
        f"chains do not agree ({hats}), though each alone stands still (at most {shown_alone:.2f}): the posterior has "
        "several modes, a chain rarely leaves the one it fell into, and more sweeps do not bring them together."
    )
else:
    chains_say = f"chains do not agree ({hats}), and still drift alone (up to {shown_alone:.2f})."
found_by_all = ", ".join(name for name, is_in_all in zip(names, is_found, strict=True) if is_in_all) or "none"
display(
    Markdown(
        f"The most coherent neural topics, of {coherent}, are {coherence} those of Gibbs LDA (NPMI "
        f"{neural[coherent]['NPMI']:.3f} against {gibbs['NPMI']:.3f}; variational LDA {mean['LDA, variational']['NPMI']:.3f}), "
        f"and Gibbs LDA foretells the unread half of a test paper "
        f"{'better' if gibbs['completion perplexity'] < neural[fitting]['completion perplexity'] else 'worse'} than any of them "
        f"(perplexity {gibbs['completion perplexity']:.0f} against {neural[fitting]['completion perplexity']:.0f} of {fitting}).\n\n"
        f"Its {len(kept['beta'])} {chains_say} {is_found.sum()} of {len(is_found)} topics are in every chain "
        f"({found_by_all}). Topics of another seed match with a cosine of {gibbs['stability']:.2f}, against "
        f"{neural[coherent]['stability']:.2f} of {coherent}.\n\n"
        f"**LDA yet? {'Yes' if gain <= noise else 'Not for coherence'}** against the neural models; NMF "
        f"has an NPMI of {mean['NMF']['NPMI']:.3f} and a stability of {mean['NMF']['stability']:.2f}, against "
        f"{gibbs['NPMI']:.3f} and {gibbs['stability']:.2f} of Gibbs LDA, and a completion perplexity of "
        f"{mean['NMF']['completion perplexity']:.0f} against {gibbs['completion perplexity']:.0f}."
    )
)
