"""TopicModel: the interface of every gradient-trained topic model, before and after fitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from scipy import sparse
from torch import Tensor, nn

from topiclab.data.batch import Batch, DocumentTensors, Nonzeros, tensors_of
from topiclab.data.covariates import Covariates
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.words.occurrences import Occurrences
from topiclab.models.base.trained_module import EVAL_BATCH, TrainedModule
from topiclab.models.base.training import train
from topiclab.nn.likelihood import softmax_nll, tempered_nll
from topiclab.objectives import Decoder
from topiclab.result import TopicResult, rank_words
from topiclab.settings import Trainer


class TopicModel(TrainedModule):
    """Encoder, decoder and losses of a topic model, and inference with the fitted model.

    A subclass defines `encode`, `theta`, `decode`, `beta` and `losses`.
    num_topics K, num_words V, embedding_dim E (0 without embeddings), num_classes C (0 unless the model is
    trained on labels).  training: see TrainedModule.
    """

    reads_occurrences = False
    known_covariates: Covariates | None = None
    reads_timestamps: bool = False
    readout: str = "beta"  # name of what `rank_words` ranks by

    def __init__(
        self,
        *,
        num_topics: int,
        num_words: int,
        embedding_dim: int,
        num_classes: int,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.num_topics, self.num_words = num_topics, num_words
        self.embedding_dim, self.num_classes = embedding_dim, num_classes
        self.classifier = nn.Linear(num_topics, num_classes) if num_classes else None

    # To be defined by a model.

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance of the topic logits, each (B, K)."""
        raise NotImplementedError

    def theta(self, posterior: tuple[Tensor, Tensor]) -> Tensor:
        """Topic proportions (B, K): sampled during training, at the posterior mean otherwise."""
        raise NotImplementedError

    def proportions(self, theta: Tensor) -> Tensor:
        """Topic proportions (B, K) for the result; overridden if the decoder does not read proportions."""
        return theta

    def decode(self, theta: Tensor) -> Tensor:
        """Word logits (B, V)."""
        raise NotImplementedError

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        """NLL (B,), in nats, of counts (n,) at the nonzeros of bow; overridden if there is a cheaper way."""
        return softmax_nll(self.decode(theta), bow, counts)

    def soft_nll(self, theta: Tensor, targets: Nonzeros | Tensor, temperature: float) -> Tensor:
        """Cross-entropy (B,) of targets with softmax(word logits / temperature); overridden as `bag_nll`."""
        if temperature == 1 and isinstance(targets, Nonzeros):
            return self.bag_nll(theta, targets, targets.counts)
        return tempered_nll(self.decode(theta), targets, temperature)

    def decoder_of(self, batch: Batch) -> Decoder:
        """Decoder of the documents of a batch; overridden if it depends on more than theta."""
        return self

    def beta(self) -> Tensor:
        """Word distributions of the topics (K, V)."""
        raise NotImplementedError

    def unseen_documents(
        self, bow: sparse.csr_matrix, embeddings: np.ndarray | None, occurrences: Occurrences | None
    ) -> DocumentTensors:
        """Tensors of unseen documents; occurrences only for a model whose `reads_occurrences` is true."""
        return tensors_of(bow, embeddings)

    # Inference with a fitted model.

    @torch.inference_mode()
    def infer(self, documents: DocumentTensors) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Infer documents; a model that draws (theta_samples) draws the same for the same documents.

        Returns theta (N, K), NLL of the bags (N,), in nats, and class log-probabilities (N, C) or None.
        """
        self.eval()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.seed)  # not the state that a resumed or an interrupted fit left
            return self._inferred(documents)

    def _inferred(self, documents: DocumentTensors) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        thetas, nats, classes = [], [], []
        documents = documents.to(self.device)
        rows = torch.arange(len(documents), device=self.device)
        for batch in documents.batches(rows, self.num_batches(len(rows), EVAL_BATCH)):
            theta = self.theta(self.encode(batch))
            thetas.append(self.proportions(theta).cpu().double())
            decoder = self.decoder_of(batch)
            nats.append(decoder.bag_nll(theta, batch.bow, batch.bow.counts).cpu().double())
            if self.classifier is not None:
                classes.append(self.classify(theta).log_softmax(1).cpu())
        stacked = torch.cat(classes).numpy() if classes else None
        theta = torch.cat(thetas).numpy()
        return (theta / theta.sum(1, keepdims=True)).astype(np.float32), torch.cat(nats).numpy(), stacked

    def classify(self, theta: Tensor) -> Tensor:
        """Class logits (B, C) from log theta, easier for a linear layer to separate than a simplex."""
        assert self.classifier is not None
        return self.classifier((theta + 1e-8).log())

    def predict_classes(
        self,
        bow: sparse.csr_matrix,
        embeddings: np.ndarray | None,
        occurrences: Occurrences | None = None,
    ) -> np.ndarray:
        """Class log-probabilities (N, C) of unseen documents; needs a classifier."""
        classes = self.infer(self.unseen_documents(bow, embeddings, occurrences))[2]
        assert classes is not None
        return classes

    def transform(
        self,
        bow: sparse.csr_matrix,
        embeddings: np.ndarray | None,
        occurrences: Occurrences | None = None,
    ) -> np.ndarray:
        """Topic proportions (N, K) of unseen documents."""
        return self.infer(self.unseen_documents(bow, embeddings, occurrences))[0]

    # The Estimator interface.

    def fit(
        self,
        datamodule: TopicDataModule,
        folder: Path,
        trainer: Trainer,
        loggers: Sequence[Logger] = (),
    ) -> TopicResult:
        """Train (see training.py), then infer all documents of the corpus."""
        train(self, datamodule, folder, trainer, loggers)
        self.finalize(datamodule)
        theta, nll, _ = self.infer(self.documents_of(datamodule))
        with torch.inference_mode():
            beta = self.beta().double().cpu().numpy()
        rows = datamodule.train_rows
        scores = self.rank_words(theta[rows], beta, datamodule.train_bow)
        beta = (beta / beta.sum(axis=1, keepdims=True)).astype(np.float32)
        return TopicResult(theta, beta, datamodule.corpus.vocab, rank_words(scores), nll, self.facts())

    def facts(self) -> dict[str, Any]:
        """Facts of the fit for the manifest of the run."""
        return {"epochs": self.epochs_trained}

    def rank_words(self, theta: np.ndarray, beta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        """Scores (K, V) by which the words of a topic are ranked; theta and bow of the training documents."""
        return beta

    def state(self) -> dict[str, np.ndarray]:
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.state_dict().items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        try:
            self.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})
        except RuntimeError as error:
            raise ValueError(f"the saved model does not fit this configuration: {error}") from error
