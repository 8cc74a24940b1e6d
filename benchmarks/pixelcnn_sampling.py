"""Drawing code grids: cell by cell with cached states, against recomputing the whole grid for each cell.

    python benchmarks/pixelcnn_sampling.py [--num 64] [--rounds 3]

Both ways run in turn in this process with one thread, on the same prior (random weights), conditions and
uniform numbers, and must draw the same grids, cell for cell. Times are CPU seconds, the lowest of the rounds.
Sizes: digits (4 x 4, 64 codes, width 32, 5 layers) and CIFAR-10 as published (8 x 8, 512 codes, width 64,
15 layers), each with the gated PixelCNN and the transformer (4 heads).
Exits with 1 when grids differ, or when caching is less than 5 times faster; the transformer on 4 x 4 cells is
not judged, because calls dominate a step of its layers.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from topiclab.nn.code_prior import CodePrior
from topiclab.nn.code_transformer import CodeTransformer
from topiclab.nn.pixelcnn import GatedPixelCNN

MIN_SPEEDUP, SEED = 5.0, 0


@dataclass(frozen=True)
class Size:
    """Grids of side x side cells, and the priors' sizes."""

    name: str
    side: int
    num_codes: int
    condition_dim: int
    width: int
    num_layers: int

    def priors(self) -> dict[str, CodePrior]:
        shared = {
            "width": self.width,
            "num_layers": self.num_layers,
            "condition_dim": self.condition_dim,
        }
        return {
            "pixelcnn": GatedPixelCNN(self.num_codes, **shared),
            "transformer": CodeTransformer(self.num_codes, num_heads=4, num_cells=self.side**2, **shared),
        }


DIGITS = Size("digits", 4, 64, 32, 32, 5)
CIFAR = Size("cifar10", 8, 512, 256, 64, 15)


def recompute(prior: CodePrior, grid: Tensor, condition: Tensor | None) -> Iterator[Tensor]:
    """Yield what cell_logits yields, from a whole forward pass for each cell."""
    for row in range(grid.shape[1]):
        for column in range(grid.shape[2]):
            yield prior(grid, condition)[:, :, row, column]


def draw(prior: CodePrior, condition: Tensor, side: int) -> tuple[Tensor, float]:
    """Draw grids (B, side, side); also returns their CPU seconds."""
    start = time.process_time()
    grids = prior.sample(condition, (side, side), generator=torch.Generator().manual_seed(SEED))
    return grids, time.process_time() - start


def compare(size: Size, name: str, prior: CodePrior, num: int, rounds: int) -> bool:
    """Print one line; return whether the grids are equal and the speedup, where judged, is enough."""
    condition = torch.randn(num, size.condition_dim, generator=torch.Generator().manual_seed(SEED))
    seconds: dict[str, list[float]] = {"anew": [], "kept": []}
    num_different = 0
    for _ in range(rounds):
        kept, of_kept = draw(prior, condition, size.side)
        prior.cell_logits = lambda *given: recompute(prior, *given)  # type: ignore[method-assign]
        anew, of_anew = draw(prior, condition, size.side)
        del prior.cell_logits
        seconds["kept"].append(of_kept)
        seconds["anew"].append(of_anew)
        num_different += int((kept != anew).sum())
    anew_least, kept_least = min(seconds["anew"]), min(seconds["kept"])
    speedup = anew_least / kept_least
    print(
        f"{size.name:<9}{name:<13}{anew_least:10.3f}{kept_least:10.3f}{speedup:9.1f}{num_different:17d}",
        flush=True,
    )
    is_judged = size is not DIGITS or name == "pixelcnn"
    return not num_different and (speedup >= MIN_SPEEDUP or not is_judged)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=64, help="grids at a time")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{options.num} grids at a time, torch {torch.__version__}, float32, one thread, CPU seconds")
    print(f"{'size':<9}{'prior':<13}{'anew':>10}{'kept':>10}{'speedup':>9}{'cells that differ':>18}")
    is_enough = []
    for size in (DIGITS, CIFAR):
        torch.manual_seed(SEED)
        for name, prior in size.priors().items():
            is_enough.append(compare(size, name, prior.eval(), options.num, options.rounds))
    print(f"the same grids, at least {MIN_SPEEDUP} times faster: {'yes' if all(is_enough) else 'NO'}")
    return int(not all(is_enough))


if __name__ == "__main__":
    sys.exit(main())
