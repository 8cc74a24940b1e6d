"""TVQ-VAE for images (Yoo & Choi, AAAI 2024): topics over visual words, which condition code grids."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from topiclab.data.batch import Batch
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.images.image_set import cell_regions
from topiclab.limits import Count, Options, Positive, Share, Weight
from topiclab.models.base.encoder import Encoder
from topiclab.models.base.warmstart import start_clusters
from topiclab.models.codes.grid_encoder import GridEncoder
from topiclab.models.codes.image_codes import ImageCodebook
from topiclab.models.prodlda import ProdLDA
from topiclab.nn.code_prior import CodePrior, draw_codes
from topiclab.nn.code_transformer import CodeTransformer
from topiclab.nn.pixelcnn import GatedPixelCNN

PRIOR_BATCH = 256  # grids per batch outside training: logits are (B, N, h, w)
START_SIZE = 1024  # total components of a grid's code vectors for clustering


class PriorOptions(TypedDict):
    """Prior of the grid; num_heads and prefix_length apply to the transformer only."""

    kind: Literal["pixelcnn", "transformer", "none"]
    width: Count
    num_layers: Count
    dropout: Share
    num_heads: Count
    prefix_length: Count


class SampleOptions(TypedDict):
    """Settings and numbers of the images drawn after the fit."""

    temperature: Positive
    top_k: Count | None
    num_per_topic: Count
    num_references: Count
    num_per_reference: Count


class TVQVAEImage(ProdLDA):
    """An image is P = h * w codes; theta generates its bag as in ProdLDA, and its grid cell by cell:

    p(grid | theta) = prod_i p(c_i | c_<i, t),  t_r = sum_k theta_k sum_n beta_krn rho_n for region r,
    with the decoder's weight beta (K, R * N), the codebook rho (N, d) of a finished autoencoder, and an
    autoregressive prior that is conditioned in each cell on the topic vector of its region.

    Batches carry the grids as embeddings (B, P) float32 (see GridEncoder), and the words of the corpus are
    region * N + code. All losses are in nats per image; the prior's is a sum over cells. The published code
    adds its mean over cells to the bag's loss, which is prior_weight=1/P.

    grid_shape: (h, w).  regions: definition of a word, see `code_corpus`.
    codebook: options of the autoencoder, of which code_dim (d) is used here.
    inference: the encoder reads the `grid` or the `bag`; encoder.reads is ignored, as codes are not numeric.
    prior: kind `pixelcnn`, `transformer`, or `none`: each cell alone from the topics' words of its region.
    is_theta_taught: let the prior's gradient reach the encoder; published: False for the PixelCNN.
    condition_dropout: share of the images whose topic vector is hidden from the prior in training, so that it
    can also draw without topics.
    topic_norm: standardise topic vectors over their d components, so that the vector of a single topic is not
    longer than those of the mixtures seen by the prior in training.
    sample: temperature and top_k for drawing samples.
    """

    rho: Tensor
    regions: Tensor

    def __init__(
        self,
        *,
        grid_shape: tuple[int, int],
        num_codes: Count,
        expansion: Count,
        regions: Literal["codes", "quadrant", "position"],
        codebook: ImageCodebook,
        inference: Literal["grid", "bag"],
        prior: PriorOptions,
        bag_weight: Weight,
        prior_weight: Weight,
        is_theta_taught: bool,
        condition_dropout: Share,
        topic_norm: bool,
        sample: SampleOptions,
        encoder: Annotated[Options, Encoder],
        **vae: Any,
    ) -> None:
        if expansion != 1:
            raise ValueError(
                f"model.expansion={expansion}, but an autoregressive prior draws one code per cell; use "
                "model.expansion=1"
            )
        self.grid_shape, self.num_codes = grid_shape, num_codes
        self.region_kind, self.inference = regions, inference
        super().__init__(encoder={**encoder, "reads": "bow"}, **vae)
        cells = torch.from_numpy(cell_regions(*grid_shape, regions)[0]).flatten()  # type: ignore[arg-type]
        self.register_buffer("regions", cells, persistent=False)
        self.num_regions = self.num_words // num_codes
        self.register_buffer("rho", torch.zeros(num_codes, codebook["code_dim"]))
        self.prior = make_prior(prior, num_codes, codebook["code_dim"], len(cells))
        self.bag_weight, self.prior_weight = bag_weight, prior_weight
        self.is_theta_taught = is_theta_taught
        self.condition_dropout = condition_dropout
        self.topic_norm = topic_norm
        self.drawing: dict[str, Any] = {"temperature": sample["temperature"], "top_k": sample["top_k"]}

    def make_encoder(self) -> Encoder:
        if self.inference == "bag":
            return super().make_encoder()
        cells = self.grid_shape[0] * self.grid_shape[1]
        return GridEncoder(num_cells=cells, num_codes=self.num_codes, **self.encoder_options)

    # Topics as vectors, and the prior that they condition.

    def topic_vectors(self, theta: Tensor) -> Tensor:
        """Topic vectors (B, R, d) of each region for theta (B, K)."""
        with torch.autocast(theta.device.type, enabled=False):
            topics = self.decoder.weight.unflatten(1, (self.num_regions, self.num_codes)) @ self.rho
            vectors = (theta.float() @ topics.flatten(1)).unflatten(1, topics.shape[1:])
            return F.layer_norm(vectors, vectors.shape[2:]) if self.topic_norm else vectors

    def condition(self, theta: Tensor) -> Tensor:
        """Condition of the prior for theta (B, K): one vector (B, d), or one per cell (B, d, h, w)."""
        vectors = self.topic_vectors(theta)
        if self.num_regions == 1:
            return vectors[:, 0]
        return vectors[:, self.regions].transpose(1, 2).unflatten(2, self.grid_shape)

    def cell_logits(self, theta: Tensor) -> Tensor:
        """Code logits (B, N, h, w) of each cell independently, from the topics' words of its region."""
        words = self.decode(theta).unflatten(1, (self.num_regions, self.num_codes))
        return words[:, self.regions].transpose(1, 2).unflatten(2, self.grid_shape)

    def grid_nll(self, grid: Tensor, condition: Tensor | None) -> Tensor:
        """NLL (B,), in nats, of the code grids (B, P) under the prior."""
        assert self.prior is not None
        return self.prior.nll(grid.long().unflatten(1, self.grid_shape), condition)

    def reconstruction(self, theta: Tensor, batch: Batch) -> dict[str, Tensor]:
        losses = {"recon": self.bag_weight * self.objective(self, theta, batch)}
        if self.prior is not None and self.prior_weight:
            losses["prior"] = self.prior_weight * self.prior_loss(theta, batch)
        return losses

    def prior_loss(self, theta: Tensor, batch: Batch) -> Tensor:
        """NLL (B,), in nats, of the batch's grids; in training some of them without their topics."""
        assert batch.embeddings is not None
        if not self.training:
            parts = zip(batch.embeddings.split(PRIOR_BATCH), theta.split(PRIOR_BATCH), strict=True)
            return torch.cat([self.grid_nll(grid, self.condition(part)) for grid, part in parts])
        condition = self.condition(theta if self.is_theta_taught else theta.detach())
        if self.condition_dropout:
            is_seen = torch.rand(len(theta), device=theta.device) >= self.condition_dropout
            condition = condition * is_seen.view(-1, *[1] * (condition.ndim - 1))
        return self.grid_nll(batch.embeddings, condition)

    # Initialisation.

    def initialize(self, datamodule: TopicDataModule) -> None:
        self.rho.copy_(torch.from_numpy(datamodule.embedded_words()[: self.num_codes]))
        super().initialize(datamodule)

    def start_clusters(self, datamodule: TopicDataModule) -> np.ndarray:
        """Clusters (N,) of the grids as code vectors, because code indices are arbitrary."""
        if self.init == "soft_labels":
            return super().start_clusters(datamodule)
        assert datamodule.embeddings is not None
        vectors = leading_components(self.rho.cpu().numpy(), START_SIZE // len(self.regions))
        grids = np.asarray(datamodule.embeddings, np.int64)
        pictures = vectors[grids].reshape(len(grids), -1)
        pictures -= pictures[datamodule.train_rows].mean(axis=0)
        drawn = TopicDataModule(datamodule.corpus, pictures)
        return start_clusters(drawn, self.init, self.init_neighbours, self.num_topics, self.seed)

    # Samples from a fitted model.

    @property
    def draws_without_topics(self) -> bool:
        return self.prior is None or self.condition_dropout > 0

    @torch.no_grad()
    def draw(
        self, theta: np.ndarray | None, num: int, seed: int = 0, temperature: float | None = None
    ) -> np.ndarray:
        """Draw code grids (num, h, w) int64: one per row of theta (num, K), or without topics if None."""
        self.eval()
        generator = torch.Generator(self.device).manual_seed(seed)
        options = self.drawing if temperature is None else {**self.drawing, "temperature": temperature}
        given = None if theta is None else torch.from_numpy(np.array(theta, np.float32)).to(self.device)
        if self.prior is not None:
            condition = None if given is None else self.condition(given)
            grids = self.prior.sample(condition, self.grid_shape, num=num, generator=generator, **options)
        else:
            logits = self.cell_logits(self._even_theta(num) if given is None else given).permute(0, 2, 3, 1)
            uniform = torch.rand(num, *self.grid_shape, generator=generator, device=self.device)
            codes = draw_codes(logits.flatten(0, 2), uniform.flatten(), **options)
            grids = codes.view(num, *self.grid_shape)
        return grids.cpu().numpy()

    @torch.no_grad()
    def image_nll(self, grids: np.ndarray, theta: np.ndarray | None) -> np.ndarray:
        """NLL (B,), in nats, of code grids (B, h, w) given theta (B, K), or without topics if None."""
        self.eval()
        nats = [np.empty(0)]
        for start in range(0, len(grids), PRIOR_BATCH):
            part = slice(start, start + PRIOR_BATCH)
            grid = torch.from_numpy(grids[part].astype(np.int64)).to(self.device).flatten(1)
            given = None if theta is None else torch.from_numpy(theta[part]).to(self.device)
            nats.append(self._nll(grid, given).cpu().double().numpy())
        return np.concatenate(nats)

    def _nll(self, grid: Tensor, theta: Tensor | None) -> Tensor:
        if self.prior is not None:
            return self.grid_nll(grid, None if theta is None else self.condition(theta))
        logits = self.cell_logits(self._even_theta(len(grid)) if theta is None else theta).float()
        grid = grid.long().unflatten(1, self.grid_shape)
        return F.cross_entropy(logits, grid, reduction="none").sum(dim=(1, 2))

    def _even_theta(self, num: int) -> Tensor:
        return torch.full((num, self.num_topics), 1 / self.num_topics, device=self.device)


def make_prior(options: PriorOptions, num_codes: int, code_dim: int, num_cells: int) -> CodePrior | None:
    """Prior for topic vectors of length code_dim, as set by options; None for kind `none`."""
    kind = options["kind"]
    shared: dict[str, Any] = {
        "condition_dim": code_dim,
        "width": options["width"],
        "num_layers": options["num_layers"],
        "dropout": options["dropout"],
    }
    if kind == "pixelcnn":
        return GatedPixelCNN(num_codes, **shared)
    if kind == "transformer":
        heads = {"num_heads": options["num_heads"], "prefix_length": options["prefix_length"]}
        return CodeTransformer(num_codes, num_cells=num_cells, **heads, **shared)
    if kind == "none":
        return None
    raise ValueError(f"model.prior.kind={kind} is unknown; use pixelcnn, transformer or none")


def leading_components(vectors: np.ndarray, most: int) -> np.ndarray:
    """Centred vectors (N, d) in their `most` leading principal components; unrotated if d <= `most`."""
    centred = vectors - vectors.mean(axis=0)
    if most >= vectors.shape[1]:
        return centred
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    return (left * scale)[:, : max(1, most)]
