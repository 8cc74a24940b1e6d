"""The teacher's states as document vectors: input=teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.cache import key_hash
from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.embed.embedder import Embeddings
from topiclab.settings import Trainer
from topiclab.teach.soft_labels import make_teacher, soft_labels


class TeacherStates:
    """A language-model teacher as an embedder: its state at the end of each text's prompt (DSL)."""

    def __init__(self, teacher: Mapping[str, Any], trainer: Trainer, vocab: Sequence[str]) -> None:
        made: Any = make_teacher(teacher, trainer)
        if not hasattr(made, "states"):
            raise ValueError(
                f"input=teacher reads a language model's state, but teacher={teacher['name']} has none; "
                "use a language model as teacher, or input=embedder"
            )
        self.teacher, self.vocab = made, list(vocab)

    @property
    def dim(self) -> int:
        return self.teacher.model.dim

    def fingerprint(self) -> dict[str, Any]:
        return {"embedder": "teacher", **self.teacher.fingerprint()}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return self.teacher.states(texts, self.vocab)


def teacher_states(
    teacher: Mapping[str, Any], corpus: Corpus, cache_root: Path | None, trainer: Trainer
) -> Embeddings:
    """The state of every document, stored with the teacher's soft labels."""
    embedder = TeacherStates(teacher, trainer, corpus.vocab)
    teach = partial(soft_labels, teacher, trainer=trainer)
    labels = TopicDataModule(corpus, None, cache_root=cache_root, teach=teach).soft_labels
    assert labels.vectors is not None
    key = key_hash({"states": labels.key})
    return Embeddings(labels.vectors, key, labels.manifest, embedder, labels.is_cached, labels.seconds)
