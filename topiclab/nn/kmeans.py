"""k-means in torch, on the device of the vectors: the initial codes of a codebook."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 20
MAX_PRODUCTS = 1 << 24  # entries of the vectors x centres matrix held at once


@torch.no_grad()
def kmeans(vectors: Tensor, num_clusters: int, *, iterations: int = ITERATIONS) -> Tensor:
    """Centres (N, d) of float32 vectors (M, d) by Lloyd's iterations from vectors drawn without replacement.

    A cluster that loses all members takes the vector that is farthest from its own centre. With fewer vectors
    than clusters, vectors repeat. Draws come from torch's global generator.
    """
    picks = torch.randperm(len(vectors), device=vectors.device)
    centres = vectors[picks.repeat(-(-num_clusters // len(picks)))[:num_clusters]].clone()
    if len(vectors) <= num_clusters:
        return centres
    for _ in range(iterations):
        clusters, distances = (column[:, 0] for column in nearest(vectors, centres, 1))
        centres = recentre(vectors, clusters, distances, num_clusters)
    return centres


def recentre(vectors: Tensor, clusters: Tensor, distances: Tensor, num_clusters: int) -> Tensor:
    """Means (N, d) of the vectors (M, d) of each cluster; clusters, distances: (M,).

    An empty cluster takes the vector that is farthest from its own centre.
    """
    sums = vectors.new_zeros(num_clusters, vectors.shape[1]).index_add_(0, clusters, vectors)
    sizes = torch.bincount(clusters, minlength=num_clusters)
    is_empty = sizes == 0
    centres = sums / sizes.clamp(min=1).unsqueeze(1)
    if num_empty := int(is_empty.sum()):
        centres[is_empty] = vectors[distances.topk(num_empty).indices]
    return centres


@torch.no_grad()
def nearest(vectors: Tensor, centres: Tensor, num_nearest: int) -> tuple[Tensor, Tensor]:
    """Indices and squared distances, each (M, num_nearest), of the centres nearest each vector, in order.

    Computed in float32 even under autocast: in bfloat16, differences of large squares change which centre is
    nearest.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        vectors, centres = vectors.float(), centres.float()
        lengths = centres.square().sum(dim=1)
        transposed = centres.T.contiguous()
        found = []
        for block in vectors.split(max(1, MAX_PRODUCTS // len(centres))):
            scores = torch.addmm(lengths, block, transposed, alpha=-2)
            if num_nearest == 1:
                values, indices = scores.min(dim=1, keepdim=True)
            else:
                values, indices = scores.topk(num_nearest, dim=1, largest=False)
            found.append((indices, (values + block.square().sum(dim=1, keepdim=True)).clamp_(min=0)))
    return torch.cat([pair[0] for pair in found]), torch.cat([pair[1] for pair in found])
