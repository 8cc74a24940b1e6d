"""hLDA: a tree of topics by the nested Chinese restaurant process (Blei et al. 2003, 2010), tomotopy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from scipy import sparse

from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count, Positive
from topiclab.models.base.classical_model import ClassicalModel, words_nll
from topiclab.models.sampling.components import component_posteriors
from topiclab.models.sampling.tokens import token_lists, topic_counts
from topiclab.result import to_distributions

SHOWN_WORDS = 10  # per node


@dataclass(frozen=True)
class Node:
    """Topic of the tree.  path: rows of its ancestors in the order of the nodes, from the root to itself."""

    documents: int
    path: tuple[int, ...]


class HLDA(ClassicalModel):
    """Every document follows one path from the root of a tree to a leaf and mixes the topics on it.

    The general words sit at the root, the special ones at the leaves; both numbers of branches and of leaves
    are inferred. The topics of the result are the leaves: beta are a leaf's own words, theta is the posterior
    of a document's leaf given all its words, under the mean proportions of the levels and the leaves' numbers
    of documents. So a training document and the same unseen text get the same. The likelihood is that of the
    words on the whole paths. Inner topics stand in hierarchy.txt of the run folder.

    num_topics: maximum number of leaves kept, those of most documents.
    depth: number of levels, root and leaves included.
    level_concentration: initial value of the learned prior of a document's levels.
    branching: concentration (gamma) of the process; higher values give more branches.
    info: leaves_found, nodes_found and documents_kept, the share of the training documents at leaves kept.
    """

    arrays = ("leaf_words", "path_words", "leaf_documents")
    leaf_words: np.ndarray
    path_words: np.ndarray
    leaf_documents: np.ndarray

    def __init__(
        self,
        *,
        depth: Annotated[int, Field(ge=2, description="a whole number from 2 on")],
        num_sweeps: Count,
        num_workers: Count,
        level_concentration: Positive,
        branching: Positive,
        eta: Positive,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.num_sweeps, self.num_workers = num_sweeps, num_workers
        self.options: dict[str, Any] = {"depth": depth, "alpha": level_concentration}
        self.options |= {"gamma": branching, "eta": eta}
        self.tree = ""

    def _fit(self, datamodule: TopicDataModule) -> None:
        from tomotopy import HLDAModel

        sampler = HLDAModel(seed=self.seed, **self.options)
        for tokens in token_lists(datamodule.train_bow):
            sampler.add_doc(tokens)
        sampler.train(self.num_sweeps, workers=self.num_workers)
        numbers = [number for number in range(sampler.k) if sampler.is_live_topic(number)]
        nodes = [_node(sampler, number, numbers) for number in numbers]
        words = to_distributions(topic_counts(sampler, datamodule.corpus.num_words, numbers), 0.0)
        leaves = [row for row, node in enumerate(nodes) if len(node.path) == self.options["depth"]]
        kept = sorted(leaves, key=lambda row: -nodes[row].documents)[: self.num_topics]
        levels = np.mean([document.get_topic_dist() for document in sampler.docs], axis=0)
        self.leaf_words = words[kept]
        self.path_words = np.stack([levels @ words[list(nodes[row].path)] for row in kept])
        self.leaf_documents = np.array([nodes[row].documents for row in kept], dtype=np.float64)
        self.tree = _tree(nodes, kept, words, datamodule.corpus.vocab)
        self.info = {
            "leaves_found": len(leaves),
            "nodes_found": len(nodes),
            "documents_kept": float(self.leaf_documents.sum() / len(sampler.docs)),
        }

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        posteriors = component_posteriors(bow, self.path_words, self.leaf_documents)
        return np.concatenate([*posteriors]).astype(np.float32)

    def _beta(self) -> np.ndarray:
        return self.leaf_words

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        return words_nll(theta, self.path_words, bow)

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write hierarchy.txt: the tree with the documents and words of every node, indented by level."""
        (folder / "hierarchy.txt").write_text(self.tree, encoding="utf-8")


def _node(sampler: Any, number: int, numbers: list[int]) -> Node:
    path = [number]
    while sampler.level(path[0]):
        path.insert(0, sampler.parent_topic(path[0]))
    return Node(sampler.num_docs_of_topic(number), tuple(numbers.index(each) for each in path))


def _tree(nodes: list[Node], kept: list[int], words: np.ndarray, vocab: tuple[str, ...]) -> str:
    """Lines of the nodes, parents before children and large before small; kept leaves by topic number."""

    def place(row: int) -> list[tuple[int, int]]:
        return [(-nodes[each].documents, each) for each in nodes[row].path]

    lines = []
    for row in sorted(range(len(nodes)), key=place):
        top = " ".join(vocab[word] for word in np.argsort(-words[row], kind="stable")[:SHOWN_WORDS])
        name = f"topic {kept.index(row)}, " if row in kept else ""
        lines.append(f"{'  ' * (len(nodes[row].path) - 1)}{name}{nodes[row].documents} documents: {top}\n")
    return "".join(lines)
