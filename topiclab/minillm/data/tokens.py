"""Token sets: tokens of many documents at two bytes each, computed once and read from disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from topiclab.atomic import atomic_path
from topiclab.cache import Cache, load_array, save_array
from topiclab.data.corpus import text_fingerprint
from topiclab.minillm.data.tokenizer import Tokenizer, text_blocks

SHARD_BYTES = 16 << 20
FORMAT = 1  # raise it if the files for the same texts change


@dataclass(frozen=True, eq=False)
class TokenSet:
    """Tokens of D documents in the order of their texts, without separators.

    ids: (N,) uint16, memory-mapped.  offsets: (D + 1,) int64, document d has
    ids[offsets[d]:offsets[d + 1]].  num_bytes: (D,) int64, UTF-8 bytes of the texts.
    """

    ids: np.ndarray
    offsets: np.ndarray
    num_bytes: np.ndarray

    @property
    def num_docs(self) -> int:
        return len(self.num_bytes)

    def bytes_per_token(self, documents: np.ndarray) -> float:
        """UTF-8 bytes per token of the documents chosen by numbers or by a mask (D,); NaN without a token."""
        num = int(np.diff(self.offsets)[documents].sum())
        return float(self.num_bytes[documents].sum() / num) if num else float("nan")


def token_set(texts: Sequence[str], tokenizer: Tokenizer, cache: Path) -> TokenSet:
    """The tokens of the texts, cached (kind `tokens`) by tokenizer and texts.

    They are written in shards of 16 MiB of text; a killed run resumes after its last shard.
    """
    key = {"format": FORMAT, "tokenizer": tokenizer.fingerprint, "texts": text_fingerprint(texts)}
    entry = Cache(Path(cache)).entry(
        "tokens", key, lambda folder: _fill(folder, texts, tokenizer), is_resumable=True
    )
    arrays = entry.arrays()
    return TokenSet(arrays["ids"], np.array(arrays["offsets"]), np.array(arrays["num_bytes"]))


def _fill(folder: Path, texts: Sequence[str], tokenizer: Tokenizer) -> dict[str, Any]:
    shards, sizes = [], []
    with tqdm(total=len(texts), unit=" texts", desc="tokens", disable=None) as bar:
        for number, block in enumerate(text_blocks(texts, SHARD_BYTES)):
            shard, size = (folder / f"{name}-{number:06d}.npy" for name in ("shard", "size"))
            if not size.exists():  # the sizes are written last
                ids, offsets = tokenizer.encode_batch(block)
                save_array(shard, ids)
                num_bytes = np.fromiter((len(text.encode()) for text in block), np.int64, len(block))
                save_array(size, np.stack([np.diff(offsets), num_bytes]))
            shards.append(shard)
            sizes.append(size)
            bar.update(len(block))
    both = np.concatenate([np.zeros((2, 0), dtype=np.int64), *map(load_array, sizes)], axis=1)
    offsets = np.concatenate([[0], np.cumsum(both[0])])
    _join(folder / "ids.npy", shards, int(offsets[-1]))
    save_array(folder / "offsets.npy", offsets)
    save_array(folder / "num_bytes.npy", both[1])
    for path in (*shards, *sizes):
        path.unlink()
    return {"num_docs": len(texts), "num_tokens": int(offsets[-1]), "num_bytes": int(both[1].sum())}


def _join(path: Path, shards: Sequence[Path], num_tokens: int) -> None:
    """Join all shards to one array, with one shard in memory at a time."""
    with atomic_path(path) as partial:
        joined = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint16, shape=(num_tokens,))
        end = 0
        for shard in map(load_array, shards):
            joined[end : end + len(shard)] = shard
            end += len(shard)
        joined.flush()
        del joined
