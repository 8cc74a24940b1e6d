"""The vocabulary's words as tokens of a language model, and the treatment of words of several tokens."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

log = logging.getLogger(__name__)

MultiToken = Literal["drop", "first_subtoken", "exact"]


@dataclass(frozen=True)
class WordTokens:
    """Tokens of V words as they continue a text, after a space; () for a word that cannot be written.

    Where the space is a token of its own (SentencePiece puts one more before a text), it is left out.
    """

    ids: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, words: Sequence[str], tokenizer: Any) -> WordTokens:
        found = tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
        blanks = {first for first in {ids[0] for ids in found if len(ids) > 1} if not _text(first, tokenizer)}
        unknown = tokenizer.unk_token_id
        plain = (ids[1:] if len(ids) > 1 and ids[0] in blanks else ids for ids in found)
        return cls(tuple(() if unknown in ids else tuple(ids) for ids in plain))

    def taught(self, multi_token: MultiToken) -> WordTokens:
        """Tokens that the model is asked for: of words of several tokens none, the first, or all."""
        if multi_token == "drop":
            return WordTokens(tuple(ids if len(ids) == 1 else () for ids in self.ids))
        if multi_token == "first_subtoken":
            return WordTokens(tuple(ids[:1] for ids in self.ids))
        return self

    def facts(self) -> dict[str, Any]:
        """Number of words of each kind; num_sharing_first: words whose first token another word has too."""
        firsts = Counter(ids[0] for ids in self.ids if ids)
        return {
            "num_words": len(self.ids),
            "num_single_token": sum(len(ids) == 1 for ids in self.ids),
            "num_multi_token": sum(len(ids) > 1 for ids in self.ids),
            "num_unwritable": sum(not ids for ids in self.ids),
            "num_sharing_first": sum(count for count in firsts.values() if count > 1),
        }


def check_coverage(words: WordTokens, multi_token: MultiToken, name: str) -> dict[str, Any]:
    """`facts` and the share of words that are taught; ValueError if none is, a warning if not all are."""
    taught = words.taught(multi_token)
    facts = words.facts()
    num_taught = sum(bool(ids) for ids in taught.ids)
    if not num_taught:
        way_out = "teacher.multi_token=exact or another teacher" if any(words.ids) else "another teacher"
        raise ValueError(
            f"teacher.multi_token={multi_token} teaches none of the {len(words.ids)} words of the vocabulary "
            f"with the tokens of {name}; use {way_out}"
        )
    if num_taught < len(words.ids):
        log.warning(
            "teacher.multi_token=%s teaches %d of %d words: %d are of several tokens, %d cannot be written",
            multi_token,
            num_taught,
            len(words.ids),
            facts["num_multi_token"],
            facts["num_unwritable"],
        )
    if multi_token == "first_subtoken" and facts["num_sharing_first"]:
        log.warning("%d words share their first token and so their label", facts["num_sharing_first"])
    return {**facts, "coverage": num_taught / len(words.ids)}


def _text(token: int, tokenizer: Any) -> str:
    return tokenizer.decode([token]).strip()
