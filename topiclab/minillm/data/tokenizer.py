"""Byte-level BPE (Sennrich et al. 2016, over bytes as in GPT-2): any text to ids and back."""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from topiclab.atomic import atomic_file
from topiclab.cache import canonical_json
from topiclab.minillm.data.merges import Merge, byte_symbols, fit_merges

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)

END_OF_TEXT, START_OF_TURN, END_OF_TURN = 0, 1, 2
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# Shown in generated text, unlike control tokens, which a decoder may leave out.
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
RESERVED = tuple(f"<|reserved_{number}|>" for number in range(7))
SPECIAL_TOKENS = (*CONTROL_TOKENS, *TAGS, *RESERVED)
SYMBOLS = byte_symbols()
BYTE_OF = {symbol: byte for byte, symbol in enumerate(SYMBOLS)}
FIRST_TOKENS = (*SPECIAL_TOKENS, *sorted(SYMBOLS))
MAX_VOCABULARY_SIZE = 1 << 16
BLOCK_BYTES = 1 << 20
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


class Tokenizer:
    """Ids 0..15 are SPECIAL_TOKENS, 16..271 bytes, then one token per merge, then unused up to vocab_size.

    No text becomes a special token; insert its id instead.  Words are split by GPT-2's pattern.
    info: facts about its training.
    """

    def __init__(self, merges: Sequence[Merge], vocab_size: int, info: Mapping[str, Any] | None = None):
        merged = dict.fromkeys("".join(pair) for pair in merges)
        self.merges, self.info = list(merges), dict(info or {})
        tokens = [*FIRST_TOKENS, *merged]
        if not len(tokens) <= vocab_size <= MAX_VOCABULARY_SIZE:
            raise ValueError(
                f"vocab_size={vocab_size} must hold the {len(FIRST_TOKENS)} first tokens and {len(merged)} "
                f"merged ones, and be at most {MAX_VOCABULARY_SIZE}, as ids are stored in two bytes"
            )
        self.num_used = len(tokens)
        self.tokens = tokens + [f"<|unused_{number}|>" for number in range(vocab_size - len(tokens))]
        self._plain = self._backend(has_special=False)

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of tokens and merges, which determine every id."""
        return hashlib.sha256(
            canonical_json({"tokens": self.tokens, "merges": self.merges}).encode()
        ).hexdigest()

    @cached_property
    def pieces(self) -> tuple[bytes, ...]:
        """The bytes that each id stands for; for special and unused ones their names."""
        names = len(SPECIAL_TOKENS)
        return tuple(
            bytes(BYTE_OF[symbol] for symbol in token) if names <= number < self.num_used else token.encode()
            for number, token in enumerate(self.tokens)
        )

    @cached_property
    def num_bytes(self) -> np.ndarray:
        """(vocab_size,) int64, number of bytes of text an id stands for: 0 for special and unused ones."""
        num = np.array([len(piece) for piece in self.pieces], dtype=np.int64)
        num[: len(SPECIAL_TOKENS)] = num[self.num_used :] = 0
        return num

    def encode(self, text: str) -> list[int]:
        return self._plain.encode(_checked(text), add_special_tokens=False).ids

    def encode_batch(self, texts: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all texts, (N,) uint16, and offsets, (D + 1,) int64.

        Text d has ids[offsets[d]:offsets[d + 1]]. Blocks of texts are encoded by tokenizers' own threads;
        TOKENIZERS_PARALLELISM=false limits it to one.
        """
        parts, ends = [np.zeros(0, dtype=np.uint16)], [np.zeros(1, dtype=np.int64)]
        for block in text_blocks(texts, BLOCK_BYTES):
            encodings = self._plain.encode_batch_fast(list(map(_checked, block)), add_special_tokens=False)
            ids = [encoding.ids for encoding in encodings]
            ends.append(np.fromiter(map(len, ids), dtype=np.int64, count=len(ids)))
            parts.append(np.fromiter(chain.from_iterable(ids), dtype=np.uint16))
        return np.concatenate(parts), np.cumsum(np.concatenate(ends))

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = False) -> str:
        """The text; bytes that are not UTF-8 become U+FFFD.

        skip_special_tokens: leave out special tokens except the tags, as transformers does.
        """
        kept = [int(number) for number in ids]
        if skip_special_tokens:
            kept = [
                number for number in kept if number >= len(SPECIAL_TOKENS) or SPECIAL_TOKENS[number] in TAGS
            ]
        return b"".join(map(self.pieces.__getitem__, kept)).decode("utf-8", errors="replace")

    def word_ids(self, words: Sequence[str]) -> np.ndarray:
        """The id of each word after a space, (N,) int64; -1 if it takes several tokens."""
        ids, offsets = self.encode_batch([f" {word}" for word in words])
        return np.where(
            np.diff(offsets) == 1, ids[np.minimum(offsets[:-1], len(ids) - 1)].astype(np.int64), -1
        )

    def hf(self) -> PreTrainedTokenizerFast:
        """This tokenizer for transformers, with ChatML as chat template.

        It turns names of special tokens in a text into their ids; with split_special_tokens=True only tags.
        """
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast(
            tokenizer_object=self._backend(has_special=True),
            eos_token=SPECIAL_TOKENS[END_OF_TURN],
            pad_token=SPECIAL_TOKENS[END_OF_TEXT],
            chat_template=CHAT_TEMPLATE,
            clean_up_tokenization_spaces=False,
            padding_side="left",
        )

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, which transformers reads too, and tokenizer_info.json."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {**self.info, "fingerprint": self.fingerprint}
        for name, written in (
            ("tokenizer_info.json", json.dumps(facts, indent=1, sort_keys=True, allow_nan=False)),
            ("tokenizer.json", self._backend(has_special=True).to_str(pretty=True)),
        ):
            with atomic_file(folder / name) as stream:
                stream.write(written.encode())

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Load from a folder of `save` or an export; ValueError for a tokenizer not written by topiclab."""
        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; give the folder of a tokenizer or of an export")
        try:
            model = json.loads(path.read_text(encoding="utf-8"))["model"]
            pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
            merges = [(first, second) for first, second in pairs]
            tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a tokenizer with merges ({error!r}); save it again") from error
        size = len(tokens) if tuple(tokens[: len(FIRST_TOKENS)]) == FIRST_TOKENS else 0
        info = path.with_name("tokenizer_info.json")
        facts = json.loads(info.read_bytes()) if info.is_file() else None
        tokenizer = cls(merges, size, facts) if size else None
        if tokenizer is None or tokenizer.tokens != tokens:
            raise ValueError(
                f"{path}: its tokens are not those of train_tokenizer; give a folder that topiclab wrote"
            )
        if tokenizer.info.pop("fingerprint", tokenizer.fingerprint) != tokenizer.fingerprint:
            raise ValueError(
                f"{path}: not the tokenizer that {info.name} beside it was written for; save it again"
            )
        return tokenizer

    def _backend(self, has_special: bool) -> tokenizers.Tokenizer:
        vocab = {token: number for number, token in enumerate(self.tokens)}
        backend = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=self.merges))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        if has_special:
            backend.add_tokens(
                [AddedToken(name, normalized=False, special=name not in TAGS) for name in SPECIAL_TOKENS]
            )
        return backend


def train_tokenizer(
    texts: Iterable[str], *, vocab_size: int, forced_words: Sequence[str] = (), seed: int, max_bytes: int
) -> Tokenizer:
    """Train a tokenizer on about max_bytes of the distinct texts, chosen by the hash of (seed, text).

    The result does not depend on the order of the texts or on repetitions.
    forced_words: each becomes one token together with the space before it; the last learned merges make room.
    Raises ValueError without text, for a vocabulary that is too small, or a word that the pattern splits.
    """
    room = vocab_size - len(FIRST_TOKENS)
    if room < 0:
        raise ValueError(
            f"vocab_size={vocab_size} has no room for {len(SPECIAL_TOKENS)} special tokens and 256 bytes; "
            "raise it"
        )
    words = [_symbols(word) for word in dict.fromkeys(forced_words)]
    chosen = _chosen(texts, seed, max_bytes)
    if not chosen:
        raise ValueError("there is no text to learn a vocabulary from; check data.path and data.corpora")
    learner = tokenizers.Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer: Any = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=SYMBOLS,
        show_progress=False,
    )
    learner.train_from_iterator(chosen, trainer)
    learned = [(first, second) for first, second in json.loads(learner.to_str())["model"]["merges"]]
    info = {
        "num_texts": len(chosen),
        "num_bytes": sum(len(text.encode()) for text in chosen),
        "texts": hashlib.sha256("\0".join(chosen).encode()).hexdigest(),
        "num_forced_words": len(words),
        "seed": seed,
        "max_bytes": max_bytes,
    }
    tokenizer = Tokenizer(fit_merges(learned, words, room), vocab_size, info)
    if unused := vocab_size - tokenizer.num_used:
        log.info("%d of %d tokens stay unused: the texts have no more repeated pairs", unused, vocab_size)
    return tokenizer


def forceable_words(words: Sequence[str]) -> tuple[str, ...]:
    """Words that can become one token; the number of others, such as pairs of words, is logged."""
    kept = tuple(word for word in words if len(_runs(word)) == 1)
    if num_split := len(words) - len(kept):
        log.warning(
            "%d of %d words stay several tokens: texts are split into runs of letters, of digits and of "
            "other signs",
            num_split,
            len(words),
        )
    return kept


def text_blocks(texts: Iterable[str], num_bytes: int) -> Iterator[list[str]]:
    """Consecutive texts in blocks of about num_bytes characters."""
    block, size = [], 0
    for text in texts:
        block.append(text)
        size += len(text)
        if size >= num_bytes:
            yield block
            block, size = [], 0
    if block:
        yield block


def _chosen(texts: Iterable[str], seed: int, max_bytes: int) -> list[str]:
    """Distinct texts by ascending hash, as many as max_bytes requires; no others are kept in memory."""
    seen: set[bytes] = set()
    heap: list[tuple[int, str]] = []  # the largest hash first
    total = 0
    for text in texts:
        digest = hashlib.sha256(f"{seed}:{_checked(text)}".encode()).digest()[:16]
        if not text or digest in seen:
            continue
        seen.add(digest)
        heapq.heappush(heap, (-int.from_bytes(digest, "big"), text))
        total += len(text.encode())
        while heap and total - (last := len(heap[0][1].encode())) >= max_bytes:
            heapq.heappop(heap)
            total -= last
    return [text for _, text in sorted(heap, reverse=True)]


def _symbols(word: str) -> list[str]:
    """A forced word with the space before it, as symbols; ValueError if the pattern splits it."""
    runs = _runs(word)
    if len(runs) != 1:
        raise ValueError(
            f"the word {word!r} cannot be forced to one token: texts are split into runs of letters, of "
            "digits and of other signs; leave it out"
        )
    return list(runs[0])


def _runs(word: str) -> list[str]:
    """The symbols of a word after a space, in the parts across which nothing merges."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return [symbols for symbols, _ in splitter.pre_tokenize_str(f" {_checked(word)}")]


def _checked(text: str) -> str:
    """Return the text; ValueError for half a surrogate pair, which cannot be encoded."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a text holds half a surrogate pair at character {error.start}; repair its source"
        ) from error
    return text
