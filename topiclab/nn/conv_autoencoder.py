"""VQ-VAE: a convolutional autoencoder with a codebook between encoder and decoder; images <-> code grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from topiclab.nn.quantizer import QuantizerOptions, VectorQuantizer

LEFT_BEHIND = ("counts", "sums", "hits", "is_started")  # buffers of the quantizer that only training reads


class ImageAutoencoder(nn.Module):
    """VQ-VAE for images of one size (van den Oord et al. 2017; layers as published for TVQ-VAE).

    Strided convolutions halve the image num_downsamples times, residual blocks follow, each cell of the
    resulting grid takes its nearest code, and a mirrored decoder restores the image. Batch norm and codes are
    float32 even under autocast. A 1x1 convolution maps between width and code_dim where they differ.

    image_shape: (C, H, W), H and W multiples of 2^num_downsamples.  width: channels; block_dim: channels
    inside a residual block.  quantizer: further options of VectorQuantizer, for training.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        num_codes: int,
        code_dim: int,
        num_downsamples: int,
        width: int,
        num_blocks: int,
        block_dim: int,
        quantizer: QuantizerOptions | None = None,
    ) -> None:
        super().__init__()
        channels, height, image_width = image_shape
        _check_halves(height, image_width, num_downsamples)
        self.sizes: dict[str, Any] = {
            "image_shape": list(image_shape),
            "num_codes": num_codes,
            "code_dim": code_dim,
            "num_downsamples": num_downsamples,
            "width": width,
            "num_blocks": num_blocks,
            "block_dim": block_dim,
        }
        self.grid_shape = (height >> num_downsamples, image_width >> num_downsamples)
        self.encoder = nn.Sequential(
            *_down(channels, width, num_downsamples),
            *(ResidualBlock(width, block_dim) for _ in range(num_blocks)),
            nn.Conv2d(width, code_dim, 1) if code_dim != width else nn.Identity(),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(code_dim, width, 1) if code_dim != width else nn.Identity(),
            *(ResidualBlock(width, block_dim) for _ in range(num_blocks)),
            *_up(channels, width, num_downsamples),
            nn.Tanh(),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        options = {"init": "uniform", "init_scale": 1 / num_codes, **(quantizer or {})}
        self.quantizer = VectorQuantizer(num_codes, code_dim, **options)

    # The interface for training a codebook.

    def prepare(self, raw: Tensor) -> Tensor:
        """Scale uint8 images to float32 in -1..1."""
        return raw.float().div_(127.5).sub_(1)

    def vectors(self, inputs: Tensor) -> Tensor:
        """Encode prepared images to vectors (B * h * w, d), row by row."""
        return self.encoder(inputs).permute(0, 2, 3, 1).reshape(-1, self.quantizer.dim)

    def restored(self, vectors: Tensor) -> Tensor:
        """Decode vectors (B * h * w, d) to prepared images (B, C, H, W)."""
        grid = vectors.view(-1, *self.grid_shape, vectors.shape[1])
        return self.decoder(grid.permute(0, 3, 1, 2))

    # The interface of a fitted model, in eval mode and without gradients.

    @torch.inference_mode()
    def encode(self, images: np.ndarray) -> np.ndarray:
        """Encode uint8 images (B, C, H, W) to code grids (B, h, w) int64."""
        self.eval()
        codes = self.quantizer.assign(self.vectors(self.prepare(self._tensor(images))), 1)[0]
        return codes.view(-1, *self.grid_shape).cpu().numpy()

    @torch.inference_mode()
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Decode code grids (B, h, w) to uint8 images (B, C, H, W)."""
        self.eval()
        vectors = self.quantizer.vectors_of(self._tensor(codes).long().view(-1, 1))
        images = self.restored(vectors).float().add_(1).mul_(127.5).round_().clamp_(0, 255)
        return images.to(torch.uint8).cpu().numpy()

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Encode and decode uint8 images."""
        return self.decode(self.encode(images))

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays for `load_state` of an autoencoder of the same `sizes`."""
        kept = {name: tensor for name, tensor in self.state_dict().items() if not _is_left_behind(name)}
        return {name: tensor.detach().cpu().numpy() for name, tensor in kept.items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Load what `state` returned; raise ValueError where it does not fit."""
        arrays = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
        try:
            found = self.load_state_dict(arrays, strict=False)
        except RuntimeError as error:
            raise ValueError(f"the saved autoencoder does not fit its sizes: {error}") from error
        missing = [name for name in found.missing_keys if not _is_left_behind(name)]
        if missing or found.unexpected_keys:
            raise ValueError(
                f"the saved autoencoder lacks {missing} and has unexpected {found.unexpected_keys}; fit again"
            )

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self.quantizer.codebook.device)


class ResidualBlock(nn.Module):
    """x + f(x), where f is a 3x3 and a 1x1 convolution, each between a ReLU and a batch norm."""

    def __init__(self, width: int, block_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, block_dim, 3, padding=1, bias=False),
            Float32BatchNorm(block_dim),
            nn.ReLU(),
            nn.Conv2d(block_dim, width, 1, bias=False),
            Float32BatchNorm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Float32BatchNorm(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


def _down(channels: int, width: int, times: int) -> list[nn.Module]:
    """Return 4x4 convolutions of stride 2 with batch norm and ReLU between them."""
    layers: list[nn.Module] = []
    for index in range(times):
        if index:
            layers += [Float32BatchNorm(width), nn.ReLU()]
        layers.append(nn.Conv2d(width if index else channels, width, 4, stride=2, padding=1))
    return layers


def _up(channels: int, width: int, times: int) -> list[nn.Module]:
    """Return the transposed mirror of `_down`, starting with a ReLU."""
    layers: list[nn.Module] = [nn.ReLU()]
    for index in range(times):
        if index:
            layers += [Float32BatchNorm(width), nn.ReLU()]
        following = width if index < times - 1 else channels
        layers.append(nn.ConvTranspose2d(width, following, 4, stride=2, padding=1))
    return layers


def _check_halves(height: int, width: int, times: int) -> None:
    """Raise ValueError unless both sides can be halved `times` times."""
    if height % (1 << times) or width % (1 << times):
        possible = next(fewer for fewer in range(times, -1, -1) if not (height | width) % (1 << fewer))
        way_out = f"use model.codebook.num_downsamples={possible} or " if possible else ""
        raise ValueError(
            f"images of {height}x{width} cannot be halved num_downsamples={times} times; {way_out}give "
            f"images whose sides are multiples of {1 << times}"
        )


def _is_left_behind(name: str) -> bool:
    return name.removeprefix("quantizer.") in LEFT_BEHIND
